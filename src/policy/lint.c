/* lint.c - findings, and what single statements have. */
#include "policy/lint_in.h"

#include <stdlib.h>

#include "policy/pattern.h"

static const struct policy_rule *rule_find(const char *id)
{
    for (const struct policy_rule *r = policy_rules; r->id; r++)
        if (strcmp(r->id, id) == 0)
            return r;
    abort(); /* a rule that this code names is in the table */
}

void lint_add(struct policy_lint *out, const struct policy *p, long statement, const char *id,
              struct span detail)
{
    if (out->n == POLICY_LINT_MAX) {
        out->more = true;
        return;
    }
    struct policy_lint_finding *f = &out->found[out->n++];
    *f = (struct policy_lint_finding){ .rule = rule_find(id) };
    if (statement >= 0) {
        f->statement = (unsigned)statement + 1;
        f->sid = p->statements[statement].sid;
    }
    size_t n = detail.len < sizeof f->detail ? detail.len : sizeof f->detail - 1;
    while (n < detail.len && n > 0 && (detail.ptr[n] & 0xc0) == 0x80)
        n--; /* not in the middle of a character */
    if (n > 0)
        memcpy(f->detail, detail.ptr, n);
}

bool lint_covers(const struct policy_statement *st, const char *action)
{
    bool listed = false;

    if (st->actions.n == 0 || st->resources.n == 0)
        return false;
    for (size_t i = 0; i < st->actions.n && !listed; i++)
        listed = policy_glob(st->actions.items[i], span_str(action), true);
    return listed != st->not_actions;
}

bool lint_names(const struct policy_statement *st, const char *action)
{
    for (size_t i = 0; i < st->actions.n && !st->not_actions; i++)
        if (span_eq_nocase(st->actions.items[i], span_str(action)))
            return true;
    return false;
}

static bool is_register(const struct policy_condition *c)
{
    unsigned pcr;

    return policy_register_of(c->key, &pcr) != POLICY_REGISTER_NONE;
}

static bool is_text(const struct policy_condition *c)
{
    return c->op->test == TEST_STRING || c->op->test == TEST_LIKE;
}

bool lint_is_image_condition(const struct policy_condition *c)
{
    return is_register(c) && is_text(c) && !c->op->negated && !c->if_exists &&
           c->quantifier != QUANTIFIER_ALL;
}

bool lint_is_attested(const struct policy_statement *st)
{
    for (size_t i = 0; i < st->n_conditions; i++)
        if (lint_is_image_condition(&st->conditions[i]))
            return true;
    return false;
}

const struct policy_condition *lint_belt_register(const struct policy_statement *belt)
{
    for (size_t i = 0; i < belt->n_conditions; i++) {
        const struct policy_condition *c = &belt->conditions[i];
        if (is_register(c) && is_text(c) && c->op->negated && c->quantifier != QUANTIFIER_ANY)
            return c;
    }
    return NULL;
}

/* The condition by which a Deny spares principals. */
static const struct policy_condition *exception_of(const struct policy_statement *st)
{
    for (size_t i = 0; i < st->n_conditions; i++) {
        const struct policy_condition *c = &st->conditions[i];
        if (span_eq_nocase(c->key, SPAN_LIT("aws:PrincipalArn")) && c->op->negated &&
            (is_text(c) || c->op->test == TEST_ARN) && c->quantifier != QUANTIFIER_ANY)
            return c;
    }
    return NULL;
}

bool lint_is_belt(const struct policy_statement *st)
{
    bool everybody = false;

    for (size_t i = 0; i < st->n_principals; i++)
        everybody = everybody || st->principals[i].kind == PRINCIPAL_ANYONE;
    if (st->allows || !everybody || st->not_principals)
        return false;
    return lint_belt_register(st) && st->n_conditions == 1U + (exception_of(st) != NULL);
}

static bool is_excepted(const struct policy_condition *exception, const struct policy_caller *who,
                        bool by_name)
{
    for (size_t i = 0; i < exception->values.n; i++) {
        struct span arn = exception->values.items[i];
        if (policy_caller_is(who, arn) || (!by_name && policy_glob(arn, who->arn, false)))
            return true;
    }
    return false;
}

/* Does the belt let somebody through whom `st` is about? An account has whom it likes. */
static bool spares_some(const struct policy_condition *exception, const struct policy_statement *st)
{
    if (st->not_principals || st->n_principals == 0)
        return true;
    for (size_t i = 0; i < st->n_principals; i++) {
        const struct policy_principal *who = &st->principals[i];
        if (who->kind == PRINCIPAL_ANYONE || who->kind == PRINCIPAL_ACCOUNT ||
            (who->kind == PRINCIPAL_ARN && is_excepted(exception, &who->who, false)))
            return true;
    }
    return false;
}

bool lint_belted(const struct policy *p, const struct policy_statement *st, const char *action)
{
    for (size_t i = 0; i < p->n; i++) {
        const struct policy_condition *exception = exception_of(&p->statements[i]);
        if (lint_is_belt(&p->statements[i]) && lint_covers(&p->statements[i], action) &&
            (!exception || !st || !spares_some(exception, st)))
            return true;
    }
    return false;
}

bool lint_spared(const struct policy *p, const struct policy_statement *st, const char *action)
{
    for (size_t i = 0; i < p->n; i++) {
        const struct policy_condition *exception = exception_of(&p->statements[i]);
        size_t k = 0;
        if (!exception || !lint_is_belt(&p->statements[i]) ||
            !lint_covers(&p->statements[i], action))
            continue;
        while (k < st->n_principals && st->principals[k].kind == PRINCIPAL_ARN &&
               is_excepted(exception, &st->principals[k].who, true))
            k++;
        if (k > 0 && k == st->n_principals && !st->not_principals)
            return true;
    }
    return false;
}

static void check_actions(const struct policy *p, size_t i, struct policy_lint *out)
{
    const struct policy_statement *st = &p->statements[i];

    if (st->actions.n == 0 || st->resources.n == 0)
        lint_add(out, p, (long)i, "no-effect", SPAN_EMPTY);
    if (st->allows && st->not_actions)
        lint_add(out, p, (long)i, "not-action", SPAN_EMPTY);
    for (size_t k = 0; k < st->actions.n; k++) {
        struct span name = st->actions.items[k];
        const struct policy_action *known = policy_action_find(name);
        bool pattern = span_find(name, '*') < name.len || span_find(name, '?') < name.len;
        if (!known && !pattern && span_eq_nocase(span_sub(name, 0, 4), SPAN_LIT("kms:")))
            lint_add(out, p, (long)i, "unknown-action", name);
        if (known && known->traits & POLICY_ACTION_KEYLESS && p->use == POLICY_OF_KEY &&
            !st->not_actions)
            lint_add(out, p, (long)i, "keyless-action", name);
    }
}

static bool uses_key(const struct policy_statement *st)
{
    for (const struct policy_action *a = policy_actions; a->name; a++)
        if (a->traits & POLICY_ACTION_USE && lint_covers(st, a->name))
            return true;
    return false;
}

static void check_resources(const struct policy *p, size_t i, struct policy_lint *out)
{
    const struct policy_statement *st = &p->statements[i];

    for (size_t k = 0; k < st->resources.n; k++) {
        struct span name = st->resources.items[k];
        bool all = span_is(name, "*");
        if (p->use == POLICY_OF_KEY && !all)
            lint_add(out, p, (long)i, "resource", name);
        if (p->use == POLICY_OF_IDENTITY && all && st->allows && uses_key(st))
            lint_add(out, p, (long)i, "all-keys", SPAN_EMPTY);
    }
}

static bool types_agree(const struct policy_condition *c, const struct policy_key *key)
{
    switch (c->op->test) {
    case TEST_NULL:
        return true;
    case TEST_STRING:
    case TEST_LIKE: /* text of every type can be compared as text, but not sensibly */
        return key->type == POLICY_KEY_STRING || key->type == POLICY_KEY_ARN ||
               key->type == POLICY_KEY_BOOL;
    case TEST_NUMBER:
        return key->type == POLICY_KEY_NUMBER || key->type == POLICY_KEY_DATE;
    case TEST_DATE:
        return key->type == POLICY_KEY_DATE;
    case TEST_BOOL:
        return key->type == POLICY_KEY_BOOL;
    case TEST_BINARY:
        return false;
    case TEST_ADDRESS:
        return key->type == POLICY_KEY_ADDRESS;
    case TEST_ARN:
        return key->type == POLICY_KEY_ARN || key->type == POLICY_KEY_STRING;
    }
    return true;
}

static void check_condition(const struct policy *p, size_t i, const struct policy_condition *c,
                            struct policy_lint *out)
{
    const struct policy_key *key = policy_key_find(c->key);

    if (!key) {
        if (!is_register(c)) /* those have a rule of their own */
            lint_add(out, p, (long)i, "unknown-key", c->key);
        return;
    }
    if (!types_agree(c, key))
        lint_add(out, p, (long)i, "key-type", c->key);
    if (c->quantifier != QUANTIFIER_NONE && !key->multi && !is_register(c))
        lint_add(out, p, (long)i, "one-value", c->key);
    if (c->quantifier == QUANTIFIER_NONE && key->multi && c->op->test != TEST_NULL)
        lint_add(out, p, (long)i, "several-values", c->key);
}

static void check_version(const struct policy *p, size_t i, struct policy_lint *out)
{
    const struct policy_statement *st = &p->statements[i];
    bool any = false;

    for (size_t k = 0; k < st->resources.n; k++)
        any = any || pattern_has_variable(st->resources.items[k]);
    for (size_t c = 0; c < st->n_conditions; c++)
        for (size_t k = 0; k < st->conditions[c].values.n; k++)
            any = any || pattern_has_variable(st->conditions[c].values.items[k]);
    if (any && !p->variables)
        lint_add(out, p, (long)i, "old-version", SPAN_EMPTY);
}

/* UTF-8 of U+0080 to U+00FF begins with C2 or C3. */
static void check_characters(const struct policy *p, struct policy_lint *out)
{
    for (size_t i = 0; i < p->text.len; i++)
        if (p->text.ptr[i] > 0xc3) {
            lint_add(out, p, -1, "characters", SPAN_EMPTY);
            return;
        }
}

void policy_lint(const struct policy *p, struct policy_lint *out)
{
    out->n = 0;
    out->more = false;
    for (size_t i = 0; i < p->n; i++) {
        check_actions(p, i, out);
        check_resources(p, i, out);
        for (size_t c = 0; c < p->statements[i].n_conditions; c++)
            check_condition(p, i, &p->statements[i].conditions[c], out);
        check_version(p, i, out);
        lint_registers(p, i, out);
    }
    lint_whole(p, out);
    check_characters(p, out);
}

enum policy_severity policy_lint_worst(const struct policy_lint *l)
{
    enum policy_severity worst = POLICY_NOTE;

    for (size_t i = 0; i < l->n; i++)
        if (l->found[i].rule->severity > worst)
            worst = l->found[i].rule->severity;
    return worst;
}
