/* Settings of clients and servers. Tested by test_tls.c. */
#include <stdlib.h>

#include "crypto/pem.h"
#include "crypto/tls_internal.h"

/* For TLS 1.2 (RFC 9325 section 4.2); every suite of TLS 1.3 is of this kind. */
static const char suites[] = "ECDHE+AESGCM:ECDHE+CHACHA20";
static char groups[] = "X25519:P-256:P-384";               /* OpenSSL takes no const text here */
static const unsigned char alpn_http11[] = "\x08http/1.1"; /* RFC 7301 section 6 */

enum {
    ALPN_BYTES = sizeof alpn_http11 - 1,
    CHAIN_DEPTH_MAX = 8,
    SECURITY_LEVEL = 2, /* 112 bits: RSA from 2,048, no SHA-1 */
    TICKETS = 1,        /* per handshake; OpenSSL's default is two */
};

static bool common_settings(SSL_CTX *ssl)
{
    SSL_CTX_set_security_level(ssl, SECURITY_LEVEL);
    SSL_CTX_set_options(ssl, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_CLEANSE_PLAINTEXT);
    SSL_CTX_set_read_ahead(ssl, 1); /* 1 to 2 us less per request */
    return SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION) == 1 &&
           SSL_CTX_set_cipher_list(ssl, suites) == 1 && SSL_CTX_set1_groups_list(ssl, groups) == 1;
}

static enum err ctx_new(const SSL_METHOD *method, bool is_client, struct tls_ctx **out)
{
    AUTO(tls_ctx_freep) struct tls_ctx *ctx = calloc(1, sizeof *ctx);

    if (!ctx)
        return ERR_NOMEM;
    ctx->is_client = is_client;
    ctx->ssl = SSL_CTX_new(method);
    ctx->queue = tls_queue_method();
    if (!ctx->ssl || !ctx->queue || !common_settings(ctx->ssl))
        return ossl_fail();
    *out = ctx;
    ctx = NULL;
    return ERR_OK;
}

void tls_ctx_free(struct tls_ctx *ctx)
{
    if (!ctx)
        return;
    SSL_SESSION_free(ctx->session);
    SSL_CTX_free(ctx->ssl);
    BIO_meth_free(ctx->queue);
    trust_free(ctx->trust);
    free(ctx);
}

void tls_ctx_freep(struct tls_ctx **ctx)
{
    tls_ctx_free(*ctx);
    *ctx = NULL;
}

/* The next certificate of a file; *out NULL: none any more. */
static enum err next_certificate(BIO *bio, X509 **out)
{
    for (;;) {
        AUTO(pem_block_clear) struct pem_block b = { 0 };
        enum err r = pem_next(bio, &b);
        if (r != ERR_OK)
            return r;
        if (b.label && strcmp(b.label, "CERTIFICATE") != 0)
            continue;
        const uint8_t *p = b.der;
        X509 *cert = b.label ? d2i_X509(NULL, &p, b.len) : NULL;
        if (b.label && (!cert || p != b.der + b.len)) {
            X509_free(cert);
            return ossl_fail() == ERR_NOMEM ? ERR_NOMEM : ERR_MALFORMED;
        }
        *out = cert;
        return ERR_OK;
    }
}

/* ---- client ---- */

/* OpenSSL offers each new session; 1 means that we keep the reference. */
static int keep_session(SSL *ssl, SSL_SESSION *session)
{
    const struct tls *t = SSL_get_app_data(ssl);
    struct tls_ctx *ctx = t->ctx;

    if (!SSL_SESSION_is_resumable(session))
        return 0;
    SSL_SESSION_free(ctx->session);
    ctx->session = session;
    memcpy(ctx->session_name, t->name, sizeof t->name);
    return 1;
}

enum err tls_ctx_client(struct span ca_pem, struct tls_ctx **out, struct why *why)
{
    AUTO(tls_ctx_freep) struct tls_ctx *ctx = NULL;

    enum err r = ctx_new(TLS_client_method(), true, &ctx);
    if (r != ERR_OK)
        return why_fail(why, r, "TLS context", 0);
    r = trust_new(ca_pem, &ctx->trust);
    if (r != ERR_OK)
        return why_fail(why, r, "CA certificates", 0);
    trust_use(ctx->trust, ctx->ssl);
    SSL_CTX_set_verify(ctx->ssl, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_verify_depth(ctx->ssl, CHAIN_DEPTH_MAX);
    SSL_CTX_set_session_cache_mode(ctx->ssl,
                                   SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL_STORE);
    SSL_CTX_sess_set_new_cb(ctx->ssl, keep_session);
    if (SSL_CTX_set_alpn_protos(ctx->ssl, alpn_http11, ALPN_BYTES) != 0) /* 0 is success here */
        return why_fail(why, ossl_fail(), "TLS context", 0);
    *out = ctx;
    ctx = NULL;
    return ERR_OK;
}

/* ---- server ---- */

/* Who offers protocols, and not ours, is told so (RFC 7301 section 3.2). */
static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                           const unsigned char *in, unsigned in_len, void *arg)
{
    unsigned char *chosen = NULL;

    (void)ssl;
    (void)arg;
    if (SSL_select_next_proto(&chosen, out_len, alpn_http11, ALPN_BYTES, in, in_len) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static enum err use_chain(SSL_CTX *ssl, struct span chain_pem)
{
    AUTO(BIO_free_all_p) BIO *bio = bio_of_span(chain_pem);

    if (!bio)
        return ossl_fail();
    for (size_t n = 0;; n++) {
        AUTO(X509_free_p) X509 *cert = NULL;
        enum err r = next_certificate(bio, &cert);
        if (r != ERR_OK)
            return r;
        if (!cert)
            return n > 0 ? ERR_OK : ERR_MALFORMED;
        if ((n == 0 ? SSL_CTX_use_certificate(ssl, cert)
                    : (int)SSL_CTX_add1_chain_cert(ssl, cert)) != 1)
            return ossl_fail();
    }
}

static enum err use_key(SSL_CTX *ssl, struct span key_pem, struct why *why)
{
    AUTO(EVP_PKEY_free_p) EVP_PKEY *pkey = NULL;

    enum err r = pem_private_key(key_pem, NULL, &pkey, why);
    if (r != ERR_OK)
        return r;
    if (SSL_CTX_use_PrivateKey(ssl, pkey) == 1 && SSL_CTX_check_private_key(ssl) == 1)
        return ERR_OK;
    r = ossl_fail();
    return why_fail(why, r == ERR_NOMEM ? r : ERR_MALFORMED, "key is not the certificate's", 0);
}

enum err tls_ctx_server(struct span chain_pem, struct span key_pem, struct tls_ctx **out,
                        struct why *why)
{
    AUTO(tls_ctx_freep) struct tls_ctx *ctx = NULL;

    enum err r = ctx_new(TLS_server_method(), false, &ctx);
    if (r != ERR_OK)
        return why_fail(why, r, "TLS context", 0);
    r = use_chain(ctx->ssl, chain_pem);
    if (r != ERR_OK)
        return why_fail(why, r, "certificate chain", 0);
    r = use_key(ctx->ssl, key_pem, why);
    if (r != ERR_OK)
        return r;
    /* A server has many connections that wait. A client has few, and to make, wipe and free two
     * buffers of 16 KiB costs more than the ciphers of a request. */
    SSL_CTX_set_mode(ctx->ssl, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(ctx->ssl, SSL_SESS_CACHE_OFF); /* tickets hold the state */
    SSL_CTX_set_num_tickets(ctx->ssl, TICKETS);
    SSL_CTX_set_alpn_select_cb(ctx->ssl, choose_protocol, NULL);
    *out = ctx;
    ctx = NULL;
    return ERR_OK;
}
