/* Connections, with a guest and sockets that are played here. */
#include <stdlib.h>

#include "testing/t.h"
#include "vhost/mux.h"

enum {
    CID = 16,
    CONNS = 8,
    BUF = 1000,
    CONNECT_NS = 100,
    LINGER_NS = 1000,
    DRAIN_NS = 5000,
    ROOM = 4096,
    GUEST_PORT = 40000,
};

static struct vsock_mux *m;
static uint64_t now;

static int make(void **state)
{
    const struct vsock_options o = { .guest_cid = CID,
                                     .conns_max = CONNS,
                                     .buf_bytes = BUF,
                                     .connect_ns = CONNECT_NS,
                                     .linger_ns = LINGER_NS,
                                     .drain_ns = DRAIN_NS };
    (void)state;
    now = 10;
    return vsock_mux_new(&o, &m) == ERR_OK ? 0 : -1;
}

static int drop(void **state)
{
    (void)state;
    vsock_mux_free(m);
    return 0;
}

static struct vsock_hdr hdr(uint16_t op)
{
    return (struct vsock_hdr){ .src_cid = CID,
                               .dst_cid = 3,
                               .src_port = GUEST_PORT,
                               .dst_port = 9000,
                               .type = VSOCK_TYPE_STREAM,
                               .op = op,
                               .buf_alloc = 2000 };
}

static void guest_sends(struct vsock_hdr h, struct span payload)
{
    uint8_t raw[VSOCK_HEADER_BYTES];
    uint8_t *copy = malloc(payload.len + 1); /* a segment of its own, as Linux does it */

    vsock_hdr_write(&h, raw);
    if (payload.len > 0)
        memcpy(copy, payload.ptr, payload.len);
    const struct virtq_chain c = { .n = 2,
                                   .seg = { { raw, sizeof raw }, { copy, payload.len } },
                                   .len = sizeof raw + payload.len };
    vsock_mux_packet(m, &c, now);
    free(copy);
}

static void guest(uint16_t op)
{
    guest_sends(hdr(op), SPAN_EMPTY);
}

static void guest_data(const char *text)
{
    struct vsock_hdr h = hdr(VSOCK_OP_RW);

    h.len = (uint32_t)strlen(text);
    guest_sends(h, span_str(text));
}

static struct vsock_action action(enum vsock_do want)
{
    struct vsock_action a = vsock_mux_next(m);

    assert_int_equal(a.what, want);
    return a;
}

/* The next packet, which reads nothing. */
static struct vsock_hdr packet(uint16_t op)
{
    struct vsock_out out;

    assert_true(vsock_mux_out(m, ROOM, &out));
    assert_int_equal(out.read_max, 0);
    assert_true(vsock_mux_put(m, &out, VSOCK_MOVED, 0, now));
    assert_int_equal(out.hdr.op, op);
    assert_int_equal(out.hdr.dst_cid, CID);
    return out.hdr;
}

static void no_packet(void)
{
    struct vsock_out out;

    assert_false(vsock_mux_out(m, ROOM, &out));
}

/* The next packet reads, and so it goes. */
static struct vsock_hdr data(size_t most, enum vsock_got got, size_t n)
{
    struct vsock_out out;

    assert_true(vsock_mux_out(m, ROOM, &out));
    assert_int_equal(out.read_max, most);
    assert_int_equal(vsock_mux_put(m, &out, got, n, now), got == VSOCK_MOVED);
    return out.hdr;
}

static void watches(bool r, bool w)
{
    struct vsock_action a = action(VSOCK_DO_WATCH);

    assert_int_equal(a.read, r);
    assert_int_equal(a.write, w);
}

/* A connection that the guest opened. */
static struct vsock_conn *opened(void)
{
    guest(VSOCK_OP_REQUEST);
    struct vsock_action a = action(VSOCK_DO_DIAL);
    assert_int_equal(a.port, 9000);
    action(VSOCK_DO_NOTHING);
    no_packet();
    vsock_conn_dialled(m, a.conn, true);
    struct vsock_hdr h = packet(VSOCK_OP_RESPONSE);
    assert_int_equal(h.src_cid, 3);
    assert_int_equal(h.src_port, 9000);
    assert_int_equal(h.dst_port, GUEST_PORT);
    assert_int_equal(h.buf_alloc, BUF);
    assert_int_equal(h.type, VSOCK_TYPE_STREAM);
    watches(true, false);
    action(VSOCK_DO_NOTHING);
    return a.conn;
}

static void closed(void)
{
    action(VSOCK_DO_CLOSE);
    action(VSOCK_DO_NOTHING);
}

static void headers_there_and_back(void **state)
{
    uint8_t raw[VSOCK_HEADER_BYTES], again[VSOCK_HEADER_BYTES];
    (void)state;

    for (unsigned i = 0; i < sizeof raw; i++)
        raw[i] = (uint8_t)(i + 1);
    struct vsock_hdr h = vsock_hdr_parse(raw);
    assert_int_equal(h.dst_cid, UINT64_C(0x100f0e0d0c0b0a09));
    assert_int_equal(h.len, 0x1c1b1a19);
    assert_int_equal(h.op, 0x201f);
    assert_int_equal(h.fwd_cnt, 0x2c2b2a29);
    vsock_hdr_write(&h, again);
    assert_memory_equal(raw, again, sizeof raw);
}

static void both_ways(void **state)
{
    (void)state;
    struct vsock_conn *c = opened();

    guest_data("hello");
    struct vsock_action a = action(VSOCK_DO_SEND);
    t_assert_span(a.bytes, SPAN_LIT("hello"));
    vsock_conn_sent(m, c, VSOCK_MOVED, 2);
    a = action(VSOCK_DO_SEND);
    t_assert_span(a.bytes, SPAN_LIT("llo"));
    vsock_conn_sent(m, c, VSOCK_MOVED, 3);
    action(VSOCK_DO_NOTHING);
    vsock_conn_ready(m, c, true, false);
    watches(false, false); /* it is known now */
    struct vsock_hdr h = data(2000, VSOCK_MOVED, 700);
    assert_int_equal(h.op, VSOCK_OP_RW);
    assert_int_equal(h.len, 700);
    assert_int_equal(h.fwd_cnt, 5);
    data(1300, VSOCK_AGAIN, 0);
    no_packet();
    watches(true, false);
}

static void refused(void **state)
{
    (void)state;
    guest(VSOCK_OP_REQUEST);
    struct vsock_action a = action(VSOCK_DO_DIAL);
    vsock_conn_dialled(m, a.conn, false);
    struct vsock_hdr h = packet(VSOCK_OP_RST);
    assert_int_equal(h.src_port, 9000);
    closed();
    assert_int_equal(vsock_mux_conns(m), 0);
}

static void strangers_are_reset(void **state)
{
    static const uint16_t ops[] = { VSOCK_OP_RW,
                                    VSOCK_OP_SHUTDOWN,
                                    VSOCK_OP_RESPONSE,
                                    VSOCK_OP_CREDIT_UPDATE,
                                    VSOCK_OP_CREDIT_REQUEST,
                                    0,
                                    77 };
    (void)state;

    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
        guest(ops[i]);
        struct vsock_hdr h = packet(VSOCK_OP_RST);
        assert_int_equal(h.src_cid, 3);
        assert_int_equal(h.dst_port, GUEST_PORT);
    }
    guest(VSOCK_OP_RST); /* never answered */
    no_packet();
    struct vsock_hdr h = hdr(VSOCK_OP_REQUEST);
    h.dst_cid = 17; /* another enclave */
    guest_sends(h, SPAN_EMPTY);
    assert_int_equal(packet(VSOCK_OP_RST).src_cid, 17);
    h.dst_cid = UINT64_C(0x100000003);
    guest_sends(h, SPAN_EMPTY);
    assert_int_equal(packet(VSOCK_OP_RST).src_cid, UINT64_C(0x100000003));
    h = hdr(VSOCK_OP_REQUEST);
    h.type = 2; /* SEQPACKET was not offered */
    guest_sends(h, SPAN_EMPTY);
    assert_int_equal(packet(VSOCK_OP_RST).type, 2);
    h = hdr(VSOCK_OP_REQUEST);
    h.src_cid = 17; /* not who it is */
    guest_sends(h, SPAN_EMPTY);
    no_packet();
    action(VSOCK_DO_NOTHING);
}

static void a_short_packet_is_passed_over(void **state)
{
    uint8_t raw[VSOCK_HEADER_BYTES];
    struct vsock_hdr h = hdr(VSOCK_OP_REQUEST);
    (void)state;

    vsock_hdr_write(&h, raw);
    struct virtq_chain c = { .n = 1, .seg = { { raw, 43 } }, .len = 43 };
    vsock_mux_packet(m, &c, now);
    c = (struct virtq_chain){ .n = 1, .seg = { { raw, 44 } }, .len = 44, .writable = true };
    vsock_mux_packet(m, &c, now);
    action(VSOCK_DO_NOTHING);
    no_packet();
}

static void cid_2_is_answered_by_cid_2(void **state)
{
    struct vsock_hdr h = hdr(VSOCK_OP_REQUEST);
    (void)state;

    h.dst_cid = 2;
    guest_sends(h, SPAN_EMPTY);
    guest(VSOCK_OP_REQUEST); /* the same ports to CID 3 are another connection */
    struct vsock_action a = action(VSOCK_DO_DIAL);
    vsock_conn_dialled(m, a.conn, true);
    assert_int_equal(packet(VSOCK_OP_RESPONSE).src_cid, 2);
    assert_int_equal(vsock_mux_conns(m), 2);
}

static void refusals_are_bounded(void **state)
{
    (void)state;
    for (unsigned i = 0; i < VSOCK_RSTS_MAX; i++) {
        assert_true(vsock_mux_takes(m));
        guest(VSOCK_OP_RW);
    }
    assert_false(vsock_mux_takes(m));
    guest(VSOCK_OP_RW); /* the shell does not do so; nothing grows */
    packet(VSOCK_OP_RST);
    assert_true(vsock_mux_takes(m));
    for (unsigned i = 1; i < VSOCK_RSTS_MAX; i++)
        packet(VSOCK_OP_RST);
    no_packet();
}

static void connections_are_bounded(void **state)
{
    struct vsock_conn *c;
    (void)state;

    for (uint32_t i = 0; i < CONNS; i++) {
        struct vsock_hdr h = hdr(VSOCK_OP_REQUEST);
        h.src_port = i;
        guest_sends(h, SPAN_EMPTY);
    }
    assert_int_equal(vsock_mux_conns(m), CONNS);
    guest(VSOCK_OP_REQUEST);
    assert_int_equal(packet(VSOCK_OP_RST).dst_port, GUEST_PORT);
    assert_int_equal(vsock_mux_connect(m, 5000, NULL, now, &c), ERR_LIMIT);
}

static void past_its_credit(void **state)
{
    char text[BUF + 2];
    (void)state;

    (void)opened();
    memset(text, 'x', sizeof text);
    text[BUF] = '\0';
    guest_data(text); /* all of it */
    action(VSOCK_DO_SEND);
    guest_data("y");
    packet(VSOCK_OP_RST);
    closed();
    assert_int_equal(vsock_mux_conns(m), 0);
}

static void credit_is_given_back(void **state)
{
    char text[BUF / 4 + 1];
    (void)state;
    struct vsock_conn *c = opened();

    memset(text, 'x', sizeof text);
    text[BUF / 4 - 1] = '\0';
    guest_data(text);
    action(VSOCK_DO_SEND);
    vsock_conn_sent(m, c, VSOCK_MOVED, BUF / 4 - 1);
    action(VSOCK_DO_NOTHING);
    no_packet(); /* one byte less than is worth a packet */
    guest_data("z");
    action(VSOCK_DO_SEND);
    vsock_conn_sent(m, c, VSOCK_MOVED, 1);
    assert_int_equal(packet(VSOCK_OP_CREDIT_UPDATE).fwd_cnt, BUF / 4);
    no_packet();
    guest(VSOCK_OP_CREDIT_REQUEST);
    assert_int_equal(packet(VSOCK_OP_CREDIT_UPDATE).buf_alloc, BUF);
}

static void the_guests_credit_holds(void **state)
{
    struct vsock_hdr h;
    (void)state;
    struct vsock_conn *c = opened();

    vsock_conn_ready(m, c, true, false);
    data(2000, VSOCK_MOVED, 1999);
    data(1, VSOCK_MOVED, 1);
    packet(VSOCK_OP_CREDIT_REQUEST); /* once */
    no_packet();
    guest(VSOCK_OP_CREDIT_UPDATE); /* nothing new */
    no_packet();
    h = hdr(VSOCK_OP_CREDIT_UPDATE);
    h.fwd_cnt = 500;
    guest_sends(h, SPAN_EMPTY);
    data(500, VSOCK_MOVED, 500);
    packet(VSOCK_OP_CREDIT_REQUEST);
    h.buf_alloc = 100; /* it may shrink */
    guest_sends(h, SPAN_EMPTY);
    packet(VSOCK_OP_CREDIT_REQUEST);
    no_packet();
    h.fwd_cnt = 2501; /* more than it was sent: no credit, and no harm */
    h.buf_alloc = UINT32_MAX;
    guest_sends(h, SPAN_EMPTY);
    packet(VSOCK_OP_CREDIT_REQUEST);
    no_packet();
    watches(false, false);
    h.fwd_cnt = 2500;
    guest_sends(h, SPAN_EMPTY);
    data(ROOM - VSOCK_HEADER_BYTES, VSOCK_AGAIN, 0);
}

static void a_reader_that_does_not_read(void **state)
{
    (void)state;
    struct vsock_conn *c = opened();

    guest_data("abc");
    action(VSOCK_DO_SEND);
    vsock_conn_sent(m, c, VSOCK_AGAIN, 0);
    watches(true, true);
    guest_data("def");
    action(VSOCK_DO_NOTHING);
    vsock_conn_ready(m, c, false, true);
    struct vsock_action a = action(VSOCK_DO_SEND);
    t_assert_span(a.bytes, SPAN_LIT("abcdef"));
    vsock_conn_sent(m, c, VSOCK_MOVED, 6);
    watches(true, false);
}

static void the_guest_half_closes(void **state)
{
    struct vsock_hdr h = hdr(VSOCK_OP_SHUTDOWN);
    (void)state;
    struct vsock_conn *c = opened();

    guest_data("last");
    h.flags = VSOCK_SHUT_SEND;
    guest_sends(h, SPAN_EMPTY);
    action(VSOCK_DO_SEND); /* first what it sent */
    vsock_conn_sent(m, c, VSOCK_MOVED, 4);
    action(VSOCK_DO_SHUT_WR);
    action(VSOCK_DO_NOTHING);
    vsock_conn_ready(m, c, true, false);
    watches(false, false);
    data(2000, VSOCK_MOVED, 10); /* the other way still goes */
    data(1990, VSOCK_EOF, 0);
    action(VSOCK_DO_CLOSE); /* done here; the guest is told, and says so */
    assert_int_equal(packet(VSOCK_OP_SHUTDOWN).flags, VSOCK_SHUT_BOTH);
    assert_int_equal(vsock_mux_conns(m), 1);
    guest(VSOCK_OP_RST);
    action(VSOCK_DO_NOTHING);
    assert_int_equal(vsock_mux_conns(m), 0);
}

static void the_other_side_half_closes(void **state)
{
    struct vsock_hdr h = hdr(VSOCK_OP_SHUTDOWN);
    (void)state;
    struct vsock_conn *c = opened();

    vsock_conn_ready(m, c, true, false);
    data(2000, VSOCK_EOF, 0);
    assert_int_equal(packet(VSOCK_OP_SHUTDOWN).flags, VSOCK_SHUT_SEND);
    guest_data("still");
    action(VSOCK_DO_SEND);
    vsock_conn_sent(m, c, VSOCK_MOVED, 5);
    watches(false, false);
    h.flags = VSOCK_SHUT_BOTH; /* the guest closes */
    guest_sends(h, SPAN_EMPTY);
    action(VSOCK_DO_SHUT_WR);
    action(VSOCK_DO_SHUT_RD);
    closed();
    packet(VSOCK_OP_RST); /* the answer to a clean end */
    action(VSOCK_DO_NOTHING);
    assert_int_equal(vsock_mux_conns(m), 0);
}

static void the_other_side_hangs_up(void **state)
{
    (void)state;
    struct vsock_conn *c = opened();

    guest_data("into the void");
    vsock_conn_ready(m, c, true, false);
    data(2000, VSOCK_HUP, 0);
    assert_int_equal(packet(VSOCK_OP_SHUTDOWN).flags, VSOCK_SHUT_BOTH);
    action(VSOCK_DO_CLOSE);
    guest_data("more"); /* it has not heard yet: thrown away */
    action(VSOCK_DO_NOTHING);
    no_packet();
    now += LINGER_NS;
    assert_int_equal(vsock_mux_wake_ns(m), now);
    vsock_mux_tick(m, now); /* it says nothing */
    packet(VSOCK_OP_RST);
    action(VSOCK_DO_NOTHING);
    assert_int_equal(vsock_mux_conns(m), 0);
    assert_int_equal(vsock_mux_wake_ns(m), 0);
}

static void it_takes_no_more(void **state)
{
    (void)state;
    struct vsock_conn *c = opened();

    guest_data("abc");
    action(VSOCK_DO_SEND);
    vsock_conn_sent(m, c, VSOCK_BROKE, 0);
    assert_int_equal(packet(VSOCK_OP_SHUTDOWN).flags, VSOCK_SHUT_RCV);
    vsock_conn_ready(m, c, true, false);
    data(2000, VSOCK_MOVED, 5); /* what it sent before */
    data(1995, VSOCK_BROKE, 0);
    assert_int_equal(packet(VSOCK_OP_SHUTDOWN).flags, VSOCK_SHUT_BOTH);
    closed();
}

static void the_guest_leaves_and_its_last_words_arrive(void **state)
{
    (void)state;
    struct vsock_conn *c = opened();

    guest_data("last words");
    action(VSOCK_DO_SEND);
    vsock_conn_sent(m, c, VSOCK_AGAIN, 0);
    guest(VSOCK_OP_RST);
    watches(false, true);
    action(VSOCK_DO_NOTHING);
    guest(VSOCK_OP_REQUEST); /* the same ports anew are another connection */
    struct vsock_action a = action(VSOCK_DO_DIAL);
    assert_ptr_not_equal(a.conn, c);
    vsock_conn_ready(m, c, false, true);
    action(VSOCK_DO_SEND);
    vsock_conn_sent(m, c, VSOCK_MOVED, 10);
    closed();
    assert_int_equal(vsock_mux_conns(m), 1);
}

static void last_words_that_nobody_takes(void **state)
{
    (void)state;
    struct vsock_conn *c = opened();

    guest_data("last words");
    action(VSOCK_DO_SEND);
    vsock_conn_sent(m, c, VSOCK_AGAIN, 0);
    guest(VSOCK_OP_RST);
    watches(false, true);
    vsock_mux_tick(m, now + DRAIN_NS - 1);
    action(VSOCK_DO_NOTHING);
    vsock_mux_tick(m, now + DRAIN_NS);
    closed();
    no_packet();
    assert_int_equal(vsock_mux_conns(m), 0);
}

static void we_connect(void **state)
{
    struct vsock_conn *c;
    int mine;
    (void)state;

    assert_int_equal(vsock_mux_connect(m, 5000, &mine, now, &c), ERR_OK);
    assert_ptr_equal(vsock_conn_host(c), &mine);
    struct vsock_hdr h = packet(VSOCK_OP_REQUEST);
    assert_int_equal(h.src_cid, 3);
    assert_int_equal(h.dst_port, 5000);
    action(VSOCK_DO_NOTHING);
    struct vsock_hdr answer = hdr(VSOCK_OP_RESPONSE);
    answer.src_port = 5000;
    answer.dst_port = h.src_port;
    guest_sends(answer, SPAN_EMPTY);
    struct vsock_action a = action(VSOCK_DO_GREET);
    assert_ptr_equal(a.host, &mine);
    assert_int_equal(a.port, h.src_port);
    watches(true, false);
    vsock_mux_tick(m, now + CONNECT_NS);
    action(VSOCK_DO_NOTHING); /* its time limit is over */
}

static void nobody_answers(void **state)
{
    struct vsock_conn *c;
    (void)state;

    assert_int_equal(vsock_mux_connect(m, 5000, NULL, now, &c), ERR_OK);
    packet(VSOCK_OP_REQUEST);
    vsock_mux_tick(m, now + CONNECT_NS - 1);
    action(VSOCK_DO_NOTHING);
    vsock_mux_tick(m, now + CONNECT_NS);
    closed();
    packet(VSOCK_OP_RST);
    action(VSOCK_DO_NOTHING);
    assert_int_equal(vsock_mux_conns(m), 0);
}

static void the_guest_refuses(void **state)
{
    struct vsock_conn *c;
    (void)state;

    assert_int_equal(vsock_mux_connect(m, 5000, NULL, now, &c), ERR_OK);
    struct vsock_hdr h = packet(VSOCK_OP_REQUEST), answer = hdr(VSOCK_OP_RST);
    answer.src_port = 5000;
    answer.dst_port = h.src_port;
    guest_sends(answer, SPAN_EMPTY);
    closed();
    no_packet();
    assert_int_equal(vsock_mux_conns(m), 0);
}

static void breaches_of_protocol(void **state)
{
    static const uint16_t ops[] = { VSOCK_OP_REQUEST, VSOCK_OP_RESPONSE, 0, 8 };
    (void)state;

    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
        (void)opened();
        guest(ops[i]);
        closed();
        guest(VSOCK_OP_CREDIT_REQUEST); /* it has not heard yet */
        packet(VSOCK_OP_RST);
        action(VSOCK_DO_NOTHING);
        no_packet();
        assert_int_equal(vsock_mux_conns(m), 0);
    }
    guest(VSOCK_OP_REQUEST);
    action(VSOCK_DO_DIAL);
    guest_data("before the answer");
    closed();
    packet(VSOCK_OP_RST);
    action(VSOCK_DO_NOTHING);
    (void)opened();
    struct vsock_hdr h = hdr(VSOCK_OP_RW);
    h.len = 10; /* more than the packet has */
    guest_sends(h, SPAN_LIT("123456789"));
    closed();
    packet(VSOCK_OP_RST);
    action(VSOCK_DO_NOTHING);
    (void)opened();
    h = hdr(VSOCK_OP_SHUTDOWN);
    h.flags = VSOCK_SHUT_SEND;
    guest_sends(h, SPAN_EMPTY);
    action(VSOCK_DO_SHUT_WR);
    guest_data("after the end");
    closed();
}

static void the_guest_takes_no_more(void **state)
{
    struct vsock_hdr h = hdr(VSOCK_OP_SHUTDOWN);
    (void)state;
    struct vsock_conn *c = opened();

    h.flags = VSOCK_SHUT_RCV;
    guest_sends(h, SPAN_EMPTY);
    action(VSOCK_DO_SHUT_RD);
    watches(false, false);
    vsock_conn_ready(m, c, true, false);
    no_packet();
    guest_data("but sends");
    action(VSOCK_DO_SEND);
    vsock_conn_sent(m, c, VSOCK_MOVED, 9);
    h.flags = VSOCK_SHUT_SEND;
    guest_sends(h, SPAN_EMPTY);
    action(VSOCK_DO_SHUT_WR);
    closed();
    packet(VSOCK_OP_RST);
}

static void a_reset_of_the_device(void **state)
{
    struct vsock_conn *c;
    (void)state;

    (void)opened();
    guest_data("gone");
    assert_int_equal(vsock_mux_connect(m, 5000, NULL, now, &c), ERR_OK);
    struct vsock_hdr h = hdr(VSOCK_OP_RW);
    h.src_port = 1;
    guest_sends(h, SPAN_EMPTY); /* a refusal that waits */
    vsock_mux_reset(m);
    no_packet();
    action(VSOCK_DO_CLOSE);
    action(VSOCK_DO_CLOSE);
    action(VSOCK_DO_NOTHING);
    assert_int_equal(vsock_mux_conns(m), 0);
    (void)opened();
}

static void they_take_turns(void **state)
{
    struct vsock_action a[2];
    struct vsock_out out;
    (void)state;

    for (uint32_t i = 0; i < 2; i++) {
        struct vsock_hdr h = hdr(VSOCK_OP_REQUEST);
        h.src_port = i;
        guest_sends(h, SPAN_EMPTY);
        a[i] = action(VSOCK_DO_DIAL);
        vsock_conn_dialled(m, a[i].conn, true);
        packet(VSOCK_OP_RESPONSE);
        watches(true, false);
    }
    vsock_conn_ready(m, a[0].conn, true, false);
    vsock_conn_ready(m, a[1].conn, true, false);
    for (uint32_t i = 0; i < 10; i++) {
        assert_true(vsock_mux_out(m, ROOM, &out));
        assert_ptr_equal(out.conn, a[i % 2].conn);
        assert_true(vsock_mux_put(m, &out, VSOCK_MOVED, 1, now));
    }
    assert_false(vsock_mux_out(m, VSOCK_HEADER_BYTES, &out)); /* no room for a byte */
}

#define T(f) cmocka_unit_test_setup_teardown(f, make, drop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(headers_there_and_back),
        T(both_ways),
        T(refused),
        T(strangers_are_reset),
        T(a_short_packet_is_passed_over),
        T(cid_2_is_answered_by_cid_2),
        T(refusals_are_bounded),
        T(connections_are_bounded),
        T(past_its_credit),
        T(credit_is_given_back),
        T(the_guests_credit_holds),
        T(a_reader_that_does_not_read),
        T(the_guest_half_closes),
        T(the_other_side_half_closes),
        T(the_other_side_hangs_up),
        T(it_takes_no_more),
        T(the_guest_leaves_and_its_last_words_arrive),
        T(last_words_that_nobody_takes),
        T(we_connect),
        T(nobody_answers),
        T(the_guest_refuses),
        T(breaches_of_protocol),
        T(the_guest_takes_no_more),
        T(a_reset_of_the_device),
        T(they_take_turns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
