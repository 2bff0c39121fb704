#include "base/base64.h"
#include "base/json.h"
#include "kms/kms.h"

enum {
    STATUS_OK = 200,
    BLOB_MAX_BYTES = 6144, /* CiphertextBlob and CiphertextForRecipient: kms-recipient section 4 */
    PUBLIC_KEY_MAX_BYTES = 8192,
    ERROR_TYPE_MAX_BYTES = 128,
};

/* Members of a success, as they stand; null counts as absent, as for every AWS SDK. */
struct success {
    struct json_str key_id, blob, private_blob, public_key, for_recipient;
    struct json_str plaintext, private_key, shared_secret; /* what must not be there */
};

static struct json_str string_or_null(struct json_in *j)
{
    if (json_in_peek(j) != JSON_KIND_NULL)
        return json_in_string(j);
    json_in_null(j);
    return JSON_STR_NONE;
}

static struct success success_read(struct json_in *j)
{
    struct success s = { .key_id = JSON_STR_NONE };
    struct json_str name;

    for (json_in_object(j); json_in_member(j, &name);) {
        if (json_str_is(name, "KeyId"))
            s.key_id = string_or_null(j);
        else if (json_str_is(name, "CiphertextBlob"))
            s.blob = string_or_null(j);
        else if (json_str_is(name, "PrivateKeyCiphertextBlob"))
            s.private_blob = string_or_null(j);
        else if (json_str_is(name, "PublicKey"))
            s.public_key = string_or_null(j);
        else if (json_str_is(name, "CiphertextForRecipient"))
            s.for_recipient = string_or_null(j);
        else if (json_str_is(name, "Plaintext"))
            s.plaintext = string_or_null(j);
        else if (json_str_is(name, "PrivateKeyPlaintext"))
            s.private_key = string_or_null(j);
        else if (json_str_is(name, "SharedSecret"))
            s.shared_secret = string_or_null(j);
        else
            json_in_skip(j);
    }
    return s;
}

/* Base64 of 1 to `max` bytes; what it decodes to is appended to `out`. */
static enum err blob_decode(struct span text, size_t max, struct buf *out, struct span *bytes)
{
    size_t before = out->len;

    enum err r = base64_parse(text, out, NULL);
    if (r != ERR_OK)
        return r;
    *bytes = span_from(buf_view(out), before);
    return bytes->len > 0 && bytes->len <= max ? ERR_OK : ERR_MALFORMED;
}

/* CiphertextBlob and PublicKey stay text, because they are carried on as text; this only looks. */
static enum err blob_check(struct json_str blob, size_t max, struct buf *scratch, struct span *text)
{
    struct span bytes;

    enum err r = json_str_view(blob, scratch, text);
    if (r != ERR_OK)
        return r;
    size_t before = scratch->len;
    r = blob_decode(*text, max, scratch, &bytes);
    buf_truncate(scratch, before);
    return r;
}

static enum err recipient_decode(struct json_str text, struct kms_answer *a)
{
    struct span view;

    enum err r = json_str_view(text, &a->text, &view);
    return r == ERR_OK ? blob_decode(view, BLOB_MAX_BYTES, &a->text, &a->ciphertext_for_recipient)
                       : r;
}

static enum err pair_parse(const struct success *s, struct kms_answer *a, struct why *why)
{
    if (!json_str_is_set(s->private_blob))
        return why_fail(why, ERR_MALFORMED, "no PrivateKeyCiphertextBlob", 0);
    if (!json_str_is_set(s->public_key))
        return why_fail(why, ERR_MALFORMED, "no PublicKey", 0);
    enum err r = blob_check(s->private_blob, BLOB_MAX_BYTES, &a->text, &a->ciphertext_blob_b64);
    if (r != ERR_OK)
        return why_fail(why, r, "PrivateKeyCiphertextBlob", 0);
    r = blob_check(s->public_key, PUBLIC_KEY_MAX_BYTES, &a->text, &a->public_key_b64);
    return r == ERR_OK ? ERR_OK : why_fail(why, r, "PublicKey", 0);
}

/* What only the answer to this operation has. */
static enum err own_members_parse(enum kms_op op, const struct success *s, struct kms_answer *a,
                                  struct why *why)
{
    if (op == KMS_GENERATE_DATA_KEY_PAIR)
        return pair_parse(s, a, why);
    if (op != KMS_GENERATE_DATA_KEY)
        return ERR_OK;
    if (!json_str_is_set(s->blob))
        return why_fail(why, ERR_MALFORMED, "no CiphertextBlob", 0);
    enum err r = blob_check(s->blob, BLOB_MAX_BYTES, &a->text, &a->ciphertext_blob_b64);
    return r == ERR_OK ? ERR_OK : why_fail(why, r, "CiphertextBlob", 0);
}

static enum err success_parse(enum kms_op op, struct span body, struct kms_answer *a,
                              struct why *why)
{
    struct json_in j = json_in_init(body);
    struct success s = success_read(&j);

    if (json_in_end(&j) != ERR_OK)
        return why_fail(why, ERR_MALFORMED, j.what, j.pos);
    if (s.plaintext.raw.len > 0)
        return why_fail(why, ERR_VERIFY, "Plaintext in the answer to an attested call", 0);
    if (s.private_key.raw.len > 0)
        return why_fail(why, ERR_VERIFY, "PrivateKeyPlaintext in the answer to an attested call",
                        0);
    if (s.shared_secret.raw.len > 0)
        return why_fail(why, ERR_VERIFY, "SharedSecret in the answer to an attested call", 0);
    if (!json_str_is_set(s.for_recipient))
        return why_fail(why, ERR_VERIFY, "no CiphertextForRecipient", 0);
    enum err r = recipient_decode(s.for_recipient, a);
    if (r != ERR_OK)
        return why_fail(why, r, "CiphertextForRecipient", 0);
    if (op == KMS_GENERATE_RANDOM)
        return ERR_OK;
    if (!json_str_is_set(s.key_id))
        return why_fail(why, ERR_MALFORMED, "no KeyId", 0);
    r = json_str_view(s.key_id, &a->text, &a->key_id);
    return r == ERR_OK ? own_members_parse(op, &s, a, why) : why_fail(why, r, "KeyId", 0);
}

/* "com.amazonaws.kms#NotFoundException:http://..." is NotFoundException. Anything that does not
 * look like a name then is none: it goes into logs and answers. */
static struct span type_name(struct span s)
{
    s = span_sub(s, 0, span_find(s, ':'));
    for (size_t at = span_find(s, '#'); at < s.len; at = span_find(s, '#'))
        s = span_from(s, at + 1);
    if (s.len > ERROR_TYPE_MAX_BYTES)
        return SPAN_EMPTY;
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = s.ptr[i], letter = c | 0x20;
        if (!(letter >= 'a' && letter <= 'z') && !(c >= '0' && c <= '9') && c != '.' && c != '_')
            return SPAN_EMPTY;
    }
    return s;
}

/* A body that is not KMS's (a gateway's page, an empty one) leaves the status to speak; a
 * member that cannot be read is as good as absent. */
static enum err error_parse(struct span body, struct kms_answer *a)
{
    struct json_str name, type = JSON_STR_NONE, lower = JSON_STR_NONE, capital = JSON_STR_NONE;
    struct json_in j = json_in_init(body);
    struct span type_text = SPAN_EMPTY;

    for (json_in_object(&j); json_in_member(&j, &name);) {
        if (json_str_is(name, "__type"))
            type = string_or_null(&j);
        else if (json_str_is(name, "message"))
            lower = string_or_null(&j);
        else if (json_str_is(name, "Message"))
            capital = string_or_null(&j);
        else
            json_in_skip(&j);
    }
    if (json_in_end(&j) != ERR_OK)
        return ERR_OK;
    enum err r = json_str_view(type, &a->text, &type_text);
    if (r == ERR_OK)
        r = json_str_view(json_str_is_set(lower) ? lower : capital, &a->text, &a->error_message);
    a->error_type = type_name(type_text);
    return r;
}

enum err kms_answer_parse(enum kms_op op, const struct http1_head *head, struct span body,
                          struct kms_answer *out, struct why *why)
{
    AUTO(kms_answer_clear)
    struct kms_answer a = {
        .status = head->status,
        .request_id = http1_header_get(head, "x-amzn-requestid"),
        .text = BUF_INIT(2 * KMS_ANSWER_MAX),
    };
    uint8_t *room;

    if (body.len > KMS_ANSWER_MAX)
        return why_fail(why, ERR_LIMIT, "answer length", 0);
    /* A string without its escapes is never longer, nor is what it means in base64: with room for
     * both, the spans into this buffer stay where they are. */
    enum err r = buf_reserve(&a.text, 2 * body.len, &room);
    if (r != ERR_OK)
        return why_fail(why, r, "answer", 0);
    if (head->status == STATUS_OK)
        r = success_parse(op, body, &a, why);
    else
        r = error_parse(body, &a);
    if (r != ERR_OK)
        return head->status == STATUS_OK ? r : why_fail(why, r, "error answer", 0);
    if (head->status != STATUS_OK && a.error_type.len == 0)
        a.error_type = type_name(http1_header_get(head, "x-amzn-errortype"));
    *out = a;
    a.text = (struct buf){ 0 };
    return ERR_OK;
}

void kms_answer_clear(struct kms_answer *a)
{
    buf_clear(&a->text);
    *a = (struct kms_answer){ 0 };
}
