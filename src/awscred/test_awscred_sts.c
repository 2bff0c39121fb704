#include "awscred/sts.h"
#include "testing/t.h"

#define A "<AccessKeyId>AKID</AccessKeyId>"
#define S "<SecretAccessKey> s/e+c= </SecretAccessKey>\n"
#define T "<SessionToken>tok//==</SessionToken>"
#define E "<Expiration>2026-01-02T03:04:05Z</Expiration>"
#define ANSWER(inside)                                                                             \
    "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult>"   \
    "<AssumedRoleUser><Arn>x</Arn></AssumedRoleUser><Credentials>" inside "</Credentials>"         \
    "</AssumeRoleResult></AssumeRoleResponse>"

static struct row {
    const char *name, *xml;
    enum err want;
    const char *what, *code;
} rows[] = {
    { "answer", ANSWER(A S T E), ERR_OK, NULL, NULL },
    { "another order", ANSWER(E T S A), ERR_OK, NULL, NULL },
    { "error",
      "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>no</Message>"
      "</Error></ErrorResponse>",
      ERR_DENIED, "STS refused", "AccessDenied" },
    { "error without a code", "<ErrorResponse><Error></Error></ErrorResponse>", ERR_DENIED,
      "STS refused", "" },
    { "no token", ANSWER(A S E), ERR_MALFORMED, "an element of Credentials is missing", NULL },
    { "no expiration", ANSWER(A S T), ERR_MALFORMED, "an element of Credentials is missing", NULL },
    { "entity in a key", ANSWER("<AccessKeyId>A&amp;B</AccessKeyId>" S T E), ERR_MALFORMED,
      "an element of Credentials is missing", NULL },
    { "element in a key", ANSWER("<AccessKeyId><b>A</b></AccessKeyId>" S T E), ERR_MALFORMED,
      "an element of Credentials is missing", NULL },
    { "line feed in a key", ANSWER("<AccessKeyId>A\nB</AccessKeyId>" S T E), ERR_MALFORMED,
      "an element of Credentials is missing", NULL },
    { "empty key", ANSWER("<AccessKeyId></AccessKeyId>" S T E), ERR_MALFORMED,
      "an element of Credentials is missing", NULL },
    { "element not closed", ANSWER("<AccessKeyId>A" S T E), ERR_MALFORMED,
      "an element of Credentials is missing", NULL },
    { "bad date", ANSWER(A S T "<Expiration>soon</Expiration>"), ERR_MALFORMED, "Expiration",
      NULL },
    { "keys outside of Credentials", A S T E, ERR_MALFORMED, "not an answer of STS", NULL },
    { "empty", "", ERR_MALFORMED, "not an answer of STS", NULL },
};

static void answer_row(void **state)
{
    const struct row *row = *state;
    struct span xml = t_copy(span_str(row->xml));
    AUTO(buf_clear) struct buf text = BUF_INIT(256);
    struct awscred_refusal no = { .code = SPAN_LIT("untouched") };
    struct awscred c = { .expires_s = 99 };
    struct why why = { 0 };

    assert_int_equal(awscred_sts_answer(xml, &text, &c, &no, &why), row->want);
    if (row->want == ERR_OK) {
        assert_true(span_is(c.access_key_id, "AKID"));
        assert_true(span_is(c.secret_access_key, "s/e+c="));
        assert_true(span_is(c.session_token, "tok//=="));
        assert_int_equal(c.expires_s, 1767323045);
    } else {
        assert_string_equal(why.what, row->what);
        assert_int_equal(c.expires_s, 99);
        assert_int_equal(text.len, 0);
    }
    assert_true(span_is(no.code, row->code ? row->code : "untouched"));
    t_free(xml);
}

static void truncations(void **state)
{
    (void)state;
    static const char good[] = ANSWER(A S T E);
    size_t needed = strlen(good) - strlen("</AssumeRoleResult></AssumeRoleResponse>");

    for (size_t n = 0; n < needed; n++) {
        struct span cut = t_copy(span_of(good, n));
        AUTO(buf_clear) struct buf text = BUF_INIT(256);
        struct awscred_refusal no;
        struct awscred c;
        assert_int_equal(awscred_sts_answer(cut, &text, &c, &no, NULL), ERR_MALFORMED);
        t_free(cut);
    }
}

static void forms(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf b = BUF_INIT(512), small = BUF_INIT(60);
    const struct awscred_role role = {
        .role_arn = SPAN_LIT("arn:aws:iam::1:role/a b"),
        .session_name = SPAN_LIT("me@x"),
        .external_id = SPAN_LIT("1&2=\xc3\xa9"),
        .duration_s = SPAN_LIT("900"),
    };
    const struct awscred_role web = {
        .role_arn = SPAN_LIT("r"),
        .session_name = SPAN_LIT("s"),
        .web_identity_token = SPAN_LIT("ey.J-_~"),
    };

    assert_int_equal(awscred_sts_form(&role, &b), ERR_OK);
    t_assert_buf(&b, "Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2F"
                     "a%20b&RoleSessionName=me%40x&ExternalId=1%262%3D%C3%A9&DurationSeconds=900");
    buf_reset(&b);
    assert_int_equal(awscred_sts_form(&web, &b), ERR_OK);
    t_assert_buf(&b, "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=r&"
                     "RoleSessionName=s&WebIdentityToken=ey.J-_~");
    assert_int_equal(awscred_sts_form(&role, &small), ERR_LIMIT);
    assert_int_equal(small.len, 0);
}

enum { FIXED = 2, ROWS = sizeof rows / sizeof rows[0] };

int main(void)
{
    struct CMUnitTest tests[FIXED + ROWS] = { cmocka_unit_test(forms),
                                              cmocka_unit_test(truncations) };

    T_ROWS(tests + FIXED, rows, answer_row);
    return cmocka_run_group_tests_name("awscred_sts", tests, NULL, NULL);
}
