#include "bin/nitroseal/triple.h"
#include "testing/t.h"

struct row {
    const char *name, *text;
    enum err want;
    const char *what;
};

static const struct row rows[] = {
    { "three lines", "ENCRYPTED=QQ==\nSIGNATURE=Qg==\nCIPHERTEXT_BLOB=Qw==\n", ERR_OK, NULL },
    { "another order", "CIPHERTEXT_BLOB=Qw==\nENCRYPTED=QQ==\nSIGNATURE=Qg==\n", ERR_OK, NULL },
    { "CRLF and blanks at the end",
      "ENCRYPTED=QQ== \r\nSIGNATURE=Qg==\r\nCIPHERTEXT_BLOB=Qw==", ERR_OK, NULL },
    { "what kms-client prints",
      "Sending encryption request: SIGNATURE=no\n\nEncrypted (Base64): QQ==\n====\n"
      "ENCRYPTED=QQ==\nSIGNATURE=Qg==\nCIPHERTEXT_BLOB=Qw==\n",
      ERR_OK, NULL },
    { "JSON", " {\"encrypted\":\"QQ==\",\"signature\":\"Qg==\",\"ciphertext_blob\":\"Qw==\"}\n",
      ERR_OK, NULL },
    { "JSON with other members",
      "{\"operation\":\"encrypt\",\"x\":[1,{\"encrypted\":\"no\"}],\"encrypted\":\"QQ==\","
      "\"signature\":\"Qg==\",\"ciphertext_blob\":\"Qw==\"}",
      ERR_OK, NULL },
    { "JSON with escapes",
      "{\"encrypted\":\"Q\\u0051==\",\"signature\":\"Qg==\",\"ciphertext_blob\":\"Qw==\"}", ERR_OK,
      NULL },
    { "empty", "", ERR_MALFORMED, "no ENCRYPTED value" },
    { "signature missing", "ENCRYPTED=QQ==\nCIPHERTEXT_BLOB=Qw==\n", ERR_MALFORMED,
      "no SIGNATURE value" },
    { "blob missing", "ENCRYPTED=QQ==\nSIGNATURE=Qg==\n", ERR_MALFORMED,
      "no CIPHERTEXT_BLOB value" },
    { "empty value", "ENCRYPTED=\nSIGNATURE=Qg==\nCIPHERTEXT_BLOB=Qw==\n", ERR_MALFORMED,
      "no ENCRYPTED value" },
    { "value twice", "ENCRYPTED=QQ==\nENCRYPTED=QQ==\nSIGNATURE=Qg==\nCIPHERTEXT_BLOB=Qw==\n",
      ERR_MALFORMED, "more than one ENCRYPTED value" },
    { "name not at the line's start", " ENCRYPTED=QQ==\nSIGNATURE=Qg==\nCIPHERTEXT_BLOB=Qw==\n",
      ERR_MALFORMED, "no ENCRYPTED value" },
    { "JSON, signature missing", "{\"encrypted\":\"QQ==\",\"ciphertext_blob\":\"Qw==\"}",
      ERR_MALFORMED, "no SIGNATURE value" },
};

static void parse_row(void **state)
{
    const struct row *r = *state;
    struct span text = t_copy(span_str(r->text));
    AUTO(buf_clear) struct buf scratch = BUF_INIT(1 << 16);
    struct triple t = { .encrypted = SPAN_LIT("untouched") };
    struct why why = { 0 };

    assert_int_equal(triple_parse(text, &scratch, &t, &why), r->want);
    if (r->want != ERR_OK) {
        assert_string_equal(why.what, r->what);
        t_assert_span(t.encrypted, SPAN_LIT("untouched"));
    } else {
        t_assert_span(t.encrypted, SPAN_LIT("QQ=="));
        t_assert_span(t.signature, SPAN_LIT("Qg=="));
        t_assert_span(t.ciphertext_blob, SPAN_LIT("Qw=="));
    }
    t_free(text);
}

static void json_faults(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "{",
        "{\"encrypted\":1}",
        "{\"encrypted\":\"a\",\"encrypted\":\"a\"}",
        "{\"encrypted\":\"QQ==\",\"signature\":\"Qg==\",\"ciphertext_blob\":\"Qw==\"}x",
    };

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        AUTO(buf_clear) struct buf scratch = BUF_INIT(1 << 16);
        struct triple t = { .encrypted = SPAN_LIT("untouched") };
        struct why why = { 0 };
        assert_int_not_equal(triple_parse(span_str(bad[i]), &scratch, &t, &why), ERR_OK);
        assert_non_null(why.what);
        t_assert_span(t.encrypted, SPAN_LIT("untouched"));
    }
}

static void round_trip(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf text = BUF_INIT(1 << 10), scratch = BUF_INIT(1 << 10);
    const struct triple t = { SPAN_LIT("QQ=="), SPAN_LIT("Qg=="), SPAN_LIT("Qw==") };
    struct triple back = { 0 };

    assert_int_equal(triple_write(&text, &t), ERR_OK);
    t_assert_buf(&text, "ENCRYPTED=QQ==\nSIGNATURE=Qg==\nCIPHERTEXT_BLOB=Qw==\n");
    assert_int_equal(triple_parse(buf_view(&text), &scratch, &back, NULL), ERR_OK);
    t_assert_span(back.ciphertext_blob, t.ciphertext_blob);
}

/* An answer may not put a line of its own among those that a shell reads. */
static void not_base64(void **state)
{
    (void)state;
    static const char *const bad[] = { "QQ==\nSIGNATURE=x", "$(id)", "Q Q", "QQ-_", "`", "\x7f" };
    AUTO(buf_clear) struct buf text = BUF_INIT(1 << 10);

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const struct triple e = { span_str(bad[i]), SPAN_LIT("Qg=="), SPAN_LIT("Qw==") };
        const struct triple b = { SPAN_LIT("QQ=="), SPAN_LIT("Qg=="), span_str(bad[i]) };
        assert_int_equal(triple_write(&text, &e), ERR_MALFORMED);
        assert_int_equal(triple_write(&text, &b), ERR_MALFORMED);
        assert_int_equal(text.len, 0);
    }
}

static void scratch_too_small(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf scratch = BUF_INIT(4);
    struct triple t = { .encrypted = SPAN_LIT("untouched") };
    struct why why = { 0 };
    struct span text =
        SPAN_LIT("{\"encrypted\":\"QQ==\",\"signature\":\"Qg==\",\"ciphertext_blob\":\"Qw==\"}");

    assert_int_equal(triple_parse(text, &scratch, &t, &why), ERR_LIMIT);
    assert_string_equal(why.what, "value too long");
    t_assert_span(t.encrypted, SPAN_LIT("untouched"));
}

int main(void)
{
    enum { N = sizeof rows / sizeof rows[0] };
    struct CMUnitTest tests[N + 4];

    T_ROWS(tests, rows, parse_row);
    tests[N] = (struct CMUnitTest){ "JSON faults", json_faults, NULL, NULL, NULL };
    tests[N + 1] = (struct CMUnitTest){ "round trip", round_trip, NULL, NULL, NULL };
    tests[N + 2] = (struct CMUnitTest){ "scratch too small", scratch_too_small, NULL, NULL, NULL };
    tests[N + 3] = (struct CMUnitTest){ "not base64", not_base64, NULL, NULL, NULL };
    return _cmocka_run_group_tests("triple", tests, N + 4, NULL, NULL);
}
