/* grant.c - does a grant allow a call? */
#include "policy/access.h"

#include "policy/compiled.h"

#define ACTION_PREFIX  "kms:"
#define CONTEXT_PREFIX "kms:EncryptionContext:"

static bool is_grantee(const struct policy_grant *g, const struct policy_caller *who)
{
    struct policy_principal p = { .kind = PRINCIPAL_ABSENT };
    const struct policy_statement st = { .principals = &p, .n_principals = 1 };

    return (policy_principal_parse(SPAN_LIT("AWS"), g->grantee, &p) ||
            policy_principal_parse(SPAN_LIT("Service"), g->grantee, &p)) &&
           p.kind != PRINCIPAL_ANYONE && policy_principals_match(&st, who) == PRINCIPAL_DIRECT;
}

static bool is_granted(const struct policy_grant *g, struct span action)
{
    if (!span_starts(action, ACTION_PREFIX))
        return false;
    for (size_t i = 0; i < g->n_operations; i++)
        if (span_eq(span_from(action, sizeof ACTION_PREFIX - 1), g->operations[i]))
            return true;
    return false;
}

static bool has_context(struct span action)
{
    static const char *const operations[] = {
        "kms:Decrypt",
        "kms:Encrypt",
        "kms:GenerateDataKey",
        "kms:GenerateDataKeyPair",
        "kms:GenerateDataKeyPairWithoutPlaintext",
        "kms:GenerateDataKeyWithoutPlaintext",
        "kms:ReEncryptFrom",
        "kms:ReEncryptTo",
    };

    for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++)
        if (span_is(action, operations[i]))
            return true;
    return false;
}

/* Names in a context heed case, though condition keys do not. */
static bool holds(const struct policy_request *rq, const struct policy_pair *pair)
{
    for (size_t i = 0; i < rq->n_facts; i++) {
        const struct policy_fact *f = &rq->facts[i];
        if (span_starts(f->key, CONTEXT_PREFIX) && f->n_values == 1 &&
            span_eq(span_from(f->key, sizeof CONTEXT_PREFIX - 1), pair->name) &&
            span_eq(f->values[0], pair->value))
            return true;
    }
    return false;
}

static bool holds_all(const struct policy_request *rq, const struct policy_pair *pairs, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!holds(rq, &pairs[i]))
            return false;
    return true;
}

static size_t context_pairs(const struct policy_request *rq)
{
    size_t n = 0;

    for (size_t i = 0; i < rq->n_facts; i++)
        n += span_starts(rq->facts[i].key, CONTEXT_PREFIX);
    return n;
}

bool policy_grant_allows(const struct policy_grant *g, const struct policy_request *rq)
{
    if (!is_granted(g, rq->action) || !is_grantee(g, rq->caller))
        return false;
    if (!has_context(rq->action))
        return true;
    if (g->has_equals && context_pairs(rq) != g->n_equals)
        return false;
    return (!g->has_equals || holds_all(rq, g->equals, g->n_equals)) &&
           holds_all(rq, g->subset, g->n_subset);
}
