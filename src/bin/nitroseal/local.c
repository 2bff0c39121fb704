/* nitroseal local: everything on this machine. Table of its subcommands, state folder, exports. */
#include "bin/nitroseal/local.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/json.h"
#include "bin/nitroseal/cli.h"
#include "bin/nitroseal/group.h"
#include "io/sys.h"

/* PREFIX or HOME/.local/state, then /nitroseal. */
static bool default_dir(char *out, size_t size)
{
    const char *xdg = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    int n = xdg && xdg[0]     ? snprintf(out, size, "%s/nitroseal", xdg)
            : home && home[0] ? snprintf(out, size, "%s/.local/state/nitroseal", home)
                              : -1;

    return n > 0 && (size_t)n < size;
}

int local_dir(const struct options *o, bool make, char out[static STACK_DIR_MAX + 1],
              struct cli_fault *f)
{
    const char *given = option_text(o, "state");
    char path[STACK_PATH_BYTES];
    struct why why = { 0 };

    if (given)
        snprintf(path, sizeof path, "%s", given);
    if (!given && !default_dir(path, sizeof path))
        return cli_fault_set(f, CLI_SETTINGS,
                             _("no place for the state folder: HOME is not set; "
                               "give --state DIR"));
    if (make && dir_make(path, &why) != ERR_OK)
        return cli_fault_set(f, CLI_FILE, _("cannot make %s: %s"), path, why.what);
    char *real = realpath(path, NULL);
    if (!real)
        return cli_fault_set(f, CLI_FILE, _("no stack in %s: %s; nitroseal local up starts one"),
                             path, errno_what(errno));
    size_t len = strlen(real);
    if (len <= STACK_DIR_MAX)
        memcpy(out, real, len + 1);
    free(real);
    return len <= STACK_DIR_MAX
               ? CLI_OK
               : cli_fault_set(f, CLI_SETTINGS,
                               _("the path of %s is too long for the sockets in it (more than %d "
                                 "bytes): give --state DIR"),
                               path, STACK_DIR_MAX);
}

/* 'text' for a shell. */
static void quoted(const char *text)
{
    putchar('\'');
    for (; *text; text++) {
        if (*text == '\'')
            printf("'\\''");
        else
            putchar(*text);
    }
    putchar('\'');
}

static int print_json(const struct stack_state *s, struct cli_fault *f)
{
    AUTO(buf_clear) struct buf out = BUF_INIT(STACK_VALUE_BYTES * STACK_EXPORTS_MAX * 8);
    struct json_out w = json_out_init(&out);

    json_out_object(&w);
    for (unsigned i = 0; i < s->n_exports; i++) {
        json_out_key(&w, s->exports[i].name);
        json_out_string(&w, span_str(s->exports[i].value));
    }
    json_out_object_end(&w);
    if (json_out_end(&w) != ERR_OK || buf_append_byte(&out, '\n') != ERR_OK)
        return cli_fault_set(f, CLI_FAILED, _("cannot write the answer: %s"), "memory");
    return cli_print(buf_view(&out), f);
}

int local_print_exports(const struct stack_state *s, bool json, struct cli_fault *f)
{
    if (json)
        return print_json(s, f);
    for (unsigned i = 0; i < s->n_exports; i++) {
        printf("export %s=", s->exports[i].name);
        quoted(s->exports[i].value);
        putchar('\n');
    }
    return fflush(stdout) == 0
               ? CLI_OK
               : cli_fault_set(f, CLI_FILE, _("cannot write the output: %s"), errno_what(errno));
}

/* `local exec PPID PROGRAM ARG...`: become the program, and die with the supervisor. Not for
 * people. */
static int cmd_exec(int argc, char **argv)
{
    uint64_t parent = 0;

    if (argc < 3 || span_to_u64(span_str(argv[1]), INT32_MAX, &parent) != ERR_OK)
        return CLI_USAGE;
    /* The supervisor may be gone between fork and prctl: then nobody would end us. */
    if (prctl(PR_SET_PDEATHSIG, SIGTERM) != 0 || (uint64_t)getppid() != parent)
        return CLI_FAILED;
    (void)signal(SIGPIPE, SIG_DFL);
    (void)execv(argv[2], argv + 2);
    fprintf(stderr, "nitroseal local exec: %s: %s\n", argv[2], errno_what(errno));
    return CLI_FAILED;
}

static const struct group_command commands[] = {
    { "up", cmd_local_up, "Start it, and print what to evaluate in a shell." },
    { "down", cmd_local_down, "Stop exactly what `up` started." },
    { "status", cmd_local_status, "What runs, since when, and what crashed." },
    { "kms", cmd_local_kms, "A plain call to the local KMS, without attestation." },
    { "exec", cmd_exec, NULL },
    { 0 },
};

static const struct group group = {
    .name = "nitroseal local",
    .intro =
        "A software NSM, a local KMS, the relay and the service, under one supervisor, in one\n"
        "state folder. It protects nothing: it is for trying, developing and testing.\n",
    .last = "Try: eval \"$(nitroseal local up)\"; nitroseal encrypt Hello | nitroseal decrypt\n",
    .commands = commands,
};

int cmd_local(int argc, char **argv)
{
    return group_main(&group, argc, argv);
}
