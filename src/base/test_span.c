#include "base/span.h"
#include "testing/t.h"

static void compares(void **state)
{
    (void)state;
    assert_true(span_eq(SPAN_EMPTY, SPAN_LIT("")));
    assert_true(span_eq(SPAN_LIT("ab"), SPAN_LIT("ab")));
    assert_false(span_eq(SPAN_LIT("ab"), SPAN_LIT("abc")));
    assert_true(span_is(SPAN_LIT("ab"), "ab"));
    assert_true(span_eq_nocase(SPAN_LIT("Content-LENGTH[@`{"), SPAN_LIT("content-length[@`{")));
    assert_false(span_eq_nocase(SPAN_LIT("@"), SPAN_LIT("`"))); /* only letters fold */
    assert_false(span_eq_nocase(SPAN_LIT("["), SPAN_LIT("{")));
    assert_false(span_eq_nocase(SPAN_LIT("a"), SPAN_LIT("ab")));
    assert_true(span_starts(SPAN_LIT("abc"), "ab"));
    assert_true(span_starts(SPAN_EMPTY, ""));
    assert_false(span_starts(SPAN_LIT("a"), "ab"));
    assert_true(ct_eq(SPAN_LIT("same"), SPAN_LIT("same")));
    assert_true(ct_eq(SPAN_EMPTY, SPAN_LIT("")));
    assert_false(ct_eq(SPAN_LIT("same"), SPAN_LIT("samE")));
    assert_false(ct_eq(SPAN_LIT("same"), SPAN_LIT("sam")));
}

static void cuts(void **state)
{
    (void)state;
    struct span s = SPAN_LIT("abcdef"), rest = SPAN_LIT("a,,b");

    assert_true(span_is(span_sub(s, 2, 3), "cde"));
    assert_true(span_is(span_sub(s, 4, 9), "ef"));
    assert_int_equal(span_sub(s, 9, 1).len, 0);
    assert_null(span_from(SPAN_EMPTY, 3).ptr);
    assert_true(span_is(span_from(s, 5), "f"));
    assert_int_equal(span_find(s, 'd'), 3);
    assert_int_equal(span_find(s, 'x'), 6);
    assert_int_equal(span_find(SPAN_EMPTY, 'x'), 0);
    assert_true(span_is(span_trim(SPAN_LIT(" \t a b\t ")), "a b"));
    assert_int_equal(span_trim(SPAN_LIT(" \t ")).len, 0);
    assert_true(span_is(span_trim(SPAN_LIT("\ra\n")), "\ra\n"));
    assert_true(span_is(span_cut(&rest, ','), "a"));
    assert_true(span_is(span_cut(&rest, ','), ""));
    assert_true(span_is(span_cut(&rest, ','), "b"));
    assert_null(rest.ptr);
    rest = SPAN_LIT("a,");
    assert_true(span_is(span_cut(&rest, ','), "a"));
    assert_non_null(rest.ptr); /* an empty part follows the last comma */
    assert_int_equal(rest.len, 0);
}

struct number_row {
    const char *name, *text;
    uint64_t max;
    enum err want;
    uint64_t value;
};

static struct number_row number_rows[] = {
    { "number: zero", "0", 0, ERR_OK, 0 },
    { "number: leading zeros", "007", 7, ERR_OK, 7 },
    { "number: at the limit", "255", 255, ERR_OK, 255 },
    { "number: past the limit", "256", 255, ERR_LIMIT, 0 },
    { "number: largest", "18446744073709551615", UINT64_MAX, ERR_OK, UINT64_MAX },
    { "number: past 64 bits", "18446744073709551616", UINT64_MAX, ERR_LIMIT, 0 },
    { "number: far past 64 bits", "99999999999999999999", UINT64_MAX, ERR_LIMIT, 0 },
    { "number: empty", "", 9, ERR_MALFORMED, 0 },
    { "number: sign", "+1", 9, ERR_MALFORMED, 0 },
    { "number: minus", "-1", 9, ERR_MALFORMED, 0 },
    { "number: space", "1 ", 9, ERR_MALFORMED, 0 },
    { "number: hexadecimal", "0x1", 9, ERR_MALFORMED, 0 },
};

static void number_row(void **state)
{
    const struct number_row *row = *state;
    uint64_t v = 12345;

    assert_int_equal(span_to_u64(span_str(row->text), row->max, &v), row->want);
    assert_int_equal(v, row->want == ERR_OK ? row->value : 12345);
}

/* An independent reading of RFC 3629: decode, then ask whether it is the shortest form. */
static size_t decoded_len(const uint8_t *p, size_t len)
{
    static const uint32_t least[5] = { 0, 0, 0x80, 0x800, 0x10000 };
    size_t n = p[0] < 0x80 ? 1 : p[0] >> 5 == 6 ? 2 : p[0] >> 4 == 14 ? 3 : p[0] >> 3 == 30 ? 4 : 0;
    uint32_t v = n ? p[0] & (0xffu >> (n == 1 ? 1 : n + 1)) : 0;

    if (n == 0 || n > len)
        return 0;
    for (size_t i = 1; i < n; i++) {
        if (p[i] >> 6 != 2)
            return 0;
        v = v << 6 | (p[i] & 63u);
    }
    return v < least[n] || v > 0x10ffff || v >> 11 == 27 ? 0 : n;
}

static void every_utf8_sequence(void **state)
{
    (void)state;
    /* All of the first three bytes, and of the fourth those at the edges of a range. */
    static const uint8_t last[] = { 0, 0x7f, 0x80, 0xbf, 0xc0, 0xff };

    for (uint32_t i = 0; i < 0x1000000; i++) {
        uint8_t p[4] = { (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i, 0 };
        size_t tails = p[0] >= 0xf0 ? sizeof last : 1;
        for (size_t k = 0; k < tails; k++) {
            p[3] = last[k];
            if (span_utf8_sequence(span_of(p, 4)) != decoded_len(p, 4))
                fail_msg("%02x %02x %02x %02x", p[0], p[1], p[2], p[3]);
            size_t run = 0; /* sequences that follow each other, up to ASCII */
            while (run < 4 && p[run] >= 0x80 && decoded_len(p + run, 4 - run))
                run += decoded_len(p + run, 4 - run);
            if (span_utf8_run(span_of(p, 4)) != run)
                fail_msg("run of %02x %02x %02x %02x", p[0], p[1], p[2], p[3]);
        }
        if (p[0] < 0x80) /* the rest repeats itself */
            i |= 0xffff;
    }
}

static void utf8_in_place(void **state)
{
    (void)state;
    uint8_t text[64];

    for (size_t at = 0; at + 4 <= sizeof text; at++) {
        struct span copy;
        memset(text, 'x', sizeof text);
        memcpy(text + at, "\xf0\x9f\x94\x91", 4);
        copy = t_copy(SPAN_ARRAY(text));
        assert_true(span_is_utf8(copy));
        t_free(copy);
        copy = t_copy(span_of(text, at + 3)); /* cut inside the sequence */
        assert_false(span_is_utf8(copy));
        t_free(copy);
        text[at + 2] = 'x';
        assert_false(span_is_utf8(SPAN_ARRAY(text)));
    }
    assert_true(span_is_utf8(SPAN_EMPTY));
}

static void names_of_errors(void **state)
{
    (void)state;
    struct why why = { .what = "before" };

    for (enum err r = ERR_OK; r <= ERR_INTERNAL; r++)
        for (enum err other = ERR_OK; other < r; other++)
            assert_string_not_equal(err_name(r), err_name(other));
    assert_int_equal(why_fail(&why, ERR_LIMIT, "now", 7), ERR_LIMIT);
    assert_string_equal(why.what, "now");
    assert_int_equal(why.at, 7);
    assert_int_equal(why_fail(NULL, ERR_IO, "nobody asks", 0), ERR_IO);
}

static void wipes(void **state)
{
    (void)state;
    char text[] = "secret";

    wipe(text, sizeof text - 3);
    assert_memory_equal(text, "\0\0\0\0et", sizeof text);
    wipe(NULL, 0);
}

enum { FIXED_TESTS = 6, ROWS = sizeof number_rows / sizeof number_rows[0] };

int main(void)
{
    struct CMUnitTest tests[FIXED_TESTS + ROWS] = {
        cmocka_unit_test(compares),      cmocka_unit_test(cuts),
        cmocka_unit_test(utf8_in_place), cmocka_unit_test(every_utf8_sequence),
        cmocka_unit_test(wipes),         cmocka_unit_test(names_of_errors),
    };

    T_ROWS(tests + FIXED_TESTS, number_rows, number_row);
    return cmocka_run_group_tests_name("span", tests, NULL, NULL);
}
