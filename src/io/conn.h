/* conn.h - byte streams on the loop: vsock, Unix or TCP, with TLS inside if a context is given.
 *
 * The owner is told by callbacks, always from the loop, never from inside one of its own calls
 * here, and exactly one `closed` ends every conn that `conn_connect` or a listener made; after it
 * the conn is gone. Received bytes wait in conn_in(), whose maximum bounds the memory: when it is
 * full, reading pauses until the owner consumes (back-pressure).
 */
#ifndef IO_CONN_H
#define IO_CONN_H

#include "crypto/tls.h"
#include "io/addr.h"
#include "io/loop.h"

struct conn;
struct listener;

struct conn_events {
    void (*open)(struct conn *c, void *arg); /* connected, TLS handshake done */
    void (*data)(struct conn *c, void *arg); /* more in conn_in() */
    void (*eof)(struct conn *c, void *arg); /* the peer will send no more; TLS: close_notify came */
    void (*drained)(struct conn *c,
                    void *arg); /* all that was sent is with the kernel; may be NULL */
    void (*closed)(struct conn *c, void *arg, enum err r,
                   const struct why *why); /* r ERR_OK: by conn_close() or both sides done */
};

struct conn_options {
    struct tls_ctx *tls;     /* NULL: plain */
    const char *server_name; /* TLS client */
    size_t in_max;           /* bytes that may wait in conn_in() */
    uint64_t deadline_ns;    /* for connecting and the handshake; then conn_set_deadline() */
    const struct conn_events *events;
    void *arg;
};

MUST_USE enum err conn_connect(struct loop *l, const struct addr *to, const struct conn_options *o,
                               struct conn **out, struct why *why);
void conn_set_arg(struct conn *c, const struct conn_events *events, void *arg);
/* ERR_TIMEOUT closes the conn at that time; 0: none. */
void conn_set_deadline(struct conn *c, uint64_t deadline_ns);
struct buf *conn_in(struct conn *c); /* the owner consumes from it */
/* Call after consuming from conn_in() outside the data callback, so that reading goes on. */
void conn_resume(struct conn *c);
/* Queue bytes; the buf is taken (and left empty). ERR_IO once closing. */
MUST_USE enum err conn_send(struct conn *c, struct buf *take);
size_t conn_unsent(const struct conn *c);
/* Shut the write side down after everything queued is out (TLS: close_notify first). Reading goes
 * on. */
void conn_finish(struct conn *c);
/* Drop it now; `closed` follows from the loop. Idempotent. */
void conn_close(struct conn *c);

typedef void listener_fn(
    struct conn *c,
    void *arg); /* set events with conn_set_arg(); the conn may still be in its handshake */
/* Accepts until freed; each conn is made with `o` (its deadline_ns is a duration from accept here).
 * `max` conns at once: more are accepted and given to `over`, if not NULL, else closed. */
struct listener_options {
    struct conn_options conn;
    unsigned max;
    listener_fn *accepted, *over;
    void *arg;
};
MUST_USE enum err listener_new(struct loop *l, const struct addr *at,
                               const struct listener_options *o, struct listener **out,
                               struct why *why);
/* The TCP port really bound (for port 0). */
unsigned listener_port(const struct listener *s);
unsigned listener_conns(const struct listener *s);
/* Stop accepting; conns live on. */
void listener_free(struct listener *s);

#endif
