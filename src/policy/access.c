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

static enum access_reason reason(const struct access_question *q, const struct access *a)
{
    bool identity_allows = a->identity.answer == POLICY_ALLOW;

    if (q->key && a->key.answer == POLICY_DENY)
        return ACCESS_DENIED_BY_KEY;
    if (a->identity.answer == POLICY_DENY)
        return ACCESS_DENIED_BY_IDENTITY;
    if (q->key && a->key.answer == POLICY_SILENT)
        return ACCESS_NOT_BY_KEY;
    bool suffices =
        q->key && a->key.answer == POLICY_ALLOW && span_eq(q->key_account, q->rq.caller->account);
    return suffices || identity_allows ? ACCESS_ALLOWED : ACCESS_NOT_BY_IDENTITY;
}

void access_decide(const struct access_question *q, struct access *out)
{
    struct access a = { .has_key = q->key != NULL };

    if (q->key)
        policy_evaluate(q->key, &q->rq, &a.key);
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
        return buf_append_str(out, "the caller has no identity policies");
    enum err r = buf_printf(out, "identity policy %u: ", a->identity_policy);
    return r == ERR_OK ? policy_explain(&a->identity, out) : r;
}

enum err access_explain(const struct access *a, struct buf *out)
{
    enum err r = ERR_OK;

    if (a->reason == ACCESS_DENIED_BY_KEY || a->reason == ACCESS_NOT_BY_KEY)
        return explain_key(a, out);
    if (a->has_key && a->reason == ACCESS_NOT_BY_IDENTITY) {
        r = explain_key(a, out);
        if (r == ERR_OK)
            r = buf_append_str(out, "; ");
    }
    return r == ERR_OK ? explain_identity(a, out) : r;
}
