#include "crypto/tls.h"

#include <stdlib.h>

#include "crypto/tls_internal.h"

enum {
    READ_BYTES = 16384,     /* a record's plaintext at most (RFC 8446 section 5.1) */
    RECORD_MORE_BYTES = 64, /* what a record is longer than its plaintext, at most */
    QUEUE_MAX_BYTES = 1 << 30,
};

/* ---- why it failed ---- */

static const char *certificate_fault(long result)
{
    switch (result) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        return "certificate expired";
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return "certificate not yet valid";
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
        return "unknown CA";
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        return "name mismatch";
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
        return "certificate signature";
    case X509_V_ERR_INVALID_CA:
    case X509_V_ERR_INVALID_PURPOSE:
    case X509_V_ERR_KEYUSAGE_NO_CERTSIGN:
    case X509_V_ERR_PATH_LENGTH_EXCEEDED:
        return "certificate is not for this use";
    case X509_V_ERR_EE_KEY_TOO_SMALL:
    case X509_V_ERR_CA_KEY_TOO_SMALL:
    case X509_V_ERR_CA_MD_TOO_WEAK:
        return "certificate too weak";
    default:
        return "certificate";
    }
}

static const char *protocol_fault(int reason)
{
    switch (reason) {
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
        return "alert: the peer does not know the CA";
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
        return "alert: the peer refuses the certificate";
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
        return "alert: certificate expired";
    case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE:
    case SSL_R_NO_SHARED_CIPHER:
        return "no cipher suite in common";
    case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
    case SSL_R_UNSUPPORTED_PROTOCOL:
        return "no TLS version in common";
    case SSL_R_NO_APPLICATION_PROTOCOL:
        return "no application protocol in common";
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
    case SSL_R_WRONG_VERSION_NUMBER:
        return "not TLS";
    case SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC:
        return "record does not verify";
    default:
        return reason >= SSL_AD_REASON_OFFSET ? "alert from the peer" : "TLS protocol";
    }
}

/* What the queue of errors comes to, and emptied. Below TLS's own word there may lie the one of a
 * part that it asked, such as a point off the curve: the peer's fault none the less. */
static enum err reason_of(int *reason)
{
    enum err r = ERR_CRYPTO;

    for (unsigned long e = ERR_get_error(); e != 0; e = ERR_get_error()) {
        if (ERR_GET_REASON(e) == ERR_R_MALLOC_FAILURE)
            r = ERR_NOMEM;
        if (r != ERR_CRYPTO || ERR_GET_LIB(e) != ERR_LIB_SSL ||
            ERR_GET_REASON(e) == ERR_R_INTERNAL_ERROR)
            continue;
        r = ERR_MALFORMED;
        *reason = ERR_GET_REASON(e);
    }
    return r;
}

static enum err fail(struct tls *t, struct why *why)
{
    long verdict = SSL_get_verify_result(t->ssl);
    bool handshake = !SSL_is_init_finished(t->ssl);
    int reason = 0;

    t->failed = true;
    enum err r = reason_of(&reason);
    if (r != ERR_NOMEM && t->ctx->is_client && handshake && verdict != X509_V_OK)
        return why_fail(why, ERR_VERIFY, certificate_fault(verdict), 0);
    return why_fail(why, r, r == ERR_MALFORMED ? protocol_fault(reason) : "TLS", 0);
}

/* What a call that did not return 1 means. */
static enum err outcome(struct tls *t, int ret, struct why *why)
{
    int e = SSL_get_error(t->ssl, ret);

    if (e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE)
        return ERR_OK;
    if (e == SSL_ERROR_ZERO_RETURN) {
        t->closed = true;
        return ERR_OK;
    }
    return fail(t, why);
}

/* ---- connections ---- */

static bool set_queues(struct tls *t)
{
    t->in.bytes = t->out.bytes = BUF_INIT(QUEUE_MAX_BYTES);
    BIO *in = tls_queue_bio(t->ctx->queue, &t->in), *out = tls_queue_bio(t->ctx->queue, &t->out);

    if (!in || !out) {
        BIO_free(in);
        BIO_free(out);
        return false;
    }
    SSL_set0_rbio(t->ssl, in);
    SSL_set0_wbio(t->ssl, out);
    return true;
}

/* Name or address to be found in the certificate, and the session of an earlier connection. */
static bool set_client(struct tls *t)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(t->ssl);

    SSL_set_connect_state(t->ssl);
    if (X509_VERIFY_PARAM_set1_ip_asc(param, t->name) != 1) {
        ERR_clear_error(); /* not an address */
        X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
        if (X509_VERIFY_PARAM_set1_host(param, t->name, 0) != 1 ||
            SSL_set_tlsext_host_name(t->ssl, t->name) != 1)
            return false;
    }
    SSL_SESSION *session = t->ctx->session;
    if (!session || strcmp(t->ctx->session_name, t->name) != 0 ||
        !SSL_SESSION_is_resumable(session))
        return true;
    return SSL_set_session(t->ssl, session) == 1;
}

enum err tls_new(struct tls_ctx *ctx, const char *server_name, struct tls **out)
{
    size_t len = server_name ? strlen(server_name) : 0;

    if (ctx->is_client != (server_name != NULL) || (ctx->is_client && len == 0) ||
        len > TLS_NAME_MAX_BYTES)
        return ERR_INTERNAL;
    AUTO(tls_freep) struct tls *t = calloc(1, sizeof *t);
    if (!t)
        return ERR_NOMEM;
    t->ctx = ctx;
    if (len)
        memcpy(t->name, server_name, len);
    t->ssl = SSL_new(ctx->ssl);
    if (!t->ssl || !set_queues(t) || SSL_set_app_data(t->ssl, t) != 1)
        return ossl_fail();
    if (!ctx->is_client)
        SSL_set_accept_state(t->ssl);
    else if (!set_client(t))
        return ossl_fail();
    *out = t;
    t = NULL;
    return ERR_OK;
}

void tls_free(struct tls *t)
{
    if (!t)
        return;
    /* OpenSSL takes a connection that was not shut down for an attacked one, and forbids its
     * session to be resumed; to us a closed socket is an ordinary end. */
    if (t->ssl && tls_is_open(t))
        SSL_set_shutdown(t->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(t->ssl);
    buf_clear(&t->in.bytes);
    buf_clear(&t->out.bytes);
    free(t);
}

void tls_freep(struct tls **t)
{
    tls_free(*t);
    *t = NULL;
}

static enum err handshake(struct tls *t, struct why *why)
{
    ERR_clear_error();
    int ret = SSL_do_handshake(t->ssl);
    return ret == 1 ? ERR_OK : outcome(t, ret, why);
}

enum err tls_start(struct tls *t)
{
    return t->failed ? ERR_INTERNAL : handshake(t, NULL);
}

enum err tls_feed(struct tls *t, struct span from_peer, struct why *why)
{
    if (t->failed)
        return why_fail(why, ERR_INTERNAL, "connection has failed before", 0);
    t->queued += from_peer.len;
    enum err r = tls_queue_put(&t->in, from_peer);
    if (r != ERR_OK) {
        t->failed = true;
        return why_fail(why, r, "TLS", 0);
    }
    return SSL_is_init_finished(t->ssl) ? ERR_OK : handshake(t, why);
}

bool tls_is_open(const struct tls *t)
{
    return !t->failed && SSL_is_init_finished(t->ssl);
}

bool tls_is_resumed(const struct tls *t)
{
    return tls_is_open(t) && SSL_session_reused(t->ssl);
}

bool tls_is_closed(const struct tls *t)
{
    return t->closed;
}

/* Room for no byte: is there one? Also takes in what is not data, such as tickets and alerts. */
static enum err read_nothing(struct tls *t, struct why *why)
{
    uint8_t byte;
    size_t n = 0;

    int ret = SSL_peek_ex(t->ssl, &byte, 1, &n);
    wipe(&byte, 1);
    return ret == 1 ? ERR_LIMIT : outcome(t, ret, why);
}

/* Neither whole records nor a part of one. To ask the engine costs a buffer for the answer. */
static bool is_drained(struct tls *t)
{
    if (SSL_has_pending(t->ssl) || tls_queue_len(&t->in) > 0)
        return false;
    t->queued = 0;
    return true;
}

enum err tls_read(struct tls *t, struct buf *plain, struct why *why)
{
    if (t->failed)
        return why_fail(why, ERR_INTERNAL, "connection has failed before", 0);
    while (tls_is_open(t) && !t->closed && !is_drained(t)) {
        size_t room = plain->max - plain->len, n = 0;
        size_t likely = t->queued < READ_BYTES ? t->queued : READ_BYTES;
        uint8_t *to = NULL;
        ERR_clear_error();
        if (room == 0)
            return read_nothing(t, why);
        if (room > likely)
            room = likely;
        enum err r = buf_reserve(plain, room, &to);
        if (r != ERR_OK)
            return why_fail(why, r, "TLS", 0);
        int ret = SSL_read_ex(t->ssl, to, room, &n);
        if (ret != 1)
            return outcome(t, ret, why);
        buf_commit(plain, n);
        t->queued -= n; /* a text is shorter than its records */
    }
    return ERR_OK;
}

/* The queue is memory: it takes all, or there is no memory left. */
enum err tls_write(struct tls *t, struct span plain)
{
    size_t n = 0;

    if (!tls_is_open(t))
        return ERR_INTERNAL;
    if (plain.len == 0)
        return ERR_OK;
    if (plain.len <= SIZE_MAX / 2) { /* at once, not by and by; what is missing shows below */
        size_t records = plain.len / READ_BYTES + 1;
        (void)!tls_queue_room(&t->out, plain.len + records * RECORD_MORE_BYTES);
    }
    ERR_clear_error();
    if (SSL_write_ex(t->ssl, plain.ptr, plain.len, &n) == 1 && n == plain.len)
        return ERR_OK;
    t->failed = true;
    return ossl_fail();
}

enum err tls_drain(struct tls *t, struct buf *out)
{
    return tls_queue_move(&t->out, out);
}

void tls_finish(struct tls *t)
{
    if (!tls_is_open(t))
        return;
    SSL_shutdown(t->ssl);
    ERR_clear_error();
}
