#include "policy/diff.h"

#include "policy/compiled.h"
#include "policy/words.h"

enum { UNPAIRED = 0xffff };

/* One thing that a statement says. */
struct item {
    enum policy_part part;
    bool negated;
    const struct policy_principal *principal;
    const struct policy_condition *condition;
    struct span value;
};

static bool covers(const struct policy_statement *st, const char *action)
{
    bool listed = false;

    for (size_t i = 0; i < st->actions.n && !listed; i++)
        listed = policy_glob(st->actions.items[i], span_str(action), true);
    return st->actions.n > 0 && listed != st->not_actions;
}

static bool stands_for_any(struct span pattern)
{
    for (const struct policy_action *a = policy_actions; a->name; a++)
        if (policy_glob(pattern, span_str(a->name), true))
            return true;
    return false;
}

/* Walks all items of a statement: `*at` counts up from 0. */
static bool next_item(const struct policy_statement *st, size_t *at, struct item *out)
{
    size_t i = (*at)++;

    *out = (struct item){ .part = POLICY_PART_PRINCIPAL };
    if (i < st->n_principals) {
        out->negated = st->not_principals;
        out->principal = &st->principals[i];
        out->value = st->principals[i].text;
        return true;
    }
    i -= st->n_principals;
    out->part = POLICY_PART_RESOURCE;
    if (i < st->resources.n) {
        out->negated = st->not_resources;
        out->value = st->resources.items[i];
        return true;
    }
    i -= st->resources.n;
    out->part = POLICY_PART_CONDITION;
    for (size_t c = 0; c < st->n_conditions; c++) {
        if (i < st->conditions[c].values.n) {
            out->condition = &st->conditions[c];
            out->value = st->conditions[c].values.items[i];
            return true;
        }
        i -= st->conditions[c].values.n;
    }
    return false;
}

static bool same_principal(const struct policy_principal *a, const struct policy_principal *b)
{
    if (a->kind != b->kind)
        return false;
    if (a->kind == PRINCIPAL_ACCOUNT)
        return span_eq(a->who.account, b->who.account);
    return a->kind == PRINCIPAL_ANYONE || span_eq(a->text, b->text);
}

static bool same_condition(const struct policy_condition *a, const struct policy_condition *b)
{
    return a->op == b->op && a->quantifier == b->quantifier && a->if_exists == b->if_exists &&
           span_eq_nocase(a->key, b->key);
}

static bool same_item(const struct item *a, const struct item *b)
{
    if (a->part != b->part || a->negated != b->negated)
        return false;
    if (a->part == POLICY_PART_PRINCIPAL)
        return same_principal(a->principal, b->principal);
    if (a->part != POLICY_PART_CONDITION)
        return span_eq(a->value, b->value);
    if (!same_condition(a->condition, b->condition))
        return false;
    return a->condition->op->ignore_case ? span_eq_nocase(a->value, b->value)
                                         : span_eq(a->value, b->value);
}

static bool has_item(const struct policy_statement *st, const struct item *wanted)
{
    struct item item;

    for (size_t at = 0; next_item(st, &at, &item);)
        if (same_item(&item, wanted))
            return true;
    return false;
}

static bool has_pattern(const struct policy_statement *st, struct span pattern, bool negated)
{
    for (size_t i = 0; i < st->actions.n; i++)
        if (st->not_actions == negated && span_eq_nocase(st->actions.items[i], pattern))
            return true;
    return false;
}

/* How much of `a` is in `b`, and how much there is. */
static void measure(const struct policy_statement *a, const struct policy_statement *b,
                    size_t *common, size_t *all)
{
    struct item item;

    *common = *all = 0;
    for (size_t at = 0; next_item(a, &at, &item); ++*all)
        *common += has_item(b, &item);
    for (const struct policy_action *x = policy_actions; x->name; x++)
        if (covers(a, x->name)) {
            *common += covers(b, x->name);
            ++*all;
        }
    for (size_t i = 0; i < a->actions.n; i++)
        if (!stands_for_any(a->actions.items[i])) {
            *common += has_pattern(b, a->actions.items[i], a->not_actions);
            ++*all;
        }
}

static bool are_equal(const struct policy_statement *a, const struct policy_statement *b)
{
    size_t common, all;

    if (a->allows != b->allows || (a->actions.n == 0) != (b->actions.n == 0))
        return false;
    measure(a, b, &common, &all);
    if (common != all)
        return false;
    measure(b, a, &common, &all);
    return common == all;
}

/* Of 200; 0 for an unlike effect. */
static size_t likeness(const struct policy_statement *a, const struct policy_statement *b)
{
    size_t common, all, back, all_back;

    if (a->allows != b->allows)
        return 0;
    measure(a, b, &common, &all);
    measure(b, a, &back, &all_back);
    return (all ? common * 100 / all : 0) + (all_back ? back * 100 / all_back : 0);
}

struct pairing {
    const struct policy *before, *after;
    uint16_t of_before[POLICY_STATEMENTS_MAX], of_after[POLICY_STATEMENTS_MAX];
};

static void pair(struct pairing *p, size_t i, size_t k)
{
    p->of_before[i] = (uint16_t)k;
    p->of_after[k] = (uint16_t)i;
}

static bool has_sid(const struct policy_statement *a, const struct policy_statement *b)
{
    return a->sid.len > 0 && span_eq(a->sid, b->sid);
}

static void pair_where(struct pairing *p, bool (*alike)(const struct policy_statement *a,
                                                        const struct policy_statement *b))
{
    for (size_t i = 0; i < p->before->n; i++)
        for (size_t k = 0; k < p->after->n && p->of_before[i] == UNPAIRED; k++)
            if (p->of_after[k] == UNPAIRED &&
                alike(&p->before->statements[i], &p->after->statements[k]))
                pair(p, i, k);
}

/* The most like one, if they have half in common. */
static void pair_rest(struct pairing *p)
{
    for (size_t i = 0; i < p->before->n; i++) {
        size_t best = 100, which = UNPAIRED;
        if (p->of_before[i] != UNPAIRED)
            continue;
        for (size_t k = 0; k < p->after->n; k++) {
            if (p->of_after[k] != UNPAIRED)
                continue;
            size_t like = likeness(&p->before->statements[i], &p->after->statements[k]);
            if (like > best) {
                best = like;
                which = k;
            }
        }
        if (which != UNPAIRED)
            pair(p, i, which);
    }
}

struct sink {
    policy_change_fn *emit;
    void *arg;
    size_t n;
};

static void tell(struct sink *s, const struct policy_change *model, bool added,
                 enum policy_part part, struct span value)
{
    struct policy_change c = *model;

    c.added = added;
    c.part = part;
    c.value = value;
    s->n++;
    s->emit(s->arg, &c);
}

static void tell_item(struct sink *s, const struct policy_change *model, bool added,
                      const struct item *item)
{
    struct policy_change c = *model;
    const struct policy_condition *cond = item->condition;

    c.negated = item->negated;
    if (cond) {
        c.op = cond->op->name;
        c.quantifier = cond->quantifier == QUANTIFIER_ALL   ? "ForAllValues:"
                       : cond->quantifier == QUANTIFIER_ANY ? "ForAnyValue:"
                                                            : "";
        c.if_exists = cond->if_exists;
        c.key = cond->key;
    }
    tell(s, &c, added, item->part, item->value);
}

/* Everything that `a` says and `b` does not. */
static void tell_one_side(struct sink *s, const struct policy_change *model, bool added,
                          const struct policy_statement *a, const struct policy_statement *b)
{
    struct item item;

    for (const struct policy_action *x = policy_actions; x->name; x++)
        if (covers(a, x->name) && !covers(b, x->name))
            tell(s, model, added, POLICY_PART_ACTION, span_str(x->name));
    for (size_t i = 0; i < a->actions.n; i++)
        if (!stands_for_any(a->actions.items[i]) &&
            !has_pattern(b, a->actions.items[i], a->not_actions))
            tell(s, model, added, POLICY_PART_ACTION, a->actions.items[i]);
    for (size_t at = 0; next_item(a, &at, &item);)
        if (!has_item(b, &item))
            tell_item(s, model, added, &item);
}

static struct span effect(const struct policy_statement *st)
{
    return st->allows ? SPAN_LIT("Allow") : SPAN_LIT("Deny");
}

static void tell_pair(struct sink *s, const struct pairing *p, size_t i, size_t k)
{
    const struct policy_statement *a = &p->before->statements[i], *b = &p->after->statements[k];
    const struct policy_change model = { .before = (unsigned)i + 1,
                                         .after = (unsigned)k + 1,
                                         .sid = b->sid.len ? b->sid : a->sid };

    if (a->allows != b->allows) {
        tell(s, &model, false, POLICY_PART_EFFECT, effect(a));
        tell(s, &model, true, POLICY_PART_EFFECT, effect(b));
    }
    if (!span_eq(a->sid, b->sid)) {
        tell(s, &model, false, POLICY_PART_SID, a->sid);
        tell(s, &model, true, POLICY_PART_SID, b->sid);
    }
    tell_one_side(s, &model, false, a, b);
    tell_one_side(s, &model, true, b, a);
}

/* That it came or went, and all that it says. */
static void tell_whole(struct sink *s, const struct policy_change *model, bool added,
                       const struct policy_statement *st)
{
    static const struct policy_statement nothing;

    tell(s, model, added, POLICY_PART_STATEMENT, effect(st));
    tell_one_side(s, model, added, st, &nothing);
}

size_t policy_diff(const struct policy *before, const struct policy *after, policy_change_fn *emit,
                   void *arg)
{
    struct pairing p = { .before = before, .after = after };
    struct sink s = { .emit = emit, .arg = arg };

    memset(p.of_before, 0xff, sizeof p.of_before);
    memset(p.of_after, 0xff, sizeof p.of_after);
    pair_where(&p, are_equal);
    pair_where(&p, has_sid);
    pair_rest(&p);
    for (size_t k = 0; k < after->n; k++) {
        const struct policy_change model = { .after = (unsigned)k + 1,
                                             .sid = after->statements[k].sid };
        if (p.of_after[k] != UNPAIRED)
            tell_pair(&s, &p, p.of_after[k], k);
        else
            tell_whole(&s, &model, true, &after->statements[k]);
    }
    for (size_t i = 0; i < before->n; i++) {
        const struct policy_change model = { .before = (unsigned)i + 1,
                                             .sid = before->statements[i].sid };
        if (p.of_before[i] == UNPAIRED)
            tell_whole(&s, &model, false, &before->statements[i]);
    }
    return s.n;
}
