/* nitroseal policy: table of its subcommands. */
#include "bin/nitroseal/policy_cmd.h"

#include <stdio.h>

static const struct {
    const char *name;
    int (*main)(int argc, char **argv);
    const char *help;
} commands[] = {
    { "generate", cmd_policy_generate, "Write the policies that let an image use a key." },
    { "lint", cmd_policy_lint, "Say what is wrong or weak about a policy, and what to do." },
    { "explain", cmd_policy_explain,
      "Say whether a call would be allowed, by which statement, and which PCR differs." },
    { "diff", cmd_policy_diff, "Say what changed from one policy to another." },
};

enum { N_COMMANDS = sizeof commands / sizeof commands[0] };

static int help(void)
{
    printf("Usage: nitroseal policy COMMAND [OPTION ...]\n\n"
           "Key policies and identity policies for attested images: the same code as in\n"
           "nitroseal-kms says what they allow.\n\n"
           "Commands:\n");
    for (size_t i = 0; i < N_COMMANDS; i++)
        printf("  %-10s %s\n", commands[i].name, commands[i].help);
    printf("\nOptions:\n  -h, --help       Print this and exit; COMMAND --help tells more.\n");
    return 0;
}

int cmd_policy(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "nitroseal policy: %s\n", _("no command; see nitroseal policy --help"));
        return CLI_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        return help();
    for (size_t i = 0; i < N_COMMANDS; i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].main(argc - 1, argv + 1);
    fprintf(stderr, _("nitroseal policy: unknown command '%s'; see nitroseal policy --help\n"),
            argv[1]);
    return CLI_USAGE;
}
