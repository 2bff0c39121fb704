#include "bin/kmstool/result.h"

#include "base/base64.h"
#include "base/json.h"

enum { AES_128_BYTES = 16, AES_256_BYTES = 32 };

bool result_is_plausible(const struct kms_call *call, struct span plain)
{
    if (call->op == KMS_GENERATE_RANDOM)
        return plain.len == call->number_of_bytes;
    if (call->op != KMS_GENERATE_DATA_KEY)
        return plain.len > 0;
    if (call->number_of_bytes > 0)
        return plain.len == call->number_of_bytes;
    return plain.len == (span_is(call->key_spec, "AES_128") ? AES_128_BYTES : AES_256_BYTES);
}

static enum err text_line(struct buf *out, const char *name, struct span b64)
{
    return buf_printf(out, "%s: %.*s\n", name, (int)b64.len, (const char *)b64.ptr);
}

static enum err bytes_line(struct buf *out, const char *name, struct span bytes)
{
    enum err r = buf_printf(out, "%s: ", name);

    if (r == ERR_OK)
        r = base64_append(out, bytes);
    return r == ERR_OK ? buf_append_str(out, "\n") : r;
}

static enum err lines(enum kmstool_command c, const struct kms_answer *answer, struct span plain,
                      struct buf *out)
{
    bool has_blob = c == KMSTOOL_GENKEY || c == KMSTOOL_GENKEYPAIR;
    enum err r = has_blob ? text_line(out, "CIPHERTEXT", answer->ciphertext_blob_b64) : ERR_OK;

    if (r == ERR_OK)
        r = bytes_line(out, c == KMSTOOL_DERIVE ? "SHARED_SECRET" : "PLAINTEXT", plain);
    if (r == ERR_OK && c == KMSTOOL_GENKEYPAIR)
        r = text_line(out, "PUBLIC_KEY", answer->public_key_b64);
    return r;
}

static void put_text(struct json_out *w, const char *name, struct span text)
{
    json_out_key(w, name);
    json_out_string(w, text);
}

static enum err json(const struct args *a, const struct kms_answer *answer, struct span plain,
                     struct buf *out)
{
    bool is_pair = a->command == KMSTOOL_GENKEYPAIR, is_derive = a->command == KMSTOOL_DERIVE;
    struct json_out w = json_out_init(out);

    json_out_object(&w);
    if (answer->key_id.len)
        put_text(&w, "KeyId", answer->key_id);
    if (is_pair)
        put_text(&w, "KeyPairSpec", span_str(a->key_spec));
    if (answer->ciphertext_blob_b64.len)
        put_text(&w, is_pair ? "PrivateKeyCiphertextBlob" : "CiphertextBlob",
                 answer->ciphertext_blob_b64);
    json_out_key(&w, is_pair ? "PrivateKeyPlaintext" : is_derive ? "SharedSecret" : "Plaintext");
    json_out_base64(&w, plain);
    if (is_pair)
        put_text(&w, "PublicKey", answer->public_key_b64);
    json_out_object_end(&w);
    enum err r = json_out_end(&w);
    return r == ERR_OK ? buf_append_str(out, "\n") : r;
}

enum err result_write(const struct args *a, const struct kms_answer *answer, struct span plain,
                      struct buf *out)
{
    size_t before = out->len;

    enum err r = a->json ? json(a, answer, plain, out) : lines(a->command, answer, plain, out);
    if (r != ERR_OK)
        buf_truncate(out, before);
    return r;
}
