/* tls_internal.h - shared by tls_ctx.c (settings) and tls.c (connections). */
#ifndef CRYPTO_TLS_INTERNAL_H
#define CRYPTO_TLS_INTERNAL_H

#include <openssl/ssl.h>

#include "crypto/internal.h"
#include "crypto/tls.h"
#include "crypto/trust.h"

struct tls_ctx {
    SSL_CTX *ssl;
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
    bool failed, closed;
    size_t queued; /* bytes fed whose text has not been read: no less than it has */
    char name[TLS_NAME_MAX_BYTES + 1]; /* a client's server_name */
};

#endif
