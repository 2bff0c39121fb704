/* The one child that matters, and all the others that a first process inherits. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bin/nitroseal-init/init.h"
#include "io/sys.h"

enum { START_FAILED = 126 };

/* In the child: everything that can fail says so through the pipe, which a successful exec closes.
 */
static int become(const struct image *im)
{
    sigset_t none;

    (void)sigemptyset(&none);
    if (setsid() < 0 || sigprocmask(SIG_SETMASK, &none, NULL) != 0)
        return errno;
    /* The groups first: afterwards there is no right to change them. */
    if (im->has_user && (setgroups(im->user.n_groups, im->user.groups) != 0 ||
                         setresgid(im->user.gid, im->user.gid, im->user.gid) != 0 ||
                         setresuid(im->user.uid, im->user.uid, im->user.uid) != 0))
        return errno;
    (void)execve(im->program, im->cmd.ptr, im->env.ptr);
    return errno;
}

static enum err start(const struct image *im, pid_t *pid, struct fault *f)
{
    int ends[2], failed = 0;

    if (pipe2(ends, O_CLOEXEC) != 0)
        return fault_errno(f, "pipe");
    AUTO(fd_close) int from = ends[0];
    AUTO(fd_close) int to = ends[1];
    *pid = fork();
    if (*pid < 0)
        return fault_errno(f, "fork");
    if (*pid == 0) {
        failed = become(im);
        ssize_t told = write(to, &failed, sizeof failed);
        _exit(told == sizeof failed ? START_FAILED : START_FAILED + 1);
    }
    fd_close(&to);
    ssize_t n = read(from, &failed, sizeof failed); /* our signals are blocked: no EINTR */
    if (n == 0)
        return ERR_OK;
    (void)waitpid(*pid, NULL, 0);
    return fault_at(f, im->program, ERR_IO,
                    n == sizeof failed ? errno_what(failed) : "not started");
}

/* Reap until `pid` ends (its status), or, with pid 0, until the deadline (-1). */
static int reap(pid_t pid, uint64_t deadline_ns)
{
    sigset_t child;
    struct timespec wait;
    int status;

    (void)sigemptyset(&child);
    (void)sigaddset(&child, SIGCHLD);
    for (;;) {
        pid_t ended;
        while ((ended = waitpid(-1, &status, WNOHANG)) > 0)
            if (ended == pid)
                return status;
        uint64_t now = clock_mono_ns();
        if (deadline_ns && now >= deadline_ns)
            return -1;
        uint64_t left_ns = deadline_ns ? deadline_ns - now : 0;
        wait = (struct timespec){ .tv_sec = (time_t)(left_ns / NS_PER_S),
                                  .tv_nsec = (long)(left_ns % NS_PER_S) };
        /* SIGCHLD is blocked, so one that came since waitpid() is still pending. */
        (void)sigtimedwait(&child, NULL, deadline_ns ? &wait : NULL);
    }
}

static void report(struct boot_end e, uint64_t lived_ms, const char *next)
{
    const char *name = e.signalled ? sigabbrev_np(e.number) : NULL;

    if (e.signalled)
        log_event(LOG_ERROR, "service killed", LOG_INT("signal", e.number),
                  LOG_STR("name", name ? name : "?"), LOG_INT("after_ms", lived_ms),
                  LOG_STR("next", next));
    else
        log_event(e.number == 0 ? LOG_INFO : LOG_ERROR, "service ended",
                  LOG_INT("status", e.number), LOG_INT("after_ms", lived_ms),
                  LOG_STR("next", next));
}

enum err service_watch(const struct image *im, struct fault *f)
{
    unsigned row = 0;

    for (;;) {
        pid_t pid = 0;
        uint64_t born_ns = clock_mono_ns();
        log_event(LOG_INFO, "starting the service", LOG_STR("program", im->program),
                  LOG_INT("since_boot_ms", born_ns / NS_PER_MS));
        enum err r = start(im, &pid, f);
        if (r != ERR_OK)
            return r;
        struct boot_end e = boot_end_of(reap(pid, 0));
        uint64_t lived_ms = (clock_mono_ns() - born_ns) / NS_PER_MS;
        struct boot_next next = boot_next_of(&im->conf, lived_ms, &row);
        report(e, lived_ms, next.restart ? "restart" : "the enclave ends");
        if (!next.restart)
            return ERR_OK;
        /* What it left behind would be in the way of the next one. */
        (void)kill(-1, SIGKILL);
        (void)reap(0, clock_mono_ns() + next.pause_ms * NS_PER_MS);
    }
}
