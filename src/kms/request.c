#include "base/base64.h"
#include "base/json.h"
#include "kms/kms.h"

enum {
    HEADERS_MAX = 8,
    TARGET_MAX_BYTES = 64,
    AUTHORIZATION_MAX_BYTES = 1024,
    /* kms-recipient section 4, as base64 */
    BLOB_TEXT_MAX_BYTES = BASE64_TEXT_BYTES(6144),
    PUBLIC_KEY_TEXT_MAX_BYTES = BASE64_TEXT_BYTES(8192),
    KEY_ID_MAX_BYTES = 2048,
    WORD_MAX_BYTES = 64, /* key specs and algorithms */
    GRANT_TOKEN_MAX_BYTES = 8192,
    CONTEXT_MAX_BYTES = 16384, /* ours: names and values together */
    DOCUMENT_MAX_BYTES = 262144,
    /* A document of its largest size, and everything else; a byte may become six (\u0000). */
    BODY_MAX_BYTES = BASE64_TEXT_BYTES(DOCUMENT_MAX_BYTES) + 32768 +
                     6 * (CONTEXT_MAX_BYTES + KMS_GRANT_TOKENS_MAX * GRANT_TOKEN_MAX_BYTES),
};

const char *kms_op_name(enum kms_op op)
{
    switch (op) {
    case KMS_GENERATE_DATA_KEY:
        return "GenerateDataKey";
    case KMS_DECRYPT:
        return "Decrypt";
    case KMS_GENERATE_RANDOM:
        return "GenerateRandom";
    case KMS_GENERATE_DATA_KEY_PAIR:
        return "GenerateDataKeyPair";
    case KMS_DERIVE_SHARED_SECRET:
        return "DeriveSharedSecret";
    }
    return "";
}

static bool is_within(struct span s, size_t min, size_t max)
{
    return s.len >= min && s.len <= max;
}

static bool context_fits(const struct kms_call *c)
{
    size_t bytes = 0;

    if (c->n_context > KMS_CONTEXT_PAIRS_MAX)
        return false;
    for (size_t i = 0; i < c->n_context; i++)
        bytes += c->context[i].name.len + c->context[i].value.len;
    return bytes <= CONTEXT_MAX_BYTES;
}

static bool grants_fit(const struct kms_call *c)
{
    if (c->n_grant_tokens > KMS_GRANT_TOKENS_MAX)
        return false;
    for (size_t i = 0; i < c->n_grant_tokens; i++)
        if (!is_within(c->grant_tokens[i], 1, GRANT_TOKEN_MAX_BYTES))
            return false;
    return true;
}

/* A context that is not sent would be one that is not bound: an operation that has none must not be
 * given one. */
static bool call_is_whole(const struct kms_call *c)
{
    if (!is_within(c->document, 1, DOCUMENT_MAX_BYTES) || c->key_id.len > KEY_ID_MAX_BYTES ||
        c->key_spec.len > WORD_MAX_BYTES || c->encryption_algorithm.len > WORD_MAX_BYTES ||
        !context_fits(c) || !grants_fit(c))
        return false; /* never a call that is not attested */
    switch (c->op) {
    case KMS_GENERATE_DATA_KEY:
        return c->key_id.len > 0 && c->number_of_bytes <= KMS_RANDOM_MAX &&
               (c->number_of_bytes == 0 || c->key_spec.len == 0);
    case KMS_DECRYPT:
        return is_within(c->ciphertext_blob_b64, 1, BLOB_TEXT_MAX_BYTES);
    case KMS_GENERATE_RANDOM:
        return c->number_of_bytes >= 1 && c->number_of_bytes <= KMS_RANDOM_MAX &&
               c->n_context == 0 && c->n_grant_tokens == 0;
    case KMS_GENERATE_DATA_KEY_PAIR:
        return c->key_id.len > 0 && c->key_spec.len > 0;
    case KMS_DERIVE_SHARED_SECRET:
        return c->key_id.len > 0 && is_within(c->public_key_b64, 1, PUBLIC_KEY_TEXT_MAX_BYTES) &&
               c->n_context == 0;
    }
    return false;
}

static void put_text(struct json_out *w, const char *name, struct span text)
{
    json_out_key(w, name);
    json_out_string(w, text);
}

static void put_bytes(struct json_out *w, unsigned n)
{
    json_out_key(w, "NumberOfBytes");
    json_out_uint(w, n);
}

/* What only this operation has. */
static void put_own_members(struct json_out *w, const struct kms_call *c)
{
    switch (c->op) {
    case KMS_GENERATE_DATA_KEY:
        if (c->number_of_bytes > 0)
            put_bytes(w, c->number_of_bytes);
        else
            put_text(w, "KeySpec", c->key_spec.len > 0 ? c->key_spec : SPAN_LIT("AES_256"));
        return;
    case KMS_DECRYPT:
        put_text(w, "CiphertextBlob", c->ciphertext_blob_b64);
        if (c->encryption_algorithm.len > 0)
            put_text(w, "EncryptionAlgorithm", c->encryption_algorithm);
        return;
    case KMS_GENERATE_RANDOM:
        put_bytes(w, c->number_of_bytes);
        return;
    case KMS_GENERATE_DATA_KEY_PAIR:
        put_text(w, "KeyPairSpec", c->key_spec);
        return;
    case KMS_DERIVE_SHARED_SECRET:
        put_text(w, "KeyAgreementAlgorithm", SPAN_LIT("ECDH")); /* the only one */
        put_text(w, "PublicKey", c->public_key_b64);
        return;
    }
}

static void put_context(struct json_out *w, const struct kms_call *c)
{
    if (c->n_context == 0)
        return;
    json_out_key(w, "EncryptionContext");
    json_out_object(w);
    for (size_t i = 0; i < c->n_context; i++) {
        json_out_key_text(w, c->context[i].name);
        json_out_string(w, c->context[i].value);
    }
    json_out_object_end(w);
}

static void put_grants(struct json_out *w, const struct kms_call *c)
{
    if (c->n_grant_tokens == 0)
        return;
    json_out_key(w, "GrantTokens");
    json_out_array(w);
    for (size_t i = 0; i < c->n_grant_tokens; i++)
        json_out_string(w, c->grant_tokens[i]);
    json_out_array_end(w);
}

static enum err body_write(const struct kms_call *c, struct buf *out)
{
    struct json_out w = json_out_init(out);

    json_out_object(&w);
    if (c->key_id.len > 0 && c->op != KMS_GENERATE_RANDOM)
        put_text(&w, "KeyId", c->key_id);
    put_own_members(&w, c);
    put_context(&w, c);
    put_grants(&w, c);
    json_out_key(&w, "Recipient");
    json_out_object(&w);
    put_text(&w, "KeyEncryptionAlgorithm", SPAN_LIT("RSAES_OAEP_SHA_256"));
    json_out_key(&w, "AttestationDocument");
    json_out_base64(&w, c->document);
    json_out_object_end(&w);
    json_out_object_end(&w);
    return json_out_end(&w);
}

/* The headers that are signed come first. */
struct headers {
    struct http1_header list[HEADERS_MAX];
    size_t n;
};

static void header_add(struct headers *h, const char *name, struct span value)
{
    h->list[h->n++] = (struct http1_header){ span_str(name), value };
}

static enum err sign(struct crypto *cx, const struct headers *h, struct span body,
                     const struct kms_endpoint *ep, const struct sigv4_credentials *cred,
                     struct span amz_date, struct buf *authorization)
{
    struct sigv4_header to_sign[HEADERS_MAX];
    struct sigv4_request rq = {
        .method = SPAN_LIT("POST"),
        .path = SPAN_LIT("/"),
        .headers = to_sign,
        .n_headers = h->n,
        .body = body,
    };
    struct sigv4_scope scope = { .region = ep->region, .service = SPAN_LIT("kms") };

    for (size_t i = 0; i < h->n; i++)
        to_sign[i] = (struct sigv4_header){ h->list[i].name, h->list[i].value };
    return sigv4_sign(cx, &rq, scope, amz_date, cred, authorization);
}

enum err kms_request_write(struct crypto *cx, const struct kms_call *call,
                           const struct kms_endpoint *ep, const struct sigv4_credentials *cred,
                           int64_t now_s, struct buf *out)
{
    AUTO(buf_clear) struct buf authorization = BUF_INIT(AUTHORIZATION_MAX_BYTES);
    AUTO(buf_clear) struct buf body = BUF_INIT(BODY_MAX_BYTES), target = BUF_INIT(TARGET_MAX_BYTES);
    char date[SIGV4_TIME_BYTES + 1];
    struct headers h = { .n = 0 };
    uint8_t *room;

    if (!call_is_whole(call))
        return ERR_INTERNAL;
    /* At once, so that the document is not moved while the body grows. */
    size_t likely = BASE64_TEXT_BYTES(call->document.len) + call->ciphertext_blob_b64.len +
                    call->key_id.len + 512;
    enum err r = buf_reserve(&body, likely, &room);
    if (r == ERR_OK)
        r = body_write(call, &body);
    if (r == ERR_OK)
        r = buf_printf(&target, "TrentService.%s", kms_op_name(call->op));
    if (r != ERR_OK)
        return r;
    sigv4_time_write(now_s, date);
    struct span amz_date = span_of(date, SIGV4_TIME_BYTES);
    header_add(&h, "host", ep->host);
    header_add(&h, "content-type", SPAN_LIT("application/x-amz-json-1.1"));
    header_add(&h, "x-amz-date", amz_date);
    header_add(&h, "x-amz-target", buf_view(&target));
    if (cred->session_token.len > 0)
        header_add(&h, "x-amz-security-token", cred->session_token);
    r = sign(cx, &h, buf_view(&body), ep, cred, amz_date, &authorization);
    if (r != ERR_OK)
        return r;
    header_add(&h, "authorization", buf_view(&authorization));
    header_add(&h, "user-agent", SPAN_LIT("nitroseal/" NITROSEAL_VERSION));
    return http1_request_write(out, SPAN_LIT("POST"), SPAN_LIT("/"), h.list, h.n, buf_view(&body));
}
