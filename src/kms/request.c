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
    RECIPIENT_MAX_BYTES = BASE64_TEXT_BYTES(DOCUMENT_MAX_BYTES) + 256,
    /* What is not of the recipient; a byte may become six (\u0000). */
    MEMBERS_MAX_BYTES =
        32768 + 6 * (CONTEXT_MAX_BYTES + KMS_GRANT_TOKENS_MAX * GRANT_TOKEN_MAX_BYTES),
    LENGTH_MAX_BYTES = 24, /* of a number in decimal */
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
    if ((c->recipient ? c->recipient->text.len == 0
                      : !is_within(c->document, 1, DOCUMENT_MAX_BYTES)) ||
        c->key_id.len > KEY_ID_MAX_BYTES || c->key_spec.len > WORD_MAX_BYTES ||
        c->encryption_algorithm.len > WORD_MAX_BYTES || !context_fits(c) || !grants_fit(c))
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

enum err kms_recipient_set(struct kms_recipient *r, struct span document)
{
    uint8_t *room;

    kms_recipient_clear(r);
    if (!is_within(document, 1, DOCUMENT_MAX_BYTES))
        return ERR_INTERNAL;
    r->text = BUF_INIT(RECIPIENT_MAX_BYTES);
    enum err e = buf_reserve(&r->text, BASE64_TEXT_BYTES(document.len) + 256, &room);
    struct json_out w = json_out_init(&r->text);
    json_out_object(&w);
    json_out_key(&w, "Recipient");
    json_out_object(&w);
    put_text(&w, "KeyEncryptionAlgorithm", SPAN_LIT("RSAES_OAEP_SHA_256"));
    json_out_key(&w, "AttestationDocument");
    json_out_base64(&w, document);
    json_out_object_end(&w);
    e = e == ERR_OK ? json_out_end(&w) : e;
    if (e != ERR_OK) {
        kms_recipient_clear(r);
        return e;
    }
    sha256_begin(&r->hashed);
    sha256_more(&r->hashed, buf_view(&r->text));
    return ERR_OK;
}

void kms_recipient_clear(struct kms_recipient *r)
{
    buf_clear(&r->text);
    *r = (struct kms_recipient){ 0 };
}

/* What comes behind the recipient, and the end. */
static enum err members_write(const struct kms_call *c, struct buf *out)
{
    struct json_out w = json_out_resume(out);

    if (c->key_id.len > 0 && c->op != KMS_GENERATE_RANDOM)
        put_text(&w, "KeyId", c->key_id);
    put_own_members(&w, c);
    put_context(&w, c);
    put_grants(&w, c);
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

static enum err sign(const struct headers *h, const uint8_t body_sha256[static SHA256_BYTES],
                     const struct kms_endpoint *ep, const struct sigv4_credentials *cred,
                     struct span amz_date, struct buf *authorization)
{
    struct sigv4_header to_sign[HEADERS_MAX];
    struct sigv4_request rq = {
        .method = SPAN_LIT("POST"),
        .path = SPAN_LIT("/"),
        .headers = to_sign,
        .n_headers = h->n,
        .body_sha256 = body_sha256,
    };
    struct sigv4_scope scope = { .region = ep->region, .service = SPAN_LIT("kms") };

    for (size_t i = 0; i < h->n; i++)
        to_sign[i] = (struct sigv4_header){ h->list[i].name, h->list[i].value };
    return sigv4_sign(&rq, scope, amz_date, cred, authorization);
}

/* Head and body, all or nothing. */
static enum err message_write(struct headers *h, struct span recipient, struct span members,
                              struct buf *out)
{
    AUTO(buf_clear) struct buf length = BUF_INIT(LENGTH_MAX_BYTES);
    size_t before = out->len, likely = recipient.len + members.len + 64;
    uint8_t *room;

    enum err r = buf_append_uint(&length, recipient.len + members.len);
    if (r != ERR_OK)
        return r;
    header_add(h, "content-length", buf_view(&length));
    for (size_t i = 0; i < h->n; i++)
        likely += h->list[i].name.len + h->list[i].value.len + 4;
    r = buf_reserve(out, likely, &room); /* at once, so that the document is not moved */
    if (r == ERR_OK)
        r = http1_request_write(out, SPAN_LIT("POST"), SPAN_LIT("/"), h->list, h->n, SPAN_EMPTY);
    if (r == ERR_OK)
        r = buf_append(out, recipient);
    if (r == ERR_OK)
        r = buf_append(out, members);
    if (r != ERR_OK)
        buf_truncate(out, before);
    return r;
}

static enum err request_write(const struct kms_call *call, const struct kms_recipient *recipient,
                              const struct kms_endpoint *ep, const struct sigv4_credentials *cred,
                              int64_t now_s, struct buf *out)
{
    AUTO(buf_clear) struct buf authorization = BUF_INIT(AUTHORIZATION_MAX_BYTES);
    AUTO(buf_clear) struct buf members = BUF_INIT(MEMBERS_MAX_BYTES);
    AUTO(buf_clear) struct buf target = BUF_INIT(TARGET_MAX_BYTES);
    struct sha256_state hash = recipient->hashed;
    char date[SIGV4_TIME_BYTES + 1];
    uint8_t sum[SHA256_BYTES];
    struct headers h = { .n = 0 };

    enum err r = members_write(call, &members);
    if (r == ERR_OK)
        r = buf_append_str(&target, "TrentService.");
    if (r == ERR_OK)
        r = buf_append_str(&target, kms_op_name(call->op));
    if (r != ERR_OK)
        return r;
    sha256_more(&hash, buf_view(&members));
    sha256_end(&hash, sum);
    sigv4_time_write(now_s, date);
    struct span amz_date = span_of(date, SIGV4_TIME_BYTES);
    header_add(&h, "host", ep->host);
    header_add(&h, "content-type", SPAN_LIT("application/x-amz-json-1.1"));
    header_add(&h, "x-amz-date", amz_date);
    header_add(&h, "x-amz-target", buf_view(&target));
    if (cred->session_token.len > 0)
        header_add(&h, "x-amz-security-token", cred->session_token);
    r = sign(&h, sum, ep, cred, amz_date, &authorization);
    if (r != ERR_OK)
        return r;
    header_add(&h, "authorization", buf_view(&authorization));
    header_add(&h, "user-agent", SPAN_LIT("nitroseal/" NITROSEAL_VERSION));
    return message_write(&h, buf_view(&recipient->text), buf_view(&members), out);
}

enum err kms_request_write(const struct kms_call *call, const struct kms_endpoint *ep,
                           const struct sigv4_credentials *cred, int64_t now_s, struct buf *out)
{
    AUTO(kms_recipient_clear) struct kms_recipient own = { 0 };

    if (!call_is_whole(call))
        return ERR_INTERNAL;
    enum err r = call->recipient ? ERR_OK : kms_recipient_set(&own, call->document);
    if (r != ERR_OK)
        return r;
    return request_write(call, call->recipient ? call->recipient : &own, ep, cred, now_s, out);
}
