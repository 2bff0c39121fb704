#include "bin/nitroseal/transfer.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "bin/nitroseal/cli.h"
#include "bin/nitroseal/interrupt.h"
#include "io/sys.h"

enum {
    PIECE_BYTES = 65536, /* a vsock is fastest with writes of this size */
    RECEIVE_BYTES = 262144,
    CHUNK_HEAD_BYTES = 10, /* eight digits, CRLF */
    CHUNK_TAIL_BYTES = 2,
    HEAD_MAX_BYTES = 65536,
};

struct flight {
    struct transfer *t;
    int sock;
    struct buf send; /* the head, or one piece with what frames it */
    size_t sent;     /* of `send` */
    struct buf text; /* armor: as read */
    struct buf receive;
    struct buf armored; /* of the output */
    struct armor_in armor_in;
    struct armor_out armor_out;
    bool input_over;   /* nothing follows what is in `send` */
    bool gave_up;      /* the service takes no more */
    bool ended;        /* it has ended the connection */
    uint64_t moved_ns; /* when something last went either way */
};

static void flight_clear(struct flight *x)
{
    fd_close(&x->sock);
    buf_clear(&x->send);
    buf_clear(&x->text);
    buf_clear(&x->receive);
    buf_clear(&x->armored);
}

static int no_memory(struct cli_fault *f)
{
    return cli_fault_set(f, CLI_FAILED, "%s", err_name(ERR_NOMEM));
}

/* ---- input ---- */

static bool is_sendable(const struct flight *x)
{
    return x->sent < x->send.len && !x->gave_up;
}

static bool wants_input(const struct flight *x)
{
    return !x->input_over && !x->gave_up && x->sent == x->send.len;
}

/* Reading it would wait for somebody. */
static bool input_may_block(const struct flight *x)
{
    const struct input *in = x->t->in;

    return !in->regular && in->start.len == 0 && !in->ended;
}

/* As many bytes as were announced, neither less nor more: else the file changed under us. */
static int take_announced(struct flight *x, uint8_t *into, size_t *n, struct cli_fault *f)
{
    struct transfer *t = x->t;
    uint64_t left = t->request.length - t->bytes_in;
    struct why why = { 0 };

    /* One more than is left: the end is seen, and what was added too. */
    if (input_read(t->in, into, left < PIECE_BYTES ? (size_t)left + 1 : PIECE_BYTES, n, &why) !=
        ERR_OK)
        return input_failed(t->in, why.what, f);
    if (*n > left || (*n == 0 && left > 0))
        return input_failed(t->in, _("it changed while it was read"), f);
    x->input_over = *n == 0;
    return CLI_OK;
}

static int take_plain(struct flight *x, size_t *n, struct cli_fault *f)
{
    struct why why = { 0 };
    uint8_t *into;

    if (buf_reserve(&x->send, PIECE_BYTES + 1, &into) != ERR_OK)
        return no_memory(f);
    int status = CLI_OK;
    if (x->t->request.has_length)
        status = take_announced(x, into, n, f);
    else if (input_read(x->t->in, into, PIECE_BYTES, n, &why) != ERR_OK)
        status = input_failed(x->t->in, why.what, f);
    else
        x->input_over = *n == 0;
    if (status == CLI_OK)
        buf_commit(&x->send, *n);
    return status;
}

static int take_armor(struct flight *x, size_t *n, struct cli_fault *f)
{
    struct why why = { 0 };
    uint8_t *into;

    buf_reset(&x->text);
    if (buf_reserve(&x->text, PIECE_BYTES, &into) != ERR_OK)
        return no_memory(f);
    if (input_read(x->t->in, into, PIECE_BYTES, n, &why) != ERR_OK)
        return input_failed(x->t->in, why.what, f);
    buf_commit(&x->text, *n);
    x->input_over = *n == 0;
    enum err r = *n ? armor_take(&x->armor_in, buf_view(&x->text), &x->send, &why)
                    : armor_end(&x->armor_in, &why);
    if (r != ERR_OK)
        return cli_fault_set(f, CLI_FILE, _("%s: %s (at byte %zu)"), x->t->in->name, why.what,
                             why.at);
    return CLI_OK;
}

/* The chunk's size into the room that was left for it. A piece of nothing is no chunk: that would
 * be the last one. */
static enum err frame_chunk(struct flight *x)
{
    static const char digits[] = "0123456789abcdef";
    size_t n = x->send.len - CHUNK_HEAD_BYTES;

    if (n == 0)
        buf_reset(&x->send);
    for (unsigned i = 0; i < 8 && n; i++)
        x->send.ptr[7 - i] = (uint8_t)digits[n >> (4 * i) & 15];
    enum err r = n ? buf_append_str(&x->send, "\r\n") : ERR_OK;
    return r == ERR_OK && x->input_over ? buf_append_str(&x->send, "0\r\n\r\n") : r;
}

/* The next piece into `send`, which is empty. */
static int fill(struct flight *x, struct cli_fault *f)
{
    struct transfer *t = x->t;
    bool chunked = !t->request.has_length;
    size_t n = 0;

    buf_reset(&x->send);
    x->sent = 0;
    if (chunked && buf_append_str(&x->send, "00000000\r\n") != ERR_OK)
        return no_memory(f);
    int status = t->armor_in ? take_armor(x, &n, f) : take_plain(x, &n, f);
    if (status != CLI_OK)
        return status;
    t->bytes_in += n;
    progress_add(t->progress, n, 0);
    if (chunked && frame_chunk(x) != ERR_OK)
        return no_memory(f);
    if (x->input_over)
        x->moved_ns = clock_mono_ns(); /* from here on it is the service's time */
    return CLI_OK;
}

/* ---- the connection ---- */

static void send_some(struct flight *x)
{
    while (is_sendable(x)) {
        struct span rest = span_from(buf_view(&x->send), x->sent);
        ssize_t n = send(x->sock, rest.ptr, rest.len, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN)
            x->gave_up = true; /* its answer, if there is one, says why */
        if (n <= 0)
            return;
        x->sent += (size_t)n;
        x->moved_ns = clock_mono_ns();
    }
}

static int put_out(struct flight *x, struct span content, struct cli_fault *f)
{
    if (!x->t->armor_out)
        return output_write(x->t->out, content, f);
    buf_reset(&x->armored);
    if (armor_put(&x->armor_out, content, &x->armored) != ERR_OK)
        return no_memory(f);
    return output_write(x->t->out, buf_view(&x->armored), f);
}

static int take_answer(struct flight *x, struct span in, struct cli_fault *f)
{
    struct stream_answer *a = &x->t->answer;
    struct why why = { 0 };
    enum err r = ERR_OK;
    int status = CLI_OK;

    while (status == CLI_OK && r == ERR_OK && (in.len || !a->is_over)) {
        struct span content;
        r = stream_answer_take(a, &in, &content, &why);
        if (r != ERR_OK && r != ERR_MORE)
            return cli_fault_set(f, CLI_UNREACHABLE, _("the answer is not of the HTTP API: %s"),
                                 why.what ? why.what : err_name(r));
        if (content.len)
            status = put_out(x, content, f);
    }
    if (a->has_head && (a->status != 200 || a->code[0]))
        x->gave_up = true;
    return status;
}

static int receive_some(struct flight *x, struct cli_fault *f)
{
    uint8_t *into;

    buf_truncate(&x->receive, 0);
    if (buf_reserve(&x->receive, RECEIVE_BYTES, &into) != ERR_OK)
        return no_memory(f);
    ssize_t n = recv(x->sock, into, RECEIVE_BYTES, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return CLI_OK;
    x->ended = n <= 0;
    if (n <= 0)
        return CLI_OK;
    x->moved_ns = clock_mono_ns();
    return take_answer(x, span_of(into, (size_t)n), f);
}

/* ---- the whole ---- */

static bool is_finished(const struct flight *x)
{
    return x->t->answer.is_over || x->ended;
}

/* Milliseconds until patience ends; -1: it is our input that is waited for. 0: it has ended. */
static int patience_ms(const struct flight *x, bool on_input)
{
    uint64_t now = clock_mono_ns(), end = x->moved_ns + x->t->timeout_ns;

    if (on_input)
        return -1;
    return now >= end ? 0 : (int)((end - now) / NS_PER_MS) + 1;
}

static int turn(struct flight *x, struct cli_fault *f)
{
    bool on_input = wants_input(x);
    struct pollfd p[] = {
        { .fd = x->sock, .events = (short)(POLLIN | (is_sendable(x) ? POLLOUT : 0)) },
        { .fd = on_input ? x->t->in->fd : -1, .events = POLLIN },
        { .fd = interrupt_fd(), .events = POLLIN },
    };
    int wait = patience_ms(x, on_input);
    int n = wait == 0 ? 0 : poll(p, 3, wait);

    if (interrupt_came())
        return cli_fault_set(f, CLI_INTERRUPTED, _("interrupted"));
    if (n == 0 && wait >= 0)
        return cli_unreachable(x->t->enclave, ERR_TIMEOUT, NULL, f);
    if (n < 0 && errno != EINTR)
        return cli_fault_set(f, CLI_FAILED, "poll: %s", errno_what(errno));
    if (n <= 0)
        return CLI_OK;
    int status = p[0].revents & ~POLLOUT ? receive_some(x, f) : CLI_OK;
    if (status == CLI_OK && p[1].revents)
        status = fill(x, f);
    return status;
}

static int fly(struct flight *x, struct cli_fault *f)
{
    int status = CLI_OK;

    while (status == CLI_OK && !is_finished(x)) {
        if (wants_input(x) && !input_may_block(x))
            status = fill(x, f);
        send_some(x);
        if (status == CLI_OK)
            status = wants_input(x) && !input_may_block(x) ? CLI_OK : turn(x, f);
    }
    return status;
}

/* After the stream began: there is only the code. */
static int broken_off(const struct transfer *t, struct cli_fault *f)
{
    const char *code = t->answer.code;
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

static int refused(struct transfer *t, struct cli_fault *f)
{
    struct proto_answer a;

    stream_problem_parse(buf_view(&t->answer.problem), &a);
    if (!json_str_is_set(a.error))
        return cli_fault_set(f, CLI_FAILED,
                             _("the service answered with HTTP status %u: is it one that knows "
                               "messages?"),
                             t->answer.status);
    t->is_expired = json_str_is(a.kms_type, "ExpiredTokenException");
    t->is_forgotten = json_str_is(a.error_code, "no_credentials");
    return cli_refused(&a, f);
}

static int verdict(struct flight *x, struct cli_fault *f)
{
    const struct stream_answer *a = &x->t->answer;

    if (!a->has_head)
        return cli_fault_set(f, CLI_UNREACHABLE,
                             _("the enclave closed the connection without an "
                               "answer: look at its log"));
    if (a->status != 200)
        return refused(x->t, f);
    if (a->code[0])
        return broken_off(x->t, f);
    if (!stream_answer_is_good(a) || !x->input_over || x->sent < x->send.len)
        return cli_fault_set(f, CLI_UNREACHABLE,
                             _("the answer ended before it was whole: nothing of it may be used"));
    if (!x->t->armor_out)
        return CLI_OK;
    buf_reset(&x->armored);
    if (armor_finish(&x->armor_out, &x->armored) != ERR_OK)
        return no_memory(f);
    return output_write(x->t->out, buf_view(&x->armored), f);
}

int transfer_run(struct transfer *t, struct cli_fault *f)
{
    AUTO(flight_clear)
    struct flight x = {
        .t = t,
        .sock = -1,
        .send = BUF_INIT(HEAD_MAX_BYTES + PIECE_BYTES),
        .text = BUF_INIT(PIECE_BYTES),
        .receive = BUF_INIT(RECEIVE_BYTES),
        .armored = BUF_INIT(2 * RECEIVE_BYTES),
    };
    struct why why = { 0 };

    stream_answer_clear(&t->answer);
    t->request.has_length = t->in->regular && !t->armor_in;
    t->request.length = t->in->size;
    t->is_expired = t->is_forgotten = false;
    t->bytes_in = 0;
    if (stream_request_write(&t->request, &x.send) != ERR_OK)
        return cli_fault_set(f, CLI_USAGE, _("context or key id cannot be written in a request"));
    uint64_t deadline_ns = clock_mono_ns() + t->timeout_ns;
    enum err r = addr_connect(&t->enclave->at, deadline_ns, &x.sock, &why);
    if (r != ERR_OK)
        return cli_unreachable(t->enclave, r, &why, f);
    x.moved_ns = clock_mono_ns();
    int status = fly(&x, f);
    return status == CLI_OK ? verdict(&x, f) : status;
}
