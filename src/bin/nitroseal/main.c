/* nitroseal: the parent's command line. One table of subcommands; `kms-client` is the same
 * executable under another name. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "bin/nitroseal/cli.h"
#include "bin/nitroseal/image_cmd.h"
#include "bin/nitroseal/message.h"
#include "bin/nitroseal/policy_cmd.h"
#include "io/sys.h"

static const struct command {
    const char *name;
    int (*main)(int argc, char **argv);
    const char *help;
} commands[] = {
    { "encrypt", cmd_encrypt, "Encrypt inside the enclave: a text, a file, a folder." },
    { "decrypt", cmd_decrypt, "Decrypt and verify it there." },
    { "rewrap", cmd_rewrap, "Seal a message anew, under another key, inside the enclave." },
    { "inspect", cmd_inspect, "Say what a message is: suite, context, data keys, frames. No key." },
    { "attest", cmd_attest, "Fetch the enclave's attestation document and verify it." },
    { "image", cmd_image, "Enclave images: build, describe, pcr, sign, verify, diff, extract." },
    { "policy", cmd_policy, "Key policies for attested images: generate, lint, explain, diff." },
    { "doctor", cmd_doctor, "Look at every part on the way of a request and say what to do." },
    { "gateway", cmd_gateway,
      "Hand HTTP requests to enclaves, give those credentials, watch them." },
    { "local", cmd_local, "Run everything on this machine, without AWS: up, down, status, kms." },
};

enum { N_COMMANDS = sizeof commands / sizeof commands[0] };

static int help(void)
{
    printf("Usage: nitroseal COMMAND [OPTION ...]\n\n"
           "Encrypt and sign, decrypt and verify inside an AWS Nitro Enclave, with data keys that\n"
           "AWS KMS releases only to that enclave's attested image.\n\nCommands:\n");
    for (size_t i = 0; i < N_COMMANDS; i++)
        printf("  %-10s %s\n", commands[i].name, commands[i].help);
    printf("\nOptions:\n  -h, --help       Print this and exit; COMMAND --help tells more.\n"
           "      --version    Print the version and exit.\n\n%s",
           CLI_EXIT_STATUSES);
    return 0;
}

int main(int argc, char **argv)
{
    const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
    const char *name = slash ? slash + 1 : argc > 0 ? argv[0] : "nitroseal";

    process_streams();
    (void)signal(SIGPIPE, SIG_IGN);
    i18n_init();
    if (strcmp(name, "kms-client") == 0)
        return cmd_kms_client(argc, argv);
    if (argc < 2) {
        fprintf(stderr, "nitroseal: %s\n", _("no command; see nitroseal --help"));
        return CLI_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        return help();
    if (strcmp(argv[1], "--version") == 0) {
        printf("nitroseal %s\n", NITROSEAL_VERSION);
        return 0;
    }
    for (size_t i = 0; i < N_COMMANDS; i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].main(argc - 1, argv + 1);
    fprintf(stderr, _("nitroseal: unknown command '%s'; see nitroseal --help\n"), argv[1]);
    return CLI_USAGE;
}
