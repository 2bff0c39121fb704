/* call_access.c - the request context of a call, and the question to the policies. */
#include <stdlib.h>

#include "localkms/call.h"
#include "localkms/grants.h"

void call_fact_list(struct call *c, struct span key, const struct span *values, size_t n)
{
    if (c->n_facts == FACTS_MAX)
        c->facts_lost = true;
    else
        c->facts[c->n_facts++] =
            (struct policy_fact){ .key = key, .values = values, .n_values = n };
}

void call_fact(struct call *c, struct span key, struct span value)
{
    if (c->n_facts < FACTS_MAX)
        c->fact_values[c->n_facts] = value;
    call_fact_list(c, key, &c->fact_values[c->n_facts], 1);
}

enum err call_fact_named(struct call *c, const char *prefix, struct span name, struct span value)
{
    size_t n = strlen(prefix);

    if (c->n_owned == FACTS_MAX)
        return ERR_LIMIT;
    char *key = malloc(n + name.len + 1);
    if (!key)
        return ERR_NOMEM;
    memcpy(key, prefix, n);
    if (name.len)
        memcpy(key + n, name.ptr, name.len);
    c->owned[c->n_owned++] = key;
    call_fact(c, span_of(key, n + name.len), value);
    return ERR_OK;
}

void call_forget_facts(struct call *c)
{
    for (size_t i = 0; i < c->n_owned; i++)
        free(c->owned[i]);
    c->n_owned = 0;
    c->n_facts = 0;
}

void call_key_facts(struct call *c, const struct key_row *row)
{
    call_fact(c, SPAN_LIT("kms:KeySpec"), span_str(key_spec_name(row->spec)));
    call_fact(c, SPAN_LIT("kms:KeyUsage"), span_str(key_usage_name(row->usage)));
    call_fact(c, SPAN_LIT("kms:KeyOrigin"), span_str(key_origin_name(row->origin)));
    call_fact(c, SPAN_LIT("kms:MultiRegion"),
              row->multi_region ? SPAN_LIT("true") : SPAN_LIT("false"));
    if (row->multi_region)
        call_fact(c, SPAN_LIT("kms:MultiRegionKeyType"), SPAN_LIT("PRIMARY"));
}

enum err call_crypto_facts(struct call *c, struct span algorithm)
{
    const struct context *context = &c->context;
    enum err r = ERR_OK;

    call_fact(c, SPAN_LIT("kms:EncryptionAlgorithm"),
              algorithm.ptr ? algorithm : SPAN_LIT("SYMMETRIC_DEFAULT"));
    for (size_t i = 0; i < context->n && r == ERR_OK; i++) {
        r = call_fact_named(c, "kms:EncryptionContext:", context->pairs[i].name,
                            context->pairs[i].value);
        c->context_names[i] = context->pairs[i].name;
    }
    if (context->n)
        call_fact_list(c, SPAN_LIT("kms:EncryptionContextKeys"), c->context_names, context->n);
    return call_fail(c, r);
}

static enum err key_facts(struct call *c)
{
    struct key *key = c->key;

    call_key_facts(c, &key->row);
    if (c->alias.ptr)
        call_fact(c, SPAN_LIT("kms:RequestAlias"), c->alias);
    enum err r = vault_tags(c->k->vault, key);
    for (size_t i = 0; i < key->n_tags && r == ERR_OK; i++)
        r = call_fact_named(c, "aws:ResourceTag/", span_str(key->tags[i].name),
                            span_str(key->tags[i].value));
    return call_fail_store(c, r, STORE_READ);
}

static enum err common_facts(struct call *c)
{
    const struct policy_circumstances circumstances = {
        .caller = &c->who->caller,
        .now_s = c->now_ms / 1000,
        .region = span_str(c->k->region),
        .key_account = c->key ? span_str(c->k->account) : SPAN_EMPTY,
    };

    policy_common_facts(&circumstances, &c->common);
    for (size_t i = 0; i < c->common.n; i++)
        call_fact_list(c, c->common.facts[i].key, c->common.facts[i].values,
                       c->common.facts[i].n_values);
    call_fact(c, SPAN_LIT("aws:SecureTransport"),
              c->k->origin.tls ? SPAN_LIT("true") : SPAN_LIT("false"));
    call_fact(c, SPAN_LIT("aws:SourceIp"), span_str(c->k->origin.ip));
    return c->key ? key_facts(c) : ERR_OK;
}

/* What was added for one question goes before the next. */
static void facts_cut(struct call *c, size_t n_facts, size_t n_owned)
{
    while (c->n_owned > n_owned)
        free(c->owned[--c->n_owned]);
    c->n_facts = n_facts;
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

static enum err decide(struct call *c, const char *action, const struct policy *policy,
                       struct span resource)
{
    struct access answer;

    const struct access_question q = question(c, action, policy, resource);
    access_decide(&q, &answer);
    bool silent = answer.reason == ACCESS_NOT_BY_KEY || answer.reason == ACCESS_NOT_BY_IDENTITY;
    enum err r = policy && silent ? grants_decide(c, &q, &answer) : ERR_OK;
    if (r != ERR_OK || answer.reason == ACCESS_ALLOWED)
        return r;
    if (access_explain(&answer, &c->note->explain) != ERR_OK)
        buf_reset(&c->note->explain);
    return refuse(c, &answer, &q.rq);
}

/* A request context that is not whole would let a denial miss. */
static enum err authorize(struct call *c, const char *action, const struct policy *policy,
                          struct span resource)
{
    size_t n_facts = c->n_facts, n_owned = c->n_owned;

    enum err r = common_facts(c);
    if (r == ERR_OK && c->facts_lost)
        r = fault_bare(&c->fault, FAULT_INTERNAL);
    if (r == ERR_OK)
        r = decide(c, action, policy, resource);
    facts_cut(c, n_facts, n_owned);
    return r;
}

enum err call_authorize(struct call *c, const char *action)
{
    return authorize(c, action, c->key ? c->key->policy : NULL,
                     c->key ? span_str(c->key_arn) : SPAN_LIT("*"));
}

enum err call_authorize_on(struct call *c, const char *action, struct span resource)
{
    return authorize(c, action, NULL, resource);
}

enum err call_check_dry_run(struct call *c)
{
    return c->dry_run ? fault_set(&c->fault, FAULT_DRY_RUN,
                                  "The request would have succeeded, but the DryRun option is set.")
                      : ERR_OK;
}

enum err call_check_lockout(struct call *c, const struct policy *key_policy, struct span resource)
{
    size_t n_facts = c->n_facts, n_owned = c->n_owned;
    struct access answer;

    enum err r = common_facts(c);
    if (r == ERR_OK && c->facts_lost)
        r = fault_bare(&c->fault, FAULT_INTERNAL);
    if (r != ERR_OK)
        return r;
    struct access_question q = question(c, "kms:PutKeyPolicy", key_policy, resource);
    q.rq.lasting = true;
    access_decide(&q, &answer);
    if (answer.reason != ACCESS_ALLOWED && access_explain(&answer, &c->note->explain) != ERR_OK)
        buf_reset(&c->note->explain);
    facts_cut(c, n_facts, n_owned);
    return answer.reason == ACCESS_ALLOWED ? ERR_OK
                                           : fault_set(&c->fault, FAULT_MALFORMED_POLICY,
                                                       "The new key policy will not allow you to "
                                                       "update the key policy in the future.");
}

enum err call_check_usage(struct call *c, enum key_usage usage, const char *operation)
{
    if (c->key->row.usage == usage)
        return ERR_OK;
    return fault_set(&c->fault, FAULT_INVALID_KEY_USAGE,
                     "%s key usage is %s which is not valid for %s.", c->key_arn,
                     key_usage_name(c->key->row.usage), operation);
}

static enum err bad_state(struct call *c, const char *what)
{
    return fault_set(&c->fault, FAULT_INVALID_STATE, "%s is %s.", c->key_arn, what);
}

enum err call_check_not_deleted(struct call *c)
{
    return c->key->row.status.state == KEY_PENDING_DELETION ? bad_state(c, "pending deletion")
                                                            : ERR_OK;
}

enum err call_check_state(struct call *c)
{
    switch (c->key->row.status.state) {
    case KEY_ENABLED:
        return ERR_OK;
    case KEY_DISABLED:
        return fault_set(&c->fault, FAULT_DISABLED, "%s is disabled.", c->key_arn);
    case KEY_PENDING_DELETION:
        return bad_state(c, "pending deletion");
    case KEY_PENDING_IMPORT:
        return bad_state(c, "pending import");
    }
    return fault_bare(&c->fault, FAULT_INTERNAL);
}

enum err call_ready(struct call *c, const char *action, enum key_usage usage)
{
    enum err r = call_authorize(c, action);

    if (r == ERR_OK)
        r = call_check_usage(c, usage, action + sizeof "kms:" - 1);
    if (r == ERR_OK)
        r = call_check_state(c);
    return r == ERR_OK ? call_check_dry_run(c) : r;
}

enum err call_bad_algorithm(struct call *c, struct span algorithm)
{
    return fault_set(&c->fault, FAULT_INVALID_KEY_USAGE,
                     "Algorithm %.*s is incompatible with key spec %s.", (int)algorithm.len,
                     (const char *)algorithm.ptr, key_spec_name(c->key->row.spec));
}
