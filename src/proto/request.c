#include "proto/proto.h"

#include <stddef.h>

#define BIT(op) (1u << (op))

/* One row per member that we know: where it goes, which operations cannot do without it, and what
 * to say. */
struct member {
    const char *name;
    size_t at; /* of the json_str in struct proto_request */
    unsigned required_by;
    const char *missing, *mistyped;
};

#define MEMBER(field, json_name, ops)                                                              \
    {                                                                                              \
        json_name, offsetof(struct proto_request, field), ops,                                     \
            "member '" json_name "' is missing", "member '" json_name "' is not a string"          \
    }

static const struct member top[] = {
    MEMBER(message, "message", BIT(PROTO_ENCRYPT)),
    MEMBER(encrypted, "encrypted", BIT(PROTO_DECRYPT)),
    MEMBER(signature, "signature", BIT(PROTO_DECRYPT)),
    MEMBER(ciphertext_blob, "ciphertext_blob", BIT(PROTO_DECRYPT)),
    MEMBER(nonce, "nonce", BIT(PROTO_ATTEST)),
};

static const struct member credentials[] = {
    MEMBER(access_key_id, "access_key_id", BIT(PROTO_ENCRYPT) | BIT(PROTO_DECRYPT)),
    MEMBER(secret_access_key, "secret_access_key", BIT(PROTO_ENCRYPT) | BIT(PROTO_DECRYPT)),
    MEMBER(session_token, "session_token", 0),
};

enum { N_TOP = sizeof top / sizeof top[0], N_CREDENTIALS = sizeof credentials / sizeof top[0] };

static struct json_str *slot(struct proto_request *rq, const struct member *m)
{
    return (struct json_str *)(void *)((char *)rq + m->at);
}

/* Read the value of `name` into its slot, or pass over a member that we do not know. The cursor
 * carries the fault. */
static void take_member(struct json_in *j, struct json_str name, const struct member *table,
                        size_t n, struct proto_request *rq)
{
    for (size_t i = 0; i < n; i++) {
        if (!json_str_is(name, table[i].name))
            continue;
        if (json_in_peek(j) == JSON_KIND_STRING)
            *slot(rq, &table[i]) = json_in_string(j);
        else if (json_in_peek(j) == JSON_KIND_NULL && !table[i].required_by)
            json_in_null(j); /* a token that a client has none of */
        else
            json_in_fail(j, ERR_MALFORMED, table[i].mistyped);
        return;
    }
    json_in_skip(j);
}

static void take_credentials(struct json_in *j, struct proto_request *rq)
{
    struct json_str name;

    if (json_in_peek(j) != JSON_KIND_OBJECT) {
        json_in_fail(j, ERR_MALFORMED, "member 'credentials' is not an object");
        return;
    }
    for (json_in_object(j); json_in_member(j, &name);)
        take_member(j, name, credentials, N_CREDENTIALS, rq);
}

static void take_operation(struct json_in *j, struct json_str *out)
{
    if (json_in_peek(j) == JSON_KIND_STRING)
        *out = json_in_string(j);
    else
        json_in_fail(j, ERR_MALFORMED, "member 'operation' is not a string");
}

/* A fault of the JSON itself keeps the kind that a client can act on; our own sentences stay as
 * they are. */
static const char *sentence(const struct json_in *j)
{
    if (span_starts(span_str(j->what), "member '"))
        return j->what;
    if (strcmp(j->what, "UTF-8") == 0)
        return "invalid UTF-8";
    if (strcmp(j->what, "duplicate member") == 0)
        return "invalid JSON: a name comes twice";
    return j->err == ERR_LIMIT ? "invalid JSON: nested too deep or too many names" : "invalid JSON";
}

static bool operation_of(struct json_str name, enum proto_op *op)
{
    if (!json_str_is_set(name) || json_str_is(name, "encrypt"))
        *op = PROTO_ENCRYPT;
    else if (json_str_is(name, "decrypt"))
        *op = PROTO_DECRYPT;
    else if (json_str_is(name, "attest"))
        *op = PROTO_ATTEST;
    else
        return false;
    return true;
}

static const char *first_missing(struct proto_request *rq, const struct member *table, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if ((table[i].required_by & BIT(rq->op)) && !json_str_is_set(*slot(rq, &table[i])))
            return table[i].missing;
    return NULL;
}

static const char *check_members(struct proto_request *rq, const struct proto_given *given)
{
    const char *missing = NULL;

    if (rq->op == PROTO_ATTEST)
        return first_missing(rq, top, N_TOP);
    if (!rq->has_credentials && !given->has_credentials)
        return "member 'credentials' is missing";
    if (rq->has_credentials)
        missing = first_missing(rq, credentials, N_CREDENTIALS);
    return missing ? missing : first_missing(rq, top, N_TOP);
}

enum err proto_request_parse_given(struct span in, const struct proto_given *given,
                                   struct proto_request *out, struct why *why)
{
    struct proto_request rq = { .op = given->has_op ? given->op : PROTO_ENCRYPT };
    struct json_in j = json_in_init(in);
    struct json_str name, operation = JSON_STR_NONE;

    if (json_in_peek(&j) != JSON_KIND_OBJECT && json_in_peek(&j) != JSON_KIND_NONE)
        return why_fail(why, ERR_MALFORMED, "invalid JSON: not an object", 0);
    for (json_in_object(&j); json_in_member(&j, &name);) {
        if (json_str_is(name, "operation")) {
            take_operation(&j, &operation);
        } else if (json_str_is(name, "credentials")) {
            rq.has_credentials = true;
            take_credentials(&j, &rq);
        } else {
            take_member(&j, name, top, N_TOP, &rq);
        }
    }
    enum err r = json_in_end(&j);
    if (r != ERR_OK)
        return why_fail(why, r, sentence(&j), j.pos);
    if ((!given->has_op || json_str_is_set(operation)) && !operation_of(operation, &rq.op))
        return why_fail(why, ERR_UNSUPPORTED,
                        "unknown operation: 'encrypt', 'decrypt' and 'attest' are known", 0);
    if (given->has_op && rq.op != given->op)
        return why_fail(why, ERR_MALFORMED, "member 'operation' names another one than the path",
                        0);
    const char *missing = check_members(&rq, given);
    if (missing)
        return why_fail(why, ERR_MALFORMED, missing, 0);
    *out = rq;
    return ERR_OK;
}

enum err proto_request_parse(struct span in, struct proto_request *out, struct why *why)
{
    const struct proto_given nothing = { .has_op = false };

    return proto_request_parse_given(in, &nothing, out, why);
}

static void write_credentials(struct json_out *w, const struct proto_credentials *cred)
{
    if (!cred)
        return;
    json_out_key(w, "credentials");
    json_out_object(w);
    json_out_key(w, "access_key_id");
    json_out_string(w, cred->access_key_id);
    json_out_key(w, "secret_access_key");
    json_out_string(w, cred->secret_access_key);
    json_out_key(w, "session_token");
    json_out_string(w, cred->session_token);
    json_out_object_end(w);
}

static void write_text(struct json_out *w, const char *key, struct span text)
{
    json_out_key(w, key);
    json_out_string(w, text);
}

enum err proto_encrypt_write(struct buf *out, const struct proto_credentials *cred,
                             struct span message)
{
    struct json_out w = json_out_init(out);

    json_out_object(&w);
    write_text(&w, "operation", SPAN_LIT("encrypt"));
    write_credentials(&w, cred);
    write_text(&w, "message", message);
    json_out_object_end(&w);
    return json_out_end(&w);
}

enum err proto_decrypt_write(struct buf *out, const struct proto_credentials *cred,
                             struct span encrypted_b64, struct span signature_b64,
                             struct span ciphertext_blob_b64)
{
    struct json_out w = json_out_init(out);

    json_out_object(&w);
    write_text(&w, "operation", SPAN_LIT("decrypt"));
    write_credentials(&w, cred);
    write_text(&w, "encrypted", encrypted_b64);
    write_text(&w, "signature", signature_b64);
    write_text(&w, "ciphertext_blob", ciphertext_blob_b64);
    json_out_object_end(&w);
    return json_out_end(&w);
}

enum err proto_attest_write(struct buf *out, struct span nonce)
{
    struct json_out w = json_out_init(out);

    json_out_object(&w);
    write_text(&w, "operation", SPAN_LIT("attest"));
    json_out_key(&w, "nonce");
    json_out_base64(&w, nonce);
    json_out_object_end(&w);
    return json_out_end(&w);
}
