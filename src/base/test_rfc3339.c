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
    { "time: empty", "", ERR_MALFORMED, 0 },
};

static void time_row(void **state)
{
    const struct time_row *row = *state;
    int64_t v = 77;

    assert_int_equal(rfc3339_parse(span_str(row->text), &v), row->want);
    assert_int_equal(v, row->want == ERR_OK ? row->unix_s : 77);
}

static void times(void **state)
{
    (void)state;
    static const struct {
        int64_t unix_s;
        const char *text;
    } rows[] = {
        { 1767323045, "2026-01-02T03:04:05Z" },
        { 1, "1970-01-01T00:00:01Z" },
        { 951868799, "2000-02-29T23:59:59Z" },
        { 4107542399, "2100-02-28T23:59:59Z" },
        { 4107542400, "2100-03-01T00:00:00Z" },
        { 1735689599, "2024-12-31T23:59:59Z" },
        { INT64_C(253402300799), "9999-12-31T23:59:59Z" },
        { INT64_C(253402300800), "" },
        { 0, "" },
        { -5, "" },
        { INT64_MAX, "" },
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char out[RFC3339_BYTES] = "untouched";
        rfc3339_write(rows[i].unix_s, out);
        assert_string_equal(out, rows[i].text);
    }
}

int main(void)
{
    enum { N = sizeof time_rows / sizeof time_rows[0] };
    struct CMUnitTest tests[N + 1] = { [N] = cmocka_unit_test(times) };

    T_ROWS(tests, time_rows, time_row);
    return cmocka_run_group_tests_name("rfc3339", tests, NULL, NULL);
}
