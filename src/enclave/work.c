/* work.c - what takes long, on a worker: parse a large request, or open the data key and seal or
 * open the text. */
#include "base/base64.h"
#include "enclave/private.h"

enum { STACK_WIPE_STEP = 2048 };

/* Its frames lie where those of the library have just been. */
static __attribute__((noinline)) void stack_wipe_below(unsigned depth)
{
    uint8_t frame[STACK_WIPE_STEP];

    wipe(frame, sizeof frame);
    if (depth > 1)
        stack_wipe_below(depth - 1);
    __asm__ volatile("" : : "r"(frame) : "memory"); /* no tail call: each level has a frame */
}

void stack_wipe(enum stack_depth bytes)
{
    stack_wipe_below((unsigned)bytes / STACK_WIPE_STEP);
}

static bool is_decrypt(const struct enclave_request *rq)
{
    return rq->asked.op == PROTO_DECRYPT;
}

static const char *text_error(const struct enclave_request *rq)
{
    return is_decrypt(rq) ? "Failed to decrypt text" : "Failed to encrypt text";
}

static enum err reserve_answer(struct enclave_request *rq, size_t n)
{
    uint8_t *room;

    rq->answer.max = rq->answer_max;
    return buf_reserve(&rq->answer, n, &room);
}

/* The bytes themselves: no second copy of the text. */
static enum err seal_binary(struct crypto *cx, struct enclave_request *rq, const struct secret *key)
{
    rq->answer.max = rq->answer_max;
    return envelope_seal(cx, key, rq->body, &rq->answer, rq->made_signature);
}

static enum err seal(struct crypto *cx, struct enclave_request *rq, const struct secret *key)
{
    struct json_str message = rq->asked.message, echo = JSON_STR_NONE;
    AUTO(buf_clear) struct buf decoded = BUF_INIT(message.raw.len);
    AUTO(buf_clear) struct buf sealed = BUF_INIT(message.raw.len + ENVELOPE_OVERHEAD_BYTES);
    uint8_t signature[HMAC_SHA256_BYTES];
    struct span text;

    if (rq->input.form == ENCLAVE_SEED)
        echo = message;
    enum err r = json_str_view(message, &decoded, &text);
    if (r == ERR_OK)
        r = envelope_seal(cx, key, text, &sealed, signature);
    if (r == ERR_OK)
        r = reserve_answer(rq, echo.raw.len + BASE64_TEXT_BYTES(sealed.len) + rq->new_blob_b64.len +
                                   rq->key_id.len + 512);
    if (r == ERR_OK)
        r = proto_encrypt_answer_write(&rq->answer, echo, buf_view(&sealed), SPAN_ARRAY(signature),
                                       rq->new_blob_b64, rq->key_id, span_str(rq->id));
    return r;
}

static enum err open_binary(struct crypto *cx, struct enclave_request *rq, const struct secret *key,
                            struct why *why)
{
    bool is_valid = false;

    rq->answer.max = rq->answer_max;
    enum err r =
        envelope_open(cx, key, rq->body, buf_view(&rq->signature), &rq->answer, &is_valid, why);
    return r == ERR_OK && !is_valid ? why_fail(why, ERR_DENIED, NULL, 0) : r;
}

/* Only the seed protocol hands out a text whose signature does not hold: its answer says so, and it
 * is the original's. */
static enum err open_text(struct crypto *cx, struct enclave_request *rq, const struct secret *key,
                          struct why *why)
{
    AUTO(buf_clear) struct buf text = BUF_INIT(rq->sealed.len);
    bool is_valid = false;

    enum err r = envelope_open(cx, key, buf_view(&rq->sealed), buf_view(&rq->signature), &text,
                               &is_valid, why);
    if (r == ERR_OK && !is_valid && rq->input.form != ENCLAVE_SEED)
        return why_fail(why, ERR_DENIED, NULL, 0);
    if (r == ERR_OK)
        r = reserve_answer(rq, text.len + text.len / 8 + rq->key_id.len + 512);
    if (r != ERR_OK)
        return r;
    r = proto_decrypt_answer_write(&rq->answer, buf_view(&text), is_valid, rq->key_id,
                                   span_str(rq->id));
    if (r == ERR_MALFORMED) /* sealed by somebody with the key, but not as the protocol's text */
        return why_fail(why, ERR_UNSUPPORTED, "text is not UTF-8", 0);
    return r;
}

static enum err seal_or_open(struct crypto *cx, struct enclave_request *rq,
                             const struct secret *key, struct why *why)
{
    if (rq->input.form == ENCLAVE_BINARY)
        return is_decrypt(rq) ? open_binary(cx, rq, key, why) : seal_binary(cx, rq, key);
    return is_decrypt(rq) ? open_text(cx, rq, key, why) : seal(cx, rq, key);
}

static const char *code_of_text(const struct enclave_request *rq, enum err r)
{
    switch (r) {
    case ERR_VERIFY:
        return "text_not_authentic";
    case ERR_DENIED:
        return "signature_invalid";
    case ERR_MALFORMED:
        return "encrypted_too_short";
    case ERR_UNSUPPORTED: /* of HTTP it is another status than that of a request's own UTF-8 */
        return rq->input.form == ENCLAVE_SEED ? "invalid_utf8" : "text_not_utf8";
    case ERR_NOMEM:
        return "busy";
    case ERR_OK:
    case ERR_MORE:
    case ERR_LIMIT:
    case ERR_CRYPTO:
    case ERR_IO:
    case ERR_TIMEOUT:
    case ERR_INTERNAL:
        break;
    }
    return "internal";
}

static void open_key_and_text(struct crypto *cx, struct enclave_request *rq)
{
    AUTO(secret_clear) struct secret key = { 0 };
    struct why why = { 0 };

    bool is_key = rq->input.form == ENCLAVE_KEY;
    size_t want = is_key ? rq->input.key->bytes : AES256_KEY_BYTES;

    enum err r = cms_open(cx, rq->for_recipient, rq->key, &key, &why);
    if (r == ERR_OK && key.len != want)
        r = why_fail(&why, ERR_MALFORMED, "data key length", 0);
    if (r != ERR_OK) {
        rq->failure = (struct failure){
            .error = is_decrypt(rq) ? "Failed to decrypt data key from KMS"
                                    : "Failed to get data key from KMS",
            .code = r == ERR_NOMEM ? "busy" : "data_key_not_opened",
            .detail = r == ERR_NOMEM ? NULL : why.what,
        };
        return;
    }
    if (is_key) {
        rq->data_key = secret_take(&key);
        return;
    }
    r = seal_or_open(cx, rq, &key, &why);
    if (r == ERR_OK)
        return;
    buf_clear(&rq->answer);
    rq->failure = (struct failure){
        .error = r == ERR_DENIED ? "Signature does not hold" : text_error(rq),
        .code = code_of_text(rq, r),
        .detail = why.what,
    };
}

/* Here and not on the loop: 16 MB take milliseconds to wipe. */
static void forget_input(struct enclave_request *rq)
{
    buf_clear(&rq->in);
    buf_clear(&rq->scratch);
    buf_clear(&rq->sealed);
    buf_clear(&rq->signature);
    rq->cred = (struct sigv4_credentials){ 0 };
    rq->blob_b64 = rq->body = SPAN_EMPTY;
    rq->asked = (struct proto_request){ .op = rq->asked.op };
}

void enclave_work(struct crypto *cx, struct enclave_request *rq)
{
    if (rq->state == STATE_PARSING) {
        request_parse(rq);
        return;
    }
    open_key_and_text(cx, rq);
    forget_input(rq);
    stack_wipe(STACK_OF_OPENSSL);
}
