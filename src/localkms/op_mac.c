/* op_mac.c - GenerateMac, VerifyMac. VerifyMac never says false: KMSInvalidMacException. */
#include "localkms/call.h"

enum { MESSAGE_MAX_BYTES = 4096, MAC_MEMBER_MAX_BYTES = 6144 };

static const char *const algorithms[] = { "HMAC_SHA_224", "HMAC_SHA_256", "HMAC_SHA_384",
                                          "HMAC_SHA_512", NULL };

struct mac {
    struct span key_id, algorithm;
    struct buf message, mac;
    bool message_given, mac_given;
    enum mac_alg alg;
};

static void mac_clear(struct mac *in)
{
    buf_clear(&in->message);
    buf_clear(&in->mac);
}

#define MAC_INIT                                                                                   \
    {                                                                                              \
        .message = BUF_INIT(INPUT_BODY_MAX_BYTES), .mac = BUF_INIT(INPUT_BODY_MAX_BYTES)           \
    }

static enum err members(struct call *c, bool verifies, struct mac *in)
{
    enum err r = input_string(&c->in, "KeyId", &in->key_id, &c->fault);

    if (r == ERR_OK)
        r = input_string(&c->in, "MacAlgorithm", &in->algorithm, &c->fault);
    if (r == ERR_OK)
        r = input_blob(&c->in, "Message", &in->message, &in->message_given, &c->fault);
    if (r == ERR_OK && verifies)
        r = input_blob(&c->in, "Mac", &in->mac, &in->mac_given, &c->fault);
    return r == ERR_OK ? call_take_dry_run(c) : r;
}

static enum err constraints(struct call *c, bool verifies, const struct mac *in)
{
    AUTO(checks_clear) struct checks check = CHECKS_INIT;

    check_required(&check, "message", in->message_given);
    if (in->message_given)
        check_hidden_length(&check, "message", in->message.len, 1, MESSAGE_MAX_BYTES);
    call_check_key_id(&check, in->key_id);
    check_required(&check, "macAlgorithm", in->algorithm.ptr != NULL);
    check_enum(&check, "macAlgorithm", in->algorithm, algorithms);
    if (verifies) {
        check_required(&check, "mac", in->mac_given);
        if (in->mac_given)
            check_hidden_length(&check, "mac", in->mac.len, 1, MAC_MEMBER_MAX_BYTES);
    }
    enum err r = checks_end(&check, &c->fault);
    return r == ERR_OK ? call_take_grants(c) : r;
}

static enum err compute(struct call *c, bool verifies, struct mac *in, uint8_t out[static 64])
{
    enum err r = members(c, verifies, in);

    if (r == ERR_OK)
        r = constraints(c, verifies, in);
    if (r == ERR_OK)
        r = call_find_key(c, in->key_id);
    if (r != ERR_OK)
        return r;
    call_fact(c, SPAN_LIT("kms:MacAlgorithm"), in->algorithm);
    r = call_authorize(c, verifies ? "kms:VerifyMac" : "kms:GenerateMac");
    if (r == ERR_OK)
        r = call_check_usage(c, KEY_GENERATE_VERIFY_MAC, verifies ? "VerifyMac" : "GenerateMac");
    if (r == ERR_OK)
        r = call_check_state(c);
    if (r == ERR_OK &&
        (!key_mac_alg(in->algorithm, &in->alg) || in->alg != key_spec_mac(c->key->row.spec)))
        r = call_bad_algorithm(c, in->algorithm);
    if (r == ERR_OK)
        r = call_check_dry_run(c);
    return r == ERR_OK ? call_fail(c, mac_compute(c->cx, in->alg, secret_view(&c->key->material),
                                                  buf_view(&in->message), out))
                       : r;
}

enum err op_generate_mac(struct call *c)
{
    AUTO(mac_clear) struct mac in = MAC_INIT;
    uint8_t mac[MAC_MAX_BYTES];

    enum err r = compute(c, false, &in, mac);
    if (r != ERR_OK)
        return r;
    call_put_text(c, "KeyId", span_str(c->key_arn));
    call_put_blob(c, "Mac", span_of(mac, mac_bytes(in.alg)));
    call_put_text(c, "MacAlgorithm", in.algorithm);
    return ERR_OK;
}

enum err op_verify_mac(struct call *c)
{
    AUTO(mac_clear) struct mac in = MAC_INIT;
    uint8_t mac[MAC_MAX_BYTES];

    enum err r = compute(c, true, &in, mac);
    if (r != ERR_OK)
        return r;
    if (!ct_eq(span_of(mac, mac_bytes(in.alg)), buf_view(&in.mac)))
        return fault_bare(&c->fault, FAULT_INVALID_MAC);
    call_put_text(c, "KeyId", span_str(c->key_arn));
    call_put_text(c, "MacAlgorithm", in.algorithm);
    call_put_bool(c, "MacValid", true);
    return ERR_OK;
}
