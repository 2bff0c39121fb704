/* A hostile guest: its memory, rings and packets are the input, the sockets' answers too. What it
 * can make us hold stays in its bounds, every segment lies in its memory, nothing is sent past the
 * credit it gave. */
#include <stdlib.h>

#include "vhost/le.h"
#include "vhost/mux.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    MEMORY_BYTES = 4096,
    NUM = 16,
    TX_AVAIL = 512,
    TX_USED = 768,
    RX_DESC = 1024,
    RX_AVAIL = 1536,
    RX_USED = 1792,
    CONNS = 4,
    BUF = 300,
    STEPS = 200,
};

struct world {
    uint8_t *memory;
    struct guest_mem mem;
    struct virtq tx, rx;
    struct vsock_mux *mux;
    const uint8_t *in;
    size_t left;
    struct vsock_conn *dialled[CONNS];
    uint64_t now;
};

static uint8_t next(struct world *w)
{
    if (w->left == 0)
        return 0;
    w->left--;
    return *w->in++;
}

static void check_chain(const struct world *w, const struct virtq_chain *c)
{
    if (c->n > VIRTQ_SEGS_MAX)
        abort();
    for (unsigned i = 0; i < c->n; i++)
        if (c->seg[i].ptr < w->memory || c->seg[i].len > MEMORY_BYTES ||
            (size_t)(c->seg[i].ptr - w->memory) > MEMORY_BYTES - c->seg[i].len)
            abort();
}

static void act(struct world *w)
{
    for (;;) {
        struct vsock_action a = vsock_mux_next(w->mux);
        uint8_t d = 0;
        switch (a.what) {
        case VSOCK_DO_NOTHING:
            return;
        case VSOCK_DO_DIAL:
            d = next(w);
            if (d & 1)
                vsock_conn_dialled(w->mux, a.conn, d & 2);
            else
                w->dialled[d / 2 % CONNS] = a.conn;
            break;
        case VSOCK_DO_SEND:
            d = next(w);
            if (a.bytes.len == 0 || a.bytes.len > BUF)
                abort();
            vsock_conn_sent(w->mux, a.conn,
                            d & 1   ? VSOCK_MOVED
                            : d & 2 ? VSOCK_AGAIN
                                    : VSOCK_BROKE,
                            1 + d % a.bytes.len);
            break;
        case VSOCK_DO_WATCH:
            d = next(w);
            if (d & 1)
                vsock_conn_ready(w->mux, a.conn, a.read, a.write);
            break;
        case VSOCK_DO_CLOSE:
            for (unsigned i = 0; i < CONNS; i++)
                if (w->dialled[i] == a.conn)
                    w->dialled[i] = NULL;
            break;
        case VSOCK_DO_GREET:
        case VSOCK_DO_SHUT_WR:
        case VSOCK_DO_SHUT_RD:
            break;
        }
    }
}

static bool from_guest(struct world *w)
{
    struct virtq_chain c;

    if (!vsock_mux_takes(w->mux) || virtq_peek(&w->tx, &w->mem, &c, NULL) != ERR_OK)
        return false;
    check_chain(w, &c);
    vsock_mux_packet(w->mux, &c, w->now);
    virtq_give(&w->tx, &c, 0);
    if (vsock_mux_conns(w->mux) > CONNS)
        abort();
    return true;
}

static bool to_guest(struct world *w)
{
    static const enum vsock_got gots[] = { VSOCK_MOVED, VSOCK_AGAIN, VSOCK_EOF, VSOCK_HUP,
                                           VSOCK_BROKE };
    uint8_t raw[VSOCK_HEADER_BYTES];
    struct vsock_out out;
    struct virtq_chain c;

    if (virtq_peek(&w->rx, &w->mem, &c, NULL) != ERR_OK || !c.writable)
        return false;
    check_chain(w, &c);
    if (!vsock_mux_out(w->mux, c.len, &out))
        return false;
    if (out.read_max > VSOCK_PAYLOAD_MAX_BYTES ||
        (out.read_max > 0 && out.read_max > c.len - VSOCK_HEADER_BYTES))
        abort();
    enum vsock_got got = out.read_max > 0 ? gots[next(w) % 5] : VSOCK_MOVED;
    size_t n = out.read_max > 0 && got == VSOCK_MOVED ? 1 + next(w) % out.read_max : 0;
    if (vsock_mux_put(w->mux, &out, got, n, w->now)) {
        vsock_hdr_write(&out.hdr, raw);
        (void)virtq_write(&c, 0, raw, sizeof raw);
        virtq_give(&w->rx, &c, (uint32_t)(sizeof raw + n));
    }
    return true;
}

/* The guest writes a packet of its own into its memory, so that mutations need not find the format.
 */
static void compose(struct world *w)
{
    uint16_t idx = le16(w->tx.avail + 2), slot = idx % NUM;
    uint8_t *desc = w->tx.desc + 16 * slot;
    struct vsock_hdr h = { .src_cid = 16,
                           .dst_cid = next(w) % 4,
                           .src_port = next(w) % 4,
                           .dst_port = next(w) % 2,
                           .len = next(w),
                           .type = VSOCK_TYPE_STREAM,
                           .op = next(w) % 9,
                           .flags = next(w) % 4,
                           .buf_alloc = next(w),
                           .fwd_cnt = next(w) };

    vsock_hdr_write(&h, w->memory + 2048);
    put_le64(desc, 2048);
    put_le32(desc + 8, VSOCK_HEADER_BYTES + h.len);
    put_le16(desc + 12, 0);
    put_le16(w->tx.avail + 4 + 2 * slot, slot);
    put_le16(w->tx.avail + 2, (uint16_t)(idx + 1));
}

static void step(struct world *w)
{
    struct vsock_conn *c;
    uint8_t d = next(w);

    switch (d % 8) {
    case 0:
        c = w->dialled[d / 8 % CONNS];
        w->dialled[d / 8 % CONNS] = NULL;
        if (c)
            vsock_conn_dialled(w->mux, c, d & 128);
        break;
    case 1:
        if (vsock_mux_connect(w->mux, d / 8, NULL, w->now, &c) != ERR_OK && d == 0)
            abort();
        break;
    case 2:
        w->now += d;
        vsock_mux_tick(w->mux, w->now);
        break;
    case 3: /* the guest writes into its memory */
        w->memory[(next(w) << 8 | next(w)) % MEMORY_BYTES] = next(w);
        break;
    case 4:
        if (d == 4)
            vsock_mux_reset(w->mux);
        break;
    default:
        compose(w);
    }
    while (from_guest(w))
        act(w);
    act(w);
    while (to_guest(w))
        act(w);
    act(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct vsock_options o = { .guest_cid = 16,
                                     .conns_max = CONNS,
                                     .buf_bytes = BUF,
                                     .connect_ns = 100,
                                     .linger_ns = 100,
                                     .drain_ns = 300 };
    struct world w = { .memory = calloc(1, MEMORY_BYTES), .in = data, .left = size, .now = 1 };

    if (!w.memory || vsock_mux_new(&o, &w.mux) != ERR_OK)
        abort();
    const struct guest_part part = { .gpa = 0, .user = 0, .size = MEMORY_BYTES, .host = w.memory };
    if (guest_mem_add(&w.mem, part, NULL) != ERR_OK)
        abort();
    w.tx = (struct virtq){
        .num = NUM, .desc = w.memory, .avail = w.memory + TX_AVAIL, .used = w.memory + TX_USED
    };
    w.rx = (struct virtq){ .num = NUM,
                           .desc = w.memory + RX_DESC,
                           .avail = w.memory + RX_AVAIL,
                           .used = w.memory + RX_USED };
    for (unsigned i = 0; i < NUM; i++) { /* receive buffers, until the guest breaks them */
        put_le64(w.rx.desc + 16 * i, 3072);
        put_le32(w.rx.desc + 16 * i + 8, 512);
        put_le16(w.rx.desc + 16 * i + 12, 2);
        put_le16(w.rx.avail + 4 + 2 * i, (uint16_t)i);
    }
    put_le16(w.rx.avail + 2, NUM);
    for (unsigned i = 0; i < STEPS && w.left > 0; i++) {
        step(&w);
        if (i % 4 == 0) /* the guest gives its buffers anew */
            put_le16(w.rx.avail + 2, (uint16_t)(w.rx.next + NUM));
    }
    vsock_mux_free(w.mux);
    free(w.memory);
    return 0;
}
