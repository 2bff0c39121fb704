/* raw.c - bytes to an echo and back, over a kept connection: what the socket and this client can do
 * at best. */
#include "load.h"

static void send_next(struct client *c)
{
    client_next(c, &c->queue[0]);
    c->n_queue = 1;
    client_send(c, &c->queue[0]);
}

static void on_open(struct conn *conn, void *arg)
{
    struct client *c = arg;
    (void)conn;

    c->is_open = true;
    if (load_opened(c->l) && c->n_queue == 0)
        send_next(c);
}

static void on_data(struct conn *conn, void *arg)
{
    struct client *c = arg;
    struct buf *in = conn_in(conn);

    if (c->n_queue == 0 || in->len < c->queue[0].text.bytes)
        return;
    c->l->t.good++;
    c->l->t.bytes += in->len;
    histogram_add(&c->l->t.good_us, (clock_mono_ns() - c->queue[0].start_ns) / 1000);
    buf_consume(in, in->len);
    c->n_queue = 0;
    client_done(c);
}

static void on_closed(struct conn *conn, void *arg, enum err r, const struct why *why)
{
    struct client *c = arg;
    (void)conn;

    if (c->n_queue)
        judge_lost(c, &c->queue[0], why && why->what ? why->what : err_name(r));
    c->conn = NULL;
    client_down(c);
}

void raw_begin(struct client *c)
{
    static const struct conn_events events = { .open = on_open,
                                               .data = on_data,
                                               .closed = on_closed };

    if (!c->conn)
        client_connect(c, &events);
    else
        send_next(c);
}
