/* seed.c - the seed protocol: a connection, a request to its end, an answer to its end. */
#include "load.h"

static void on_open(struct conn *conn, void *arg)
{
    struct client *c = arg;

    c->is_open = true;
    client_send(c, &c->queue[0]);
    if (!c->plan.is_gone)
        conn_finish(conn);
}

static void on_data(struct conn *conn, void *arg)
{
    (void)conn;
    (void)arg;
}

static void on_drained(struct conn *conn, void *arg)
{
    struct client *c = arg;

    if (c->plan.is_gone)
        conn_close(conn);
}

static void on_eof(struct conn *conn, void *arg)
{
    struct client *c = arg;
    uint64_t failed = c->l->t.failed;

    if (c->plan.is_gone)
        return;
    c->is_answered = true;
    judge_seed(c, &c->queue[0], buf_view(conn_in(conn)));
    c->has_failed = c->l->t.failed > failed;
}

static void on_closed(struct conn *conn, void *arg, enum err r, const struct why *why)
{
    struct client *c = arg;
    struct ask *a = &c->queue[0];
    (void)conn;

    if (c->plan.is_gone && c->is_open)
        judge_gone(c, a);
    else if (!c->is_answered)
        judge_lost(c, a, why && why->what ? why->what : err_name(r));
    ask_clear(a);
    c->n_queue = 0;
    c->conn = NULL;
    client_done(c);
}

void seed_begin(struct client *c)
{
    static const struct conn_events events = {
        .open = on_open, .data = on_data, .drained = on_drained, .eof = on_eof, .closed = on_closed
    };

    client_next(c, &c->queue[0]);
    c->n_queue = 1;
    c->is_answered = false;
    client_connect(c, &events);
}
