/* op_create.c - CreateKey. */
#include "localkms/call.h"
#include "localkms/op_policy.h"
#include "localkms/tags.h"

#define NO_USAGE                                                                                   \
    "You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys."

struct create {
    struct span description, policy, usage, spec, old_spec, origin;
    bool bypass, multi_region;
    struct policy *compiled;
    struct key_row kind; /* spec, usage, origin and multi_region of it */
    struct tags tags;
    struct secret pkcs8;
};

static void create_clear(struct create *in)
{
    policy_free(in->compiled);
    tags_clear(&in->tags);
    secret_clear(&in->pkcs8);
}

static enum err create_members(struct call *c, struct create *in)
{
    struct input *m = &c->in;

    enum err r = input_string(m, "Policy", &in->policy, &c->fault);
    if (r == ERR_OK)
        r = input_string(m, "Description", &in->description, &c->fault);
    if (r == ERR_OK)
        r = input_string(m, "KeyUsage", &in->usage, &c->fault);
    if (r == ERR_OK)
        r = input_string(m, "KeySpec", &in->spec, &c->fault);
    if (r == ERR_OK)
        r = input_string(m, "CustomerMasterKeySpec", &in->old_spec, &c->fault);
    if (r == ERR_OK)
        r = input_string(m, "Origin", &in->origin, &c->fault);
    if (r == ERR_OK)
        r = input_bool(m, "MultiRegion", &in->multi_region, &c->fault);
    if (r == ERR_OK)
        r = input_bool(m, "BypassPolicyLockoutSafetyCheck", &in->bypass, &c->fault);
    return r;
}

static enum err create_constraints(struct call *c, const struct create *in)
{
    static const char *const usages[] = { "SIGN_VERIFY", "ENCRYPT_DECRYPT", "GENERATE_VERIFY_MAC",
                                          "KEY_AGREEMENT", NULL };
    static const char *const specs[] = { "RSA_2048",
                                         "RSA_3072",
                                         "RSA_4096",
                                         "ECC_NIST_P256",
                                         "ECC_NIST_P384",
                                         "ECC_NIST_P521",
                                         "ECC_SECG_P256K1",
                                         "SYMMETRIC_DEFAULT",
                                         "HMAC_224",
                                         "HMAC_256",
                                         "HMAC_384",
                                         "HMAC_512",
                                         "SM2",
                                         "ML_DSA_44",
                                         "ML_DSA_65",
                                         "ML_DSA_87",
                                         "ECC_NIST_EDWARDS25519",
                                         NULL };
    static const char *const origins[] = { "AWS_KMS", "EXTERNAL", "AWS_CLOUDHSM",
                                           "EXTERNAL_KEY_STORE", NULL };
    AUTO(checks_clear) struct checks check = CHECKS_INIT;

    check_length(&check, "policy", in->policy, 1, 131072);
    check_policy_characters(&check, "policy", in->policy);
    check_length(&check, "description", in->description, 0, KEY_DESCRIPTION_MAX_BYTES);
    check_enum(&check, "keyUsage", in->usage, usages);
    check_enum(&check, "keySpec", in->spec, specs);
    check_enum(&check, "customerMasterKeySpec", in->old_spec, specs);
    check_enum(&check, "origin", in->origin, origins);
    return checks_end(&check, &c->fault);
}

static enum err create_spec(struct call *c, struct create *in)
{
    struct span spec = in->spec.ptr ? in->spec : in->old_spec;

    if (in->spec.ptr && in->old_spec.ptr)
        return fault_set(&c->fault, FAULT_VALIDATION,
                         "You cannot specify KeySpec and CustomerMasterKeySpec in the same "
                         "request. CustomerMasterKeySpec is deprecated.");
    if (!spec.ptr)
        spec = SPAN_LIT("SYMMETRIC_DEFAULT");
    if (key_spec_by_name(spec, &in->kind.spec))
        return ERR_OK;
    return fault_set(&c->fault, FAULT_UNSUPPORTED, "KeySpec %.*s is not supported here.",
                     (int)spec.len, (const char *)spec.ptr);
}

static enum err create_usage(struct call *c, struct create *in)
{
    in->kind.usage = KEY_ENCRYPT_DECRYPT;
    if (!in->usage.ptr)
        return in->kind.spec == KEY_SYMMETRIC ? ERR_OK
                                              : fault_set(&c->fault, FAULT_VALIDATION, NO_USAGE);
    if (key_usage_by_name(in->usage, &in->kind.usage) &&
        key_spec_allows(in->kind.spec, in->kind.usage))
        return ERR_OK;
    return fault_set(&c->fault, FAULT_VALIDATION, "KeyUsage %.*s is not compatible with KeySpec %s",
                     (int)in->usage.len, (const char *)in->usage.ptr, key_spec_name(in->kind.spec));
}

/* What the service model has and this program has not is refused, not passed over. */
static enum err create_kind(struct call *c, struct create *in)
{
    static const char *const others[] = { "CustomKeyStoreId", "XksKeyId" };
    struct span value = SPAN_EMPTY;

    enum err r = create_spec(c, in);
    if (r == ERR_OK)
        r = create_usage(c, in);
    for (size_t i = 0; i < sizeof others / sizeof others[0] && r == ERR_OK; i++) {
        r = input_string(&c->in, others[i], &value, &c->fault);
        if (r == ERR_OK && value.ptr)
            r = fault_set(&c->fault, FAULT_UNSUPPORTED, "%s is not supported here.", others[i]);
    }
    if (r != ERR_OK)
        return r;
    in->kind.origin = span_is(in->origin, "EXTERNAL") ? KEY_EXTERNAL : KEY_AWS_KMS;
    in->kind.multi_region = in->multi_region;
    return !in->origin.ptr || span_is(in->origin, key_origin_name(in->kind.origin))
               ? ERR_OK
               : fault_set(&c->fault, FAULT_UNSUPPORTED, "Origin %.*s is not supported here.",
                           (int)in->origin.len, (const char *)in->origin.ptr);
}

static enum err create(struct call *c, const struct create *in, struct span policy)
{
    const struct key_new n = {
        .spec = in->kind.spec,
        .usage = in->kind.usage,
        .origin = in->kind.origin,
        .multi_region = in->kind.multi_region,
        .description = in->description,
        .policy = policy,
        .tags = in->tags.all,
        .n_tags = in->tags.n,
        .material = secret_view(&in->pkcs8),
    };
    bool found = false;

    enum err r = call_fail_store(c, vault_create(c->k->vault, &n, c->now_ms, &c->key), STORE_WRITE);
    return r == ERR_OK ? call_find_key_by_id(c, c->key->row.id, &found) : r;
}

/* What takes long is made elsewhere. */
static enum err create_pair(struct call *c, struct create *in)
{
    AUTO(buf_clear) struct buf unused = BUF_INIT(1024);
    enum keypair_spec pair = key_spec_pair(in->kind.spec);

    return in->kind.origin == KEY_AWS_KMS && pair <= KEYPAIR_RSA_4096
               ? call_new_pair(c, pair, &in->pkcs8, &unused)
               : ERR_OK;
}

enum err op_create_key(struct call *c)
{
    AUTO(create_clear) struct create in = { .compiled = NULL, .tags = TAGS_INIT };
    AUTO(buf_clear) struct buf made = BUF_INIT(POLICY_MAX_BYTES);

    enum err r = create_members(c, &in);
    if (r == ERR_OK)
        r = create_constraints(c, &in);
    if (r == ERR_OK)
        r = tags_take(c, false, &in.tags);
    if (r == ERR_OK)
        r = create_kind(c, &in);
    if (r != ERR_OK)
        return r;
    call_key_facts(c, &in.kind);
    call_fact(c, SPAN_LIT("kms:BypassPolicyLockoutSafetyCheck"),
              in.bypass ? SPAN_LIT("true") : SPAN_LIT("false"));
    r = call_authorize(c, "kms:CreateKey");
    if (r == ERR_OK && in.policy.ptr)
        r = policy_take(c, in.policy, in.bypass, &in.compiled);
    if (r == ERR_OK && !in.policy.ptr)
        r = call_fail(c, policy_default(c->k, &made));
    if (r == ERR_OK)
        r = create_pair(c, &in);
    if (r == ERR_OK)
        r = create(c, &in, in.policy.ptr ? in.policy : buf_view(&made));
    if (r == ERR_OK)
        call_put_metadata(c);
    return r;
}
