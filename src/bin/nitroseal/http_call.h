/* http_call.h - one HTTP request on a connection of its own, plain or with TLS. Blocking. */
#ifndef BIN_NITROSEAL_HTTP_CALL_H
#define BIN_NITROSEAL_HTTP_CALL_H

#include "crypto/tls.h"
#include "io/addr.h"

struct http_server {
    struct addr at;
    struct tls_ctx *tls; /* NULL: plain */
    const char *name;    /* that its certificate must have */
};

struct http_reply {
    unsigned status;
    struct buf bytes;       /* the whole response */
    struct buf content;     /* its body, put together */
    struct span body;       /* view of content */
    struct span request_id; /* x-amzn-RequestId: view of bytes, or empty */
};

enum { HTTP_REPLY_MAX_BYTES = 1 << 20 };
#define HTTP_REPLY_INIT                                                                            \
    ((struct http_reply){ .bytes = BUF_INIT(HTTP_REPLY_MAX_BYTES),                                 \
                          .content = BUF_INIT(HTTP_REPLY_MAX_BYTES) })
void http_reply_clear(struct http_reply *r);

/* `request` is whole. ERR_OK: a response of any status. ERR_IO, ERR_TIMEOUT, ERR_VERIFY (TLS),
 * ERR_MALFORMED, ERR_LIMIT; why says what. */
MUST_USE enum err http_call(const struct http_server *server, struct span request,
                            uint64_t deadline_ns, struct http_reply *out, struct why *why);

#endif
