/* nitroseal image: table of its subcommands. */
#include "bin/nitroseal/image_cmd.h"

#include <stdio.h>

static const struct {
    const char *name;
    int (*main)(int argc, char **argv);
    const char *help;
} commands[] = {
    { "build", cmd_image_build, "Make an image, without Docker and without root." },
    { "describe", cmd_image_describe, "What is in it, as nitro-cli prints it, and its sections." },
    { "pcr", cmd_image_pcr, "Its PCRs, or that of a file or a signing certificate." },
    { "sign", cmd_image_sign, "Sign it, or replace its signature." },
    { "verify", cmd_image_verify, "Checksum, signature, certificate, expected PCRs." },
    { "diff", cmd_image_diff, "What differs between two, and which PCRs it moves." },
    { "extract", cmd_image_extract, "Its sections as files." },
};

enum { N_COMMANDS = sizeof commands / sizeof commands[0] };

int image_fault_take(const struct image_fault *from, struct cli_fault *f)
{
    int status = from->kind == IMAGE_FAULT_FILE      ? CLI_FILE
                 : from->kind == IMAGE_FAULT_CONTENT ? CLI_FILE
                 : from->kind == IMAGE_FAULT_SETTING ? CLI_SETTINGS
                                                     : CLI_FAILED;

    return cli_fault_set(f, status, "%s: %s", from->subject, from->what);
}

int image_main(const struct program_def *program, int argc, char **argv, image_run *run)
{
    AUTO(cli_fault_clear) struct cli_fault f = CLI_FAULT_INIT;
    AUTO(crypto_freep) struct crypto *cx = NULL;
    struct options o;

    int status = options_parse(program, argc, argv, &o);
    if (status >= 0)
        return status;
    if (crypto_process_init() != ERR_OK || crypto_new(&cx) != ERR_OK)
        status = cli_fault_set(&f, CLI_FAILED, _("cryptography is not available"));
    else
        status = run(cx, &o, &f);
    /* A status without a text is an answer: `diff` found a difference. */
    return f.text.len ? cli_fault_print(&o, &f, false) : status;
}

static int help(void)
{
    printf("Usage: nitroseal image COMMAND [OPTION ...]\n\n"
           "Enclave image files (EIF): from programs to a measured image, the same bytes wherever\n"
           "and whenever it is built.\n\nCommands:\n");
    for (size_t i = 0; i < N_COMMANDS; i++)
        printf("  %-10s %s\n", commands[i].name, commands[i].help);
    printf("\nOptions:\n  -h, --help       Print this and exit; COMMAND --help tells more.\n\n"
           "Try: nitroseal image build --kms-key-id ARN -o nitroseal.eif\n");
    return 0;
}

int cmd_image(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "nitroseal image: %s\n", _("no command; see nitroseal image --help"));
        return CLI_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        return help();
    for (size_t i = 0; i < N_COMMANDS; i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].main(argc - 1, argv + 1);
    fprintf(stderr, _("nitroseal image: unknown command '%s'; see nitroseal image --help\n"),
            argv[1]);
    return CLI_USAGE;
}
