/* Each question in a child of its own: a filter is for good. */
#include "io/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/sys.h"
#include "testing/t.h"

enum { CONFINED = 77, UNSUPPORTED = 78 };

static const struct confine_options plain = { .files_max = 0 };
static const struct confine_options with_files = { .files_max = 50, .unix_sockets = true };

/* Exit status of a child that confines itself and then asks. */
static int child_status(const struct confine_options *o, bool (*ask)(void))
{
    int status = 0;
    pid_t child = fork();

    if (child == 0) {
        enum err r = process_harden() == ERR_OK ? confine(o, NULL) : ERR_IO;
        if (r == ERR_UNSUPPORTED)
            _exit(UNSUPPORTED);
        _exit(r == ERR_OK && ask() ? CONFINED : 1);
    }
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status))
        return -1;
    return WEXITSTATUS(status);
}

static bool confined(const struct confine_options *o, bool (*ask)(void))
{
    return child_status(o, ask) == CONFINED;
}

static bool is_refused(long result)
{
    return result == -1 && errno == EPERM;
}

static bool no_files(void)
{
    return is_refused(open("/etc/passwd", O_RDONLY | O_CLOEXEC)) &&
           is_refused(open("/tmp/confine-test", O_CREAT | O_WRONLY | O_CLOEXEC, 0600)) &&
           is_refused(unlink("/tmp/confine-test")) && is_refused(access("/", F_OK)) &&
           is_refused(chdir("/"));
}

static bool no_programs(void)
{
    char *const argv[] = { NULL };

    return is_refused(execve("/bin/true", argv, argv)) && is_refused(fork()) &&
           is_refused(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0)) && is_refused(kill(getppid(), 0)) &&
           is_refused(syscall(SYS_ptrace, 0, 0, 0, 0));
}

static bool no_network(void)
{
    return is_refused(socket(AF_INET, SOCK_STREAM, 0)) &&
           is_refused(socket(AF_INET6, SOCK_DGRAM, 0)) &&
           is_refused(socket(AF_NETLINK, SOCK_RAW, 0));
}

static bool no_code(void)
{
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return page != MAP_FAILED && is_refused(mprotect(page, 4096, PROT_READ | PROT_EXEC)) &&
           mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
               MAP_FAILED &&
           errno == EPERM && mprotect(page, 4096, PROT_READ) == 0 && munmap(page, 4096) == 0;
}

static bool no_other_ioctl(void)
{
    int n = 0;

    return is_refused(ioctl(STDIN_FILENO, FIONREAD, &n)) &&
           is_refused(ioctl(STDIN_FILENO, TIOCSTI, ""));
}

static void *double_it(void *arg)
{
    return (char *)arg + 1;
}

static bool threads_and_sockets(void)
{
    pthread_t t;
    void *result = NULL;
    char here = 0;
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), on = 1;
    uint8_t random[8];

    return pthread_create(&t, NULL, double_it, &here) == 0 && pthread_join(t, &result) == 0 &&
           result == &here + 1 && fd >= 0 && ioctl(fd, FIONBIO, &on) == 0 && close(fd) == 0 &&
           syscall(SYS_getrandom, random, sizeof random, 0) == (long)sizeof random;
}

static bool the_file_at_the_end(void)
{
    struct rlimit files;

    /* Not known before, and that is what is said: the call itself is allowed. */
    return unlink("/tmp/confine-test-absent") == -1 && errno == ENOENT &&
           is_refused(syscall(SYS_getrlimit, RLIMIT_NOFILE, &files)) && dup(2) == -1 &&
           errno == EPERM;
}

/* On a thread that was there before. */
static int told[2];
static void *wait_and_open(void *arg)
{
    char c;

    (void)arg;
    if (read(told[0], &c, 1) != 1)
        return NULL;
    return is_refused(open("/etc/passwd", O_RDONLY | O_CLOEXEC)) ? told : NULL;
}

static void other_threads(void **state)
{
    int status = 0;
    (void)state;
    pid_t child = fork();

    if (child == 0) {
        pthread_t t;
        void *result = NULL;
        if (pipe(told) != 0 || pthread_create(&t, NULL, wait_and_open, NULL) != 0 ||
            process_harden() != ERR_OK || confine(&plain, NULL) != ERR_OK)
            _exit(1);
        if (write(told[1], "x", 1) != 1 || pthread_join(t, &result) != 0)
            _exit(1);
        _exit(result == told ? CONFINED : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == CONFINED);
}

/* The limit on descriptors is in force, though nobody may ask for it any more. */
static bool few_files(void)
{
    int n = 0;

    while (n < 100 && socket(AF_UNIX, SOCK_STREAM, 0) >= 0)
        n++;
    return n > 0 && n < 50 && errno == EMFILE;
}

#define ASKS(name, options)                                                                        \
    static void t_##name(void **state)                                                             \
    {                                                                                              \
        (void)state;                                                                               \
        assert_true(confined(&(options), name));                                                   \
    }
ASKS(no_files, plain)
ASKS(no_programs, plain)
ASKS(no_network, plain)
ASKS(no_code, plain)
ASKS(no_other_ioctl, plain)
ASKS(threads_and_sockets, plain)
ASKS(the_file_at_the_end, with_files)
ASKS(few_files, with_files)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(t_no_files),
        cmocka_unit_test(t_no_programs),
        cmocka_unit_test(t_no_network),
        cmocka_unit_test(t_no_code),
        cmocka_unit_test(t_no_other_ioctl),
        cmocka_unit_test(t_threads_and_sockets),
        cmocka_unit_test(t_the_file_at_the_end),
        cmocka_unit_test(t_few_files),
        cmocka_unit_test(other_threads),
    };

    if (t_under_valgrind() || child_status(&plain, no_files) == UNSUPPORTED) {
        puts("1..0 # SKIP sanitizers and valgrind need system calls of their own");
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
