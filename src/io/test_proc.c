#include "testing/t.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "io/proc.h"

static struct loop *loop;
static int status, signo;

static int make(void **state)
{
    (void)state;
    status = signo = -1;
    return loop_new(&loop) == ERR_OK ? 0 : -1;
}

static int unmake(void **state)
{
    (void)state;
    loop_free(loop);
    return 0;
}

static void on_exit_of(struct proc *p, void *arg, int exit_status, int exit_signo)
{
    (void)arg;
    status = exit_status;
    signo = exit_signo;
    proc_signal(p, SIGKILL); /* nobody is hit */
    proc_free(p);
    loop_stop(loop);
}

static struct proc *sh(const char *script, int out)
{
    const char *const argv[] = { "/bin/sh", "-c", script, NULL };
    const char *const env[] = { "GREETING=hi", NULL };
    const struct proc_options o = {
        .argv = argv, .env = env, .stdout_fd = out, .stderr_fd = -1, .exited = on_exit_of
    };
    struct proc *p;
    assert_int_equal(proc_start(loop, &o, &p, NULL), ERR_OK);
    assert_true(proc_pid(p) > 1);
    return p;
}

static void exit_status_is_told(void **state)
{
    (void)state;
    sh("exit 7", -1);
    loop_run(loop);
    assert_int_equal(status, 7);
    assert_int_equal(signo, 0);
}

static void signal_is_told(void **state)
{
    (void)state;
    proc_signal(sh("exec sleep 100", -1), SIGTERM);
    loop_run(loop);
    assert_int_equal(signo, SIGTERM);
}

static void only_the_given_environment_and_output(void **state)
{
    int p[2];
    AUTO(buf_clear) struct buf out = BUF_INIT(4096);
    (void)state;
    assert_int_equal(pipe2(p, O_CLOEXEC), 0);
    sh("echo $GREETING $HOME; cat; echo error >&2; echo end", p[1]);
    close(p[1]);
    loop_run(loop);
    assert_int_equal(status, 0);
    assert_int_equal(fd_read_all(p[0], &out, clock_mono_ns() + 5 * NS_PER_S, NULL), ERR_OK);
    close(p[0]);
    /* Standard input is at its end at once, and errors went elsewhere. */
    t_assert_buf(&out, "hi\nend\n");
}

static void cannot_start(void **state)
{
    const char *const argv[] = { "/no/such/program", NULL };
    const char *const env[] = { NULL };
    const struct proc_options o = { .argv = argv, .env = env, .stdout_fd = -1, .stderr_fd = -1 };
    struct proc *p = NULL;
    struct why why = { 0 };
    (void)state;
    assert_int_equal(proc_start(loop, &o, &p, &why), ERR_IO);
    assert_string_equal(why.what, "no such file or folder");
    assert_null(p);
}

#define WITH_LOOP(fn) cmocka_unit_test_setup_teardown(fn, make, unmake)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_LOOP(exit_status_is_told),
        WITH_LOOP(signal_is_told),
        WITH_LOOP(only_the_given_environment_and_output),
        WITH_LOOP(cannot_start),
    };
    return cmocka_run_group_tests_name("io/proc", tests, NULL, NULL);
}
