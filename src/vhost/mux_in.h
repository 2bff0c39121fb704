/* mux_in.h - inside vhost: what the files of the mux share. */
#ifndef VHOST_MUX_IN_H
#define VHOST_MUX_IN_H

#include "base/buf.h"
#include "vhost/mux.h"

enum { BUCKETS = 1024, KEEP_BYTES = 16384 };

enum out_bit { /* control packets that are due, in the order in which they go out */
               OUT_RST = 1,
               OUT_REQUEST = 2,
               OUT_RESPONSE = 4,
               OUT_CREDIT_UPDATE = 8,
               OUT_CREDIT_REQUEST = 16,
               OUT_SHUTDOWN = 32,
};

enum conn_state {
    CONN_DIALLING, /* the guest asks, the other side has not answered yet */
    CONN_ASKED,    /* the other way round */
    CONN_OPEN,
    CONN_DEAD, /* reset from either side: only to be closed */
};

struct conn_key {
    uint32_t host_cid, host_port, guest_port;
};

struct vsock_conn {
    struct conn_key key;
    struct vsock_conn *prev, *next; /* of all */
    struct vsock_conn *bucket;      /* next in its bucket, while the guest knows of it */
    struct vsock_conn *todo_next, *out_next;
    bool in_todo, in_out;
    enum conn_state state;
    bool guest_gone;               /* the guest knows of it no more: not in the table */
    bool host_gone;                /* VSOCK_DO_CLOSE was given out */
    unsigned out;                  /* out_bits */
    unsigned guest_shut, our_shut; /* VSOCK_SHUT_... as told by the guest, and to it */
    struct buf in;                 /* from the guest, not taken by the reader yet */
    uint32_t fwd_cnt, fwd_told;
    uint32_t tx_cnt, peer_alloc, peer_fwd;
    bool credit_asked;
    bool dial_due, greet_due;
    bool readable, eof;       /* the other side's stream */
    bool stalled, write_dead; /* it takes nothing now, ever */
    bool shut_wr, shut_rd;    /* given out */
    bool watch_read, watch_write;
    uint64_t deadline_ns; /* 0: none */
    void *host;
};

struct conn_list {
    struct vsock_conn *first, *last;
};

struct vsock_mux {
    struct vsock_options o;
    struct vsock_conn *all;
    unsigned n;
    struct conn_list todo, outs;
    struct vsock_conn *bucket[BUCKETS];
    struct vsock_hdr rst[VSOCK_RSTS_MAX]; /* ring */
    unsigned rst_at, n_rsts;
    uint32_t next_port;
    uint64_t wake_ns;
};

struct vsock_conn *conn_find(struct vsock_mux *m, struct conn_key key);
/* NULL: out of memory. The caller has looked at conns_max. */
struct vsock_conn *conn_new(struct vsock_mux *m, struct conn_key key, enum conn_state state);
/* The guest knows of it no more. */
void conn_guest_gone(struct vsock_mux *m, struct vsock_conn *c);
/* Tell the guest so, drop what it sent, close the other side. */
void conn_reset(struct vsock_mux *m, struct vsock_conn *c);
/* Something about it changed: look what the shell, and the guest, are to be given. */
void conn_touch(struct vsock_mux *m, struct vsock_conn *c);
void conn_free_if_done(struct vsock_mux *m, struct vsock_conn *c);
void conn_deadline(struct vsock_mux *m, struct vsock_conn *c, uint64_t at_ns);
uint32_t conn_credit(const struct vsock_conn *c);
bool conn_can_read(const struct vsock_conn *c);
void conn_drop_in(struct vsock_conn *c);
/* Bytes at the front of `in` are with the reader, or nowhere. */
void conn_consumed(struct vsock_mux *m, struct vsock_conn *c, size_t n);
/* The other side is done in this direction (VSOCK_SHUT_...): tell the guest. */
void conn_shut(struct vsock_conn *c, unsigned flags);

#endif
