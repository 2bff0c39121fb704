#include "bin/nitroseal/cli.h"
#include "bin/nitroseal/lines.h"
#include "bin/nitroseal/link.h"
#include "bin/nitroseal/message.h"
#include "io/sys.h"

static const struct option_def options[] = {
    CLI_ENCLAVE_OPTIONS,
    CLI_PROFILE_OPTION,
    CLI_LINES_OPTIONS,
    CLI_MESSAGE_OPTIONS,
    CLI_REQUIRE_OPTION,
    { "encrypted", 0, "BASE64", NULL, NULL, "The ENCRYPTED value." },
    { "signature", 0, "BASE64", NULL, NULL, "The SIGNATURE value." },
    { "ciphertext-blob", 0, "BASE64", NULL, NULL, "The CIPHERTEXT_BLOB value." },
    { "allow-invalid-signature", 0, NULL, NULL, NULL,
      "Print the text though its signature does not hold; the exit status stays 5." },
    { 0 },
};

static const struct program_def program = {
    .name = "nitroseal decrypt",
    .synopsis = "[OPTION ...] [FILE | ENCRYPTED SIGNATURE CIPHERTEXT_BLOB]",
    .summary = "Decrypt and verify inside the enclave, and print the text and nothing else. Reads "
               "what\nnitroseal encrypt or kms-client printed (FILE, -i FILE, or standard input), "
               "or takes the three\nvalues; and messages of the AWS Encryption SDK of any length, "
               "binary or as text. Which it is\nis told by its beginning.",
    .options = options,
    .footer = CLI_EXIT_STATUSES,
    .args_max = 3,
};

/* The three values as options or as arguments; *found false: there are none. */
static int find_values(const struct options *o, struct triple *out, bool *found,
                       struct cli_fault *f)
{
    const char *e = option_text(o, "encrypted"), *s = option_text(o, "signature");
    const char *b = option_text(o, "ciphertext-blob");
    bool any = e || s || b;

    *found = any || o->n_args == 3;
    if (o->n_args == 2 || (any && o->n_args > 0) || (o->n_args + any && option_text(o, "input")))
        return cli_fault_set(f, CLI_USAGE, _("give a file, three values, or the three options"));
    if (any && !(e && s && b))
        return cli_fault_set(f, CLI_USAGE,
                             _("--encrypted, --signature and --ciphertext-blob belong together"));
    if (any) {
        *out = (struct triple){ span_str(e), span_str(s), span_str(b) };
        return CLI_OK;
    }
    if (*found)
        *out = (struct triple){ span_str(o->args[0]), span_str(o->args[1]), span_str(o->args[2]) };
    return CLI_OK;
}

static enum err answer_write(const struct proto_answer *a, bool json, bool with_text,
                             struct buf *out)
{
    if (!json)
        return with_text ? json_str_decode(a->decrypted, out) : ERR_OK;
    struct json_out w = json_out_init(out);
    json_out_object(&w);
    if (with_text)
        cli_json_member(&w, "decrypted", a->decrypted);
    json_out_key(&w, "signature_valid");
    json_out_bool(&w, a->signature_valid);
    cli_json_member(&w, "key_id", a->key_id);
    json_out_object_end(&w);
    enum err r = json_out_end(&w);
    return r == ERR_OK ? buf_append_byte(out, '\n') : r;
}

/* A text whose signature does not hold stays unseen unless asked for. */
static int report(const struct options *o, const struct cli_exchange *x, struct buf *out,
                  struct cli_fault *f)
{
    bool valid = x->answer.signature_valid;
    bool with_text = valid || option_flag(o, "allow-invalid-signature");
    enum err r = answer_write(&x->answer, option_flag(o, "json"), with_text, out);

    if (r != ERR_OK)
        return cli_fault_set(f, CLI_FAILED, _("cannot write the answer: %s"), err_name(r));
    /* Of a text that is not shown, no file is made. */
    int status = with_text ? output_put(option_text(o, "output"), buf_view(out), f)
                           : cli_print(buf_view(out), f);
    if (status != CLI_OK || valid)
        return status;
    return cli_fault_set(f, CLI_UNVERIFIED, "%s",
                         with_text ? _("the signature does not match this text: do not trust it")
                                   : _("the signature does not match the text: nothing printed "
                                       "(--allow-invalid-signature prints it)"));
}

/* A seed message as an object on one line, as `encrypt --lines` writes it. */
static int run_line(const struct options *o, const struct cli_enclave *e, struct cli_link *link,
                    struct span line, const struct proto_credentials *cred, struct buf *out,
                    struct cli_exchange *x, struct cli_fault *f)
{
    AUTO(buf_clear) struct buf scratch = BUF_INIT(CLI_MESSAGE_MAX_BYTES);
    struct triple t = { .encrypted = SPAN_EMPTY };
    struct why why = { 0 };

    if (triple_parse(line, &scratch, &t, &why) != ERR_OK)
        return cli_fault_set(f, CLI_FILE, "%s", why.what);
    bool allowed = option_flag(o, "allow-invalid-signature");
    int status = cli_decrypt(e, link, &t, cred, allowed, x, f);
    if (status != CLI_OK)
        return status;
    if (!x->answer.signature_valid && !allowed)
        return cli_fault_set(f, CLI_UNVERIFIED, "%s",
                             _("the signature does not match the text: nothing printed "
                               "(--allow-invalid-signature prints it)"));
    enum err r = answer_write(&x->answer, true, true, out);
    if (r != ERR_OK)
        return cli_fault_set(f, CLI_FAILED, _("cannot write the answer: %s"), err_name(r));
    return CLI_OK;
}

static int run_seed(const struct options *o, const struct cli_enclave *e, const struct triple *t,
                    struct cli_fault *f)
{
    AUTO(buf_clear) struct buf out = BUF_INIT(CLI_MESSAGE_MAX_BYTES);
    AUTO(cli_credentials_clear) struct cli_credentials cred = { .access_key_id = { .max = 0 } };
    AUTO(cli_exchange_clear) struct cli_exchange x = CLI_EXCHANGE_INIT;
    AUTO(cli_link_clear) struct cli_link link = { .ns = NULL };

    if (option_count(o, "require-context") > 0)
        return cli_fault_set(f, CLI_UNVERIFIED,
                             _("a seed message has no encryption context, so none of it can be "
                               "required"));
    if (option_text(o, "gateway"))
        return cli_fault_set(f, CLI_USAGE,
                             _("a seed message goes to the enclave, not to a "
                               "gateway"));
    int status =
        cli_credentials_find(option_text(o, "profile"), option_count(o, "profile") > 0, &cred, f);
    if (status != CLI_OK)
        return status;
    struct proto_credentials view = cli_credentials_view(&cred);
    /* The object of --json has the key's name also for a false signature. */
    bool whole = e->json || option_flag(o, "allow-invalid-signature");
    status = cli_decrypt(e, &link, t, &view, whole, &x, f);
    return status == CLI_OK ? report(o, &x, &out, f) : status;
}

/* A file, or standard input: its beginning says which of the two it is. */
static int run_input(const struct options *o, const struct cli_enclave *e, struct cli_fault *f)
{
    AUTO(message_run_free) struct message_run *run = NULL;
    AUTO(input_close) struct input in = INPUT_CLOSED;
    AUTO(buf_clear) struct buf text = BUF_INIT(CLI_MESSAGE_MAX_BYTES);
    AUTO(buf_clear) struct buf scratch = BUF_INIT(CLI_MESSAGE_MAX_BYTES);
    const char *path = o->n_args ? o->args[0] : option_text(o, "input");
    bool armored = false, is_text = false;
    struct triple t;

    int status = message_run_new(o, e, MESSAGE_DECRYPT, &run, f);
    if (status != CLI_OK)
        return status;
    if (message_is_folder(path))
        return message_folder(run, path, option_text(o, "output"), f);
    status = input_open(path, &in, f);
    if (status == CLI_OK)
        status = message_look(&in, &armored, &is_text, f);
    if (status == CLI_OK && !is_text)
        return message_single(run, &in, armored, f);
    if (status == CLI_OK)
        status = message_seed_read(&in, &text, &scratch, &t, f);
    return status == CLI_OK ? run_seed(o, e, &t, f) : status;
}

static int run(const struct options *o, const struct cli_enclave *e, struct cli_fault *f)
{
    struct triple t = { .encrypted = SPAN_EMPTY };
    bool found = false;
    int status = find_values(o, &t, &found, f);

    if (status != CLI_OK)
        return status;
    return found ? run_seed(o, e, &t, f) : run_input(o, e, f);
}

int cmd_decrypt(int argc, char **argv)
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
    bool values = option_text(&o, "encrypted") || option_text(&o, "signature") ||
                  option_text(&o, "ciphertext-blob");
    if (lines && (o.n_args > 0 || values || message_is_asked_for(&o)))
        status = cli_fault_set(&f, CLI_USAGE, _("--lines reads standard input: no arguments"));
    else
        status = lines ? lines_run(&o, &e, run_line, &f) : run(&o, &e, &f);
    /* With --json the answer to a false signature is on stdout already. */
    bool answered = status == CLI_UNVERIFIED && f.json.len == 0;
    if (status != CLI_OK && (answered || lines))
        return cli_fault_print(&o, &f, false);
    return message_exit(&o, status, &f);
}
