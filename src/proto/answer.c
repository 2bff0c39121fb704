#include "proto/proto.h"

#include <stddef.h>

static void put_text(struct json_out *w, const char *key, struct span text)
{
    json_out_key(w, key);
    json_out_string(w, text);
}

/* A member that is left out where there is nothing to say. */
static void put_opt(struct json_out *w, const char *key, struct span text)
{
    if (text.len)
        put_text(w, key, text);
}

static void put_base64(struct json_out *w, const char *key, struct span data)
{
    json_out_key(w, key);
    json_out_base64(w, data);
}

enum err proto_encrypt_answer_write(struct buf *out, struct json_str message, struct span encrypted,
                                    struct span signature, struct span ciphertext_blob_b64,
                                    struct span key_id, struct span request_id)
{
    struct json_out w = json_out_init(out);

    json_out_object(&w);
    put_text(&w, "operation", SPAN_LIT("encrypt"));
    if (json_str_is_set(message)) {
        json_out_key(&w, "plaintext");
        json_out_raw_string(&w, message);
    }
    put_base64(&w, "encrypted", encrypted);
    put_base64(&w, "signature", signature);
    put_text(&w, "ciphertext_blob", ciphertext_blob_b64);
    put_opt(&w, "key_id", key_id);
    put_opt(&w, "request_id", request_id);
    json_out_object_end(&w);
    return json_out_end(&w);
}

enum err proto_decrypt_answer_write(struct buf *out, struct span text, bool signature_valid,
                                    struct span key_id, struct span request_id)
{
    struct json_out w = json_out_init(out);

    json_out_object(&w);
    put_text(&w, "operation", SPAN_LIT("decrypt"));
    put_text(&w, "decrypted", text);
    json_out_key(&w, "signature_valid");
    json_out_bool(&w, signature_valid);
    put_opt(&w, "key_id", key_id);
    put_opt(&w, "request_id", request_id);
    json_out_object_end(&w);
    return json_out_end(&w);
}

enum err proto_attest_answer_write(struct buf *out, struct span document, struct span request_id)
{
    struct json_out w = json_out_init(out);

    json_out_object(&w);
    put_text(&w, "operation", SPAN_LIT("attest"));
    put_base64(&w, "document", document);
    put_opt(&w, "request_id", request_id);
    json_out_object_end(&w);
    return json_out_end(&w);
}

enum err proto_error_write(struct buf *out, const struct proto_error *e, struct span request_id)
{
    struct json_out w = json_out_init(out);

    json_out_object(&w);
    put_text(&w, "error", span_str(e->error));
    put_text(&w, "error_code", span_str(e->code));
    put_opt(&w, "detail", e->detail);
    put_opt(&w, "kms_type", e->kms_type);
    put_opt(&w, "kms_message", e->kms_message);
    put_opt(&w, "kms_request_id", e->kms_request_id);
    put_opt(&w, "hint", span_str(e->hint));
    put_opt(&w, "request_id", request_id);
    json_out_object_end(&w);
    return json_out_end(&w);
}

#define TEXT(field)                                                                                \
    {                                                                                              \
#field, offsetof(struct proto_answer, field)                                               \
    }

static const struct {
    const char *name;
    size_t at; /* of the json_str in struct proto_answer */
} texts[] = {
    TEXT(error),    TEXT(error_code),  TEXT(detail),          TEXT(hint),
    TEXT(kms_type), TEXT(kms_message), TEXT(kms_request_id),  TEXT(request_id),
    TEXT(key_id),   TEXT(plaintext),   TEXT(encrypted),       TEXT(signature),
    TEXT(document), TEXT(decrypted),   TEXT(ciphertext_blob),
};

/* Read a member that we know; another is passed over. A known one of the wrong type is a fault. */
static void take_text(struct json_in *j, struct json_str name, struct proto_answer *a)
{
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (!json_str_is(name, texts[i].name))
            continue;
        *(struct json_str *)(void *)((char *)a + texts[i].at) = json_in_string(j);
        return;
    }
    json_in_skip(j);
}

static bool is_answer_to(const struct proto_answer *a, enum proto_op op, bool has_verdict)
{
    switch (op) {
    case PROTO_ENCRYPT:
        return json_str_is_set(a->encrypted) && json_str_is_set(a->signature) &&
               json_str_is_set(a->ciphertext_blob);
    case PROTO_DECRYPT:
        return json_str_is_set(a->decrypted) && has_verdict;
    case PROTO_ATTEST:
        return json_str_is_set(a->document);
    }
    return false;
}

enum err proto_answer_parse(struct span in, enum proto_op op, struct proto_answer *out,
                            struct why *why)
{
    struct proto_answer a = { .signature_valid = false };
    struct json_in j = json_in_init(in);
    struct json_str name;
    bool has_verdict = false;

    for (json_in_object(&j); json_in_member(&j, &name);) {
        if (json_str_is(name, "signature_valid")) {
            a.signature_valid = json_in_bool(&j);
            has_verdict = true;
        } else {
            take_text(&j, name, &a);
        }
    }
    enum err r = json_in_end(&j);
    if (r != ERR_OK)
        return why_fail(why, r, j.what, j.pos);
    if (!json_str_is_set(a.error) && !is_answer_to(&a, op, has_verdict))
        return why_fail(why, ERR_MALFORMED, "not an answer to this operation", 0);
    *out = a;
    return ERR_OK;
}
