#include "base/base64.h"
#include "base/json.h"
#include "kms/kms.h"

enum {
    HEADERS_MAX = 8,
    AUTHORIZATION_MAX_BYTES = 1024,
    /* kms-recipient section 4, as base64 */
    BLOB_TEXT_MAX_BYTES = BASE64_TEXT_BYTES(6144),
    KEY_ID_MAX_BYTES = 2048,
    DOCUMENT_MAX_BYTES = 262144,
    /* A document of its largest size, and everything else. */
    BODY_MAX_BYTES = BASE64_TEXT_BYTES(DOCUMENT_MAX_BYTES) + 32768,
};

static const char *target_of(enum kms_op op)
{
    switch (op) {
    case KMS_GENERATE_DATA_KEY:
        return "TrentService.GenerateDataKey";
    case KMS_DECRYPT:
        return "TrentService.Decrypt";
    case KMS_GENERATE_RANDOM:
        return "TrentService.GenerateRandom";
    }
    return NULL;
}

static bool call_is_whole(const struct kms_call *c)
{
    if (c->document.len == 0 || c->document.len > DOCUMENT_MAX_BYTES ||
        c->key_id.len > KEY_ID_MAX_BYTES)
        return false; /* never a call that is not attested */
    switch (c->op) {
    case KMS_GENERATE_DATA_KEY:
        return c->key_id.len > 0;
    case KMS_DECRYPT:
        return c->ciphertext_blob_b64.len > 0 && c->ciphertext_blob_b64.len <= BLOB_TEXT_MAX_BYTES;
    case KMS_GENERATE_RANDOM:
        return c->number_of_bytes >= 1 && c->number_of_bytes <= KMS_RANDOM_MAX;
    }
    return false;
}

static enum err body_write(const struct kms_call *c, struct buf *out)
{
    struct json_out w = json_out_init(out);

    json_out_object(&w);
    if (c->key_id.len > 0 && c->op != KMS_GENERATE_RANDOM) {
        json_out_key(&w, "KeyId");
        json_out_string(&w, c->key_id);
    }
    switch (c->op) {
    case KMS_GENERATE_DATA_KEY:
        json_out_key(&w, "KeySpec");
        json_out_string(&w, SPAN_LIT("AES_256"));
        break;
    case KMS_DECRYPT:
        json_out_key(&w, "CiphertextBlob");
        json_out_string(&w, c->ciphertext_blob_b64);
        break;
    case KMS_GENERATE_RANDOM:
        json_out_key(&w, "NumberOfBytes");
        json_out_uint(&w, c->number_of_bytes);
        break;
    }
    json_out_key(&w, "Recipient");
    json_out_object(&w);
    json_out_key(&w, "KeyEncryptionAlgorithm");
    json_out_string(&w, SPAN_LIT("RSAES_OAEP_SHA_256"));
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
    AUTO(buf_clear) struct buf body = BUF_INIT(BODY_MAX_BYTES);
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
    if (r != ERR_OK)
        return r;
    sigv4_time_write(now_s, date);
    struct span amz_date = span_of(date, SIGV4_TIME_BYTES);
    header_add(&h, "host", ep->host);
    header_add(&h, "content-type", SPAN_LIT("application/x-amz-json-1.1"));
    header_add(&h, "x-amz-date", amz_date);
    header_add(&h, "x-amz-target", span_str(target_of(call->op)));
    if (cred->session_token.len > 0)
        header_add(&h, "x-amz-security-token", cred->session_token);
    r = sign(cx, &h, buf_view(&body), ep, cred, amz_date, &authorization);
    if (r != ERR_OK)
        return r;
    header_add(&h, "authorization", buf_view(&authorization));
    header_add(&h, "user-agent", SPAN_LIT("nitroseal/" NITROSEAL_VERSION));
    return http1_request_write(out, SPAN_LIT("POST"), SPAN_LIT("/"), h.list, h.n, buf_view(&body));
}
