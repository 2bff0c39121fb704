#include "awsconf/awsconf.h"
#include "testing/t.h"

#define PAIR "aws_access_key_id=AKIA1\naws_secret_access_key=s/e+c=ret\n"

struct row {
    const char *name, *text, *profile;
    enum awsconf_kind kind;
    enum err want;
    const char *what; /* fault, or the key id found; NULL: not found */
    const char *secret, *token, *region, *elsewhere;
};

static const struct row rows[] = {
    { "default profile", "[default]\n" PAIR, "default", AWSCONF_CREDENTIALS, ERR_OK, "AKIA1",
      "s/e+c=ret", "", "", "" },
    { "a secret may hold equals signs, hashes and semicolons",
      "[default]\naws_access_key_id=A\naws_secret_access_key = a=b#c;d==\n", "default",
      AWSCONF_CREDENTIALS, ERR_OK, "A", "a=b#c;d==", "", "", "" },
    { "blanks around all parts", "[ default ] \n aws_access_key_id \t=  A  \n", "default",
      AWSCONF_CREDENTIALS, ERR_OK, "A", "", "", "", "" },
    { "CRLF line ends", "[default]\r\naws_access_key_id=A\r\naws_session_token=T\r\n", "default",
      AWSCONF_CREDENTIALS, ERR_OK, "A", "", "T", "", "" },
    { "byte order mark", "\xef\xbb\xbf[default]\naws_access_key_id=A\n", "default",
      AWSCONF_CREDENTIALS, ERR_OK, "A", "", "", "", "" },
    { "no line feed at the end", "[default]\naws_access_key_id=A", "default", AWSCONF_CREDENTIALS,
      ERR_OK, "A", "", "", "", "" },
    { "names in any case", "[default]\nAWS_Access_Key_ID=A\n", "default", AWSCONF_CREDENTIALS,
      ERR_OK, "A", "", "", "", "" },
    { "comments", "# x\n; y\n[default] # z\naws_access_key_id=A ; old\nregion=r #c\n", "default",
      AWSCONF_CREDENTIALS, ERR_OK, "A", "", "", "r", "" },
    { "a value that is only a comment is empty", "[default]\naws_access_key_id= # A\n", "default",
      AWSCONF_CREDENTIALS, ERR_OK, "", "", "", "", "" },
    { "another profile does not count", "[other]\n" PAIR, "default", AWSCONF_CREDENTIALS, ERR_OK,
      NULL, "", "", "", "" },
    { "the profile asked for", "[default]\naws_access_key_id=B\n[x y]\n" PAIR, "x y",
      AWSCONF_CREDENTIALS, ERR_OK, "AKIA1", "s/e+c=ret", "", "", "" },
    { "empty file", "", "default", AWSCONF_CREDENTIALS, ERR_OK, NULL, "", "", "", "" },
    { "empty section", "[default]\n", "default", AWSCONF_CREDENTIALS, ERR_OK, "", "", "", "", "" },
    { "a section that comes twice is one", "[default]\nregion=a\n[x]\n[default]\n" PAIR, "default",
      AWSCONF_CREDENTIALS, ERR_OK, "AKIA1", "s/e+c=ret", "", "a", "" },
    { "the later value wins", "[default]\nregion=a\nregion=b\n", "default", AWSCONF_CREDENTIALS,
      ERR_OK, "", "", "", "b", "" },
    { "indented settings", "[default]\n  aws_access_key_id=A\n  region=r\n", "default",
      AWSCONF_CREDENTIALS, ERR_OK, "A", "", "", "r", "" },
    { "nested values are skipped", "[default]\ns3 =\n  region = no\n  x\nregion=r\n", "default",
      AWSCONF_CONFIG, ERR_OK, "", "", "", "r", "" },
    { "config: default without the word", "[default]\nregion=r\n", "default", AWSCONF_CONFIG,
      ERR_OK, "", "", "", "r", "" },
    { "config: profile default", "[profile default]\nregion=r\n", "default", AWSCONF_CONFIG, ERR_OK,
      "", "", "", "r", "" },
    { "config: profile with a name", "[profile  dev]\nregion=r\n", "dev", AWSCONF_CONFIG, ERR_OK,
      "", "", "", "r", "" },
    { "config: quoted name", "[profile \"my dev\"]\nregion=r\n", "my dev", AWSCONF_CONFIG, ERR_OK,
      "", "", "", "r", "" },
    { "config: a bare name is no profile", "[dev]\nregion=r\n", "dev", AWSCONF_CONFIG, ERR_OK, NULL,
      "", "", "", "" },
    { "config: other kinds of section", "[services dev]\nkms =\n  endpoint_url = x\n[profiles]\n",
      "dev", AWSCONF_CONFIG, ERR_OK, NULL, "", "", "", "" },
    { "credentials: the word profile belongs to the name", "[profile dev]\nregion=r\n", "dev",
      AWSCONF_CREDENTIALS, ERR_OK, NULL, "", "", "", "" },
    { "role", "[profile dev]\nrole_arn=arn:x\nsource_profile=y\n", "dev", AWSCONF_CONFIG, ERR_OK,
      "", "", "", "", "arn:x" },
    { "single sign-on", "[profile dev]\nsso_session=x\n", "dev", AWSCONF_CONFIG, ERR_OK, "", "", "",
      "", "sso_session" },
    { "process", "[default]\ncredential_process = /bin/x --y=z\n", "default", AWSCONF_CREDENTIALS,
      ERR_OK, "", "", "", "", "/bin/x --y=z" },
    { "no closing bracket", "[default\n" PAIR, "default", AWSCONF_CREDENTIALS, ERR_MALFORMED,
      "section without a closing bracket", "", "", "", "" },
    { "text after the bracket", "[default] x\n", "default", AWSCONF_CREDENTIALS, ERR_MALFORMED,
      "text after a section's name", "", "", "", "" },
    { "no name in the brackets", "[ ]\n", "default", AWSCONF_CREDENTIALS, ERR_MALFORMED,
      "section without a name", "", "", "", "" },
    { "setting before any section", PAIR, "default", AWSCONF_CREDENTIALS, ERR_MALFORMED,
      "setting outside of a section", "", "", "", "" },
    { "a line that is no setting", "[default]\nAKIA1\n", "default", AWSCONF_CREDENTIALS,
      ERR_MALFORMED, "neither a section nor a setting", "", "", "", "" },
    { "a setting without a name", "[default]\n= x\n", "default", AWSCONF_CREDENTIALS, ERR_MALFORMED,
      "neither a section nor a setting", "", "", "", "" },
    { "a fault in another section is a fault", "[default]\n" PAIR "[x]\ny\n", "default",
      AWSCONF_CREDENTIALS, ERR_MALFORMED, "neither a section nor a setting", "", "", "", "" },
};

static void assert_text(struct span got, const char *want)
{
    t_assert_span(got, span_str(want));
}

static void read_row(void **state)
{
    const struct row *r = *state;
    struct span text = t_copy(span_str(r->text));
    struct awsconf_profile p = { .region = SPAN_LIT("untouched") };
    struct why why = { 0 };

    assert_int_equal(awsconf_profile_read(text, r->kind, span_str(r->profile), &p, &why), r->want);
    if (r->want != ERR_OK) {
        assert_string_equal(why.what, r->what);
        assert_text(p.region, "untouched");
    } else {
        assert_int_equal(p.found, r->what != NULL);
        assert_text(p.access_key_id, r->what ? r->what : "");
        assert_text(p.secret_access_key, r->secret);
        assert_text(p.session_token, r->token);
        assert_text(p.region, r->region);
        assert_text(p.elsewhere.len  ? p.elsewhere
                    : p.role_arn.len ? p.role_arn
                                     : p.process,
                    r->elsewhere);
    }
    t_free(text);
}

static void nul_byte(void **state)
{
    (void)state;
    struct awsconf_profile p = { .region = SPAN_LIT("untouched") };
    struct why why = { 0 };
    struct span text = SPAN_LIT("[default]\naws_access_key_id=A\0B\n");

    assert_int_equal(awsconf_profile_read(text, AWSCONF_CREDENTIALS, SPAN_LIT("default"), &p, &why),
                     ERR_MALFORMED);
    assert_string_equal(why.what, "NUL byte");
    assert_int_equal(why.at, 10);
    assert_int_equal(awsconf_line_of(text, why.at), 2);
    assert_text(p.region, "untouched");
}

/* No truncation and no flipped bit reads past the end (the sanitizer looks) or returns more. */
static void damaged(void **state)
{
    (void)state;
    struct span good =
        SPAN_LIT("# c\n[profile \"a\"] ;x\n k =\n  v\n" PAIR "[default]\nregion=r\n");

    for (size_t n = 0; n <= good.len; n++) {
        struct span text = t_copy(span_sub(good, 0, n));
        struct awsconf_profile p = { 0 };
        enum err e = awsconf_profile_read(text, AWSCONF_CONFIG, SPAN_LIT("a"), &p, NULL);
        assert_true(e == ERR_OK || e == ERR_MALFORMED);
        t_free(text);
    }
    for (size_t bit = 0; bit < good.len * 8; bit++) {
        struct span text = t_copy(good);
        union {
            const uint8_t *view;
            uint8_t *bytes;
        } u = { .view = text.ptr };
        u.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        struct awsconf_profile p = { 0 };
        enum err e = awsconf_profile_read(text, AWSCONF_CONFIG, SPAN_LIT("a"), &p, NULL);
        assert_true(e == ERR_OK || e == ERR_MALFORMED);
        t_free(text);
    }
}

int main(void)
{
    enum { N = sizeof rows / sizeof rows[0] };
    struct CMUnitTest tests[N + 2];

    T_ROWS(tests, rows, read_row);
    tests[N] = (struct CMUnitTest){ "NUL byte", nul_byte, NULL, NULL, NULL };
    tests[N + 1] = (struct CMUnitTest){ "truncated and flipped", damaged, NULL, NULL, NULL };
    return _cmocka_run_group_tests("awsconf", tests, N + 2, NULL, NULL);
}
