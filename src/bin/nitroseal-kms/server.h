/* server.h - HTTPS on the loop: requests in, whole responses out, keep-alive and pipelining.
 *
 * The handler gets a complete request and answers at once; this file knows nothing of KMS. Bounded:
 * connections, bytes of a request, time for one to arrive, answers waiting to leave. */
#ifndef BIN_NITROSEAL_KMS_SERVER_H
#define BIN_NITROSEAL_KMS_SERVER_H

#include "http1/http1.h"
#include "io/conn.h"

enum { SERVER_BODY_MAX_BYTES = 512 << 10, SERVER_RESPONSE_MAX_BYTES = 1 << 20 };

/* Append one whole response. Spans of `head` and `body` live until it returns. Anything but ERR_OK
 * closes the connection without an answer. */
typedef enum err server_handle_fn(void *arg, const struct http1_head *head, struct span body,
                                  struct buf *response);

struct server_options {
    struct addr at;
    struct tls_ctx *tls;
    unsigned max; /* connections */
    server_handle_fn *handle;
    void *arg;
};

struct server;

/* Errors of listener_new(). */
MUST_USE enum err server_new(struct loop *l, const struct server_options *o, struct server **out,
                             struct why *why);
unsigned server_port(const struct server *s);
/* Accept no more, let what was answered leave, then loop_stop(). */
void server_stop(struct server *s);
void server_free(struct server *s); /* NULL is fine; before loop_free() */

#endif
