/* policy.c - a compiled policy's answer to one request, and why. */
#include "policy/policy.h"

#include "policy/compiled.h"

enum { SHOWN_MAX_BYTES = 256 };

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
}

static bool same(uint8_t a, uint8_t b, bool ignore_case)
{
    return ignore_case ? lower(a) == lower(b) : a == b;
}

/* On a mismatch go back to the last star and let it take one more character: no recursion. */
bool policy_glob(struct span pattern, struct span text, bool ignore_case)
{
    size_t p = 0, t = 0, star = SIZE_MAX, resume = 0;

    while (t < text.len) {
        if (p < pattern.len && pattern.ptr[p] == '*') {
            star = p++;
            resume = t;
        } else if (p < pattern.len &&
                   (pattern.ptr[p] == '?' || same(pattern.ptr[p], text.ptr[t], ignore_case))) {
            p++;
            t++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            t = ++resume;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.ptr[p] == '*')
        p++;
    return p == pattern.len;
}

static bool list_matches(const struct policy_list *list, struct span text, bool ignore_case)
{
    for (size_t i = 0; i < list->n; i++)
        if (policy_glob(list->items[i], text, ignore_case))
            return true;
    return false;
}

static const struct policy_fact *fact_find(const struct policy_request *rq, struct span key)
{
    for (size_t i = 0; i < rq->n_facts; i++)
        if (span_eq_nocase(rq->facts[i].key, key))
            return &rq->facts[i];
    return NULL;
}

static bool value_matches(const struct policy_operator *o, struct span wanted, struct span got)
{
    if (o->test == TEST_LIKE)
        return policy_glob(wanted, got, o->ignore_case);
    return o->ignore_case ? span_eq_nocase(wanted, got) : span_eq(wanted, got);
}

static bool any_matches(const struct policy_condition *c, const struct policy_fact *fact)
{
    for (size_t g = 0; g < fact->n_values; g++)
        for (size_t w = 0; w < c->values.n; w++)
            if (value_matches(c->op, c->values.items[w], fact->values[g]))
                return true;
    return false;
}

/* An absent key: positive operators fail, negated ones hold, IfExists makes both hold. */
static bool condition_holds(const struct policy_condition *c, const struct policy_fact *fact)
{
    if (c->op->test == TEST_NULL) {
        const struct span absent = fact ? SPAN_LIT("false") : SPAN_LIT("true");
        const struct policy_fact state = { .values = &absent, .n_values = 1 };
        return any_matches(c, &state);
    }
    if (!fact)
        return c->op->negated || c->if_exists;
    return any_matches(c, fact) != c->op->negated;
}

/* The first condition that does not hold, or n_conditions. */
static size_t conditions_fail_at(const struct policy_statement *st, const struct policy_request *rq)
{
    size_t i = 0;

    while (i < st->n_conditions &&
           condition_holds(&st->conditions[i], fact_find(rq, st->conditions[i].key)))
        i++;
    return i;
}

struct match {
    enum policy_miss miss; /* NONE: the statement applies */
    enum principal_match who;
    size_t condition;
};

static struct match statement_match(const struct policy_statement *st, enum policy_use use,
                                    const struct policy_request *rq)
{
    struct match m = { .miss = POLICY_MISS_NONE, .who = PRINCIPAL_DIRECT };

    if (st->actions.n == 0 || list_matches(&st->actions, rq->action, true) == st->not_actions) {
        m.miss = POLICY_MISS_ACTION;
        return m;
    }
    if (use == POLICY_OF_KEY)
        m.who = policy_principals_match(st, rq->caller);
    if (m.who == PRINCIPAL_NO) {
        m.miss = POLICY_MISS_PRINCIPAL;
        return m;
    }
    if (st->resources.n == 0 ||
        list_matches(&st->resources, rq->resource, false) == st->not_resources) {
        m.miss = POLICY_MISS_RESOURCE;
        return m;
    }
    m.condition = conditions_fail_at(st, rq);
    if (m.condition < st->n_conditions)
        m.miss = POLICY_MISS_CONDITION;
    else if (rq->lasting && st->allows && st->n_conditions > 0)
        m.miss = POLICY_MISS_LASTING;
    return m;
}

static struct policy_finding find_out(const struct policy *p, size_t i, const struct match *m,
                                      const struct policy_request *rq)
{
    const struct policy_statement *st = &p->statements[i];
    struct policy_finding found = { .statement = (unsigned)i + 1, .sid = st->sid, .miss = m->miss };
    bool denied = !st->allows && st->n_conditions > 0;

    if (m->miss != POLICY_MISS_CONDITION && !denied)
        return found;
    const struct policy_condition *c = &st->conditions[denied ? 0 : m->condition];
    const struct policy_fact *fact = fact_find(rq, c->key);
    found.op = c->op->name;
    found.if_exists = c->if_exists;
    found.key = c->key;
    found.wanted = c->values.items;
    found.n_wanted = c->values.n;
    found.present = fact != NULL;
    found.got = fact ? fact->values : NULL;
    found.n_got = fact ? fact->n_values : 0;
    return found;
}

/* A denial ends it, whatever the order; then the strongest Allow counts. */
void policy_evaluate(const struct policy *p, const struct policy_request *rq,
                     struct policy_verdict *out)
{
    struct policy_verdict v = { .answer = POLICY_SILENT };

    for (size_t i = 0; i < p->n && v.answer != POLICY_DENY; i++) {
        struct match m = statement_match(&p->statements[i], p->use, rq);
        bool allows = p->statements[i].allows, applies = m.miss == POLICY_MISS_NONE;
        enum policy_answer answer = !applies                        ? POLICY_SILENT
                                    : !allows                       ? POLICY_DENY
                                    : m.who == PRINCIPAL_BY_ACCOUNT ? POLICY_DELEGATE
                                                                    : POLICY_ALLOW;
        if (answer > v.answer) {
            v.answer = answer;
            v.decided = find_out(p, i, &m, rq);
        }
        if (!applies && allows && m.miss > v.nearest.miss)
            v.nearest = find_out(p, i, &m, rq);
    }
    if (v.answer == POLICY_ALLOW || v.answer == POLICY_DENY)
        v.nearest = (struct policy_finding){ .statement = 0 };
    *out = v;
}

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
    enum err r =
        buf_printf(out, "%s%s %.*s: request has ", found->op, found->if_exists ? "IfExists" : "",
                   (int)found->key.len, (const char *)found->key.ptr);

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
