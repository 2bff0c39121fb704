/* op_pair.c - GenerateDataKeyPair, GenerateDataKeyPairWithoutPlaintext. */
#include "localkms/crypt.h"

enum { SPKI_MAX_BYTES = 1024 };

/* In the order of enum keypair_spec. */
static const char *const specs[KEYPAIR_SPECS + 1] = {
    "RSA_2048",
    "RSA_3072",
    "RSA_4096",
    "ECC_NIST_P256",
    "ECC_NIST_P384",
    "ECC_NIST_P521",
    "ECC_SECG_P256K1",
    "ECC_NIST_EDWARDS25519",
    "SM2",
    NULL,
};

struct pair {
    struct span key_id, spec;
};

static enum err members(struct call *c, struct pair *in)
{
    enum err r = input_string(&c->in, "KeyId", &in->key_id, &c->fault);

    if (r == ERR_OK)
        r = input_string(&c->in, "KeyPairSpec", &in->spec, &c->fault);
    if (r == ERR_OK)
        r = call_take_context(c);
    return r == ERR_OK ? call_take_dry_run(c) : r;
}

static enum err constraints(struct call *c, const struct pair *in)
{
    AUTO(checks_clear) struct checks check = CHECKS_INIT;

    check_required(&check, "keyId", in->key_id.ptr != NULL);
    check_length(&check, "keyId", in->key_id, 1, KEY_REF_MAX_BYTES);
    check_required(&check, "keyPairSpec", in->spec.ptr != NULL);
    check_enum(&check, "keyPairSpec", in->spec, specs);
    enum err r = checks_end(&check, &c->fault);
    if (r != ERR_OK)
        return r;
    /* China's Regions only (the service model's text). */
    if (span_is(in->spec, "SM2") && strcmp(c->k->partition, "aws-cn") != 0)
        return fault_set(&c->fault, FAULT_UNSUPPORTED,
                         "KeyPairSpec SM2 is not supported in this region.");
    return call_take_grants(c);
}

static enum keypair_spec spec_of(struct span name)
{
    int i = 0;

    while (!span_is(name, specs[i]))
        i++;
    return (enum keypair_spec)i;
}

static enum err answer(struct call *c, const struct pair *in, bool with_plaintext)
{
    AUTO(buf_clear) struct buf blob = BUF_INIT(BLOB_MAX_BYTES), spki = BUF_INIT(SPKI_MAX_BYTES);
    AUTO(secret_clear) struct secret pkcs8 = { 0 };

    enum err r = call_new_pair(c, spec_of(in->spec), &pkcs8, &spki);
    if (r == ERR_OK)
        r = crypt_blob(c, secret_view(&pkcs8), &blob);
    if (r != ERR_OK)
        return r;
    call_put_blob(c, "PrivateKeyCiphertextBlob", buf_view(&blob));
    r = with_plaintext ? call_put_secret(c, "PrivateKeyPlaintext", &pkcs8) : ERR_OK;
    if (r != ERR_OK)
        return r;
    call_put_blob(c, "PublicKey", buf_view(&spki));
    call_put_text(c, "KeyId", span_str(c->key_arn));
    call_put_text(c, "KeyPairSpec", in->spec);
    call_put_material_id(c, "KeyMaterialId", c->key->row.material);
    return ERR_OK;
}

static enum err generate(struct call *c, const char *action, bool with_plaintext)
{
    struct pair in = { .key_id = SPAN_EMPTY };

    enum err r = members(c, &in);
    if (r == ERR_OK)
        r = constraints(c, &in);
    if (r == ERR_OK && with_plaintext)
        r = call_take_recipient(c);
    if (r == ERR_OK)
        r = call_find_key(c, in.key_id);
    if (r != ERR_OK)
        return r;
    call_fact(c, SPAN_LIT("kms:DataKeyPairSpec"), in.spec);
    r = call_crypto_facts(c, SPAN_EMPTY);
    if (r == ERR_OK)
        r = call_authorize(c, action);
    if (r == ERR_OK)
        r = crypt_check_wraps(c, action + sizeof "kms:" - 1);
    return r == ERR_OK ? answer(c, &in, with_plaintext) : r;
}

enum err op_generate_data_key_pair(struct call *c)
{
    return generate(c, "kms:GenerateDataKeyPair", true);
}

enum err op_generate_data_key_pair_without_plaintext(struct call *c)
{
    return generate(c, "kms:GenerateDataKeyPairWithoutPlaintext", false);
}
