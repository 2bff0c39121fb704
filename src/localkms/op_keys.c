/* op_keys.c - CreateKey, DescribeKey, ListKeys. */
#include <stdio.h>
#include <stdlib.h>

#include "localkms/call.h"
#include "localkms/op_policy.h"

enum { LIST_DEFAULT = 100, LIST_MAX = 1000, MARKER_MAX_BYTES = 1024 };

struct create {
    struct span description, policy, usage, spec, old_spec, origin;
    bool bypass, multi_region;
    struct policy *compiled;
    enum key_spec kind;
};

static void create_clear(struct create *in)
{
    policy_free(in->compiled);
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

/* Of the kinds that there are here, each with its one usage. */
static enum err create_kind(struct call *c, struct create *in)
{
    struct span spec = in->spec.ptr ? in->spec : in->old_spec;

    if (!spec.ptr)
        spec = SPAN_LIT("SYMMETRIC_DEFAULT");
    if (!key_spec_by_name(spec, &in->kind))
        return fault_set(&c->fault, FAULT_UNSUPPORTED, "KeySpec %.*s is not supported here.",
                         (int)spec.len, (const char *)spec.ptr);
    if (!in->usage.ptr && key_spec_is_agreement(in->kind))
        return fault_set(&c->fault, FAULT_VALIDATION,
                         "You must specify a KeyUsage value for all KMS keys except for symmetric "
                         "encryption keys.");
    if (!in->usage.ptr || span_is(in->usage, key_spec_usage(in->kind)))
        return ERR_OK;
    if (key_spec_is_agreement(in->kind) && span_is(in->usage, "SIGN_VERIFY"))
        return fault_set(&c->fault, FAULT_UNSUPPORTED,
                         "KeyUsage SIGN_VERIFY is not supported here.");
    return fault_set(&c->fault, FAULT_VALIDATION,
                     "KeyUsage %.*s is not compatible with KeySpec %.*s", (int)in->usage.len,
                     (const char *)in->usage.ptr, (int)spec.len, (const char *)spec.ptr);
}

/* What the service model has and this program has not (yet) is refused, not passed over. */
static enum err create_supported(struct call *c, struct create *in)
{
    static const char *const others[] = { "CustomKeyStoreId", "XksKeyId" };
    struct span value = SPAN_EMPTY, tags = SPAN_EMPTY;

    enum err r = create_kind(c, in);
    if (r != ERR_OK)
        return r;
    if (in->multi_region || (in->origin.ptr && !span_is(in->origin, "AWS_KMS")))
        return fault_set(&c->fault, FAULT_UNSUPPORTED,
                         "Only Origin AWS_KMS and single-Region keys are supported here.");
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        r = input_string(&c->in, others[i], &value, &c->fault);
        if (r == ERR_OK && value.ptr)
            r = fault_set(&c->fault, FAULT_UNSUPPORTED, "%s is not supported here.", others[i]);
        if (r != ERR_OK)
            return r;
    }
    r = input_list(&c->in, "Tags", &tags, &c->fault);
    if (r == ERR_OK && tags.ptr) {
        struct json_in j = json_in_init(tags);
        json_in_array(&j);
        if (json_in_element(&j))
            r = fault_set(&c->fault, FAULT_UNSUPPORTED, "Tags are not supported here.");
    }
    return r;
}

/* Milliseconds as KMS writes them: seconds with a fraction. */
static void put_time(struct json_out *out, const char *name, int64_t ms)
{
    char text[32];
    int n = snprintf(text, sizeof text, "%lld.%03d", (long long)(ms / 1000), (int)(ms % 1000));

    json_out_key(out, name);
    json_out_raw(out, span_of(text, (size_t)n));
}

static void put_text(struct json_out *out, const char *name, struct span value)
{
    json_out_key(out, name);
    json_out_string(out, value);
}

static const char *state_name(enum key_state state)
{
    switch (state) {
    case KEY_ENABLED:
        return "Enabled";
    case KEY_DISABLED:
        return "Disabled";
    case KEY_PENDING_DELETION:
        return "PendingDeletion";
    case KEY_PENDING_IMPORT:
        return "PendingImport";
    }
    return "Unavailable";
}

static void put_algorithms(struct json_out *out, enum key_spec spec)
{
    bool agrees = key_spec_is_agreement(spec);

    json_out_key(out, agrees ? "KeyAgreementAlgorithms" : "EncryptionAlgorithms");
    json_out_array(out);
    json_out_string(out, agrees ? SPAN_LIT("ECDH") : SPAN_LIT("SYMMETRIC_DEFAULT"));
    json_out_array_end(out);
}

/* The member set of a fresh key (kms-recipient section 4, of a symmetric one). */
static void put_metadata(struct call *c)
{
    struct json_out *out = &c->out;
    const struct key_row *row = &c->key->row;
    struct span spec = span_str(key_spec_name(row->spec));

    json_out_key(out, "KeyMetadata");
    json_out_object(out);
    put_text(out, "AWSAccountId", span_str(c->k->account));
    put_text(out, "Arn", span_str(c->key_arn));
    put_time(out, "CreationDate", row->created_ms);
    if (!key_spec_is_agreement(row->spec))
        call_put_key_material_id(c, "CurrentKeyMaterialId");
    put_text(out, "CustomerMasterKeySpec", spec);
    put_text(out, "Description", buf_view(&row->description));
    json_out_key(out, "Enabled");
    json_out_bool(out, row->state == KEY_ENABLED);
    put_algorithms(out, row->spec);
    put_text(out, "KeyId", span_str(row->id));
    put_text(out, "KeyManager", SPAN_LIT("CUSTOMER"));
    put_text(out, "KeySpec", spec);
    put_text(out, "KeyState", span_str(state_name(row->state)));
    put_text(out, "KeyUsage", span_str(key_spec_usage(row->spec)));
    json_out_key(out, "MultiRegion");
    json_out_bool(out, false);
    put_text(out, "Origin", SPAN_LIT("AWS_KMS"));
    json_out_object_end(out);
}

/* What KMS gives a key that is made without one: the account's identity policies decide. */
static enum err default_policy(struct call *c, struct buf *out)
{
    return call_fail(
        c,
        buf_printf(out,
                   "{\"Version\":\"2012-10-17\",\"Id\":\"key-default-1\",\"Statement\":[{\"Sid\":"
                   "\"Enable IAM User Permissions\",\"Effect\":\"Allow\",\"Principal\":{\"AWS\":"
                   "\"arn:%s:iam::%s:root\"},\"Action\":\"kms:*\",\"Resource\":\"*\"}]}",
                   c->k->partition, c->k->account));
}

enum err op_create_key(struct call *c)
{
    AUTO(create_clear) struct create in = { .compiled = NULL };
    AUTO(buf_clear) struct buf made = BUF_INIT(POLICY_MAX_BYTES);

    enum err r = create_members(c, &in);
    if (r == ERR_OK)
        r = create_constraints(c, &in);
    if (r == ERR_OK)
        r = create_supported(c, &in);
    if (r != ERR_OK)
        return r;
    call_key_facts(c, in.kind);
    call_fact(c, SPAN_LIT("kms:BypassPolicyLockoutSafetyCheck"),
              in.bypass ? SPAN_LIT("true") : SPAN_LIT("false"));
    r = call_authorize(c, "kms:CreateKey");
    if (r == ERR_OK && in.policy.ptr)
        r = policy_take(c, in.policy, in.bypass, &in.compiled);
    if (r == ERR_OK && !in.policy.ptr)
        r = default_policy(c, &made);
    if (r == ERR_OK)
        r = call_fail_store(c,
                            vault_create_spec(c->k->vault, in.kind, in.description,
                                              in.policy.ptr ? in.policy : buf_view(&made),
                                              c->now_ms, &c->key),
                            STORE_WRITE);
    bool found = false;
    if (r == ERR_OK)
        r = call_find_key_by_id(c, c->key->row.id, &found);
    if (r == ERR_OK)
        put_metadata(c);
    return r;
}

enum err op_describe_key(struct call *c)
{
    enum err r = call_named_key(c, "kms:DescribeKey");

    if (r == ERR_OK)
        put_metadata(c);
    return r;
}

static void put_entry(struct call *c, const char *id)
{
    char arn[KEY_ARN_BYTES];

    snprintf(arn, sizeof arn, "arn:%s:kms:%s:%s:key/%s", c->k->partition, c->k->region,
             c->k->account, id);
    json_out_object(&c->out);
    put_text(&c->out, "KeyArn", span_str(arn));
    put_text(&c->out, "KeyId", span_str(id));
    json_out_object_end(&c->out);
}

struct ids {
    char (*all)[KEY_ID_BYTES + 1];
};

static void ids_free(struct ids *ids)
{
    free(ids->all);
}

/* One more than asked for tells whether there are more. The marker is the last id that was given.
 */
static enum err put_list(struct call *c, const char *after, unsigned limit)
{
    AUTO(ids_free) struct ids ids = { .all = calloc(limit + 1, sizeof *ids.all) };
    unsigned n = 0;

    if (!ids.all)
        return call_fail(c, ERR_NOMEM);
    enum err r = vault_list(c->k->vault, after, limit + 1, ids.all, &n);
    if (r != ERR_OK)
        return call_fail_store(c, r, STORE_READ);
    json_out_key(&c->out, "Keys");
    json_out_array(&c->out);
    for (unsigned i = 0; i < n && i < limit; i++)
        put_entry(c, ids.all[i]);
    json_out_array_end(&c->out);
    if (n > limit)
        put_text(&c->out, "NextMarker", span_str(ids.all[limit - 1]));
    json_out_key(&c->out, "Truncated");
    json_out_bool(&c->out, n > limit);
    return ERR_OK;
}

enum err op_list_keys(struct call *c)
{
    AUTO(checks_clear) struct checks check = CHECKS_INIT;
    struct span marker = SPAN_EMPTY;
    int64_t limit = LIST_DEFAULT;
    bool given;
    char after[KEY_ID_BYTES + 1] = "";

    enum err r = input_int(&c->in, "Limit", &limit, &given, &c->fault);
    if (r == ERR_OK)
        r = input_string(&c->in, "Marker", &marker, &c->fault);
    if (r != ERR_OK)
        return r;
    check_range(&check, "limit", limit, 1, LIST_MAX);
    check_length(&check, "marker", marker, 1, MARKER_MAX_BYTES);
    r = checks_end(&check, &c->fault);
    if (r == ERR_OK)
        r = call_authorize(c, "kms:ListKeys");
    if (r != ERR_OK)
        return r;
    if (marker.ptr && marker.len != KEY_ID_BYTES)
        return fault_bare(&c->fault, FAULT_INVALID_MARKER);
    if (marker.ptr)
        memcpy(after, marker.ptr, KEY_ID_BYTES);
    return put_list(c, after, (unsigned)limit);
}
