/* relay.h - one relayed connection: two byte streams joined, as a step function that never sees the
 * bytes.
 *
 * relay_next() says what to do next, the shell does it and tells how it went, until there is
 * nothing to do but wait for a socket. Half-close passes through, a reader that does not read stops
 * the writer on the other side, an idle relay ends. When a side breaks, what it sent before still
 * arrives, and the other is not told "end of stream" but cut off: a torn stream must not look like
 * a whole one.
 */
#ifndef PROXY_RELAY_H
#define PROXY_RELAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { RELAY_TURN_MOVES = 16 }; /* at most 8 MiB with pipes of 1 MiB */

enum relay_side { RELAY_CLIENT, RELAY_REMOTE };

enum relay_what {
    RELAY_WAIT,   /* for a socket, as relay_wants_...() say */
    RELAY_FILL,   /* take bytes from that side */
    RELAY_DRAIN,  /* give what was taken from that side to the other */
    RELAY_DROP,   /* forget what was taken from that side */
    RELAY_FINISH, /* that side has ended: shut the other's write side down */
    RELAY_END,    /* close both */
};

struct relay_next {
    enum relay_what what;
    enum relay_side from;
};

enum relay_got { RELAY_MOVED, RELAY_AGAIN, RELAY_EOF, RELAY_BROKE };

enum relay_end {
    RELAY_RUNS,
    RELAY_DONE,   /* both directions came to their end */
    RELAY_BROKEN, /* a side broke (reset, timeout) */
    RELAY_IDLE,
};

struct relay_way {            /* from one side to the other */
    size_t held;              /* taken and not given yet */
    bool can_fill, can_drain; /* as far as we know */
    bool eof;                 /* nothing more comes */
    bool drop;                /* what is held has nowhere to go */
    bool done;
    uint64_t bytes;
};

struct relay {
    struct relay_way way[2]; /* by the side they come from */
    uint64_t idle_ns;        /* 0: no limit */
    uint64_t last_ns;        /* when something last moved */
    unsigned moves_left;     /* in this turn; other relays are due then */
    enum relay_side turn;    /* whose bytes are looked at first: the two ways take turns */
    bool broken;
    enum relay_end end;
};

void relay_init(struct relay *r, uint64_t idle_ns, uint64_t now_ns);
/* What the loop says about that side's socket. A new turn: RELAY_TURN_MOVES more moves, then
 * relay_next() is RELAY_WAIT although the sockets may be ready, and so will tell that again. */
void relay_ready(struct relay *r, enum relay_side s, bool readable, bool writable);
struct relay_next relay_next(struct relay *r);
/* How it went. FILL: MOVED, AGAIN, EOF, BROKE; DRAIN: MOVED, AGAIN, BROKE; DROP, FINISH: MOVED. n:
 * bytes, at least 1 where some moved. */
void relay_told(struct relay *r, struct relay_next did, enum relay_got got, size_t n,
                uint64_t now_ns);
/* What to wait for at that side's socket. */
bool relay_wants_read(const struct relay *r, enum relay_side s);
bool relay_wants_write(const struct relay *r, enum relay_side s);
/* True: nothing moved for too long, relay_next() is RELAY_END from now on. */
bool relay_tick(struct relay *r, uint64_t now_ns);
/* When relay_tick() has something to say; 0: never. */
uint64_t relay_wake_ns(const struct relay *r);
/* From now on the limit is at most this: the program is leaving. */
void relay_hurry(struct relay *r, uint64_t idle_ns);
/* "done", "broken", "idle", "runs": for logs. */
const char *relay_end_name(enum relay_end e);

#endif
