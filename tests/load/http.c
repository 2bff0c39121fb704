/* http.c - kept connections with several requests under way, answered in order. */
#include "http1/http1.h"
#include "load.h"

enum { END_MS = 5000 };

static void shift(struct client *c)
{
    ask_clear(&c->queue[0]);
    memmove(&c->queue[0], &c->queue[1], (c->n_queue - 1) * sizeof c->queue[0]);
    c->n_queue--;
}

static void fill(struct client *c)
{
    unsigned depth = c->l->o.rate ? 1 : c->l->o.pipeline;

    while (c->is_open && !c->is_leaving && !c->plan.is_gone && !c->has_failed &&
           c->n_queue < depth && (c->n_queue == 0 || !load_is_over(c->l))) {
        client_next(c, &c->queue[c->n_queue++]);
        client_send(c, &c->queue[c->n_queue - 1]);
    }
}

/* ERR_MORE: not whole yet. *body is contiguous in `in`, or put together in `joined`. */
static enum err whole(struct client *c, struct span in, struct http1_head *head, struct buf *joined,
                      struct span *body, size_t *used)
{
    struct why why = { 0 };
    bool done = false;
    size_t at;
    enum err r = http1_response_parse(in, false, head, &at, &why);

    if (r != ERR_OK)
        return r;
    if (head->framing == HTTP1_LENGTH) {
        *body = span_sub(in, at, head->content_length);
        *used = at + body->len;
        return body->len == head->content_length ? ERR_OK : ERR_MORE;
    }
    struct http1_body b = http1_body_init(head, c->l->answer_max);
    while (!done) {
        struct span content;
        size_t taken;
        r = http1_body_next(&b, span_from(in, at), &content, &taken, &done, &why);
        at += taken;
        if (r == ERR_OK && buf_append(joined, content) != ERR_OK)
            return ERR_NOMEM;
        if (r != ERR_OK)
            return r;
    }
    *body = buf_view(joined);
    *used = at;
    return ERR_OK;
}

/* One answer; false: there is no whole one (any more). */
static bool take(struct client *c, struct conn *conn)
{
    struct load *l = c->l;
    AUTO(buf_clear) struct buf joined = BUF_INIT(l->answer_max);
    struct http1_head head;
    struct span body = SPAN_EMPTY, in = buf_view(conn_in(conn));
    uint64_t failed = l->t.failed;
    size_t used = 0;

    if (in.len == 0)
        return false;
    if (c->n_queue == 0) {
        judge_twice(c, "bytes that nobody asked for", in);
        conn_close(conn);
        return false;
    }
    enum err r = whole(c, in, &head, &joined, &body, &used);
    if (r == ERR_MORE) {
        /* so that a large answer is not moved again and again, which would be our CPU and not the
         * service's; where there is no room reading tells */
        if (used > 0 && head.framing == HTTP1_LENGTH)
            (void)!buf_make_room(conn_in(conn), head.content_length);
        return false;
    }
    if (r != ERR_OK) {
        judge_twice(c, "an answer that is not HTTP", in);
        conn_close(conn);
        return false;
    }
    if (head.status == 100) {
        buf_consume(conn_in(conn), used);
        return true;
    }
    judge_http(c, &c->queue[0], &head, body);
    shift(c);
    buf_consume(conn_in(conn), used);
    c->is_leaving = c->is_leaving || !head.keep_alive;
    c->has_failed = c->has_failed || l->t.failed > failed;
    return true;
}

static void on_open(struct conn *conn, void *arg)
{
    struct client *c = arg;
    (void)conn;

    c->is_open = true;
    conn_set_deadline(conn, clock_mono_ns() + CALL_S * NS_PER_S);
    if (load_opened(c->l))
        fill(c);
}

static void on_data(struct conn *conn, void *arg)
{
    struct client *c = arg;
    bool had = c->n_queue > 0;

    if (c->plan.is_gone)
        return;
    conn_in(conn)->is_public = true; /* nothing here is a secret: no wiping */
    while (take(c, conn))
        ;
    conn_set_deadline(conn, clock_mono_ns() + CALL_S * NS_PER_S);
    if (c->is_leaving)
        return;
    if (had && c->n_queue == 0)
        client_done(c);
    else if (c->n_queue > 0)
        fill(c);
}

static void on_drained(struct conn *conn, void *arg)
{
    struct client *c = arg;

    if (c->plan.is_gone)
        conn_close(conn);
}

static void on_eof(struct conn *conn, void *arg)
{
    (void)arg;
    conn_close(conn);
}

static void on_closed(struct conn *conn, void *arg, enum err r, const struct why *why)
{
    struct client *c = arg;
    bool was_busy = c->n_queue > 0 || c->is_leaving || !c->is_open;
    (void)conn;

    if (!c->is_open)
        (void)load_opened(c->l);
    for (; c->n_queue > 0; shift(c)) {
        if (c->plan.is_gone)
            judge_gone(c, &c->queue[0]);
        else if (c->is_leaving) /* announced: to be asked again elsewhere */
            c->l->t.unsent += ask_weight(&c->queue[0]);
        else
            judge_lost(c, &c->queue[0], why && why->what ? why->what : err_name(r));
    }
    c->conn = NULL;
    if (was_busy && !load_is_over(c->l))
        client_done(c);
    else
        client_down(c);
}

void http_begin(struct client *c)
{
    static const struct conn_events events = {
        .open = on_open, .data = on_data, .drained = on_drained, .eof = on_eof, .closed = on_closed
    };

    if (!c->conn)
        client_connect(c, &events);
    else
        fill(c);
}

void http_end(struct client *c)
{
    conn_set_deadline(c->conn, clock_mono_ns() + END_MS * NS_PER_MS);
    conn_finish(c->conn);
}
