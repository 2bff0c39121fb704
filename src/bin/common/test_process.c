#include "bin/common/process.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/sys.h"
#include "testing/t.h"

#define FIELDS_4_TO_21 "1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0"

struct row {
    const char *name, *stat;
    enum err want;
    uint64_t started;
};

static const struct row rows[] = {
    { "plain", "7 (cat) S " FIELDS_4_TO_21 " 12345 0 0\n", ERR_OK, 12345 },
    { "name with a blank and a parenthesis", "7 (a) S 9 (b) R " FIELDS_4_TO_21 " 5 0\n", ERR_OK,
      5 },
    { "the last field", "7 (cat) S " FIELDS_4_TO_21 " 5", ERR_OK, 5 },
    { "too few fields", "7 (cat) S " FIELDS_4_TO_21, ERR_MALFORMED, 0 },
    { "no name", "7 cat S " FIELDS_4_TO_21 " 5", ERR_MALFORMED, 0 },
    { "not a number", "7 (cat) S " FIELDS_4_TO_21 " x 0", ERR_MALFORMED, 0 },
    { "empty", "", ERR_MALFORMED, 0 },
};

static void parse_row(void **state)
{
    const struct row *r = *state;
    struct span stat = t_copy(span_str(r->stat));
    uint64_t started = 99;

    assert_int_equal(process_started_parse(stat, &started), r->want);
    assert_int_equal(started, r->want == ERR_OK ? r->started : 99);
    t_free(stat);
}

static int sleeping_child(void)
{
    pid_t child = fork();

    if (child == 0) {
        (void)alarm(60); /* if the test dies first */
        for (;;)
            (void)pause();
    }
    assert_true(child > 0);
    return child;
}

static void another_start_time(void **state)
{
    (void)state;
    if (t_under_valgrind()) /* which knows no pidfd_open() */
        skip();
    int status, pid = sleeping_child();
    struct process p, other;

    assert_int_equal(process_of(pid, &p), ERR_OK);
    other = p;
    other.started++;
    assert_true(process_is_alive(&p));
    assert_false(process_is_alive(&other));
    assert_false(process_signal(&other, SIGKILL));
    assert_true(process_wait_gone(&other, clock_mono_ns()));
    assert_true(process_is_alive(&p)); /* a pid used again is not ours: untouched */
    assert_false(process_wait_gone(&p, clock_mono_ns() + NS_PER_MS));
    assert_true(process_signal(&p, SIGKILL));
    assert_true(process_wait_gone(&p, clock_mono_ns() + 10 * NS_PER_S));
    assert_false(process_is_alive(&p)); /* a zombie until the next line */
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_false(process_signal(&p, SIGKILL));
}

static void nobody(void **state)
{
    (void)state;
    struct process p = { .pid = 42 };

    assert_int_equal(process_of(0, &p), ERR_IO);
    assert_int_equal(process_of(-1, &p), ERR_IO);
    assert_int_equal(p.pid, 42);
    p.pid = 0;
    assert_false(process_is_alive(&p));
    assert_false(process_signal(&p, SIGKILL)); /* never the process group */
    assert_true(process_wait_gone(&p, 0));
}

int main(void)
{
    enum { N = sizeof rows / sizeof rows[0] };
    struct CMUnitTest tests[N + 2];

    T_ROWS(tests, rows, parse_row);
    tests[N] = (struct CMUnitTest){ "another start time", another_start_time, NULL, NULL, NULL };
    tests[N + 1] = (struct CMUnitTest){ "nobody", nobody, NULL, NULL, NULL };
    return _cmocka_run_group_tests("process", tests, N + 2, NULL, NULL);
}
