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
#include "bin/nitroseald/stream_in.h"

#include <stdlib.h>

void stream_free(struct stream *st)
{
    if (!st)
        return;
    if (st->m) /* it ended before its end, and a part of it may have been seen all the same */
        stream_note_end(st, st->cl->conn ? "stopping" : "client_gone", NULL);
    st->cl->s->running--;
    st->cl->s->streams--;
    message_free(st->m);
    buf_clear(&st->in);
    buf_clear(&st->out);
    secret_clear(&st->proving);
    buf_clear(&st->proving_blob);
    free(st);
}

static void fail_with(struct stream *st, const char *code, const char *title, const char *detail)
{
    const struct proto_error e = { .error = title, .code = code, .detail = span_str(detail) };

    stream_fail(st, &e);
}

/* --- work --- */

/* About as much as the parts become, so that nothing is moved on the way. */
static enum err reserve_out(struct stream *st)
{
    size_t sum = OUT_MORE;

    st->out = BUF_INIT(MESSAGE_OUT_MAX);
    st->out.is_public = st->cl->call->route.endpoint != API_MESSAGE_DECRYPT;
    for (unsigned i = st->at; i < st->n_parts; i++)
        sum += st->parts[i].len;
    enum err r = buf_make_room(&st->out, sum < MESSAGE_OUT_SOFT_MAX ? sum : MESSAGE_OUT_SOFT_MAX);
    return r == ERR_OK ? buf_append_str(&st->out, "00000000\r\n") : r;
}

static void run(struct crypto *cx, void *arg)
{
    struct stream *st = arg;

    st->result = reserve_out(st);
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

/* The header under this key is written, or held. */
static void keep_key(struct stream *st)
{
    struct service *s = st->cl->s;
    uint64_t now = clock_mono_ns();

    if (st->proving.len == 0)
        return;
    if (st->result == ERR_OK) {
        enclave_key_keep(s->enclave, &st->ticket, &st->proving, buf_view(&st->proving_blob),
                         st->length, now);
        service_forget_in_time(s);
    }
    secret_clear(&st->proving);
    buf_clear(&st->proving_blob);
}

/* What a failed step has appended stays here: frames before the fault were authentic, but nobody
 * can want a part of a piece. */
static void take_result(struct stream *st)
{
    struct client *cl = st->cl;
    enum err r = ERR_OK;

    keep_key(st);
    if (cl->conn && st->result == ERR_OK)
        r = stream_send_piece(st);
    if (r != ERR_OK) {
        if (r != ERR_IO) /* else it is gone */
            stream_note_end(st, "busy", "no memory to answer with");
        conn_close(cl->conn);
    }
    buf_clear(&st->out);
}

static void done(void *arg)
{
    struct stream *st = arg;
    struct client *cl = st->cl;

    st->is_working = false;
    cl->tasks--;
    take_result(st);
    stream_go_on(cl);
    client_settle(cl);
}

/* Little work is done here and now: to hand it over would cost more. Signatures are much. Where
 * nobody else is served a whole piece is little: another core would have to fetch and to give back
 * every byte of it, which costs about as much as the cipher. */
static bool is_small(const struct stream *st)
{
    const struct service *s = st->cl->s;
    bool is_alone = s->running == 1 && (!st->frame_asked || st->frame_asked >= INLINE_FRAME_MIN);
    unsigned opened = message_facts(st->m).opened_suite;
    size_t sum = 0;

    for (unsigned i = st->at; i < st->n_parts; i++)
        sum += st->parts[i].len;
    return sum <= (is_alone ? INLINE_ALONE_MAX : INLINE_MAX) &&
           (opened == 0 || opened == ESDK_SUITE_COMMITTING) && st->suite_asked != ESDK_SUITE_SIGNED;
}

/* True: done already. */
static bool submit(struct stream *st)
{
    const struct work w = { .run = run, .done = done, .arg = st };

    client_set_deadline(st->cl, 0);
    if (is_small(st)) {
        run(st->cl->s->cx, st);
        take_result(st);
        return true;
    }
    if (work_submit(st->cl->s->work, w) != ERR_OK) {
        fail_with(st, "busy", "Service is busy", "too much work waits");
        return false;
    }
    st->is_working = true;
    st->cl->tasks++;
    return false;
}

/* --- keys --- */

/* A copy stays until the key has proved to be the message's. */
static enum err give_key(struct stream *st, struct secret *key, struct span blob)
{
    if (st->ticket.may_keep) {
        st->proving_blob = BUF_INIT(BLOB_MAX);
        if (secret_copy(secret_view(key), &st->proving) != ERR_OK ||
            buf_append(&st->proving_blob, blob) != ERR_OK)
            secret_clear(&st->proving);
    }
    return message_key_give(st->m, key, blob);
}

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
        r = give_key(st, &key, buf_view(&blob));
    secret_clear(&key);
    if (a->code && cl->conn) {
        const struct proto_error e = enclave_request_failure(t->rq);
        stream_fail(st, &e);
    } else if (r != ERR_OK && cl->conn) {
        fail_with(st, "busy", "Service is out of memory", NULL);
    } else {
        stream_go_on(cl);
    }
    task_free(t);
    client_settle(cl);
}

static bool find_key(struct stream *st, const struct enclave_key_ask *ask)
{
    struct secret key;
    struct span blob;

    if (!enclave_key_find(st->cl->s->enclave, ask, st->length, service_now(st->cl->s), &key, &blob,
                          &st->ticket))
        return false;
    enum err r = message_key_give(st->m, &key, blob);
    secret_clear(&key);
    return r == ERR_OK;
}

/* True: it is there. */
static bool ask_for_key(struct stream *st)
{
    const struct enclave_input input = { .form = ENCLAVE_KEY, .key = message_key_ask(st->m) };
    const struct enclave_event ev = { .kind = ENCLAVE_RECEIVED, .input = &input };
    struct task *t;

    client_set_deadline(st->cl, 0);
    if (find_key(st, input.key))
        return true;
    if (task_new(st->cl, key_answered, &t) != ERR_OK) {
        fail_with(st, "busy", "Service is out of memory", NULL);
        return false;
    }
    st->has_key_task = true;
    task_step(t, &ev);
    return false;
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
    /* The piece goes as it is; what belongs to the next one is little, and may be plaintext. */
    st->in = buf_take(in);
    st->in.is_public = st->cl->call->route.endpoint != API_MESSAGE_ENCRYPT && at == st->in.len;
    r = ERR_OK;
    if (st->in.len >= IN_MAX / 2) /* the next will be as large */
        r = buf_make_room(in, IN_MAX);
    if (r == ERR_OK)
        r = buf_append(in, span_from(buf_view(&st->in), at));
    conn_set_in_max(st->cl->conn, IN_MAX); /* there is room again */
    return r;
}

/* True: a piece was done already. */
static bool next_piece(struct stream *st)
{
    struct client *cl = st->cl;
    struct why why = { .what = "" };
    enum err r = take_input(st, &why);

    if (r == ERR_OK)
        return submit(st);
    if (r == ERR_MORE && !cl->has_eof)
        client_set_deadline(cl, clock_mono_ns() + cl->s->set->read_ms * NS_PER_MS);
    else if (r == ERR_NOMEM)
        fail_with(st, "busy", "Service is out of memory", NULL);
    else
        fail_with(st, "invalid_request", "Body of the request is not whole", why.what);
    return false;
}

/* From the first time on: what it sends meanwhile gives it no more of it. */
static void hold_back(struct client *cl)
{
    if (cl->is_blocked)
        return;
    cl->is_blocked = true;
    client_set_deadline(cl, clock_mono_ns() + cl->s->set->write_ms * NS_PER_MS);
}

/* It has read enough again. True: a piece was done already. */
static bool work_on(struct stream *st)
{
    st->cl->is_blocked = false;
    return st->at < st->n_parts ? submit(st) : next_piece(st);
}

/* What comes next. True: it is done, and something may follow at once. */
static bool go_on(struct client *cl)
{
    struct stream *st = cl->call ? cl->call->stream : NULL;

    if (!st || st->is_working || st->has_key_task || !cl->conn || cl->phase != CLIENT_RUNNING)
        return false;
    const struct message_fault *f = message_fault(st->m);
    if (st->result != ERR_OK)
        fail_with(st, f->code ? f->code : "busy", f->title ? f->title : "Service is out of memory",
                  f->why.what);
    else if (message_is_done(st->m))
        stream_finish(st);
    else if (message_wants_key(st->m))
        return ask_for_key(st);
    else if (conn_unsent(cl->conn) >= UNSENT_MAX)
        hold_back(cl);
    else
        return work_on(st);
    return false;
}

void stream_go_on(struct client *cl)
{
    while (go_on(cl))
        ;
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
    stream_note_end(st, "write_timeout", NULL); /* who does not read cannot be told */
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
    st->suite_asked = asked->suite;
    st->frame_asked = asked->frame_length;
    if (st->cl->call->route.endpoint == API_MESSAGE_REWRAP)
        st->length = ENCLAVE_BYTES_UNKNOWN; /* of what is sealed */
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
    st->length = head->framing == HTTP1_LENGTH    ? head->content_length
                 : head->framing == HTTP1_NO_BODY ? 0
                                                  : ENCLAVE_BYTES_UNKNOWN;
    enclave_id_next(cl->s->enclave, st->id);
    cl->s->running++;
    cl->s->streams++;
    return st;
}

void stream_begin(struct client *cl, const struct http1_head *head, size_t head_bytes)
{
    struct service *s = cl->s;
    struct api_fault fault = { .code = "busy",
                               .title = "Service is busy",
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
