/* https.h - one HTTPS connection that blocks: for programs that make one call after the other.
 *
 * TLS is the engine of crypto/tls.h over a descriptor of io; the server is proved by the given CA
 * certificates and name only. One request is answered before the next is sent.
 */
#ifndef BIN_COMMON_HTTPS_H
#define BIN_COMMON_HTTPS_H

#include "crypto/tls.h"
#include "http1/http1.h"
#include "io/addr.h"

enum { HTTPS_BODY_MAX_BYTES = 1 << 20 };

struct https {
    int fd; /* -1: closed */
    struct tls *tls;
};
#define HTTPS_CLOSED ((struct https){ .fd = -1 })

/* The descriptor is closed without a farewell; the peer sees it. */
void https_close(struct https *c);
/* `tls` outlives the connection. Connected and the handshake done. ERR_IO, ERR_TIMEOUT; of TLS
 * ERR_VERIFY, ERR_MALFORMED, ERR_CRYPTO; ERR_NOMEM. *out untouched on failure. */
MUST_USE enum err https_open(const struct addr *at, struct tls_ctx *tls, const char *server_name,
                             uint64_t deadline_ns, struct https *out, struct why *why);
/* Open still. What came since the last answer is taken in: session tickets are welcome (TLS 1.3
 * sends them after the handshake), an end or an answer that nobody asked for are not. */
bool https_is_usable(const struct https *c);

struct https_answer {
    struct http1_head head; /* views into `bytes` */
    struct buf bytes, body;
};
#define HTTPS_ANSWER_INIT                                                                          \
    ((struct https_answer){ .bytes = BUF_INIT(HTTP1_HEAD_MAX + HTTPS_BODY_MAX_BYTES),              \
                            .body = BUF_INIT(HTTPS_BODY_MAX_BYTES) })
void https_answer_clear(struct https_answer *a);
/* Send a whole request, read a whole response of any status. *began: some of the response came, so
 * that asking again would be asking twice. The connection is closed after a failure and where the
 * answer says so. ERR_IO, ERR_TIMEOUT, ERR_MALFORMED, ERR_LIMIT, ERR_NOMEM, ERR_CRYPTO. */
MUST_USE enum err https_call(struct https *c, struct span request, uint64_t deadline_ns,
                             struct https_answer *out, bool *began, struct why *why);

#endif
