#include "bin/nitroseal/transfer.h"

#include <string.h>

#include "bin/nitroseal/interrupt.h"
#include "bin/nitroseal/link.h"

enum { PIECE_BYTES = 65536, ARMORED_MAX_BYTES = 1 << 20 };

struct flight {
    struct transfer *t;
    struct cli_fault *f; /* of the callback that failed */
    int status;          /* CLI_OK: none did */
    struct buf text;     /* armor: as read */
    struct buf bytes;    /* and what was in it, not taken yet */
    struct buf armored;  /* of the output */
    struct armor_in armor_in;
    struct armor_out armor_out;
};

static void flight_clear(struct flight *x)
{
    buf_clear(&x->text);
    buf_clear(&x->bytes);
    buf_clear(&x->armored);
}

static int no_memory(struct cli_fault *f)
{
    return cli_fault_set(f, CLI_FAILED, "%s", err_name(ERR_NOMEM));
}

/* ---- what the stream calls ---- */

/* Reading would wait for somebody. */
static int wait_fd(void *arg)
{
    const struct flight *x = arg;
    const struct input *in = x->t->in;

    return in->regular || in->start.len > 0 || in->ended || x->bytes.len > 0 ? -1 : in->fd;
}

static int read_input(struct flight *x, uint8_t *into, size_t room, size_t *n)
{
    struct transfer *t = x->t;
    struct why why = { 0 };

    if (input_read(t->in, into, room, n, &why) != ERR_OK)
        return input_failed(t->in, why.what, x->f);
    t->bytes_in += *n;
    progress_add(t->progress, *n, 0);
    return CLI_OK;
}

/* As many bytes as were announced, neither less nor more: else the file changed under us. */
static long take_plain(struct flight *x, uint8_t *into, size_t room)
{
    const struct input *in = x->t->in;
    uint64_t left = in->size - x->t->bytes_in;
    size_t n = 0;

    x->status = read_input(x, into, room, &n);
    if (x->status == CLI_OK && in->regular && (n > left || (n == 0 && left > 0)))
        x->status = input_failed(in, _("it changed while it was read"), x->f);
    return x->status == CLI_OK ? (long)n : NITROSEAL_READ_FAILED;
}

/* One piece of text; what is in it goes to x->bytes. */
static int read_armor(struct flight *x, bool *ended)
{
    struct why why = { 0 };
    uint8_t *into;
    size_t n = 0;

    buf_reset(&x->text);
    buf_reset(&x->bytes);
    if (buf_reserve(&x->text, PIECE_BYTES, &into) != ERR_OK)
        return no_memory(x->f);
    int status = read_input(x, into, PIECE_BYTES, &n);
    if (status != CLI_OK)
        return status;
    buf_commit(&x->text, n);
    *ended = n == 0;
    enum err r = n ? armor_take(&x->armor_in, buf_view(&x->text), &x->bytes, &why)
                   : armor_end(&x->armor_in, &why);
    if (r != ERR_OK)
        return cli_fault_set(x->f, CLI_FILE, _("%s: %s (at byte %zu)"), x->t->in->name, why.what,
                             why.at);
    return CLI_OK;
}

static long take_armor(struct flight *x, uint8_t *into, size_t room)
{
    bool ended = false;

    if (x->bytes.len == 0)
        x->status = read_armor(x, &ended);
    if (x->status != CLI_OK)
        return NITROSEAL_READ_FAILED;
    struct span s = span_sub(buf_view(&x->bytes), 0, room);
    if (s.len == 0)
        return ended ? 0 : NITROSEAL_READ_LATER; /* a line that holds no data yet */
    memcpy(into, s.ptr, s.len);
    buf_consume(&x->bytes, s.len);
    return (long)s.len;
}

static long read_some(void *arg, void *into, size_t room)
{
    struct flight *x = arg;

    return x->t->armor_in ? take_armor(x, into, room) : take_plain(x, into, room);
}

static int write_some(void *arg, const void *data, size_t len)
{
    struct flight *x = arg;
    struct span content = span_of(data, len);

    if (x->t->armor_out) {
        buf_reset(&x->armored);
        if (armor_put(&x->armor_out, content, &x->armored) != ERR_OK)
            return x->status = no_memory(x->f);
        content = buf_view(&x->armored);
    }
    return x->status = output_write(x->t->out, content, x->f);
}

/* ---- the whole ---- */

/* After the stream began: there is only the code. */
static int broken_off(const char *code, struct cli_fault *f)
{
    struct proto_answer a = { .error_code = { .raw = span_str(code) } };
    int status = cli_status_of(&a);

    if (strcmp(code, "message_not_authentic") == 0)
        return cli_fault_set(f, status,
                             _("the message is not authentic: it was changed, or is not whole; "
                               "nothing of it may be used"));
    if (strcmp(code, "read_timeout") == 0)
        return cli_fault_set(f, status,
                             _("the input stood still for longer than the service waits "
                               "(--read-timeout of nitroseald): nothing of it may be used"));
    return cli_fault_set(f, status, _("the service broke off (%s): nothing of it may be used"),
                         code);
}

static int failed(struct transfer *t, const struct nitroseal_error *error, struct cli_fault *f)
{
    struct proto_answer a = { .error = JSON_STR_NONE };

    if (error->status == NITROSEAL_STOPPED)
        return cli_fault_set(f, CLI_INTERRUPTED, _("interrupted"));
    if (error->status == NITROSEAL_INVALID)
        return cli_fault_set(f, CLI_USAGE, _("context or key id cannot be written in a request"));
    if (strcmp(error->code, "not_http") == 0)
        return cli_fault_set(f, CLI_UNREACHABLE, _("the answer is not of the HTTP API: %s"),
                             error->detail);
    if (strcmp(error->code, "not_whole") == 0)
        return cli_fault_set(f, CLI_UNREACHABLE,
                             _("the answer ended before it was whole: nothing of it may be used"));
    if (strcmp(error->code, "http_status") == 0)
        return cli_fault_set(f, CLI_FAILED,
                             _("the service answered with HTTP status %u: is it one that knows "
                               "messages?"),
                             (unsigned)error->http_status);
    if (error->http_status == 200)
        return broken_off(error->code, f);
    int status = cli_library_failed(t->enclave, error, &a, f);
    t->is_expired = error->kms_type && strcmp(error->kms_type, "ExpiredTokenException") == 0;
    t->is_forgotten = strcmp(error->code, "no_credentials") == 0;
    return status;
}

static enum nitroseal_status ask(struct transfer *t, struct nitroseal_stream *s,
                                 struct nitroseal_error **error)
{
    switch (t->op) {
    case MESSAGE_ENCRYPT:
        return nitroseal_encrypt_stream(t->ns, s, &t->done, t->timeout_ms, error);
    case MESSAGE_DECRYPT:
        return nitroseal_decrypt_stream(t->ns, s, &t->done, t->timeout_ms, error);
    case MESSAGE_REWRAP:
        break;
    }
    return nitroseal_rewrap_stream(t->ns, s, &t->done, t->timeout_ms, error);
}

int transfer_run(struct transfer *t, struct cli_fault *f)
{
    AUTO(flight_clear)
    struct flight x = { .t = t,
                        .f = f,
                        .text = BUF_INIT(PIECE_BYTES),
                        .bytes = BUF_INIT(PIECE_BYTES),
                        .armored = BUF_INIT(ARMORED_MAX_BYTES) };
    struct nitroseal_stream s = *t->stream;
    struct nitroseal_error *error = NULL;

    s.read = read_some;
    s.wait_fd = wait_fd;
    s.write = write_some;
    s.arg = &x;
    s.stop_fd = interrupt_fd() > 0 ? interrupt_fd() : 0;
    s.has_length = t->in->regular && !t->armor_in;
    s.length = t->in->size;
    t->is_expired = t->is_forgotten = false;
    t->bytes_in = 0;
    if (ask(t, &s, &error) != NITROSEAL_OK) {
        /* A callback that failed has said why. */
        int status = x.status != CLI_OK ? x.status : failed(t, error, f);
        nitroseal_error_free(error);
        return status;
    }
    if (!t->armor_out)
        return CLI_OK;
    buf_reset(&x.armored);
    if (armor_finish(&x.armor_out, &x.armored) != ERR_OK)
        return no_memory(f);
    return output_write(t->out, buf_view(&x.armored), f);
}
