#include "bin/common/capture.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "io/sys.h"

enum { LOOK_FIRST_MS = 1, LOOK_LAST_MS = 50 };

/* Started as if by a shell: SIGPIPE, which ours ignores, and the mask, which in a worker blocks
 * everything, are what a program expects. 0, or errno. */
static int set_signals(posix_spawnattr_t *attr)
{
    sigset_t none, usual;

    (void)sigemptyset(&none);
    (void)sigemptyset(&usual);
    (void)sigaddset(&usual, SIGPIPE);
    (void)sigaddset(&usual, SIGCHLD);
    int e = posix_spawnattr_setsigmask(attr, &none);
    if (e == 0)
        e = posix_spawnattr_setsigdefault(attr, &usual);
    if (e == 0)
        e = posix_spawnattr_setflags(attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    return e;
}

static int set_files(posix_spawn_file_actions_t *actions, int out)
{
    int e = posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);

    return e ? e : posix_spawn_file_actions_adddup2(actions, out, STDOUT_FILENO);
}

static int spawn(const char *const *argv, int out, pid_t *pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    union { /* posix_spawnp() takes char ** and promises not to write through it */
        const char *const *in;
        char *const *out;
    } words = { .in = argv };

    int e = posix_spawn_file_actions_init(&actions);
    if (e != 0)
        return e;
    e = posix_spawnattr_init(&attr);
    if (e == 0) {
        e = set_files(&actions, out);
        if (e == 0)
            e = set_signals(&attr);
        if (e == 0)
            e = posix_spawnp(pid, argv[0], &actions, &attr, words.out, environ);
        (void)posix_spawnattr_destroy(&attr);
    }
    (void)posix_spawn_file_actions_destroy(&actions);
    return e;
}

/* 0, or errno. */
static int start(const char *const *argv, pid_t *pid, int *out)
{
    struct sigaction now;
    int ends[2];

    /* Ignored by who started us, and inherited: then nobody would be told how a child ended. */
    if (sigaction(SIGCHLD, NULL, &now) == 0 && now.sa_handler == SIG_IGN)
        (void)signal(SIGCHLD, SIG_DFL);
    if (pipe2(ends, O_CLOEXEC) != 0)
        return errno;
    int e = spawn(argv, ends[1], pid);
    (void)close(ends[1]);
    if (e != 0) {
        (void)close(ends[0]);
        return e;
    }
    *out = ends[0];
    return 0;
}

/* It has closed its output, which is not its end yet. */
static enum err await(pid_t pid, uint64_t deadline_ns, int *status, struct why *why)
{
    unsigned ms = LOOK_FIRST_MS;
    pid_t got;

    while ((got = waitpid(pid, status, WNOHANG)) == 0) {
        if (clock_mono_ns() >= deadline_ns)
            return why_fail(why, ERR_TIMEOUT, errno_what(ETIMEDOUT), 0);
        const struct timespec pause = { .tv_nsec = (long)(ms * NS_PER_MS) };
        (void)nanosleep(&pause, NULL);
        ms = 2 * ms < LOOK_LAST_MS ? 2 * ms : LOOK_LAST_MS;
    }
    return got == pid ? ERR_OK : why_fail(why, ERR_IO, errno_what(errno), 0);
}

enum err capture(const char *const *argv, unsigned seconds, struct buf *out, int *status,
                 struct why *why)
{
    AUTO(fd_close) int fd = -1;
    uint64_t deadline_ns = clock_mono_ns() + seconds * NS_PER_S;
    pid_t pid = 0;
    int e = start(argv, &pid, &fd);

    if (e != 0)
        return why_fail(why, ERR_IO, errno_what(e), 0);
    enum err r = fd_read_all(fd, out, deadline_ns, why);
    bool runs = r != ERR_OK;
    if (!runs) {
        r = await(pid, deadline_ns, status, why);
        runs = r == ERR_TIMEOUT;
    }
    if (runs) {
        (void)kill(pid, SIGKILL);
        while (waitpid(pid, status, 0) < 0 && errno == EINTR) {
        }
    }
    return r;
}
