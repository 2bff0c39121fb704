/* test_properties.c - policies put together at random, from seeds that are the same each time: an
 * explicit denial always wins, taking a statement away never allows what was denied by default, the
 * order does not matter, and the answer is that of a model which knows the parts by heart. */
#include "policy/diff.h"
#include "policy/lint.h"
#include "policy/test_rows.h"
#include "testing/t.h"

enum { ROUNDS = 3000, STATEMENTS_MAX = 7, CALLERS = 5, ACTIONS = 3, DOCUMENTS = 3 };

#define PCR0 "kms:RecipientAttestation:PCR0"

static const char *const callers[CALLERS] = { ALICE, SESSION, ROOT, EVE, EC2 };
static const char *const actions[ACTIONS] = { "kms:Decrypt", "kms:Encrypt", "kms:PutKeyPolicy" };
/* Values of PCR0 in the request: absent, aa, bb. */
static const struct span registers[DOCUMENTS] = { SPAN_INIT(""), SPAN_INIT("aa"), SPAN_INIT("bb") };

/* What each part means for each caller, action, document: written down, not computed. */
enum { N = 0, BY = 1, Y = 2 }; /* no, by account, yes */

static const struct {
    const char *text;
    uint8_t match[CALLERS];
    bool only_deny;
} principals[] = {
    { "'Principal':'*'", { Y, Y, Y, Y, Y }, false },
    { "'Principal':{'AWS':'" ALICE "'}", { Y, N, N, N, N }, false },
    { "'Principal':{'AWS':'" ROLE "'}", { N, Y, N, N, N }, false },
    { "'Principal':{'AWS':'" SESSION "'}", { N, Y, N, N, N }, false },
    { "'Principal':{'AWS':'" ACCOUNT "'}", { BY, BY, Y, N, N }, false },
    { "'Principal':{'AWS':['" OTHER "','" BOB "']}", { N, N, N, BY, N }, false },
    { "'Principal':{'Service':'" EC2 "'}", { N, N, N, N, Y }, false },
    { "'NotPrincipal':{'AWS':['" ALICE "','" ROOT "']}", { N, Y, N, Y, Y }, true },
    { "'NotPrincipal':{'AWS':'" ALICE "'}", { Y, Y, Y, Y, Y }, true },
};

static const struct {
    const char *text;
    uint8_t match[ACTIONS];
} action_parts[] = {
    { "'Action':'kms:*'", { Y, Y, Y } },
    { "'Action':'kms:Decrypt'", { Y, N, N } },
    { "'Action':['KMS:encrypt','s3:*']", { N, Y, N } },
    { "'Action':'kms:*crypt'", { Y, Y, N } },
    { "'NotAction':'kms:Put*'", { Y, Y, N } },
    { "'NotAction':'kms:Decrypt'", { N, Y, Y } },
};

static const struct {
    const char *text;
    uint8_t match[DOCUMENTS];
} conditions[] = {
    { "", { Y, Y, Y } },
    { ",'Condition':{'StringEquals':{'" PCR0 "':'aa'}}", { N, Y, N } },
    { ",'Condition':{'StringEqualsIgnoreCase':{'" PCR0 "':['AA','BB']}}", { N, Y, Y } },
    { ",'Condition':{'StringNotEquals':{'" PCR0 "':'aa'}}", { Y, N, Y } },
    { ",'Condition':{'StringLikeIfExists':{'" PCR0 "':'a*'}}", { Y, Y, N } },
    { ",'Condition':{'Null':{'" PCR0 "':'true'}}", { Y, N, N } },
    { ",'Condition':{'Null':{'" PCR0 "':'false'},'StringNotLike':{'" PCR0 "':'b?'}}", { N, Y, N } },
    { ",'Condition':{'ForAllValues:StringEquals':{'" PCR0 "':'bb'}}", { Y, N, Y } },
    { ",'Condition':{'ForAnyValue:StringNotEquals':{'" PCR0 "':'bb'}}", { N, Y, N } },
};

#define PICK(a) (next_random() % (sizeof(a) / sizeof(a)[0]))

static uint64_t seed;

static uint32_t next_random(void)
{
    seed ^= seed << 13; /* xorshift64 */
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)(seed >> 16);
}

struct part {
    bool allows;
    size_t principal, action, condition;
};

static struct part part_random(void)
{
    struct part p = { .allows = next_random() % 3 != 0,
                      .action = PICK(action_parts),
                      .condition = PICK(conditions) };

    do
        p.principal = PICK(principals);
    while (p.allows && principals[p.principal].only_deny);
    return p;
}

static struct policy *build(const struct part *parts, size_t n)
{
    AUTO(buf_clear) struct buf quoted = BUF_INIT(POLICY_MAX_BYTES);
    struct policy *p = NULL;

    assert_int_equal(buf_append_str(&quoted, "{'Statement':["), ERR_OK);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(
            buf_printf(&quoted, "%s{'Effect':'%s',%s,%s,'Resource':'*'%s}", i ? "," : "",
                       parts[i].allows ? "Allow" : "Deny", principals[parts[i].principal].text,
                       action_parts[parts[i].action].text, conditions[parts[i].condition].text),
            ERR_OK);
    assert_int_equal(buf_append_str(&quoted, "]}"), ERR_OK);
    for (size_t i = 0; i < quoted.len; i++)
        if (quoted.ptr[i] == '\'')
            quoted.ptr[i] = '"';
    assert_int_equal(policy_parse(buf_view(&quoted), POLICY_OF_KEY, &p, NULL), ERR_OK);
    return p;
}

struct call {
    size_t caller, action, document;
};

static struct call call_random(void)
{
    return (struct call){ next_random() % CALLERS, next_random() % ACTIONS,
                          next_random() % DOCUMENTS };
}

static struct policy_verdict ask_as(const struct policy *p, const struct call *c, bool lasting)
{
    const struct policy_fact fact = { .key = SPAN_LIT(PCR0),
                                      .values = &registers[c->document],
                                      .n_values = 1 };
    struct policy_caller who;
    struct policy_verdict v;

    if (policy_caller_parse(span_str(callers[c->caller]), &who) != ERR_OK)
        assert_int_equal(policy_service_parse(span_str(callers[c->caller]), &who), ERR_OK);
    const struct policy_request rq = { .caller = &who,
                                       .action = span_str(actions[c->action]),
                                       .resource = SPAN_LIT(KEY),
                                       .facts = &fact,
                                       .n_facts = c->document ? 1 : 0,
                                       .lasting = lasting };
    policy_evaluate(p, &rq, &v);
    return v;
}

static enum policy_answer ask(const struct part *parts, size_t n, const struct call *c)
{
    AUTO(policy_freep) struct policy *p = build(parts, n);

    return ask_as(p, c, false).answer;
}

/* The answer of one statement alone, by the tables above. */
static enum policy_answer model_part(const struct part *p, const struct call *c)
{
    uint8_t who = principals[p->principal].match[c->caller];

    if (who == N || action_parts[p->action].match[c->action] == N ||
        conditions[p->condition].match[c->document] == N)
        return POLICY_SILENT;
    if (!p->allows)
        return POLICY_DENY;
    return who == BY ? POLICY_DELEGATE : POLICY_ALLOW;
}

static enum policy_answer model(const struct part *parts, size_t n, const struct call *c)
{
    enum policy_answer best = POLICY_SILENT;

    for (size_t i = 0; i < n; i++) {
        enum policy_answer one = model_part(&parts[i], c);
        best = one > best ? one : best;
    }
    return best;
}

static size_t parts_random(struct part parts[static STATEMENTS_MAX])
{
    size_t n = 1 + next_random() % STATEMENTS_MAX;

    for (size_t i = 0; i < n; i++)
        parts[i] = part_random();
    return n;
}

/* Each part alone, for every caller, action and document: the model is what the engine does. */
static void every_part(void **state)
{
    (void)state;
    struct part p = { .allows = false };

    for (p.principal = 0; p.principal < sizeof principals / sizeof principals[0]; p.principal++)
        for (p.action = 0; p.action < sizeof action_parts / sizeof action_parts[0]; p.action++)
            for (p.condition = 0; p.condition < sizeof conditions / sizeof conditions[0];
                 p.condition++) {
                AUTO(policy_freep) struct policy *policy = build(&p, 1);
                for (size_t i = 0; i < CALLERS * ACTIONS * DOCUMENTS; i++) {
                    const struct call c = { i % CALLERS, i / CALLERS % ACTIONS,
                                            i / CALLERS / ACTIONS };
                    assert_int_equal(ask_as(policy, &c, false).answer, model_part(&p, &c));
                }
            }
}

static void model_agrees(void **state)
{
    (void)state;
    struct part parts[STATEMENTS_MAX];

    seed = 1;
    for (unsigned round = 0; round < ROUNDS; round++) {
        size_t n = parts_random(parts);
        const struct call c = call_random();
        AUTO(policy_freep) struct policy *p = build(parts, n);
        struct policy_verdict v = ask_as(p, &c, false);
        assert_int_equal(v.answer, model(parts, n, &c));
        /* The statement that is said to decide gives that answer alone; the nearest is an Allow. */
        if (v.decided.statement)
            assert_int_equal(model_part(&parts[v.decided.statement - 1], &c), v.answer);
        if (v.nearest.statement) {
            assert_true(parts[v.nearest.statement - 1].allows);
            assert_int_equal(model_part(&parts[v.nearest.statement - 1], &c), POLICY_SILENT);
        }
    }
}

static void denial_always_wins(void **state)
{
    (void)state;
    struct part parts[STATEMENTS_MAX];
    unsigned denials = 0;

    seed = 2;
    for (unsigned round = 0; round < ROUNDS; round++) {
        size_t n = parts_random(parts);
        const struct call c = call_random();
        bool denied = false;
        for (size_t i = 0; i < n; i++)
            denied = denied || ask(&parts[i], 1, &c) == POLICY_DENY;
        assert_true((ask(parts, n, &c) == POLICY_DENY) == denied);
        denials += denied;
    }
    assert_in_range(denials, ROUNDS / 10, ROUNDS); /* it was not about nothing */
}

static void taking_away_never_allows(void **state)
{
    (void)state;
    struct part parts[STATEMENTS_MAX], fewer[STATEMENTS_MAX];
    unsigned silent = 0;

    seed = 3;
    for (unsigned round = 0; round < ROUNDS; round++) {
        size_t n = parts_random(parts), gone = next_random() % n;
        const struct call c = call_random();
        if (n < 2)
            continue;
        memcpy(fewer, parts, sizeof parts);
        memmove(&fewer[gone], &fewer[gone + 1], (n - gone - 1) * sizeof fewer[0]);
        enum policy_answer before = ask(parts, n, &c), after = ask(fewer, n - 1, &c);
        if (before == POLICY_SILENT)
            assert_int_equal(after, POLICY_SILENT);
        if (parts[gone].allows) /* without an Allow nothing more is allowed */
            assert_true(after <= before);
        else if (before != POLICY_DENY) /* a denial that did not count is not missed */
            assert_int_equal(after, before);
        silent += before == POLICY_SILENT;
    }
    assert_in_range(silent, ROUNDS / 20, ROUNDS);
}

static void order_does_not_matter(void **state)
{
    (void)state;
    struct part parts[STATEMENTS_MAX];

    seed = 4;
    for (unsigned round = 0; round < ROUNDS; round++) {
        size_t n = parts_random(parts);
        const struct call c = call_random();
        enum policy_answer before = ask(parts, n, &c);
        for (size_t i = n; i > 1; i--) {
            size_t k = next_random() % i;
            struct part swap = parts[k];
            parts[k] = parts[i - 1];
            parts[i - 1] = swap;
        }
        assert_int_equal(ask(parts, n, &c), before);
    }
}

/* The lockout check looks away from conditioned Allows, and from nothing else. */
static void lasting_is_less(void **state)
{
    (void)state;
    struct part parts[STATEMENTS_MAX], plain[STATEMENTS_MAX];

    seed = 5;
    for (unsigned round = 0; round < ROUNDS; round++) {
        size_t n = parts_random(parts), left = 0;
        const struct call c = call_random();
        AUTO(policy_freep) struct policy *p = build(parts, n);
        for (size_t i = 0; i < n; i++)
            if (!parts[i].allows || parts[i].condition == 0)
                plain[left++] = parts[i];
        assert_int_equal(ask_as(p, &c, true).answer, model(plain, left, &c));
    }
}

static void count(void *arg, const struct policy_change *c)
{
    (void)c;
    ++*(size_t *)arg;
}

/* Of two policies without a difference each call has the same answer, and a shuffled one has none.
 */
static void equal_by_diff_is_equal(void **state)
{
    (void)state;
    struct part a[STATEMENTS_MAX], b[STATEMENTS_MAX];
    unsigned same = 0;

    seed = 6;
    for (unsigned round = 0; round < ROUNDS; round++) {
        size_t n = parts_random(a), m = n, told = 0;
        for (size_t i = 0; i < n; i++)
            b[i] = a[n - 1 - i];
        if (round % 2)
            b[next_random() % n] = part_random();
        AUTO(policy_freep) struct policy *before = build(a, n), *after = build(b, m);
        size_t changes = policy_diff(before, after, count, &told);
        assert_int_equal(changes, told);
        if (round % 2 == 0)
            assert_int_equal(changes, 0);
        for (unsigned i = 0; changes == 0 && i < 20; i++) {
            const struct call c = call_random();
            assert_int_equal(ask_as(before, &c, false).answer, ask_as(after, &c, false).answer);
        }
        same += changes == 0;
    }
    assert_in_range(same, ROUNDS / 2, ROUNDS - 1);
}

/* What the critics call an open key can be used without attestation, unless a denial stands before
 * it; and what they call locked out nobody administers. */
static void lint_is_right(void **state)
{
    (void)state;
    static struct policy_lint l;
    struct part parts[STATEMENTS_MAX];

    seed = 7;
    for (unsigned round = 0; round < ROUNDS; round++) {
        size_t n = parts_random(parts);
        AUTO(policy_freep) struct policy *p = build(parts, n);
        bool lockout = false, open = false, by_anyone = false, put = false;
        policy_lint(p, &l);
        for (size_t i = 0; i < l.n; i++) {
            lockout = lockout || strcmp(l.found[i].rule->id, "lockout") == 0;
            open = open || strcmp(l.found[i].rule->id, "unattested-use") == 0 ||
                   strcmp(l.found[i].rule->id, "delegated-use") == 0;
        }
        for (size_t i = 0; i < CALLERS * ACTIONS; i++) {
            const struct call c = { i % CALLERS, i / CALLERS, 0 };
            enum policy_answer answer = ask_as(p, &c, c.action == 2).answer;
            bool may = answer == POLICY_ALLOW || answer == POLICY_DELEGATE;
            put = put || (c.action == 2 && may);
            by_anyone = by_anyone || (c.action == 0 && may);
        }
        if (by_anyone)
            assert_true(open);
        if (lockout)
            assert_false(put);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_part),
        cmocka_unit_test(model_agrees),
        cmocka_unit_test(denial_always_wins),
        cmocka_unit_test(taking_away_never_allows),
        cmocka_unit_test(order_does_not_matter),
        cmocka_unit_test(lasting_is_less),
        cmocka_unit_test(equal_by_diff_is_equal),
        cmocka_unit_test(lint_is_right),
    };

    return cmocka_run_group_tests_name("policy_properties", tests, NULL, NULL);
}
