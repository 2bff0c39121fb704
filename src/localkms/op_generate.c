/* op_generate.c - GenerateDataKey, GenerateDataKeyWithoutPlaintext, GenerateRandom. */
#include "localkms/crypt.h"

enum { BYTES_MAX = 1024, AES_128_BYTES = 16, AES_256_BYTES = 32 };

struct generate {
    struct span key_id, spec;
    int64_t bytes;
    bool bytes_given;
};

static enum err data_key_members(struct call *c, struct generate *in)
{
    enum err r = input_string(&c->in, "KeyId", &in->key_id, &c->fault);

    if (r == ERR_OK)
        r = input_string(&c->in, "KeySpec", &in->spec, &c->fault);
    if (r == ERR_OK)
        r = input_int(&c->in, "NumberOfBytes", &in->bytes, &in->bytes_given, &c->fault);
    if (r == ERR_OK)
        r = call_take_context(c);
    if (r == ERR_OK)
        r = call_take_dry_run(c);
    return r;
}

static enum err data_key_constraints(struct call *c, struct generate *in)
{
    static const char *const specs[] = { "AES_256", "AES_128", NULL };
    AUTO(checks_clear) struct checks check = CHECKS_INIT;

    check_required(&check, "keyId", in->key_id.ptr != NULL);
    check_length(&check, "keyId", in->key_id, 1, KEY_REF_MAX_BYTES);
    check_enum(&check, "keySpec", in->spec, specs);
    if (in->bytes_given)
        check_range(&check, "numberOfBytes", in->bytes, 1, BYTES_MAX);
    enum err r = checks_end(&check, &c->fault);
    if (r != ERR_OK)
        return r;
    if (in->bytes_given == (in->spec.ptr != NULL))
        return fault_set(&c->fault, FAULT_VALIDATION,
                         "Please specify either number of bytes or key spec.");
    if (in->spec.ptr)
        in->bytes = span_is(in->spec, "AES_256") ? AES_256_BYTES : AES_128_BYTES;
    return call_take_grants(c);
}

static enum err random_secret(struct call *c, size_t len, struct secret *out)
{
    enum err r = secret_new(len, out);

    if (r == ERR_OK)
        r = rng_bytes(c->cx, out->ptr, out->len);
    return call_fail(c, r);
}

static enum err data_key_answer(struct call *c, size_t bytes, bool with_plaintext)
{
    AUTO(buf_clear) struct buf blob = BUF_INIT(BLOB_MAX_BYTES);
    AUTO(secret_clear) struct secret data_key = { 0 };

    enum err r = random_secret(c, bytes, &data_key);
    if (r == ERR_OK)
        r = crypt_blob(c, secret_view(&data_key), &blob);
    if (r != ERR_OK)
        return r;
    call_put_blob(c, "CiphertextBlob", buf_view(&blob));
    r = with_plaintext ? call_put_secret(c, "Plaintext", &data_key) : ERR_OK;
    if (r != ERR_OK)
        return r;
    call_put_text(c, "KeyId", span_str(c->key_arn));
    call_put_material_id(c, "KeyMaterialId", c->key->row.material);
    return ERR_OK;
}

/* A data key is made under a symmetric key only. */
static enum err generate(struct call *c, const char *action, bool with_plaintext)
{
    struct generate in = { .bytes = 0 };

    enum err r = data_key_members(c, &in);
    if (r == ERR_OK)
        r = data_key_constraints(c, &in);
    if (r == ERR_OK && with_plaintext)
        r = call_take_recipient(c);
    if (r == ERR_OK)
        r = call_find_key(c, in.key_id);
    if (r == ERR_OK)
        r = call_crypto_facts(c, SPAN_EMPTY);
    if (r == ERR_OK)
        r = call_authorize(c, action);
    if (r == ERR_OK)
        r = crypt_check_wraps(c, action + sizeof "kms:" - 1);
    return r == ERR_OK ? data_key_answer(c, (size_t)in.bytes, with_plaintext) : r;
}

enum err op_generate_data_key(struct call *c)
{
    return generate(c, "kms:GenerateDataKey", true);
}

enum err op_generate_data_key_without_plaintext(struct call *c)
{
    return generate(c, "kms:GenerateDataKeyWithoutPlaintext", false);
}

enum err op_generate_random(struct call *c)
{
    AUTO(checks_clear) struct checks check = CHECKS_INIT;
    AUTO(secret_clear) struct secret random = { 0 };
    struct span store = SPAN_EMPTY;
    int64_t bytes = 0;
    bool given = false;

    enum err r = input_int(&c->in, "NumberOfBytes", &bytes, &given, &c->fault);
    if (r == ERR_OK)
        r = input_string(&c->in, "CustomKeyStoreId", &store, &c->fault);
    if (r != ERR_OK)
        return r;
    if (given)
        check_range(&check, "numberOfBytes", bytes, 1, BYTES_MAX);
    r = checks_end(&check, &c->fault);
    if (r == ERR_OK && !given)
        r = fault_set(&c->fault, FAULT_VALIDATION, "NumberOfBytes is required.");
    if (r == ERR_OK && store.ptr)
        r = fault_set(&c->fault, FAULT_UNSUPPORTED, "Custom key stores are not supported here.");
    if (r == ERR_OK)
        r = call_take_recipient(c);
    if (r == ERR_OK)
        r = call_authorize(c, "kms:GenerateRandom");
    if (r == ERR_OK)
        r = random_secret(c, (size_t)bytes, &random);
    return r == ERR_OK ? call_put_secret(c, "Plaintext", &random) : r;
}
