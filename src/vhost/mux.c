#include <stdlib.h>

#include "vhost/mux_in.h"

enum { FIRST_PORT = 1 << 20 }; /* of connections to the guest; out of the way of services */

enum err vsock_mux_new(const struct vsock_options *o, struct vsock_mux **out)
{
    struct vsock_mux *m = calloc(1, sizeof *m);
    if (!m)
        return ERR_NOMEM;
    m->o = *o;
    m->next_port = FIRST_PORT;
    *out = m;
    return ERR_OK;
}

static void free_conn(struct vsock_conn *c)
{
    buf_clear(&c->in);
    free(c);
}

void vsock_mux_free(struct vsock_mux *m)
{
    while (m && m->all) {
        struct vsock_conn *c = m->all;
        m->all = c->next;
        free_conn(c);
    }
    free(m);
}

unsigned vsock_mux_conns(const struct vsock_mux *m)
{
    return m->n;
}

static struct vsock_conn **bucket_of(struct vsock_mux *m, struct conn_key k)
{
    uint32_t h =
        k.guest_port * UINT32_C(0x9e3779b1) ^ k.host_port * UINT32_C(0x85ebca6b) ^ k.host_cid;

    return &m->bucket[(h ^ h >> 15) % BUCKETS];
}

static bool key_eq(struct conn_key a, struct conn_key b)
{
    return a.host_cid == b.host_cid && a.host_port == b.host_port && a.guest_port == b.guest_port;
}

struct vsock_conn *conn_find(struct vsock_mux *m, struct conn_key key)
{
    struct vsock_conn *c = *bucket_of(m, key);

    while (c && !key_eq(c->key, key))
        c = c->bucket;
    return c;
}

struct vsock_conn *conn_new(struct vsock_mux *m, struct conn_key key, enum conn_state state)
{
    struct vsock_conn *c = calloc(1, sizeof *c), **b = bucket_of(m, key);

    if (!c)
        return NULL;
    c->key = key;
    c->state = state;
    c->in = BUF_INIT(m->o.buf_bytes);
    c->bucket = *b;
    *b = c;
    c->next = m->all;
    if (c->next)
        c->next->prev = c;
    m->all = c;
    m->n++;
    return c;
}

void conn_guest_gone(struct vsock_mux *m, struct vsock_conn *c)
{
    struct vsock_conn **p = bucket_of(m, c->key);

    if (c->guest_gone)
        return;
    while (*p != c)
        p = &(*p)->bucket;
    *p = c->bucket;
    c->bucket = NULL;
    c->guest_gone = true;
    c->out = 0;
}

void conn_free_if_done(struct vsock_mux *m, struct vsock_conn *c)
{
    if (!c->guest_gone || !c->host_gone || c->in_todo || c->in_out)
        return;
    if (c->prev)
        c->prev->next = c->next;
    else
        m->all = c->next;
    if (c->next)
        c->next->prev = c->prev;
    m->n--;
    free_conn(c);
}

uint32_t conn_credit(const struct vsock_conn *c)
{
    uint32_t in_flight = c->tx_cnt - c->peer_fwd; /* free running, section 5.10.6.3 */

    return in_flight < c->peer_alloc ? c->peer_alloc - in_flight : 0;
}

bool conn_can_read(const struct vsock_conn *c)
{
    return c->state == CONN_OPEN && !c->eof && !c->host_gone && !c->guest_gone &&
           conn_credit(c) > 0;
}

static bool has_out(const struct vsock_conn *c)
{
    return !c->guest_gone && (c->out != 0 || (c->readable && conn_can_read(c)));
}

void conn_touch(struct vsock_mux *m, struct vsock_conn *c)
{
    if (c->readable && c->state == CONN_OPEN && !c->eof && !c->guest_gone && !c->credit_asked &&
        conn_credit(c) == 0) {
        c->credit_asked = true; /* once, until the guest says something new */
        c->out |= OUT_CREDIT_REQUEST;
    }
    if (!c->in_out && has_out(c)) {
        c->in_out = true;
        c->out_next = NULL;
        if (m->outs.last)
            m->outs.last->out_next = c;
        else
            m->outs.first = c;
        m->outs.last = c;
    }
    if (c->in_todo)
        return;
    c->in_todo = true;
    c->todo_next = NULL;
    if (m->todo.last)
        m->todo.last->todo_next = c;
    else
        m->todo.first = c;
    m->todo.last = c;
}

void conn_drop_in(struct vsock_conn *c)
{
    c->fwd_cnt += (uint32_t)c->in.len;
    buf_clear(&c->in);
}

void conn_consumed(struct vsock_mux *m, struct vsock_conn *c, size_t n)
{
    c->fwd_cnt += (uint32_t)n;
    buf_consume(&c->in, n);
    if (c->in.len == 0 && c->in.cap > KEEP_BYTES)
        buf_clear(&c->in); /* a thousand idle connections hold no memory */
    /* Every packet carries the count; a packet of its own is due when the guest may run dry. */
    if (!c->guest_gone && c->fwd_cnt - c->fwd_told >= (m->o.buf_bytes + 3) / 4)
        c->out |= OUT_CREDIT_UPDATE;
}

void conn_shut(struct vsock_conn *c, unsigned flags)
{
    if (c->guest_gone || (c->our_shut | flags) == c->our_shut)
        return;
    c->our_shut |= flags;
    c->out |= OUT_SHUTDOWN;
}

void conn_reset(struct vsock_mux *m, struct vsock_conn *c)
{
    conn_drop_in(c);
    c->state = CONN_DEAD;
    c->out = c->guest_gone ? 0 : OUT_RST;
    conn_touch(m, c);
}

void conn_deadline(struct vsock_mux *m, struct vsock_conn *c, uint64_t at_ns)
{
    c->deadline_ns = at_ns;
    if (at_ns != 0 && (m->wake_ns == 0 || at_ns < m->wake_ns))
        m->wake_ns = at_ns;
}

void vsock_mux_reset(struct vsock_mux *m)
{
    m->n_rsts = 0;
    for (struct vsock_conn *c = m->all; c; c = c->next) {
        conn_guest_gone(m, c);
        conn_reset(m, c);
    }
}

enum err vsock_mux_connect(struct vsock_mux *m, uint32_t port, void *host, uint64_t now_ns,
                           struct vsock_conn **out)
{
    struct conn_key key = { .host_cid = VSOCK_CID_PARENT, .guest_port = port };

    if (m->n >= m->o.conns_max)
        return ERR_LIMIT;
    do {
        key.host_port = m->next_port++;
        if (m->next_port == UINT32_MAX)
            m->next_port = FIRST_PORT;
    } while (conn_find(m, key)); /* ends: there are more ports than connections */
    struct vsock_conn *c = conn_new(m, key, CONN_ASKED);
    if (!c)
        return ERR_NOMEM;
    c->host = host;
    c->out = OUT_REQUEST;
    conn_deadline(m, c, now_ns + m->o.connect_ns);
    conn_touch(m, c);
    *out = c;
    return ERR_OK;
}

void vsock_mux_tick(struct vsock_mux *m, uint64_t now_ns)
{
    if (m->wake_ns == 0 || now_ns < m->wake_ns)
        return;
    m->wake_ns = 0;
    for (struct vsock_conn *c = m->all; c; c = c->next) {
        if (c->deadline_ns != 0 && c->deadline_ns <= now_ns) {
            c->deadline_ns = 0;
            conn_reset(m, c);
        }
        if (c->deadline_ns != 0 && (m->wake_ns == 0 || c->deadline_ns < m->wake_ns))
            m->wake_ns = c->deadline_ns;
    }
}

uint64_t vsock_mux_wake_ns(const struct vsock_mux *m)
{
    return m->wake_ns;
}

void vsock_conn_set_host(struct vsock_conn *c, void *host)
{
    c->host = host;
}

void *vsock_conn_host(const struct vsock_conn *c)
{
    return c->host;
}
