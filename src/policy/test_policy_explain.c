/* test_policy_explain.c - what the operator is told about a decision, word for word. Documents are
 * written with ' for ". */
#include "policy/policy.h"
#include "testing/t.h"

#define ALICE "arn:aws:iam::111122223333:user/alice"
#define BOB   "arn:aws:iam::111122223333:user/bob"

#define ST(effect, who, rest)                                                                      \
    "{'Effect':'" effect "','Principal':" who ",'Action':'kms:Decrypt','Resource':'*'" rest "}"
#define ALLOW(who) ST("Allow", who, "")
#define IF(c)      ",'Condition':{" c "}"
#define PCR0       "kms:RecipientAttestation:PCR0"
#define HEX16      "00112233445566778899aabbccddeeff"
#define HEX128     HEX16 HEX16 HEX16 HEX16 HEX16 HEX16 HEX16 HEX16

static const struct row {
    const char *name, *statements, *line;
} rows[] = {
    { "allowed", ST("Allow", "'*'", ",'Sid':'all of you'"),
      "allowed by statement 1 \"all of you\"" },
    { "allowed by the second", ALLOW("{'AWS':'" BOB "'}") "," ALLOW("'*'"),
      "allowed by statement 2" },
    { "denied", ALLOW("'*'") "," ST("Deny", "{'AWS':'" ALICE "'}", ""), "denied by statement 2" },
    { "denied under a condition",
      ST("Deny", "'*'", ",'Sid':'belt'" IF("'StringNotEqualsIgnoreCase':{'" PCR0 "':['aa','bb']}")),
      "denied by statement 1 \"belt\" because of StringNotEqualsIgnoreCase " PCR0
      ": request has no such key, policy has [\"aa\", \"bb\"]" },
    { "left to identity policies", ALLOW("{'AWS':'111122223333'}"),
      "left to identity policies by statement 1" },
    { "left to identity policies, and a condition that fails",
      ALLOW("{'AWS':'111122223333'}") "," ST("Allow", "'*'", IF("'Bool':{'a:b':true}")),
      "left to identity policies by statement 1; nearest is statement 2, which fails on Bool a:b: "
      "request has no such key, policy has [\"true\"]" },
    { "another principal", ALLOW("{'AWS':'" BOB "'}"),
      "no statement allows it; nearest is statement 1, which is not for this principal" },
    { "another action", "{'Effect':'Allow','Principal':'*','Action':'s3:*','Resource':'*'}",
      "no statement allows it; nearest is statement 1, which is not for this action" },
    { "another resource",
      "{'Effect':'Allow','Principal':'*','Action':'*','Resource':'arn:aws:s3:::b'}",
      "no statement allows it; nearest is statement 1, which is not for this resource" },
    { "the second of two conditions",
      ST("Allow", "'*'",
         IF("'StringEqualsIfExists':{'a:b':'c'},'StringLike':{'aws:x':['a*','b']}")),
      "no statement allows it; nearest is statement 1, which fails on StringLike aws:x: request "
      "has "
      "[\"1\", \"2\"], policy has [\"a*\", \"b\"]" },
    { "a condition with IfExists", ST("Allow", "'*'", IF("'BoolIfExists':{'AWS:X':'true'}")),
      "no statement allows it; nearest is statement 1, which fails on BoolIfExists AWS:X: request "
      "has [\"1\", \"2\"], policy has [\"true\"]" },
    { "a key that ought to be absent", ST("Allow", "'*'", IF("'Null':{'aws:x':'true'}")),
      "no statement allows it; nearest is statement 1, which fails on Null aws:x: request has "
      "[\"1\", \"2\"], policy has [\"true\"]" },
    { "the one that came farther",
      ALLOW("{'AWS':'" BOB
            "'}") "," ST("Allow", "'*'",
                         ",'Sid':'far'" IF("'Bool':{'a:b':'true'}")) "," ALLOW("{'AWS':'" BOB "'}"),
      "no statement allows it; nearest is statement 2 \"far\", which fails on Bool a:b: request "
      "has "
      "no such key, policy has [\"true\"]" },
    { "the first of two that came as far",
      ALLOW("{'AWS':'" BOB "'}") "," ALLOW("{'AWS':'" BOB "'}"),
      "no statement allows it; nearest is statement 1, which is not for this principal" },
    { "a denial is never near", ST("Deny", "{'AWS':'" BOB "'}", ""), "no statement allows it" },
    { "a long value is cut", ST("Allow", "'*'", IF("'StringEquals':{'a:b':'" HEX128 HEX128 "'}")),
      "no statement allows it; nearest is statement 1, which fails on StringEquals a:b: request "
      "has "
      "no such key, policy has [\"" HEX128 "\"]" },
};
enum { N = sizeof rows / sizeof rows[0] };

static struct policy *parse(const char *quoted)
{
    AUTO(buf_clear) struct buf text = BUF_INIT(POLICY_MAX_BYTES);
    struct policy *p = NULL;

    assert_int_equal(buf_append_str(&text, "{\"Statement\":["), ERR_OK);
    for (; *quoted; quoted++)
        assert_int_equal(buf_append_byte(&text, *quoted == '\'' ? '"' : (uint8_t)*quoted), ERR_OK);
    assert_int_equal(buf_append_str(&text, "]}"), ERR_OK);
    assert_int_equal(policy_parse(buf_view(&text), POLICY_OF_KEY, &p, NULL), ERR_OK);
    return p;
}

static void evaluate(const struct policy *p, struct policy_verdict *out)
{
    static const struct span values[] = { SPAN_INIT("1"), SPAN_INIT("2") };
    static const struct policy_fact facts[] = { { SPAN_INIT("aws:x"), values, 2 } };
    struct policy_caller who;

    assert_int_equal(policy_caller_parse(SPAN_LIT(ALICE), &who), ERR_OK);
    const struct policy_request rq = {
        .caller = &who,
        .action = SPAN_LIT("kms:Decrypt"),
        .resource = SPAN_LIT("arn:aws:kms:us-east-1:111122223333:key/x"),
        .facts = facts,
        .n_facts = 1,
    };
    policy_evaluate(p, &rq, out);
}

static void explains(void **state)
{
    const struct row *row = *state;
    AUTO(policy_freep) struct policy *p = parse(row->statements);
    AUTO(buf_clear) struct buf line = BUF_INIT(2048);
    struct policy_verdict v;

    evaluate(p, &v);
    assert_int_equal(policy_explain(&v, &line), ERR_OK);
    t_assert_buf(&line, row->line);
    /* One byte is missing, in whichever of the parts. */
    for (size_t room = 0; room < strlen(row->line); room++) {
        AUTO(buf_clear) struct buf narrow = BUF_INIT(room);
        assert_int_equal(policy_explain(&v, &narrow), ERR_LIMIT);
    }
}

static void finding(void **state)
{
    (void)state;
    AUTO(policy_freep)
    struct policy *p =
        parse(ST("Allow", "'*'", ",'Sid':'s'" IF("'StringLikeIfExists':{'AWS:X':['a*','b']}")));
    struct policy_verdict v;

    evaluate(p, &v);
    assert_int_equal(v.answer, POLICY_SILENT);
    assert_int_equal(v.decided.statement, 0);
    assert_int_equal(v.nearest.statement, 1);
    t_assert_span(v.nearest.sid, SPAN_LIT("s"));
    assert_string_equal(v.nearest.op, "StringLike");
    assert_true(v.nearest.if_exists);
    t_assert_span(v.nearest.key, SPAN_LIT("AWS:X"));
    assert_int_equal(v.nearest.n_wanted, 2);
    t_assert_span(v.nearest.wanted[1], SPAN_LIT("b"));
    assert_true(v.nearest.present);
    assert_int_equal(v.nearest.n_got, 2);
    t_assert_span(v.nearest.got[1], SPAN_LIT("2"));
}

int main(void)
{
    enum { OTHERS = 1 };
    static struct CMUnitTest tests[N + OTHERS] = { cmocka_unit_test(finding) };

    T_ROWS(tests + OTHERS, rows, explains);
    return cmocka_run_group_tests_name("policy_explain", tests, NULL, NULL);
}
