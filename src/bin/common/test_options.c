#include "bin/common/options.h"
#include "testing/t.h"

#include <stdlib.h>

static const struct option_def defs[] = {
    { "port", 'p', "PORT", "T_OPTIONS_PORT", "5000", "Port." },
    { "name", 0, "NAME", NULL, NULL, "Repeatable." },
    { "quiet", 'q', NULL, NULL, NULL, "A flag." },
    { 0 },
};
static const struct program_def program = {
    .name = "prog",
    .synopsis = "[OPTION ...] [FILE]",
    .summary = "Test.",
    .options = defs,
    .args_max = 1,
};

struct row {
    const char *name;
    const char *argv[6];
    int status;
    const char *port;
    unsigned names, args;
    bool quiet;
};

static const struct row rows[] = {
    { "nothing given", { "prog" }, -1, "5000", 0, 0, false },
    { "two words", { "prog", "--port", "1" }, -1, "1", 0, 0, false },
    { "equals sign", { "prog", "--port=2" }, -1, "2", 0, 0, false },
    { "letter and word", { "prog", "-p", "3" }, -1, "3", 0, 0, false },
    { "letter with value", { "prog", "-p4" }, -1, "4", 0, 0, false },
    { "the last one counts", { "prog", "-p4", "-p5" }, -1, "5", 0, 0, false },
    { "repeatable", { "prog", "--name", "a", "--name=b" }, -1, "5000", 2, 0, false },
    { "flag", { "prog", "-q" }, -1, "5000", 0, 0, true },
    { "after two dashes", { "prog", "--", "-q" }, -1, "5000", 0, 1, false },
    { "a dash is an argument", { "prog", "-" }, -1, "5000", 0, 1, false },
    { "unknown option", { "prog", "--nope" }, 2, NULL, 0, 0, false },
    { "prefix is not enough", { "prog", "--por", "1" }, 2, NULL, 0, 0, false },
    { "value missing", { "prog", "--port" }, 2, NULL, 0, 0, false },
    { "flag with value", { "prog", "--quiet=1" }, 2, NULL, 0, 0, false },
    { "too many arguments", { "prog", "a", "b" }, 2, NULL, 0, 0, false },
    { "help", { "prog", "--help" }, 0, NULL, 0, 0, false },
    { "version", { "prog", "--version" }, 0, NULL, 0, 0, false },
};

static void parse_row(void **state)
{
    const struct row *r = *state;
    char *argv[7] = { NULL };
    int argc = 0;

    for (; argc < 6 && r->argv[argc]; argc++) {
        argv[argc] = strdup(r->argv[argc]);
        assert_non_null(argv[argc]);
    }
    struct options o;
    /* Help and version go to stdout, where the test's own protocol is: send them elsewhere
     * meanwhile. */
    FILE *kept = stdout;
    stdout = fopen("/dev/null", "w");
    assert_non_null(stdout);
    int status = options_parse(&program, argc, argv, &o);
    fclose(stdout);
    stdout = kept;
    assert_int_equal(status, r->status);
    if (r->status == -1) {
        assert_string_equal(option_text(&o, "port"), r->port);
        assert_int_equal(option_count(&o, "name"), r->names);
        assert_int_equal(o.n_args, r->args);
        assert_int_equal(option_flag(&o, "quiet"), r->quiet);
    }
    for (int i = 0; i < argc; i++)
        free(argv[i]);
}

static void environment(void **state)
{
    (void)state;
    char *argv[] = { NULL, NULL };
    char *with[] = { NULL, argv[0], NULL };
    char name[] = "prog", opt[] = "-p7";
    struct options o;

    argv[0] = with[0] = name;
    with[1] = opt;
    setenv("T_OPTIONS_PORT", "6", 1);
    assert_int_equal(options_parse(&program, 1, argv, &o), -1);
    assert_string_equal(option_text(&o, "port"), "6");
    assert_int_equal(options_parse(&program, 2, with, &o), -1);
    assert_string_equal(option_text(&o, "port"), "7");
    setenv("T_OPTIONS_PORT", "", 1);
    assert_int_equal(options_parse(&program, 1, argv, &o), -1);
    assert_string_equal(option_text(&o, "port"), "5000");
    unsetenv("T_OPTIONS_PORT");
}

static void numbers(void **state)
{
    (void)state;
    char name[] = "prog", good[] = "-p65535", bad[] = "-p65536", word[] = "-px";
    char *argv[] = { name, good };
    struct options o;
    uint64_t v = 99;

    assert_int_equal(options_parse(&program, 2, argv, &o), -1);
    assert_true(option_u64(&o, "port", 1, 65535, &v));
    assert_int_equal(v, 65535);
    argv[1] = bad;
    assert_int_equal(options_parse(&program, 2, argv, &o), -1);
    assert_false(option_u64(&o, "port", 1, 65535, &v));
    argv[1] = word;
    assert_int_equal(options_parse(&program, 2, argv, &o), -1);
    assert_false(option_u64(&o, "port", 1, 65535, &v));
    assert_int_equal(v, 65535);
}

int main(void)
{
    enum { N = sizeof rows / sizeof rows[0] };
    struct CMUnitTest tests[N + 2];

    T_ROWS(tests, rows, parse_row);
    tests[N] = (struct CMUnitTest){ "environment", environment, NULL, NULL, NULL };
    tests[N + 1] = (struct CMUnitTest){ "numbers", numbers, NULL, NULL, NULL };
    return _cmocka_run_group_tests("options", tests, N + 2, NULL, NULL);
}
