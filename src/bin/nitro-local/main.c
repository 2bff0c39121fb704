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
    { "build-enclave", cmd_build_enclave, "Pack an OCI image or a folder into an image." },
    { "run-enclave", cmd_run_enclave, "Boot an image and wait for its heartbeat." },
    { "describe-enclaves", cmd_describe_enclaves, "Print what runs." },
    { "terminate-enclave", cmd_terminate_enclave, "End an enclave." },
    { "console", cmd_console, "Print the console of a debug enclave." },
    { "describe-eif", cmd_describe_eif, "Print what an image is and measures." },
    { "pcr", cmd_pcr, "Print the PCR of a file or of a signing certificate." },
    { "sign-eif", cmd_sign_eif, "Sign an image." },
    { "explain", cmd_explain, "Say what an error code means." },
    { "vsock", cmd_vsock, "Serve the vsock device of a virtual machine, and nothing else." },
};

enum { N_COMMANDS = sizeof commands / sizeof commands[0] };

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
