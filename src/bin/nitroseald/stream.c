/* stream.c - /v1/messages/...: bodies of any length through a message, in constant memory.
 *
 * One piece at a time is with a worker, while the next one arrives and the last one leaves: a
 * stream has at most one job in the queue, so that streams share the cores by turns. Whoever reads
 * slowly stops its own work, and then its own sending: conn_in() fills up and the kernel holds back
 * the rest.
 *
 * A failure before the answer began is a problem document. After that the chunked body is left
 * unfinished (RFC 9112 section 8: an incomplete message), with the code in an extension of a chunk
 * that never comes; only the last chunk and its trailer mean that all of it was authentic.
 */
#include "base/base64.h"
#include "bin/nitroseald/service.h"
#include "enclave/message.h"

#include <stdlib.h>

enum {
    PARTS_MAX = 32,        /* chunks of one piece */
    IN_MAX = 256 * 1024,   /* of a piece, and of the next one behind it */
    UNSENT_MAX = 1 << 20,  /* of answers that the client has not taken */
    CHUNK_HEAD_BYTES = 10, /* eight digits, CRLF */
    HEADERS_MAX = 8 + API_PAIRS_MAX,
    HEAD_MAX = 65536,
    BLOB_MAX = 6144,
    STREAM_BYTES = 2 << 20, /* what one takes, for the sum of what is in memory */
};

struct stream {
    struct client *cl;
    struct message *m;
    struct http1_body reader;
    struct buf in; /* the piece; its contents are parts[at] ... */
    struct span parts[PARTS_MAX];
    unsigned n_parts, at;
    bool input_is_over; /* nothing follows the last part */
    struct buf out;
    enum err result;
    bool is_working, has_key_task, has_answered;
    uint64_t bytes_in, bytes_out, born_ns;
    char id[ENCLAVE_ID_BYTES];
};

void stream_free(struct stream *st)
{
    if (!st)
        return;
    st->cl->s->running--;
    st->cl->s->streams--;
    message_free(st->m);
    buf_clear(&st->in);
    buf_clear(&st->out);
    free(st);
}

/* --- the end --- */

/* The audit line: who opened what under which key, and how it ended. */
static void note_end(const struct stream *st, const char *code, const char *detail)
{
    struct message_facts f = message_facts(st->m);
    const char *op = api_endpoint_name(st->cl->call->route.endpoint);
    uint64_t ns = clock_mono_ns() - st->born_ns;

    metrics_request(&st->cl->s->metrics, op, code, ns);
    log_event(LOG_INFO, "message", LOG_STR("id", st->id), LOG_STR("op", op),
              LOG_STR("result", code), LOG_STR("detail", detail ? detail : ""),
              LOG_INT("suite", f.suite),
              LOG_SPAN("opened", f.opened_arn.ptr ? f.opened_arn : SPAN_LIT("")),
              LOG_SPAN("sealed", f.sealed_arn.ptr ? f.sealed_arn : SPAN_LIT("")),
              LOG_INT("bytes_in", st->bytes_in), LOG_INT("bytes_out", st->bytes_out),
              LOG_INT("us", ns / 1000));
}

static void fail(struct stream *st, const struct proto_error *e)
{
    struct client *cl = st->cl;
    struct buf end = BUF_INIT(128);
    char id[ENCLAVE_ID_BYTES];

    note_end(st, e->code, (const char *)e->detail.ptr);
    memcpy(id, st->id, sizeof id); /* the stream goes with the call */
    cl->call->keep_alive = false;
    if (!st->has_answered) {
        http_answer_problem(cl, e, SPAN_EMPTY, span_str(id));
        return;
    }
    if (buf_printf(&end, "1;nitroseal-error=\"%s\"\r\n", e->code) != ERR_OK ||
        conn_send(cl->conn, &end) != ERR_OK)
        conn_close(cl->conn);
    buf_clear(&end);
    http_call_over(cl);
}

static void fail_with(struct stream *st, const char *code, const char *title, const char *detail)
{
    const struct proto_error e = { .error = title, .code = code, .detail = span_str(detail) };

    fail(st, &e);
}

static enum err begin_answer(struct stream *st);

static void finish(struct stream *st)
{
    struct client *cl = st->cl;
    struct buf end = BUF_INIT(64);

    enum err r = st->has_answered ? ERR_OK : begin_answer(st); /* a message of no bytes */
    if (r == ERR_OK)
        r = buf_append_str(&end, "0\r\nnitroseal-result: ok\r\n\r\n");
    if (r == ERR_OK)
        r = conn_send(cl->conn, &end);
    buf_clear(&end);
    note_end(st, r == ERR_OK ? "ok" : "busy", NULL);
    if (r != ERR_OK)
        cl->call->keep_alive = false;
    http_call_over(cl);
}

/* --- the answer --- */

/* Pairs of the context, but those that the format itself writes. */
static enum err put_pairs(struct span pairs, struct buf *text, struct http1_header *h, size_t *n)
{
    struct esdk_pair p;

    while (*n < HEADERS_MAX && esdk_pair_next(&pairs, &p)) {
        size_t at = text->len;
        if (span_starts(p.key, "aws-crypto-"))
            continue;
        enum err r = api_pair_write(text, &p);
        if (r != ERR_OK)
            return r;
        h[(*n)++] = (struct http1_header){ SPAN_LIT("nitroseal-encryption-context"),
                                           span_from(buf_view(text), at) };
    }
    return ERR_OK;
}

static enum err begin_answer(struct stream *st)
{
    const struct message_facts f = message_facts(st->m);
    AUTO(buf_clear) struct buf text = BUF_INIT(HEAD_MAX);
    struct buf head = BUF_INIT(HEAD_MAX);
    struct http1_header h[HEADERS_MAX] = {
        { SPAN_LIT("content-type"), SPAN_LIT("application/octet-stream") },
        { SPAN_LIT("transfer-encoding"), SPAN_LIT("chunked") },
        { SPAN_LIT("trailer"), SPAN_LIT("nitroseal-result") },
        { SPAN_LIT("nitroseal-request-id"), span_str(st->id) },
    };
    size_t n = 4;
    uint8_t *room;

    enum err r = buf_reserve(&text, HEAD_MAX, &room); /* nothing in it moves */
    if (r == ERR_OK)
        r = buf_printf(&text, "0x%04x", f.suite);
    h[n++] = (struct http1_header){ SPAN_LIT("nitroseal-suite"), buf_view(&text) };
    h[n++] = (struct http1_header){ SPAN_LIT("nitroseal-key-id"),
                                    f.sealed_arn.len ? f.sealed_arn : f.opened_arn };
    if (!st->cl->call->keep_alive)
        h[n++] = (struct http1_header){ SPAN_LIT("connection"), SPAN_LIT("close") };
    if (r == ERR_OK)
        r = put_pairs(f.pairs, &text, h, &n);
    if (r == ERR_OK)
        r = http1_response_write(&head, 200, h, n, SPAN_EMPTY);
    if (r == ERR_OK)
        r = conn_send(st->cl->conn, &head);
    buf_clear(&head);
    st->has_answered = true;
    return r;
}

/* The worker's output as one chunk: its head's place was kept. */
static enum err send_piece(struct stream *st)
{
    static const char digits[] = "0123456789abcdef";
    size_t n = st->out.len - CHUNK_HEAD_BYTES;

    if (n == 0)
        return ERR_OK;
    enum err r = st->has_answered ? ERR_OK : begin_answer(st);
    if (r == ERR_OK)
        r = buf_append_str(&st->out, "\r\n");
    if (r != ERR_OK)
        return r;
    for (unsigned i = 0; i < 8; i++)
        st->out.ptr[7 - i] = (uint8_t)digits[n >> (4 * i) & 15];
    st->bytes_out += n;
    return conn_send(st->cl->conn, &st->out);
}

/* --- work --- */

static void run(struct crypto *cx, void *arg)
{
    struct stream *st = arg;

    st->out = BUF_INIT(MESSAGE_OUT_MAX);
    st->result = buf_append_str(&st->out, "00000000\r\n");
    while (st->result == ERR_OK && st->at < st->n_parts && !message_wants_key(st->m) &&
           st->out.len < MESSAGE_OUT_SOFT_MAX) {
        bool is_last = st->input_is_over && st->at + 1 == st->n_parts;
        st->result = message_step(st->m, cx, &st->parts[st->at], is_last, &st->out);
        if (st->parts[st->at].len == 0 && (!is_last || message_is_done(st->m)))
            st->at++;
    }
    if (st->at == st->n_parts)
        buf_clear(&st->in);
}

static void done(void *arg)
{
    struct stream *st = arg;
    struct client *cl = st->cl;

    st->is_working = false;
    cl->tasks--;
    /* What a failed step has appended stays here: frames before the fault were authentic, but
     * nobody can want a part of a piece. */
    if (cl->conn && st->result == ERR_OK && send_piece(st) != ERR_OK)
        conn_close(cl->conn);
    buf_clear(&st->out);
    stream_go_on(cl);
    client_settle(cl);
}

static void submit(struct stream *st)
{
    const struct work w = { .run = run, .done = done, .arg = st };

    client_set_deadline(st->cl, 0);
    if (work_submit(st->cl->s->work, w) != ERR_OK) {
        fail_with(st, "busy", "Service is busy", "too much work waits");
        return;
    }
    st->is_working = true;
    st->cl->tasks++;
}

/* --- keys --- */

static void key_answered(struct task *t, const struct enclave_action *a)
{
    struct client *cl = t->owner;
    struct stream *st = cl->call->stream;
    struct secret key = enclave_request_take_key(t->rq);
    AUTO(buf_clear) struct buf blob = BUF_INIT(BLOB_MAX + 2);
    enum err r = ERR_OK;

    st->has_key_task = false;
    if (!a->code)
        r = base64_parse(enclave_request_result(t->rq).ciphertext_blob_b64, &blob, NULL);
    if (!a->code && r == ERR_OK)
        r = message_key_give(st->m, &key, buf_view(&blob));
    secret_clear(&key);
    if (a->code && cl->conn) {
        const struct proto_error e = enclave_request_failure(t->rq);
        fail(st, &e);
    } else if (r != ERR_OK && cl->conn) {
        fail_with(st, "busy", "Service is out of memory", NULL);
    } else {
        stream_go_on(cl);
    }
    task_free(t);
    client_settle(cl);
}

static void ask_for_key(struct stream *st)
{
    const struct enclave_input input = { .form = ENCLAVE_KEY, .key = message_key_ask(st->m) };
    const struct enclave_event ev = { .kind = ENCLAVE_RECEIVED, .input = &input };
    struct task *t;

    client_set_deadline(st->cl, 0);
    if (task_new(st->cl, key_answered, &t) != ERR_OK) {
        fail_with(st, "busy", "Service is out of memory", NULL);
        return;
    }
    st->has_key_task = true;
    task_step(t, &ev);
}

/* --- input --- */

/* The next piece, cut into what is content. ERR_MORE: there is none yet. */
static enum err take_input(struct stream *st, struct why *why)
{
    struct buf *in = conn_in(st->cl->conn);
    size_t at = 0;
    bool is_over = false;
    enum err r = ERR_OK;

    st->n_parts = st->at = 0;
    while (r == ERR_OK && !is_over && st->n_parts < PARTS_MAX) {
        struct span content;
        size_t used;
        r = http1_body_next(&st->reader, span_from(buf_view(in), at), &content, &used, &is_over,
                            why);
        if (r != ERR_OK && r != ERR_MORE)
            return r;
        if (content.len)
            st->parts[st->n_parts++] = content;
        st->bytes_in += content.len;
        at += used;
    }
    st->input_is_over = is_over;
    if (st->n_parts == 0 && !is_over) {
        buf_consume(in, at);
        return ERR_MORE;
    }
    if (st->n_parts == 0)
        st->parts[st->n_parts++] = SPAN_EMPTY;
    /* The piece goes as it is; what belongs to the next one is little. */
    st->in = buf_take(in);
    r = buf_append(in, span_from(buf_view(&st->in), at));
    conn_set_in_max(st->cl->conn, IN_MAX); /* there is room again */
    return r;
}

static void next_piece(struct stream *st)
{
    struct client *cl = st->cl;
    struct why why = { .what = "" };
    enum err r = take_input(st, &why);

    if (r == ERR_OK)
        submit(st);
    else if (r == ERR_MORE && !cl->has_eof)
        client_set_deadline(cl, clock_mono_ns() + cl->s->set->read_ms * NS_PER_MS);
    else if (r == ERR_NOMEM)
        fail_with(st, "busy", "Service is out of memory", NULL);
    else
        fail_with(st, "invalid_request", "Body of the request is not whole", why.what);
}

static void hold_back(struct client *cl)
{
    cl->is_blocked = true;
    client_set_deadline(cl, clock_mono_ns() + cl->s->set->write_ms * NS_PER_MS);
}

void stream_go_on(struct client *cl)
{
    struct stream *st = cl->call ? cl->call->stream : NULL;

    if (!st || st->is_working || st->has_key_task || !cl->conn || cl->phase != CLIENT_RUNNING)
        return;
    const struct message_fault *f = message_fault(st->m);
    if (st->result != ERR_OK)
        fail_with(st, f->code ? f->code : "busy", f->title ? f->title : "Service is out of memory",
                  f->why.what);
    else if (message_is_done(st->m))
        finish(st);
    else if (message_wants_key(st->m))
        ask_for_key(st);
    else if (conn_unsent(cl->conn) >= UNSENT_MAX)
        hold_back(cl);
    else if (st->at < st->n_parts)
        submit(st);
    else
        next_piece(st);
}

void stream_drained(struct client *cl)
{
    if (!cl->is_blocked)
        return;
    cl->is_blocked = false;
    stream_go_on(cl);
}

void stream_timeout(struct client *cl)
{
    struct stream *st = cl->call->stream;

    if (!cl->is_blocked) {
        fail_with(st, "read_timeout", "Request did not arrive in time", NULL);
        return;
    }
    note_end(st, "write_timeout", NULL); /* who does not read cannot be told */
    conn_close(cl->conn);
}

/* --- the beginning --- */

/* Full ARNs only: the service's own key if it is known as one, and those of --keys. */
static size_t arns_of(const struct service *s, struct span out[static MESSAGE_KEYS_MAX])
{
    struct span own = enclave_key_arn(s->enclave);
    size_t n = 0;

    if (own.len)
        out[n++] = own;
    for (size_t i = 0; i < s->set->n_keys && n < MESSAGE_KEYS_MAX; i++)
        out[n++] = s->set->keys[i];
    return n;
}

static bool find_arn(const struct span *arns, size_t n, struct span wanted, struct span *out)
{
    for (size_t i = 0; i < n; i++) {
        if (wanted.len && !span_eq(arns[i], wanted))
            continue;
        *out = arns[i];
        return true;
    }
    return false;
}

static enum message_op op_of(enum api_endpoint e)
{
    return e == API_MESSAGE_ENCRYPT   ? MESSAGE_ENCRYPT
           : e == API_MESSAGE_DECRYPT ? MESSAGE_DECRYPT
                                      : MESSAGE_REWRAP;
}

static enum err make_message(struct stream *st, const struct http1_head *head,
                             struct api_message *asked, struct api_fault *fault)
{
    const struct service *s = st->cl->s;
    struct span arns[MESSAGE_KEYS_MAX], seal_arn = SPAN_EMPTY;
    size_t n = arns_of(s, arns);
    struct message_fault mf = { .code = "busy", .title = "Service is out of memory" };

    enum err r = api_message_parse(head, asked, fault);
    if (r == ERR_OK && !find_arn(arns, n, asked->key_id, &seal_arn)) {
        *fault = (struct api_fault){
            .code = "no_key",
            .title = "Key is not one that this service may use for messages",
            .detail = n ? "see its --keys" : "KMS_KEY_ID has to be a full ARN for messages",
        };
        return ERR_MALFORMED;
    }
    if (r != ERR_OK)
        return r;
    const struct message_options o = {
        .op = op_of(st->cl->call->route.endpoint),
        .policy = s->set->policy,
        .seal_arn = seal_arn,
        .arns = arns,
        .n_arns = n,
        .suite = asked->suite,
        .frame_length = asked->frame_length,
        .context = asked->context,
        .n_context = asked->n_context,
        .keeps_context = asked->n_context == 0,
        .required = asked->required,
        .n_required = asked->n_required,
    };
    r = message_new(&o, &st->m, &mf);
    *fault = (struct api_fault){ .code = mf.code, .title = mf.title, .detail = mf.why.what };
    return r;
}

static struct stream *stream_new(struct client *cl, const struct http1_head *head)
{
    struct stream *st = calloc(1, sizeof *st);

    if (!st)
        return NULL;
    st->cl = cl;
    st->born_ns = clock_mono_ns();
    st->reader = http1_body_init(head, UINT64_MAX);
    st->parts[0] = SPAN_EMPTY; /* sealing begins before there is anything to seal */
    st->n_parts = 1;
    enclave_id_next(cl->s->enclave, st->id);
    cl->s->running++;
    cl->s->streams++;
    return st;
}

void stream_begin(struct client *cl, const struct http1_head *head, size_t head_bytes)
{
    struct service *s = cl->s;
    struct api_fault fault = { .code = "busy", .title = "Service is busy",
                               .detail = "too many streams at one time" };
    struct api_message *asked = calloc(1, sizeof *asked);
    struct stream *st = NULL;
    enum err r = ERR_NOMEM;

    if (asked && !service_is_full(s) && s->streams < s->set->streams_max &&
        (st = stream_new(cl, head)))
        r = make_message(st, head, asked, &fault);
    if (asked)
        buf_clear(&asked->text);
    free(asked);
    if (r != ERR_OK) {
        stream_free(st);
        http_refuse(cl, fault.code, fault.title, fault.detail);
        return;
    }
    cl->call->stream = st;
    cl->phase = CLIENT_RUNNING;
    buf_consume(conn_in(cl->conn), head_bytes);
    conn_set_in_max(cl->conn, IN_MAX);
    client_count(cl, STREAM_BYTES);
    stream_go_on(cl);
}
