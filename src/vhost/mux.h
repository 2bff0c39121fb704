/* mux.h - the connections of one virtio-vsock device: guest on one side, byte streams on the other.
 *
 * Source: virtio 1.2, section 5.10; addresses as DESIGN section 4 has them. Pure: packets and the
 * outcomes of system calls come in, packets and things to do come out. The guest may connect to CID
 * 3 (the parent) and 2; whoever connects to the guest comes from CID 3.
 *
 * What the guest can make us hold is bounded: at most conns_max connections, each with at most
 * buf_bytes of what its reader has not taken yet (the credit that the guest is told; more than that
 * is a fault and ends the connection), and VSOCK_RSTS_MAX refusals of connections that do not
 * exist. Bytes towards the guest are read from their socket straight into the guest's buffers, and
 * never more than the guest has credit for, so nothing is held that way.
 *
 * A stream is ended towards a side only after all its bytes are there; then half-close passes.
 */
#ifndef VHOST_MUX_H
#define VHOST_MUX_H

#include "vhost/pkt.h"
#include "vhost/virtq.h"

enum {
    VSOCK_CID_HOST = 2,
    VSOCK_CID_PARENT = 3,
    VSOCK_CONNS_MAX = 1024,
    VSOCK_BUF_BYTES = 128 << 10,
    VSOCK_RSTS_MAX = 256,
};

struct vsock_mux;
struct vsock_conn;

struct vsock_options {
    uint32_t guest_cid;
    unsigned conns_max;  /* those that are going away count too */
    uint32_t buf_bytes;  /* at least 1 */
    uint64_t connect_ns; /* for the guest to answer a connection that we ask for */
    uint64_t linger_ns;  /* for the guest to confirm the end of one */
    uint64_t drain_ns; /* for a reader to take the last bytes that the guest sent before the end */
};

/* ERR_NOMEM. */
MUST_USE enum err vsock_mux_new(const struct vsock_options *o, struct vsock_mux **out);
/* Connections that are left are forgotten without a word. NULL is fine. */
void vsock_mux_free(struct vsock_mux *m);
/* The guest's device was reset: it knows of no connection any more. VSOCK_DO_CLOSE follows for each
 * of them. */
void vsock_mux_reset(struct vsock_mux *m);
unsigned vsock_mux_conns(const struct vsock_mux *m);

/* --- from the guest --- */

/* False: too many refusals wait for the guest to take them. Until it has, look at nothing it sends.
 */
bool vsock_mux_takes(const struct vsock_mux *m);
/* One packet: header and payload in a readable chain. What is no packet of ours is passed over, a
 * breach of protocol resets its connection. */
void vsock_mux_packet(struct vsock_mux *m, const struct virtq_chain *c, uint64_t now_ns);

/* --- to the guest --- */

struct vsock_out {
    struct vsock_conn *conn; /* NULL: a refusal */
    struct vsock_hdr hdr;    /* its `len` is set by vsock_mux_put() */
    size_t read_max;         /* read so many bytes at most after the header; 0: the header is all */
};

enum vsock_got {
    VSOCK_MOVED,
    VSOCK_AGAIN,
    VSOCK_EOF, /* reading: the other side sends no more */
    VSOCK_HUP, /* reading: it sends no more and takes no more */
    VSOCK_BROKE,
};

/* What the guest is to get next, in a buffer of `room` bytes (at least VSOCK_HEADER_BYTES + 1, or
 * there is nothing). False: nothing. */
bool vsock_mux_out(struct vsock_mux *m, size_t room, struct vsock_out *out);
/* How it went, before anything else is done with the mux. read_max 0: VSOCK_MOVED, n 0. True: the
 * packet, with out->hdr, goes to the guest; false: there was nothing to read, use the buffer for
 * the next one. */
bool vsock_mux_put(struct vsock_mux *m, struct vsock_out *out, enum vsock_got got, size_t n,
                   uint64_t now_ns);

/* --- the other side --- */

enum vsock_do {
    VSOCK_DO_NOTHING,
    VSOCK_DO_DIAL, /* connect to `port` of the parent; vsock_conn_dialled() follows, now or later */
    VSOCK_DO_GREET,   /* the guest has accepted: tell who asked, "OK <port>" */
    VSOCK_DO_SEND,    /* `bytes`; vsock_conn_sent() follows at once */
    VSOCK_DO_SHUT_WR, /* the guest sends no more */
    VSOCK_DO_SHUT_RD, /* the guest takes no more */
    VSOCK_DO_WATCH,   /* from now on tell vsock_conn_ready() when it can be read, be written */
    VSOCK_DO_CLOSE,   /* let go; the conn is not to be used again */
};

struct vsock_action {
    enum vsock_do what;
    struct vsock_conn *conn;
    void *host;
    uint32_t port;
    struct span bytes;
    bool read, write;
};

/* The next thing to do; VSOCK_DO_NOTHING: wait. */
struct vsock_action vsock_mux_next(struct vsock_mux *m);

/* The shell's own, for each connection. */
void vsock_conn_set_host(struct vsock_conn *c, void *host);
void *vsock_conn_host(const struct vsock_conn *c);
void vsock_conn_dialled(struct vsock_mux *m, struct vsock_conn *c, bool ok);
/* VSOCK_MOVED with at least 1 byte, VSOCK_AGAIN, VSOCK_BROKE. */
void vsock_conn_sent(struct vsock_mux *m, struct vsock_conn *c, enum vsock_got got, size_t n);
void vsock_conn_ready(struct vsock_mux *m, struct vsock_conn *c, bool readable, bool writable);
/* Somebody wants to connect to `port` of the guest. ERR_LIMIT: too many connections; ERR_NOMEM. */
MUST_USE enum err vsock_mux_connect(struct vsock_mux *m, uint32_t port, void *host, uint64_t now_ns,
                                    struct vsock_conn **out);
/* End what waited too long. */
void vsock_mux_tick(struct vsock_mux *m, uint64_t now_ns);
/* When vsock_mux_tick() has something to do; 0: never. */
uint64_t vsock_mux_wake_ns(const struct vsock_mux *m);

#endif
