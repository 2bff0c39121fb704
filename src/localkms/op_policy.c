/* op_policy.c - GetKeyPolicy, PutKeyPolicy, ListKeyPolicies. */
#include "localkms/op_policy.h"
#include "localkms/page.h"

enum { POLICY_MEMBER_MAX_BYTES = 131072, POLICY_NAME_MAX_BYTES = 128 };

static enum err malformed(struct call *c, const struct policy_fault *f)
{
    if (f->statement == 0)
        return fault_set(&c->fault, FAULT_MALFORMED_POLICY, "%s (byte %zu)", f->what, f->at);
    return fault_set(&c->fault, FAULT_MALFORMED_POLICY, "%s (statement %u, byte %zu)", f->what,
                     f->statement, f->at);
}

enum err policy_take(struct call *c, struct span text, bool bypass, struct policy **out)
{
    AUTO(policy_freep) struct policy *made = NULL;
    struct policy_fault why = { .what = "Policy is malformed" };

    enum err r = policy_parse_at(text, POLICY_OF_KEY, &made, &why);
    if (r == ERR_LIMIT)
        return fault_set(&c->fault, FAULT_LIMIT_EXCEEDED,
                         "The key policy is longer than the quota of %d bytes.", POLICY_MAX_BYTES);
    if (r == ERR_MALFORMED)
        return malformed(c, &why);
    if (r != ERR_OK)
        return call_fail(c, r);
    if (!bypass) {
        r = call_check_lockout(c, made, c->key ? span_str(c->key_arn) : SPAN_LIT("*"));
        if (r != ERR_OK)
            return r;
    }
    *out = made;
    made = NULL; /* handed over */
    return ERR_OK;
}

enum err policy_default(const struct localkms *k, struct buf *out)
{
    return buf_printf(
        out,
        "{\"Version\":\"2012-10-17\",\"Id\":\"key-default-1\",\"Statement\":[{\"Sid\":"
        "\"Enable IAM User Permissions\",\"Effect\":\"Allow\",\"Principal\":{\"AWS\":"
        "\"arn:%s:iam::%s:root\"},\"Action\":\"kms:*\",\"Resource\":\"*\"}]}",
        k->partition, k->account);
}

struct named {
    struct span key_id, name, policy;
    bool bypass;
};

static enum err members(struct call *c, struct named *in)
{
    enum err r = input_string(&c->in, "KeyId", &in->key_id, &c->fault);

    if (r == ERR_OK)
        r = input_string(&c->in, "PolicyName", &in->name, &c->fault);
    if (r == ERR_OK)
        r = input_string(&c->in, "Policy", &in->policy, &c->fault);
    if (r == ERR_OK)
        r = input_bool(&c->in, "BypassPolicyLockoutSafetyCheck", &in->bypass, &c->fault);
    return r;
}

static enum err constraints(struct call *c, const struct named *in, bool put)
{
    AUTO(checks_clear) struct checks check = CHECKS_INIT;

    check_required(&check, "keyId", in->key_id.ptr != NULL);
    check_length(&check, "keyId", in->key_id, 1, KEY_REF_MAX_BYTES);
    check_length(&check, "policyName", in->name, 1, POLICY_NAME_MAX_BYTES);
    if (put) {
        check_required(&check, "policy", in->policy.ptr != NULL);
        check_length(&check, "policy", in->policy, 1, POLICY_MEMBER_MAX_BYTES);
        check_policy_characters(&check, "policy", in->policy);
    }
    return checks_end(&check, &c->fault);
}

static enum err check_name(struct call *c, struct span name)
{
    return !name.ptr || span_is(name, "default")
               ? ERR_OK
               : fault_set(&c->fault, FAULT_NOT_FOUND, "No such policy exists");
}

enum err op_get_key_policy(struct call *c)
{
    struct named in = { .bypass = false };

    enum err r = members(c, &in);
    if (r == ERR_OK)
        r = constraints(c, &in, false);
    if (r == ERR_OK)
        r = call_find_key_only(c, in.key_id);
    if (r == ERR_OK)
        r = call_authorize(c, "kms:GetKeyPolicy");
    if (r == ERR_OK)
        r = check_name(c, in.name);
    if (r != ERR_OK)
        return r;
    json_out_key(&c->out, "Policy");
    json_out_string(&c->out, buf_view(&c->key->row.policy));
    json_out_key(&c->out, "PolicyName");
    json_out_string(&c->out, SPAN_LIT("default"));
    return ERR_OK;
}

enum err op_put_key_policy(struct call *c)
{
    AUTO(policy_freep) struct policy *compiled = NULL;
    struct named in = { .bypass = false };

    enum err r = members(c, &in);
    if (r == ERR_OK)
        r = constraints(c, &in, true);
    if (r == ERR_OK)
        r = call_find_key_only(c, in.key_id);
    if (r != ERR_OK)
        return r;
    call_fact(c, SPAN_LIT("kms:BypassPolicyLockoutSafetyCheck"),
              in.bypass ? SPAN_LIT("true") : SPAN_LIT("false"));
    r = call_authorize(c, "kms:PutKeyPolicy");
    if (r == ERR_OK)
        r = check_name(c, in.name);
    if (r == ERR_OK)
        r = policy_take(c, in.policy, in.bypass, &compiled);
    if (r == ERR_OK)
        r = call_fail_store(c, vault_set_policy(c->k->vault, c->key, in.policy), STORE_WRITE);
    return r;
}

/* There is one policy, and its name is "default". */
enum err op_list_key_policies(struct call *c)
{
    AUTO(page_clear) struct page p = PAGE_INIT;

    enum err r = page_take(c, 100, 1000, &p);
    if (r == ERR_OK)
        r = call_named_key(c, "kms:ListKeyPolicies", KEY_REF_KEY);
    if (r != ERR_OK)
        return r;
    json_out_key(&c->out, "PolicyNames");
    json_out_array(&c->out);
    if (p.after.len == 0)
        json_out_string(&c->out, SPAN_LIT("default"));
    json_out_array_end(&c->out);
    return page_end(c, &p);
}
