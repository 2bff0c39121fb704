/* What the guest sends, and what it gets. */
#include "vhost/mux_in.h"

bool vsock_mux_takes(const struct vsock_mux *m)
{
    return m->n_rsts < VSOCK_RSTS_MAX;
}

/* Refuse what belongs to no connection of ours. Never an answer to an RST. */
static void refuse(struct vsock_mux *m, const struct vsock_hdr *h)
{
    if (h->op == VSOCK_OP_RST || m->n_rsts == VSOCK_RSTS_MAX)
        return;
    m->rst[(m->rst_at + m->n_rsts++) % VSOCK_RSTS_MAX] = (struct vsock_hdr){
        .src_cid = h->dst_cid,
        .dst_cid = h->src_cid,
        .src_port = h->dst_port,
        .dst_port = h->src_port,
        .type = h->type,
        .op = VSOCK_OP_RST,
    };
}

static void on_request(struct vsock_mux *m, const struct vsock_hdr *h, struct conn_key key)
{
    struct vsock_conn *c = m->n < m->o.conns_max ? conn_new(m, key, CONN_DIALLING) : NULL;

    if (!c) {
        refuse(m, h);
        return;
    }
    c->dial_due = true;
    c->peer_alloc = h->buf_alloc;
    c->peer_fwd = h->fwd_cnt;
    conn_touch(m, c);
}

static void on_response(struct vsock_mux *m, struct vsock_conn *c)
{
    if (c->state != CONN_ASKED) {
        conn_reset(m, c);
        return;
    }
    c->state = CONN_OPEN;
    c->greet_due = true;
    conn_deadline(m, c, 0);
    conn_touch(m, c);
}

static void on_rst(struct vsock_mux *m, struct vsock_conn *c, uint64_t now_ns)
{
    conn_guest_gone(m, c);
    if (c->state != CONN_OPEN)
        c->state = CONN_DEAD;
    /* What came before still goes to its reader, if he takes it in time. */
    conn_deadline(m, c, now_ns + m->o.drain_ns);
    conn_touch(m, c);
}

static void on_shutdown(struct vsock_mux *m, struct vsock_conn *c, uint32_t flags, uint64_t now_ns)
{
    c->guest_shut |= flags & VSOCK_SHUT_BOTH;
    if (c->guest_shut & VSOCK_SHUT_RCV)
        c->eof = true; /* nothing more is to be sent */
    if (c->guest_shut == VSOCK_SHUT_BOTH)
        conn_deadline(m, c, now_ns + m->o.drain_ns);
    conn_touch(m, c);
}

static void on_data(struct vsock_mux *m, struct vsock_conn *c, const struct virtq_chain *chain,
                    uint32_t len)
{
    uint8_t *room;

    if (len == 0)
        return;
    if (c->state != CONN_OPEN || (c->guest_shut & VSOCK_SHUT_SEND) ||
        len > VSOCK_PAYLOAD_MAX_BYTES || len > chain->len - VSOCK_HEADER_BYTES ||
        buf_reserve(&c->in, len, &room) != ERR_OK) { /* past its credit, or we have no memory */
        conn_reset(m, c);
        return;
    }
    buf_commit(&c->in, virtq_read(chain, VSOCK_HEADER_BYTES, room, len));
    if (c->write_dead)
        conn_consumed(m, c, c->in.len); /* nobody is there to take it; the guest was told */
    conn_touch(m, c);
}

static void on_known(struct vsock_mux *m, struct vsock_conn *c, const struct vsock_hdr *h,
                     const struct virtq_chain *chain, uint64_t now_ns)
{
    if (c->peer_alloc != h->buf_alloc || c->peer_fwd != h->fwd_cnt)
        c->credit_asked = false;
    c->peer_alloc = h->buf_alloc;
    c->peer_fwd = h->fwd_cnt;
    switch (h->op) {
    case VSOCK_OP_RESPONSE:
        on_response(m, c);
        return;
    case VSOCK_OP_RST:
        on_rst(m, c, now_ns);
        return;
    case VSOCK_OP_SHUTDOWN:
        on_shutdown(m, c, h->flags, now_ns);
        return;
    case VSOCK_OP_RW:
        on_data(m, c, chain, h->len);
        return;
    case VSOCK_OP_CREDIT_REQUEST:
        c->out |= OUT_CREDIT_UPDATE;
        conn_touch(m, c);
        return;
    case VSOCK_OP_CREDIT_UPDATE:
        conn_touch(m, c);
        return;
    default: /* a second REQUEST, or no operation at all */
        conn_reset(m, c);
    }
}

void vsock_mux_packet(struct vsock_mux *m, const struct virtq_chain *chain, uint64_t now_ns)
{
    uint8_t raw[VSOCK_HEADER_BYTES];

    if (chain->writable || virtq_read(chain, 0, raw, sizeof raw) != sizeof raw)
        return;
    struct vsock_hdr h = vsock_hdr_parse(raw);
    if (h.src_cid != m->o.guest_cid)
        return;
    struct conn_key key = { (uint32_t)h.dst_cid, h.dst_port, h.src_port };
    bool ours = h.type == VSOCK_TYPE_STREAM &&
                (h.dst_cid == VSOCK_CID_PARENT || h.dst_cid == VSOCK_CID_HOST);
    struct vsock_conn *c = ours ? conn_find(m, key) : NULL;
    if (c && c->host_gone && h.op == VSOCK_OP_REQUEST) {
        conn_guest_gone(m, c); /* the guest has left it without a word and uses the port anew */
        conn_touch(m, c);
        c = NULL;
    }
    /* One that we have reset and not told yet: the guest will hear it soon. */
    if (c && c->state == CONN_DEAD && h.op != VSOCK_OP_RST)
        return;
    if (c)
        on_known(m, c, &h, chain, now_ns);
    else if (ours && h.op == VSOCK_OP_REQUEST)
        on_request(m, &h, key);
    else
        refuse(m, &h);
}

static struct vsock_conn *pop_out(struct vsock_mux *m)
{
    struct vsock_conn *c = m->outs.first;

    m->outs.first = c->out_next;
    if (!m->outs.first)
        m->outs.last = NULL;
    c->in_out = false;
    return c;
}

static uint16_t take_op(struct vsock_conn *c)
{
    static const uint16_t op[] = {
        VSOCK_OP_RST,           VSOCK_OP_REQUEST,        VSOCK_OP_RESPONSE,
        VSOCK_OP_CREDIT_UPDATE, VSOCK_OP_CREDIT_REQUEST, VSOCK_OP_SHUTDOWN
    };

    for (unsigned i = 0; i < sizeof op / sizeof op[0]; i++)
        if (c->out & 1u << i) {
            c->out &= ~(1u << i);
            return op[i];
        }
    return VSOCK_OP_RW;
}

static struct vsock_hdr header(struct vsock_mux *m, struct vsock_conn *c, uint16_t op)
{
    c->fwd_told = c->fwd_cnt;
    return (struct vsock_hdr){
        .src_cid = c->key.host_cid,
        .dst_cid = m->o.guest_cid,
        .src_port = c->key.host_port,
        .dst_port = c->key.guest_port,
        .type = VSOCK_TYPE_STREAM,
        .op = op,
        .flags = op == VSOCK_OP_SHUTDOWN ? c->our_shut : 0,
        .buf_alloc = m->o.buf_bytes,
        .fwd_cnt = c->fwd_cnt,
    };
}

bool vsock_mux_out(struct vsock_mux *m, size_t room, struct vsock_out *out)
{
    if (room <= VSOCK_HEADER_BYTES)
        return false;
    if (m->n_rsts > 0) {
        *out = (struct vsock_out){ .hdr = m->rst[m->rst_at] };
        return true;
    }
    while (m->outs.first) {
        struct vsock_conn *c = m->outs.first;
        if (!c->guest_gone && (c->out != 0 || (c->readable && conn_can_read(c)))) {
            size_t most = room - VSOCK_HEADER_BYTES, credit = conn_credit(c);
            *out = (struct vsock_out){ .conn = c, .hdr.op = c->out ? 0 : VSOCK_OP_RW };
            most = most < credit ? most : credit;
            if (!c->out)
                out->read_max = most < VSOCK_PAYLOAD_MAX_BYTES ? most : VSOCK_PAYLOAD_MAX_BYTES;
            return true;
        }
        c = pop_out(m);
        conn_free_if_done(m, c);
    }
    return false;
}

/* Reading said that no more comes. */
static void ended(struct vsock_mux *m, struct vsock_conn *c, enum vsock_got got)
{
    c->readable = false;
    c->eof = true;
    if (got != VSOCK_EOF) {
        c->write_dead = true;
        conn_consumed(m, c, c->in.len);
    }
    conn_shut(c, got == VSOCK_EOF ? VSOCK_SHUT_SEND : VSOCK_SHUT_BOTH);
}

bool vsock_mux_put(struct vsock_mux *m, struct vsock_out *out, enum vsock_got got, size_t n,
                   uint64_t now_ns)
{
    struct vsock_conn *c = out->conn;

    if (!c) {
        m->rst_at = (m->rst_at + 1) % VSOCK_RSTS_MAX;
        m->n_rsts--;
        return true;
    }
    (void)pop_out(m); /* it is the first; and to the end of the queue it goes if it has more */
    bool sends = out->read_max == 0 || got == VSOCK_MOVED;
    if (sends)
        out->hdr = header(m, c, take_op(c));
    if (out->read_max > 0 && got == VSOCK_MOVED) {
        out->hdr.len = (uint32_t)n;
        c->tx_cnt += (uint32_t)n;
    }
    if (got == VSOCK_AGAIN)
        c->readable = false;
    if (got == VSOCK_EOF || got == VSOCK_HUP || got == VSOCK_BROKE)
        ended(m, c, got);
    if (sends && out->hdr.op == VSOCK_OP_RST)
        conn_guest_gone(m, c);
    if (sends && out->hdr.op == VSOCK_OP_SHUTDOWN && c->our_shut == VSOCK_SHUT_BOTH)
        conn_deadline(m, c, now_ns + m->o.linger_ns); /* for the guest to answer */
    conn_touch(m, c);
    return sends;
}
