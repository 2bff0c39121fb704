/* Guest memory and split rings, the guest being hostile. */
#include <stdlib.h>

#include "testing/t.h"
#include "vhost/le.h"
#include "vhost/virtq.h"

enum {
    NUM = 8,
    GPA = 0x10000,
    USER = 0x700000,
    SIZE = 0x10000,
    DESC = 0,
    AVAIL = 0x400,
    USED = 0x800
};

/* A ring at the start of a guest's memory, buffers behind it. */
struct world {
    uint8_t *raw; /* exactly SIZE bytes, so that ASan sees one byte over */
    struct guest_mem mem;
    struct virtq q;
};

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);

    w->raw = calloc(1, SIZE);
    const struct guest_part part = { .gpa = GPA, .user = USER, .size = SIZE, .host = w->raw };
    assert_int_equal(guest_mem_add(&w->mem, part, NULL), ERR_OK);
    w->q = (struct virtq){
        .num = NUM, .desc = w->raw + DESC, .avail = w->raw + AVAIL, .used = w->raw + USED
    };
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    free(w->raw);
    free(w);
    return 0;
}

static void desc(struct world *w, unsigned i, uint64_t addr, uint32_t len, uint16_t flags,
                 uint16_t next)
{
    uint8_t *p = w->raw + DESC + (size_t)16 * i;

    put_le64(p, addr);
    put_le32(p + 8, len);
    put_le16(p + 12, flags);
    put_le16(p + 14, next);
}

static void offer(struct world *w, uint16_t head)
{
    uint16_t idx = le16(w->raw + AVAIL + 2);

    put_le16(w->raw + AVAIL + 4 + (size_t)2 * (idx % NUM), head);
    put_le16(w->raw + AVAIL + 2, (uint16_t)(idx + 1));
}

static void a_chain_comes_and_goes(void **state)
{
    struct world *w = *state;
    struct virtq_chain c;
    uint8_t got[8];

    assert_int_equal(virtq_peek(&w->q, &w->mem, &c, NULL), ERR_MORE);
    memcpy(w->raw + 0x1000, "abc", 3);
    memcpy(w->raw + 0x2000, "defgh", 5);
    desc(w, 2, GPA + 0x1000, 3, 1, 5);
    desc(w, 5, GPA + 0x2000, 5, 0, 0);
    offer(w, 2);
    assert_int_equal(virtq_peek(&w->q, &w->mem, &c, NULL), ERR_OK);
    assert_int_equal(c.head, 2);
    assert_int_equal(c.n, 2);
    assert_int_equal(c.len, 8);
    assert_false(c.writable);
    assert_int_equal(virtq_read(&c, 0, got, 8), 8);
    assert_memory_equal(got, "abcdefgh", 8);
    assert_int_equal(virtq_read(&c, 2, got, 3), 3);
    assert_memory_equal(got, "cde", 3);
    assert_int_equal(virtq_read(&c, 7, got, 8), 1);
    assert_int_equal(virtq_read(&c, 8, got, 8), 0);
    virtq_give(&w->q, &c, 0);
    assert_int_equal(le16(w->raw + USED + 2), 1);
    assert_int_equal(le32(w->raw + USED + 4), 2);
    assert_int_equal(virtq_peek(&w->q, &w->mem, &c, NULL), ERR_MORE);
}

static void writing_fills_the_parts(void **state)
{
    struct world *w = *state;
    struct virtq_chain c;

    desc(w, 0, GPA + 0x1000, 3, 3, 1);
    desc(w, 1, GPA + 0x1800, 4, 2, 0);
    offer(w, 0);
    assert_int_equal(virtq_peek(&w->q, &w->mem, &c, NULL), ERR_OK);
    assert_true(c.writable);
    assert_int_equal(virtq_write(&c, 1, (const uint8_t *)"123456789", 9), 6);
    assert_memory_equal(w->raw + 0x1000,
                        "\0"
                        "12",
                        3);
    assert_memory_equal(w->raw + 0x1800, "3456", 4);
    assert_int_equal(w->raw[0x1804], 0);
    virtq_give(&w->q, &c, 7);
    assert_int_equal(le32(w->raw + USED + 8), 7);
}

static void indices_run_round(void **state)
{
    struct world *w = *state;
    struct virtq_chain c;

    desc(w, 3, GPA + 0x1000, 1, 0, 0);
    w->q.next = 65530;
    put_le16(w->raw + AVAIL + 2, 65530);
    for (unsigned i = 0; i < 20; i++) {
        offer(w, 3);
        assert_int_equal(virtq_peek(&w->q, &w->mem, &c, NULL), ERR_OK);
        virtq_give(&w->q, &c, 0);
    }
    assert_int_equal(le16(w->raw + USED + 2), (uint16_t)(65530 + 20));
}

static void refuse(struct world *w, enum err want, const char *what)
{
    struct virtq_chain c;
    struct why why = { 0 };

    assert_int_equal(virtq_peek(&w->q, &w->mem, &c, &why), want);
    assert_string_equal(why.what, what);
}

static void hostile_chains(void **state)
{
    static const struct {
        uint64_t addr;
        uint32_t len;
        uint16_t flags, next;
        const char *what; /* NULL: taken */
    } rows[] = {
        { GPA + SIZE - 4, 4, 0, 0, NULL },
        { GPA + SIZE - 4, 5, 0, 0, "a descriptor outside the guest's memory" },
        { GPA - 1, 2, 0, 0, "a descriptor outside the guest's memory" },
        { GPA + SIZE, 1, 0, 0, "a descriptor outside the guest's memory" },
        { UINT64_MAX, 2, 0, 0, "a descriptor outside the guest's memory" },
        { UINT64_MAX - 3, UINT32_MAX, 0, 0, "a descriptor outside the guest's memory" },
        { GPA, UINT32_MAX, 0, 0, "a descriptor outside the guest's memory" },
        { GPA, 1, 4, 0, "an indirect descriptor, which was not offered" },
        { GPA, 1, 1, NUM, "a descriptor's number" },
        { GPA, 1, 1, 65535, "a descriptor's number" },
        { GPA, 1, 1, 0, "a chain that does not end" },
        { GPA, 0, 1, 0, "a chain that does not end" },
        { GPA, 1, 1, 1, "a chain to read and to write" },
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        void *fresh = NULL;
        struct virtq_chain c;
        (void)setup(&fresh);
        struct world *w = fresh;
        desc(w, 0, rows[i].addr, rows[i].len, rows[i].flags, rows[i].next);
        desc(w, 1, GPA, 1, 2, 0);
        offer(w, 0);
        if (rows[i].what)
            refuse(w, ERR_MALFORMED, rows[i].what);
        else
            assert_int_equal(virtq_peek(&w->q, &w->mem, &c, NULL), ERR_OK);
        (void)teardown(&fresh);
    }
    (void)state;
}

static void a_head_out_of_range(void **state)
{
    struct world *w = *state;

    offer(w, NUM);
    refuse(w, ERR_MALFORMED, "a descriptor's number");
}

static void an_index_that_jumps(void **state)
{
    struct world *w = *state;
    struct virtq_chain c;

    desc(w, 0, GPA, 1, 0, 0);
    put_le16(w->raw + AVAIL + 2, NUM); /* as many as there are: fine */
    assert_int_equal(virtq_peek(&w->q, &w->mem, &c, NULL), ERR_OK);
    put_le16(w->raw + AVAIL + 2, NUM + 1);
    refuse(w, ERR_MALFORMED, "the avail ring's index jumped");
    put_le16(w->raw + AVAIL + 2, 65535); /* backwards */
    refuse(w, ERR_MALFORMED, "the avail ring's index jumped");
}

static void as_many_descriptors_as_we_take(void **state)
{
    struct world *w = *state;
    struct virtq_chain c;

    w->q.num = 128;
    for (unsigned i = 0; i < 128; i++) /* the ring's areas are larger, and apart, here */
        desc(w, i, GPA + 0x4000 + i, 1, (uint16_t)(i + 1 < VIRTQ_SEGS_MAX), (uint16_t)(i + 1));
    w->q.avail = w->raw + 0x2000;
    w->q.used = w->raw + 0x3000;
    put_le16(w->q.avail + 2, 1);
    assert_int_equal(virtq_peek(&w->q, &w->mem, &c, NULL), ERR_OK);
    assert_int_equal(c.n, VIRTQ_SEGS_MAX);
    desc(w, VIRTQ_SEGS_MAX - 1, GPA, 1, 1, VIRTQ_SEGS_MAX);
    refuse(w, ERR_LIMIT, "too many descriptors in a chain");
}

static void notifications(void **state)
{
    struct world *w = *state;

    assert_true(virtq_wants_call(&w->q));
    put_le16(w->raw + AVAIL, 1);
    assert_false(virtq_wants_call(&w->q));
    virtq_want_kick(&w->q, false);
    assert_int_equal(le16(w->raw + USED), 1);
    virtq_want_kick(&w->q, true);
    assert_int_equal(le16(w->raw + USED), 0);
}

static void sizes(void **state)
{
    (void)state;
    assert_true(virtq_num_ok(1) && virtq_num_ok(128) && virtq_num_ok(VIRTQ_NUM_MAX));
    assert_false(virtq_num_ok(0) || virtq_num_ok(3) || virtq_num_ok(VIRTQ_NUM_MAX * 2) ||
                 virtq_num_ok(UINT32_C(1) << 31));
    assert_int_equal(virtq_desc_bytes(128), 2048);
    assert_int_equal(virtq_avail_bytes(128), 262);
    assert_int_equal(virtq_used_bytes(128), 1030);
}

static void memory_regions(void **state)
{
    struct guest_mem m = { .n = 0 };
    struct why why = { 0 };
    uint8_t a[16], b[16];
    (void)state;

    assert_int_equal(guest_mem_add(&m, (struct guest_part){ 100, 1000, 16, a }, &why), ERR_OK);
    assert_int_equal(guest_mem_add(&m, (struct guest_part){ 116, 5000, 16, b }, &why), ERR_OK);
    assert_ptr_equal(guest_mem_at(&m, 100, 16), a);
    assert_null(guest_mem_at(&m, 100, 17)); /* not even into a neighbour: it is elsewhere here */
    assert_ptr_equal(guest_mem_at(&m, 116, 1), b);
    assert_null(guest_mem_at(&m, 132, 1));
    assert_null(guest_mem_at(&m, 99, 1));
    assert_null(guest_mem_at(&m, 100, 0));
    assert_null(guest_mem_at(&m, 100, UINT64_MAX));
    assert_ptr_equal(guest_mem_at_user(&m, 5015, 1), b + 15);
    assert_null(guest_mem_at_user(&m, 100, 1));

    static const struct guest_part bad[] = {
        { 115, 9000, 1, NULL },            /* over the first */
        { 90, 9000, 11, NULL },            /* into it */
        { 9000, 1015, 1, NULL },           /* the same by the monitor's addresses */
        { 9000, 9000, 0, NULL },           /* nothing */
        { UINT64_MAX - 3, 9000, 8, NULL }, /* round the end */
        { 9000, UINT64_MAX - 3, 8, NULL },
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(guest_mem_add(&m, bad[i], &why), ERR_MALFORMED);
    assert_int_equal(m.n, 2);
    for (uint64_t i = 2; i < GUEST_PARTS_MAX; i++)
        assert_int_equal(guest_mem_add(&m, (struct guest_part){ i * 9000, i * 9000, 1, a }, &why),
                         ERR_OK);
    assert_int_equal(guest_mem_add(&m, (struct guest_part){ 1, 1, 1, a }, &why), ERR_LIMIT);
    assert_string_equal(why.what, "too many memory regions");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_chain_comes_and_goes, setup, teardown),
        cmocka_unit_test_setup_teardown(writing_fills_the_parts, setup, teardown),
        cmocka_unit_test_setup_teardown(indices_run_round, setup, teardown),
        cmocka_unit_test(hostile_chains),
        cmocka_unit_test_setup_teardown(a_head_out_of_range, setup, teardown),
        cmocka_unit_test_setup_teardown(an_index_that_jumps, setup, teardown),
        cmocka_unit_test_setup_teardown(as_many_descriptors_as_we_take, setup, teardown),
        cmocka_unit_test_setup_teardown(notifications, setup, teardown),
        cmocka_unit_test(sizes),
        cmocka_unit_test(memory_regions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
