#include "bin/common/capture.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/sys.h"

static int start(const char *const *argv, pid_t *pid, int *out)
{
    posix_spawn_file_actions_t actions;
    int ends[2];
    union { /* posix_spawnp() takes char ** and promises not to write through it */
        const char *const *in;
        char *const *out;
    } words = { .in = argv };

    if (pipe2(ends, O_CLOEXEC) != 0)
        return -1;
    int e = posix_spawn_file_actions_init(&actions);
    if (e == 0)
        e = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (e == 0)
        e = posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    if (e == 0)
        e = posix_spawnp(pid, argv[0], &actions, NULL, words.out, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)close(ends[1]);
    if (e != 0) {
        (void)close(ends[0]);
        return e;
    }
    *out = ends[0];
    return 0;
}

enum err capture(const char *const *argv, unsigned seconds, struct buf *out, int *status,
                 struct why *why)
{
    AUTO(fd_close) int fd = -1;
    pid_t pid = 0;
    int e = start(argv, &pid, &fd);

    if (e != 0)
        return why_fail(why, ERR_IO, errno_what(e), 0);
    enum err r = fd_read_all(fd, out, clock_mono_ns() + seconds * NS_PER_S, why);
    if (r != ERR_OK)
        (void)kill(pid, SIGKILL);
    while (waitpid(pid, status, 0) < 0)
        ;
    return r;
}
