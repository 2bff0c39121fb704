/* request.c - one request's bytes: from JSON to checked values, and what is kept of KMS's answer.
 */
#include "base/base64.h"
#include "enclave/private.h"

#include <stdio.h>

/* Names, signature and a ciphertext blob of ordinary size (real ones have some 200 bytes). */
enum { DECRYPT_AROUND_BYTES = 1024, SIGNATURE_TEXT_MAX = 4096 };

static void set_failure(struct enclave_request *rq, const char *error, const char *code,
                        const char *detail)
{
    rq->failure = (struct failure){ .error = error, .code = code, .detail = detail };
}

static void set_memory_failure(struct enclave_request *rq)
{
    set_failure(rq, "Service is out of memory", "busy", NULL);
}

/* The parser's sentence is the client's error text; this is its stable name. */
static const char *code_of(enum err r, const char *what)
{
    if (r == ERR_UNSUPPORTED)
        return "unknown_operation";
    if (strstr(what, "missing"))
        return "missing_member";
    if (strstr(what, "UTF-8"))
        return "invalid_utf8";
    if (strstr(what, "member"))
        return "wrong_type";
    return "invalid_json";
}

static bool parse_json(struct enclave_request *rq)
{
    struct why why = { .what = "invalid JSON" };
    const struct proto_given given = {
        .has_op = rq->input.has_op,
        .op = rq->input.op,
        .has_credentials = rq->input.form != ENCLAVE_SEED,
    };
    enum err r = proto_request_parse_given(rq->body, &given, &rq->asked, &why);

    if (r == ERR_OK)
        return true;
    int n = snprintf(rq->note, sizeof rq->note, "at byte %zu", why.at);
    set_failure(rq, why.what, code_of(r, why.what), n > 0 && why.at ? rq->note : NULL);
    return false;
}

/* Room for all that is decoded from escapes, so that no view dies by growth. */
static bool reserve_scratch(struct enclave_request *rq)
{
    const struct proto_request *a = &rq->asked;
    const struct json_str all[] = { a->access_key_id, a->secret_access_key,
                                    a->session_token, a->ciphertext_blob,
                                    a->encrypted,     a->signature,
                                    a->nonce };
    size_t sum = 0;
    uint8_t *room;

    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        sum += all[i].escaped ? all[i].raw.len : 0;
    rq->scratch.max = sum;
    return sum == 0 || buf_reserve(&rq->scratch, sum, &room) == ERR_OK;
}

static bool view(struct enclave_request *rq, struct json_str s, struct span *out)
{
    if (json_str_view(s, &rq->scratch, out) == ERR_OK)
        return true;
    set_memory_failure(rq);
    return false;
}

bool credential_is_clean(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] <= ' ' || s.ptr[i] >= 0x7f)
            return false;
    return s.len <= ENCLAVE_CREDENTIAL_MAX;
}

static bool parse_credentials(struct enclave_request *rq)
{
    struct sigv4_credentials *c = &rq->cred;
    const struct proto_request *a = &rq->asked;

    if (!a->has_credentials)
        return true; /* others are used: step_call_kms() */
    if (!view(rq, a->access_key_id, &c->access_key_id) ||
        !view(rq, a->secret_access_key, &c->secret_access_key) ||
        !view(rq, a->session_token, &c->session_token))
        return false;
    if (c->access_key_id.len == 0 || c->secret_access_key.len == 0) {
        set_failure(rq, "AWS credentials are empty", "invalid_credentials", NULL);
        return false;
    }
    if (credential_is_clean(c->access_key_id) && credential_is_clean(c->secret_access_key) &&
        credential_is_clean(c->session_token))
        return true;
    set_failure(rq, "AWS credentials hold characters that they cannot have", "invalid_credentials",
                NULL);
    return false;
}

static bool parse_base64(struct enclave_request *rq, struct span text, size_t data_max,
                         struct buf *out, const char *error)
{
    *out = BUF_INIT(data_max + 2); /* the decoder counts padding as bytes before it looks */
    enum err r = base64_parse(text, out, NULL);
    if (r == ERR_OK && out->len <= data_max)
        return true;
    if (r == ERR_NOMEM)
        set_memory_failure(rq);
    else
        set_failure(rq, error, "invalid_base64", NULL);
    return false;
}

static bool is_binary(const struct enclave_request *rq)
{
    return rq->input.form == ENCLAVE_BINARY;
}

/* The two texts beside the sealed bytes: of members or of headers. */
static bool parse_beside(struct enclave_request *rq, struct span signature, struct span blob_b64)
{
    AUTO(buf_clear) struct buf blob = { 0 };
    bool b = is_binary(rq);

    rq->blob_b64 = blob_b64;
    if (b && signature.len == 0) {
        set_failure(rq, "header Nitroseal-Signature is missing", "missing_member", NULL);
        return false;
    }
    if (!parse_base64(rq, signature, signature.len, &rq->signature,
                      b ? "header Nitroseal-Signature is not base64"
                        : "member 'signature' is not base64") ||
        !parse_base64(rq, blob_b64, CIPHERTEXT_BLOB_MAX, &blob,
                      b ? "header Nitroseal-Ciphertext-Blob is not base64 of at most 6144 bytes"
                        : "member 'ciphertext_blob' is not base64 of at most 6144 bytes"))
        return false;
    if (blob.len > 0)
        return true;
    set_failure(rq,
                b ? "header Nitroseal-Ciphertext-Blob is missing or empty"
                  : "member 'ciphertext_blob' is empty",
                b ? "missing_member" : "invalid_base64", NULL);
    return false;
}

static bool parse_decrypt(struct enclave_request *rq)
{
    const struct proto_request *a = &rq->asked;
    struct span sealed, signature, blob;

    return view(rq, a->encrypted, &sealed) && view(rq, a->signature, &signature) &&
           view(rq, a->ciphertext_blob, &blob) &&
           parse_base64(rq, sealed, sealed.len, &rq->sealed, "member 'encrypted' is not base64") &&
           parse_beside(rq, signature, blob);
}

/* As bytes: a query of the HTTP API. */
static void take_nonce(struct enclave_request *rq)
{
    rq->sealed = BUF_INIT(ENCLAVE_NONCE_MAX_BYTES);
    if (rq->body.len == 0 || rq->body.len > ENCLAVE_NONCE_MAX_BYTES)
        set_failure(rq, "the nonce is not of 1 to 512 bytes", "invalid_base64", NULL);
    else if (buf_append(&rq->sealed, rq->body) != ERR_OK)
        set_memory_failure(rq);
}

static bool parse_nonce(struct enclave_request *rq)
{
    struct span nonce;

    if (!view(rq, rq->asked.nonce, &nonce) ||
        !parse_base64(rq, nonce, ENCLAVE_NONCE_MAX_BYTES, &rq->sealed,
                      "member 'nonce' is not base64 of 1 to 512 bytes"))
        return false;
    if (rq->sealed.len > 0)
        return true;
    set_failure(rq, "member 'nonce' is empty", "invalid_base64", NULL);
    return false;
}

/* Bytes of a text that has been parsed. */
static size_t text_len(struct json_str s)
{
    size_t n = 0;

    if (!s.escaped)
        return s.raw.len;
    for (struct span left = s.raw; left.len;) {
        uint32_t c = json_str_next(&left);
        n += c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    }
    return n;
}

/* What is sealed must open again: in JSON the request to decrypt it carries it in base64, which is
 * longer than the text by a third. */
static bool fits_back(struct enclave_request *rq)
{
    size_t around = DECRYPT_AROUND_BYTES + rq->cred.access_key_id.len +
                    rq->cred.secret_access_key.len + rq->cred.session_token.len;
    size_t sealed = BASE64_TEXT_BYTES(text_len(rq->asked.message) + ENVELOPE_OVERHEAD_BYTES);

    if (is_binary(rq)) {
        around = 0;
        sealed = rq->body.len + ENVELOPE_OVERHEAD_BYTES;
    }

    if (around <= rq->request_max && sealed <= rq->request_max - around)
        return true;
    snprintf(rq->note, sizeof rq->note, "the request to decrypt it would be longer than %zu bytes",
             rq->request_max);
    set_failure(rq, "Text is too long", "too_large", rq->note);
    return false;
}

static bool parse_members(struct enclave_request *rq)
{
    switch (rq->asked.op) {
    case PROTO_ENCRYPT:
        return parse_credentials(rq) && fits_back(rq);
    case PROTO_DECRYPT:
        return parse_credentials(rq) && parse_decrypt(rq);
    case PROTO_ATTEST:
        return parse_nonce(rq);
    }
    return false;
}

static void parse_binary(struct enclave_request *rq)
{
    rq->asked = (struct proto_request){ .op = rq->input.op };
    rq->is_parsed = true;
    switch (rq->input.op) {
    case PROTO_ENCRYPT:
        (void)fits_back(rq);
        return;
    case PROTO_DECRYPT:
        (void)parse_beside(rq, rq->input.signature_b64, rq->input.ciphertext_blob_b64);
        return;
    case PROTO_ATTEST:
        take_nonce(rq);
        return;
    }
}

static void parse_text(struct enclave_request *rq)
{
    if (!parse_json(rq))
        return;
    rq->is_parsed = true;
    if (!reserve_scratch(rq)) {
        set_memory_failure(rq);
        return;
    }
    if (!parse_members(rq) && !rq->failure.code)
        set_failure(rq, "Internal error", "internal", NULL);
}

/* What a message asks for has been parsed by then: only the blob's text is to be made. */
static void parse_key(struct enclave_request *rq)
{
    const struct enclave_key_ask *ask = rq->input.key;

    rq->asked = (struct proto_request){ .op = ask->is_new ? PROTO_ENCRYPT : PROTO_DECRYPT };
    rq->is_parsed = true;
    if (ask->is_new)
        return;
    if (ask->ciphertext.len == 0 || ask->ciphertext.len > CIPHERTEXT_BLOB_MAX) {
        set_failure(rq, "Encrypted data key is not one of KMS", "message_malformed", NULL);
        return;
    }
    rq->scratch = BUF_INIT(BASE64_TEXT_BYTES(CIPHERTEXT_BLOB_MAX));
    if (base64_append(&rq->scratch, ask->ciphertext) != ERR_OK)
        set_memory_failure(rq);
    rq->blob_b64 = buf_view(&rq->scratch);
}

void request_parse(struct enclave_request *rq)
{
    if (rq->input.form == ENCLAVE_KEY) {
        parse_key(rq);
        return;
    }
    rq->body = span_from(buf_view(&rq->in), rq->input.from);
    if (is_binary(rq))
        parse_binary(rq);
    else
        parse_text(rq);
}

enum err request_input(struct enclave_request *rq, const struct enclave_input *input)
{
    struct span signature = input->signature_b64, blob = input->ciphertext_blob_b64;

    rq->input.form = input->form; /* a refusal takes it, too */
    if (signature.len > SIGNATURE_TEXT_MAX || blob.len > BASE64_TEXT_BYTES(CIPHERTEXT_BLOB_MAX))
        return ERR_LIMIT;
    rq->input = *input;
    rq->input.signature_b64 = rq->input.ciphertext_blob_b64 = SPAN_EMPTY;
    if (signature.len + blob.len == 0)
        return ERR_OK;
    rq->scratch = BUF_INIT(signature.len + blob.len);
    enum err r = buf_append(&rq->scratch, signature);
    if (r == ERR_OK)
        r = buf_append(&rq->scratch, blob);
    if (r != ERR_OK)
        return r;
    rq->input.signature_b64 = span_sub(buf_view(&rq->scratch), 0, signature.len);
    rq->input.ciphertext_blob_b64 = span_from(buf_view(&rq->scratch), signature.len);
    return ERR_OK;
}

static struct span keep(struct buf *kept, struct span s)
{
    size_t at = kept->len;

    if (!s.ptr || buf_append(kept, s) != ERR_OK) /* there is room: the caller reserved it */
        return SPAN_EMPTY;
    return span_from(buf_view(kept), at);
}

enum err request_keep(struct enclave_request *rq, const struct kms_answer *a)
{
    size_t sum = a->ciphertext_for_recipient.len + a->ciphertext_blob_b64.len + a->key_id.len +
                 a->error_type.len + a->error_message.len + a->request_id.len + 1;
    uint8_t *room;

    buf_clear(&rq->kept);
    rq->kept.max = sum;
    enum err r = buf_reserve(&rq->kept, sum, &room);
    if (r != ERR_OK)
        return r;
    rq->for_recipient = keep(&rq->kept, a->ciphertext_for_recipient);
    rq->new_blob_b64 = keep(&rq->kept, a->ciphertext_blob_b64);
    rq->key_id = keep(&rq->kept, a->key_id);
    rq->kms_type = keep(&rq->kept, a->error_type);
    rq->kms_message = keep(&rq->kept, a->error_message);
    rq->kms_request_id = keep(&rq->kept, a->request_id);
    return ERR_OK;
}
