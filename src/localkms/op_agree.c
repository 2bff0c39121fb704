/* op_agree.c - DeriveSharedSecret, for keys of usage KEY_AGREEMENT; GetPublicKey, for any pair. */
#include "localkms/call.h"

enum { PUBLIC_KEY_MAX_BYTES = 8192, SPKI_MAX_BYTES = 1024 };

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

static enum err derive(struct call *c, struct span peer)
{
    AUTO(secret_clear) struct secret z = { 0 };
    const struct ecdh_key *key = NULL;
    struct why why = { 0 };

    enum err r = call_fail(c, vault_agree(c->k->vault, c->key, &key));
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
    call_put_text(c, "KeyId", span_str(c->key_arn));
    call_put_text(c, "KeyAgreementAlgorithm", SPAN_LIT("ECDH"));
    call_put_text(c, "KeyOrigin", span_str(key_origin_name(c->key->row.origin)));
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
    r = call_ready(c, "kms:DeriveSharedSecret", KEY_KEY_AGREEMENT);
    return r == ERR_OK ? derive(c, buf_view(&in.peer)) : r;
}

/* Of an agreement key the point is in another kind of object. */
static enum err public_key(struct call *c, struct buf *spki)
{
    const struct ecdh_key *agree = NULL;
    const struct akey *pair = NULL;
    enum err r;

    if (c->key->row.usage == KEY_KEY_AGREEMENT) {
        r = vault_agree(c->k->vault, c->key, &agree);
        return call_fail(c, r == ERR_OK ? ecdh_key_public(agree, spki) : r);
    }
    r = vault_pair(c->k->vault, c->key, &pair);
    return call_fail(c, r == ERR_OK ? akey_public(pair, spki) : r);
}

static enum err public_answer(struct call *c)
{
    AUTO(buf_clear) struct buf spki = BUF_INIT(SPKI_MAX_BYTES);
    const struct key_row *row = &c->key->row;
    struct span spec = span_str(key_spec_name(row->spec));

    enum err r = public_key(c, &spki);
    if (r != ERR_OK)
        return r;
    call_put_text(c, "KeyId", span_str(c->key_arn));
    call_put_blob(c, "PublicKey", buf_view(&spki));
    call_put_text(c, "CustomerMasterKeySpec", spec);
    call_put_text(c, "KeySpec", spec);
    call_put_text(c, "KeyUsage", span_str(key_usage_name(row->usage)));
    call_put_list(c, key_algorithms_member(row->usage), key_algorithms(row->spec, row->usage));
    return ERR_OK;
}

enum err op_get_public_key(struct call *c)
{
    enum err r = call_named_key(c, "kms:GetPublicKey", KEY_REF_ANY);

    if (r == ERR_OK && !key_spec_is_pair(c->key->row.spec))
        r = fault_bare(&c->fault, FAULT_UNSUPPORTED);
    if (r == ERR_OK)
        r = call_check_state(c);
    return r == ERR_OK ? public_answer(c) : r;
}
