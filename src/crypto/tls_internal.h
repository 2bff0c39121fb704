/* tls_internal.h - shared by tls_ctx.c (settings), tls.c (connections) and tls_queue.c (bytes to
 * and from the peer). */
#ifndef CRYPTO_TLS_INTERNAL_H
#define CRYPTO_TLS_INTERNAL_H

#include <openssl/ssl.h>

#include "crypto/internal.h"
#include "crypto/tls.h"
#include "crypto/trust.h"

/* Records, first in first out. The zero value is no queue: its buf needs a maximum. */
struct tls_queue {
    struct buf bytes;
    size_t taken; /* of them, from the front */
};

struct tls_ctx {
    SSL_CTX *ssl;
    BIO_METHOD *queue;
    struct trust *trust; /* a client's */
    bool is_client;
    /* The newest session that a server gave us, and the name that its certificate was checked
     * against: a resumed handshake checks neither again, so it may serve that name only. */
    SSL_SESSION *session;
    char session_name[TLS_NAME_MAX_BYTES + 1];
};

struct tls {
    SSL *ssl;
    struct tls_ctx *ctx;
    struct tls_queue in, out; /* from the peer, and for it */
    bool failed, closed;
    size_t queued; /* bytes fed whose text has not been read: no less than it has */
    char name[TLS_NAME_MAX_BYTES + 1]; /* a client's server_name */
};

size_t tls_queue_len(const struct tls_queue *q);
/* Memory for `n` bytes more. ERR_NOMEM, ERR_LIMIT. */
MUST_USE enum err tls_queue_room(struct tls_queue *q, size_t n);
MUST_USE enum err tls_queue_put(struct tls_queue *q, struct span s); /* as above */
/* All to the end of `out`, or as much as it takes (ERR_LIMIT). An empty `out` without memory of its
 * own gets the queue's. ERR_NOMEM. */
MUST_USE enum err tls_queue_move(struct tls_queue *q, struct buf *out);
/* NULL: no memory. The method has to outlive its BIOs, and a queue its BIO. */
BIO_METHOD *tls_queue_method(void);
BIO *tls_queue_bio(const BIO_METHOD *m, struct tls_queue *q);

#endif
