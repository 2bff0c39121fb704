/* nitro-local explain. */
#include <stdio.h>

#include "bin/common/options.h"
#include "bin/nitro-local/commands.h"

static const struct option_def options[] = {
    { "error-code", 0, "CODE", NULL, NULL, "E00 to E60." },
    { 0 },
};
static const struct program_def program = {
    .name = "nitro-local explain",
    .synopsis = "--error-code E26",
    .summary = "Say on stderr what an error code means, and what to do.",
    .options = options,
};

int cmd_explain(int argc, char **argv)
{
    AUTO(fault_clear) struct fault f = FAULT_INIT;
    struct options o;
    enum code c;

    int status = options_parse(&program, argc, argv, &o);
    if (status >= 0)
        return status;
    const char *text = option_text(&o, "error-code");
    if (!text) {
        complain(&o, "--error-code is needed");
        return STATUS_USAGE;
    }
    if (!code_parse(text, &c)) {
        (void)fault_set(&f, E03_INVALID_ARGUMENT, "%s is not an error code: they are E00 to E60.",
                        text);
        return fault_print(&f, "Explain", argc, argv);
    }
    fprintf(stderr, "%s: %s\n", text, code_meaning(c));
    if (code_advice(c))
        fprintf(stderr, "%s\n", code_advice(c));
    else
        fprintf(stderr, "nitro-local never gives it; nitro-cli may.\n");
    fprintf(stderr,
            "For more details, please visit "
            "https://docs.aws.amazon.com/enclaves/latest/user/cli-errors.html#%s\n",
            text);
    return STATUS_OK;
}
