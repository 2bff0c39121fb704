/* stream.c - messages of any length: the body goes out while the answer comes back, in memory that
 * does not depend on its length.
 *
 * What comes is handed on at once, and means nothing before the end: only an answer that ended with
 * its last chunk and the trailer that says "ok", after all of the input was sent, is good. */
#include "client/stream.h"

#include <stdlib.h>

#include "lib/handle.h"

enum {
    PIECE_BYTES = 65536, /* a vsock is fastest with writes of this size */
    RECEIVE_BYTES = 262144,
    CHUNK_HEAD_BYTES = 10, /* eight digits, CRLF */
    HEAD_MAX_BYTES = 65536,
    FRAME_LENGTH_MAX_BYTES = 1 << 20,
};

struct flight {
    struct lib_call *c;
    const struct nitroseal_stream *s;
    struct client_pair context[CLIENT_STREAM_PAIRS_MAX], required[CLIENT_STREAM_PAIRS_MAX];
    struct client_question question;
    struct client_stream answer;
    struct buf send; /* the head, or one piece with what frames it */
    size_t sent;     /* of `send` */
    struct buf receive;
    uint64_t bytes_in, bytes_out;
    uint64_t patience_ns, moved_ns; /* when something last went either way */
    bool input_over;                /* nothing follows what is in `send` */
    bool gave_up;                   /* the service takes no more */
    bool ended;                     /* it has ended the connection */
};

static void flight_free(struct flight **at)
{
    struct flight *x = *at;

    if (!x)
        return;
    client_stream_clear(&x->answer);
    buf_clear(&x->send);
    buf_clear(&x->receive);
    free(x);
}

/* ---- what is asked ---- */

static enum nitroseal_status read_pairs(struct nitroseal_error **error,
                                        const struct nitroseal_pair *in, size_t n,
                                        struct client_pair out[static CLIENT_STREAM_PAIRS_MAX])
{
    struct why why = { 0 };

    if (n > CLIENT_STREAM_PAIRS_MAX || (n > 0 && !in))
        return lib_invalid(error, "a stream takes at most 64 pairs of each kind", NULL);
    for (size_t i = 0; i < n; i++) {
        if (!in[i].name || !in[i].value)
            return lib_invalid(error, "a pair of the context is NULL", NULL);
        out[i] = (struct client_pair){ span_str(in[i].name), span_str(in[i].value) };
        if (client_pair_check(&out[i], &why) != ERR_OK)
            return lib_invalid(error, "a pair of the context is not one that can be bound",
                               why.what);
        for (size_t k = 0; k < i; k++)
            if (span_eq(out[k].name, out[i].name))
                return lib_invalid(error, "a name of the context is there twice", in[i].name);
    }
    return NITROSEAL_OK;
}

static enum nitroseal_status check(struct nitroseal_error **error, enum client_stream_op op,
                                   const struct nitroseal_stream *s)
{
    bool seals = op != CLIENT_STREAM_DECRYPT, opens = op != CLIENT_STREAM_ENCRYPT;

    if (!s || s->size != sizeof *s)
        return lib_invalid(error, "the stream is NULL, or its size is not that of this library's",
                           NULL);
    if (!s->read || !s->write)
        return lib_invalid(error, "a stream needs read and write", NULL);
    if (!seals && (s->n_context > 0 || s->suite || s->key_id || s->frame_length))
        return lib_invalid(error, "context, suite, key and frames belong to a message that is made",
                           NULL);
    if (!opens && s->n_required > 0)
        return lib_invalid(error, "what is required belongs to a message that is opened", NULL);
    if (s->frame_length > FRAME_LENGTH_MAX_BYTES)
        return lib_invalid(error, "the frame length is not from 1 to 1,048,576", NULL);
    return NITROSEAL_OK;
}

static enum nitroseal_status make(struct flight **out, enum client_stream_op op,
                                  const struct nitroseal_stream *s, struct nitroseal_error **error)
{
    struct flight *x = calloc(1, sizeof *x);

    if (!x)
        return lib_no_memory(error);
    *out = x;
    client_stream_init(&x->answer);
    x->s = s;
    x->send = BUF_INIT(HEAD_MAX_BYTES + PIECE_BYTES);
    x->receive = BUF_INIT(RECEIVE_BYTES);
    x->question = (struct client_question){ .op = op,
                                            .context = x->context,
                                            .n_context = s->n_context,
                                            .required = x->required,
                                            .n_required = s->n_required,
                                            .suite = s->suite,
                                            .key_id = s->key_id,
                                            .frame_length = s->frame_length,
                                            .has_length = s->has_length != 0,
                                            .length = s->length };
    enum nitroseal_status r = read_pairs(error, s->context, s->n_context, x->context);
    return r == NITROSEAL_OK ? read_pairs(error, s->required, s->n_required, x->required) : r;
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

/* The descriptor to wait for before the next read; -1: none. */
static int input_fd(const struct flight *x)
{
    return x->s->wait_fd ? x->s->wait_fd(x->s->arg) : -1;
}

static enum nitroseal_status stopped(const struct flight *x, const char *text)
{
    const struct lib_fault f = { .status = NITROSEAL_STOPPED, .code = "stopped", .text = text };

    return lib_fail(x->c->error, &f);
}

/* The chunk's size into the room that was left for it. A piece of nothing is no chunk: that would
 * be the last one. */
static enum err frame_chunk(struct flight *x, size_t n)
{
    static const char digits[] = "0123456789abcdef";

    if (n == 0)
        buf_reset(&x->send);
    for (unsigned i = 0; i < 8 && n; i++)
        x->send.ptr[7 - i] = (uint8_t)digits[n >> (4 * i) & 15];
    enum err r = n ? buf_append_str(&x->send, "\r\n") : ERR_OK;
    return r == ERR_OK && x->input_over ? buf_append_str(&x->send, "0\r\n\r\n") : r;
}

/* What a read gave: to be believed only as far as there was room, and as was announced. */
static enum nitroseal_status judge_read(struct flight *x, long got, size_t room)
{
    uint64_t left = x->question.length - x->bytes_in;

    if (got == NITROSEAL_READ_FAILED)
        return stopped(x, "the stream's read ended it");
    if (got < 0 || (size_t)got > room)
        return lib_invalid(x->c->error, "read returned a number that it may not", NULL);
    if (x->question.has_length && ((uint64_t)got > left || (got == 0 && left > 0)))
        return lib_invalid(x->c->error, "read gave fewer bytes than `length`, or more", NULL);
    return NITROSEAL_OK;
}

/* The next piece into `send`, which is empty. */
static enum nitroseal_status fill(struct flight *x)
{
    bool is_chunked = !x->question.has_length;
    uint64_t left = x->question.length - x->bytes_in;
    /* One more than is left: what is too much is seen. */
    size_t room = is_chunked || left >= PIECE_BYTES ? PIECE_BYTES : (size_t)left + 1;
    uint8_t *into;

    buf_reset(&x->send);
    x->sent = 0;
    if ((is_chunked && buf_append_str(&x->send, "00000000\r\n") != ERR_OK) ||
        buf_reserve(&x->send, room, &into) != ERR_OK)
        return lib_no_memory(x->c->error);
    long got = x->s->read(x->s->arg, into, room);
    if (got == NITROSEAL_READ_LATER && x->s->wait_fd) {
        buf_reset(&x->send);
        return NITROSEAL_OK;
    }
    enum nitroseal_status s = judge_read(x, got, room);
    if (s != NITROSEAL_OK)
        return s;
    buf_commit(&x->send, (size_t)got);
    x->bytes_in += (uint64_t)got;
    x->input_over = got == 0;
    /* The time that it took was the caller's. */
    x->moved_ns = clock_mono_ns();
    if (is_chunked && frame_chunk(x, (size_t)got) != ERR_OK)
        return lib_no_memory(x->c->error);
    return NITROSEAL_OK;
}

/* ---- the connection ---- */

static void send_some(struct flight *x)
{
    struct why why = { 0 };
    enum err r = ERR_OK;

    while (is_sendable(x) && r == ERR_OK) {
        struct span rest = span_from(buf_view(&x->send), x->sent);
        size_t before = rest.len;
        bool is_broken = false;
        r = talk_send(x->c->ns->fd, &rest, &is_broken, &why);
        if (is_broken || (r != ERR_OK && r != ERR_MORE)) {
            x->gave_up = true; /* its answer, if there is one, says why */
            return;
        }
        if (r == ERR_OK) {
            x->sent += before - rest.len;
            x->moved_ns = clock_mono_ns();
        }
    }
}

static enum nitroseal_status take_answer(struct flight *x, struct span in)
{
    struct client_stream *a = &x->answer;
    struct why why = { 0 };
    enum err r = ERR_OK;

    while (r == ERR_OK && (in.len || !a->is_over)) {
        struct span content;
        r = client_stream_take(a, &in, &content, &why);
        if (r == ERR_NOMEM)
            return lib_no_memory(x->c->error);
        if (r != ERR_OK && r != ERR_MORE)
            return lib_not_http(x->c, why.what ? why.what : err_name(r));
        if (content.len && x->s->write(x->s->arg, content.ptr, content.len) != 0)
            return stopped(x, "the stream's write ended it");
        x->bytes_out += content.len;
    }
    x->moved_ns = clock_mono_ns(); /* without what `write` took */
    if (a->has_head && (a->status != 200 || a->code[0]))
        x->gave_up = true;
    return NITROSEAL_OK;
}

static enum nitroseal_status receive_some(struct flight *x)
{
    uint8_t *into;
    size_t n = 0;

    if (buf_reserve(&x->receive, RECEIVE_BYTES, &into) != ERR_OK)
        return lib_no_memory(x->c->error);
    enum err r = talk_receive(x->c->ns->fd, into, RECEIVE_BYTES, &n, NULL);
    if (r == ERR_MORE)
        return NITROSEAL_OK;
    x->ended = r != ERR_OK || n == 0;
    return x->ended ? NITROSEAL_OK : take_answer(x, span_of(into, n));
}

/* Wait until something can move. While it is our input that is waited for, there is no hurry. */
static enum nitroseal_status turn(struct flight *x, int from)
{
    int stop = x->s->stop_fd > 0 ? x->s->stop_fd : -1;
    unsigned ready = 0;
    struct why why = { 0 };
    enum err r = talk_wait(x->c->ns->fd, is_sendable(x), from, stop,
                           from >= 0 ? 0 : x->moved_ns + x->patience_ns, &ready, &why);

    if (r == ERR_TIMEOUT)
        return lib_timed_out(x->c);
    if (r != ERR_OK)
        return lib_unreachable(x->c, "closed", "the connection to the enclave broke", why.what);
    if (ready & TALK_STOP)
        return stopped(x, "the stream was stopped");
    enum nitroseal_status s = ready & TALK_PEER ? receive_some(x) : NITROSEAL_OK;
    return s == NITROSEAL_OK && ready & TALK_INPUT ? fill(x) : s;
}

static enum nitroseal_status fly(struct flight *x)
{
    enum nitroseal_status s = NITROSEAL_OK;

    while (s == NITROSEAL_OK && !x->answer.is_over && !x->ended) {
        send_some(x);
        int from = wants_input(x) ? input_fd(x) : -1;
        /* As long as both sides go on by themselves, what comes back can wait a moment. */
        s = wants_input(x) && from < 0 ? fill(x) : turn(x, from);
    }
    return s;
}

/* ---- what it comes to ---- */

/* The service took back what it had begun: there is only its code. */
static enum nitroseal_status broken_off(struct flight *x)
{
    const char *code = x->answer.code;
    const struct client_problem p = { .code = { .raw = span_str(code) } };
    bool is_altered = strcmp(code, "message_not_authentic") == 0;
    const struct lib_fault f = {
        .status = lib_status_of(&p),
        .code = code,
        .text = is_altered ? "the message is not authentic: it was changed, or is not whole"
                           : "the service broke off",
        .hint = "nothing of what was written may be used",
    };
    enum nitroseal_status s = lib_fail(x->c->error, &f);

    if (x->c->error && s != NITROSEAL_NO_MEMORY)
        (*x->c->error)->http_status = (int)x->answer.status;
    return s;
}

static enum nitroseal_status not_whole(struct flight *x)
{
    const struct lib_fault f = {
        .status = NITROSEAL_UNREACHABLE,
        .code = "not_whole",
        .text = "the answer ended before it was whole",
        .hint = "nothing of what was written may be used",
    };

    return lib_fail(x->c->error, &f);
}

static enum nitroseal_status verdict(struct flight *x)
{
    const struct client_stream *a = &x->answer;

    if (!a->has_head)
        return lib_unreachable(x->c, "closed", "the connection to the enclave broke",
                               "closed without an answer");
    if (a->status != 200) {
        const struct client_refusal refusal = client_stream_refusal(a);
        struct client_problem p;
        client_problem_parse(&refusal, &p);
        return lib_problem(x->c->error, &p);
    }
    if (a->code[0])
        return broken_off(x);
    if (!client_stream_is_good(a) || !x->input_over || x->sent < x->send.len)
        return not_whole(x);
    return NITROSEAL_OK;
}

void nitroseal_streamed_clear(struct nitroseal_streamed *t)
{
    free(t->suite);
    free(t->key_id);
    free(t->request_id);
    *t = (struct nitroseal_streamed){ .bytes_in = 0 };
}

static enum nitroseal_status report(struct flight *x, struct nitroseal_streamed *out)
{
    AUTO(nitroseal_streamed_clear)
    struct nitroseal_streamed t = { .bytes_in = x->bytes_in, .bytes_out = x->bytes_out };
    enum err r = lib_text(x->answer.suite, &t.suite);

    if (r == ERR_OK)
        r = lib_text(x->answer.key_id, &t.key_id);
    if (r == ERR_OK)
        r = lib_text(x->answer.request_id, &t.request_id);
    if (r != ERR_OK)
        return lib_no_memory(x->c->error);
    *out = t;
    t = (struct nitroseal_streamed){ .bytes_in = 0 };
    return NITROSEAL_OK;
}

/* A connection of its own: one that was kept may be gone, and a stream cannot be sent twice. */
static enum nitroseal_status run(struct flight *x, struct lib_call *c)
{
    enum err r = client_stream_write(&x->question, &x->send);

    x->c = c;
    if (r != ERR_OK)
        return lib_not_written(c, r);
    fd_close(&c->ns->fd);
    enum nitroseal_status s = lib_call_connect(c);
    if (s != NITROSEAL_OK)
        return s;
    x->moved_ns = clock_mono_ns();
    s = fly(x);
    return s == NITROSEAL_OK ? verdict(x) : s;
}

static enum nitroseal_status stream(struct nitroseal *ns, enum client_stream_op op,
                                    const struct nitroseal_stream *s,
                                    struct nitroseal_streamed *out, long timeout_ms,
                                    struct nitroseal_error **error)
{
    AUTO(lib_call_end) struct lib_call c = { 0 };
    AUTO(flight_free) struct flight *x = NULL;
    enum nitroseal_status r = check(error, op, s);

    if (r == NITROSEAL_OK)
        r = make(&x, op, s, error);
    if (r == NITROSEAL_OK)
        r = lib_call_begin(&c, ns, timeout_ms, error);
    if (r != NITROSEAL_OK)
        return r;
    if (ns->has_credentials)
        return lib_invalid(error,
                           "streams use the credentials that the service holds, and this "
                           "handle has some of its own",
                           "nitroseal_put_credentials() hands them to the service");
    x->patience_ns = (timeout_ms ? (uint64_t)timeout_ms : ns->timeout_ms) * NS_PER_MS;
    r = run(x, &c);
    if (r != NITROSEAL_OK || !x->answer.keep_alive)
        fd_close(&ns->fd);
    return r == NITROSEAL_OK && out ? report(x, out) : r;
}

enum nitroseal_status nitroseal_encrypt_stream(struct nitroseal *ns,
                                               const struct nitroseal_stream *s,
                                               struct nitroseal_streamed *out, long timeout_ms,
                                               struct nitroseal_error **error)
{
    return stream(ns, CLIENT_STREAM_ENCRYPT, s, out, timeout_ms, error);
}

enum nitroseal_status nitroseal_decrypt_stream(struct nitroseal *ns,
                                               const struct nitroseal_stream *s,
                                               struct nitroseal_streamed *out, long timeout_ms,
                                               struct nitroseal_error **error)
{
    return stream(ns, CLIENT_STREAM_DECRYPT, s, out, timeout_ms, error);
}

enum nitroseal_status nitroseal_rewrap_stream(struct nitroseal *ns,
                                              const struct nitroseal_stream *s,
                                              struct nitroseal_streamed *out, long timeout_ms,
                                              struct nitroseal_error **error)
{
    return stream(ns, CLIENT_STREAM_REWRAP, s, out, timeout_ms, error);
}
