/* op_agree.c - DeriveSharedSecret and GetPublicKey, for keys of usage KEY_AGREEMENT. */
#include "localkms/call.h"

enum { PUBLIC_KEY_MAX_BYTES = 8192, SPKI_MAX_BYTES = 256 };

static void put_text(struct json_out *out, const char *name, const char *value)
{
    json_out_key(out, name);
    json_out_string(out, span_str(value));
}

struct derive {
    struct span key_id, algorithm;
    struct buf peer;
    bool peer_given;
};

static void derive_clear(struct derive *in)
{
    buf_clear(&in->peer);
}

static enum err members(struct call *c, struct derive *in)
{
    enum err r = input_string(&c->in, "KeyId", &in->key_id, &c->fault);

    if (r == ERR_OK)
        r = input_string(&c->in, "KeyAgreementAlgorithm", &in->algorithm, &c->fault);
    if (r == ERR_OK)
        r = input_blob(&c->in, "PublicKey", &in->peer, &in->peer_given, &c->fault);
    return r == ERR_OK ? call_take_dry_run(c) : r;
}

static enum err constraints(struct call *c, const struct derive *in)
{
    static const char *const algorithms[] = { "ECDH", NULL };
    AUTO(checks_clear) struct checks check = CHECKS_INIT;

    check_required(&check, "keyId", in->key_id.ptr != NULL);
    check_length(&check, "keyId", in->key_id, 1, KEY_REF_MAX_BYTES);
    check_required(&check, "keyAgreementAlgorithm", in->algorithm.ptr != NULL);
    check_enum(&check, "keyAgreementAlgorithm", in->algorithm, algorithms);
    check_required(&check, "publicKey", in->peer_given);
    if (in->peer_given)
        check_hidden_length(&check, "publicKey", in->peer.len, 1, PUBLIC_KEY_MAX_BYTES);
    enum err r = checks_end(&check, &c->fault);
    return r == ERR_OK ? call_take_grants(c) : r;
}

static enum err open_key(struct call *c, struct ecdh_key **out)
{
    return call_fail(c, ecdh_key_from_seed(c->cx, key_spec_curve(c->key->row.spec),
                                           secret_view(&c->key->material), out));
}

static enum err derive(struct call *c, struct span peer)
{
    AUTO(ecdh_key_freep) struct ecdh_key *key = NULL;
    AUTO(secret_clear) struct secret z = { 0 };
    struct why why = { 0 };

    enum err r = open_key(c, &key);
    if (r != ERR_OK)
        return r;
    r = ecdh_derive(c->cx, key, peer, &z, &why);
    if (r == ERR_MALFORMED || r == ERR_UNSUPPORTED) /* the real wording is not known */
        return fault_set(&c->fault, FAULT_VALIDATION, "The public key is not a valid %s key (%s).",
                         key_spec_name(c->key->row.spec), why.what);
    if (r == ERR_OK)
        r = call_put_secret(c, "SharedSecret", &z);
    if (r != ERR_OK)
        return call_fail(c, r);
    put_text(&c->out, "KeyId", c->key_arn);
    put_text(&c->out, "KeyAgreementAlgorithm", "ECDH");
    put_text(&c->out, "KeyOrigin", "AWS_KMS");
    return ERR_OK;
}

enum err op_derive_shared_secret(struct call *c)
{
    AUTO(derive_clear) struct derive in = { .peer = BUF_INIT(INPUT_BODY_MAX_BYTES) };

    enum err r = members(c, &in);
    if (r == ERR_OK)
        r = constraints(c, &in);
    if (r == ERR_OK)
        r = call_take_recipient(c);
    if (r == ERR_OK)
        r = call_find_key(c, in.key_id);
    if (r != ERR_OK)
        return r;
    call_fact(c, SPAN_LIT("kms:KeyAgreementAlgorithm"), in.algorithm);
    r = call_authorize(c, "kms:DeriveSharedSecret");
    if (r == ERR_OK)
        r = call_check_usage(c, "KEY_AGREEMENT", "DeriveSharedSecret");
    if (r == ERR_OK)
        r = call_check_state(c);
    return r == ERR_OK ? derive(c, buf_view(&in.peer)) : r;
}

static enum err public_answer(struct call *c)
{
    AUTO(buf_clear) struct buf spki = BUF_INIT(SPKI_MAX_BYTES);
    AUTO(ecdh_key_freep) struct ecdh_key *key = NULL;
    const char *spec = key_spec_name(c->key->row.spec);

    enum err r = open_key(c, &key);
    if (r == ERR_OK)
        r = call_fail(c, ecdh_key_public(key, &spki));
    if (r != ERR_OK)
        return r;
    put_text(&c->out, "KeyId", c->key_arn);
    json_out_key(&c->out, "PublicKey");
    json_out_base64(&c->out, buf_view(&spki));
    put_text(&c->out, "CustomerMasterKeySpec", spec);
    put_text(&c->out, "KeySpec", spec);
    put_text(&c->out, "KeyUsage", key_spec_usage(c->key->row.spec));
    json_out_key(&c->out, "KeyAgreementAlgorithms");
    json_out_array(&c->out);
    json_out_string(&c->out, SPAN_LIT("ECDH"));
    json_out_array_end(&c->out);
    return ERR_OK;
}

enum err op_get_public_key(struct call *c)
{
    enum err r = call_named_key(c, "kms:GetPublicKey");

    if (r == ERR_OK && !key_spec_is_agreement(c->key->row.spec))
        r = fault_bare(&c->fault, FAULT_UNSUPPORTED);
    if (r == ERR_OK)
        r = call_check_state(c);
    return r == ERR_OK ? public_answer(c) : r;
}
