/* call_access.c - the request context of a call, and the question to the policies. */
#include <stdio.h>

#include "localkms/call.h"

#define CONTEXT_PREFIX "kms:EncryptionContext:"

void call_fact(struct call *c, struct span key, struct span value)
{
    c->fact_values[c->n_facts] = value;
    c->facts[c->n_facts] =
        (struct policy_fact){ .key = key, .values = &c->fact_values[c->n_facts], .n_values = 1 };
    c->n_facts++;
}

void call_key_facts(struct call *c, enum key_spec spec)
{
    call_fact(c, SPAN_LIT("kms:KeySpec"), span_str(key_spec_name(spec)));
    call_fact(c, SPAN_LIT("kms:KeyUsage"), span_str(key_spec_usage(spec)));
    call_fact(c, SPAN_LIT("kms:KeyOrigin"), SPAN_LIT("AWS_KMS"));
    call_fact(c, SPAN_LIT("kms:MultiRegion"), SPAN_LIT("false"));
}

enum err call_crypto_facts(struct call *c)
{
    const struct context *context = &c->context;
    size_t text_bytes = 0;
    uint8_t *unused;

    call_fact(c, SPAN_LIT("kms:EncryptionAlgorithm"), SPAN_LIT("SYMMETRIC_DEFAULT"));
    if (context->n == 0)
        return ERR_OK;
    for (size_t i = 0; i < context->n; i++)
        text_bytes += sizeof CONTEXT_PREFIX + context->pairs[i].name.len;
    /* Room for all at once: views must not move. */
    enum err r = buf_reserve(&c->fact_text, text_bytes, &unused);
    for (size_t i = 0; i < context->n && r == ERR_OK; i++) {
        size_t at = c->fact_text.len;
        r = buf_append(&c->fact_text, SPAN_LIT(CONTEXT_PREFIX));
        if (r == ERR_OK)
            r = buf_append(&c->fact_text, context->pairs[i].name);
        call_fact(c, span_from(buf_view(&c->fact_text), at), context->pairs[i].value);
        c->context_names[i] = context->pairs[i].name;
    }
    c->facts[c->n_facts++] = (struct policy_fact){ .key = SPAN_LIT("kms:EncryptionContextKeys"),
                                                   .values = c->context_names,
                                                   .n_values = context->n };
    return call_fail(c, r);
}

/* Of a session it is the role's ARN. */
static enum err principal_arn(struct call *c, char out[static 256])
{
    const struct policy_caller *who = &c->who->caller;
    int n = snprintf(out, 256, "%s", c->who->arn);

    if (who->kind == POLICY_CALLER_SESSION)
        n = snprintf(out, 256, "arn:%.*s:iam::%.*s:role/%.*s", (int)who->partition.len,
                     (const char *)who->partition.ptr, (int)who->account.len,
                     (const char *)who->account.ptr, (int)who->role.len,
                     (const char *)who->role.ptr);
    return n < 256 ? ERR_OK : fault_bare(&c->fault, FAULT_INTERNAL);
}

static void common_facts(struct call *c, const char *arn)
{
    call_fact(c, SPAN_LIT("kms:CallerAccount"), c->who->caller.account);
    call_fact(c, SPAN_LIT("aws:PrincipalAccount"), c->who->caller.account);
    call_fact(c, SPAN_LIT("aws:PrincipalArn"), span_str(arn));
    call_fact(c, SPAN_LIT("aws:SecureTransport"),
              c->k->origin.tls ? SPAN_LIT("true") : SPAN_LIT("false"));
    call_fact(c, SPAN_LIT("aws:SourceIp"), span_str(c->k->origin.ip));
    call_fact(c, SPAN_LIT("aws:RequestedRegion"), span_str(c->k->region));
    if (c->key)
        call_key_facts(c, c->key->row.spec);
}

static struct access_question question(const struct call *c, const char *action,
                                       const struct policy *key_policy, struct span resource)
{
    return (struct access_question){
        .rq = {
            .caller = &c->who->caller,
            .action = span_str(action),
            .resource = resource,
            .facts = c->facts,
            .n_facts = c->n_facts,
        },
        .key = key_policy,
        .key_account = span_str(c->k->account),
        .identity = c->who->policies,
        .n_identity = c->who->n_policies,
    };
}

static enum err refuse(struct call *c, const struct access *a, const struct policy_request *rq)
{
    AUTO(buf_clear) struct buf text = BUF_INIT(FAULT_TEXT_MAX_BYTES);

    if (access_refusal(a, rq, &text) != ERR_OK)
        return fault_bare(&c->fault, FAULT_ACCESS_DENIED);
    return fault_set(&c->fault, FAULT_ACCESS_DENIED, "%.*s", (int)text.len, (const char *)text.ptr);
}

enum err call_authorize(struct call *c, const char *action)
{
    char arn[256];
    struct access answer;

    enum err r = principal_arn(c, arn);
    if (r != ERR_OK)
        return r;
    size_t n_facts = c->n_facts;
    common_facts(c, arn);
    const struct access_question q = question(c, action, c->key ? c->key->policy : NULL,
                                              c->key ? span_str(c->key_arn) : SPAN_LIT("*"));
    access_decide(&q, &answer);
    if (answer.reason != ACCESS_ALLOWED) {
        if (access_explain(&answer, &c->note->explain) != ERR_OK)
            buf_reset(&c->note->explain);
        r = refuse(c, &answer, &q.rq);
    }
    c->n_facts = n_facts; /* `arn` ends here */
    if (r != ERR_OK)
        return r;
    return c->dry_run ? fault_set(&c->fault, FAULT_DRY_RUN,
                                  "The request would have succeeded, but the DryRun option is set.")
                      : ERR_OK;
}

enum err call_check_lockout(struct call *c, const struct policy *key_policy, struct span resource)
{
    char arn[256];
    struct access answer;

    enum err r = principal_arn(c, arn);
    if (r != ERR_OK)
        return r;
    size_t n_facts = c->n_facts;
    common_facts(c, arn);
    struct access_question q = question(c, "kms:PutKeyPolicy", key_policy, resource);
    q.rq.lasting = true;
    access_decide(&q, &answer);
    if (answer.reason != ACCESS_ALLOWED && access_explain(&answer, &c->note->explain) != ERR_OK)
        buf_reset(&c->note->explain);
    c->n_facts = n_facts;
    return answer.reason == ACCESS_ALLOWED ? ERR_OK
                                           : fault_set(&c->fault, FAULT_MALFORMED_POLICY,
                                                       "The new key policy will not allow you to "
                                                       "update the key policy in the future.");
}

enum err call_check_usage(struct call *c, const char *usage, const char *operation)
{
    const char *own = key_spec_usage(c->key->row.spec);

    if (strcmp(own, usage) == 0)
        return ERR_OK;
    return fault_set(&c->fault, FAULT_INVALID_KEY_USAGE,
                     "%s key usage is %s which is not valid for %s.", c->key_arn, own, operation);
}

enum err call_check_state(struct call *c)
{
    switch (c->key->row.state) {
    case KEY_ENABLED:
        return ERR_OK;
    case KEY_DISABLED:
        return fault_set(&c->fault, FAULT_DISABLED, "%s is disabled.", c->key_arn);
    case KEY_PENDING_DELETION:
        return fault_set(&c->fault, FAULT_INVALID_STATE, "%s is pending deletion.", c->key_arn);
    case KEY_PENDING_IMPORT:
        return fault_set(&c->fault, FAULT_INVALID_STATE, "%s is pending import.", c->key_arn);
    }
    return fault_bare(&c->fault, FAULT_INTERNAL);
}

enum err call_named_key(struct call *c, const char *action)
{
    AUTO(checks_clear) struct checks check = CHECKS_INIT;
    struct span key_id = SPAN_EMPTY;

    enum err r = input_string(&c->in, "KeyId", &key_id, &c->fault);
    if (r != ERR_OK)
        return r;
    check_required(&check, "keyId", key_id.ptr != NULL);
    check_length(&check, "keyId", key_id, 1, KEY_REF_MAX_BYTES);
    r = checks_end(&check, &c->fault);
    if (r == ERR_OK)
        r = call_take_grants(c);
    if (r == ERR_OK)
        r = call_find_key(c, key_id);
    if (r == ERR_OK)
        r = call_authorize(c, action);
    return r;
}
