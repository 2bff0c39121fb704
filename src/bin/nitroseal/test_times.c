#include "bin/nitroseal/times.h"
#include "testing/t.h"

struct row {
    const char *name, *text;
    enum err want;
    int64_t unix_s;
};

static const struct row rows[] = {
    { "the beginning", "1970-01-01T00:00:00Z", ERR_OK, 0 },
    { "a time", "2026-01-02T03:04:05Z", ERR_OK, 1767323045 },
    { "leap day", "2024-02-29T23:59:59Z", ERR_OK, 1709251199 },
    { "seconds", "1767323045", ERR_OK, 1767323045 },
    { "no leap year", "2026-02-29T00:00:00Z", ERR_MALFORMED, 0 },
    { "no such month", "2026-13-01T00:00:00Z", ERR_MALFORMED, 0 },
    { "another zone", "2026-01-02T03:04:05+01:00", ERR_MALFORMED, 0 },
    { "blank instead of T", "2026-01-02 03:04:05Z", ERR_MALFORMED, 0 },
    { "fraction", "2026-01-02T03:04:05.1Z", ERR_MALFORMED, 0 },
    { "cut", "2026-01-02T03:04:05", ERR_MALFORMED, 0 },
    { "letters", "2026-01-02T03:04:xxZ", ERR_MALFORMED, 0 },
    { "negative", "-1", ERR_MALFORMED, 0 },
    { "past the year 9999", "253402300800", ERR_MALFORMED, 0 },
    { "empty", "", ERR_MALFORMED, 0 },
};

static void parse_row(void **state)
{
    const struct row *r = *state;
    struct span text = t_copy(span_str(r->text));
    int64_t unix_s = 99;

    assert_int_equal(times_parse(text, &unix_s), r->want);
    assert_int_equal(unix_s, r->want == ERR_OK ? r->unix_s : 99);
    t_free(text);
}

int main(void)
{
    enum { N = sizeof rows / sizeof rows[0] };
    struct CMUnitTest tests[N];

    T_ROWS(tests, rows, parse_row);
    return _cmocka_run_group_tests("times", tests, N, NULL, NULL);
}
