#include "bin/nitro-local/qemu.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "bin/common/capture.h"
#include "io/sys.h"

enum {
    HELP_MAX_BYTES = 65536,
    HELP_SECONDS = 20,
    ARGS_MAX = 40,
    MACHINE_BYTES = 512,
    STATUS_EXEC = 127
};

#define MACHINE "nitro-enclave"
#define HOW_TO_GET_IT                                                                              \
    "No distribution's QEMU package has the machine yet (it needs libcbor): tools/build-qemu "     \
    "builds one from the distribution's source; then set NITROSEAL_QEMU to it."

int qemu_find(char out[static STATE_PATH_BYTES], struct fault *f)
{
    AUTO(buf_clear) struct buf help = BUF_INIT(HELP_MAX_BYTES);
    const char *set = getenv("NITROSEAL_QEMU");
    const char *name = set && set[0] ? set : "qemu-system-x86_64";
    const char *const argv[] = { name, "-M", "help", NULL };
    struct why why = { 0 };
    int status = 0;

    enum err r = capture(argv, HELP_SECONDS, &help, &status, &why);
    const char *text = r == ERR_OK ? buf_cstr(&help) : NULL;
    if (r != ERR_OK || status != 0)
        return fault_set(f, E19_FILE, "Failed to run QEMU (%s): %s. " HOW_TO_GET_IT, name,
                         r != ERR_OK ? why.what ? why.what : err_name(r) : "it does not start");
    if (!text || !strstr(text, MACHINE))
        return fault_set(f, E19_FILE, "The QEMU %s has no machine " MACHINE ". " HOW_TO_GET_IT,
                         name);
    (void)snprintf(out, STATE_PATH_BYTES, "%s", name);
    return STATUS_OK;
}

struct words {
    const char *list[ARGS_MAX];
    unsigned n;
};

static void word(struct words *w, const char *text)
{
    if (w->n < ARGS_MAX - 1)
        w->list[w->n++] = text;
}

static void option(struct words *w, const char *name, const char *value)
{
    word(w, name);
    word(w, value);
}

/* Where firmware may be: QEMU built from source does not know Debian's folders. */
static void data_folders(struct words *w)
{
    static const char *const folders[] = { "/usr/share/qemu", "/usr/share/seabios" };
    const char *set = getenv("NITROSEAL_QEMU_DATA");

    if (set && set[0])
        option(w, "-L", set);
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++)
        if (access(folders[i], R_OK | X_OK) == 0)
            option(w, "-L", folders[i]);
}

/* What the parent contributes to PCR3 and PCR4 (nitro-enclave's own options); commas are QEMU's. */
static void parent(char *machine, size_t size, const char *name, const char *env)
{
    const char *value = getenv(env);
    size_t len = strlen(machine);

    if (value && value[0] && !strchr(value, ','))
        (void)snprintf(machine + len, size - len, ",%s=%s", name, value);
}

struct line {
    struct words w;
    char machine[MACHINE_BYTES], chardev[STATE_PATH_BYTES + 64], smp[16], memory[32];
};

static void compose(struct line *l, const char *qemu, const struct enclave *e, const char *eif)
{
    char path[STATE_PATH_BYTES];

    (void)snprintf(l->machine, sizeof l->machine, MACHINE ",vsock=v,id=%s", e->id);
    parent(l->machine, sizeof l->machine, "parent-role", "NITRO_LOCAL_PARENT_ROLE");
    parent(l->machine, sizeof l->machine, "parent-id", "NITRO_LOCAL_PARENT_ID");
    state_path(e->slot, "vhost.sock", path);
    (void)snprintf(l->chardev, sizeof l->chardev, "socket,id=v,path=%s", path);
    (void)snprintf(l->smp, sizeof l->smp, "%u", e->n_cpus);
    (void)snprintf(l->memory, sizeof l->memory, "%lluM", (unsigned long long)e->memory_mib);
    word(&l->w, qemu);
    data_folders(&l->w);
    option(&l->w, "-M", l->machine);
    if (access("/dev/kvm", R_OK | W_OK) == 0)
        option(&l->w, "-accel", "kvm");
    option(&l->w, "-accel", "tcg"); /* if the one before is not to be had */
    option(&l->w, "-cpu", "max");
    option(&l->w, "-smp", l->smp);
    option(&l->w, "-m", l->memory);
    option(&l->w, "-kernel", eif);
    option(&l->w, "-chardev", l->chardev);
    option(&l->w, "-display", "none");
    option(&l->w, "-monitor", "none");
    option(&l->w, "-serial", "stdio");
    word(&l->w, "-no-reboot");
    word(&l->w, "-no-user-config");
    word(&l->w, "-nodefaults");
}

/* In the child. */
static void become(const struct line *l, const char *tmp, int out, pid_t parent_pid)
{
    const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    sigset_t none;

    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)signal(SIGPIPE, SIG_DFL);
    /* Ends with its supervisor, however that ends; which may have happened by now. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent_pid)
        _exit(STATUS_EXEC);
    if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 ||
        dup2(out, STDERR_FILENO) < 0 || setenv("TMPDIR", tmp, 1) != 0)
        _exit(STATUS_EXEC);
    union {
        const char *const *in;
        char *const *out;
    } argv = { .in = l->w.list }; /* exec does not write through it */
    (void)execvp(l->w.list[0], argv.out);
    dprintf(STDERR_FILENO, "%s: %s\n", l->w.list[0], errno_what(errno));
    _exit(STATUS_EXEC);
}

enum err qemu_start(const char *qemu, const struct enclave *e, const char *eif, int *pid,
                    int *console, struct why *why)
{
    struct line *l = calloc(1, sizeof *l);
    char tmp[STATE_PATH_BYTES];
    int ends[2];

    if (!l || pipe2(ends, O_CLOEXEC) != 0) {
        free(l);
        return why_fail(why, ERR_IO, errno_what(errno), 0);
    }
    compose(l, qemu, e, eif);
    state_path(e->slot, "", tmp); /* it unpacks the image there */
    pid_t self = getpid(), child = fork();
    if (child == 0)
        become(l, tmp, ends[1], self);
    free(l);
    fd_close(&ends[1]);
    if (child < 0 || fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0) {
        fd_close(&ends[0]);
        return why_fail(why, ERR_IO, errno_what(errno), 0);
    }
    *pid = child;
    *console = ends[0];
    return ERR_OK;
}
