/* One question to the enclave: seed protocol over one connection. */
#include <sys/socket.h>

#include "bin/nitroseal/cli.h"
#include "io/sys.h"

void cli_exchange_clear(struct cli_exchange *x)
{
    buf_clear(&x->bytes);
    nitroseal_message_clear(&x->message);
    nitroseal_bytes_clear(&x->text);
    nitroseal_error_free(x->error);
    x->error = NULL;
}

int cli_unreachable(const struct cli_enclave *e, enum err r, const struct why *why,
                    struct cli_fault *f)
{
    char at[2 * ADDR_TEXT_BYTES];

    addr_text(&e->at, at, sizeof at);
    if (e->at.kind == ADDR_VSOCK_UNIX) /* whose numbers mean nothing without the folder */
        snprintf(at, sizeof at, "%u:%u in unix:%s", e->at.cid, e->at.port, e->at.path);
    if (r == ERR_TIMEOUT)
        return cli_fault_set(f, CLI_UNREACHABLE,
                             _("the enclave at %s did not answer in time: look at its log, or give "
                               "it longer with --timeout"),
                             at);
    return cli_fault_set(f, CLI_UNREACHABLE,
                         _("could not reach the enclave at %s (%s): is it running, and are --cid, "
                           "--port and NITROSEAL_VSOCK those it listens on?"),
                         at, why && why->what ? why->what : err_name(r));
}

int cli_status_of(const struct proto_answer *a)
{
    static const struct {
        const char *code;
        int status;
    } codes[] = {
        { "kms_refused", CLI_REFUSED },
        { "key_mismatch", CLI_UNVERIFIED },
        { "message_not_authentic", CLI_UNVERIFIED },
        { "context_mismatch", CLI_UNVERIFIED },
        { "no_key", CLI_UNVERIFIED },
        { "message_malformed", CLI_FILE },
        { "message_unsupported", CLI_FILE },
        { "message_limit", CLI_FILE },
        { "no_credentials", CLI_SETTINGS },
    };

    if (json_str_is_set(a->kms_type))
        return CLI_REFUSED;
    for (size_t i = 0; i < sizeof codes / sizeof codes[0] && json_str_is_set(a->error_code); i++)
        if (json_str_is(a->error_code, codes[i].code))
            return codes[i].status;
    /* The original's only text for a tag that does not hold; the others are ours. */
    if (json_str_is_set(a->error) && json_str_is(a->error, "Failed to decrypt text"))
        return CLI_UNVERIFIED;
    return CLI_FAILED;
}

static void append_part(struct buf *out, const char *before, struct json_str part,
                        const char *after)
{
    if (!json_str_is_set(part) || part.raw.len == 0)
        return;
    cli_append_clean(out, span_str(before));
    cli_append_member(out, part);
    cli_append_clean(out, span_str(after));
}

/* What the enclave said, as it said it. */
static void refusal_write(const struct proto_answer *a, struct cli_fault *f)
{
    struct json_out w = json_out_init(&f->json);

    json_out_object(&w);
    cli_json_member(&w, "error", a->error);
    json_out_key(&w, "exit_status");
    json_out_int(&w, f->status);
    cli_json_member(&w, "error_code", a->error_code);
    cli_json_member(&w, "detail", a->detail);
    cli_json_member(&w, "hint", a->hint);
    cli_json_member(&w, "kms_type", a->kms_type);
    cli_json_member(&w, "kms_message", a->kms_message);
    cli_json_member(&w, "kms_request_id", a->kms_request_id);
    cli_json_member(&w, "request_id", a->request_id);
    json_out_object_end(&w);
    if (json_out_end(&w) != ERR_OK || buf_append_byte(&f->json, '\n') != ERR_OK)
        buf_reset(&f->json); /* the line alone, then */
}

/* One line: the error, what KMS said, and what to do about it. */
int cli_refused(const struct proto_answer *a, struct cli_fault *f)
{
    int status = cli_fault_set(f, cli_status_of(a), "%s", "");

    refusal_write(a, f);
    cli_append_member(&f->text, a->error);
    if (json_str_is_set(a->kms_type)) {
        append_part(&f->text, ": ", a->kms_type, "");
        append_part(&f->text, ": ", a->kms_message, "");
        append_part(&f->text, _(" (KMS request "), a->kms_request_id, ")");
    } else {
        append_part(&f->text, ": ", a->detail, "");
    }
    append_part(&f->text, _("; hint: "), a->hint, "");
    return status;
}

static int send_and_read(int fd, const struct cli_enclave *e, struct span request,
                         struct cli_exchange *x, struct cli_fault *f)
{
    struct why why = { 0 }, why_send = { 0 };
    /* A service that refuses before it has read everything closes its side: its answer counts
     * more than our failure to send, so read in any case. */
    enum err sent = fd_write_all(fd, request, e->deadline_ns, &why_send);
    if (sent == ERR_TIMEOUT)
        return cli_unreachable(e, sent, &why_send, f);
    (void)shutdown(fd, SHUT_WR);
    enum err r = fd_read_all(fd, &x->bytes, e->deadline_ns, &why);
    if (r != ERR_OK)
        return cli_unreachable(e, r, sent == ERR_OK ? &why : &why_send, f);
    if (x->bytes.len > 0)
        return CLI_OK;
    if (sent != ERR_OK)
        return cli_unreachable(e, sent, &why_send, f);
    return cli_fault_set(f, CLI_UNREACHABLE,
                         _("the enclave closed the connection without an answer: look at its log"));
}

int cli_ask(const struct cli_enclave *e, enum proto_op op, struct span request,
            struct cli_exchange *x, struct cli_fault *f)
{
    AUTO(fd_close) int fd = -1;
    struct why why = { 0 };
    enum err r = addr_connect(&e->at, e->deadline_ns, &fd, &why);

    if (r != ERR_OK)
        return cli_unreachable(e, r, &why, f);
    int status = send_and_read(fd, e, request, x, f);
    if (status != CLI_OK)
        return status;
    if (proto_answer_parse(buf_view(&x->bytes), op, &x->answer, &why) != ERR_OK)
        return cli_fault_set(f, CLI_FAILED, _("the answer is not of the seed protocol: %s"),
                             why.what);
    return json_str_is_set(x->answer.error) ? cli_refused(&x->answer, f) : CLI_OK;
}
