/* vhost-user messages: what QEMU sends, and what nobody should. */
#include <stdlib.h>

#include "testing/t.h"
#include "vhost/le.h"
#include "vhost/session.h"

struct world {
    struct vhost_session s;
    struct buf reply;
    struct vhost_action act;
    struct why why;
};

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);

    vhost_session_init(&w->s, 16);
    w->reply = BUF_INIT(1024);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    buf_clear(&w->reply);
    free(w);
    return 0;
}

static enum err ask(struct world *w, uint32_t request, struct span payload, unsigned n_fds)
{
    const struct vhost_msg msg = { .request = request, .payload = payload };

    buf_reset(&w->reply);
    return vhost_step(&w->s, &msg, n_fds, &w->act, &w->reply, &w->why);
}

static enum err ask_u64(struct world *w, uint32_t request, uint64_t v, unsigned n_fds)
{
    uint8_t raw[8];

    put_le64(raw, v);
    return ask(w, request, SPAN_ARRAY(raw), n_fds);
}

static enum err ask_state(struct world *w, uint32_t request, uint32_t index, uint32_t num)
{
    return ask_u64(w, request, index | (uint64_t)num << 32, 0);
}

static enum err ask_addr(struct world *w, uint32_t index, uint64_t desc, uint64_t used,
                         uint64_t avail, uint32_t flags)
{
    uint8_t raw[40] = { 0 };

    put_le32(raw, index);
    put_le32(raw + 4, flags);
    put_le64(raw + 8, desc);
    put_le64(raw + 16, used);
    put_le64(raw + 24, avail);
    return ask(w, VHOST_SET_VRING_ADDR, SPAN_ARRAY(raw), 0);
}

static uint64_t answer_u64(const struct world *w)
{
    assert_int_equal(w->reply.len, 20);
    assert_int_equal(le32(w->reply.ptr + 4), VHOST_FLAG_VERSION | VHOST_FLAG_REPLY);
    assert_int_equal(le32(w->reply.ptr + 8), 8);
    return le64(w->reply.ptr + 12);
}

static void messages_are_split(void **state)
{
    struct buf b = BUF_INIT(100);
    struct vhost_msg msg = { .request = 77 };
    size_t used = 77;
    (void)state;

    assert_int_equal(
        vhost_msg_write(&b, VHOST_SET_FEATURES, VHOST_FLAG_NEED_REPLY, SPAN_LIT("12345678")),
        ERR_OK);
    for (size_t n = 0; n < b.len; n++)
        assert_int_equal(vhost_msg_parse(span_of(b.ptr, n), &msg, &used, NULL), ERR_MORE);
    assert_int_equal(msg.request, 77);
    assert_int_equal(vhost_msg_parse(buf_view(&b), &msg, &used, NULL), ERR_OK);
    assert_int_equal(used, 20);
    assert_int_equal(msg.request, VHOST_SET_FEATURES);
    assert_true(msg.need_reply);
    t_assert_span(msg.payload, SPAN_LIT("12345678"));
    buf_clear(&b);
}

static void messages_are_refused(void **state)
{
    static const struct {
        const char *hex;
        enum err want;
    } rows[] = {
        { "01000000 00000000 00000000", ERR_MALFORMED }, /* version 0 */
        { "01000000 02000000 00000000", ERR_MALFORMED }, /* version 2 */
        { "01000000 05000000 00000000", ERR_MALFORMED }, /* a reply */
        { "01000000 01000000 01020000", ERR_LIMIT },     /* 513 bytes */
        { "01000000 01000000 ffffffff", ERR_LIMIT },
        { "01000000 01000000 00020000", ERR_MORE }, /* 512 */
    };
    (void)state;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct span in = t_unhex(rows[i].hex);
        struct vhost_msg msg;
        size_t used = 77;
        assert_int_equal(vhost_msg_parse(in, &msg, &used, NULL), rows[i].want);
        assert_int_equal(used, 77);
        t_free(in);
    }
}

static void features(void **state)
{
    struct world *w = *state;

    assert_int_equal(ask(w, VHOST_GET_FEATURES, SPAN_EMPTY, 0), ERR_OK);
    assert_int_equal(answer_u64(w), UINT64_C(0x140000000));
    assert_int_equal(ask(w, VHOST_GET_PROTOCOL_FEATURES, SPAN_EMPTY, 0), ERR_OK);
    assert_int_equal(answer_u64(w), 0x208);
    assert_int_equal(ask_u64(w, VHOST_SET_PROTOCOL_FEATURES, VHOST_P_CONFIG, 0), ERR_OK);
    assert_int_equal(w->reply.len, 0);
    assert_int_equal(ask_u64(w, VHOST_SET_FEATURES, VHOST_FEATURES | 2, 0), ERR_UNSUPPORTED);
    assert_string_equal(w->why.what, "a feature that was not offered");
    assert_int_equal(w->s.features, 0);
    assert_int_equal(ask_u64(w, VHOST_SET_FEATURES, VHOST_FEATURES, 0), ERR_OK);
    assert_int_equal(ask(w, VHOST_SET_FEATURES, SPAN_LIT("1234567"), 0), ERR_MALFORMED);
    assert_int_equal(ask(w, VHOST_SET_OWNER, SPAN_EMPTY, 0), ERR_OK);
    assert_int_equal(ask(w, VHOST_SET_OWNER, SPAN_EMPTY, 1), ERR_MALFORMED);
    assert_string_equal(w->why.what, "descriptors with a request that takes none");
    assert_int_equal(ask(w, VHOST_SET_CONFIG, SPAN_EMPTY, 0), ERR_UNSUPPORTED);
    assert_int_equal(ask(w, 999, SPAN_EMPTY, 0), ERR_UNSUPPORTED);
}

static void acknowledgements(void **state)
{
    struct world *w = *state;
    const struct vhost_msg msg = { .request = VHOST_SET_OWNER, .need_reply = true };

    assert_int_equal(vhost_step(&w->s, &msg, 0, &w->act, &w->reply, NULL), ERR_OK);
    assert_int_equal(w->reply.len, 0); /* not negotiated */
    assert_int_equal(ask_u64(w, VHOST_SET_PROTOCOL_FEATURES, VHOST_P_REPLY_ACK, 0), ERR_OK);
    assert_int_equal(vhost_step(&w->s, &msg, 0, &w->act, &w->reply, NULL), ERR_OK);
    assert_int_equal(answer_u64(w), 0);
    assert_int_equal(le32(w->reply.ptr), VHOST_SET_OWNER);
}

static void the_cid(void **state)
{
    struct world *w = *state;
    uint8_t raw[20] = { 0 };

    put_le32(raw + 4, 8);
    assert_int_equal(ask(w, VHOST_GET_CONFIG, SPAN_ARRAY(raw), 0), ERR_OK);
    assert_int_equal(w->reply.len, 32);
    assert_int_equal(le64(w->reply.ptr + 24), 16);
    put_le32(raw, 4);
    put_le32(raw + 4, 4);
    assert_int_equal(ask(w, VHOST_GET_CONFIG, SPAN_ARRAY(raw), 0), ERR_OK);
    assert_int_equal(w->reply.len, 28);
    put_le32(raw + 4, 5);
    assert_int_equal(ask(w, VHOST_GET_CONFIG, SPAN_ARRAY(raw), 0), ERR_MALFORMED);
    put_le32(raw, 9);
    put_le32(raw + 4, 0);
    assert_int_equal(ask(w, VHOST_GET_CONFIG, SPAN_ARRAY(raw), 0), ERR_MALFORMED);
    put_le32(raw, UINT32_MAX);
    put_le32(raw + 4, UINT32_MAX);
    assert_int_equal(ask(w, VHOST_GET_CONFIG, SPAN_ARRAY(raw), 0), ERR_MALFORMED);
    assert_int_equal(ask(w, VHOST_GET_CONFIG, span_of(raw, 11), 0), ERR_MALFORMED);
}

static void put_part(uint8_t *p, uint64_t gpa, uint64_t size, uint64_t user, uint64_t offset)
{
    put_le64(p, gpa);
    put_le64(p + 8, size);
    put_le64(p + 16, user);
    put_le64(p + 24, offset);
}

static void the_memory_table(void **state)
{
    struct world *w = *state;
    uint8_t raw[8 + 32 * 9] = { 2 };

    put_part(raw + 8, 0, 4096, 0x7000, 0);
    put_part(raw + 40, 8192, 4096, 0x9000, 4096);
    assert_int_equal(ask(w, VHOST_SET_MEM_TABLE, span_of(raw, 72), 2), ERR_OK);
    assert_int_equal(w->act.what, VHOST_DO_MAP);
    assert_int_equal(w->act.n_parts, 2);
    assert_int_equal(w->act.part[1].gpa, 8192);
    assert_int_equal(w->act.part[1].user, 0x9000);
    assert_int_equal(w->act.offset[1], 4096);
    w->act.what = VHOST_DO_NOTHING;
    assert_int_equal(ask(w, VHOST_SET_MEM_TABLE, span_of(raw, 72), 1), ERR_MALFORMED);
    assert_int_equal(ask(w, VHOST_SET_MEM_TABLE, span_of(raw, 71), 2), ERR_MALFORMED);
    assert_int_equal(ask(w, VHOST_SET_MEM_TABLE, span_of(raw, 7), 2), ERR_MALFORMED);
    assert_int_equal(w->act.what, VHOST_DO_NOTHING);
    put_part(raw + 40, 4095, 4096, 0x9000, 0);
    assert_int_equal(ask(w, VHOST_SET_MEM_TABLE, span_of(raw, 72), 2), ERR_MALFORMED);
    assert_string_equal(w->why.what, "memory regions overlap");
    put_part(raw + 40, 8192, 4096, 0x9000, UINT64_MAX - 4095);
    assert_int_equal(ask(w, VHOST_SET_MEM_TABLE, span_of(raw, 72), 2), ERR_MALFORMED);
    assert_string_equal(w->why.what, "a memory region's offset");
    raw[0] = 0;
    assert_int_equal(ask(w, VHOST_SET_MEM_TABLE, span_of(raw, 8), 0), ERR_MALFORMED);
    raw[0] = 9;
    assert_int_equal(ask(w, VHOST_SET_MEM_TABLE, SPAN_ARRAY(raw), 9), ERR_MALFORMED);
}

static void start(struct world *w, uint8_t *raw, size_t size, unsigned ring)
{
    struct guest_mem mem = { .n = 0 };

    assert_int_equal(guest_mem_add(&mem, (struct guest_part){ 0, 0x7000, size, raw }, NULL),
                     ERR_OK);
    assert_int_equal(vhost_mapped(&w->s, &mem, NULL), ERR_OK);
    assert_int_equal(ask_u64(w, VHOST_SET_FEATURES, VHOST_FEATURES, 0), ERR_OK);
    assert_int_equal(ask_state(w, VHOST_SET_VRING_NUM, ring, 128), ERR_OK);
    assert_int_equal(ask_state(w, VHOST_SET_VRING_BASE, ring, 5), ERR_OK);
    assert_int_equal(ask_addr(w, ring, 0x7000, 0x7000 + 4096, 0x7000 + 2048, 0), ERR_OK);
    assert_int_equal(ask_u64(w, VHOST_SET_VRING_CALL, ring, 1), ERR_OK);
    assert_int_equal(w->act.what, VHOST_DO_CALL);
    assert_false(vhost_ring_runs(&w->s, ring));
    assert_int_equal(ask_u64(w, VHOST_SET_VRING_KICK, ring, 1), ERR_OK);
    assert_int_equal(w->act.what, VHOST_DO_KICK);
    assert_int_equal(w->act.ring, ring);
}

static void a_ring_starts_and_stops(void **state)
{
    struct world *w = *state;
    uint8_t *raw = calloc(1, 8192);

    start(w, raw, 8192, VHOST_RING_TX);
    assert_false(vhost_ring_runs(&w->s, VHOST_RING_TX)); /* not enabled */
    assert_int_equal(ask_state(w, VHOST_SET_VRING_ENABLE, VHOST_RING_TX, 1), ERR_OK);
    assert_true(vhost_ring_runs(&w->s, VHOST_RING_TX));
    assert_false(vhost_ring_runs(&w->s, VHOST_RING_RX));
    assert_ptr_equal(w->s.ring[VHOST_RING_TX].q.avail, raw + 2048);
    assert_int_equal(ask_state(w, VHOST_SET_VRING_ENABLE, VHOST_RING_TX, 0), ERR_OK);
    assert_false(vhost_ring_runs(&w->s, VHOST_RING_TX));
    assert_int_equal(ask_state(w, VHOST_SET_VRING_ENABLE, VHOST_RING_TX, 1), ERR_OK);
    assert_int_equal(ask_state(w, VHOST_GET_VRING_BASE, VHOST_RING_TX, 0), ERR_OK);
    assert_int_equal(answer_u64(w), UINT64_C(5) << 32 | VHOST_RING_TX);
    assert_int_equal(w->act.what, VHOST_DO_STOP);
    assert_false(vhost_ring_runs(&w->s, VHOST_RING_TX));
    start(w, raw, 8192, VHOST_RING_TX); /* and once more: it is still enabled */
    assert_true(vhost_ring_runs(&w->s, VHOST_RING_TX));
    const struct guest_mem none = { .n = 0 };
    assert_int_equal(vhost_mapped(&w->s, &none, &w->why), ERR_MALFORMED);
    assert_false(vhost_ring_runs(&w->s, VHOST_RING_TX));
    free(raw);
}

static void rings_outside(void **state)
{
    struct world *w = *state;
    uint8_t *raw = calloc(1, 8192);

    start(w, raw, 4096 + 1030, VHOST_RING_RX); /* the used area ends with the memory */
    assert_int_equal(ask_addr(w, 0, 0x7000, 0x7000 + 4100, 0x7000 + 2048, 0), ERR_MALFORMED);
    assert_string_equal(w->why.what, "a ring outside the guest's memory");
    assert_int_equal(ask_addr(w, 0, 0x6fff, 0x8000, 0x7800, 0), ERR_MALFORMED);
    assert_int_equal(ask_addr(w, 0, 0x7000, 0x8000, UINT64_MAX - 7, 0), ERR_MALFORMED);
    assert_int_equal(ask_addr(w, 0, 0x7000, 0x7ffe, 0x7800, 0), ERR_MALFORMED);
    assert_string_equal(w->why.what, "a ring that is not aligned");
    assert_int_equal(ask_addr(w, 0, 0x7000, 0x8000, 0x7801, 0), ERR_MALFORMED);
    assert_int_equal(ask_addr(w, 2, 0x7000, 0x8000, 0x7800, 0), ERR_MALFORMED);
    assert_int_equal(ask_addr(w, 0, 0x7000, 0x8000, 0x7800, 1), ERR_UNSUPPORTED);
    assert_int_equal(ask_state(w, VHOST_SET_VRING_NUM, 0, 100), ERR_MALFORMED);
    assert_int_equal(ask_state(w, VHOST_SET_VRING_NUM, 2, 128), ERR_MALFORMED);
    assert_int_equal(ask_state(w, VHOST_SET_VRING_NUM, 0, 1024), ERR_MALFORMED); /* does not fit */
    assert_int_equal(ask_state(w, VHOST_SET_VRING_BASE, 0, 65536), ERR_MALFORMED);
    assert_int_equal(ask_u64(w, VHOST_SET_VRING_KICK, 2, 1), ERR_MALFORMED);
    assert_int_equal(ask_u64(w, VHOST_SET_VRING_KICK, 0, 0), ERR_MALFORMED);
    assert_int_equal(ask_u64(w, VHOST_SET_VRING_KICK, 0, 2), ERR_MALFORMED);
    assert_int_equal(ask_u64(w, VHOST_SET_VRING_KICK, 0x100, 0), ERR_UNSUPPORTED);
    assert_int_equal(ask_u64(w, VHOST_SET_VRING_CALL, 0x100, 0), ERR_OK);
    assert_int_equal(ask_u64(w, VHOST_SET_VRING_ERR, 0x200, 1), ERR_MALFORMED);
    free(raw);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_are_split),
        cmocka_unit_test(messages_are_refused),
        cmocka_unit_test_setup_teardown(features, setup, teardown),
        cmocka_unit_test_setup_teardown(acknowledgements, setup, teardown),
        cmocka_unit_test_setup_teardown(the_cid, setup, teardown),
        cmocka_unit_test_setup_teardown(the_memory_table, setup, teardown),
        cmocka_unit_test_setup_teardown(a_ring_starts_and_stops, setup, teardown),
        cmocka_unit_test_setup_teardown(rings_outside, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
