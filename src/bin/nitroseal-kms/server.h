/* server.h - HTTP on the loop, with TLS or plain: requests in, whole responses out, keep-alive and
 * pipelining.
 *
 * The handler gets a complete request and answers at once; this file knows nothing of KMS. Bounded:
 * connections, bytes of a request, time for one to arrive, answers waiting to leave. */
#ifndef BIN_NITROSEAL_KMS_SERVER_H
#define BIN_NITROSEAL_KMS_SERVER_H

#include "http1/http1.h"
#include "io/conn.h"

enum { SERVER_BODY_MAX_BYTES = 512 << 10, SERVER_RESPONSE_MAX_BYTES = 1 << 20 };

struct server_request {
    const struct http1_head *head;
    struct span body;
    const char *peer; /* conn_peer() */
    bool tls;
    uint64_t client; /* for server_again() */
};

/* Append one whole response. What `rq` points to lives until it returns. ERR_MORE: not yet, the
 * request waits for server_again(). Anything else closes the connection without an answer. */
typedef enum err server_handle_fn(void *arg, const struct server_request *rq, struct buf *response);

struct server_options {
    struct addr at;
    struct tls_ctx *tls; /* NULL: plain */
    unsigned max;        /* connections */
    server_handle_fn *handle;
    void *arg;
};

struct server;

/* Errors of listener_new(). */
MUST_USE enum err server_new(struct loop *l, const struct server_options *o, struct server **out,
                             struct why *why);
unsigned server_port(const struct server *s);
struct server_counts {
    uint64_t accepted; /* connections, ever */
    unsigned open;
    uint64_t refused; /* what was no request that can be answered: 400 and 413 of ours */
};
struct server_counts server_counts(const struct server *s);
/* Accept no more, answer what is arriving (for SERVER_DRAIN_S at most), let answers leave, then
 * loop_stop(). */
enum { SERVER_DRAIN_S = 5 };
void server_stop(struct server *s);
/* Handle the waiting request of that client again, or close its connection. Nothing happens if it
 * has left. Not from inside a handler. */
void server_again(struct server *s, uint64_t client, bool answer);
void server_free(struct server *s); /* NULL is fine; before loop_free() */

#endif
