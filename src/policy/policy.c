/* policy.c - a compiled policy's answer to one request. */
#include "policy/compiled.h"
#include "policy/pattern.h"
#include "policy/registers.h"
#include "policy/words.h"

static bool list_matches(const struct policy *p, const struct policy_list *list, struct span text,
                         bool ignore_case, const struct policy_request *rq)
{
    struct pattern pattern = {
        .wildcards = true, .variables = rq && p->variables, .ignore_case = ignore_case, .rq = rq
    };

    for (size_t i = 0; i < list->n; i++) {
        pattern.text = list->items[i];
        if (pattern_matches(&pattern, text))
            return true;
    }
    return false;
}

const struct policy_fact *policy_fact_find(const struct policy_request *rq, struct span key)
{
    for (size_t i = 0; i < rq->n_facts; i++)
        if (span_eq_nocase(rq->facts[i].key, key))
            return &rq->facts[i];
    return NULL;
}

static bool any_wanted(const struct policy *p, const struct policy_condition *c, struct span got,
                       const struct policy_request *rq)
{
    for (size_t w = 0; w < c->values.n; w++)
        if (policy_value_matches(c->op, p->variables, c->values.items[w], got, rq))
            return true;
    return false;
}

/* Each value of the request is judged, negation and all; then how many of them have to hold. */
static bool set_holds(const struct policy *p, const struct policy_condition *c,
                      const struct policy_fact *fact, const struct policy_request *rq)
{
    bool all = c->quantifier == QUANTIFIER_ALL;

    for (size_t i = 0; fact && i < fact->n_values; i++) {
        bool holds = any_wanted(p, c, fact->values[i], rq) != c->op->negated;
        if (holds != all)
            return holds;
    }
    return all;
}

/* An absent key: positive operators fail, negated ones hold, IfExists makes both hold; ForAllValues
 * holds and ForAnyValue does not, whatever stands behind. Several values without a quantifier: one
 * that matches is enough, and for a negated operator too many. */
static bool condition_holds(const struct policy *p, const struct policy_condition *c,
                            const struct policy_request *rq)
{
    const struct policy_fact *fact = policy_fact_find(rq, c->key);
    bool matched = false;

    if (c->op->test == TEST_NULL)
        return any_wanted(p, c, fact ? SPAN_LIT("false") : SPAN_LIT("true"), rq);
    if (c->quantifier != QUANTIFIER_NONE)
        return set_holds(p, c, fact, rq);
    if (!fact)
        return c->op->negated || c->if_exists;
    for (size_t i = 0; i < fact->n_values && !matched; i++)
        matched = any_wanted(p, c, fact->values[i], rq);
    return matched != c->op->negated;
}

/* The first condition that does not hold, or n_conditions. */
static size_t conditions_fail_at(const struct policy *p, const struct policy_statement *st,
                                 const struct policy_request *rq)
{
    size_t i = 0;

    while (i < st->n_conditions && condition_holds(p, &st->conditions[i], rq))
        i++;
    return i;
}

struct match {
    enum policy_miss miss; /* NONE: the statement applies */
    enum principal_match who;
    size_t condition;
};

static struct match statement_match(const struct policy *p, const struct policy_statement *st,
                                    const struct policy_request *rq)
{
    struct match m = { .miss = POLICY_MISS_NONE, .who = PRINCIPAL_DIRECT };

    if (st->actions.n == 0 ||
        list_matches(p, &st->actions, rq->action, true, NULL) == st->not_actions) {
        m.miss = POLICY_MISS_ACTION;
        return m;
    }
    if (p->use == POLICY_OF_KEY)
        m.who = policy_principals_match(st, rq->caller);
    if (m.who == PRINCIPAL_NO) {
        m.miss = POLICY_MISS_PRINCIPAL;
        return m;
    }
    if (st->resources.n == 0 ||
        list_matches(p, &st->resources, rq->resource, false, rq) == st->not_resources) {
        m.miss = POLICY_MISS_RESOURCE;
        return m;
    }
    m.condition = conditions_fail_at(p, st, rq);
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
    const struct policy_fact *fact = policy_fact_find(rq, c->key);
    found.op = c->op->name;
    found.quantifier = c->quantifier == QUANTIFIER_ALL   ? "ForAllValues:"
                       : c->quantifier == QUANTIFIER_ANY ? "ForAnyValue:"
                                                         : "";
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
        struct match m = statement_match(p, &p->statements[i], rq);
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

static void tell_registers(const struct policy *p, size_t i, const struct policy_request *rq,
                           policy_register_fn *emit, void *arg)
{
    const struct policy_statement *st = &p->statements[i];
    unsigned pcr;

    for (size_t k = 0; k < st->n_conditions; k++) {
        const struct policy_condition *c = &st->conditions[k];
        const struct policy_fact *fact = policy_fact_find(rq, c->key);
        if (policy_register_of(c->key, &pcr) == POLICY_REGISTER_NONE)
            continue;
        const struct policy_register r = {
            .statement = (unsigned)i + 1,
            .sid = st->sid,
            .allows = st->allows,
            .op = c->op->name,
            .key = c->key,
            .wanted = c->values.items,
            .n_wanted = c->values.n,
            .got = fact && fact->n_values ? fact->values[0] : SPAN_EMPTY,
            .holds = condition_holds(p, c, rq),
        };
        emit(arg, &r);
    }
}

void policy_registers(const struct policy *p, const struct policy_request *rq,
                      policy_register_fn *emit, void *arg)
{
    for (size_t i = 0; i < p->n; i++) {
        struct match m = statement_match(p, &p->statements[i], rq);
        if (m.miss == POLICY_MISS_NONE || m.miss >= POLICY_MISS_CONDITION)
            tell_registers(p, i, rq, emit, arg);
    }
}
