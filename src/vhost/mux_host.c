/* What the shell is to do with the other side's sockets, and how it went. */
#include "vhost/mux_in.h"

void vsock_conn_dialled(struct vsock_mux *m, struct vsock_conn *c, bool ok)
{
    if (c->state != CONN_DIALLING)
        return; /* reset meanwhile; it is closed next */
    if (!ok) {
        conn_reset(m, c);
        return;
    }
    c->state = CONN_OPEN;
    c->out |= OUT_RESPONSE;
    conn_touch(m, c);
}

void vsock_conn_sent(struct vsock_mux *m, struct vsock_conn *c, enum vsock_got got, size_t n)
{
    if (got == VSOCK_MOVED)
        conn_consumed(m, c, n);
    if (got == VSOCK_AGAIN)
        c->stalled = true;
    if (got == VSOCK_BROKE) {
        c->write_dead = true;
        conn_consumed(m, c, c->in.len);
        conn_shut(c, VSOCK_SHUT_RCV);
    }
    conn_touch(m, c);
}

void vsock_conn_ready(struct vsock_mux *m, struct vsock_conn *c, bool readable, bool writable)
{
    if (readable)
        c->readable = true;
    if (writable)
        c->stalled = false;
    conn_touch(m, c);
}

static struct vsock_action act(struct vsock_conn *c, enum vsock_do what)
{
    return (struct vsock_action){ .what = what, .conn = c, .host = c->host };
}

/* Both directions of the other side are done, or the guest has done with both. */
static bool to_be_closed(struct vsock_conn *c)
{
    if (c->state == CONN_DEAD)
        return true;
    if (c->in.len > 0 || c->state != CONN_OPEN || c->greet_due)
        return false;
    if (c->guest_gone)
        return true;
    if (c->guest_shut == VSOCK_SHUT_BOTH) {
        c->out = OUT_RST; /* 5.10.6.5: the answer to a clean disconnect */
        return true;
    }
    /* The guest hears of the end of both; it answers with RST, or the deadline does. */
    if (c->eof && (c->write_dead || c->shut_wr) && !(c->guest_shut & VSOCK_SHUT_RCV)) {
        conn_shut(c, VSOCK_SHUT_BOTH);
        return true;
    }
    return false;
}

static struct vsock_action look(struct vsock_conn *c)
{
    bool live = c->state == CONN_OPEN && !c->greet_due;
    struct vsock_action a;

    if (c->dial_due && c->state == CONN_DIALLING) {
        c->dial_due = false;
        a = act(c, VSOCK_DO_DIAL);
        a.port = c->key.host_port;
        return a;
    }
    if (c->greet_due && c->state == CONN_OPEN) {
        c->greet_due = false;
        a = act(c, VSOCK_DO_GREET);
        a.port = c->key.host_port;
        return a;
    }
    if (live && c->in.len > 0 && !c->stalled) {
        a = act(c, VSOCK_DO_SEND);
        a.bytes = buf_view(&c->in);
        return a;
    }
    if (live && c->in.len == 0 && (c->guest_shut & VSOCK_SHUT_SEND) && !c->shut_wr) {
        c->shut_wr = true;
        return act(c, VSOCK_DO_SHUT_WR);
    }
    if (live && (c->guest_shut & VSOCK_SHUT_RCV) && !c->shut_rd) {
        c->shut_rd = true;
        return act(c, VSOCK_DO_SHUT_RD);
    }
    if (to_be_closed(c)) {
        c->host_gone = true;
        a = act(c, VSOCK_DO_CLOSE);
        c->host = NULL;
        return a;
    }
    bool want_read = !c->readable && conn_can_read(c), want_write = live && c->in.len > 0;
    if (want_read != c->watch_read || want_write != c->watch_write) {
        c->watch_read = want_read;
        c->watch_write = want_write;
        a = act(c, VSOCK_DO_WATCH);
        a.read = want_read;
        a.write = want_write;
        return a;
    }
    return act(c, VSOCK_DO_NOTHING);
}

static void pop_todo(struct vsock_mux *m)
{
    struct vsock_conn *c = m->todo.first;

    m->todo.first = c->todo_next;
    if (!m->todo.first)
        m->todo.last = NULL;
    c->in_todo = false;
}

struct vsock_action vsock_mux_next(struct vsock_mux *m)
{
    while (m->todo.first) {
        struct vsock_conn *c = m->todo.first;
        struct vsock_action a = c->host_gone ? act(c, VSOCK_DO_NOTHING) : look(c);
        if (a.what == VSOCK_DO_CLOSE) {
            conn_drop_in(c);
            c->write_dead = true;
            conn_touch(m, c); /* what the guest is to hear of it */
        }
        if (a.what != VSOCK_DO_NOTHING)
            return a; /* and is looked at again next */
        pop_todo(m);
        conn_free_if_done(m, c);
    }
    return (struct vsock_action){ .what = VSOCK_DO_NOTHING };
}
