/* op_generate.c - GenerateDataKey, GenerateRandom. */
#include "localkms/blob.h"
#include "localkms/call.h"

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

static enum err data_key_answer(struct call *c, size_t bytes)
{
    AUTO(buf_clear) struct buf blob = BUF_INIT(BLOB_MAX_BYTES);
    AUTO(secret_clear) struct secret data_key = { 0 };

    enum err r = random_secret(c, bytes, &data_key);
    if (r != ERR_OK)
        return r;
    r = blob_seal(c->cx, span_str(c->key->row.id), c->key->row.material,
                  secret_view(&c->key->material), buf_view(&c->context_bytes),
                  secret_view(&data_key), &blob);
    if (r != ERR_OK)
        return call_fail(c, r);
    json_out_key(&c->out, "CiphertextBlob");
    json_out_base64(&c->out, buf_view(&blob));
    r = call_put_secret(c, "Plaintext", &data_key);
    if (r != ERR_OK)
        return r;
    json_out_key(&c->out, "KeyId");
    json_out_string(&c->out, span_str(c->key_arn));
    call_put_key_material_id(c, "KeyMaterialId");
    return ERR_OK;
}

enum err op_generate_data_key(struct call *c)
{
    struct generate in = { .bytes = 0 };

    enum err r = data_key_members(c, &in);
    if (r == ERR_OK)
        r = data_key_constraints(c, &in);
    if (r == ERR_OK)
        r = call_take_recipient(c);
    if (r == ERR_OK)
        r = call_find_key(c, in.key_id);
    if (r == ERR_OK)
        r = call_crypto_facts(c);
    if (r == ERR_OK)
        r = call_authorize(c, "kms:GenerateDataKey");
    if (r == ERR_OK)
        r = call_check_usage(c, "ENCRYPT_DECRYPT", "GenerateDataKey");
    if (r == ERR_OK)
        r = call_check_state(c);
    return r == ERR_OK ? data_key_answer(c, (size_t)in.bytes) : r;
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
