/* test_rows_access.c - key policy, identity policies and grants together: who is let in by what.
 *
 * Policies are statements written with ' for ". A grant is "GRANTEE Operation,Operation" and
 * perhaps " equals name=value,..." or " subset name=value,...". Wanted is "allowed by" or "denied:
 * " and the explanation's beginning. */
#include "policy/access.h"
#include "policy/test_rows.h"
#include "testing/t.h"

#define NONE                                                                                       \
    {                                                                                              \
        NULL                                                                                       \
    }
#define MAY        "{'Effect':'Allow','Action':'kms:*','Resource':'*'}"
#define MAY_NOT    "{'Effect':'Deny','Action':'kms:Decrypt','Resource':'*'}"
#define MAY_SIGN   "{'Effect':'Allow','Action':'kms:Sign','Resource':'*'}"
#define MAY_OTHERS "{'Effect':'Allow','Action':'kms:*','Resource':'arn:aws:kms:*:*:key/x'}"
#define MAY_IF                                                                                     \
    "{'Effect':'Allow','Action':'kms:*','Resource':'*','Condition':{'StringEquals':"               \
    "{'kms:EncryptionContext:app':'demo'}}}"
#define NAMED     ALLOW(AWS(ALICE))
#define DELEGATED ALLOW(AWS(ACCOUNT))
#define ABROAD    ALLOW(AWS(OTHER))
#define D         "kms:Decrypt"
#define APP       "kms:EncryptionContext:app=demo"
#define APP_AND_B "kms:EncryptionContext:app=demo; kms:EncryptionContext:b=2"

static const struct row {
    const char *name, *key; /* key NULL: the operation has none */
    const char *identity[3], *grants[3];
    const char *caller, *action, *facts, *want;
} rows[] = {
    { "named by the key policy", NAMED, NONE, NONE, ALICE, D, "",
      "allowed: key policy: allowed by statement 1" },
    { "named, and no identity policy allows",
      NAMED,
      { MAY_SIGN },
      NONE,
      ALICE,
      D,
      "",
      "allowed: key policy: allowed by statement 1" },
    { "named, and an identity policy denies",
      NAMED,
      { MAY, MAY_NOT },
      NONE,
      ALICE,
      D,
      "",
      "denied identity: identity policy 2: denied by statement 1" },
    { "delegated without an identity policy", DELEGATED, NONE, NONE, ALICE, D, "",
      "not identity: key policy: left to identity policies by statement 1; the caller has no "
      "identity policies" },
    { "delegated and allowed",
      DELEGATED,
      { MAY },
      NONE,
      ALICE,
      D,
      "",
      "allowed: key policy: left to identity policies by statement 1; identity policy 1: allowed "
      "by statement 1" },
    { "delegated and allowed by the second",
      DELEGATED,
      { MAY_SIGN, MAY },
      NONE,
      ALICE,
      D,
      "",
      "allowed: key policy: left to identity policies by statement 1; identity policy 2: allowed "
      "by statement 1" },
    { "delegated, allowed and denied",
      DELEGATED,
      { MAY, MAY_NOT },
      NONE,
      ALICE,
      D,
      "",
      "denied identity: identity policy 2: denied by statement 1" },
    { "delegated, allowed for another key",
      DELEGATED,
      { MAY_OTHERS },
      NONE,
      ALICE,
      D,
      "",
      "not identity: key policy: left to identity policies by statement 1; identity policy 1: no "
      "statement allows it; nearest is statement 1, which is not for this resource" },
    { "delegated, allowed in another context",
      DELEGATED,
      { MAY_IF },
      NONE,
      ALICE,
      D,
      "",
      "not identity: key policy: left to identity policies by statement 1; identity policy 1: no "
      "statement allows it; nearest is statement 1, which fails on StringEquals "
      "kms:EncryptionContext:app: request has no such key, policy has [\"demo\"]" },
    { "delegated, allowed in this context",
      DELEGATED,
      { MAY_IF },
      NONE,
      ALICE,
      D,
      APP,
      "allowed: key policy: left to identity policies by statement 1; identity policy 1: allowed "
      "by statement 1" },
    { "identity policies alone never suffice",
      ALLOW(AWS(BOB)),
      { MAY },
      NONE,
      ALICE,
      D,
      "",
      "not key: key policy: no statement allows it; nearest is statement 1, which is not for this "
      "principal" },
    { "denied by the key policy, allowed by all else",
      NAMED "," DENY("'*'"),
      { MAY },
      { ALICE " Decrypt" },
      ALICE,
      D,
      "",
      "denied key: key policy: denied by statement 2" },
    { "the root user of the account", DELEGATED, NONE, NONE, ROOT, D, "",
      "allowed: key policy: allowed by statement 1" },
    { "the root user, not named", NAMED, NONE, NONE, ROOT, D, "",
      "not key: key policy: no statement allows it; nearest is statement 1, which is not for this "
      "principal" },
    /* another account */
    { "another account, named, without its leave", ALLOW(AWS(EVE)), NONE, NONE, EVE, D, "",
      "not identity: key policy: allowed by statement 1; the caller has no identity policies" },
    { "another account, named, with its leave",
      ALLOW(AWS(EVE)),
      { MAY },
      NONE,
      EVE,
      D,
      "",
      "allowed: key policy: allowed by statement 1" },
    { "another account delegated, without its leave", ABROAD, NONE, NONE, EVE, D, "",
      "not identity: key policy: left to identity policies by statement 1; the caller has no "
      "identity policies" },
    { "another account delegated, with its leave",
      ABROAD,
      { MAY },
      NONE,
      EVE,
      D,
      "",
      "allowed: key policy: left to identity policies by statement 1; identity policy 1: allowed "
      "by statement 1" },
    { "another account, everybody is named", EVERYBODY, NONE, NONE, EVE, D, "",
      "not identity: key policy: allowed by statement 1; the caller has no identity policies" },
    { "another account, not named",
      DELEGATED,
      { MAY },
      NONE,
      EVE,
      D,
      "",
      "not key: key policy: no statement allows it; nearest is statement 1, which is not for this "
      "principal" },
    { "the root user of another account", ABROAD, NONE, NONE, "arn:aws:iam::" OTHER ":root", D, "",
      "allowed: key policy: allowed by statement 1" },
    /* services */
    { "a service that is named", ALLOW("{'Service':'" EC2 "'}"), NONE, NONE, EC2, D, "",
      "allowed: key policy: allowed by statement 1" },
    { "a service that is not", NAMED, NONE, NONE, EC2, D, "",
      "not key: key policy: no statement allows it; nearest is statement 1, which is not for this "
      "principal" },
    { "a service with a grant",
      NAMED,
      NONE,
      { EC2 " Decrypt" },
      EC2,
      D,
      "",
      "allowed: allowed by grant 1; key policy: no statement allows it" },
    /* operations without a key */
    { "no key, allowed by identity",
      NULL,
      { MAY },
      NONE,
      ALICE,
      "kms:GenerateRandom",
      "",
      "allowed: identity policy 1: allowed by statement 1" },
    { "no key, no identity policy", NULL, NONE, NONE, ALICE, "kms:GenerateRandom", "",
      "not identity: the caller has no identity policies" },
    { "no key, the root user", NULL, NONE, NONE, ROOT, "kms:CreateKey", "",
      "allowed: the root user has every permission of its account" },
    { "no key, a grant does not count",
      NULL,
      NONE,
      { ALICE " GenerateRandom" },
      ALICE,
      "kms:GenerateRandom",
      "",
      "not identity: the caller has no identity policies" },
    /* grants */
    { "a grant",
      DELEGATED,
      NONE,
      { ALICE " Decrypt" },
      ALICE,
      D,
      "",
      "allowed: allowed by grant 1; key policy: left to identity policies by statement 1" },
    { "a grant where the key policy is silent",
      ALLOW(AWS(BOB)),
      NONE,
      { ALICE " Decrypt" },
      ALICE,
      D,
      "",
      "allowed: allowed by grant 1; key policy: no statement allows it" },
    { "the second grant",
      DELEGATED,
      NONE,
      { BOB " Decrypt", ALICE " Encrypt,Decrypt" },
      ALICE,
      D,
      "",
      "allowed: allowed by grant 2; key policy: left to identity policies by statement 1" },
    { "a grant that is not needed",
      NAMED,
      NONE,
      { ALICE " Decrypt" },
      ALICE,
      D,
      "",
      "allowed: key policy: allowed by statement 1" },
    { "a grant for another operation",
      DELEGATED,
      NONE,
      { ALICE " DescribeKey" },
      ALICE,
      D,
      "",
      "not identity: key policy: left to identity policies by statement 1; the caller has no "
      "identity policies" },
    { "a grant for somebody else",
      DELEGATED,
      NONE,
      { BOB " Decrypt" },
      ALICE,
      D,
      "",
      "not identity: key policy: left to identity policies by statement 1; the caller has no "
      "identity policies" },
    { "a grant for a role is for its sessions",
      DELEGATED,
      NONE,
      { ROLE " Decrypt" },
      SESSION,
      D,
      "",
      "allowed: allowed by grant 1; key policy: left to identity policies by statement 1" },
    { "a grant for the account is not for its users",
      DELEGATED,
      NONE,
      { ROOT " Decrypt" },
      ALICE,
      D,
      "",
      "not identity: key policy: left to identity policies by statement 1; the caller has no "
      "identity policies" },
    { "a grant, and an identity policy denies",
      DELEGATED,
      { MAY_NOT },
      { ALICE " Decrypt" },
      ALICE,
      D,
      "",
      "denied identity: identity policy 1: denied by statement 1" },
    { "a grant to another account, without its leave",
      DELEGATED,
      NONE,
      { EVE " Decrypt" },
      EVE,
      D,
      "",
      "not identity: allowed by grant 1; key policy: no statement allows it; nearest is "
      "statement 1, which is not for this principal; the caller has no identity policies" },
    { "a grant to another account, with its leave",
      DELEGATED,
      { MAY },
      { EVE " Decrypt" },
      EVE,
      D,
      "",
      "allowed: allowed by grant 1; key policy: no statement allows it" },
    { "a grant in its context",
      DELEGATED,
      NONE,
      { ALICE " Decrypt subset app=demo" },
      ALICE,
      D,
      APP_AND_B,
      "allowed: allowed by grant 1; key policy: left to identity policies" },
    { "a grant in another context",
      DELEGATED,
      NONE,
      { ALICE " Decrypt subset app=demo" },
      ALICE,
      D,
      "kms:EncryptionContext:app=prod",
      "not identity: key policy: left to identity policies" },
    { "contexts of grants heed case",
      DELEGATED,
      NONE,
      { ALICE " Decrypt subset App=demo" },
      ALICE,
      D,
      APP,
      "not identity: key policy: left to identity policies" },
    { "a grant without any context in the call",
      DELEGATED,
      NONE,
      { ALICE " Decrypt subset app=demo" },
      ALICE,
      D,
      "",
      "not identity: key policy: left to identity policies" },
    { "a grant for exactly this context",
      DELEGATED,
      NONE,
      { ALICE " Decrypt equals app=demo" },
      ALICE,
      D,
      APP,
      "allowed: allowed by grant 1; key policy: left to identity policies" },
    { "and one pair more",
      DELEGATED,
      NONE,
      { ALICE " Decrypt equals app=demo" },
      ALICE,
      D,
      APP_AND_B,
      "not identity: key policy: left to identity policies" },
    { "and one pair less",
      DELEGATED,
      NONE,
      { ALICE " Decrypt equals app=demo,b=2" },
      ALICE,
      D,
      APP,
      "not identity: key policy: left to identity policies" },
    { "the list of names is no pair",
      DELEGATED,
      NONE,
      { ALICE " Decrypt equals app=demo" },
      ALICE,
      D,
      APP "; kms:EncryptionContextKeys=app",
      "allowed: allowed by grant 1; key policy: left to identity policies" },
    { "operations without a context do not ask for one",
      DELEGATED,
      NONE,
      { ALICE " DescribeKey,Sign equals app=demo" },
      ALICE,
      "kms:DescribeKey",
      "",
      "allowed: allowed by grant 1; key policy: left to identity policies" },
    { "nor does Sign",
      DELEGATED,
      NONE,
      { ALICE " DescribeKey,Sign subset app=demo" },
      ALICE,
      "kms:Sign",
      "",
      "allowed: allowed by grant 1; key policy: left to identity policies" },
};
enum { N = sizeof rows / sizeof rows[0], ITEMS_MAX = 8 };

struct grants {
    struct policy_grant list[3];
    struct span operations[3][ITEMS_MAX];
    struct policy_pair pairs[3][ITEMS_MAX];
    size_t n;
};

static void grant_parse(const char *text, struct grants *g)
{
    struct span rest = span_str(text);
    size_t i = g->n++, n_pairs = 0;
    struct policy_grant *out = &g->list[i];

    *out = (struct policy_grant){ .grantee = span_cut(&rest, ' '), .operations = g->operations[i] };
    for (struct span ops = span_cut(&rest, ' '); ops.ptr;)
        g->operations[i][out->n_operations++] = span_cut(&ops, ',');
    out->has_equals = span_is(span_cut(&rest, ' '), "equals");
    while (rest.ptr) {
        struct span value = span_cut(&rest, ',');
        g->pairs[i][n_pairs].name = span_cut(&value, '=');
        g->pairs[i][n_pairs++].value = value;
    }
    out->equals = out->subset = g->pairs[i];
    out->n_equals = out->has_equals ? n_pairs : 0;
    out->n_subset = out->has_equals ? 0 : n_pairs;
}

static void decides(void **state)
{
    static const char *const reasons[] = { "allowed", "denied key", "denied identity", "not key",
                                           "not identity" };
    const struct row *row = *state;
    static struct rows_facts facts;
    static struct grants grants;
    AUTO(policy_freep) struct policy *key = row->key ? rows_parse(row->key, POLICY_OF_KEY) : NULL;
    AUTO(buf_clear) struct buf got = BUF_INIT(4096);
    struct policy *identity[3] = { NULL };
    struct policy_caller who;
    struct access a;
    size_t n = 0;

    grants.n = 0;
    for (size_t i = 0; i < 3 && row->grants[i]; i++)
        grant_parse(row->grants[i], &grants);
    for (; n < 3 && row->identity[n]; n++)
        identity[n] = rows_parse(row->identity[n], POLICY_OF_IDENTITY);
    rows_caller(row->caller, &who);
    rows_facts_parse(row->facts, &facts);
    const struct access_question q = {
        .rq = { .caller = &who,
                .action = span_str(row->action),
                .resource = row->key ? SPAN_LIT(KEY) : SPAN_LIT("*"),
                .facts = facts.list,
                .n_facts = facts.n },
        .key = key,
        .key_account = SPAN_LIT(ACCOUNT),
        .identity = identity,
        .n_identity = n,
        .grants = grants.list,
        .n_grants = grants.n,
    };
    access_decide(&q, &a);
    assert_int_equal(buf_printf(&got, "%s: ", reasons[a.reason]), ERR_OK);
    assert_int_equal(access_explain(&a, &got), ERR_OK);
    buf_truncate(&got, strlen(row->want)); /* of a longer explanation the beginning */
    t_assert_buf(&got, row->want);
    for (size_t i = 0; i < n; i++)
        policy_free(identity[i]);
}

int main(void)
{
    static struct CMUnitTest tests[N];

    T_ROWS(tests, rows, decides);
    return cmocka_run_group_tests_name("policy_rows_access", tests, NULL, NULL);
}
