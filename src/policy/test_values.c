/* test_values.c - numbers, times, addresses and patterns: what is read, and where it ends. */
#include "policy/pattern.h"
#include "policy/values.h"
#include "testing/t.h"

static void numbers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t whole;
        uint32_t nano;
    } good[] = {
        { "0", 0, 0 },
        { "-0", 0, 0 },
        { "+7", 7, 0 },
        { "007", 7, 0 },
        { "999999999999999", 999999999999999, 0 },
        { "-999999999999999.999999999", -1000000000000000, 1 },
        { "1.5", 1, 500000000 },
        { "-1.5", -2, 500000000 },
        { "0.000000001", 0, 1 },
        { "-0.000000001", -1, 999999999 },
    };
    static const char *const bad[] = { "",
                                       "-",
                                       "+",
                                       ".5",
                                       "5.",
                                       "1e3",
                                       "1,5",
                                       " 1",
                                       "1 ",
                                       "0x1",
                                       "--1",
                                       "1.-5",
                                       "1..5",
                                       "1000000000000000",
                                       "1.0000000001" };
    struct quantity q = { 77, 7 };

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct span text = t_copy(span_str(good[i].text));
        assert_int_equal(quantity_parse(text, &q), ERR_OK);
        assert_true(q.whole == good[i].whole && q.nano == good[i].nano);
        t_free(text);
    }
    q = (struct quantity){ 77, 7 };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct span text = t_copy(span_str(bad[i]));
        assert_int_equal(quantity_parse(text, &q), ERR_MALFORMED);
        assert_true(q.whole == 77 && q.nano == 7);
        t_free(text);
    }
}

static void times(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t s;
        uint32_t nano;
    } good[] = {
        { "1970-01-01T00:00:00Z", 0, 0 },
        { "1970", 0, 0 },
        { "1970-01", 0, 0 },
        { "0001-01-01", -62135596800, 0 },
        { "9999-12-31T23:59:59.999999999Z", 253402300799, 999999999 },
        { "2000-02-29T12:30Z", 951827400, 0 },
        { "2026-01-02T03:04:05+00:00", 1767323045, 0 },
        { "2026-01-02T03:04:05-23:59", 1767409385, 0 },
        { "2016-12-31T23:59:60Z", 1483228800, 0 },
        { "1767323045", 1767323045, 0 },
        { "1767323045.25", 1767323045, 250000000 },
    };
    static const char *const bad[] = {
        "",
        "2026-13",
        "2026-00",
        "2026-1-1",
        "2026-02-29",
        "2026-01-32",
        "2026-01-00",
        "0000",
        "2026-01T00:00Z",
        "2026-01-02T",
        "2026-01-02T24:00Z",
        "2026-01-02T03:60Z",
        "2026-01-02T03:04:61Z",
        "2026-01-02T03:04:05",
        "2026-01-02T03:04:05z",
        "2026-01-02 03:04:05Z",
        "2026-01-02T03:04:05.Z",
        "2026-01-02T03:04:05+24:00",
        "2026-01-02T03:04:05+0800",
        "2026-01-02T03:04:05ZZ",
        "20260102",
        "1900-02-29",
    };
    struct quantity q;

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct span text = t_copy(span_str(good[i].text));
        assert_int_equal(quantity_parse_time(text, &q), ERR_OK);
        assert_true(q.whole == good[i].s && q.nano == good[i].nano);
        t_free(text);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct span text = t_copy(span_str(bad[i]));
        if (strcmp(bad[i], "20260102") == 0) /* eight digits are seconds */
            assert_int_equal(quantity_parse_time(text, &q), ERR_OK);
        else
            assert_int_equal(quantity_parse_time(text, &q), ERR_MALFORMED);
        t_free(text);
    }
}

static void addresses(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned family, prefix;
        const char *hex;
    } good[] = {
        { "0.0.0.0", 4, 32, "00000000" },
        { "255.255.255.255/0", 4, 0, "ffffffff" },
        { "10.1.2.3/32", 4, 32, "0a010203" },
        { "::", 6, 128, "00000000000000000000000000000000" },
        { "::1/128", 6, 128, "00000000000000000000000000000001" },
        { "1::", 6, 128, "00010000000000000000000000000000" },
        { "2001:DB8::a:b/64", 6, 64, "20010db8000000000000000000 0a000b" },
        { "1:2:3:4:5:6:7:8", 6, 128, "00010002000300040005000600070008" },
        { "1:2:3:4:5:6::8", 6, 128, "00010002000300040005000600000008" },
        { "::ffff:192.0.2.1", 6, 128, "00000000000000000000ffffc0000201" },
        { "64:ff9b::192.0.2.33", 6, 128, "0064ff9b0000000000000000c0000221" },
    };
    static const char *const bad[] = {
        "",
        "1.2.3",
        "1.2.3.4.5",
        "1.2.3.256",
        "1.2.3.",
        "1..2.3",
        "01.2.3.4",
        "1.2.3.4/",
        "1.2.3.4/33",
        "1.2.3.4/032x",
        "1.2.3.4/-1",
        ":",
        ":::",
        "1:2:3:4:5:6:7",
        "1:2:3:4:5:6:7:8:9",
        "1:2:3:4:5:6:7::8:9",
        "1::2::3",
        "12345::",
        "g::",
        "::1/129",
        "1.2.3.4::",
        "::1.2.3",
        "::1.2.3.4:5",
        "1:2:3:4:5:6:7:1.2.3.4",
        "host",
    };

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct span text = t_copy(span_str(good[i].text)), want = t_unhex(good[i].hex);
        struct network n;
        assert_int_equal(network_parse(text, &n), ERR_OK);
        assert_int_equal(n.family, good[i].family);
        assert_int_equal(n.prefix, good[i].prefix);
        assert_memory_equal(n.bytes, want.ptr, want.len);
        t_free(text);
        t_free(want);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct span text = t_copy(span_str(bad[i]));
        struct network n = { .family = 9 };
        assert_int_equal(network_parse(text, &n), ERR_MALFORMED);
        assert_int_equal(n.family, 9);
        t_free(text);
    }
}

/* Against a matcher that says the same in five lines, for all short patterns and texts. */
static bool plain_match(const char *p, const char *t)
{
    if (!*p)
        return !*t;
    if (*p == '*')
        return plain_match(p + 1, t) || (*t && plain_match(p, t + 1));
    return *t && (*p == '?' || *p == *t) && plain_match(p + 1, t + 1);
}

static void next_word(char *word, const char *letters)
{
    size_t n = strlen(letters);

    for (char *c = word; *c; c++) {
        size_t at = (size_t)(strchr(letters, *c) - letters);
        *c = letters[(at + 1) % n];
        if (at + 1 < n)
            return;
    }
}

static void every_short_pattern(void **state)
{
    (void)state;
    static const char *const patterns[] = { "", "*", "**", "***",
                                            "****" }; /* first of each length */
    static const char *const texts[] = { "", "a", "aa", "aaa", "aaaa" };

    for (unsigned pl = 0; pl < 5; pl++) {
        char pattern[8];
        strcpy(pattern, patterns[pl]);
        for (unsigned i = 0; i < 1U << 2 * pl; i++, next_word(pattern, "*?ab"))
            for (unsigned tl = 0; tl < 5; tl++) {
                char text[8];
                strcpy(text, texts[tl]);
                for (unsigned k = 0; k < 1U << tl; k++, next_word(text, "ab"))
                    assert_true(policy_glob(span_str(pattern), span_str(text), false) ==
                                plain_match(pattern, text));
            }
    }
}

/* A pattern that is slow for matchers that go back further than one star. */
static void no_explosion(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf text = BUF_INIT(65536), pattern = BUF_INIT(65536);

    for (unsigned i = 0; i < 20000; i++)
        assert_int_equal(buf_append_byte(&text, 'a'), ERR_OK);
    for (unsigned i = 0; i < 500; i++)
        assert_int_equal(buf_append_str(&pattern, "*a"), ERR_OK);
    assert_int_equal(buf_append_byte(&pattern, 'b'), ERR_OK);
    assert_false(policy_glob(buf_view(&pattern), buf_view(&text), false));
}

static void variables(void **state)
{
    (void)state;
    static const char *const good[] = { "",       "x",          "$",
                                        "${a:b}", "${a:b,'c'}", "${a:b , 'c d'}",
                                        "${*}",   "${?}${$}",   "{}",
                                        "$a{",    "${a:b/c-d}", "${a:b,''}" };
    static const char *const bad[] = { "${",        "${}",   "${a}",      "${:b}",
                                       "${a:}",     "${a:b", "x${a:b}${", "${a:b,c}",
                                       "${a:b,'c}", "${!}",  "${a:b,}" };

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_true(pattern_variables_valid(span_str(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(pattern_variables_valid(span_str(bad[i])));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers),      cmocka_unit_test(times),
        cmocka_unit_test(addresses),    cmocka_unit_test(every_short_pattern),
        cmocka_unit_test(no_explosion), cmocka_unit_test(variables),
    };

    return cmocka_run_group_tests_name("policy_values", tests, NULL, NULL);
}
