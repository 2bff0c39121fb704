#include "bin/nitroseal-kms/server.h"

#include <stdlib.h>

enum {
    IN_MAX_BYTES = HTTP1_HEAD_MAX + SERVER_BODY_MAX_BYTES + 65536, /* and chunk sizes */
    UNSENT_MAX_BYTES = 1 << 20, /* of a client that asks on without reading */
    HANDSHAKE_S = 10,
    REQUEST_S = 30, /* from its first byte to its last */
    IDLE_S = 120,
    WAITING_S = 120, /* for what a request needs to be made */
    ENDING_S = 5,    /* for a last answer to be read */
};

struct client {
    struct server *s;
    struct conn *c;
    struct client *prev, *next;
    bool arriving;  /* the first bytes of a request are here, not the last */
    bool continued; /* this request's 100 has been sent */
    bool ending;    /* the last answer is on its way; nothing more is read */
    bool waiting;   /* for server_again() */
    bool no_more;   /* nothing comes after the request that waits */
    uint64_t id;
    char peer[CONN_PEER_BYTES];
};

struct server {
    struct loop *loop;
    struct listener *listener;
    struct client *clients;
    bool stopping;
    server_handle_fn *handle;
    void *arg;
    bool tls;
    struct server_counts counts;
    uint64_t ids;           /* given to clients */
    struct http1_head head; /* of the request in hand: there is one at a time */
};

static void set_deadline(struct client *cl, unsigned seconds)
{
    conn_set_deadline(cl->c, loop_now_ns(cl->s->loop) + seconds * NS_PER_S);
}

static void end(struct client *cl)
{
    cl->ending = true;
    set_deadline(cl, ENDING_S);
    conn_finish(cl->c);
}

static void send_or_close(struct client *cl, struct buf *b)
{
    if (conn_send(cl->c, b) != ERR_OK)
        conn_close(cl->c);
}

/* What is no request that we can answer: the status alone, and the end. */
static void refuse(struct client *cl, unsigned status)
{
    AUTO(buf_clear) struct buf b = BUF_INIT(1024);
    const struct http1_header h = { SPAN_LIT("connection"), SPAN_LIT("close") };

    cl->s->counts.refused++;
    if (http1_response_write(&b, status, &h, 1, SPAN_EMPTY) == ERR_OK)
        send_or_close(cl, &b);
    end(cl);
}

static void await_more(struct client *cl)
{
    if (cl->arriving)
        return;
    cl->arriving = true;
    set_deadline(cl, REQUEST_S);
}

static void await_body(struct client *cl)
{
    AUTO(buf_clear) struct buf b = BUF_INIT(64);

    await_more(cl);
    if (!cl->s->head.expect_continue || cl->continued)
        return;
    cl->continued = true;
    if (buf_append(&b, SPAN_LIT("HTTP/1.1 100 Continue\r\n\r\n")) == ERR_OK)
        send_or_close(cl, &b);
}

/* All of the body at the start of `in`, as a view or in `joined`; *used is its length on the wire.
 */
static enum err whole_body(const struct http1_head *head, struct span in, struct buf *joined,
                           struct span *body, size_t *used)
{
    struct http1_body b = http1_body_init(head, SERVER_BODY_MAX_BYTES);
    bool done = false;

    *used = 0;
    if (head->framing == HTTP1_LENGTH) {
        if (head->content_length > SERVER_BODY_MAX_BYTES)
            return ERR_LIMIT;
        *used = (size_t)head->content_length;
        *body = span_sub(in, 0, *used);
        return in.len < *used ? ERR_MORE : ERR_OK;
    }
    while (!done) {
        struct span content;
        size_t n;
        enum err r = http1_body_next(&b, span_from(in, *used), &content, &n, &done, NULL);
        if (r == ERR_OK)
            r = buf_append(joined, content);
        if (r != ERR_OK)
            return r;
        *used += n;
    }
    *body = buf_view(joined);
    return ERR_OK;
}

/* False: it waits. */
static bool answer(struct client *cl, struct span body)
{
    AUTO(buf_clear) struct buf response = BUF_INIT(SERVER_RESPONSE_MAX_BYTES);
    struct server *s = cl->s;

    const struct server_request rq = { &s->head, body, cl->peer, s->tls, cl->id };
    enum err r = s->handle(s->arg, &rq, &response);
    if (r == ERR_MORE) {
        cl->waiting = cl->arriving = true;
        set_deadline(cl, WAITING_S);
        return false;
    }
    if (r != ERR_OK) {
        conn_close(cl->c);
        cl->ending = true;
        return true;
    }
    bool last = !s->head.keep_alive || s->stopping || cl->no_more;
    send_or_close(cl, &response);
    cl->arriving = cl->continued = false;
    if (last)
        end(cl);
    else
        set_deadline(cl, IDLE_S);
    return true;
}

/* Answer the request at the start of what came, if it is all there. */
static bool serve_one(struct client *cl)
{
    AUTO(buf_clear) struct buf joined = BUF_INIT(SERVER_BODY_MAX_BYTES);
    struct buf *in = conn_in(cl->c);
    struct span body = SPAN_EMPTY;
    size_t head_len = 0, body_len = 0;

    if (in->len == 0)
        return false;
    enum err r = http1_request_parse(buf_view(in), &cl->s->head, &head_len, NULL);
    if (r == ERR_MORE) {
        await_more(cl);
        return false;
    }
    if (r == ERR_OK)
        r = whole_body(&cl->s->head, span_from(buf_view(in), head_len), &joined, &body, &body_len);
    if (r == ERR_MORE && in->len < IN_MAX_BYTES) {
        await_body(cl);
        return false;
    }
    if (r != ERR_OK) {
        refuse(cl, r == ERR_MALFORMED ? 400 : 413);
        return false;
    }
    if (!answer(cl, body))
        return false;
    buf_consume(in, head_len + body_len);
    return !cl->ending;
}

static void serve(struct client *cl)
{
    while (!cl->ending && !cl->waiting && conn_unsent(cl->c) < UNSENT_MAX_BYTES && serve_one(cl))
        ;
    if (cl->ending)
        buf_reset(conn_in(cl->c)); /* read on, so that the peer gets to its answer */
    conn_resume(cl->c);
}

static void on_open(struct conn *c, void *arg)
{
    struct client *cl = arg;

    (void)c;
    if (cl->s->stopping)
        end(cl);
    else
        set_deadline(cl, IDLE_S);
}

static void on_data(struct conn *c, void *arg)
{
    (void)c;
    serve(arg);
}

static void on_eof(struct conn *c, void *arg)
{
    struct client *cl = arg;

    (void)c;
    cl->no_more = true;
    if (!cl->ending && !cl->waiting)
        end(cl);
}

static void stop_if_done(struct server *s)
{
    if (s->stopping && !s->clients)
        loop_stop(s->loop);
}

static void on_closed(struct conn *c, void *arg, enum err r, const struct why *why)
{
    struct client *cl = arg;
    struct server *s = cl->s;

    (void)c;
    (void)r;
    (void)why;
    if (cl->prev)
        cl->prev->next = cl->next;
    else
        s->clients = cl->next;
    if (cl->next)
        cl->next->prev = cl->prev;
    free(cl);
    s->counts.open--;
    stop_if_done(s);
}

static const struct conn_events events = {
    .open = on_open,
    .data = on_data,
    .eof = on_eof,
    .drained = on_data, /* requests may wait that were not answered for want of room */
    .closed = on_closed,
};

static void on_accepted(struct conn *c, void *arg)
{
    struct server *s = arg;
    struct client *cl = calloc(1, sizeof *cl);

    if (!cl) {
        conn_close(c);
        return;
    }
    *cl = (struct client){ .s = s, .c = c, .next = s->clients, .id = ++s->ids };
    if (cl->next)
        cl->next->prev = cl;
    s->clients = cl;
    s->counts.accepted++;
    s->counts.open++;
    conn_peer(c, cl->peer);
    conn_set_arg(c, &events, cl);
}

enum err server_new(struct loop *l, const struct server_options *o, struct server **out,
                    struct why *why)
{
    struct server *s = calloc(1, sizeof *s);

    if (!s)
        return why_fail(why, ERR_NOMEM, "memory", 0);
    *s = (struct server){ .loop = l, .handle = o->handle, .arg = o->arg, .tls = o->tls };
    const struct listener_options lo = {
        .conn = { .tls = o->tls, .in_max = IN_MAX_BYTES, .deadline_ns = HANDSHAKE_S * NS_PER_S },
        .max = o->max,
        .accepted = on_accepted,
        .arg = s,
    };
    enum err r = listener_new(l, &o->at, &lo, &s->listener, why);
    if (r != ERR_OK) {
        free(s);
        return r;
    }
    *out = s;
    return ERR_OK;
}

struct server_counts server_counts(const struct server *s)
{
    return s->counts;
}

unsigned server_port(const struct server *s)
{
    return listener_port(s->listener);
}

void server_stop(struct server *s)
{
    if (s->stopping)
        return;
    s->stopping = true;
    listener_free(s->listener);
    s->listener = NULL;
    for (struct client *cl = s->clients; cl; cl = cl->next) {
        if (cl->ending)
            continue;
        if (cl->arriving || conn_unsent(cl->c))
            set_deadline(cl, SERVER_DRAIN_S); /* answer() ends it */
        else
            end(cl);
    }
    stop_if_done(s);
}

void server_again(struct server *s, uint64_t client, bool answer)
{
    for (struct client *cl = s->clients; cl; cl = cl->next) {
        if (cl->id != client || !cl->waiting)
            continue;
        cl->waiting = false;
        if (answer)
            serve(cl);
        else
            conn_close(cl->c);
        return;
    }
}

void server_free(struct server *s)
{
    static const struct conn_events none = { .open = NULL };

    if (!s)
        return;
    listener_free(s->listener);
    while (s->clients) {
        struct client *cl = s->clients;
        s->clients = cl->next;
        conn_set_arg(cl->c, &none, NULL); /* its end is not told any more */
        free(cl);
    }
    free(s);
}
