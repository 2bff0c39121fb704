/* test_policy_parse.c - what is refused as a policy, with which words and where. */
#include <stdlib.h>

#include "policy/policy.h"
#include "testing/t.h"

#define BODY    "\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"kms:*\",\"Resource\":\"*\""
#define GOOD    "{" BODY "}"
#define DOC(st) "{\"Version\":\"2012-10-17\",\"Statement\":[" st "]}"
#define WITH(m) DOC("{" BODY "," m "}")
#define WHO(p)                                                                                     \
    DOC("{\"Effect\":\"Allow\",\"Principal\":" p ",\"Action\":\"kms:*\",\"Resource\":\"*\"}")
#define COND(c)   WITH("\"Condition\":" c)
#define PRINCIPAL "Invalid principal in policy"
#define TYPE      "Value of a wrong type in policy"
#define VARIABLE  "Invalid policy variable"
#define OVERLY    "OverlyPermissiveCondition: ForAllValues with a condition key that has one value"

struct row {
    const char *name, *doc;
    enum policy_use use;
    const char *what; /* NULL: accepted */
    size_t at;
};

static struct row rows[] = {
    { "minimal", DOC(GOOD), POLICY_OF_KEY, NULL, 0 },
    { "not JSON", "{", POLICY_OF_KEY, "Policy is not JSON", 1 },
    { "empty", "", POLICY_OF_KEY, "Policy is not JSON", 0 },
    { "trailing text", DOC(GOOD) "x", POLICY_OF_KEY, "Policy is not JSON", 105 },
    { "a list", "[]", POLICY_OF_KEY, "Policy is not an object", 0 },
    { "member twice", "{\"Id\":\"a\",\"Id\":\"b\"}", POLICY_OF_KEY, "Policy is not JSON", 11 },
    { "unknown version", "{\"Version\":\"2012-10-18\",\"Statement\":[" GOOD "]}", POLICY_OF_KEY,
      "Unknown policy Version", 0 },
    { "version is a number", "{\"Version\":2012,\"Statement\":[" GOOD "]}", POLICY_OF_KEY,
      "Unknown policy Version", 0 },
    { "Id", "{\"Id\":\"x\",\"Statement\":[" GOOD "]}", POLICY_OF_KEY, NULL, 0 },
    { "Id is a number", "{\"Id\":1,\"Statement\":[" GOOD "]}", POLICY_OF_KEY, "Id is not a string",
      0 },
    { "unknown element", "{\"Statment\":[],\"Statement\":[" GOOD "]}", POLICY_OF_KEY,
      "Unknown element in policy", 0 },
    { "no Statement", "{\"Version\":\"2012-10-17\"}", POLICY_OF_KEY, "Policy without Statement",
      0 },
    { "empty Statement", DOC(""), POLICY_OF_KEY, "Policy without Statement", 0 },
    { "Statement is text", "{\"Statement\":\"x\"}", POLICY_OF_KEY, "Policy without Statement", 0 },
    { "second statement is text", DOC(GOOD ",1"), POLICY_OF_KEY, "Statement is not an object", 2 },
    { "unknown element of a statement", WITH("\"Conditions\":{}"), POLICY_OF_KEY,
      "Unknown element in statement", 1 },
    { "element in lower case", DOC(GOOD "," GOOD ",{\"effect\":\"Allow\"}"), POLICY_OF_KEY,
      "Unknown element in statement", 3 },
    { "Action and NotAction", WITH("\"NotAction\":\"kms:*\""), POLICY_OF_KEY,
      "Element together with its Not form", 1 },
    { "Principal and NotPrincipal", WITH("\"NotPrincipal\":\"*\""), POLICY_OF_KEY,
      "Element together with its Not form", 1 },
    { "Sid with spaces", WITH("\"Sid\":\"a b\""), POLICY_OF_KEY, NULL, 0 },
    { "Sid is a number", WITH("\"Sid\":1"), POLICY_OF_KEY, "Sid is not a string", 1 },
    { "no Effect", DOC("{\"Principal\":\"*\",\"Action\":\"kms:*\",\"Resource\":\"*\"}"),
      POLICY_OF_KEY, "Statement without Effect", 1 },
    { "effect in lower case", DOC("{\"Effect\":\"allow\",\"Principal\":\"*\"}"), POLICY_OF_KEY,
      "Effect is neither Allow nor Deny", 1 },
    { "no Principal", DOC("{\"Effect\":\"Allow\",\"Action\":\"kms:*\",\"Resource\":\"*\"}"),
      POLICY_OF_KEY, "Statement without Principal", 1 },
    { "principal: text", WHO("\"arn:aws:iam::111122223333:root\""), POLICY_OF_KEY, PRINCIPAL, 1 },
    { "principal: empty object", WHO("{}"), POLICY_OF_KEY, PRINCIPAL, 1 },
    { "principal: empty list", WHO("{\"AWS\":[]}"), POLICY_OF_KEY, PRINCIPAL, 1 },
    { "principal: number", WHO("{\"AWS\":111122223333}"), POLICY_OF_KEY, PRINCIPAL, 1 },
    { "principal: empty text", WHO("{\"AWS\":\"\"}"), POLICY_OF_KEY, PRINCIPAL, 1 },
    { "principal: eleven digits", WHO("{\"AWS\":\"11112222333\"}"), POLICY_OF_KEY, PRINCIPAL, 1 },
    { "principal: a group", WHO("{\"AWS\":\"arn:aws:iam::111122223333:group/g\"}"), POLICY_OF_KEY,
      PRINCIPAL, 1 },
    { "principal: wildcard inside", WHO("{\"AWS\":\"arn:aws:iam::111122223333:user/*\"}"),
      POLICY_OF_KEY, PRINCIPAL, 1 },
    { "principal: wildcard account", WHO("{\"AWS\":\"arn:aws:iam::*:root\"}"), POLICY_OF_KEY,
      PRINCIPAL, 1 },
    { "principal: a KMS ARN", WHO("{\"AWS\":\"arn:aws:kms:us-east-1:111122223333:key/x\"}"),
      POLICY_OF_KEY, PRINCIPAL, 1 },
    { "principal: session without a name",
      WHO("{\"AWS\":\"arn:aws:sts::111122223333:assumed-role/r\"}"), POLICY_OF_KEY, PRINCIPAL, 1 },
    { "principal: unknown type", WHO("{\"Aws\":\"*\"}"), POLICY_OF_KEY, PRINCIPAL, 1 },
    { "principal: canonical user", WHO("{\"CanonicalUser\":\"x\"}"), POLICY_OF_KEY, PRINCIPAL, 1 },
    { "principal: second of a list", WHO("{\"AWS\":[\"*\",\"x\"]}"), POLICY_OF_KEY, PRINCIPAL, 1 },
    { "action: no service",
      DOC("{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"Decrypt\"}"), POLICY_OF_KEY,
      "Invalid action in policy", 1 },
    { "action: blank", DOC("{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"kms: D\"}"),
      POLICY_OF_KEY, "Invalid action in policy", 1 },
    { "action: empty list", DOC("{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":[]}"),
      POLICY_OF_KEY, "Empty list in policy", 1 },
    { "action: number", DOC("{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":[1]}"),
      POLICY_OF_KEY, TYPE, 1 },
    { "resource: no ARN", DOC("{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Resource\":\"key\"}"),
      POLICY_OF_KEY, "Invalid resource in policy", 1 },
    { "resource: variable",
      DOC("{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Resource\":\"arn:aws:kms:${aws:x}:*\"}"),
      POLICY_OF_KEY, NULL, 0 },
    { "resource: variable that is not closed",
      DOC("{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Resource\":\"arn:aws:kms:${aws:x\"}"),
      POLICY_OF_KEY, VARIABLE, 1 },
    { "resource: a dollar in the old version",
      "{\"Version\":\"2008-10-17\",\"Statement\":{\"Effect\":\"Allow\",\"Principal\":\"*\","
      "\"Resource\":\"arn:aws:kms:${\"}}",
      POLICY_OF_KEY, NULL, 0 },
    { "action: every kind of character",
      DOC("{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"kms:*azAZ09-?\"}"), POLICY_OF_KEY,
      NULL, 0 },
    { "action: a star", DOC("{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"*\"}"),
      POLICY_OF_KEY, NULL, 0 },
    { "action: no name", DOC("{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"kms:\"}"),
      POLICY_OF_KEY, "Invalid action in policy", 1 },
    { "action: only a name",
      DOC("{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\":Decrypt\"}"), POLICY_OF_KEY,
      "Invalid action in policy", 1 },
    { "action: three parts",
      DOC("{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"aws:kms:Decrypt\"}"),
      POLICY_OF_KEY, "Invalid action in policy", 1 },
    { "action: second of a list",
      DOC("{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":[\"kms:*\",\"Decrypt\"]}"),
      POLICY_OF_KEY, "Invalid action in policy", 1 },
    { "action: true", DOC("{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":true}"),
      POLICY_OF_KEY, TYPE, 1 },
    { "resource: second of a list",
      DOC("{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Resource\":[\"*\",\"key\"]}"), POLICY_OF_KEY,
      "Invalid resource in policy", 1 },
    { "resource: true", DOC("{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Resource\":true}"),
      POLICY_OF_KEY, TYPE, 1 },
    { "condition: another ending as long as IfExists",
      COND("{\"StringEqualsIfExistz\":{\"aws:x\":\"y\"}}"), POLICY_OF_KEY,
      "Unsupported condition operator", 1 },
    { "condition: ending in other case", COND("{\"StringEqualsifexists\":{\"aws:x\":\"y\"}}"),
      POLICY_OF_KEY, "Unsupported condition operator", 1 },
    { "condition: key that is only a name", COND("{\"StringEquals\":{\":x\":\"y\"}}"),
      POLICY_OF_KEY, "Invalid condition key in policy", 1 },
    { "condition: dollar and brace apart",
      COND("{\"StringEquals\":{\"aws:x\":[\"$5\",\"{x}\",\"$\"]}}"), POLICY_OF_KEY, NULL, 0 },
    { "condition: variable at the end", COND("{\"StringEquals\":{\"aws:x\":\"y${\"}}"),
      POLICY_OF_KEY, VARIABLE, 1 },
    { "condition: Bool, second of a list", COND("{\"Bool\":{\"aws:x\":[true,\"maybe\"]}}"),
      POLICY_OF_KEY, "Condition value is neither true nor false", 1 },
    { "condition: number in a list", COND("{\"StringEquals\":{\"aws:x\":[\"y\",1]}}"),
      POLICY_OF_KEY, TYPE, 1 },
    { "principal: service is a number", WHO("{\"Service\":1}"), POLICY_OF_KEY, PRINCIPAL, 1 },
    { "principal: service is empty", WHO("{\"Service\":\"\"}"), POLICY_OF_KEY, PRINCIPAL, 1 },
    { "principal: shortest unique id", WHO("{\"AWS\":\"AIDAZ09QEXAMPLE0\"}"), POLICY_OF_KEY, NULL,
      0 },
    { "principal: unique id too short", WHO("{\"AWS\":\"AIDAZ09QEXAMPLE\"}"), POLICY_OF_KEY,
      PRINCIPAL, 1 },
    { "principal: unique id of something else", WHO("{\"AWS\":\"ASIACKCEVSQ6C2EXAMPLE\"}"),
      POLICY_OF_KEY, PRINCIPAL, 1 },
    { "principal: unique id with a small letter", WHO("{\"AWS\":\"AROACKCEVSQ6C2EXAMPLe\"}"),
      POLICY_OF_KEY, PRINCIPAL, 1 },
    { "principal: unique id with a dash", WHO("{\"AWS\":\"AROACKCEVSQ6C2-XAMPLE\"}"), POLICY_OF_KEY,
      PRINCIPAL, 1 },
    { "condition: a list", COND("[]"), POLICY_OF_KEY, "Condition is not an object", 1 },
    { "condition: unknown operator", COND("{\"StringMatches\":{\"aws:x\":\"y\"}}"), POLICY_OF_KEY,
      "Unsupported condition operator", 1 },
    { "condition: operator in lower case", COND("{\"stringequals\":{\"aws:x\":\"y\"}}"),
      POLICY_OF_KEY, "Unsupported condition operator", 1 },
    { "condition: set operator", COND("{\"ForAnyValue:StringEquals\":{\"aws:x\":\"y\"}}"),
      POLICY_OF_KEY, NULL, 0 },
    { "condition: set operator and IfExists",
      COND("{\"ForAllValues:StringLikeIfExists\":{\"aws:x\":\"y\"}}"), POLICY_OF_KEY, NULL, 0 },
    { "condition: set of nothing", COND("{\"ForAnyValue:\":{\"aws:x\":\"y\"}}"), POLICY_OF_KEY,
      "Unsupported condition operator", 1 },
    { "condition: set of Null", COND("{\"ForAnyValue:Null\":{\"aws:x\":\"true\"}}"), POLICY_OF_KEY,
      "Unsupported condition operator", 1 },
    { "condition: unknown set", COND("{\"ForSomeValue:Bool\":{\"aws:x\":\"true\"}}"), POLICY_OF_KEY,
      "Unsupported condition operator", 1 },
    { "condition: ForAllValues over an encryption context",
      COND("{\"ForAllValues:StringEquals\":{\"KMS:EncryptionContext:app\":\"y\"}}"), POLICY_OF_KEY,
      OVERLY, 1 },
    { "condition: ForAllValues over a request tag",
      COND("{\"ForAllValues:StringLike\":{\"aws:x\":\"y\",\"aws:RequestTag/t\":\"y\"}}"),
      POLICY_OF_KEY, OVERLY, 1 },
    { "condition: ForAllValues over the context's keys",
      COND("{\"ForAllValues:StringEquals\":{\"kms:EncryptionContextKeys\":\"y\"}}"), POLICY_OF_KEY,
      NULL, 0 },
    { "condition: ForAnyValue over an encryption context",
      COND("{\"ForAnyValue:StringEquals\":{\"kms:EncryptionContext:app\":\"y\"}}"), POLICY_OF_KEY,
      NULL, 0 },
    { "condition: ForAllValues over no object", COND("{\"ForAllValues:StringEquals\":1}"),
      POLICY_OF_KEY, "Condition operator without keys", 1 },
    { "condition: numbers", COND("{\"NumericLessThan\":{\"aws:x\":[\"1\",-2.5]}}"), POLICY_OF_KEY,
      NULL, 0 },
    { "condition: no number", COND("{\"NumericLessThan\":{\"aws:x\":\"1e3\"}}"), POLICY_OF_KEY,
      "Condition value is not a number", 1 },
    { "condition: a variable for a number", COND("{\"NumericEquals\":{\"aws:x\":\"${aws:y}\"}}"),
      POLICY_OF_KEY, "Condition value is not a number", 1 },
    { "condition: dates", COND("{\"DateLessThan\":{\"aws:CurrentTime\":\"2030-01-01\"}}"),
      POLICY_OF_KEY, NULL, 0 },
    { "condition: no date", COND("{\"DateLessThan\":{\"aws:CurrentTime\":\"2030-02-30\"}}"),
      POLICY_OF_KEY, "Condition value is not a date", 1 },
    { "condition: addresses", COND("{\"IpAddress\":{\"aws:SourceIp\":\"10.0.0.0/8\"}}"),
      POLICY_OF_KEY, NULL, 0 },
    { "condition: no address", COND("{\"NotIpAddress\":{\"aws:SourceIp\":\"10.0.0.0/33\"}}"),
      POLICY_OF_KEY, "Condition value is not an IP address", 1 },
    { "condition: ARNs",
      COND("{\"ArnNotLike\":{\"aws:x\":[\"arn:*:iam::*:role/${aws:y}\",\"*\"]}}"), POLICY_OF_KEY,
      NULL, 0 },
    { "condition: no ARN", COND("{\"ArnEquals\":{\"aws:x\":\"arn:aws:iam::role\"}}"), POLICY_OF_KEY,
      "Condition value is not an ARN", 1 },
    { "condition: binary", COND("{\"BinaryEquals\":{\"aws:x\":\"QmluYXJ5\"}}"), POLICY_OF_KEY, NULL,
      0 },
    { "condition: no base64", COND("{\"BinaryEquals\":{\"aws:x\":\"QmluYXJ\"}}"), POLICY_OF_KEY,
      "Condition value is not base64", 1 },
    { "condition: variable with a default",
      COND("{\"StringLike\":{\"aws:x\":\"a/${aws:PrincipalTag/team, 'none'}/${*}\"}}"),
      POLICY_OF_KEY, NULL, 0 },
    { "condition: variable with half a default",
      COND("{\"StringLike\":{\"aws:x\":\"${aws:y, 'none}\"}}"), POLICY_OF_KEY, VARIABLE, 1 },
    { "condition: variable without a service", COND("{\"StringLike\":{\"aws:x\":\"${user}\"}}"),
      POLICY_OF_KEY, VARIABLE, 1 },
    { "condition: empty variable", COND("{\"StringLike\":{\"aws:x\":\"${}\"}}"), POLICY_OF_KEY,
      VARIABLE, 1 },
    { "condition: variable of another character", COND("{\"StringLike\":{\"aws:x\":\"${!}\"}}"),
      POLICY_OF_KEY, VARIABLE, 1 },
    { "condition: NullIfExists", COND("{\"NullIfExists\":{\"aws:x\":\"true\"}}"), POLICY_OF_KEY,
      "Unsupported condition operator", 1 },
    { "condition: IfExists alone", COND("{\"IfExists\":{\"aws:x\":\"true\"}}"), POLICY_OF_KEY,
      "Unsupported condition operator", 1 },
    { "condition: IfExists twice", COND("{\"BoolIfExistsIfExists\":{\"aws:x\":\"true\"}}"),
      POLICY_OF_KEY, "Unsupported condition operator", 1 },
    { "condition: no keys", COND("{\"StringEquals\":{}}"), POLICY_OF_KEY,
      "Condition operator without keys", 1 },
    { "condition: key without a service", COND("{\"StringEquals\":{\"PCR0\":\"y\"}}"),
      POLICY_OF_KEY, "Invalid condition key in policy", 1 },
    { "condition: key without a name", COND("{\"StringEquals\":{\"kms:\":\"y\"}}"), POLICY_OF_KEY,
      "Invalid condition key in policy", 1 },
    { "condition: number", COND("{\"StringEquals\":{\"aws:x\":1}}"), POLICY_OF_KEY, TYPE, 1 },
    { "condition: literal for text", COND("{\"StringEquals\":{\"aws:x\":true}}"), POLICY_OF_KEY,
      TYPE, 1 },
    { "condition: no values", COND("{\"StringEquals\":{\"aws:x\":[]}}"), POLICY_OF_KEY,
      "Empty list in policy", 1 },
    { "condition: Bool of something else", COND("{\"Bool\":{\"aws:x\":\"yes\"}}"), POLICY_OF_KEY,
      "Condition value is neither true nor false", 1 },
    { "condition: Null of something else", COND("{\"Null\":{\"aws:x\":\"\"}}"), POLICY_OF_KEY,
      "Condition value is neither true nor false", 1 },
    { "condition: variable", COND("{\"StringEquals\":{\"aws:x\":\"${aws:username}\"}}"),
      POLICY_OF_KEY, NULL, 0 },
    { "NotPrincipal with Allow",
      DOC("{\"Effect\":\"Allow\",\"NotPrincipal\":{\"AWS\":\"111122223333\"},\"Action\":\"*\","
          "\"Resource\":\"*\"}"),
      POLICY_OF_KEY, "NotPrincipal with Allow is not supported", 1 },
    { "principal: service",
      WHO("{\"Service\":[\"ec2.amazonaws.com\",\"s3.us-east-1.amazonaws.com\","
          "\"dms.amazonaws.com.cn\"]}"),
      POLICY_OF_KEY, NULL, 0 },
    { "principal: service of somebody else", WHO("{\"Service\":\"ec2.example.com\"}"),
      POLICY_OF_KEY, PRINCIPAL, 1 },
    { "principal: service by star", WHO("{\"Service\":\"*\"}"), POLICY_OF_KEY, PRINCIPAL, 1 },
    { "principal: text that is no star", WHO("\"AWS\""), POLICY_OF_KEY, PRINCIPAL, 1 },
    { "nested deeply", "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
      POLICY_OF_KEY, "Policy is not an object", 0 },
    { "identity policy", DOC("{\"Effect\":\"Allow\",\"Action\":\"kms:*\",\"Resource\":\"*\"}"),
      POLICY_OF_IDENTITY, NULL, 0 },
    { "identity policy with a Principal", DOC(GOOD), POLICY_OF_IDENTITY,
      "Principal in an identity policy", 1 },
    { "identity policy without Action", DOC("{\"Effect\":\"Allow\",\"Resource\":\"*\"}"),
      POLICY_OF_IDENTITY, "Statement without Action", 1 },
    { "identity policy without Resource", DOC("{\"Effect\":\"Allow\",\"Action\":\"kms:*\"}"),
      POLICY_OF_IDENTITY, "Statement without Resource", 1 },
};

static void parses(void **state)
{
    const struct row *row = *state;
    struct span text = t_copy(span_str(row->doc));
    struct policy *untouched = (struct policy *)&rows, *p = untouched;
    struct why why = { 0 };

    if (row->what)
        assert_int_equal(policy_parse(text, row->use, &p, NULL), ERR_MALFORMED);
    enum err r = policy_parse(text, row->use, &p, &why);
    t_free(text);
    if (!row->what) {
        assert_int_equal(r, ERR_OK);
        policy_free(p);
        return;
    }
    assert_int_equal(r, ERR_MALFORMED);
    assert_string_equal(why.what, row->what);
    assert_int_equal(why.at, row->at);
    assert_ptr_equal(p, untouched);
}

/* At the quota, and one byte past it. */
static void size_limit(void **state)
{
    (void)state;
    static const char good[] = DOC(GOOD);
    uint8_t *text = malloc(POLICY_MAX_BYTES + 1);
    struct policy *p = NULL;
    struct why why = { 0 };

    assert_non_null(text);
    memset(text, ' ', POLICY_MAX_BYTES + 1);
    memcpy(text, good, sizeof good - 1);
    assert_int_equal(policy_parse(span_of(text, POLICY_MAX_BYTES), POLICY_OF_KEY, &p, &why),
                     ERR_OK);
    policy_freep(&p);
    assert_int_equal(policy_parse(span_of(text, POLICY_MAX_BYTES + 1), POLICY_OF_KEY, &p, &why),
                     ERR_LIMIT);
    assert_string_equal(why.what, "Policy is too long");
    assert_null(p);
    free(text);
}

static void statement_limit(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf text = BUF_INIT(POLICY_MAX_BYTES);
    struct policy *p = NULL;
    struct why why = { 0 };

    for (unsigned n = POLICY_STATEMENTS_MAX; n <= POLICY_STATEMENTS_MAX + 1; n++) {
        buf_reset(&text);
        assert_int_equal(buf_append_str(&text, "{\"Statement\":["), ERR_OK);
        for (unsigned i = 0; i < n; i++)
            assert_int_equal(
                buf_printf(&text, "%s{\"Effect\":\"Deny\",\"Principal\":\"*\"}", i ? "," : ""),
                ERR_OK);
        assert_int_equal(buf_append_str(&text, "]}"), ERR_OK);
        enum err r = policy_parse(buf_view(&text), POLICY_OF_KEY, &p, &why);
        assert_int_equal(r, n > POLICY_STATEMENTS_MAX ? ERR_MALFORMED : ERR_OK);
        if (r == ERR_OK)
            policy_freep(&p);
    }
    assert_string_equal(why.what, "Too many statements");
}

/* No end of the text, wherever it stands. */
static void nul_byte(void **state)
{
    (void)state;
    struct policy *p = NULL;
    struct why why = { 0 };

    assert_int_equal(policy_parse(SPAN_LIT("{\"Id\":\"1\"\0}"), POLICY_OF_KEY, &p, &why),
                     ERR_MALFORMED);
    assert_string_equal(why.what, "Policy is not JSON");
    assert_int_equal(why.at, 9);
    assert_null(p);
}

/* The cursor's own limits: members of one object. */
static void member_limit(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf text = BUF_INIT(POLICY_MAX_BYTES);
    struct policy *p = NULL;
    struct why why = { 0 };

    for (unsigned n = 240; n <= 260; n += 20) { /* of 256; statement and document have some */
        buf_reset(&text);
        assert_int_equal(buf_append_str(&text, "{\"Statement\":{\"Effect\":\"Deny\",\"Principal\":"
                                               "\"*\",\"Condition\":{\"StringEquals\":{"),
                         ERR_OK);
        for (unsigned i = 0; i < n; i++)
            assert_int_equal(buf_printf(&text, "%s\"a:%u\":\"b\"", i ? "," : "", i), ERR_OK);
        assert_int_equal(buf_append_str(&text, "}}}}"), ERR_OK);
        enum err r = policy_parse(buf_view(&text), POLICY_OF_KEY, &p, &why);
        assert_int_equal(r, n > 256 ? ERR_MALFORMED : ERR_OK);
        policy_freep(&p);
    }
    assert_string_equal(why.what, "Policy is nested too deeply or has too many members");
}

static void truncations(void **state)
{
    (void)state;
    static const char good[] = DOC(GOOD);
    struct policy *p = NULL;

    for (size_t n = 0; n < sizeof good - 1; n++) {
        struct span cut = t_copy(span_of(good, n));
        assert_int_equal(policy_parse(cut, POLICY_OF_KEY, &p, NULL), ERR_MALFORMED);
        assert_null(p);
        t_free(cut);
    }
}

static void callers(void **state)
{
    (void)state;
    static const struct {
        const char *arn;
        enum err r;
        enum policy_caller_kind kind;
    } cases[] = {
        { "arn:aws:iam::111122223333:root", ERR_OK, POLICY_CALLER_ROOT },
        { "arn:aws:iam::111122223333:user/a", ERR_OK, POLICY_CALLER_NAMED },
        { "arn:aws-cn:iam::111122223333:user/a/b/c", ERR_OK, POLICY_CALLER_NAMED },
        { "arn:aws:iam::111122223333:role/r+=,.@-_", ERR_OK, POLICY_CALLER_NAMED },
        { "arn:aws:iam::111122223333:user/azAZ09", ERR_OK, POLICY_CALLER_NAMED },
        { "arn:aws:sts::111122223333:assumed-role/r/s@x", ERR_OK, POLICY_CALLER_SESSION },
        { "arn:aws:sts::111122223333:federated-user/f", ERR_OK, POLICY_CALLER_NAMED },
        { "", ERR_MALFORMED, 0 },
        { "arn:aws:iam::111122223333:user/", ERR_MALFORMED, 0 },
        { "arn:aws:iam::111122223333:user/a/", ERR_MALFORMED, 0 },
        { "arn:aws:iam::111122223333:rooty", ERR_MALFORMED, 0 },
        { "arn:aws:iam:us-east-1:111122223333:root", ERR_MALFORMED, 0 },
        { "arn:aws:iam::11112222333x:root", ERR_MALFORMED, 0 },
        { "arn:gcp:iam::111122223333:root", ERR_MALFORMED, 0 },
        { "arn:aws:sts::111122223333:assumed-role/r", ERR_MALFORMED, 0 },
        { "arn:aws:sts::111122223333:assumed-role/r/", ERR_MALFORMED, 0 },
        { "arn:aws:sts::111122223333:assumed-role/r/s/t", ERR_MALFORMED, 0 },
        { "arn:aws:sts::111122223333:federated-user/f/g", ERR_MALFORMED, 0 },
        { "arn:aws:s3::111122223333:user/a", ERR_MALFORMED, 0 },
        { "arn:aws:s3:::111122223333:x", ERR_MALFORMED, 0 },
        { "brn:aws:iam::111122223333:root", ERR_MALFORMED, 0 },
        { "arn:aws:iam::111122223333:user/a b", ERR_MALFORMED, 0 },
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct policy_caller who = { .arn = SPAN_LIT("untouched") };
        assert_int_equal(policy_caller_parse(span_str(cases[i].arn), &who), cases[i].r);
        if (cases[i].r == ERR_OK)
            assert_int_equal(who.kind, cases[i].kind);
        else
            assert_true(span_is(who.arn, "untouched"));
    }
}

int main(void)
{
    enum { N = sizeof rows / sizeof rows[0], OTHERS = 6 };
    static struct CMUnitTest tests[N + OTHERS] = {
        cmocka_unit_test(size_limit), cmocka_unit_test(statement_limit),
        cmocka_unit_test(nul_byte),   cmocka_unit_test(truncations),
        cmocka_unit_test(callers),    cmocka_unit_test(member_limit),
    };

    T_ROWS(tests + OTHERS, rows, parses);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
