/* stream_answer.c - what a stream says: head, chunks, and one of two ends. */
#include "bin/nitroseald/stream_in.h"

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
    /* Exactly that much, since nothing in it may move: a byte becomes three at most, and the
     * format's lengths are longer than what is written in their place. */
    size_t text_max = 2 * SUITE_TEXT_BYTES + 3 * f.pairs.len;
    AUTO(buf_clear) struct buf text = BUF_INIT(text_max);
    struct buf head = BUF_INIT(HEAD_MAX);
    struct http1_header h[HEADERS_MAX] = {
        { SPAN_LIT("content-type"), SPAN_LIT("application/octet-stream") },
        { SPAN_LIT("transfer-encoding"), SPAN_LIT("chunked") },
        { SPAN_LIT("trailer"), SPAN_LIT("nitroseal-result") },
        { SPAN_LIT("nitroseal-request-id"), span_str(st->id) },
    };
    size_t n = 4;
    uint8_t *room;

    enum err r = buf_reserve(&text, text_max, &room);
    if (r == ERR_OK)
        r = buf_printf(&text, "0x%04x", f.suite);
    h[n++] = (struct http1_header){ SPAN_LIT("nitroseal-suite"), buf_view(&text) };
    h[n++] = (struct http1_header){ SPAN_LIT("nitroseal-key-id"),
                                    f.sealed_arn.len ? f.sealed_arn : f.opened_arn };
    if (f.sealed_arn.len && f.opened_arn.len) { /* one message became another */
        size_t at = text.len;
        if (r == ERR_OK)
            r = buf_printf(&text, "0x%04x", f.opened_suite);
        h[n++] = (struct http1_header){ SPAN_LIT("nitroseal-opened-suite"),
                                        span_from(buf_view(&text), at) };
        h[n++] = (struct http1_header){ SPAN_LIT("nitroseal-opened-key-id"), f.opened_arn };
    }
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

/* Its head's place was kept. */
enum err stream_send_piece(struct stream *st)
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

void stream_note_end(struct stream *st, const char *code, const char *detail)
{
    if (st->is_noted)
        return;
    st->is_noted = true;
    struct message_facts f = message_facts(st->m);
    const char *op = api_endpoint_name(st->cl->call->route.endpoint);
    uint64_t ns = clock_mono_ns() - st->born_ns;

    metrics_request(&st->cl->s->metrics, op, code, ns);
    log_event(LOG_INFO, "message", LOG_STR("id", st->id), LOG_STR("op", op),
              LOG_STR("result", code), LOG_STR("detail", detail ? detail : ""),
              LOG_INT("suite", f.suite), LOG_INT("opened_suite", f.opened_suite),
              LOG_SPAN("opened", f.opened_arn.ptr ? f.opened_arn : SPAN_LIT("")),
              LOG_SPAN("sealed", f.sealed_arn.ptr ? f.sealed_arn : SPAN_LIT("")),
              LOG_INT("bytes_in", st->bytes_in), LOG_INT("bytes_out", st->bytes_out),
              LOG_INT("us", ns / 1000));
    if (st->cl->call->route.endpoint == API_MESSAGE_REWRAP)
        log_flush(); /* on record before anybody has the result */
}

void stream_fail(struct stream *st, const struct proto_error *e)
{
    struct client *cl = st->cl;
    struct buf end = BUF_INIT(128);
    char id[ENCLAVE_ID_BYTES];

    stream_note_end(st, e->code, (const char *)e->detail.ptr);
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

void stream_finish(struct stream *st)
{
    struct client *cl = st->cl;
    struct buf end = BUF_INIT(64);

    enum err r = st->has_answered ? ERR_OK : begin_answer(st); /* a message of no bytes */
    if (r == ERR_OK)
        r = buf_append_str(&end, "0\r\nnitroseal-result: ok\r\n\r\n");
    if (r == ERR_OK)
        r = conn_send(cl->conn, &end);
    buf_clear(&end);
    stream_note_end(st, r == ERR_OK ? "ok" : r == ERR_IO ? "client_gone" : "busy", NULL);
    if (r != ERR_OK)
        cl->call->keep_alive = false;
    http_call_over(cl);
}
