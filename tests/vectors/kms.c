/* kms.c - KMS requests and responses. */
#include "runner.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/base64.h"
#include "kms/kms.h"

static bool op_of(const char *name, enum kms_op *op)
{
    static const struct {
        const char *name;
        enum kms_op op;
    } ops[] = { { "GenerateDataKey", KMS_GENERATE_DATA_KEY },
                { "Decrypt", KMS_DECRYPT },
                { "GenerateRandom", KMS_GENERATE_RANDOM },
                { "GenerateDataKeyPair", KMS_GENERATE_DATA_KEY_PAIR },
                { "DeriveSharedSecret", KMS_DERIVE_SHARED_SECRET } };

    for (size_t i = 0; name && i < sizeof ops / sizeof ops[0]; i++)
        if (strcmp(ops[i].name, name) == 0) {
            *op = ops[i].op;
            return true;
        }
    return false;
}

static const char *blob(json_t *params, const char *name)
{
    return json_string_value(json_object_get(json_object_get(params, name), "base64"));
}

/* Does what we write agree with botocore's body in every member that both have to send? */
static bool members_agree(struct runner *r, json_t *ours, json_t *theirs)
{
    static const char *const members[] = { "KeyId", "CiphertextBlob", "NumberOfBytes",
                                           "Recipient" };

    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        json_t *want = json_object_get(theirs, members[i]);
        if (want && !json_equal(want, json_object_get(ours, members[i]))) {
            set_note(r, "%s differs", members[i]);
            return false;
        }
    }
    return true;
}

static bool write_and_compare(struct runner *r, json_t *doc, enum kms_op op)
{
    json_t *params = json_object_get(doc, "params"),
           *recipient = json_object_get(params, "Recipient");
    const char *document = blob(recipient, "AttestationDocument"),
               *sealed = blob(params, "CiphertextBlob");
    AUTO(buf_clear) struct buf raw = BUF_INIT(65536), out = BUF_INIT(1 << 20);
    struct kms_call call = {
        .op = op,
        .key_id = span_str(json_string_value(json_object_get(params, "KeyId"))),
        .ciphertext_blob_b64 = span_str(sealed),
        .number_of_bytes = (unsigned)json_integer_value(json_object_get(params, "NumberOfBytes")),
    };
    struct kms_endpoint ep = { SPAN_LIT("kms.us-east-1.amazonaws.com"), SPAN_LIT("us-east-1") };
    struct sigv4_credentials cred = { SPAN_LIT("AKIDEXAMPLE"), SPAN_LIT("secret"), SPAN_EMPTY };

    if (document && base64_parse(span_str(document), &raw, NULL) != ERR_OK)
        return false;
    call.document = document ? buf_view(&raw) : SPAN_LIT("\x84");
    if (kms_request_write(&call, &ep, &cred, 1735689600, &out) != ERR_OK) {
        set_note(r, "was not written");
        return false;
    }
    const char *body = memmem(out.ptr, out.len, "\r\n\r\n", 4);
    json_t *ours =
        body
            ? json_loadb(body + 4, out.len - (size_t)((const uint8_t *)body + 4 - out.ptr), 0, NULL)
            : NULL;
    const char *text = json_string_value(json_object_get(doc, "body"));
    json_t *theirs = text ? json_loads(text, 0, NULL) : NULL;
    const char *target =
        json_string_value(json_object_get(json_object_get(doc, "headers"), "X-Amz-Target"));
    bool good = ours && theirs && members_agree(r, ours, theirs) && target &&
                memmem(out.ptr, out.len, target, strlen(target)) != NULL;
    json_decref(ours);
    json_decref(theirs);
    return good;
}

enum outcome run_kms_request(struct runner *r, const struct entry *e)
{
    json_t *doc = json_loadb((const char *)e->bytes.ptr, e->bytes.len, 0, NULL);
    enum outcome out;
    enum kms_op op;

    set_note(r, "the request that we write differs");
    if (!op_of(value_text(e, "operation"), &op)) {
        set_note(r, "operation %s is not one that an enclave sends", value_text(e, "operation"));
        out = SKIPPED;
    } else {
        out = doc && write_and_compare(r, doc, op) ? ACCEPTED : MISMATCH;
    }
    json_decref(doc);
    return out;
}

static void put_headers(struct buf *raw, json_t *headers, const char *body)
{
    const char *name;
    json_t *value;
    enum err r = ERR_OK;

    json_object_foreach(headers, name, value) if (strcasecmp(name, "content-length") != 0 &&
                                                  json_is_string(value) && r == ERR_OK) r =
        buf_printf(raw, "%s: %s\r\n", name, json_string_value(value));
    if (r == ERR_OK)
        r = buf_printf(raw, "content-length: %zu\r\n\r\n", strlen(body));
    if (r != ERR_OK)
        buf_reset(raw);
}

/* The code that the manifest gives, by the same rule as a client reads it; a status stands for a
 * body without one. */
static bool code_matches(const struct kms_answer *a, const char *want)
{
    struct span code = span_str(want);

    if (want[0] >= '0' && want[0] <= '9')
        return a->error_type.len == 0;
    return span_eq(a->error_type, span_sub(code, 0, span_find(code, ':')));
}

/* A plaintext in an answer is what we refuse on principle, well formed or not. */
static bool answers_unattested(json_t *doc)
{
    const char *text = json_string_value(json_object_get(doc, "body"));
    json_t *body = text ? json_loads(text, 0, NULL) : NULL;
    bool yes = body && !json_string_length(json_object_get(body, "CiphertextForRecipient"));

    json_decref(body);
    return yes;
}

static enum outcome judge_response(struct runner *r, const struct entry *e, json_t *doc,
                                   enum kms_op op)
{
    const char *body = json_string_value(json_object_get(doc, "body")),
               *want = value_text(e, "error_code");
    AUTO(buf_clear) struct buf raw = BUF_INIT(1 << 20);
    struct http1_head *head = malloc(sizeof *head);
    struct kms_answer a = { 0 };
    struct why why = { 0 };
    size_t used;
    enum outcome out = REFUSED;

    if (!head || !body ||
        buf_printf(&raw, "HTTP/1.1 %lld X\r\n",
                   (long long)json_integer_value(json_object_get(doc, "status"))) != ERR_OK) {
        free(head);
        return REFUSED;
    }
    put_headers(&raw, json_object_get(doc, "headers"), body);
    enum err result = http1_response_parse(buf_view(&raw), false, head, &used, &why);
    if (result == ERR_OK)
        result = kms_answer_parse(op, head, span_str(body), &a, &why);
    if (result == ERR_OK) {
        out = !want || code_matches(&a, want) ? ACCEPTED : MISMATCH;
        set_note(r, "error code differs");
    } else if (result == ERR_VERIFY && !want && answers_unattested(doc)) {
        out = ACCEPTED; /* read rightly, and refused for what it lacks */
    } else {
        set_note(r, "refused: %s", why.what ? why.what : err_name(result));
    }
    kms_answer_clear(&a);
    free(head);
    return out;
}

enum outcome run_kms_response(struct runner *r, const struct entry *e)
{
    json_t *doc = json_loadb((const char *)e->bytes.ptr, e->bytes.len, 0, NULL);
    enum outcome out;
    enum kms_op op;

    if (!op_of(value_text(e, "operation"), &op)) {
        set_note(r, "operation %s is not one that an enclave sends", value_text(e, "operation"));
        out = SKIPPED;
    } else {
        out = doc ? judge_response(r, e, doc, op) : REFUSED;
    }
    json_decref(doc);
    return out;
}
