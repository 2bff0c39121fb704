/* lint_whole.c - what the statements of a policy do together: who can use the key unattested, who
 * can change the policy, and whether the denial outside the images holds. */
#include "policy/lint_in.h"

/* Every attested action that has a key, and the first that has none only for identities. */
static bool is_use(const struct policy *p, const struct policy_action *a)
{
    return a->traits & POLICY_ACTION_ATTESTED &&
           (p->use == POLICY_OF_IDENTITY || !(a->traits & POLICY_ACTION_KEYLESS));
}

static bool is_delegation(const struct policy_statement *st)
{
    for (size_t i = 0; i < st->n_principals; i++)
        if (st->principals[i].kind != PRINCIPAL_ACCOUNT)
            return false;
    return st->n_principals > 0;
}

static bool has_anyone(const struct policy_statement *st)
{
    for (size_t i = 0; i < st->n_principals; i++)
        if (st->principals[i].kind == PRINCIPAL_ANYONE)
            return true;
    return false;
}

static void check_use(const struct policy *p, size_t i, struct policy_lint *out)
{
    const struct policy_statement *st = &p->statements[i];
    bool weak = p->use == POLICY_OF_IDENTITY || is_delegation(st);

    if (!st->allows || lint_is_attested(st))
        return;
    for (const struct policy_action *a = policy_actions; a->name; a++) {
        if (!is_use(p, a) || !lint_covers(st, a->name) || lint_belted(p, st, a->name))
            continue;
        if (strcmp(a->name, "kms:GenerateDataKey") == 0 && lint_spared(p, st, a->name)) {
            lint_add(out, p, (long)i, "sealer", st->principals[0].text);
            continue;
        }
        lint_add(out, p, (long)i, weak ? "delegated-use" : "unattested-use", span_str(a->name));
        return;
    }
}

static void check_everybody(const struct policy *p, size_t i, struct policy_lint *out)
{
    const struct policy_statement *st = &p->statements[i];

    if (!st->allows || !has_anyone(st))
        return;
    if (st->n_conditions == 0)
        lint_add(out, p, (long)i, "everybody", SPAN_EMPTY);
    else if (lint_is_attested(st))
        lint_add(out, p, (long)i, "everybody-with-image", SPAN_EMPTY);
}

/* Do two statements name a principal in common? */
static bool share_principal(const struct policy_statement *a, const struct policy_statement *b,
                            struct span *which)
{
    for (size_t i = 0; i < a->n_principals; i++)
        for (size_t k = 0; k < b->n_principals; k++)
            if (span_eq(a->principals[i].text, b->principals[k].text)) {
                *which = a->principals[i].text;
                return true;
            }
    return false;
}

static bool has_attested_user(const struct policy *p, const struct policy_statement *st,
                              struct span *which)
{
    for (size_t k = 0; k < p->n; k++)
        if (p->statements[k].allows && lint_is_attested(&p->statements[k]) &&
            share_principal(st, &p->statements[k], which))
            return true;
    return false;
}

static void check_administration(const struct policy *p, size_t i, struct policy_lint *out)
{
    const struct policy_statement *st = &p->statements[i];
    struct span who = SPAN_EMPTY;

    if (!st->allows || !lint_covers(st, "kms:PutKeyPolicy"))
        return;
    if (has_attested_user(p, st, &who) && !lint_is_attested(st))
        lint_add(out, p, (long)i, "user-administers", who);
    else if (!lint_is_attested(st))
        lint_add(out, p, (long)i, "administrator",
                 st->n_principals ? st->principals[0].text : SPAN_EMPTY);
}

/* Ways around the image that an unconditioned Allow opens. */
static void check_ways_around(const struct policy *p, size_t i, struct policy_lint *out)
{
    static const char *const writes[] = { "kms:Encrypt", "kms:GenerateDataKey",
                                          "kms:GenerateDataKeyWithoutPlaintext",
                                          "kms:GenerateDataKeyPairWithoutPlaintext" };
    const struct policy_statement *st = &p->statements[i];
    struct span who;

    if (!st->allows || lint_is_attested(st))
        return;
    if (lint_covers(st, "kms:CreateGrant") && !lint_belted(p, st, "kms:CreateGrant"))
        lint_add(out, p, (long)i, "create-grant", SPAN_EMPTY);
    if (lint_covers(st, "kms:ReEncryptFrom") && !lint_belted(p, st, "kms:ReEncryptFrom"))
        lint_add(out, p, (long)i, "re-encrypt", SPAN_EMPTY);
    for (size_t k = 0; k < sizeof writes / sizeof writes[0]; k++)
        if (lint_covers(st, writes[k]) && !lint_belted(p, st, writes[k]) &&
            has_attested_user(p, st, &who)) {
            lint_add(out, p, (long)i, "parent-writes", span_str(writes[k]));
            return;
        }
}

/* Is `value` of register `pcr` let through by this denial? */
static bool belt_spares(const struct policy_condition *belt, struct span value)
{
    for (size_t k = 0; k < belt->values.n; k++) {
        struct span spared = belt->values.items[k];
        if (belt->op->test == TEST_LIKE ? policy_glob(spared, value, true)
                                        : span_eq_nocase(spared, value))
            return true;
    }
    return false;
}

static void belt_against(const struct policy *p, size_t b, size_t i, struct policy_lint *out)
{
    const struct policy_condition *belt = lint_belt_register(&p->statements[b]);
    const struct policy_statement *st = &p->statements[i];
    unsigned denied, asked;
    enum policy_register_kind kind = policy_register_of(belt->key, &denied);

    for (size_t c = 0; c < st->n_conditions; c++) {
        const struct policy_condition *cond = &st->conditions[c];
        if (!lint_is_image_condition(cond) || policy_register_of(cond->key, &asked) != kind ||
            asked != denied)
            continue;
        for (size_t k = 0; k < cond->values.n; k++)
            if (!belt_spares(belt, cond->values.items[k]))
                lint_add(out, p, (long)b, "belt-denies-image", cond->values.items[k]);
    }
}

static bool overlap(const struct policy_statement *a, const struct policy_statement *b)
{
    for (const struct policy_action *x = policy_actions; x->name; x++)
        if (lint_covers(a, x->name) && lint_covers(b, x->name))
            return true;
    return false;
}

static void check_belt(const struct policy *p, struct policy_lint *out)
{
    bool attested = false, belt = false;

    for (size_t i = 0; i < p->n; i++) {
        const struct policy_statement *st = &p->statements[i];
        attested = attested || (st->allows && lint_is_attested(st));
        belt = belt || lint_is_belt(st);
        for (size_t k = 0; lint_is_belt(st) && k < p->n; k++)
            if (p->statements[k].allows && overlap(st, &p->statements[k]))
                belt_against(p, i, k, out);
    }
    if (attested && !belt)
        lint_add(out, p, -1, "no-belt", SPAN_EMPTY);
    for (const struct policy_action *a = policy_actions; belt && a->name; a++) {
        bool counts = is_use(p, a) || strcmp(a->name, "kms:CreateGrant") == 0 ||
                      strcmp(a->name, "kms:ReEncryptFrom") == 0;
        if (counts && !lint_belted(p, NULL, a->name))
            lint_add(out, p, -1, "belt-gap", span_str(a->name));
    }
}

static void check_lockout(const struct policy *p, struct policy_lint *out)
{
    for (size_t i = 0; i < p->n; i++) {
        const struct policy_statement *st = &p->statements[i];
        if (st->allows && st->n_conditions == 0 && lint_covers(st, "kms:PutKeyPolicy"))
            return;
    }
    lint_add(out, p, -1, "lockout", SPAN_EMPTY);
}

void lint_whole(const struct policy *p, struct policy_lint *out)
{
    for (size_t i = 0; i < p->n; i++) {
        check_use(p, i, out);
        check_everybody(p, i, out);
        check_administration(p, i, out);
        check_ways_around(p, i, out);
    }
    if (p->use != POLICY_OF_KEY)
        return;
    check_belt(p, out);
    check_lockout(p, out);
}
