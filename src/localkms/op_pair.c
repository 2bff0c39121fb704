/* op_pair.c - GenerateDataKeyPair. */
#include "crypto/keypair.h"
#include "localkms/blob.h"
#include "localkms/call.h"

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

static enum err answer(struct call *c, const struct pair *in)
{
    AUTO(buf_clear) struct buf blob = BUF_INIT(BLOB_MAX_BYTES), spki = BUF_INIT(SPKI_MAX_BYTES);
    AUTO(secret_clear) struct secret pkcs8 = { 0 };

    enum err r = keypair_new(c->cx, spec_of(in->spec), &pkcs8, &spki);
    if (r == ERR_OK)
        r = blob_seal(c->cx, span_str(c->key->row.id), c->key->row.material,
                      secret_view(&c->key->material), buf_view(&c->context_bytes),
                      secret_view(&pkcs8), &blob);
    if (r != ERR_OK)
        return call_fail(c, r);
    json_out_key(&c->out, "PrivateKeyCiphertextBlob");
    json_out_base64(&c->out, buf_view(&blob));
    r = call_put_secret(c, "PrivateKeyPlaintext", &pkcs8);
    if (r != ERR_OK)
        return r;
    json_out_key(&c->out, "PublicKey");
    json_out_base64(&c->out, buf_view(&spki));
    json_out_key(&c->out, "KeyId");
    json_out_string(&c->out, span_str(c->key_arn));
    json_out_key(&c->out, "KeyPairSpec");
    json_out_string(&c->out, in->spec);
    call_put_key_material_id(c, "KeyMaterialId");
    return ERR_OK;
}

enum err op_generate_data_key_pair(struct call *c)
{
    struct pair in = { .key_id = SPAN_EMPTY };

    enum err r = members(c, &in);
    if (r == ERR_OK)
        r = constraints(c, &in);
    if (r == ERR_OK)
        r = call_take_recipient(c);
    if (r == ERR_OK)
        r = call_find_key(c, in.key_id);
    if (r != ERR_OK)
        return r;
    call_fact(c, SPAN_LIT("kms:DataKeyPairSpec"), in.spec);
    r = call_crypto_facts(c);
    if (r == ERR_OK)
        r = call_authorize(c, "kms:GenerateDataKeyPair");
    if (r == ERR_OK)
        r = call_check_usage(c, "ENCRYPT_DECRYPT", "GenerateDataKeyPair");
    if (r == ERR_OK)
        r = call_check_state(c);
    return r == ERR_OK ? answer(c, &in) : r;
}
