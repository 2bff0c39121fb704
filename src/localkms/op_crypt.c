/* op_crypt.c - Encrypt, Decrypt. */
#include "localkms/blob.h"
#include "localkms/call.h"

#define OTHER_KEY                                                                                  \
    "The ciphertext refers to a customer master key that does not exist, does not exist in this "  \
    "region, or you are not allowed to access."
#define WRONG_KEY                                                                                  \
    "The key ID in the request does not identify a CMK that can perform this operation."

static const char *const algorithms[] = { "SYMMETRIC_DEFAULT", "RSAES_OAEP_SHA_1",
                                          "RSAES_OAEP_SHA_256", "SM2PKE", NULL };

static void put_text(struct json_out *out, const char *name, struct span value)
{
    json_out_key(out, name);
    json_out_string(out, value);
}

struct crypt {
    struct span key_id, algorithm;
    struct buf data; /* Plaintext or CiphertextBlob */
    bool data_given;
};

static void crypt_clear(struct crypt *in)
{
    buf_clear(&in->data);
}

static enum err members(struct call *c, const char *data, struct crypt *in)
{
    enum err r = input_string(&c->in, "KeyId", &in->key_id, &c->fault);

    if (r == ERR_OK)
        r = input_string(&c->in, "EncryptionAlgorithm", &in->algorithm, &c->fault);
    if (r == ERR_OK)
        r = input_blob(&c->in, data, &in->data, &in->data_given, &c->fault);
    if (r == ERR_OK)
        r = call_take_context(c);
    if (r == ERR_OK)
        r = call_take_dry_run(c);
    return r;
}

static enum err constraints(struct call *c, const struct crypt *in, bool key_required,
                            const char *data, size_t data_max)
{
    AUTO(checks_clear) struct checks check = CHECKS_INIT;

    if (key_required)
        check_required(&check, "keyId", in->key_id.ptr != NULL);
    check_length(&check, "keyId", in->key_id, 1, KEY_REF_MAX_BYTES);
    check_required(&check, data, in->data_given);
    if (in->data_given)
        check_hidden_length(&check, data, in->data.len, 1, data_max);
    check_enum(&check, "encryptionAlgorithm", in->algorithm, algorithms);
    enum err r = checks_end(&check, &c->fault);
    return r == ERR_OK ? call_take_grants(c) : r;
}

static bool is_symmetric(struct span algorithm)
{
    return !algorithm.ptr || span_is(algorithm, "SYMMETRIC_DEFAULT");
}

static enum err seal(struct call *c, const struct crypt *in)
{
    AUTO(buf_clear) struct buf blob = BUF_INIT(BLOB_MAX_BYTES);

    enum err r = blob_seal(c->cx, span_str(c->key->row.id), c->key->row.material,
                           secret_view(&c->key->material), buf_view(&c->context_bytes),
                           buf_view(&in->data), &blob);
    if (r != ERR_OK)
        return call_fail(c, r);
    json_out_key(&c->out, "CiphertextBlob");
    json_out_base64(&c->out, buf_view(&blob));
    put_text(&c->out, "EncryptionAlgorithm", SPAN_LIT("SYMMETRIC_DEFAULT"));
    put_text(&c->out, "KeyId", span_str(c->key_arn));
    return ERR_OK;
}

enum err op_encrypt(struct call *c)
{
    AUTO(crypt_clear) struct crypt in = { .data = BUF_INIT(INPUT_BODY_MAX_BYTES) };

    enum err r = members(c, "Plaintext", &in);
    if (r == ERR_OK)
        r = constraints(c, &in, true, "plaintext", BLOB_PLAIN_MAX_BYTES);
    if (r == ERR_OK)
        r = call_find_key(c, in.key_id);
    if (r == ERR_OK)
        r = call_crypto_facts(c);
    if (r == ERR_OK)
        r = call_authorize(c, "kms:Encrypt");
    if (r == ERR_OK)
        r = call_check_usage(c, "ENCRYPT_DECRYPT", "Encrypt");
    if (r == ERR_OK)
        r = call_check_state(c);
    if (r == ERR_OK && !is_symmetric(in.algorithm))
        r = fault_set(&c->fault, FAULT_INVALID_KEY_USAGE,
                      "Algorithm %.*s is incompatible with key spec SYMMETRIC_DEFAULT.",
                      (int)in.algorithm.len, (const char *)in.algorithm.ptr);
    return r == ERR_OK ? seal(c, &in) : r;
}

/* The blob's key, which has to be the one that the request names, if it names one. A blob that is
 * not ours, and one whose key is not here, are told apart as KMS does. */
static enum err find_keys(struct call *c, struct span key_id, const struct blob *b)
{
    char id[KEY_ID_BYTES + 1] = "";
    bool found = false;

    memcpy(id, b->key_id.ptr, KEY_ID_BYTES);
    if (key_id.ptr) {
        enum err r = call_find_key(c, key_id);
        if (r != ERR_OK)
            return r;
        return strcmp(c->key->row.id, id) == 0
                   ? ERR_OK
                   : fault_set(&c->fault, FAULT_INCORRECT_KEY, WRONG_KEY);
    }
    enum err r = call_find_key_by_id(c, id, &found);
    if (r != ERR_OK)
        return r;
    return found ? ERR_OK : fault_set(&c->fault, FAULT_ACCESS_DENIED, OTHER_KEY);
}

static enum err open_blob(struct call *c, const struct blob *b)
{
    AUTO(secret_clear) struct secret plain = { 0 };

    if (b->material != c->key->row.material)
        return fault_bare(&c->fault, FAULT_INVALID_CIPHERTEXT);
    enum err r =
        blob_open(c->cx, b, secret_view(&c->key->material), buf_view(&c->context_bytes), &plain);
    if (r == ERR_VERIFY)
        return fault_bare(&c->fault, FAULT_INVALID_CIPHERTEXT);
    if (r == ERR_OK)
        r = call_put_secret(c, "Plaintext", &plain);
    if (r != ERR_OK)
        return call_fail(c, r);
    put_text(&c->out, "EncryptionAlgorithm", SPAN_LIT("SYMMETRIC_DEFAULT"));
    put_text(&c->out, "KeyId", span_str(c->key_arn));
    call_put_key_material_id(c, "KeyMaterialId");
    return ERR_OK;
}

enum err op_decrypt(struct call *c)
{
    AUTO(crypt_clear) struct crypt in = { .data = BUF_INIT(INPUT_BODY_MAX_BYTES) };
    struct blob b;

    enum err r = members(c, "CiphertextBlob", &in);
    if (r == ERR_OK)
        r = constraints(c, &in, false, "ciphertextBlob", BLOB_MAX_BYTES);
    if (r == ERR_OK)
        r = call_take_recipient(c);
    if (r == ERR_OK && blob_parse(buf_view(&in.data), &b) != ERR_OK)
        r = fault_bare(&c->fault, FAULT_INVALID_CIPHERTEXT);
    if (r == ERR_OK)
        r = find_keys(c, in.key_id, &b);
    if (r == ERR_OK)
        r = call_crypto_facts(c);
    if (r == ERR_OK)
        r = call_authorize(c, "kms:Decrypt");
    if (r == ERR_OK)
        r = call_check_usage(c, "ENCRYPT_DECRYPT", "Decrypt");
    if (r == ERR_OK)
        r = call_check_state(c);
    if (r == ERR_OK && !is_symmetric(in.algorithm))
        r = fault_bare(&c->fault, FAULT_INVALID_CIPHERTEXT);
    return r == ERR_OK ? open_blob(c, &b) : r;
}
