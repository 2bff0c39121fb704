#include "base/rfc3339.h"
#include "testing/t.h"

static struct time_row {
    const char *name, *text;
    enum err want;
    int64_t unix_s;
} time_rows[] = {
    { "time: UTC", "1970-01-01T00:00:00Z", ERR_OK, 0 },
    { "time: leap day", "2024-02-29T23:59:59Z", ERR_OK, 1709251199 },
    { "time: fraction", "2026-01-02T03:04:05.678Z", ERR_OK, 1767323045 },
    { "time: east", "2026-01-02T04:04:05+01:00", ERR_OK, 1767323045 },
    { "time: west", "2026-01-01T21:34:05-05:30", ERR_OK, 1767323045 },
    { "time: before 1970", "1969-12-31T23:59:59Z", ERR_OK, -1 },
    { "time: lower case", "1970-01-01t00:00:00z", ERR_OK, 0 },
    { "time: no leap day", "2025-02-29T00:00:00Z", ERR_MALFORMED, 0 },
    { "time: century", "2100-02-29T00:00:00Z", ERR_MALFORMED, 0 },
    { "time: month 13", "2026-13-01T00:00:00Z", ERR_MALFORMED, 0 },
    { "time: month 0", "2026-00-01T00:00:00Z", ERR_MALFORMED, 0 },
    { "time: day 31 of April", "2026-04-31T00:00:00Z", ERR_MALFORMED, 0 },
    { "time: hour 24", "2026-01-01T24:00:00Z", ERR_MALFORMED, 0 },
    { "time: no zone", "2026-01-01T00:00:00", ERR_MALFORMED, 0 },
    { "time: empty fraction", "2026-01-01T00:00:00.Z", ERR_MALFORMED, 0 },
    { "time: short offset", "2026-01-01T00:00:00+01", ERR_MALFORMED, 0 },
    { "time: more behind", "2026-01-01T00:00:00Z ", ERR_MALFORMED, 0 },
    { "time: leap second", "2016-12-31T23:59:60Z", ERR_OK, 1483228800 },
    { "time: second 61", "2016-12-31T23:59:61Z", ERR_MALFORMED, 0 },
    { "time: year 0", "0000-01-01T00:00:00Z", ERR_MALFORMED, 0 },
    { "time: empty", "", ERR_MALFORMED, 0 },
};

static void time_row(void **state)
{
    const struct time_row *row = *state;
    int64_t v = 77;

    assert_int_equal(rfc3339_parse(span_str(row->text), &v), row->want);
    assert_int_equal(v, row->want == ERR_OK ? row->unix_s : 77);
}

static void written(void **state)
{
    (void)state;
    static const struct {
        int64_t unix_s;
        const char *text;
    } rows[] = {
        { 1767323045, "2026-01-02T03:04:05Z" },
        { 0, "1970-01-01T00:00:00Z" },
        { -1, "1969-12-31T23:59:59Z" },
        { 951868799, "2000-02-29T23:59:59Z" },
        { 4107542399, "2100-02-28T23:59:59Z" },
        { 4107542400, "2100-03-01T00:00:00Z" },
        { 1735689599, "2024-12-31T23:59:59Z" },
        { INT64_C(-62135596800), "0001-01-01T00:00:00Z" },
        { INT64_C(253402300799), "9999-12-31T23:59:59Z" },
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char out[RFC3339_BYTES];
        int64_t back = 77;
        rfc3339_write(rows[i].unix_s, out);
        assert_string_equal(out, rows[i].text);
        assert_int_equal(rfc3339_parse_plain(span_str(out), &back), ERR_OK);
        assert_int_equal(back, rows[i].unix_s);
    }
}

static void not_in_four_digits(void **state)
{
    char out[RFC3339_BYTES];
    (void)state;

    rfc3339_write(INT64_C(253402300800), out);
    assert_string_equal(out, "9999-12-31T23:59:59Z");
    rfc3339_write(INT64_MAX, out);
    assert_string_equal(out, "9999-12-31T23:59:59Z");
    rfc3339_write(INT64_C(-62167219201), out);
    assert_string_equal(out, "0000-01-01T00:00:00Z");
    rfc3339_write(INT64_MIN, out);
    assert_string_equal(out, "0000-01-01T00:00:00Z");
}

static void milliseconds(void **state)
{
    char out[RFC3339_MS_BYTES];
    (void)state;

    rfc3339_write_ms(INT64_C(1767323045678), out);
    assert_string_equal(out, "2026-01-02T03:04:05.678Z");
    rfc3339_write_ms(0, out);
    assert_string_equal(out, "1970-01-01T00:00:00.000Z");
    rfc3339_write_ms(-1, out);
    assert_string_equal(out, "1969-12-31T23:59:59.999Z");
    rfc3339_write_ms(-1000, out);
    assert_string_equal(out, "1969-12-31T23:59:59.000Z");
}

static void plain_is_one_form_only(void **state)
{
    static const char *const others[] = {
        "1970-01-01t00:00:00z",      "2026-01-02T03:04:05.678Z", "2026-01-02T04:04:05+01:00",
        "2026-01-02T03:04:05+00:00", "2026-01-02T03:04:60Z",     "2026-13-01T00:00:00Z",
        "2026-01-02T03:04:05",       "2026-01-02 03:04:05Z",     "",
    };
    int64_t v = 77;
    (void)state;

    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        assert_int_equal(rfc3339_parse_plain(span_str(others[i]), &v), ERR_MALFORMED);
    assert_int_equal(v, 77);
}

int main(void)
{
    enum { ROWS = sizeof time_rows / sizeof time_rows[0] };
    struct CMUnitTest tests[ROWS + 4] = {
        [ROWS] = cmocka_unit_test(written),
        cmocka_unit_test(not_in_four_digits),
        cmocka_unit_test(milliseconds),
        cmocka_unit_test(plain_is_one_form_only),
    };

    T_ROWS(tests, time_rows, time_row);
    return cmocka_run_group_tests_name("rfc3339", tests, NULL, NULL);
}
