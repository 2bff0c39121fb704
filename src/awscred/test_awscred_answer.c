#include "awscred/awscred.h"
#include "testing/t.h"

#define KEYS "\"AccessKeyId\":\"AKID\",\"SecretAccessKey\":\"s/e+c\""
#define REST "\"Token\":\"tok\",\"Expiration\":\"2026-01-02T03:04:05Z\""

static struct row {
    const char *name, *json;
    enum awscred_form form;
    enum err want;
    const char *what, *token;
    int64_t expires_s;
} rows[] = {
    { "process: all members",
      "{\"Version\":1," KEYS ",\"SessionToken\":\"t\",\"Expiration\":\"2026-01-02T03:04:05Z\"}",
      AWSCRED_PROCESS, ERR_OK, NULL, "t", 1767323045 },
    { "process: long-term keys", "{\"Version\":1," KEYS "}", AWSCRED_PROCESS, ERR_OK, NULL, "", 0 },
    { "process: null is absent", "{\"Version\":1," KEYS ",\"SessionToken\":null}", AWSCRED_PROCESS,
      ERR_OK, NULL, "", 0 },
    { "process: no version", "{" KEYS "}", AWSCRED_PROCESS, ERR_MALFORMED, "Version is not 1", NULL,
      0 },
    { "process: version 2", "{\"Version\":2," KEYS "}", AWSCRED_PROCESS, ERR_MALFORMED,
      "Version is not 1", NULL, 0 },
    { "process: no secret", "{\"Version\":1,\"AccessKeyId\":\"A\"}", AWSCRED_PROCESS, ERR_MALFORMED,
      "AccessKeyId or SecretAccessKey is missing", NULL, 0 },
    { "process: not JSON", "hello", AWSCRED_PROCESS, ERR_MALFORMED, "not the JSON of credentials",
      NULL, 0 },
    { "process: two objects", "{\"Version\":1," KEYS "}{}", AWSCRED_PROCESS, ERR_MALFORMED,
      "not the JSON of credentials", NULL, 0 },
    { "process: number as a key", "{\"Version\":1,\"AccessKeyId\":1}", AWSCRED_PROCESS,
      ERR_MALFORMED, "not the JSON of credentials", NULL, 0 },
    { "process: line feed in the key id",
      "{\"Version\":1,\"AccessKeyId\":\"A\\nB\",\"SecretAccessKey\":\"s\"}", AWSCRED_PROCESS,
      ERR_MALFORMED, "a member that is too long or not printable", NULL, 0 },
    { "process: bad date", "{\"Version\":1," KEYS ",\"Expiration\":\"soon\"}", AWSCRED_PROCESS,
      ERR_MALFORMED, "Expiration", NULL, 0 },
    { "container: answer", "{\"RoleArn\":\"x\"," KEYS "," REST "}", AWSCRED_CONTAINER, ERR_OK, NULL,
      "tok", 1767323045 },
    { "container: error body", "{\"code\":\"x\",\"message\":\"y\"}", AWSCRED_CONTAINER,
      ERR_MALFORMED, "AccessKeyId or SecretAccessKey is missing", NULL, 0 },
    { "IMDS: answer", "{\"Code\":\"Success\",\"Type\":\"AWS-HMAC\"," KEYS "," REST "}",
      AWSCRED_IMDS, ERR_OK, NULL, "tok", 1767323045 },
    { "IMDS: error record", "{\"Code\":\"AssumeRoleUnauthorizedAccess\",\"Message\":\"no\"}",
      AWSCRED_IMDS, ERR_DENIED, "Code is not Success", NULL, 0 },
    { "IMDS: no token", "{\"Code\":\"Success\"," KEYS ",\"Expiration\":\"2026-01-02T03:04:05Z\"}",
      AWSCRED_IMDS, ERR_MALFORMED, "Token or Expiration is missing", NULL, 0 },
    { "IMDS: no expiration", "{\"Code\":\"Success\"," KEYS ",\"Token\":\"t\"}", AWSCRED_IMDS,
      ERR_MALFORMED, "Token or Expiration is missing", NULL, 0 },
};

static void answer_row(void **state)
{
    const struct row *row = *state;
    struct span json = t_copy(span_str(row->json));
    AUTO(buf_clear) struct buf text = BUF_INIT(256);
    struct awscred c = { .expires_s = 99 };
    struct why why = { 0 };

    assert_int_equal(buf_append_str(&text, ">"), ERR_OK);
    assert_int_equal(awscred_answer_parse(json, row->form, &text, &c, &why), row->want);
    if (row->want == ERR_OK) {
        assert_true(span_is(c.access_key_id, "AKID"));
        assert_true(span_is(c.secret_access_key, "s/e+c"));
        assert_true(span_is(c.session_token, row->token));
        assert_int_equal(c.expires_s, row->expires_s);
    } else {
        assert_string_equal(why.what, row->what);
        assert_int_equal(c.expires_s, 99);
        t_assert_buf(&text, ">");
    }
    t_free(json);
}

static void answer_past_its_room(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf text = BUF_INIT(6);
    struct awscred c;

    assert_int_equal(awscred_answer_parse(span_str("{\"Version\":1," KEYS "}"), AWSCRED_PROCESS,
                                          &text, &c, NULL),
                     ERR_MALFORMED);
    assert_int_equal(text.len, 0);
}

static void ages(void **state)
{
    (void)state;
    const int64_t end = 1000000;

    assert_int_equal(awscred_age_of(0, end, 0), AWSCRED_FRESH); /* never expires */
    assert_int_equal(awscred_age_of(end, end - AWSCRED_AGING_S - 1, 0), AWSCRED_FRESH);
    assert_int_equal(awscred_age_of(end, end - AWSCRED_AGING_S, 0), AWSCRED_AGING);
    assert_int_equal(awscred_age_of(end, end - 1, 0), AWSCRED_AGING);
    assert_int_equal(awscred_age_of(end, end, 0), AWSCRED_EXPIRED);
    for (uint32_t jitter = 0; jitter < 2 * AWSCRED_JITTER_S; jitter++) {
        assert_int_equal(awscred_age_of(end, end - AWSCRED_AGING_S - AWSCRED_JITTER_S - 1, jitter),
                         AWSCRED_FRESH);
        assert_int_equal(awscred_age_of(end, end - AWSCRED_AGING_S, jitter), AWSCRED_AGING);
    }
    assert_int_equal(awscred_age_of(end, end - 900, AWSCRED_JITTER_S), AWSCRED_AGING);
}

static struct words_row {
    const char *name, *line;
    enum err want;
    const char *words; /* joined by | */
} words_rows[] = {
    { "words: plain", "/bin/x --a=b c", ERR_OK, "/bin/x|--a=b|c" },
    { "words: blanks", "  a \t b  ", ERR_OK, "a|b" },
    { "words: quotes", "\"a b\" 'c d' e\"f g\"'h'", ERR_OK, "a b|c d|ef gh" },
    { "words: empty word", "a ''", ERR_OK, "a|" },
    { "words: backslash", "a\\ b \\\"c", ERR_OK, "a b|\"c" },
    { "words: backslash in double quotes", "\"a\\\"b\\\\c\\n\"", ERR_OK, "a\"b\\c\\n" },
    { "words: backslash in single quotes", "'a\\'", ERR_OK, "a\\" },
    { "words: nothing of a shell", "a $HOME `b` *|; >c", ERR_OK, "a|$HOME|`b`|*|;|>c" },
    { "words: open quote", "a \"b", ERR_MALFORMED, "quote that is not closed" },
    { "words: backslash at the end", "a\\", ERR_MALFORMED, "nothing after a backslash" },
    { "words: none", " \t", ERR_MALFORMED, "no command" },
};

static void words_row(void **state)
{
    const struct words_row *row = *state;
    AUTO(buf_clear) struct buf text = BUF_INIT(256), joined = BUF_INIT(256);
    const char *argv[AWSCRED_WORDS_MAX + 1];
    struct why why = { 0 };

    assert_int_equal(awscred_words(span_str(row->line), &text, argv, &why), row->want);
    if (row->want != ERR_OK) {
        assert_string_equal(why.what, row->words);
        return;
    }
    for (size_t i = 0; argv[i]; i++)
        assert_int_equal(buf_printf(&joined, "%s%s", i ? "|" : "", argv[i]), ERR_OK);
    t_assert_buf(&joined, row->words);
}

static void words_at_the_limit(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf line = BUF_INIT(1024), text = BUF_INIT(1024), small = BUF_INIT(3);
    const char *argv[AWSCRED_WORDS_MAX + 1];

    for (int i = 0; i < AWSCRED_WORDS_MAX; i++)
        assert_int_equal(buf_append_str(&line, "w "), ERR_OK);
    assert_int_equal(awscred_words(buf_view(&line), &text, argv, NULL), ERR_OK);
    assert_null(argv[AWSCRED_WORDS_MAX]);
    assert_int_equal(buf_append_str(&line, "w"), ERR_OK);
    assert_int_equal(awscred_words(buf_view(&line), &text, argv, NULL), ERR_LIMIT);
    assert_int_equal(awscred_words(SPAN_LIT("abcd"), &small, argv, NULL), ERR_LIMIT);
    assert_int_equal(awscred_words(SPAN_LIT("a\0b"), &text, argv, NULL), ERR_MALFORMED);
}

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))
enum { FIXED = 3 };

int main(void)
{
    struct CMUnitTest tests[FIXED + COUNT(rows) + COUNT(words_rows)] = {
        cmocka_unit_test(answer_past_its_room),
        cmocka_unit_test(ages),
        cmocka_unit_test(words_at_the_limit),
    };
    struct CMUnitTest *next = tests + FIXED;

    next += T_ROWS(next, rows, answer_row);
    next += T_ROWS(next, words_rows, words_row);
    return cmocka_run_group_tests_name("awscred_answer", tests, NULL, NULL);
}
