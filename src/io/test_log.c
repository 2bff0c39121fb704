#include "testing/t.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "io/log.h"

static char line[8192];

/* What `stmt` writes to stderr, in `line`, without the time in front. */
#define CAPTURE(stmt)                                                                              \
    do {                                                                                           \
        int p_[2], saved_ = dup(2);                                                                \
        assert_int_equal(pipe2(p_, O_NONBLOCK), 0);                                                \
        dup2(p_[1], 2);                                                                            \
        stmt;                                                                                      \
        dup2(saved_, 2);                                                                           \
        close(saved_);                                                                             \
        close(p_[1]);                                                                              \
        ssize_t n_ = read(p_[0], line, sizeof(line) - 1);                                          \
        close(p_[0]);                                                                              \
        line[n_ > 0 ? n_ : 0] = 0;                                                                 \
    } while (0)

static const char *after_time(void)
{
    int y, mo, d, h, mi, s, ms;
    assert_int_equal(sscanf(line, "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ ", &y, &mo, &d, &h, &mi, &s, &ms),
                     7);
    assert_true(y > 2020 && line[24] == ' ');
    return line + 25;
}

static void plain_line(void **state)
{
    (void)state;
    log_init("prog", LOG_INFO);
    CAPTURE(log_event(LOG_INFO, "listening", LOG_STR("at", "vsock"), LOG_INT("port", 5000),
                      LOG_INT("n", INT64_MIN)));
    assert_string_equal(after_time(),
                        "info prog listening at=vsock port=5000 n=-9223372036854775808\n");
}

static const struct row {
    const char *name, *in, *want;
} rows[] = {
    { "empty is quoted", "", "\"\"" },
    { "space", "a b", "\"a b\"" },
    { "equals sign", "a=b", "\"a=b\"" },
    { "quote and backslash", "a\"b\\", "\"a\\\"b\\\\\"" },
    { "line feed cannot start a line", "a\nb", "\"a\\x0ab\"" },
    { "escape sequence", "\x1b[31m", "\"\\x1b[31m\"" },
    { "delete", "\x7f", "\"\\x7f\"" },
    { "Chinese stays", "\xe5\xaf\x86", "\xe5\xaf\x86" },
    { "C1 control in UTF-8", "\xc2\x9b", "\"\\xc2\\x9b\"" },
    { "no-break space stays", "\xc2\xa0", "\xc2\xa0" },
    { "not UTF-8", "\xff", "\"\\xff\"" },
};

static void value_row(void **state)
{
    const struct row *row = *state;
    char want[128];
    log_init("p", LOG_INFO);
    struct span in = t_copy(span_str(row->in));
    CAPTURE(log_event(LOG_ERROR, "e", LOG_SPAN("k", in)));
    t_free(in);
    snprintf(want, sizeof(want), "error p e k=%s\n", row->want);
    assert_string_equal(after_time(), want);
}

static void long_values_are_cut(void **state)
{
    char text[1600];
    (void)state;
    log_init("p", LOG_INFO);
    memset(text, 'x', sizeof(text));
    /* The character at the cut has two bytes: neither half may appear. */
    text[511] = '\xc3';
    text[512] = '\xa9';
    CAPTURE(log_event(LOG_WARN, "e", LOG_SPAN("k", SPAN_ARRAY(text)), LOG_INT("last", 7)));
    const char *t = after_time();
    assert_int_equal(strspn(t + strlen("warn p e k=\""), "x"), 511);
    assert_string_equal(t + strlen("warn p e k=\"") + 511, "...\" last=7\n");
}

static void a_line_is_bounded(void **state)
{
    char text[512];
    (void)state;
    memset(text, 1, sizeof(text)); /* four characters each */
    CAPTURE(
        log_event(LOG_WARN, "e", LOG_SPAN("k", SPAN_ARRAY(text)), LOG_SPAN("l", SPAN_ARRAY(text))));
    assert_int_equal(strlen(line), 2048);
    assert_int_equal(line[2047], '\n');
}

static void levels(void **state)
{
    enum log_level level = LOG_WARN;
    (void)state;
    assert_int_equal(log_level_parse("debug", &level), ERR_OK);
    assert_int_equal(level, LOG_DEBUG);
    assert_int_equal(log_level_parse("Debug", &level), ERR_MALFORMED);
    assert_int_equal(level, LOG_DEBUG);
    log_init("p", LOG_WARN);
    CAPTURE(log_event(LOG_INFO, "e", LOG_INT("n", 1)));
    assert_string_equal(line, "");
    CAPTURE(log_event(LOG_WARN, "e", LOG_INT("n", 1)));
    assert_string_equal(after_time(), "warn p e n=1\n");
}

static void held_lines_wait(void **state)
{
    (void)state;
    log_init("p", LOG_INFO);
    log_hold();
    CAPTURE(log_event(LOG_INFO, "e", LOG_INT("n", 1)));
    assert_string_equal(line, "");
    CAPTURE(log_event(LOG_DEBUG, "e", LOG_INT("n", 2)));
    assert_string_equal(line, "");
    CAPTURE(log_flush());
    assert_string_equal(after_time(), "info p e n=1\n");
    CAPTURE(log_flush());
    assert_string_equal(line, "");
    /* A warning does not wait, nor does what was before it. */
    CAPTURE(log_event(LOG_INFO, "e", LOG_INT("n", -3)); log_event(LOG_WARN, "f", LOG_INT("n", 4)));
    assert_memory_equal(after_time(), "info p e n=-3\n", 14);
    assert_string_equal(strchr(line, '\n') + 1 + 25, "warn p f n=4\n");
    CAPTURE(log_event(LOG_INFO, "e", LOG_INT("n", 5)); log_release());
    assert_string_equal(after_time(), "info p e n=5\n");
    CAPTURE(log_event(LOG_INFO, "e", LOG_INT("n", 6)));
    assert_string_equal(after_time(), "info p e n=6\n");
}

/* Lines of 512 bytes: eight are what a pipe takes at once, and then there is one byte more. */
static void no_more_than_a_pipe_takes(void **state)
{
    char text[512];
    (void)state;
    log_init("p", LOG_INFO);
    memset(text, 'x', sizeof text);
    for (size_t over = 0; over < 2; over++) {
        size_t value = 512 - strlen("2026-01-02T03:04:05.678Z info p e k=\n");
        log_hold();
        for (int i = 0; i < 7; i++) {
            CAPTURE(log_event(LOG_INFO, "e", LOG_SPAN("k", span_of((uint8_t *)text, value))));
            assert_string_equal(line, "");
        }
        CAPTURE(log_event(LOG_INFO, "e", LOG_SPAN("k", span_of((uint8_t *)text, value + over))));
        assert_int_equal(strlen(line), over ? 7 * 512 : 0);
        CAPTURE(log_release());
        assert_int_equal(strlen(line), over ? 513 : 4096);
    }
}

int main(void)
{
    enum { N = sizeof(rows) / sizeof(rows[0]) };
    struct CMUnitTest tests[N + 6] = {
        cmocka_unit_test(plain_line),        cmocka_unit_test(long_values_are_cut),
        cmocka_unit_test(a_line_is_bounded), cmocka_unit_test(levels),
        cmocka_unit_test(held_lines_wait),   cmocka_unit_test(no_more_than_a_pipe_takes),
    };
    T_ROWS(tests + 6, rows, value_row);
    return cmocka_run_group_tests_name("io/log", tests, NULL, NULL);
}
