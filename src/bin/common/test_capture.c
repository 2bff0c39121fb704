/* Programs that are run to their end, whatever this process has done with its signals. */
#include "bin/common/capture.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "io/sys.h"
#include "testing/t.h"

enum { LIMIT_S = 20 };

static enum err run(const char *script, unsigned seconds, struct buf *out, int *status,
                    struct why *why)
{
    const char *const argv[] = { "sh", "-c", script, NULL };

    return capture(argv, seconds, out, status, why);
}

static void ends(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf out = BUF_INIT(16);
    struct why why = { 0 };
    int status = 0;

    assert_int_equal(run("echo hello; exit 3", LIMIT_S, &out, &status, &why), ERR_OK);
    t_assert_buf(&out, "hello\n");
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 3);
    assert_int_equal(run("kill -9 $$", LIMIT_S, &out, &status, &why), ERR_OK);
    assert_true(WIFSIGNALED(status));
    buf_reset(&out);
    assert_int_equal(run("echo 0123456789abcdef", LIMIT_S, &out, &status, &why), ERR_LIMIT);
    const char *const nobody[] = { "/no/such/program", NULL };
    assert_int_equal(capture(nobody, LIMIT_S, &out, &status, &why), ERR_IO);
    assert_string_equal(why.what, "no such file or folder");
}

static void is_killed(void **state)
{
    (void)state;
    static const char *const slow[] = { "exec sleep 60", "exec sleep 60 >&-" };

    for (size_t i = 0; i < sizeof slow / sizeof slow[0]; i++) {
        AUTO(buf_clear) struct buf out = BUF_INIT(16);
        struct why why = { 0 };
        uint64_t start = clock_mono_ns();
        int status = 0;
        assert_int_equal(run(slow[i], 1, &out, &status, &why), ERR_TIMEOUT);
        assert_true(clock_mono_ns() - start < 20 * NS_PER_S);
    }
}

/* Started by somebody who ignores SIGCHLD, a process is told of no child's end. */
static void nobody_waits(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf out = BUF_INIT(16);
    int status = 0;

    assert_true(signal(SIGCHLD, SIG_IGN) != SIG_ERR);
    assert_int_equal(run("exit 3", LIMIT_S, &out, &status, NULL), ERR_OK);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 3);
}

/* Ours ignores SIGPIPE, and its workers block everything: none of that is for programs that know
 * nothing of it. */
static void own_signals(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf out = BUF_INIT(256);
    const char *const argv[] = { "grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status", NULL };
    sigset_t all, before;
    int status = 0;

    assert_true(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
    (void)sigfillset(&all);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, &all, &before), 0);
    enum err r = capture(argv, LIMIT_S, &out, &status, NULL);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    assert_int_equal(r, ERR_OK);
    const char *text = buf_cstr(&out);
    assert_non_null(strstr(text, "SigBlk:\t0000000000000000\n"));
    const char *ignored = strstr(text, "SigIgn:\t");
    assert_non_null(ignored);
    unsigned long mask = strtoul(ignored + strlen("SigIgn:\t"), NULL, 16);
    assert_int_equal(mask & (1UL << (SIGPIPE - 1) | 1UL << (SIGCHLD - 1)), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ends),
        cmocka_unit_test(is_killed),
        cmocka_unit_test(nobody_waits),
        cmocka_unit_test(own_signals),
    };

    return cmocka_run_group_tests_name("capture", tests, NULL, NULL);
}
