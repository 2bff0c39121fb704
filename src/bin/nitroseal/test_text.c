/* Text of others, made safe to show and to stand in JSON. */
#include "testing/t.h"
#include "bin/nitroseal/fault.h"

static const struct row {
    const char *name, *text, *want;
} rows[] = {
    { "ordinary", "Gr\xc3\xbc\xc3\x9f \xe4\xb8\xad \xf0\x9f\x94\x91", /* as it came */
      "Gr\xc3\xbc\xc3\x9f \xe4\xb8\xad \xf0\x9f\x94\x91" },
    { "nothing", "", "" },
    { "controls", "a\x1b[31m\nb\x7f\x01", "a?[31m?b??" },
    { "controls of the second set", "a\xc2\x9b\x33\x31m\xc2\x80\xc2\x9f\xc2\xa0",
      "a?31m??\xc2\xa0" },
    { "the same as single bytes", "\x9b\x33\x31m\x80", "?31m?" },
    { "no UTF-8", "no\xffsuch\xfe", "no?such?" },
    { "cut in a character", "a\xe4\xb8", "a??" },
    { "overlong", "\xc0\x9b", "??" },
    { "a surrogate", "\xed\xa0\x80", "???" },
};

static void clean_row(void **state)
{
    const struct row *row = *state;
    AUTO(buf_clear) struct buf out = BUF_INIT(64);

    cli_append_clean(&out, span_str(row->text));
    t_assert_buf(&out, row->want);
    assert_true(span_is_utf8(buf_view(&out)));
}

/* Names of files may be any bytes: what is said of them can be said in JSON all the same. */
static void fault_text(void **state)
{
    (void)state;
    AUTO(cli_fault_clear) struct cli_fault f = CLI_FAULT_INIT;
    static char longest[5000];

    assert_int_equal(cli_fault_set(&f, CLI_FILE, "cannot read %s", "no\xffsuch"), CLI_FILE);
    t_assert_buf(&f.text, "cannot read no?such");
    for (size_t i = 0; i + 3 < sizeof longest; i += 3)
        memcpy(longest + i, "\xe4\xb8\xad", 3);
    (void)cli_fault_set(&f, CLI_FILE, "%s", longest); /* is cut, perhaps in a character */
    assert_true(f.text.len > 1000 && f.text.len < sizeof longest);
    assert_true(span_is_utf8(buf_view(&f.text)));
}

int main(void)
{
    enum { N = sizeof rows / sizeof rows[0] };
    struct CMUnitTest tests[N + 1];

    T_ROWS(tests, rows, clean_row);
    tests[N] = (struct CMUnitTest)cmocka_unit_test(fault_text);
    return _cmocka_run_group_tests("text", tests, N + 1, NULL, NULL);
}
