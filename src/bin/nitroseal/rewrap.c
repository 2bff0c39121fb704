/* nitroseal rewrap: opened under one key and sealed under another, inside the enclave. */
#include "bin/nitroseal/message.h"

static const struct option_def options[] = {
    CLI_ENCLAVE_OPTIONS,
    CLI_PROFILE_OPTION,
    CLI_MESSAGE_OPTIONS,
    CLI_ARMOR_OPTION,
    CLI_SEAL_OPTIONS,
    CLI_REQUIRE_OPTION,
    { "jobs", 0, "N", NULL, "4", "How many files of a folder are under way at once." },
    { 0 },
};

static const struct program_def program = {
    .name = "nitroseal rewrap",
    .synopsis = "[OPTION ...] [FILE]",
    .summary = "Open a message of the AWS Encryption SDK under one key and seal it anew, under "
               "another key\nor with another context: inside the enclave, which nothing leaves in "
               "plain.",
    .options = options,
    .footer = CLI_EXIT_STATUSES,
    .args_max = 1,
};

static int run(const struct options *o, const struct cli_enclave *e, struct cli_fault *f)
{
    AUTO(message_run_free) struct message_run *run = NULL;
    AUTO(input_close) struct input in = INPUT_CLOSED;
    const char *path = option_text(o, "input");
    bool armored = false, is_text = false;

    if (path && o->n_args > 0)
        return cli_fault_set(f, CLI_USAGE, _("give the file once: with -i or without"));
    path = o->n_args ? o->args[0] : path;
    int status = message_run_new(o, e, MESSAGE_REWRAP, &run, f);
    if (status != CLI_OK)
        return status;
    if (message_is_folder(path))
        return message_folder(run, path, option_text(o, "output"), f);
    status = input_open(path, &in, f);
    if (status == CLI_OK)
        status = message_look(&in, &armored, &is_text, f);
    if (status == CLI_OK && is_text)
        status = cli_fault_set(f, CLI_FILE, _("%s: not a message of the Encryption SDK"), in.name);
    return status == CLI_OK ? message_single(run, &in, armored, f) : status;
}

int cmd_rewrap(int argc, char **argv)
{
    AUTO(cli_fault_clear) struct cli_fault f = CLI_FAULT_INIT;
    struct cli_enclave e;
    struct options o;
    int status = options_parse(&program, argc, argv, &o);

    if (status >= 0)
        return status;
    status = cli_enclave_read(&o, &e);
    if (status != CLI_OK)
        return status;
    return message_exit(&o, run(&o, &e, &f), &f);
}
