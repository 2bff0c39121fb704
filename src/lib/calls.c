/* calls.c - the requests of the public header. */
#include "base/base64.h"
#include "lib/handle.h"

enum { DOCUMENT_MAX_BYTES = 16384 };

/* --- text --- */

/* The question in JSON; the answer's views live until the call ends. */
static enum nitroseal_status ask_encrypt(struct lib_call *c, struct span text,
                                         struct proto_answer *a)
{
    struct proto_credentials room;
    struct why why = { 0 };
    enum err r = client_encrypt_text_write(&c->request, lib_credentials(c->ns, &room), text);
    enum nitroseal_status s = lib_call_run(c, r);

    if (s == NITROSEAL_OK && client_text_parse(&c->ns->reader, PROTO_ENCRYPT, a, &why) != ERR_OK)
        s = lib_malformed(c->error, why.what);
    return s;
}

static enum nitroseal_status ask_decrypt(struct lib_call *c, struct span encrypted,
                                         struct span signature, struct span blob,
                                         struct proto_answer *a)
{
    struct proto_credentials room;
    struct why why = { 0 };
    enum err r = client_decrypt_text_write(&c->request, lib_credentials(c->ns, &room), encrypted,
                                           signature, blob);
    enum nitroseal_status s = lib_call_run(c, r);

    if (s == NITROSEAL_OK && client_text_parse(&c->ns->reader, PROTO_DECRYPT, a, &why) != ERR_OK)
        s = lib_malformed(c->error, why.what);
    return s;
}

enum nitroseal_status nitroseal_encrypt_text(struct nitroseal *ns, const char *text, size_t len,
                                             struct nitroseal_message *out, long timeout_ms,
                                             struct nitroseal_error **error)
{
    AUTO(lib_call_end) struct lib_call c = { 0 };
    struct proto_answer a;

    if (!out || (!text && len > 0))
        return lib_invalid(error, "text or result is NULL", NULL);
    if (!span_is_utf8(span_of(text, len)))
        return lib_not_text(error, "nitroseal_encrypt() takes any bytes");
    enum nitroseal_status s = lib_call_begin(&c, ns, timeout_ms, error);
    if (s == NITROSEAL_OK)
        s = ask_encrypt(&c, span_of(text, len), &a);
    return s == NITROSEAL_OK ? lib_message(c.error, &a, out) : s;
}

enum nitroseal_status nitroseal_decrypt_text(struct nitroseal *ns, const char *encrypted,
                                             const char *signature, const char *ciphertext_blob,
                                             struct nitroseal_bytes *out, long timeout_ms,
                                             struct nitroseal_error **error)
{
    AUTO(lib_call_end) struct lib_call c = { 0 };
    struct proto_answer a;

    if (!out || !encrypted || !signature || !ciphertext_blob)
        return lib_invalid(error, "a value or the result is NULL", NULL);
    const struct span values[] = { span_str(encrypted), span_str(signature),
                                   span_str(ciphertext_blob) };
    for (size_t i = 0; i < 3; i++)
        if (!span_is_utf8(values[i]))
            return lib_not_text(error, NULL);
    enum nitroseal_status s = lib_call_begin(&c, ns, timeout_ms, error);
    if (s == NITROSEAL_OK)
        s = ask_decrypt(&c, values[0], values[1], values[2], &a);
    return s == NITROSEAL_OK ? lib_opened(c.error, &a, out) : s;
}

/* --- bytes --- */

/* `encrypted` is the memory that the caller gets; the rest of *t is copied. */
static enum nitroseal_status sealed_of(struct lib_call *c, struct buf *encrypted,
                                       const struct client_sealed *t, struct nitroseal_sealed *out)
{
    AUTO(nitroseal_sealed_clear) struct nitroseal_sealed v = { 0 };
    AUTO(buf_clear) struct buf blob = BUF_INIT(CLIENT_BLOB_MAX_BYTES);
    AUTO(buf_clear) struct buf mac = BUF_INIT(BASE64_DATA_BYTES(t->signature_b64.len));

    if (base64_parse(t->signature_b64, &mac, NULL) != ERR_OK || mac.len != sizeof v.signature)
        return lib_malformed(c->error, "the signature is not 32 bytes in base64");
    if (base64_parse(t->ciphertext_blob_b64, &blob, NULL) != ERR_OK || blob.len == 0)
        return lib_malformed(c->error, "the ciphertext blob is not base64, or too long");
    memcpy(v.signature, mac.ptr, sizeof v.signature);
    enum err r = lib_text(t->key_id, &v.key_id);
    if (r == ERR_OK)
        r = lib_text(t->request_id, &v.request_id);
    if (r == ERR_OK)
        r = lib_hand_over(&blob, &v.ciphertext_blob, &v.ciphertext_blob_len);
    if (r == ERR_OK)
        r = lib_hand_over(encrypted, &v.encrypted, &v.encrypted_len);
    if (r != ERR_OK)
        return lib_no_memory(c->error);
    *out = v;
    v = (struct nitroseal_sealed){ .encrypted = NULL };
    return NITROSEAL_OK;
}

/* The same question in JSON, for a handle that sends credentials. */
static enum nitroseal_status encrypt_as_text(struct lib_call *c, struct span bytes,
                                             struct nitroseal_sealed *out)
{
    AUTO(nitroseal_message_clear) struct nitroseal_message m = { 0 };
    struct proto_answer a;

    if (!span_is_utf8(bytes))
        return lib_not_text(c->error,
                            "with credentials of its own a handle sends text only: let the "
                            "service hold them (nitroseal_put_credentials())");
    enum nitroseal_status s = ask_encrypt(c, bytes, &a);
    if (s == NITROSEAL_OK)
        s = lib_message(c->error, &a, &m);
    if (s != NITROSEAL_OK)
        return s;
    AUTO(buf_clear) struct buf encrypted = BUF_INIT(CLIENT_BODY_MAX_BYTES);
    enum err r = base64_parse(span_str(m.encrypted), &encrypted, NULL);
    if (r == ERR_NOMEM)
        return lib_no_memory(c->error);
    if (r != ERR_OK || encrypted.len < CLIENT_OVERHEAD_BYTES)
        return lib_malformed(c->error, "the encrypted text is not base64, or too short");
    const struct client_sealed t = {
        .signature_b64 = span_str(m.signature),
        .ciphertext_blob_b64 = span_str(m.ciphertext_blob),
        .key_id = span_str(m.key_id),
        .request_id = span_str(m.request_id),
    };
    return sealed_of(c, &encrypted, &t, out);
}

static enum nitroseal_status encrypt_bytes(struct lib_call *c, struct span bytes,
                                           struct nitroseal_sealed *out)
{
    struct client_sealed t;
    struct why why = { 0 };
    enum nitroseal_status s = lib_call_run(c, client_encrypt_bytes_write(&c->request, bytes));

    if (s != NITROSEAL_OK)
        return s;
    if (client_sealed_parse(&c->ns->reader, &t, &why) != ERR_OK)
        return lib_malformed(c->error, why.what);
    return sealed_of(c, &c->ns->reader.body, &t, out);
}

enum nitroseal_status nitroseal_encrypt(struct nitroseal *ns, const void *data, size_t len,
                                        struct nitroseal_sealed *out, long timeout_ms,
                                        struct nitroseal_error **error)
{
    AUTO(lib_call_end) struct lib_call c = { 0 };

    if (!out || (!data && len > 0))
        return lib_invalid(error, "data or result is NULL", NULL);
    enum nitroseal_status s = lib_call_begin(&c, ns, timeout_ms, error);
    if (s != NITROSEAL_OK)
        return s;
    return ns->has_credentials ? encrypt_as_text(&c, span_of(data, len), out)
                               : encrypt_bytes(&c, span_of(data, len), out);
}

static enum nitroseal_status decrypt_as_text(struct lib_call *c, const struct nitroseal_sealed *v,
                                             struct nitroseal_bytes *out)
{
    AUTO(buf_clear) struct buf encrypted = BUF_INIT(CLIENT_BODY_MAX_BYTES);
    AUTO(buf_clear) struct buf blob = BUF_INIT(CLIENT_BODY_MAX_BYTES);
    AUTO(buf_clear) struct buf mac = BUF_INIT(BASE64_TEXT_BYTES(CLIENT_SIGNATURE_BYTES));
    struct proto_answer a;
    enum err r = base64_append(&encrypted, span_of(v->encrypted, v->encrypted_len));

    if (r == ERR_OK)
        r = base64_append(&blob, span_of(v->ciphertext_blob, v->ciphertext_blob_len));
    if (r == ERR_OK)
        r = base64_append(&mac, SPAN_ARRAY(v->signature));
    if (r != ERR_OK)
        return lib_call_run(c, r);
    enum nitroseal_status s =
        ask_decrypt(c, buf_view(&encrypted), buf_view(&mac), buf_view(&blob), &a);
    return s == NITROSEAL_OK ? lib_opened(c->error, &a, out) : s;
}

/* An answer in bytes: what is in the reader becomes the caller's. */
static enum nitroseal_status bytes_of(struct lib_call *c, size_t min, size_t max,
                                      struct nitroseal_bytes *out)
{
    AUTO(nitroseal_bytes_clear) struct nitroseal_bytes b = { 0 };
    struct client_bytes got;
    struct why why = { 0 };

    if (client_bytes_parse(&c->ns->reader, min, max, &got, &why) != ERR_OK)
        return lib_malformed(c->error, why.what);
    enum err r = lib_text(got.key_id, &b.key_id);
    if (r == ERR_OK)
        r = lib_text(got.request_id, &b.request_id);
    if (r == ERR_OK)
        r = lib_hand_over(&c->ns->reader.body, &b.data, &b.len);
    if (r != ERR_OK)
        return lib_no_memory(c->error);
    *out = b;
    b = (struct nitroseal_bytes){ 0 };
    return NITROSEAL_OK;
}

enum nitroseal_status nitroseal_decrypt(struct nitroseal *ns, const struct nitroseal_sealed *sealed,
                                        struct nitroseal_bytes *out, long timeout_ms,
                                        struct nitroseal_error **error)
{
    AUTO(lib_call_end) struct lib_call c = { 0 };

    if (!out || !sealed || !sealed->encrypted || !sealed->ciphertext_blob)
        return lib_invalid(error, "a value or the result is NULL", NULL);
    enum nitroseal_status s = lib_call_begin(&c, ns, timeout_ms, error);
    if (s != NITROSEAL_OK)
        return s;
    if (ns->has_credentials)
        return decrypt_as_text(&c, sealed, out);
    s = lib_call_run(&c, client_decrypt_bytes_write(
                             &c.request, span_of(sealed->encrypted, sealed->encrypted_len),
                             SPAN_ARRAY(sealed->signature),
                             span_of(sealed->ciphertext_blob, sealed->ciphertext_blob_len)));
    return s == NITROSEAL_OK ? bytes_of(&c, 0, CLIENT_BODY_MAX_BYTES, out) : s;
}

/* --- the others --- */

enum nitroseal_status nitroseal_random(struct nitroseal *ns, void *out, size_t len, long timeout_ms,
                                       struct nitroseal_error **error)
{
    AUTO(lib_call_end) struct lib_call c = { 0 };
    struct client_bytes got;
    struct why why = { 0 };

    if (!out || len < 1 || len > CLIENT_RANDOM_MAX_BYTES)
        return lib_invalid(error, "random takes a place for 1 to 65,536 bytes", NULL);
    enum nitroseal_status s = lib_call_begin(&c, ns, timeout_ms, error);
    if (s == NITROSEAL_OK)
        s = lib_call_run(&c, client_random_write(&c.request, len));
    if (s != NITROSEAL_OK)
        return s;
    if (client_bytes_parse(&ns->reader, len, len, &got, &why) != ERR_OK)
        return lib_malformed(error, why.what);
    memcpy(out, got.bytes.ptr, len);
    return NITROSEAL_OK;
}

enum nitroseal_status nitroseal_attest(struct nitroseal *ns, const void *nonce, size_t nonce_len,
                                       struct nitroseal_bytes *out, long timeout_ms,
                                       struct nitroseal_error **error)
{
    AUTO(lib_call_end) struct lib_call c = { 0 };

    if (!out || !nonce || nonce_len < 1 || nonce_len > CLIENT_NONCE_MAX_BYTES)
        return lib_invalid(error, "attest takes a nonce of 1 to 512 bytes, and a result", NULL);
    enum nitroseal_status s = lib_call_begin(&c, ns, timeout_ms, error);
    if (s == NITROSEAL_OK)
        s = lib_call_run(&c, client_attest_write(&c.request, span_of(nonce, nonce_len)));
    return s == NITROSEAL_OK ? bytes_of(&c, 1, DOCUMENT_MAX_BYTES, out) : s;
}

enum nitroseal_status nitroseal_put_credentials(struct nitroseal *ns, const char *access_key_id,
                                                const char *secret_access_key,
                                                const char *session_token, const char *expiration,
                                                long timeout_ms, struct nitroseal_error **error)
{
    AUTO(lib_call_end) struct lib_call c = { 0 };
    const struct proto_credentials cred = { span_str(access_key_id), span_str(secret_access_key),
                                            span_str(session_token) };

    if (cred.access_key_id.len == 0 || cred.secret_access_key.len == 0)
        return lib_invalid(error, "access key id and secret access key are needed", NULL);
    enum nitroseal_status s = lib_call_begin(&c, ns, timeout_ms, error);
    if (s == NITROSEAL_OK)
        s = lib_call_run(&c, client_credentials_write(&c.request, &cred, span_str(expiration)));
    return s;
}

enum nitroseal_status nitroseal_health(struct nitroseal *ns, long timeout_ms,
                                       struct nitroseal_error **error)
{
    AUTO(lib_call_end) struct lib_call c = { 0 };
    enum nitroseal_status s = lib_call_begin(&c, ns, timeout_ms, error);

    return s == NITROSEAL_OK ? lib_call_run(&c, client_health_write(&c.request)) : s;
}

enum nitroseal_status nitroseal_connect(struct nitroseal *ns, long timeout_ms,
                                        struct nitroseal_error **error)
{
    AUTO(lib_call_end) struct lib_call c = { 0 };
    enum nitroseal_status s = lib_call_begin(&c, ns, timeout_ms, error);

    return s == NITROSEAL_OK ? lib_call_connect(&c) : s;
}
