/* nitro-local console. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bin/common/options.h"
#include "bin/nitro-local/commands.h"
#include "io/sys.h"

enum { PIECE_BYTES = 65536, LOOK_MS = 20, SECONDS_MAX = 86400 };

static const struct option_def options[] = {
    { "enclave-id", 0, "ID", NULL, NULL, "This enclave." },
    { "enclave-name", 0, "NAME", NULL, NULL, "The one enclave with this name." },
    { "disconnect-timeout", 0, "SECONDS", NULL, NULL, "Leave after this time." },
    { 0 },
};
static const struct program_def program = {
    .name = "nitro-local console",
    .synopsis = "--enclave-id ID | --enclave-name NAME [--disconnect-timeout SECONDS]",
    .summary = "Print the console of an enclave that was started with --debug-mode: what was kept "
               "(up to\n2 MiB), then what comes, until the enclave ends.",
    .options = options,
};

/* What is there and was not printed yet. False: it cannot be written. */
static bool copy_some(int fd, bool *any)
{
    static char bytes[PIECE_BYTES];
    ssize_t n;

    while ((n = read(fd, bytes, sizeof bytes)) > 0) {
        *any = true;
        if (fd_write_all(STDOUT_FILENO, span_of(bytes, (size_t)n), 0, NULL) != ERR_OK)
            return false;
    }
    return true;
}

static bool same_file(int fd, const char *path)
{
    struct stat a, b;

    return fstat(fd, &a) == 0 && stat(path, &b) == 0 && a.st_ino == b.st_ino &&
           a.st_dev == b.st_dev;
}

/* The file before this one, if there was one. */
static bool print_old(const struct enclave *e)
{
    char path[STATE_PATH_BYTES];
    bool any;

    state_path(e->slot, "console.old", path);
    AUTO(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd < 0 || copy_some(fd, &any);
}

int console_follow(const struct enclave *e, unsigned seconds, struct fault *f)
{
    const struct timespec pause = { .tv_nsec = LOOK_MS * (long)NS_PER_MS };
    uint64_t deadline = seconds ? clock_mono_ns() + seconds * NS_PER_S : UINT64_MAX;
    char path[STATE_PATH_BYTES];
    AUTO(fd_close) int fd = -1;
    struct process supervisor = e->supervisor;

    state_path(e->slot, "console", path);
    if (supervisor.started == 0 && process_of(supervisor.pid, &supervisor) != ERR_OK)
        supervisor.pid = 0;
    bool good = print_old(e);
    while (good && clock_mono_ns() < deadline) {
        bool any = false, alive = process_is_alive(&supervisor); /* before the last look */
        if (fd < 0)
            fd = open(path, O_RDONLY | O_CLOEXEC);
        good = fd < 0 || copy_some(fd, &any);
        if (any)
            continue;
        if (!alive)
            return STATUS_OK;
        if (fd >= 0 && !same_file(fd, path))
            fd_close(&fd); /* it was full, and another took its place */
        else
            (void)nanosleep(&pause, NULL);
    }
    return good ? STATUS_OK
                : fault_set(f, E46_CONSOLE_WRITE, "Failed to write the console's output.");
}

static int connect_console(const struct options *o, struct enclaves *all, unsigned seconds,
                           struct fault *f)
{
    int status = state_list(all, f);
    if (status != STATUS_OK)
        return status;
    const struct enclave *e =
        state_find(all, option_text(o, "enclave-id"), option_text(o, "enclave-name"), f);
    if (!e)
        return f->code;
    printf("Connecting to the console for enclave %u...\n", e->cid);
    (void)fflush(stdout);
    if (!e->debug)
        return fault_set(f, E44_CONSOLE,
                         "Failed to connect to the console of enclave %s: it was not started with "
                         "--debug-mode.",
                         e->id);
    printf("Successfully connected to the console.\n");
    (void)fflush(stdout);
    return console_follow(e, seconds, f);
}

int cmd_console(int argc, char **argv)
{
    AUTO(fault_clear) struct fault f = FAULT_INIT;
    struct options o;
    uint64_t seconds = 0;

    int status = options_parse(&program, argc, argv, &o);
    if (status >= 0)
        return status;
    if ((option_text(&o, "enclave-id") != NULL) == (option_text(&o, "enclave-name") != NULL)) {
        complain(&o, "one of --enclave-id and --enclave-name is needed");
        return STATUS_USAGE;
    }
    if (option_text(&o, "disconnect-timeout") &&
        !option_u64(&o, "disconnect-timeout", 1, SECONDS_MAX, &seconds))
        return STATUS_USAGE;
    struct enclaves *all = calloc(1, sizeof *all);
    status = all ? connect_console(&o, all, (unsigned)seconds, &f)
                 : fault_set(&f, E29_IOCTL, "Out of memory.");
    if (all)
        enclaves_clear(all);
    free(all);
    return f.code == E_NONE ? status : fault_print(&f, "Console", argc, argv);
}
