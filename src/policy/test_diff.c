/* test_diff.c - what is told as a change, and what is none. Statements are written with ' for ". */
#include "policy/diff.h"
#include "testing/t.h"

#define A "arn:aws:iam::111122223333:role/a"
#define B "arn:aws:iam::111122223333:role/b"
#define ST(effect, who, action, rest)                                                              \
    "{'Effect':'" effect "','Principal':" who ",'Action':" action ",'Resource':'*'" rest "}"
#define AWS(x)       "{'AWS':'" x "'}"
#define DECRYPT(who) ST("Allow", AWS(who), "'kms:Decrypt'", "")
#define SID(s)       ",'Sid':'" s "'"
#define PCR(v)       ",'Condition':{'StringEquals':{'kms:RecipientAttestation:PCR0':" v "}}"

static const struct row {
    const char *name, *before, *after, *told;
} rows[] = {
    { "the same", DECRYPT(A), DECRYPT(A), "" },
    { "another order of statements", DECRYPT(A) "," DECRYPT(B), DECRYPT(B) "," DECRYPT(A), "" },
    { "a list of one", DECRYPT(A), ST("Allow", "{'AWS':['" A "']}", "['kms:Decrypt']", ""), "" },
    { "another order of values", ST("Allow", AWS(A), "['kms:Sign','kms:Verify']", ""),
      ST("Allow", AWS(A), "['kms:Verify','kms:Sign']", ""), "" },
    { "a value twice", ST("Allow", AWS(A), "['kms:Sign','kms:Sign']", ""),
      ST("Allow", AWS(A), "'kms:Sign'", ""), "" },
    { "letters of an action", DECRYPT(A), ST("Allow", AWS(A), "'KMS:decrypt'", ""), "" },
    { "a pattern for what it stands for", ST("Allow", AWS(A), "'kms:ListG*'", ""),
      ST("Allow", AWS(A), "'kms:ListGrants'", ""), "" },
    { "account by number", DECRYPT("111122223333"), DECRYPT("arn:aws:iam::111122223333:root"), "" },
    { "everybody in two ways", ST("Allow", "'*'", "'kms:Sign'", ""), DECRYPT("*"),
      "-1:1 Action kms:Sign|+1:1 Action kms:Decrypt|" },
    { "letters of a condition key", ST("Allow", AWS(A), "'kms:Decrypt'", PCR("'00'")),
      ST("Allow", AWS(A), "'kms:Decrypt'",
         ",'Condition':{'StringEquals':{'KMS:recipientattestation:pcr0':['00']}}"),
      "" },
    { "a principal more", DECRYPT(A), ST("Allow", "{'AWS':['" A "','" B "']}", "'kms:Decrypt'", ""),
      "+1:1 Principal " B "|" },
    { "another principal", ST("Allow", AWS(A), "'kms:Decrypt'", SID("x")),
      ST("Allow", AWS(B), "'kms:Decrypt'", SID("x")),
      "-1:1 Principal " A "|+1:1 Principal " B "|" },
    { "an action less", ST("Allow", AWS(A), "['kms:Sign','kms:Verify']", ""),
      ST("Allow", AWS(A), "'kms:Sign'", ""), "-1:1 Action kms:Verify|" },
    { "an action by NotAction",
      "{'Effect':'Allow','Principal':'*','NotAction':'kms:Sign','Resource':'*'}",
      "{'Effect':'Allow','Principal':'*','NotAction':['kms:Sign','kms:Verify'],'Resource':'*'}",
      "-1:1 Action kms:Verify|" },
    { "an action of another service", DECRYPT(A), ST("Allow", AWS(A), "['kms:Decrypt','s3:*']", ""),
      "+1:1 Action s3:*|" },
    { "a PCR", ST("Allow", AWS(A), "'kms:Decrypt'", PCR("'00'")),
      ST("Allow", AWS(A), "'kms:Decrypt'", PCR("'11'")),
      "-1:1 Condition StringEquals kms:RecipientAttestation:PCR0 00|"
      "+1:1 Condition StringEquals kms:RecipientAttestation:PCR0 11|" },
    { "a PCR more", ST("Allow", AWS(A), "'kms:Decrypt'", PCR("'00'")),
      ST("Allow", AWS(A), "'kms:Decrypt'", PCR("['00','11']")),
      "+1:1 Condition StringEquals kms:RecipientAttestation:PCR0 11|" },
    { "IfExists", ST("Allow", AWS(A), "'kms:Decrypt'", ",'Condition':{'Bool':{'a:b':'true'}}"),
      ST("Allow", AWS(A), "'kms:Decrypt'", ",'Condition':{'BoolIfExists':{'a:b':'true'}}"),
      "-1:1 Condition Bool a:b true|+1:1 Condition BoolIfExists a:b true|" },
    { "a quantifier",
      ST("Allow", AWS(A), "'kms:Decrypt'", ",'Condition':{'StringLike':{'a:b':'x'}}"),
      ST("Allow", AWS(A), "'kms:Decrypt'", ",'Condition':{'ForAnyValue:StringLike':{'a:b':'x'}}"),
      "-1:1 Condition StringLike a:b x|+1:1 Condition ForAnyValue:StringLike a:b x|" },
    { "letters of a value that does not heed them",
      ST("Allow", AWS(A), "'kms:Decrypt'", ",'Condition':{'StringEqualsIgnoreCase':{'a:b':'x'}}"),
      ST("Allow", AWS(A), "'kms:Decrypt'", ",'Condition':{'StringEqualsIgnoreCase':{'a:b':'X'}}"),
      "" },
    { "Allow to Deny", ST("Allow", AWS(A), "'kms:Decrypt'", SID("x")),
      ST("Deny", AWS(A), "'kms:Decrypt'", SID("x")), "-1:1 Effect Allow|+1:1 Effect Deny|" },
    { "a Sid", ST("Allow", AWS(A), "'kms:Decrypt'", SID("x")),
      ST("Allow", AWS(A), "'kms:Decrypt'", SID("y")), "-1:1 Sid x|+1:1 Sid y|" },
    { "a statement more", DECRYPT(A), DECRYPT(A) "," ST("Deny", "'*'", "'kms:Sign'", ""),
      "+0:2 Statement Deny|+0:2 Action kms:Sign|+0:2 Principal *|+0:2 Resource *|" },
    { "a statement less", DECRYPT(A) "," ST("Deny", "'*'", "'kms:Sign'", ""), DECRYPT(A),
      "-2:0 Statement Deny|-2:0 Action kms:Sign|-2:0 Principal *|-2:0 Resource *|" },
    { "a statement before the others", DECRYPT(A), ST("Deny", "'*'", "'s3:*'", "") "," DECRYPT(A),
      "+0:1 Statement Deny|+0:1 Action s3:*|+0:1 Principal *|+0:1 Resource *|" },
    { "Principal to NotPrincipal", ST("Deny", AWS(A), "'kms:Decrypt'", SID("x")),
      "{'Effect':'Deny','NotPrincipal':" AWS(A) ",'Action':'kms:Decrypt','Resource':'*'" SID(
          "x") "}",
      "-1:1 Principal " A "|+1:1 NotPrincipal " A "|" },
};
enum { N = sizeof rows / sizeof rows[0] };

static struct policy *parse(const char *statements)
{
    AUTO(buf_clear) struct buf text = BUF_INIT(POLICY_MAX_BYTES);
    struct policy *p = NULL;

    assert_int_equal(buf_append_str(&text, "{\"Statement\":["), ERR_OK);
    for (const char *c = statements; *c; c++)
        assert_int_equal(buf_append_byte(&text, *c == '\'' ? '"' : (uint8_t)*c), ERR_OK);
    assert_int_equal(buf_append_str(&text, "]}"), ERR_OK);
    assert_int_equal(policy_parse(buf_view(&text), POLICY_OF_KEY, &p, NULL), ERR_OK);
    return p;
}

static void take(void *arg, const struct policy_change *c)
{
    static const char *const names[] = { "Statement", "Sid",      "Effect",   "Principal",
                                         "Action",    "Resource", "Condition" };

    assert_int_equal(buf_printf(arg, "%c%u:%u %s%s ", c->added ? '+' : '-', c->before, c->after,
                                c->negated ? "Not" : "", names[c->part]),
                     ERR_OK);
    if (c->op)
        assert_int_equal(buf_printf(arg, "%s%s%s %.*s ", c->quantifier, c->op,
                                    c->if_exists ? "IfExists" : "", (int)c->key.len,
                                    (const char *)c->key.ptr),
                         ERR_OK);
    assert_int_equal(buf_printf(arg, "%.*s|", (int)c->value.len, (const char *)c->value.ptr),
                     ERR_OK);
}

static void tells(void **state)
{
    const struct row *row = *state;
    AUTO(policy_freep) struct policy *before = parse(row->before), *after = parse(row->after);
    AUTO(buf_clear) struct buf told = BUF_INIT(65536);
    size_t bars = 0;

    size_t n = policy_diff(before, after, take, &told);
    t_assert_buf(&told, row->told);
    for (const char *c = row->told; *c; c++)
        bars += *c == '|';
    assert_int_equal(n, bars);
    buf_reset(&told);
    assert_int_equal(policy_diff(after, before, take, &told), n); /* as much the other way round */
    assert_int_equal(policy_diff(before, before, take, &told), 0);
}

int main(void)
{
    static struct CMUnitTest tests[N];

    T_ROWS(tests, rows, tells);
    return cmocka_run_group_tests_name("policy_diff", tests, NULL, NULL);
}
