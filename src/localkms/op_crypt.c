/* op_crypt.c - Encrypt, Decrypt. */
#include "localkms/crypt.h"
#include "localkms/modifiers.h"

struct crypt {
    struct span key_id, algorithm;
    struct buf data; /* Plaintext or CiphertextBlob */
    bool data_given, ignore_ciphertext;
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

static enum err constraints(struct call *c, const struct crypt *in, bool encrypts, const char *data,
                            size_t data_max)
{
    AUTO(checks_clear) struct checks check = CHECKS_INIT;

    if (encrypts)
        check_required(&check, "keyId", in->key_id.ptr != NULL);
    check_length(&check, "keyId", in->key_id, 1, KEY_REF_MAX_BYTES);
    check_required(&check, data, in->data_given || in->ignore_ciphertext);
    if (in->data_given)
        check_hidden_length(&check, data, in->data.len, 1, data_max);
    check_enum(&check, "encryptionAlgorithm", in->algorithm, crypt_algorithms);
    enum err r = checks_end(&check, &c->fault);
    return r == ERR_OK ? call_take_grants(c) : r;
}

static struct span algorithm_name(struct span algorithm)
{
    return algorithm.ptr ? algorithm : SPAN_LIT("SYMMETRIC_DEFAULT");
}

static enum err seal(struct call *c, const struct crypt *in)
{
    AUTO(buf_clear) struct buf blob = BUF_INIT(BLOB_MAX_BYTES);

    enum err r = crypt_seal(c, in->algorithm, buf_view(&in->data), &blob);
    if (r != ERR_OK)
        return r;
    call_put_blob(c, "CiphertextBlob", buf_view(&blob));
    call_put_text(c, "EncryptionAlgorithm", algorithm_name(in->algorithm));
    call_put_text(c, "KeyId", span_str(c->key_arn));
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
        r = call_crypto_facts(c, in.algorithm);
    if (r == ERR_OK)
        r = call_authorize(c, "kms:Encrypt");
    if (r == ERR_OK)
        r = call_check_usage(c, KEY_ENCRYPT_DECRYPT, "Encrypt");
    if (r == ERR_OK)
        r = call_check_state(c);
    if (r == ERR_OK)
        r = crypt_check_algorithm(c, in.algorithm);
    if (r == ERR_OK)
        r = call_check_dry_run(c);
    return r == ERR_OK ? seal(c, &in) : r;
}

static enum err open_blob(struct call *c, const struct crypt *in, const struct blob *b)
{
    AUTO(secret_clear) struct secret plain = { 0 };
    uint32_t number = 0;

    enum err r = crypt_open(c, in->algorithm, buf_view(&in->data), b, &plain, &number);
    if (r == ERR_OK)
        r = call_put_secret(c, "Plaintext", &plain);
    if (r != ERR_OK)
        return r;
    call_put_text(c, "EncryptionAlgorithm", algorithm_name(in->algorithm));
    call_put_text(c, "KeyId", span_str(c->key_arn));
    if (number)
        call_put_material_id(c, "KeyMaterialId", number);
    return ERR_OK;
}

/* An algorithm that is not the key's looks to a caller like a damaged ciphertext. */
static enum err fitting(struct call *c, struct span algorithm)
{
    enum err r = crypt_check_algorithm(c, algorithm);

    return r == ERR_DENIED && c->fault.kind == FAULT_INVALID_KEY_USAGE
               ? fault_bare(&c->fault, FAULT_INVALID_CIPHERTEXT)
               : r;
}

static enum err find_source(struct call *c, const struct crypt *in, struct blob *b)
{
    return in->ignore_ciphertext
               ? call_find_key(c, in->key_id)
               : crypt_find_source(c, in->key_id, in->algorithm, buf_view(&in->data), b);
}

enum err op_decrypt(struct call *c)
{
    AUTO(crypt_clear) struct crypt in = { .data = BUF_INIT(INPUT_BODY_MAX_BYTES) };
    struct blob b = { .material = 0 };

    enum err r = members(c, "CiphertextBlob", &in);
    if (r == ERR_OK)
        r = modifiers_take(c, in.data_given, in.key_id, &in.ignore_ciphertext);
    if (r == ERR_OK)
        r = constraints(c, &in, false, "ciphertextBlob", BLOB_MAX_BYTES);
    if (r == ERR_OK)
        r = call_take_recipient(c);
    if (r == ERR_OK)
        r = find_source(c, &in, &b);
    if (r == ERR_OK)
        r = call_crypto_facts(c, in.algorithm);
    if (r == ERR_OK)
        r = call_authorize(c, "kms:Decrypt");
    if (r == ERR_OK)
        r = call_check_usage(c, KEY_ENCRYPT_DECRYPT, "Decrypt");
    if (r == ERR_OK)
        r = call_check_state(c);
    if (r == ERR_OK)
        r = fitting(c, in.algorithm);
    if (r == ERR_OK)
        r = call_check_dry_run(c);
    return r == ERR_OK ? open_blob(c, &in, &b) : r;
}
