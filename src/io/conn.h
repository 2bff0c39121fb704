/* conn.h - byte streams on the loop: vsock, Unix or TCP, with TLS inside if a context is given.
 *
 * The owner is told by callbacks, always from the loop, never from inside one of its own calls
 * here, and exactly one `closed` ends every conn that `conn_connect` or a listener made; after it
 * the conn is gone. (loop_free() drops what is left without a word.) Received bytes wait in
 * conn_in(), whose maximum bounds the memory: when it is full, reading pauses until the owner
 * consumes (back-pressure). What is sent leaves after the callback that sent it has returned, so
 * that several small sends go out as one.
 */
#ifndef IO_CONN_H
#define IO_CONN_H

#include "crypto/tls.h"
#include "io/addr.h"
#include "io/loop.h"

struct conn;
struct listener;

/* Any of these may be NULL. */
struct conn_events {
    void (*open)(struct conn *c, void *arg); /* connected, TLS handshake done */
    void (*data)(struct conn *c, void *arg); /* more in conn_in() */
    void (*eof)(struct conn *c, void *arg); /* the peer will send no more; TLS: close_notify came */
    void (*drained)(struct conn *c, void *arg); /* all that was sent is with the kernel */
    /* r ERR_OK: by conn_close() or both sides done (eof told, conn_finish() carried out). What is
     * still in conn_in() may be taken here for the last time. ERR_IO, ERR_TIMEOUT, and of TLS
     * ERR_VERIFY, ERR_MALFORMED, ERR_CRYPTO, ERR_NOMEM. */
    void (*closed)(struct conn *c, void *arg, enum err r, const struct why *why);
};

struct conn_options {
    struct tls_ctx *tls;     /* NULL: plain */
    const char *server_name; /* TLS client */
    size_t in_max;           /* bytes that may wait in conn_in() */
    uint64_t deadline_ns;    /* for connecting and the handshake; then conn_set_deadline() */
    const struct conn_events *events;
    void *arg;
};

/* Goes on in the background. ERR_NOMEM, ERR_CRYPTO; that nobody listens is told by `closed`. */
MUST_USE enum err conn_connect(struct loop *l, const struct addr *to, const struct conn_options *o,
                               struct conn **out, struct why *why);
void conn_set_arg(struct conn *c, const struct conn_events *events, void *arg);
/* ERR_TIMEOUT closes the conn at that time; 0: none. Replaces the one for connecting. */
void conn_set_deadline(struct conn *c, uint64_t deadline_ns);
struct buf *conn_in(struct conn *c); /* the owner consumes from it */
/* Another maximum for conn_in(), as the owner knows what is to come; never below what is there. */
void conn_set_in_max(struct conn *c, size_t max);
/* Call after consuming from conn_in() outside the data callback, so that reading goes on. */
void conn_resume(struct conn *c);
/* Queue bytes; the buf is taken (and left empty). ERR_IO once closing or finishing, ERR_NOMEM; the
 * buf is as before then. */
MUST_USE enum err conn_send(struct conn *c, struct buf *take);
/* The same of bytes that stay the caller's. Inside TLS they are encrypted at once where nothing
 * waits before them, so that there is no second copy. */
MUST_USE enum err conn_send_view(struct conn *c, struct span s);
/* The peer's address as text ("127.0.0.1", "::1"), "unix" for a Unix socket, "" if it cannot be
 * told any more. */
enum { CONN_PEER_BYTES = 46 };
void conn_peer(const struct conn *c, char out[static CONN_PEER_BYTES]);
/* Bytes queued and not yet with the kernel. */
size_t conn_unsent(const struct conn *c);
/* Shut the write side down after everything queued is out (TLS: close_notify first). Reading goes
 * on. */
void conn_finish(struct conn *c);
/* Its owner has sent the last it has to say and asks for no more: finish, but read and drop what
 * still comes, up to CONN_LEAVE_MAX_BYTES. A peer that is refused may be sending still, and would
 * not see why if we closed on it: on Unix sockets unread bytes turn a close into a reset. What is
 * queued may take `write_ms`, and at least CONN_LEAVE_MS where the peer has not ended its side;
 * when it is out, the peer has CONN_LEAVE_MS to do so. `data` is told no more; `closed` follows,
 * ERR_TIMEOUT if the peer did not end it in time. */
enum { CONN_LEAVE_MS = 5000, CONN_LEAVE_MAX_BYTES = 1 << 26 };
void conn_leave(struct conn *c, uint64_t write_ms);
/* Drop it now; `closed` follows from the loop. Idempotent. */
void conn_close(struct conn *c);

/* set events with conn_set_arg(); the conn may still be in its handshake, `open` follows */
typedef void listener_fn(struct conn *c, void *arg);
/* Accepts until freed; each conn is made with `o` (its deadline_ns is a duration from accept here,
 * up to the `open` of a TLS conn; 0: none). `max` conns at once: more are accepted and given to
 * `over` (at most `max` of those at once), if not NULL, else closed. */
struct listener_options {
    struct conn_options conn;
    unsigned max;
    listener_fn *accepted, *over;
    void *arg;
};
/* Errors of addr_listen(). */
MUST_USE enum err listener_new(struct loop *l, const struct addr *at,
                               const struct listener_options *o, struct listener **out,
                               struct why *why);
/* The same on a socket that listens already; see acceptor_adopt() for its errors. */
MUST_USE enum err listener_adopt(struct loop *l, int fd, const struct listener_options *o,
                                 struct listener **out, struct why *why);
/* The TCP port really bound (for port 0); 0 for the other kinds. */
unsigned listener_port(const struct listener *s);
/* Those given to `accepted` that are not closed yet. */
unsigned listener_conns(const struct listener *s);
/* Stop accepting and remove the Unix socket's file; conns live on. NULL is fine. */
void listener_free(struct listener *s);

#endif
