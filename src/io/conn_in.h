/* conn_in.h - inside io: a conn's state, shared by the files that dial, read, write and listen. */
#ifndef IO_CONN_IN_H
#define IO_CONN_IN_H

#include "io/conn.h"
#include "io/loop_in.h"
#include "io/sock.h"

enum conn_stage {
    CONN_DIALING,    /* no socket yet */
    CONN_CONNECTING, /* the kernel works on it */
    CONN_GREETING,   /* CONNECT was sent to a VM's vsock device */
    CONN_HANDSHAKE,  /* TLS */
    CONN_OPEN,
};

struct out_node {
    struct out_node *next;
    struct buf bytes;
    size_t sent;
};

/* Needed until the connection stands; then given back. */
struct conn_dial {
    struct addr to;
    uint64_t retry_ns; /* 0: no retry is due */
    struct greeting greeting;
};

struct conn {
    struct loop_member member;
    struct loop_defer turn;
    struct loop *loop;
    uv_poll_t poll;
    uv_timer_t timer;
    int fd;
    int polled;       /* events that uv_poll waits for now */
    unsigned handles; /* of libuv, not closed yet */
    enum conn_stage stage;

    bool poll_made;
    bool open_told, eof_told;
    bool eof_seen;
    bool read_wanted;    /* conn_resume() was called */
    bool tls_waiting;    /* plaintext may wait in the engine because conn_in() was full */
    bool drain_due;      /* something was sent since `drained` was last told */
    bool owner_deadline; /* not the one for connecting */
    bool finish_wanted, notify_sent, finished;
    bool leaving; /* conn_leave() was called: what comes is dropped */
    bool closing;

    const struct conn_events *events;
    void *arg;
    uint64_t deadline_ns;
    uint64_t armed_ns; /* that `timer` waits for; 0: it is not armed */

    struct buf in;
    size_t piece;     /* of the next read */
    size_t write_max; /* bytes of one call */
    struct out_node *out_first, *out_last;
    size_t unsent;     /* bytes in the nodes */
    struct tls *tls;   /* NULL: plain */
    struct buf cipher; /* made by TLS, not sent yet */
    size_t cipher_sent;
    struct conn_dial *dial;
    struct listener *from; /* NULL: of conn_connect() */
    bool is_over;
    size_t dropped; /* bytes, since conn_leave() */

    enum err result;
    struct why why;
};

/* conn.c */
MUST_USE enum err conn_make(struct loop *l, const struct conn_options *o, struct conn **out);
/* Take a connected descriptor (or one that is being connected) under the loop's watch. On failure
 * the descriptor stays the caller's. */
MUST_USE enum err conn_attach(struct conn *c, int fd);
void conn_arm(struct conn *c); /* the timer, for the next of deadline and retry */
/* The socket stands: TLS, or open. */
void conn_begin(struct conn *c);
/* End it; the first reason counts. */
void conn_fail(struct conn *c, enum err r, const char *what);
void conn_fail_errno(struct conn *c, int e);
void conn_tell_open(struct conn *c);
void conn_turn_soon(struct conn *c);

/* conn_dial.c */
void conn_dial_start(struct conn *c);
void conn_dial_writable(struct conn *c);
void conn_dial_greeting(struct conn *c);

/* conn_read.c: read what is there, tell the owner. */
void conn_read(struct conn *c);
bool conn_wants_read(const struct conn *c);
/* What came after conn_leave(). */
void conn_drop_in(struct conn *c);

/* conn_write.c */
void conn_flush(struct conn *c);
bool conn_wants_write(const struct conn *c);
void conn_out_clear(struct conn *c);
/* What the engine has for the peer, into c->cipher. */
MUST_USE enum err conn_tls_drain(struct conn *c);
/* After a TLS failure: one try to send the alert that tells the peer why. */
void conn_tls_alert(struct conn *c);

/* listener.c */
void listener_conn_gone(struct listener *s, bool is_over);

#endif
