#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "bin/nitroseal/local.h"
#include "io/sys.h"

enum { POLL_MS = 5, REPORT_MAX_BYTES = 16384 };

#define REPORT_READY "ready\n" /* or the exit status, a blank, and the fault's line */

static const struct option_def options[] = {
    LOCAL_STATE_OPTION,
    { "cid", 0, "CID", NULL, "16", "Context id that the service listens on." },
    { "region", 0, "REGION", NULL, "us-east-1", "Region of the local KMS." },
    { "debug-mode", 0, NULL, NULL, NULL,
      "The NSM reports a debug enclave (zero PCRs); the key policy keeps naming the image, so the "
      "KMS will refuse, as AWS's does." },
    { "pcr", 0, "N=HEX", NULL, NULL,
      "The image has this PCR instead of the measured one; repeatable." },
    { "trust-qemu-nsm", 0, "MODULE_ID", NULL, NULL,
      "The KMS takes unsigned documents of QEMU's nitro-enclave machine with this module id; "
      "repeatable." },
    { "foreground", 0, NULL, NULL, NULL, "Stay until SIGINT or SIGTERM." },
    LOCAL_JSON_OPTION,
    { 0 },
};

static const struct program_def program = {
    .name = "nitroseal local up",
    .synopsis = "[OPTION ...]",
    .summary = "Start the local stack, make a key that this image alone may use, and print the "
               "variables to\nevaluate in a shell. If it runs already, print them again.",
    .options = options,
    .footer = "Exit status: 0 it runs, 1 a part did not start or is down, 2 usage, 6 state folder, "
              "7 settings.\n"
              "A part that crashes is started again once; `nitroseal local status` tells.\n",
};

static int read_options(const struct options *o, struct stack_options *so, struct cli_fault *f)
{
    struct addr at;
    struct why why = { 0 };
    char vsock[STACK_PATH_BYTES];
    uint64_t cid = 0;

    if (!option_u64(o, "cid", 4, UINT32_MAX - 1, &cid))
        return CLI_USAGE;
    so->cid = (uint32_t)cid;
    so->region = option_text(o, "region");
    so->debug_mode = option_flag(o, "debug-mode");
    so->n_pcrs = option_count(o, "pcr");
    if (so->n_pcrs > STACK_PCRS_MAX)
        return cli_fault_set(f, CLI_USAGE, _("more than %d PCRs"), STACK_PCRS_MAX);
    for (unsigned i = 0; i < so->n_pcrs; i++)
        so->pcrs[i] = option_at(o, "pcr", i);
    so->n_qemu_modules = option_count(o, "trust-qemu-nsm");
    if (so->n_qemu_modules > STACK_QEMU_MODULES_MAX)
        return cli_fault_set(f, CLI_USAGE, _("more than %d module ids of QEMU"),
                             STACK_QEMU_MODULES_MAX);
    for (unsigned i = 0; i < so->n_qemu_modules; i++)
        so->qemu_modules[i] = option_at(o, "trust-qemu-nsm", i);
    int status = local_dir(o, true, so->dir, f);
    if (status != CLI_OK)
        return status;
    snprintf(vsock, sizeof vsock, "unix:%s/v", so->dir);
    if (addr_vsock(vsock, so->cid, STACK_PORT, &at, &why) != ERR_OK)
        return cli_fault_set(f, CLI_SETTINGS, "%s: %s", vsock, why.what);
    return CLI_OK;
}

/* A part that crashed for the second time stays down, and what is printed would not work. */
static int running_whole(const struct options *o, const struct stack_options *so,
                         const struct stack_state *s, struct cli_fault *f)
{
    for (int i = 0; i < N_PARTS; i++) {
        const struct stack_part_status *p = &s->parts[i];
        if (p->state == PART_CRASHED && !process_is_alive(&p->process))
            return cli_fault_set(
                f, CLI_FAILED,
                _("%s is down in %s, see %s/log/%s.log; nitroseal local down and up "
                  "start it again"),
                stack_part_name((enum stack_part)i), so->dir, so->dir,
                stack_part_name((enum stack_part)i));
    }
    complain(o, _("it runs already in %s (since its start with its own settings)"), so->dir);
    return local_print_exports(s, option_flag(o, "json"), f);
}

/* The lock, or CLI_OK without it where a stack is ready whose variables are printed now. Whoever
 * holds it gets the time of a start to be ready or gone: a supervisor that failed has told so
 * before it has left. */
static int take_lock(const struct options *o, const struct stack_options *so, int *lock,
                     struct cli_fault *f)
{
    const struct timespec pause = { .tv_nsec = POLL_MS * (long)NS_PER_MS };
    uint64_t deadline_ns = clock_mono_ns() + STACK_START_S * NS_PER_S;
    struct stack_state s;
    struct why why = { 0 };

    for (;;) {
        enum err e = stack_lock(so->dir, lock, &why);
        if (e == ERR_OK)
            return CLI_OK;
        if (e != ERR_DENIED)
            return cli_fault_set(f, CLI_FILE, "%s/lock: %s", so->dir, why.what);
        if (stack_state_read(so->dir, &s, NULL) == ERR_OK && s.phase == STACK_READY &&
            process_is_alive(&s.supervisor))
            return running_whole(o, so, &s, f);
        if (clock_mono_ns() >= deadline_ns)
            return cli_fault_set(f, CLI_FAILED, _("another supervisor holds %s and is not ready"),
                                 so->dir);
        (void)nanosleep(&pause, NULL);
    }
}

struct report {
    int fd;
    const struct options *o;
};

/* In the background: tell the one who waits. If nobody waits any more, nobody wants the stack. */
static void report_ready(const struct stack_state *s, void *arg)
{
    struct report *r = arg;

    (void)s;
    if (fd_write_all(r->fd, SPAN_LIT(REPORT_READY), 0, NULL) != ERR_OK)
        (void)kill(getpid(), SIGTERM);
    fd_close(&r->fd);
}

static void print_ready(const struct stack_state *s, void *arg)
{
    const struct report *r = arg;
    AUTO(cli_fault_clear) struct cli_fault f = CLI_FAULT_INIT;

    if (local_print_exports(s, option_flag(r->o, "json"), &f) != CLI_OK)
        (void)cli_fault_print(r->o, &f, false);
}

/* A session of its own, output to the log: the supervisor outlives the shell. */
static void detach(const char *dir)
{
    char path[STACK_PATH_BYTES];
    AUTO(fd_close) int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

    (void)setsid();
    stack_path(dir, "log", path);
    if (dir_make(path, NULL) != ERR_OK)
        return; /* the supervisor makes it, too, and tells */
    stack_path(dir, "log/supervisor.log", path);
    AUTO(fd_close) int log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (null >= 0)
        (void)dup2(null, STDIN_FILENO);
    if (log >= 0) {
        (void)dup2(log, STDOUT_FILENO);
        (void)dup2(log, STDERR_FILENO);
    }
    if (chdir("/") != 0)
        return; /* then it stays where it is: nothing here is relative */
}

static int supervise_behind(const struct stack_options *so, int fd, struct cli_fault *f)
{
    struct report r = { .fd = fd };

    detach(so->dir);
    int status = stack_supervise(so, report_ready, &r, f);
    if (r.fd >= 0) {
        AUTO(buf_clear) struct buf report = BUF_INIT(REPORT_MAX_BYTES);
        enum err told = buf_printf(&report, "%d %.*s", status, (int)f->text.len,
                                   f->text.ptr ? (const char *)f->text.ptr : "");
        if (told == ERR_OK)
            told = fd_write_all(r.fd, buf_view(&report), 0, NULL);
        fd_close(&r.fd);
        return told == ERR_OK ? status : CLI_FAILED; /* nobody waits for either */
    }
    return status;
}

static int wait_ready(const struct options *o, const struct stack_options *so, int fd,
                      struct cli_fault *f)
{
    AUTO(buf_clear) struct buf report = BUF_INIT(REPORT_MAX_BYTES);
    struct stack_state s;
    struct why why = { 0 };

    if (fd_read_all(fd, &report, 0, &why) != ERR_OK || report.len == 0)
        return cli_fault_set(f, CLI_FAILED, _("the supervisor left without a word; see %s/log"),
                             so->dir);
    if (!span_is(buf_view(&report), REPORT_READY)) {
        struct span text = buf_view(&report);
        uint64_t status = CLI_FAILED;
        if (span_to_u64(span_cut(&text, ' '), CLI_SETTINGS, &status) != ERR_OK)
            status = CLI_FAILED;
        (void)cli_fault_set(f, (int)status, "%s", "");
        cli_append_clean(&f->text, text);
        return f->status;
    }
    if (stack_state_read(so->dir, &s, &why) != ERR_OK)
        return cli_fault_set(f, CLI_FILE, "%s/state.json: %s", so->dir, why.what);
    return local_print_exports(&s, option_flag(o, "json"), f);
}

static int start_behind(const struct options *o, const struct stack_options *so, int *lock,
                        struct cli_fault *f)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) != 0)
        return cli_fault_set(f, CLI_FAILED, "pipe: %s", errno_what(errno));
    AUTO(fd_close) int from = ends[0];
    int to = ends[1];
    (void)fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        fd_close(&from);
        _exit(supervise_behind(so, to, f));
    }
    fd_close(&to);
    fd_close(lock); /* the supervisor has it now */
    if (child < 0)
        return cli_fault_set(f, CLI_FAILED, "fork: %s", errno_what(errno));
    return wait_ready(o, so, from, f);
}

static int run(const struct options *o, struct cli_fault *f)
{
    struct stack_options so = { .cid = 0 };
    struct report r = { .fd = -1, .o = o };
    AUTO(fd_close) int lock = -1;
    int status = read_options(o, &so, f);

    if (status != CLI_OK)
        return status;
    status = take_lock(o, &so, &lock, f);
    if (status != CLI_OK || lock < 0)
        return status;
    unsigned left_over = stack_end_leftovers(so.dir);
    if (left_over > 0)
        complain(o, _("ended %u left-over parts of a supervisor that died"), left_over);
    if (option_flag(o, "foreground"))
        return stack_supervise(&so, print_ready, &r, f);
    return start_behind(o, &so, &lock, f);
}

int cmd_local_up(int argc, char **argv)
{
    return cli_command(&program, argc, argv, run);
}
