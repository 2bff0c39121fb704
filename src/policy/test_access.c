/* test_access.c - key policy and identity policies together, and the words for a refusal. */
#include "policy/access.h"
#include "testing/t.h"

#define A     "111122223333"
#define ALICE "arn:aws:iam::" A ":user/alice"
#define ROOT  "arn:aws:iam::" A ":root"
#define OTHER "arn:aws:iam::444455556666:user/eve"
#define KEY   "arn:aws:kms:us-east-1:" A ":key/1234abcd-12ab-34cd-56ef-1234567890ab"

/* Key policies. */
#define K(effect, who, action)                                                                     \
    "{\"Effect\":\"" effect "\",\"Principal\":{\"AWS\":\"" who "\"},\"Action\":\"" action          \
    "\",\"Resource\":\"*\"}"
#define DOC(st)   "{\"Statement\":[" st "]}"
#define NAMED     DOC(K("Allow", ALICE, "kms:Decrypt"))
#define DELEGATED DOC(K("Allow", A, "kms:*"))
#define SILENT    DOC(K("Allow", ALICE, "kms:Encrypt"))
#define DENIED    DOC(K("Allow", ALICE, "kms:*") "," K("Deny", "*", "kms:Decrypt"))
#define EVERYBODY DOC(K("Allow", "*", "kms:*"))
/* Identity policies. */
#define I(effect, action)                                                                          \
    "{\"Statement\":{\"Effect\":\"" effect "\",\"Action\":\"" action "\",\"Resource\":\"*\"}}"
#define MAY     I("Allow", "kms:*")
#define MAY_NOT I("Deny", "kms:Decrypt")
#define OF_S3   I("Allow", "s3:*")
#define OTHER_KEY                                                                                  \
    "{\"Statement\":{\"Effect\":\"Allow\",\"Action\":\"kms:*\",\"Resource\":\"arn:aws:kms:*:key/"  \
    "x\"}}"

#define USER(who) "User: " who " is not authorized to perform: kms:Decrypt on resource: "

static struct row {
    const char *name, *caller, *key; /* key NULL: an operation without one */
    const char *identity[2];
    enum access_reason reason;
    const char *message, *explained;
} rows[] = {
    { "named in the key policy", ALICE, NAMED, { NULL }, ACCESS_ALLOWED, NULL, NULL },
    { "everybody is named", ALICE, EVERYBODY, { NULL }, ACCESS_ALLOWED, NULL, NULL },
    { "delegated and allowed", ALICE, DELEGATED, { MAY }, ACCESS_ALLOWED, NULL, NULL },
    { "delegated, second identity policy",
      ALICE,
      DELEGATED,
      { OF_S3, MAY },
      ACCESS_ALLOWED,
      NULL,
      NULL },
    { "delegated and not allowed",
      ALICE,
      DELEGATED,
      { NULL },
      ACCESS_NOT_BY_IDENTITY,
      USER(ALICE) KEY " because no identity-based policy allows the kms:Decrypt action",
      "key policy: left to identity policies by statement 1; the caller has no identity policies" },
    { "delegated, the second identity policy came nearer",
      ALICE,
      DELEGATED,
      { OF_S3, OTHER_KEY },
      ACCESS_NOT_BY_IDENTITY,
      USER(ALICE) KEY " because no identity-based policy allows the kms:Decrypt action",
      "key policy: left to identity policies by statement 1; identity policy 2: no statement "
      "allows "
      "it; nearest is statement 1, which is not for this resource" },
    { "delegated, the first identity policy came nearer",
      ALICE,
      DELEGATED,
      { OTHER_KEY, OF_S3 },
      ACCESS_NOT_BY_IDENTITY,
      USER(ALICE) KEY " because no identity-based policy allows the kms:Decrypt action",
      "key policy: left to identity policies by statement 1; identity policy 1: no statement "
      "allows "
      "it; nearest is statement 1, which is not for this resource" },
    { "delegated, both identity policies equally near",
      ALICE,
      DELEGATED,
      { OF_S3, OF_S3 },
      ACCESS_NOT_BY_IDENTITY,
      USER(ALICE) KEY " because no identity-based policy allows the kms:Decrypt action",
      "key policy: left to identity policies by statement 1; identity policy 1: no statement "
      "allows "
      "it; nearest is statement 1, which is not for this action" },
    { "delegated, the first allows, the second is for something else",
      ALICE,
      DELEGATED,
      { MAY, OF_S3 },
      ACCESS_ALLOWED,
      NULL,
      NULL },
    { "delegated, an identity policy allows and another denies",
      ALICE,
      DELEGATED,
      { MAY_NOT, MAY },
      ACCESS_DENIED_BY_IDENTITY,
      USER(ALICE) KEY " with an explicit deny in an identity-based policy",
      "identity policy 1: denied by statement 1" },
    { "delegated, identity policy for something else",
      ALICE,
      DELEGATED,
      { OF_S3 },
      ACCESS_NOT_BY_IDENTITY,
      USER(ALICE) KEY " because no identity-based policy allows the kms:Decrypt action",
      "key policy: left to identity policies by statement 1; identity policy 1: no statement "
      "allows "
      "it; nearest is statement 1, which is not for this action" },
    { "identity policies alone do not suffice",
      ALICE,
      SILENT,
      { MAY },
      ACCESS_NOT_BY_KEY,
      USER(ALICE) KEY " because no resource-based policy allows the kms:Decrypt action",
      "key policy: no statement allows it; nearest is statement 1, which is not for this action" },
    { "denied by the key policy",
      ALICE,
      DENIED,
      { MAY },
      ACCESS_DENIED_BY_KEY,
      USER(ALICE) KEY " with an explicit deny in a resource-based policy",
      "key policy: denied by statement 2" },
    { "denied by an identity policy",
      ALICE,
      NAMED,
      { MAY, MAY_NOT },
      ACCESS_DENIED_BY_IDENTITY,
      USER(ALICE) KEY " with an explicit deny in an identity-based policy",
      "identity policy 2: denied by statement 1" },
    { "both deny",
      ALICE,
      DENIED,
      { MAY_NOT },
      ACCESS_DENIED_BY_KEY,
      USER(ALICE) KEY " with an explicit deny in a resource-based policy",
      "key policy: denied by statement 2" },
    { "an identity denial before silence of the key",
      ALICE,
      SILENT,
      { MAY_NOT },
      ACCESS_DENIED_BY_IDENTITY,
      USER(ALICE) KEY " with an explicit deny in an identity-based policy",
      "identity policy 1: denied by statement 1" },
    { "root user, delegated", ROOT, DELEGATED, { NULL }, ACCESS_ALLOWED, NULL, NULL },
    { "root user, not named",
      ROOT,
      NAMED,
      { NULL },
      ACCESS_NOT_BY_KEY,
      USER(ROOT) KEY " because no resource-based policy allows the kms:Decrypt action",
      "key policy: no statement allows it; nearest is statement 1, which is not for this "
      "principal" },
    { "root user, denied",
      ROOT,
      DENIED,
      { NULL },
      ACCESS_DENIED_BY_KEY,
      USER(ROOT) KEY " with an explicit deny in a resource-based policy",
      "key policy: denied by statement 2" },
    { "another account, key policy alone",
      OTHER,
      EVERYBODY,
      { NULL },
      ACCESS_NOT_BY_IDENTITY,
      USER(OTHER) KEY " because no identity-based policy allows the kms:Decrypt action",
      "key policy: allowed by statement 1; the caller has no identity policies" },
    { "another account, both", OTHER, EVERYBODY, { MAY }, ACCESS_ALLOWED, NULL, NULL },
    { "another account, identity policy alone",
      OTHER,
      DELEGATED,
      { MAY },
      ACCESS_NOT_BY_KEY,
      USER(OTHER) KEY " because no resource-based policy allows the kms:Decrypt action",
      "key policy: no statement allows it; nearest is statement 1, which is not for this "
      "principal" },
    { "no key, allowed", ALICE, NULL, { MAY }, ACCESS_ALLOWED, NULL, NULL },
    { "no key, root user", ROOT, NULL, { NULL }, ACCESS_ALLOWED, NULL, NULL },
    { "no key, no identity policy",
      ALICE,
      NULL,
      { NULL },
      ACCESS_NOT_BY_IDENTITY,
      USER(ALICE) "* because no identity-based policy allows the kms:Decrypt action",
      "the caller has no identity policies" },
    { "no key, denied",
      ALICE,
      NULL,
      { MAY, MAY_NOT },
      ACCESS_DENIED_BY_IDENTITY,
      USER(ALICE) "* with an explicit deny in an identity-based policy",
      "identity policy 2: denied by statement 1" },
};

static struct policy *parse(const char *text, enum policy_use use)
{
    struct policy *p = NULL;

    assert_int_equal(policy_parse(span_str(text), use, &p, NULL), ERR_OK);
    return p;
}

static void decides(void **state)
{
    const struct row *row = *state;
    AUTO(policy_freep) struct policy *key = row->key ? parse(row->key, POLICY_OF_KEY) : NULL;
    AUTO(buf_clear) struct buf message = BUF_INIT(1024);
    AUTO(buf_clear) struct buf line = BUF_INIT(1024);
    struct policy *identity[2] = { NULL };
    struct access_question q = { .key = key, .key_account = SPAN_LIT(A), .identity = identity };
    struct policy_caller who;
    struct access a;

    for (; q.n_identity < 2 && row->identity[q.n_identity]; q.n_identity++)
        identity[q.n_identity] = parse(row->identity[q.n_identity], POLICY_OF_IDENTITY);
    assert_int_equal(policy_caller_parse(span_str(row->caller), &who), ERR_OK);
    q.rq = (struct policy_request){ .caller = &who,
                                    .action = SPAN_LIT("kms:Decrypt"),
                                    .resource = row->key ? SPAN_LIT(KEY) : SPAN_LIT("*") };
    access_decide(&q, &a);
    assert_int_equal(a.reason, row->reason);
    if (row->message) {
        assert_int_equal(access_refusal(&a, &q.rq, &message), ERR_OK);
        t_assert_buf(&message, row->message);
        assert_int_equal(access_explain(&a, &line), ERR_OK);
        t_assert_buf(&line, row->explained);
    }
    policy_free(identity[0]);
    policy_free(identity[1]);
}

static void named(void **state)
{
    static const struct {
        const char *caller, *arn;
        bool is;
    } cases[] = {
        { "arn:aws:iam::111122223333:user/a", "arn:aws:iam::111122223333:user/a", true },
        { "arn:aws:iam::111122223333:user/a", "arn:aws:iam::111122223333:user/b", false },
        { "arn:aws:iam::111122223333:user/a", "arn:aws:iam::111122223333:root", false },
        { "arn:aws:iam::111122223333:root", "arn:aws:iam::111122223333:root", true },
        { "arn:aws:sts::111122223333:assumed-role/r/s", "arn:aws:iam::111122223333:role/r", true },
        { "arn:aws:sts::111122223333:assumed-role/r/s", "arn:aws:iam::111122223333:role/p/r",
          true },
        { "arn:aws:sts::111122223333:assumed-role/r/s", "arn:aws:iam::444455556666:role/r", false },
        { "arn:aws:sts::111122223333:assumed-role/r/s", "arn:aws-cn:iam::111122223333:role/r",
          false },
        { "arn:aws:sts::111122223333:assumed-role/r/s", "arn:aws:iam::111122223333:user/r", false },
        { "arn:aws:sts::111122223333:assumed-role/r/s", "", false },
    };
    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct policy_caller who;
        assert_int_equal(policy_caller_parse(span_str(cases[i].caller), &who), ERR_OK);
        assert_int_equal(policy_caller_is(&who, span_str(cases[i].arn)), cases[i].is);
    }
}

int main(void)
{
    enum { N = sizeof rows / sizeof rows[0] };
    static struct CMUnitTest tests[N + 1];

    T_ROWS(tests, rows, decides);
    tests[N] = (struct CMUnitTest)cmocka_unit_test(named);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
