#include "bin/nitroseal/cli.h"
#include "bin/nitroseal/lines.h"
#include "bin/nitroseal/link.h"
#include "bin/nitroseal/message.h"
#include "bin/nitroseal/triple.h"
#include "io/sys.h"

static const struct option_def options[] = {
    CLI_ENCLAVE_OPTIONS,
    CLI_PROFILE_OPTION,
    CLI_LINES_OPTIONS,
    { "format", 0, "message|seed", NULL, NULL,
      "message: of the AWS Encryption SDK; seed: the three values. Without: a message if an option "
      "of messages, -i or -o is given." },
    CLI_MESSAGE_OPTIONS,
    CLI_ARMOR_OPTION,
    CLI_SEAL_OPTIONS,
    { 0 },
};

static const struct program_def program = {
    .name = "nitroseal encrypt",
    .synopsis = "[OPTION ...] [TEXT]",
    .summary =
        "Encrypt inside the enclave: a text, which is signed and printed as ENCRYPTED=, SIGNATURE= "
        "and\nCIPHERTEXT_BLOB= or as JSON; or, with -i, -o or another option of messages, bytes of "
        "any\nlength to a message of the AWS Encryption SDK. Without TEXT or -i, or with -, "
        "standard input\nis read, every byte of it.",
    .options = options,
    .footer = CLI_EXIT_STATUSES,
    .args_max = 1,
};

static int read_text(const struct options *o, struct buf *out, struct cli_fault *f)
{
    struct why why = { 0 };
    bool given = o->n_args == 1 && strcmp(o->args[0], "-") != 0;

    if (option_text(o, "input")) {
        AUTO(input_close) struct input in = INPUT_CLOSED;
        int status = input_open(option_text(o, "input"), &in, f);
        return status == CLI_OK ? input_read_all(&in, out, f) : status;
    }
    enum err r = given ? buf_append_str(out, o->args[0]) : fd_read_all(0, out, 0, &why);

    if (r != ERR_OK)
        return cli_fault_set(f, CLI_FILE, _("cannot read the text: %s"),
                             why.what ? why.what : err_name(r));
    return CLI_OK;
}

static enum err json_write(const struct proto_answer *a, struct buf *out)
{
    struct json_out w = json_out_init(out);
    const struct {
        const char *name;
        struct json_str value;
    } members[] = {
        { "encrypted", a->encrypted },
        { "signature", a->signature },
        { "ciphertext_blob", a->ciphertext_blob },
        { "key_id", a->key_id },
        { "request_id", a->request_id },
    };

    json_out_object(&w);
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++)
        cli_json_member(&w, members[i].name, members[i].value);
    json_out_object_end(&w);
    enum err r = json_out_end(&w);
    return r == ERR_OK ? buf_append_byte(out, '\n') : r;
}

static enum err lines_write(const struct proto_answer *a, struct buf *out)
{
    AUTO(buf_clear) struct buf e = BUF_INIT(CLI_MESSAGE_MAX_BYTES);
    AUTO(buf_clear) struct buf s = BUF_INIT(CLI_FAULT_MAX_BYTES), b = BUF_INIT(CLI_FAULT_MAX_BYTES);
    struct triple t = { .encrypted = SPAN_EMPTY };
    enum err r = json_str_view(a->encrypted, &e, &t.encrypted);

    if (r == ERR_OK)
        r = json_str_view(a->signature, &s, &t.signature);
    if (r == ERR_OK)
        r = json_str_view(a->ciphertext_blob, &b, &t.ciphertext_blob);
    return r == ERR_OK ? triple_write(out, &t) : r;
}

static int ask(const struct cli_enclave *e, struct cli_link *link, struct span text,
               const struct proto_credentials *cred, struct cli_exchange *x, struct cli_fault *f)
{
    if (!span_is_utf8(text))
        return cli_fault_set(f, CLI_FILE,
                             _("the text is not UTF-8: the seed protocol carries "
                               "text only"));
    return cli_encrypt(e, link, text, cred, x, f);
}

static int run_line(const struct options *o, const struct cli_enclave *e, struct cli_link *link,
                    struct span line, const struct proto_credentials *cred, struct buf *out,
                    struct cli_exchange *x, struct cli_fault *f)
{
    int status = ask(e, link, line, cred, x, f);

    (void)o;
    if (status != CLI_OK)
        return status;
    enum err r = json_write(&x->answer, out);
    return r == ERR_OK
               ? CLI_OK
               : cli_fault_set(f, CLI_FAILED, _("cannot write the answer: %s"), err_name(r));
}

static int run_seed(const struct options *o, const struct cli_enclave *e, struct cli_fault *f)
{
    AUTO(buf_clear) struct buf text = BUF_INIT(CLI_MESSAGE_MAX_BYTES);
    AUTO(buf_clear) struct buf out = BUF_INIT(CLI_MESSAGE_MAX_BYTES);
    AUTO(cli_credentials_clear) struct cli_credentials cred = { .access_key_id = { .max = 0 } };
    AUTO(cli_exchange_clear) struct cli_exchange x = CLI_EXCHANGE_INIT;
    AUTO(cli_link_clear) struct cli_link link = { .ns = NULL };

    int status =
        cli_credentials_find(option_text(o, "profile"), option_count(o, "profile") > 0, &cred, f);
    if (status == CLI_OK)
        status = read_text(o, &text, f);
    if (status != CLI_OK)
        return status;
    struct proto_credentials view = cli_credentials_view(&cred);
    status = ask(e, &link, buf_view(&text), &view, &x, f);
    if (status != CLI_OK)
        return status;
    enum err r = e->json ? json_write(&x.answer, &out) : lines_write(&x.answer, &out);
    if (r == ERR_MALFORMED)
        return cli_fault_set(f, CLI_FAILED, _("the answer is not of the seed protocol: %s"),
                             "base64");
    if (r != ERR_OK)
        return cli_fault_set(f, CLI_FAILED, _("cannot write the answer: %s"), err_name(r));
    return output_put(option_text(o, "output"), buf_view(&out), f);
}

static int run_message(const struct options *o, const struct cli_enclave *e, struct cli_fault *f)
{
    AUTO(message_run_free) struct message_run *run = NULL;
    AUTO(input_close) struct input in = INPUT_CLOSED;
    const char *path = option_text(o, "input");

    int status = message_run_new(o, e, MESSAGE_ENCRYPT, &run, f);
    if (status != CLI_OK)
        return status;
    if (message_is_folder(path))
        return message_folder(run, path, option_text(o, "output"), f);
    bool text = o->n_args == 1 && strcmp(o->args[0], "-") != 0;
    status = text ? input_text(o->args[0], &in, f) : input_open(path, &in, f);
    return status == CLI_OK ? message_single(run, &in, false, f) : status;
}

/* Options that only messages have; -i, -o and --quiet go with both. */
static bool is_for_messages_only(const struct options *o)
{
    return option_flag(o, "armor") || option_text(o, "suite") || option_text(o, "frame-length") ||
           option_text(o, "key-id") || option_count(o, "encryption-context") > 0 ||
           option_text(o, "gateway") || option_flag(o, "no-credentials");
}

/* The rule: what --format says; else a message, if something is asked for that only messages have,
 * or files; else what this command has always made. */
static int run(const struct options *o, const struct cli_enclave *e, struct cli_fault *f)
{
    const char *format = option_text(o, "format");
    bool message = format ? strcmp(format, "message") == 0 : message_is_asked_for(o);

    if (format && !message && strcmp(format, "seed") != 0)
        return cli_fault_set(f, CLI_USAGE, _("--format '%s': message or seed"), format);
    if (o->n_args > 0 && option_text(o, "input"))
        return cli_fault_set(f, CLI_USAGE, _("give a text or -i, not both"));
    if (message)
        return run_message(o, e, f);
    if (is_for_messages_only(o))
        return cli_fault_set(f, CLI_USAGE,
                             _("--format seed: the three values have no context, suite, frames or "
                               "armor, and go to the enclave only"));
    return run_seed(o, e, f);
}

int cmd_encrypt(int argc, char **argv)
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
    bool lines = option_flag(&o, "lines");
    if (lines && (o.n_args > 0 || option_text(&o, "format") || message_is_asked_for(&o)))
        status = cli_fault_set(&f, CLI_USAGE, _("--lines reads standard input: no arguments"));
    else
        status = lines ? lines_run(&o, &e, run_line, &f) : run(&o, &e, &f);
    if (status != CLI_OK && lines)
        return cli_fault_print(&o, &f, false);
    return message_exit(&o, status, &f);
}
