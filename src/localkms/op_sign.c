/* op_sign.c - Sign, Verify. A digest has to be as long as the algorithm's hash; Verify never says
 * false: a signature that does not hold is KMSInvalidSignatureException. */
#include "localkms/call.h"

enum { MESSAGE_MAX_BYTES = 4096, SIGNATURE_MAX_BYTES = 6144 };

static const char *const algorithms[] = {
    "RSASSA_PSS_SHA_256",
    "RSASSA_PSS_SHA_384",
    "RSASSA_PSS_SHA_512",
    "RSASSA_PKCS1_V1_5_SHA_256",
    "RSASSA_PKCS1_V1_5_SHA_384",
    "RSASSA_PKCS1_V1_5_SHA_512",
    "ECDSA_SHA_256",
    "ECDSA_SHA_384",
    "ECDSA_SHA_512",
    "SM2DSA",
    "ML_DSA_SHAKE_256",
    "ED25519_SHA_512",
    "ED25519_PH_SHA_512",
    NULL,
};

struct sign {
    struct span key_id, algorithm, type;
    struct buf message, signature;
    bool message_given, signature_given;
    enum akey_sign_alg alg;
};

static void sign_clear(struct sign *in)
{
    buf_clear(&in->message);
    buf_clear(&in->signature);
}

#define SIGN_INIT                                                                                  \
    {                                                                                              \
        .message = BUF_INIT(INPUT_BODY_MAX_BYTES), .signature = BUF_INIT(INPUT_BODY_MAX_BYTES)     \
    }

static enum err members(struct call *c, bool verifies, struct sign *in)
{
    struct input *m = &c->in;
    enum err r = input_string(m, "KeyId", &in->key_id, &c->fault);

    if (r == ERR_OK)
        r = input_string(m, "SigningAlgorithm", &in->algorithm, &c->fault);
    if (r == ERR_OK)
        r = input_string(m, "MessageType", &in->type, &c->fault);
    if (r == ERR_OK)
        r = input_blob(m, "Message", &in->message, &in->message_given, &c->fault);
    if (r == ERR_OK && verifies)
        r = input_blob(m, "Signature", &in->signature, &in->signature_given, &c->fault);
    return r == ERR_OK ? call_take_dry_run(c) : r;
}

static enum err constraints(struct call *c, bool verifies, const struct sign *in)
{
    static const char *const types[] = { "RAW", "DIGEST", "EXTERNAL_MU", NULL };
    AUTO(checks_clear) struct checks check = CHECKS_INIT;

    call_check_key_id(&check, in->key_id);
    check_required(&check, "message", in->message_given);
    if (in->message_given)
        check_hidden_length(&check, "message", in->message.len, 1, MESSAGE_MAX_BYTES);
    check_enum(&check, "messageType", in->type, types);
    if (verifies) {
        check_required(&check, "signature", in->signature_given);
        if (in->signature_given)
            check_hidden_length(&check, "signature", in->signature.len, 1, SIGNATURE_MAX_BYTES);
    }
    check_required(&check, "signingAlgorithm", in->algorithm.ptr != NULL);
    check_enum(&check, "signingAlgorithm", in->algorithm, algorithms);
    enum err r = checks_end(&check, &c->fault);
    return r == ERR_OK ? call_take_grants(c) : r;
}

static bool is_digest(const struct sign *in)
{
    return span_is(in->type, "DIGEST");
}

/* The algorithm is one of the key's, and the message what it takes. */
static enum err check_algorithm(struct call *c, struct sign *in)
{
    if (!key_sign_alg(in->algorithm, &in->alg) ||
        !akey_alg_fits(key_spec_pair(c->key->row.spec), in->alg))
        return call_bad_algorithm(c, in->algorithm);
    size_t digest = akey_digest_bytes(in->alg);
    if (span_is(in->type, "EXTERNAL_MU") || (is_digest(in) && digest == 0))
        return fault_set(&c->fault, FAULT_VALIDATION,
                         "MessageType %.*s is not valid for algorithm %.*s.", (int)in->type.len,
                         (const char *)in->type.ptr, (int)in->algorithm.len,
                         (const char *)in->algorithm.ptr);
    return !is_digest(in) || in->message.len == digest
               ? ERR_OK
               : fault_set(&c->fault, FAULT_VALIDATION,
                           "Digest is invalid length for algorithm %.*s.", (int)in->algorithm.len,
                           (const char *)in->algorithm.ptr);
}

/* Everything before the key is used; with its pair. */
static enum err prepare(struct call *c, bool verifies, struct sign *in, const struct akey **pair)
{
    enum err r = members(c, verifies, in);

    if (r == ERR_OK)
        r = constraints(c, verifies, in);
    if (r == ERR_OK)
        r = call_find_key(c, in->key_id);
    if (r != ERR_OK)
        return r;
    call_fact(c, SPAN_LIT("kms:SigningAlgorithm"), in->algorithm);
    call_fact(c, SPAN_LIT("kms:MessageType"), in->type.ptr ? in->type : SPAN_LIT("RAW"));
    r = call_authorize(c, verifies ? "kms:Verify" : "kms:Sign");
    if (r == ERR_OK)
        r = call_check_usage(c, KEY_SIGN_VERIFY, verifies ? "Verify" : "Sign");
    if (r == ERR_OK)
        r = call_check_state(c);
    if (r == ERR_OK)
        r = check_algorithm(c, in);
    if (r == ERR_OK)
        r = call_check_dry_run(c);
    return r == ERR_OK ? call_fail(c, vault_pair(c->k->vault, c->key, pair)) : r;
}

enum err op_sign(struct call *c)
{
    AUTO(sign_clear) struct sign in = SIGN_INIT;
    AUTO(buf_clear) struct buf signature = BUF_INIT(AKEY_SIGNATURE_MAX_BYTES);
    const struct akey *pair = NULL;

    enum err r = prepare(c, false, &in, &pair);
    if (r == ERR_OK)
        r = call_fail(
            c, akey_sign(c->cx, pair, in.alg, buf_view(&in.message), is_digest(&in), &signature));
    if (r != ERR_OK)
        return r;
    call_put_text(c, "KeyId", span_str(c->key_arn));
    call_put_blob(c, "Signature", buf_view(&signature));
    call_put_text(c, "SigningAlgorithm", in.algorithm);
    return ERR_OK;
}

enum err op_verify(struct call *c)
{
    AUTO(sign_clear) struct sign in = SIGN_INIT;
    const struct akey *pair = NULL;

    enum err r = prepare(c, true, &in, &pair);
    if (r != ERR_OK)
        return r;
    r = akey_verify(c->cx, pair, in.alg, buf_view(&in.message), is_digest(&in),
                    buf_view(&in.signature));
    if (r == ERR_VERIFY)
        return fault_bare(&c->fault, FAULT_KMS_INVALID_SIGNATURE);
    if (r != ERR_OK)
        return call_fail(c, r);
    call_put_text(c, "KeyId", span_str(c->key_arn));
    call_put_bool(c, "SignatureValid", true);
    call_put_text(c, "SigningAlgorithm", in.algorithm);
    return ERR_OK;
}
