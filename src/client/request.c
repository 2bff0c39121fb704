/* request.c - requests of the HTTP API. */
#include "base/base64.h"
#include "client/client.h"

#define JSON_TYPE   SPAN_LIT("application/json")
#define BINARY_TYPE SPAN_LIT("application/octet-stream")

enum { HEADERS_MAX = 6, SMALL_BODY_MAX_BYTES = 65536, TARGET_MAX_BYTES = 1024 };

/* HTTP/1.1 wants a Host; over a socket that is one service there is nothing to choose by it. */
static enum err put(struct buf *out, const char *method, struct span target, struct span type,
                    const struct http1_header *more, size_t n_more, struct span body)
{
    struct http1_header h[HEADERS_MAX] = { { SPAN_LIT("host"), SPAN_LIT("nitroseal") } };
    size_t n = 1;

    if (type.len)
        h[n++] = (struct http1_header){ SPAN_LIT("content-type"), type };
    for (size_t i = 0; i < n_more && n < HEADERS_MAX; i++)
        h[n++] = more[i];
    return http1_request_write(out, span_str(method), target, h, n, body);
}

enum err client_encrypt_text_write(struct buf *out, const struct proto_credentials *cred,
                                   struct span text)
{
    AUTO(buf_clear) struct buf body = BUF_INIT(CLIENT_BODY_MAX_BYTES);
    enum err r = proto_encrypt_write(&body, cred, text);

    return r == ERR_OK
               ? put(out, "POST", SPAN_LIT("/v1/encrypt"), JSON_TYPE, NULL, 0, buf_view(&body))
               : r;
}

enum err client_decrypt_text_write(struct buf *out, const struct proto_credentials *cred,
                                   struct span encrypted_b64, struct span signature_b64,
                                   struct span ciphertext_blob_b64)
{
    AUTO(buf_clear) struct buf body = BUF_INIT(CLIENT_BODY_MAX_BYTES);
    enum err r =
        proto_decrypt_write(&body, cred, encrypted_b64, signature_b64, ciphertext_blob_b64);

    return r == ERR_OK
               ? put(out, "POST", SPAN_LIT("/v1/decrypt"), JSON_TYPE, NULL, 0, buf_view(&body))
               : r;
}

enum err client_encrypt_bytes_write(struct buf *out, struct span bytes)
{
    if (bytes.len > CLIENT_BODY_MAX_BYTES)
        return ERR_LIMIT;
    return put(out, "POST", SPAN_LIT("/v1/encrypt"), BINARY_TYPE, NULL, 0, bytes);
}

enum err client_decrypt_bytes_write(struct buf *out, struct span encrypted, struct span signature,
                                    struct span ciphertext_blob)
{
    AUTO(buf_clear) struct buf mac = BUF_INIT(BASE64_TEXT_BYTES(CLIENT_SIGNATURE_BYTES));
    AUTO(buf_clear) struct buf blob = BUF_INIT(BASE64_TEXT_BYTES(CLIENT_BLOB_MAX_BYTES));

    if (encrypted.len > CLIENT_BODY_MAX_BYTES || ciphertext_blob.len > CLIENT_BLOB_MAX_BYTES)
        return ERR_LIMIT;
    enum err r = base64_append(&mac, signature);
    if (r == ERR_OK)
        r = base64_append(&blob, ciphertext_blob);
    const struct http1_header beside[] = {
        { SPAN_LIT("nitroseal-signature"), buf_view(&mac) },
        { SPAN_LIT("nitroseal-ciphertext-blob"), buf_view(&blob) },
    };
    return r == ERR_OK
               ? put(out, "POST", SPAN_LIT("/v1/decrypt"), BINARY_TYPE, beside, 2, encrypted)
               : r;
}

static const struct http1_header accept_bytes = { SPAN_INIT("accept"),
                                                  SPAN_INIT("application/octet-stream") };

enum err client_random_write(struct buf *out, size_t n)
{
    AUTO(buf_clear) struct buf body = BUF_INIT(SMALL_BODY_MAX_BYTES);

    if (n < 1 || n > CLIENT_RANDOM_MAX_BYTES)
        return ERR_LIMIT;
    enum err r = buf_printf(&body, "{\"bytes\":%zu}", n);
    return r == ERR_OK ? put(out, "POST", SPAN_LIT("/v1/random"), JSON_TYPE, &accept_bytes, 1,
                             buf_view(&body))
                       : r;
}

/* The alphabet of RFC 4648 section 5, without padding: nothing of it needs an escape in a query. */
static enum err append_base64url(struct buf *out, struct span in)
{
    AUTO(buf_clear) struct buf text = BUF_INIT(BASE64_TEXT_BYTES(CLIENT_NONCE_MAX_BYTES));
    enum err r = base64_append(&text, in);

    for (size_t i = 0; i < text.len && r == ERR_OK && text.ptr[i] != '='; i++) {
        uint8_t c = text.ptr[i];
        r = buf_append_byte(out, c == '+' ? '-' : c == '/' ? '_' : c);
    }
    return r;
}

enum err client_attest_write(struct buf *out, struct span nonce)
{
    AUTO(buf_clear) struct buf target = BUF_INIT(TARGET_MAX_BYTES);

    if (nonce.len < 1 || nonce.len > CLIENT_NONCE_MAX_BYTES)
        return ERR_LIMIT;
    enum err r = buf_append_str(&target, "/v1/attestation?nonce=");
    if (r == ERR_OK)
        r = append_base64url(&target, nonce);
    return r == ERR_OK
               ? put(out, "GET", buf_view(&target), SPAN_EMPTY, &accept_bytes, 1, SPAN_EMPTY)
               : r;
}

static void put_text(struct json_out *w, const char *name, struct span text)
{
    if (text.len == 0)
        return;
    json_out_key(w, name);
    json_out_string(w, text);
}

enum err client_credentials_write(struct buf *out, const struct proto_credentials *cred,
                                  struct span expiration)
{
    AUTO(buf_clear) struct buf body = BUF_INIT(SMALL_BODY_MAX_BYTES);
    struct json_out w = json_out_init(&body);

    json_out_object(&w);
    put_text(&w, "access_key_id", cred->access_key_id);
    put_text(&w, "secret_access_key", cred->secret_access_key);
    put_text(&w, "session_token", cred->session_token);
    put_text(&w, "expiration", expiration);
    json_out_object_end(&w);
    enum err r = json_out_end(&w);
    return r == ERR_OK
               ? put(out, "PUT", SPAN_LIT("/v1/credentials"), JSON_TYPE, NULL, 0, buf_view(&body))
               : r;
}

enum err client_json_write(struct buf *out, const char *method, const char *target,
                           struct span body)
{
    return put(out, method, span_str(target), JSON_TYPE, NULL, 0, body);
}

enum err client_health_write(struct buf *out)
{
    return put(out, "GET", SPAN_LIT("/healthz"), SPAN_EMPTY, NULL, 0, SPAN_EMPTY);
}
