/* nitroseal image: table of its subcommands. */
#include "bin/nitroseal/image_cmd.h"

#include "bin/nitroseal/group.h"

static const struct group_command commands[] = {
    { "build", cmd_image_build, "Make an image, without Docker and without root." },
    { "describe", cmd_image_describe, "What is in it, as nitro-cli prints it, and its sections." },
    { "pcr", cmd_image_pcr, "Its PCRs, or that of a file or a signing certificate." },
    { "sign", cmd_image_sign, "Sign it, or replace its signature." },
    { "verify", cmd_image_verify, "Checksum, signature, certificate, expected PCRs." },
    { "diff", cmd_image_diff, "What differs between two, and which PCRs it moves." },
    { "extract", cmd_image_extract, "Its sections as files." },
    { 0 },
};

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
    struct options o;

    int status = options_parse(program, argc, argv, &o);
    if (status >= 0)
        return status;
    if (crypto_process_init() != ERR_OK)
        status = cli_fault_set(&f, CLI_FAILED, _("cryptography is not available"));
    else
        status = run(&o, &f);
    /* A status without a text is an answer: `diff` found a difference. */
    return f.text.len ? cli_fault_print(&o, &f, false) : status;
}

static const struct group group = {
    .name = "nitroseal image",
    .intro =
        "Enclave image files (EIF): from programs to a measured image, the same bytes wherever\n"
        "and whenever it is built.\n",
    .last = "Try: nitroseal image build --kms-key-id ARN -o nitroseal.eif\n",
    .commands = commands,
};

int cmd_image(int argc, char **argv)
{
    return group_main(&group, argc, argv);
}
