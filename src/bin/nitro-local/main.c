/* nitro-local: nitro-cli's commands, on a machine without Nitro. One table of subcommands; under
 * the name nitro-cli it is the same. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "bin/nitro-local/commands.h"

static const struct command {
    const char *name;
    int (*main)(int argc, char **argv);
    const char *help;
} commands[] = {
    { "vsock", cmd_vsock, "Serve the vsock device of a virtual machine, and nothing else." },
};

enum { N_COMMANDS = sizeof commands / sizeof commands[0], STATUS_USAGE = 2 };

static int help(FILE *to)
{
    fprintf(to, "Usage: nitro-local COMMAND [OPTION ...]\n\n"
                "AWS nitro-cli's commands with the enclave in QEMU's nitro-enclave machine.\n\n"
                "Commands:\n");
    for (size_t i = 0; i < N_COMMANDS; i++)
        fprintf(to, "  %-18s %s\n", commands[i].name, commands[i].help);
    fprintf(to, "\nOptions:\n  -h, --help       Print this and exit; COMMAND --help tells more.\n"
                "  -V, --version    Print the version and exit.\n\n"
                "Exit status: 0 done, 2 usage, else the number of the error code (E26: 26).\n");
    return 0;
}

int main(int argc, char **argv)
{
    (void)signal(SIGPIPE, SIG_IGN);
    if (argc < 2)
        return help(stdout); /* as nitro-cli does */
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0)
        return help(stdout);
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
        printf("nitro-local %s\n", NITROSEAL_VERSION);
        return 0;
    }
    for (size_t i = 0; i < N_COMMANDS; i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].main(argc - 1, argv + 1);
    fprintf(stderr, "nitro-local: unknown command '%s'; see nitro-local --help\n", argv[1]);
    return STATUS_USAGE;
}
