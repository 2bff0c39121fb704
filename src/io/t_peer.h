/* t_peer.h - for the tests of conns: an owner that records what it is told, and a loop that runs
 * until something is true. */
#ifndef IO_T_PEER_H
#define IO_T_PEER_H

#include "testing/t.h"

#include "io/conn.h"

enum { PEER_MAX_BYTES = 64 << 20, PATIENCE_S = 20 /* ten times under valgrind */ };

struct peer {
    struct conn *c;
    unsigned opens, datas, eofs, drains, closes;
    struct buf got;
    bool hold;    /* leave everything in conn_in() */
    bool echo;    /* send back what comes, and finish at its end */
    int close_in; /* call conn_close() in this callback: 'o', 'd', 'e', 'r' (drained) */
    enum err r;
    const char *what;
};

struct bench {
    struct loop *loop;
    struct loop_timer *tick;
    struct listener *listener;
    struct peer peers[8]; /* of the listener, in the order of accepting */
    unsigned n_peers;
    struct peer over[8];
    unsigned n_over;
    bool hold, echo;         /* for new peers */
    const char *server_name; /* what TLS clients expect */
    bool inside;             /* one of our own calls: no callback may come */
    char dir[32];            /* a folder of the test's own */
};

extern struct bench bench;
extern const struct conn_events peer_events;

int bench_make(void **state);
int bench_unmake(void **state);
const char *bench_path(const char *name);

/* In the test's folder; on the loopback. */
struct addr unix_addr(const char *name);
struct addr vsock_addr(uint32_t cid, uint32_t port);
struct addr tcp_addr(unsigned port);
/* Listen without TLS on "tcp", "unix" or "vsock" and say where to connect. */
struct addr listen_kind(const char *kind, size_t in_max, unsigned max);
/* Nothing but `closed` with this must come; in_ns: a duration, 0: none. */
void connect_fails(const struct addr *to, uint64_t in_ns, enum err want, const char *what);

/* Run the loop for about a millisecond. */
void bench_tick(void);
#define UNTIL(cond)                                                                                \
    do {                                                                                           \
        uint64_t end_ = clock_mono_ns() + PATIENCE_S * NS_PER_S * (t_under_valgrind() ? 10U : 1U); \
        while (!(cond)) {                                                                          \
            if (clock_mono_ns() > end_)                                                            \
                fail_msg("never: %s", #cond);                                                      \
            bench_tick();                                                                          \
        }                                                                                          \
    } while (0)

/* A listener_fn: the next of bench.peers. */
void bench_accepted(struct conn *c, void *arg);
/* Listen at `at` with peers of the bench as owners; NULL `tls` is plain. */
void bench_listen(const struct addr *at, struct tls_ctx *tls, size_t in_max, unsigned max,
                  bool with_over);
void peer_connect(struct peer *p, const struct addr *to, struct tls_ctx *tls, size_t in_max);
void peer_send(struct peer *p, struct span s);
void peer_close(struct peer *p);
/* Close what is open still and forget what came. */
void peer_done(struct peer *p);

/* `n` bytes that a mistake in order or count would show. */
struct span pattern(size_t n);

#endif
