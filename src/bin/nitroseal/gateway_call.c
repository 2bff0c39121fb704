/* gateway_call.c - one small request of our own to an enclave, on a connection of its own. */
#include "bin/nitroseal/gateway.h"

#include <stdlib.h>

enum { ANSWER_MAX_BYTES = 64 << 10 };

void gw_call_free(struct gw_call *c)
{
    *c->link = c->next;
    if (c->next)
        c->next->link = c->link;
    free(c);
}

static void tell(struct gw_call *c, unsigned status, struct span body, const char *why)
{
    if (c->is_done)
        return;
    c->is_done = true;
    c->done(c->arg, status, body, why);
    conn_close(c->conn);
}

/* The whole answer, or ERR_MORE. */
static enum err parse(struct span in, bool ended, struct http1_head *head, struct span *body)
{
    size_t used = 0;
    enum err r = http1_response_parse(in, false, head, &used, NULL);

    if (r != ERR_OK)
        return r;
    *body = span_from(in, used);
    if (head->framing == HTTP1_LENGTH)
        return body->len >= head->content_length ? ERR_OK : ERR_MORE;
    if (head->framing == HTTP1_NO_BODY)
        return ERR_OK;
    return ended ? ERR_OK : ERR_MORE; /* of a chunked one only the status is of use */
}

static void look(struct gw_call *c, bool ended)
{
    struct http1_head head;
    struct span body = SPAN_EMPTY;
    enum err r = parse(buf_view(conn_in(c->conn)), ended, &head, &body);

    if (r == ERR_OK)
        tell(c, head.status, body, "");
    else if (r != ERR_MORE)
        tell(c, 0, SPAN_EMPTY, "what came is not an HTTP answer");
    else if (ended)
        tell(c, 0, SPAN_EMPTY, "the connection ended without an answer");
}

static void on_open(struct conn *conn, void *arg)
{
    struct gw_call *c = arg;
    (void)conn;

    c->was_open = true;
}

static void on_data(struct conn *conn, void *arg)
{
    (void)conn;
    look(arg, false);
}

static void on_eof(struct conn *conn, void *arg)
{
    (void)conn;
    look(arg, true);
}

static void on_closed(struct conn *conn, void *arg, enum err r, const struct why *why)
{
    struct gw_call *c = arg;
    (void)conn;

    if (!c->is_done)
        tell(c, 0, SPAN_EMPTY, why && why->what ? why->what : err_name(r));
    gw_call_free(c);
}

static const struct conn_events call_events = {
    .open = on_open,
    .data = on_data,
    .eof = on_eof,
    .closed = on_closed,
};

enum err gw_call_new(struct gateway *g, const struct addr *to, struct buf *request,
                     uint64_t deadline_ns,
                     void (*done)(void *, unsigned, struct span, const char *), void *arg,
                     struct gw_call **out)
{
    struct gw_call *c = calloc(1, sizeof *c);
    const struct conn_options o = {
        .in_max = ANSWER_MAX_BYTES, .deadline_ns = deadline_ns, .events = &call_events, .arg = c
    };

    if (!c)
        return ERR_NOMEM;
    enum err r = conn_connect(g->loop, to, &o, &c->conn, NULL);
    if (r != ERR_OK) {
        free(c);
        return r;
    }
    c->g = g;
    c->done = done;
    c->arg = arg;
    c->next = g->calls;
    c->link = &g->calls;
    if (g->calls)
        g->calls->link = &c->next;
    g->calls = c;
    conn_set_deadline(c->conn, deadline_ns);
    r = conn_send(c->conn, request);
    if (r != ERR_OK) { /* no memory; `closed` will follow, and tells nobody */
        c->is_done = true;
        conn_close(c->conn);
        return r;
    }
    *out = c;
    return ERR_OK;
}
