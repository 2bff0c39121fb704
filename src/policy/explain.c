/* explain.c - a verdict in words, for the operator. */
#include "policy/policy.h"

enum { SHOWN_MAX_BYTES = 256 };

static enum err put_values(const struct span *values, size_t n, struct buf *out)
{
    enum err r = buf_append_byte(out, '[');

    for (size_t i = 0; i < n && r == ERR_OK; i++) {
        struct span shown = span_sub(values[i], 0, SHOWN_MAX_BYTES);
        r = buf_printf(out, "%s\"%.*s\"", i ? ", " : "", (int)shown.len, (const char *)shown.ptr);
    }
    return r == ERR_OK ? buf_append_byte(out, ']') : r;
}

static enum err put_condition(const struct policy_finding *found, struct buf *out)
{
    enum err r = buf_printf(out, "%s%s%s %.*s: request has ", found->quantifier, found->op,
                            found->if_exists ? "IfExists" : "", (int)found->key.len,
                            (const char *)found->key.ptr);

    if (r == ERR_OK)
        r = found->present ? put_values(found->got, found->n_got, out)
                           : buf_append_str(out, "no such key");
    if (r == ERR_OK)
        r = buf_append_str(out, ", policy has ");
    return r == ERR_OK ? put_values(found->wanted, found->n_wanted, out) : r;
}

static enum err put_statement(const struct policy_finding *found, struct buf *out)
{
    enum err r = buf_printf(out, "statement %u", found->statement);

    if (r == ERR_OK && found->sid.len)
        r = buf_printf(out, " \"%.*s\"", (int)found->sid.len, (const char *)found->sid.ptr);
    return r;
}

static enum err put_decided(const struct policy_verdict *v, struct buf *out)
{
    static const char *const answers[] = {
        [POLICY_SILENT] = "no statement allows it",
        [POLICY_DELEGATE] = "left to identity policies by ",
        [POLICY_ALLOW] = "allowed by ",
        [POLICY_DENY] = "denied by ",
    };

    enum err r = buf_append_str(out, answers[v->answer]);
    if (r == ERR_OK && v->decided.statement)
        r = put_statement(&v->decided, out);
    if (r != ERR_OK || !v->decided.op)
        return r;
    r = buf_append_str(out, " because of ");
    return r == ERR_OK ? put_condition(&v->decided, out) : r;
}

enum err policy_explain(const struct policy_verdict *v, struct buf *out)
{
    static const char *const misses[] = {
        [POLICY_MISS_NONE] = "",
        [POLICY_MISS_ACTION] = "is not for this action",
        [POLICY_MISS_PRINCIPAL] = "is not for this principal",
        [POLICY_MISS_RESOURCE] = "is not for this resource",
        [POLICY_MISS_CONDITION] = "fails on ",
        [POLICY_MISS_LASTING] = "holds under a condition only",
    };

    enum err r = put_decided(v, out);
    if (r != ERR_OK || v->nearest.statement == 0)
        return r;
    r = buf_append_str(out, "; nearest is ");
    if (r == ERR_OK)
        r = put_statement(&v->nearest, out);
    if (r == ERR_OK)
        r = buf_printf(out, ", which %s", misses[v->nearest.miss]);
    return r == ERR_OK && v->nearest.op ? put_condition(&v->nearest, out) : r;
}
