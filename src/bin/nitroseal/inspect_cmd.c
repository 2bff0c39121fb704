/* nitroseal inspect: what a message says of itself. No key, no network. */
#include "bin/nitroseal/cli.h"
#include "bin/nitroseal/input.h"
#include "bin/nitroseal/inspect.h"
#include "bin/nitroseal/message.h"
#include "io/sys.h"

enum { PIECE_BYTES = 65536, REPORT_MAX_BYTES = 16 << 20 };

static const struct option_def options[] = {
    { "input", 'i', "FILE", NULL, NULL, "The message; - is standard input, as is none." },
    { "json", 0, NULL, NULL, NULL, "Print JSON, also for a failure." },
    { 0 },
};

static const struct program_def program = {
    .name = "nitroseal inspect",
    .synopsis = "[OPTION ...] [FILE]",
    .summary = "Say what a message is: suite, encryption context, data keys, frames. Takes no key "
               "and no\nnetwork, and verifies nothing. Reads messages of the AWS Encryption SDK, "
               "binary or as\ntext, and seed messages.",
    .options = options,
    .footer = CLI_EXIT_STATUSES,
    .args_max = 1,
};

/* Where a walk ended before its time. */
struct end {
    enum err err;
    struct why why;
};

static int walk(struct input *in, bool armored, struct inspect *i, struct end *end,
                struct cli_fault *f)
{
    AUTO(buf_clear) struct buf piece = BUF_INIT(PIECE_BYTES), data = BUF_INIT(PIECE_BYTES);
    struct armor_in armor = { .state = 0 };
    size_t n = 1;

    while (end->err == ERR_OK && n > 0) {
        uint8_t *into;
        struct why why = { 0 };
        buf_reset(&piece);
        buf_reset(&data);
        enum err r = buf_reserve(&piece, PIECE_BYTES, &into);
        if (r == ERR_OK)
            r = input_read(in, into, PIECE_BYTES, &n, &why);
        if (r != ERR_OK)
            return input_failed(in, why.what ? why.what : err_name(r), f);
        buf_commit(&piece, n);
        if (armored)
            end->err = n ? armor_take(&armor, buf_view(&piece), &data, &end->why)
                         : armor_end(&armor, &end->why);
        if (end->err == ERR_OK)
            end->err = inspect_take(i, buf_view(armored ? &data : &piece), &end->why);
    }
    if (end->err == ERR_OK)
        end->err = inspect_end(i, &end->why);
    return CLI_OK;
}

/* What was found is shown even where the walk failed; the status tells. */
static int message(struct input *in, bool armored, bool json, bool *reported, struct cli_fault *f)
{
    AUTO(inspect_clear) struct inspect i;
    AUTO(buf_clear) struct buf out = BUF_INIT(REPORT_MAX_BYTES);
    struct end end = { .err = ERR_OK };

    inspect_init(&i);
    int status = walk(in, armored, &i, &end, f);
    if (status != CLI_OK)
        return status;
    i.whole = i.whole && end.err == ERR_OK;
    const struct inspect_report how = {
        .armored = armored,
        .fault = end.err == ERR_OK ? NULL : end.why.what,
        .fault_at = end.why.at,
    };
    enum err r = (json ? inspect_write_json : inspect_write_text)(&i, &how, &out);
    if (r != ERR_OK)
        return cli_fault_set(f, CLI_FAILED, _("cannot write the answer: %s"), err_name(r));
    if (json || i.header_read)
        status = cli_print(buf_view(&out), f);
    *reported = json;
    if (status != CLI_OK || end.err == ERR_OK)
        return status;
    return cli_fault_set(f, CLI_FILE, _("%s: %s (at byte %zu)"), in->name, end.why.what,
                         end.why.at);
}

static int seed(struct input *in, bool json, struct cli_fault *f)
{
    AUTO(buf_clear) struct buf text = BUF_INIT(CLI_MESSAGE_MAX_BYTES);
    AUTO(buf_clear) struct buf scratch = BUF_INIT(CLI_MESSAGE_MAX_BYTES);
    AUTO(buf_clear) struct buf out = BUF_INIT(4096);
    struct inspect_seed s;
    struct triple t;
    struct why why = { 0 };

    int status = message_seed_read(in, &text, &scratch, &t, f);
    if (status != CLI_OK)
        return status;
    enum err r = inspect_seed(t.encrypted, t.signature, t.ciphertext_blob, &s, &why);
    if (r != ERR_OK)
        return cli_fault_set(f, CLI_FILE, "%s: %s", in->name, why.what ? why.what : err_name(r));
    r = inspect_seed_write(&s, json, &out);
    if (r != ERR_OK)
        return cli_fault_set(f, CLI_FAILED, _("cannot write the answer: %s"), err_name(r));
    return cli_print(buf_view(&out), f);
}

static int run(const struct options *o, bool *reported, struct cli_fault *f)
{
    AUTO(input_close) struct input in = INPUT_CLOSED;
    const char *path = option_text(o, "input");
    bool json = option_flag(o, "json"), armored = false, is_text = false;

    if (path && o->n_args > 0)
        return cli_fault_set(f, CLI_USAGE, _("give the file once: with -i or without"));
    int status = input_open(path ? path : o->n_args ? o->args[0] : NULL, &in, f);
    if (status == CLI_OK)
        status = message_look(&in, &armored, &is_text, f);
    if (status != CLI_OK)
        return status;
    return is_text ? seed(&in, json, f) : message(&in, armored, json, reported, f);
}

int cmd_inspect(int argc, char **argv)
{
    AUTO(cli_fault_clear) struct cli_fault f = CLI_FAULT_INIT;
    struct options o;
    bool reported = false; /* in JSON: a fault of the message is part of it */
    int status = options_parse(&program, argc, argv, &o);

    if (status >= 0)
        return status;
    status = run(&o, &reported, &f);
    bool json = option_flag(&o, "json") && !reported;
    return status == CLI_OK ? CLI_OK : cli_fault_print(&o, &f, json);
}
