/* credential_process of the shared files: a command whose output is credentials. */
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bin/nitroseal/cred_source.h"
#include "io/sys.h"

enum { PROCESS_S = 60, COMMAND_MAX_BYTES = 16384 };

/* Standard input is empty, standard output is *out, standard error is ours: it may ask for a second
 * factor there. */
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

/* Its output and its end. */
static enum err finish(pid_t pid, int fd, struct buf *out, int *status, struct why *why)
{
    enum err r = fd_read_all(fd, out, clock_mono_ns() + PROCESS_S * NS_PER_S, why);

    if (r != ERR_OK)
        (void)kill(pid, SIGKILL);
    while (waitpid(pid, status, 0) < 0)
        ;
    return r;
}

int cred_from_process(struct span command, const char *profile, struct cli_credentials *out,
                      struct cli_fault *f)
{
    AUTO(buf_clear) struct buf words = BUF_INIT(COMMAND_MAX_BYTES);
    AUTO(buf_clear) struct buf answer = BUF_INIT(AWSCRED_ANSWER_MAX_BYTES);
    AUTO(buf_clear) struct buf text = BUF_INIT(AWSCRED_ANSWER_MAX_BYTES);
    AUTO(fd_close) int fd = -1;
    const char *argv[AWSCRED_WORDS_MAX + 1];
    struct why why = { 0 };
    struct awscred c;
    int status = 0;
    pid_t pid;

    if (awscred_words(command, &words, argv, &why) != ERR_OK)
        return cli_fault_set(f, CLI_SETTINGS, _("credential_process of profile '%s': %s"), profile,
                             why.what);
    int e = start(argv, &pid, &fd);
    if (e != 0)
        return cli_fault_set(f, CLI_SETTINGS,
                             _("credential_process of profile '%s' cannot be started: %s"), profile,
                             errno_what(e));
    if (finish(pid, fd, &answer, &status, &why) != ERR_OK)
        return cli_fault_set(f, CLI_SETTINGS, _("credential_process of profile '%s': %s"), profile,
                             why.what);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return cli_fault_set(f, CLI_SETTINGS,
                             _("credential_process of profile '%s' failed with exit status %d"),
                             profile, WIFEXITED(status) ? WEXITSTATUS(status) : -1);
    if (awscred_answer_parse(buf_view(&answer), AWSCRED_PROCESS, &text, &c, &why) != ERR_OK)
        return cli_fault_set(f, CLI_SETTINGS, _("output of credential_process of profile '%s': %s"),
                             profile, why.what);
    return cred_take_fetched(&c, "credential_process", out, f);
}
