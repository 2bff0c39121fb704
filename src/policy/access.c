#include "policy/access.h"

/* The strongest answer of the caller's identity policies, or the nearest miss. */
static void ask_identity(const struct access_question *q, struct access *out)
{
    if (q->rq.caller->kind == POLICY_CALLER_ROOT) {
        out->identity.answer = POLICY_ALLOW;
        return;
    }
    for (size_t i = 0; i < q->n_identity; i++) {
        struct policy_verdict v;
        policy_evaluate(q->identity[i], &q->rq, &v);
        bool nearer = v.answer == POLICY_SILENT && out->identity.answer == POLICY_SILENT &&
                      v.nearest.miss > out->identity.nearest.miss;
        if (i == 0 || v.answer > out->identity.answer || nearer) {
            out->identity = v;
            out->identity_policy = (unsigned)i + 1;
        }
    }
}

/* Does the key's own side allow: its policy by naming the caller, or a grant? */
static bool key_allows(const struct access *a)
{
    return a->key.answer == POLICY_ALLOW || a->grant;
}

static enum access_reason reason(const struct access_question *q, const struct access *a)
{
    bool identity_allows = a->identity.answer == POLICY_ALLOW;
    bool home = q->rq.caller->kind == POLICY_CALLER_SERVICE ||
                span_eq(q->key_account, q->rq.caller->account);

    if (q->key && a->key.answer == POLICY_DENY)
        return ACCESS_DENIED_BY_KEY;
    if (a->identity.answer == POLICY_DENY)
        return ACCESS_DENIED_BY_IDENTITY;
    if (q->key && a->key.answer == POLICY_SILENT && !a->grant)
        return ACCESS_NOT_BY_KEY;
    bool suffices = q->key && key_allows(a) && home;
    return suffices || identity_allows ? ACCESS_ALLOWED : ACCESS_NOT_BY_IDENTITY;
}

static unsigned find_grant(const struct access_question *q)
{
    for (size_t i = 0; i < q->n_grants; i++)
        if (policy_grant_allows(&q->grants[i], &q->rq))
            return (unsigned)i + 1;
    return 0;
}

void access_decide(const struct access_question *q, struct access *out)
{
    struct access a = { .has_key = q->key != NULL };

    if (q->key)
        policy_evaluate(q->key, &q->rq, &a.key);
    if (q->key && a.key.answer != POLICY_ALLOW && a.key.answer != POLICY_DENY && !q->rq.lasting)
        a.grant = find_grant(q);
    ask_identity(q, &a);
    a.reason = reason(q, &a);
    *out = a;
}

static const char *because(enum access_reason reason)
{
    switch (reason) {
    case ACCESS_DENIED_BY_KEY:
        return "with an explicit deny in a resource-based policy";
    case ACCESS_DENIED_BY_IDENTITY:
        return "with an explicit deny in an identity-based policy";
    case ACCESS_NOT_BY_KEY:
        return "because no resource-based policy allows the ";
    case ACCESS_NOT_BY_IDENTITY:
        return "because no identity-based policy allows the ";
    case ACCESS_ALLOWED:
        break;
    }
    return "";
}

enum err access_refusal(const struct access *a, const struct policy_request *rq, struct buf *out)
{
    bool implicit = a->reason == ACCESS_NOT_BY_KEY || a->reason == ACCESS_NOT_BY_IDENTITY;
    int action_len = (int)rq->action.len;
    const char *action = (const char *)rq->action.ptr;

    return buf_printf(
        out, "User: %.*s is not authorized to perform: %.*s on resource: %.*s %s%.*s%s",
        (int)rq->caller->arn.len, (const char *)rq->caller->arn.ptr, action_len, action,
        (int)rq->resource.len, (const char *)rq->resource.ptr, because(a->reason),
        implicit ? action_len : 0, action, implicit ? " action" : "");
}

static enum err explain_key(const struct access *a, struct buf *out)
{
    enum err r = buf_append_str(out, "key policy: ");

    return r == ERR_OK ? policy_explain(&a->key, out) : r;
}

static enum err explain_identity(const struct access *a, struct buf *out)
{
    if (a->identity_policy == 0)
        return buf_append_str(out, a->identity.answer == POLICY_ALLOW
                                       ? "the root user has every permission of its account"
                                       : "the caller has no identity policies");
    enum err r = buf_printf(out, "identity policy %u: ", a->identity_policy);
    return r == ERR_OK ? policy_explain(&a->identity, out) : r;
}

/* Whose word counted: for an identity's answer that was needed, both. */
static bool identity_counts(const struct access *a)
{
    if (a->reason == ACCESS_DENIED_BY_IDENTITY || a->reason == ACCESS_NOT_BY_IDENTITY ||
        !a->has_key)
        return true;
    return a->reason == ACCESS_ALLOWED && a->identity.answer == POLICY_ALLOW && !key_allows(a);
}

enum err access_explain(const struct access *a, struct buf *out)
{
    bool key_counts = a->has_key && a->reason != ACCESS_DENIED_BY_IDENTITY;
    enum err r = ERR_OK;

    if (a->grant && a->reason != ACCESS_DENIED_BY_IDENTITY)
        r = buf_printf(out, "allowed by grant %u; ", a->grant);
    if (r == ERR_OK && key_counts)
        r = explain_key(a, out);
    if (r == ERR_OK && key_counts && identity_counts(a))
        r = buf_append_str(out, "; ");
    return r == ERR_OK && identity_counts(a) ? explain_identity(a, out) : r;
}
