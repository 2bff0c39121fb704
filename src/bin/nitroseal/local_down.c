#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "bin/nitroseal/local.h"
#include "io/sys.h"

enum {
    POLL_MS = 5,
    DOWN_S = 30, /* four parts, five seconds each before SIGKILL, and some */
};

static const struct option_def options[] = { LOCAL_STATE_OPTION, LOCAL_JSON_OPTION, { 0 } };

static const struct program_def program = {
    .name = "nitroseal local down",
    .synopsis = "[OPTION ...]",
    .summary = "Stop the local stack: exactly the processes that `up` started, and wait until they "
               "are gone.\nKeys and logs stay in the state folder.",
    .options = options,
    .footer = "Exit status: 0 nothing runs now, 1 something still does, 2 usage, 6 state folder.\n",
};

/* The lock is free when the supervisor and what it held are gone. */
static bool wait_lock(const char *dir, int *lock, uint64_t deadline_ns)
{
    const struct timespec pause = { .tv_nsec = POLL_MS * (long)NS_PER_MS };

    while (stack_lock(dir, lock, NULL) != ERR_OK) {
        if (clock_mono_ns() >= deadline_ns)
            return false;
        (void)nanosleep(&pause, NULL);
    }
    return true;
}

/* CLI_OK with *lock held: the supervisor is gone. */
static int stop_supervisor(const char *dir, int *lock, struct cli_fault *f)
{
    uint64_t deadline_ns = clock_mono_ns() + DOWN_S * NS_PER_S;
    struct stack_state s;

    /* A supervisor that just started has not written its state yet. */
    while (stack_state_read(dir, &s, NULL) != ERR_OK) {
        if (wait_lock(dir, lock, clock_mono_ns() + POLL_MS * NS_PER_MS))
            return CLI_OK;
        if (clock_mono_ns() >= deadline_ns)
            return cli_fault_set(f, CLI_FAILED, _("%s is locked, but nothing says by whom"), dir);
    }
    (void)process_signal(&s.supervisor, SIGTERM);
    if (wait_lock(dir, lock, deadline_ns))
        return CLI_OK;
    (void)process_signal(&s.supervisor, SIGKILL);
    if (wait_lock(dir, lock, clock_mono_ns() + NS_PER_S))
        return CLI_OK;
    return cli_fault_set(f, CLI_FAILED, _("the supervisor (pid %d) does not stop"),
                         s.supervisor.pid);
}

static int run(const struct options *o, struct cli_fault *f)
{
    char dir[STACK_DIR_MAX + 1], path[STACK_PATH_BYTES];
    AUTO(fd_close) int lock = -1;
    struct why why = { 0 };
    int status = local_dir(o, false, dir, f);

    if (status != CLI_OK)
        return status;
    enum err e = stack_lock(dir, &lock, &why);
    if (e != ERR_OK && e != ERR_DENIED)
        return cli_fault_set(f, CLI_FILE, "%s/lock: %s", dir, why.what);
    bool ran = e == ERR_DENIED;
    status = ran ? stop_supervisor(dir, &lock, f) : CLI_OK;
    if (status != CLI_OK)
        return status;
    unsigned left_over = stack_end_leftovers(dir);
    stack_path(dir, "state.json", path);
    (void)unlink(path);
    if (option_flag(o, "json"))
        printf("{\"was_running\":%s,\"left_over\":%u}\n", ran ? "true" : "false", left_over);
    else if (ran || left_over)
        printf(_("stopped %s\n"), dir);
    else
        printf(_("nothing runs in %s\n"), dir);
    return CLI_OK;
}

int cmd_local_down(int argc, char **argv)
{
    return cli_command(&program, argc, argv, run);
}
