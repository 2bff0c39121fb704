/* relay.h - one relayed connection: two byte streams joined, as a step function.
 *
 * The shell owns both conns and tells what happened and how many bytes stand where; the step says
 * what to move, finish and close. Half-close passes through, an idle relay ends, a reader that does
 * not read stops the writer on the other side. Bytes are never looked at.
 */
#ifndef PROXY_RELAY_H
#define PROXY_RELAY_H

#include "base/span.h"

enum relay_side { RELAY_CLIENT, RELAY_REMOTE };

enum relay_event {
    RELAY_CONNECTED, /* the remote side stands */
    RELAY_REFUSED,   /* it never will: every address was tried */
    RELAY_PROGRESS,  /* bytes came on a side, or left it */
    RELAY_EOF,       /* a side will send no more */
    RELAY_CLOSED,    /* a side is gone; what waits from it is moved now or never */
    RELAY_TICK,      /* the time that was asked for has come */
    RELAY_STOP,      /* the program is leaving: end as soon as nothing moves */
};

enum relay_end {
    RELAY_RUNS,
    RELAY_DONE, /* both directions came to their end */
    RELAY_NO_REMOTE,
    RELAY_BROKEN, /* a side broke (reset, timeout) */
    RELAY_IDLE,
};

struct relay {
    size_t high_water; /* bytes that may be queued towards a side */
    uint64_t idle_ns;  /* 0: no limit */
    uint64_t last_ns;  /* when something last moved */
    bool connected;
    bool expired; /* nothing moved for idle_ns */
    bool eof[2], finished[2], gone[2], closing[2];
    uint64_t bytes[2]; /* moved from that side */
    enum relay_end end;
};

struct relay_input {
    enum relay_event event;
    enum relay_side side; /* PROGRESS, EOF, CLOSED */
    bool broken;          /* CLOSED: not in order */
    uint64_t now_ns;
    size_t waiting[2]; /* received from that side and not moved */
    size_t unsent[2];  /* queued towards that side and not with the kernel */
};

struct relay_action {
    size_t move[2]; /* bytes from that side to the other */
    bool finish[2]; /* after the move: shut the write side down */
    bool close[2];
    bool over;        /* both sides are gone: forget it */
    uint64_t wake_ns; /* send RELAY_TICK then; 0: no need */
};

enum { RELAY_STOP_IDLE_MS = 250 };

void relay_init(struct relay *r, size_t high_water, uint64_t idle_ns, uint64_t now_ns);
void relay_step(struct relay *r, const struct relay_input *in, struct relay_action *out);
/* "done", "no remote", "broken", "idle", "runs": for logs. */
const char *relay_end_name(enum relay_end e);

#endif
