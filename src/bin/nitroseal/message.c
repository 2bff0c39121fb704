/* One message: credentials, transfer, the file. */
#include <unistd.h>

#include "bin/nitroseal/link.h"
#include "bin/nitroseal/message.h"
#include "io/sys.h"

enum { REQUEST_MAX_BYTES = 65536 };

/* ---- credentials ---- */

/* A gateway may keep them to itself: then the service holds some, or the operation says that it
 * does not. */
static bool is_withheld(int status)
{
    return status == 403 || status == 404 || status == 405;
}

static int put_credentials(struct message_run *run, struct nitroseal *ns,
                           const struct cli_credentials *cred, struct cli_fault *f)
{
    struct nitroseal_error *error = NULL;
    struct proto_answer a;
    int status = CLI_OK;

    if (cli_put_credentials(ns, cred, run->timeout_ms, &error) == NITROSEAL_OK)
        return CLI_OK;
    if (error->status == NITROSEAL_INVALID)
        status = cli_fault_set(f, CLI_SETTINGS, _("cannot write the request: %s"), error->text);
    else if (!is_withheld(error->http_status) && strcmp(error->code, "http_status") == 0)
        status = cli_fault_set(f, CLI_FAILED,
                               _("the service answered with HTTP status %u: is it one that knows "
                                 "messages?"),
                               (unsigned)error->http_status);
    else if (!is_withheld(error->http_status))
        status = cli_library_failed(&run->enclave, error, &a, f);
    nitroseal_error_free(error);
    return status;
}

/* The service holds the ones that are good now; *generation says which. */
static int hold_credentials(struct message_run *run, struct nitroseal *ns, uint64_t *generation,
                            struct cli_fault *f)
{
    AUTO(cli_credentials_clear) struct cli_credentials cred = { .access_key_id = BUF_INIT(0) };

    if (!run->has_keeper)
        return CLI_OK;
    int status = keeper_take(&run->keeper, clock_mono_ns() + (uint64_t)run->timeout_ms * NS_PER_MS,
                             &cred, generation, f);
    if (status != CLI_OK)
        return status;
    pthread_mutex_lock(&run->lock);
    if (run->held < *generation) {
        status = put_credentials(run, ns, &cred, f);
        if (status == CLI_OK)
            run->held = *generation;
    }
    pthread_mutex_unlock(&run->lock);
    return status;
}

/* The service has started anew, or taken them for expired. */
static void forget(struct message_run *run, uint64_t generation)
{
    pthread_mutex_lock(&run->lock);
    if (run->held == generation)
        run->held = 0;
    pthread_mutex_unlock(&run->lock);
}

/* ---- one ---- */

void message_report_clear(struct message_report *r)
{
    buf_clear(&r->suite);
    buf_clear(&r->key_id);
    buf_clear(&r->request_id);
}

/* Texts that do not fit are left out. */
static void keep(struct buf *out, const char *text)
{
    buf_reset(out);
    if (text && buf_append_str(out, text) != ERR_OK)
        buf_reset(out);
}

static int try_once(struct message_run *run, struct nitroseal *ns, struct transfer *t,
                    struct message_report *report, bool *again, struct cli_fault *f)
{
    AUTO(nitroseal_streamed_clear) struct nitroseal_streamed done = { .bytes_in = 0 };
    uint64_t generation = 0;
    int status = hold_credentials(run, ns, &generation, f);

    if (status != CLI_OK)
        return status;
    status = transfer_run(t, f);
    done = t->done;
    t->done = (struct nitroseal_streamed){ .bytes_in = 0 };
    if (status == CLI_OK)
        status = output_commit(t->out, f);
    report->bytes_in = t->bytes_in;
    report->bytes_out = t->out->bytes;
    keep(&report->suite, done.suite);
    keep(&report->key_id, done.key_id);
    keep(&report->request_id, done.request_id);
    *again = run->has_keeper && (t->is_expired || t->is_forgotten);
    if (t->is_expired && *again) /* which our clock need not have told */
        keeper_expired(&run->keeper, generation);
    if (t->is_forgotten && *again)
        forget(run, generation);
    return status;
}

static void handle_free(struct nitroseal **ns)
{
    nitroseal_free(*ns);
}

int message_one(struct message_run *run, struct input *in, bool armored, const char *path,
                struct message_report *report, struct cli_fault *f)
{
    AUTO(output_close) struct output out = OUTPUT_CLOSED;
    AUTO(handle_free) struct nitroseal *ns = NULL;
    bool opens = run->op == MESSAGE_DECRYPT, again = false;
    bool asked_for = path && strcmp(path, "-") == 0;

    int status = output_open(path, &out, f);
    if (status != CLI_OK)
        return status;
    bool terminal = output_is_terminal(&out);
    if (terminal && !opens && !run->armor)
        return cli_fault_set(f, CLI_USAGE,
                             _("standard output is a terminal, and a message is binary: give -o "
                               "FILE, a pipe, or --armor"));
    out.text_only = terminal && opens && !asked_for;
    status = cli_handle_new(&run->enclave, &ns, f);
    if (status != CLI_OK)
        return status;
    struct transfer t = {
        .enclave = &run->enclave,
        .ns = ns,
        .timeout_ms = run->timeout_ms,
        .op = run->op,
        .stream = &run->stream,
        .in = in,
        .out = &out,
        .armor_in = armored,
        .armor_out = run->armor,
        .progress = &run->progress,
    };
    status = try_once(run, ns, &t, report, &again, f);
    if (again && input_rewind(in))
        status = try_once(run, ns, &t, report, &again, f);
    return status;
}

int message_look(struct input *in, bool *armored, bool *is_text, struct cli_fault *f)
{
    int status = input_peek(in, f);

    if (status != CLI_OK)
        return status;
    enum input_kind kind = input_kind_of(buf_view(&in->start));
    *armored = kind == INPUT_ARMOR;
    *is_text = kind == INPUT_TEXT;
    if (kind == INPUT_OTHER)
        return cli_fault_set(f, CLI_FILE,
                             _("%s: neither a message of the Encryption SDK nor a seed message"),
                             in->name);
    return CLI_OK;
}

int message_seed_read(struct input *in, struct buf *text, struct buf *scratch, struct triple *out,
                      struct cli_fault *f)
{
    struct why why = { 0 };
    int status = input_read_all(in, text, f);

    if (status != CLI_OK)
        return status;
    if (triple_parse(buf_view(text), scratch, out, &why) != ERR_OK)
        return cli_fault_set(f, CLI_FILE,
                             _("%s: neither a message of the Encryption SDK nor a seed message "
                               "(%s)"),
                             in->name, why.what);
    return CLI_OK;
}

/* ---- reports ---- */

static void put_text(struct json_out *w, const char *key, const struct buf *text)
{
    if (text->len == 0 || !span_is_utf8(buf_view(text)))
        return;
    json_out_key(w, key);
    json_out_string(w, buf_view(text));
}

void message_report_put(const struct message_report *r, struct json_out *w)
{
    json_out_key(w, "bytes_in");
    json_out_uint(w, r->bytes_in);
    json_out_key(w, "bytes_out");
    json_out_uint(w, r->bytes_out);
    put_text(w, "suite", &r->suite);
    put_text(w, "key_id", &r->key_id);
    put_text(w, "request_id", &r->request_id);
}

void message_name_put(struct json_out *w, const char *key, const char *name)
{
    AUTO(buf_clear) struct buf clean = BUF_INIT(REQUEST_MAX_BYTES);
    struct span text = span_str(name);

    json_out_key(w, key);
    for (size_t i = 0; i < text.len && !span_is_utf8(text);) {
        size_t n = span_utf8_sequence(span_from(text, i));
        enum err r = n ? buf_append(&clean, span_sub(text, i, n)) : buf_append_byte(&clean, '?');
        i = r == ERR_OK ? i + (n ? n : 1) : text.len;
    }
    json_out_string(w, span_is_utf8(text) ? text : buf_view(&clean));
}

static int print_report(const struct message_report *r, const char *in, const char *path,
                        struct cli_fault *f)
{
    AUTO(buf_clear) struct buf out = BUF_INIT(REQUEST_MAX_BYTES);
    struct json_out w = json_out_init(&out);

    json_out_object(&w);
    message_name_put(&w, "input", in);
    message_name_put(&w, "output", path);
    message_report_put(r, &w);
    json_out_object_end(&w);
    if (json_out_end(&w) != ERR_OK || buf_append_byte(&out, '\n') != ERR_OK)
        return cli_fault_set(f, CLI_FAILED, _("cannot write the answer: %s"), err_name(w.err));
    return cli_print(buf_view(&out), f);
}

int message_single(struct message_run *run, struct input *in, bool armored, struct cli_fault *f)
{
    AUTO(message_report_clear) struct message_report report = MESSAGE_REPORT_INIT;
    const char *path = option_text(run->o, "output");
    bool to_file = path && strcmp(path, "-") != 0;
    bool shows = !run->quiet && isatty(STDERR_FILENO) && (to_file || !isatty(STDOUT_FILENO));

    if (run->enclave.json && !to_file)
        return cli_fault_set(f, CLI_USAGE,
                             _("--json needs -o FILE: standard output carries the message"));
    int status = message_run_start(run, f);
    if (status != CLI_OK)
        return status;
    progress_start(&run->progress, shows, in->regular ? in->size : 0, 0);
    status = message_one(run, in, armored, path, &report, f);
    progress_end(&run->progress);
    return status == CLI_OK && run->enclave.json ? print_report(&report, in->name, path, f)
                                                 : status;
}

bool message_is_asked_for(const struct options *o)
{
    static const char *const names[] = {
        "input",  "output",          "armor",   "encryption-context", "frame-length", "suite",
        "key-id", "require-context", "gateway", "no-credentials"
    };

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        for (const struct option_def *d = o->program->options; d->name; d++)
            if (strcmp(d->name, names[i]) == 0 && option_text(o, names[i]))
                return true;
    return false;
}

int message_exit(const struct options *o, int status, struct cli_fault *f)
{
    if (status == CLI_OK || f->text.len == 0) /* options_u64() has had its say */
        return status;
    /* A folder's report says each fault in a line of its own. */
    bool folder = status != CLI_USAGE && message_is_folder(option_text(o, "input"));
    return cli_fault_print(o, f, option_flag(o, "json") && !folder);
}
