/* test_position.c - where a document is wrong. The documents are written with ' for ", and with @
 * in front of what is at fault. */
#include "policy/policy.h"
#include "testing/t.h"

#define ST    "{'Effect':'Allow','Principal':'*','Action':'kms:*','Resource':'*'}"
#define IN(m) "{'Statement':[" ST ",{'Effect':'Deny','Principal':'*'," m "}]}"

static const struct row {
    const char *name, *doc, *what;
    unsigned statement;
} rows[] = {
    { "not JSON", "{'Statement':@x}", "Policy is not JSON", 0 },
    { "end of the text", "{'Statement':[@", "Policy is not JSON", 0 },
    { "comma at the end", "{'Statement':" ST ",@}", "Policy is not JSON", 0 },
    { "trailing text", "{'Statement':" ST "} @x", "Policy is not JSON", 0 },
    { "not JSON inside of a statement", "{'Statement':[" ST ",{'Effect':@Deny}]}",
      "Policy is not JSON", 0 },
    { "no object", " @[]", "Policy is not an object", 0 },
    { "unknown element", "{'Version':'2012-10-17',@'Statements':[]}", "Unknown element in policy",
      0 },
    { "version", "{'Version': @'2012-10-18','Statement':" ST "}", "Unknown policy Version", 0 },
    { "Id", "{'Id':@7,'Statement':" ST "}", "Id is not a string", 0 },
    { "no statement", "@{'Id':'x'}", "Policy without Statement", 0 },
    { "empty list of statements", "{'Statement':@[]}", "Policy without Statement", 0 },
    { "statement", "{'Statement':[" ST ",@7]}", "Statement is not an object", 2 },
    { "element", IN("@'action':'kms:*'"), "Unknown element in statement", 2 },
    { "element and its Not form", IN("@'NotPrincipal':'*'"), "Element together with its Not form",
      2 },
    { "Effect", "{'Statement':{'Effect':@'allow'}}", "Effect is neither Allow nor Deny", 1 },
    { "Sid", IN("'Sid': @[]"), "Sid is not a string", 2 },
    { "no Effect", "{'Statement':[" ST ", @{'Principal':'*'}]}", "Statement without Effect", 2 },
    { "no Principal", "{'Statement':@{'Effect':'Deny'}}", "Statement without Principal", 1 },
    { "action", IN("'Action':['kms:*',@'Decrypt']"), "Invalid action in policy", 2 },
    { "action of a wrong type", IN("'Action':['kms:*',@7]"), "Value of a wrong type in policy", 2 },
    { "empty list", IN("'Action':@[]"), "Empty list in policy", 2 },
    { "resource", IN("'Resource':@'key'"), "Invalid resource in policy", 2 },
    { "principal", "{'Statement':{'Effect':'Deny','Principal':{'AWS':['*',@'me']}}}",
      "Invalid principal in policy", 1 },
    { "principal as text", "{'Statement':{'Effect':'Deny','Principal':@'me'}}",
      "Invalid principal in policy", 1 },
    { "empty principal", "{'Statement':{'Effect':'Deny','Principal':{'AWS':@[]}}}",
      "Invalid principal in policy", 1 },
    { "operator", IN("'Condition':{'Bool':{'aws:x':'true'},@'Boole':{}}"),
      "Unsupported condition operator", 2 },
    { "operator without keys", IN("'Condition':{@'Bool':{}}"), "Condition operator without keys",
      2 },
    { "condition key", IN("'Condition':{'Bool':{@'x':'true'}}"), "Invalid condition key in policy",
      2 },
    { "value", IN("'Condition':{'Bool':{'aws:x':['true', @'maybe']}}"),
      "Condition value is neither true nor false", 2 },
    { "number", IN("'Condition':{'NumericEquals':{'aws:x':@'1x'}}"),
      "Condition value is not a number", 2 },
    { "overly permissive",
      IN("'Condition':{'ForAllValues:StringEquals':{@'aws:RequestTag/x':'y'}}"),
      "OverlyPermissiveCondition: ForAllValues with a condition key that has one value", 2 },
    { "variable",
      "{'Version':'2012-10-17','Statement':[" ST
      ",@{'Effect':'Deny','Principal':'*','Resource':'arn:${x'}]}",
      "Invalid policy variable", 2 },
    { "member twice", "{'Id':'a','@Id':'b'}", "Policy is not JSON", 0 },
};
enum { N = sizeof rows / sizeof rows[0] };

static void finds(void **state)
{
    const struct row *row = *state;
    AUTO(buf_clear) struct buf text = BUF_INIT(POLICY_MAX_BYTES);
    struct policy_fault f = { .what = "untouched" };
    struct policy *p = NULL;
    size_t at = strcspn(row->doc, "@");

    for (const char *c = row->doc; *c; c++)
        if (*c != '@')
            assert_int_equal(buf_append_byte(&text, *c == '\'' ? '"' : (uint8_t)*c), ERR_OK);
    assert_int_equal(policy_parse_at(buf_view(&text), POLICY_OF_KEY, &p, &f), ERR_MALFORMED);
    assert_string_equal(f.what, row->what);
    assert_int_equal(f.at, at);
    assert_int_equal(f.statement, row->statement);
    assert_null(p);
}

static void good_leaves_the_fault_alone(void **state)
{
    (void)state;
    struct policy_fault f = { .what = "untouched" };
    AUTO(policy_freep) struct policy *p = NULL;

    assert_int_equal(
        policy_parse_at(SPAN_LIT("{\"Statement\":{\"Effect\":\"Deny\",\"Principal\":\"*\"}}"),
                        POLICY_OF_KEY, &p, &f),
        ERR_OK);
    assert_string_equal(f.what, "untouched");
}

static void lines(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        unsigned line, column;
    } cases[] = { { 0, 1, 1 }, { 1, 1, 2 }, { 2, 2, 1 }, { 3, 3, 1 }, { 5, 3, 3 }, { 99, 3, 4 } };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct policy_position pos = policy_position_of(SPAN_LIT("a\n\nbcd"), cases[i].at);
        assert_int_equal(pos.line, cases[i].line);
        assert_int_equal(pos.column, cases[i].column);
    }
}

int main(void)
{
    enum { OTHERS = 2 };
    static struct CMUnitTest tests[N + OTHERS] = { cmocka_unit_test(lines),
                                                   cmocka_unit_test(good_leaves_the_fault_alone) };

    T_ROWS(tests + OTHERS, rows, finds);
    return cmocka_run_group_tests_name("policy_position", tests, NULL, NULL);
}
