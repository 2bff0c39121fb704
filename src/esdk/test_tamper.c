/* Whoever holds a message can change it. For one good message of each suite, framed and of one
 * block: whatever is done to it is refused, and what came out until then are whole frames of the
 * plaintext, in their order, and of a signed message never the last. */
#include <stdlib.h>

#include "esdk/test_make.h"

static struct crypto *cx;

static const struct esdk_decrypt_options any_suite = {
    .policy = ESDK_REQUIRE_ENCRYPT_ALLOW_DECRYPT,
};

enum { FRAME = 12, PLAIN = 4 * FRAME + 5, CUT = 50 };

struct target {
    const struct esdk_suite *suite;
    struct buf plain;
    struct made m;
};

static void target_clear(struct target *t)
{
    buf_clear(&t->plain);
    made_clear(&t->m);
}

static struct target target_new(unsigned suite, bool framed)
{
    static const struct esdk_pair context[] = { { SPAN_INIT("tenant"), SPAN_INIT("7") } };
    struct target t = { .suite = esdk_suite_find(suite), .plain = test_plain(PLAIN) };

    t.m = make_message(cx, (struct make){ .suite = suite,
                                          .frame_length = framed ? FRAME : 0,
                                          .plain = buf_view(&t.plain),
                                          .pairs = context,
                                          .n_pairs = 1 });
    return t;
}

/* Refused; *frames is how many whole ones came out. */
static enum err refused(const struct target *t, struct reading how, struct span msg, size_t *frames)
{
    AUTO(buf_clear) struct buf out = BUF_INIT(4096);
    size_t last = t->m.frames - 1;

    how.options = &any_suite;
    enum err r = read_message(cx, how, msg, &out, NULL);
    assert_int_not_equal(r, ERR_OK);
    assert_int_not_equal(r, ERR_MORE);
    assert_in_range(out.len, 0, t->plain.len);
    t_assert_span(buf_view(&out), span_sub(buf_view(&t->plain), 0, out.len));
    bool all = out.len == t->plain.len;
    if (!all)
        assert_int_equal(out.len % FRAME, 0);
    *frames = all ? last + 1 : out.len / FRAME;
    assert_in_range(*frames, 0, t->suite->signs ? last : last + 1);
    return r;
}

static void bytes_refused(const struct target *t, struct span msg, size_t max_frames)
{
    static const size_t cuts[] = { SIZE_MAX, CUT };
    struct span copy = t_copy(msg); /* exact-size: a sanitizer sees one byte over */
    size_t frames;

    for (size_t i = 0; i < 2; i++) {
        (void)refused(t, (struct reading){ .cut = cuts[i] }, copy, &frames);
        assert_in_range(frames, 0, max_frames);
    }
    t_free(copy);
}

/* Frames whose last byte is before `at`. */
static size_t frames_before(const struct made *m, size_t at)
{
    size_t n = 0;

    while (n < m->frames && m->frame_at[n + 1] <= at)
        n++;
    return n;
}

static void each_target(void (*test)(const struct target *t))
{
    for (size_t i = 0; i < 2 * ALL_SUITES; i++) {
        AUTO(target_clear) struct target t = target_new(all_suites[i / 2], i % 2 == 0);
        AUTO(buf_clear) struct buf out = BUF_INIT(4096);
        struct reading how = { .options = &any_suite, .cut = SIZE_MAX };
        assert_int_equal(read_message(cx, how, buf_view(&t.m.bytes), &out, NULL), ERR_OK);
        t_assert_span(buf_view(&out), buf_view(&t.plain));
        test(&t);
    }
}

/* ---- cut off, lengthened ---- */

static void cut_off(const struct target *t)
{
    struct reading how = { .cut = t->m.frames > 1 ? SIZE_MAX : CUT };

    for (size_t n = 0; n < t->m.bytes.len; n++) {
        struct span part = t_copy(span_sub(buf_view(&t->m.bytes), 0, n));
        size_t frames;
        assert_int_equal(refused(t, how, part, &frames), ERR_MALFORMED);
        assert_in_range(frames, 0, frames_before(&t->m, n));
        t_free(part);
    }
}

/* What follows is found when all the rest held: the plaintext is out, the verdict is not. */
static void lengthened(const struct target *t)
{
    size_t n = t->m.bytes.len;

    for (size_t more = 1; more <= n; more += n - 1) { /* a byte; the message twice */
        AUTO(buf_clear) struct buf b = BUF_INIT(8192), out = BUF_INIT(4096);
        struct reading how = { .options = &any_suite, .cut = more == 1 ? SIZE_MAX : CUT };
        put(&b, buf_view(&t->m.bytes));
        put(&b, span_sub(buf_view(&t->m.bytes), 0, more));
        assert_int_equal(read_message(cx, how, buf_view(&b), &out, NULL), ERR_MALFORMED);
        t_assert_span(buf_view(&out), buf_view(&t->plain));
    }
}

/* ---- bits ---- */

static void flip(const struct target *t, size_t from, size_t to, size_t max_frames)
{
    struct span copy = t_copy(buf_view(&t->m.bytes));
    AUTO(buf_clear) struct buf b = BUF_INIT(4096);
    size_t frames;

    put(&b, copy);
    for (size_t bit = 8 * from; bit < 8 * to; bit++) {
        b.ptr[bit / 8] ^= (uint8_t)(1 << bit % 8);
        (void)refused(t, (struct reading){ .cut = bit % 2 ? SIZE_MAX : CUT }, buf_view(&b),
                      &frames);
        assert_in_range(frames, 0, max_frames);
        b.ptr[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    t_assert_span(buf_view(&b), copy);
    t_free(copy);
}

static void bits_of_header(const struct target *t)
{
    if (t->m.frames > 1) /* one of each suite: the slowest of these tests */
        flip(t, 0, t->m.header_bytes, 0);
}

/* The first, one in the middle, and the last. */
static void bits_of_frames(const struct target *t)
{
    unsigned n = t->m.frames, sample[] = { 0, n / 2, n - 1 };

    for (size_t i = 0; i < 3; i++)
        if (i == 0 || sample[i] != sample[i - 1])
            flip(t, t->m.frame_at[sample[i]], t->m.frame_at[sample[i] + 1], sample[i]);
}

static void bits_of_signature(const struct target *t)
{
    if (t->suite->signs)
        flip(t, t->m.footer_at, t->m.bytes.len, t->m.frames - 1);
}

/* ---- frames in another order ---- */

/* Header, the frames of `list` (ends with -1), footer. */
static void frames_listed(const struct target *t, const int *list, size_t max_frames)
{
    AUTO(buf_clear) struct buf b = BUF_INIT(8192);
    struct span all = buf_view(&t->m.bytes);

    put(&b, span_sub(all, 0, t->m.header_bytes));
    for (; *list >= 0; list++) {
        size_t at = t->m.frame_at[*list];
        put(&b, span_sub(all, at, t->m.frame_at[*list + 1] - at));
    }
    put(&b, span_from(all, t->m.footer_at));
    bytes_refused(t, buf_view(&b), max_frames);
}

static void frames_moved(const struct target *t)
{
    static const struct {
        int list[8];
        size_t max_frames;
    } rows[] = {
        { { 1, 0, 2, 3, 4, -1 }, 0 },    /* swapped */
        { { 0, 1, 3, 2, 4, -1 }, 2 },    /* swapped */
        { { 0, 0, 1, 2, 3, 4, -1 }, 1 }, /* repeated */
        { { 0, 1, 2, 3, 3, 4, -1 }, 4 }, /* repeated */
        { { 0, 1, 2, 3, 4, 4, -1 }, 5 }, /* the last repeated */
        { { 1, 2, 3, 4, -1 }, 0 },       /* dropped */
        { { 0, 1, 3, 4, -1 }, 2 },       /* dropped */
        { { 0, 1, 2, 3, -1 }, 4 },       /* the last dropped */
        { { 4, -1 }, 0 },                /* only the last */
        { { 0, 1, 4, 2, 3, -1 }, 2 },    /* the last too early */
        { { -1 }, 0 },                   /* none */
    };

    if (t->m.frames == 1)
        return;
    assert_int_equal(t->m.frames, 5);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        frames_listed(t, rows[i].list, rows[i].max_frames);
}

/* Numbers set right again after a move: the tag knows the number, too. */
static void frames_renumbered(const struct target *t)
{
    AUTO(buf_clear) struct buf b = BUF_INIT(8192);
    struct span all = buf_view(&t->m.bytes);
    size_t at = t->m.frame_at[0], len = t->m.frame_at[1] - at;

    if (t->m.frames == 1)
        return;
    put(&b, span_sub(all, 0, at));
    put(&b, span_sub(all, at + len, len));
    b.ptr[at + 3] = 1;
    put(&b, span_sub(all, at, len));
    b.ptr[at + len + 3] = 2;
    put(&b, span_from(all, t->m.frame_at[2]));
    bytes_refused(t, buf_view(&b), 0);
}

/* A regular frame dressed as the final one: its text is in what the tag covers. */
static void early_end(const struct target *t)
{
    AUTO(buf_clear) struct buf b = BUF_INIT(8192);
    struct span all = buf_view(&t->m.bytes);
    size_t at = t->m.frame_at[1];

    if (t->m.frames == 1)
        return;
    put(&b, span_sub(all, 0, at));
    put_be(&b, 0xffffffff, 4);
    put(&b, span_sub(all, at, 16));
    put_be(&b, FRAME, 4);
    put(&b, span_sub(all, at + 16, FRAME + 16));
    put(&b, span_from(all, t->m.footer_at));
    bytes_refused(t, buf_view(&b), 1);
}

/* ---- keys, contexts, suites ---- */

static void other_key(const struct target *t)
{
    AUTO(secret_clear) struct secret key = test_data_key(t->suite);
    size_t frames;

    for (size_t bit = 0; bit < 8 * key.len; bit += 7) {
        key.ptr[bit / 8] ^= (uint8_t)(1 << bit % 8);
        struct reading how = { .key = &key, .cut = SIZE_MAX };
        assert_int_equal(refused(t, how, buf_view(&t->m.bytes), &frames), ERR_VERIFY);
        assert_int_equal(frames, 0);
        key.ptr[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

static void wrong_context(const struct target *t)
{
    static const struct esdk_pair required[] = {
        { SPAN_INIT("tenant"), SPAN_INIT("8") }, /* another value */
        { SPAN_INIT("Tenant"), SPAN_INIT("7") }, /* another name: not in the message */
    };
    size_t frames;

    for (size_t i = 0; i < 2; i++) {
        struct reading how = { .required = &required[i], .n_required = 1, .cut = SIZE_MAX };
        assert_int_equal(refused(t, how, buf_view(&t->m.bytes), &frames), ERR_VERIFY);
        assert_int_equal(frames, 0);
    }
    /* And changed in the message itself. */
    AUTO(buf_clear) struct buf b = BUF_INIT(4096);
    struct esdk_header h;
    struct esdk_pair p = { 0 };
    put(&b, buf_view(&t->m.bytes));
    assert_int_equal(esdk_header_parse(buf_view(&b), NULL, &h, NULL, NULL), ERR_OK);
    for (struct span rest = h.context; esdk_pair_next(&rest, &p);)
        if (span_is(p.key, "tenant"))
            b.ptr[p.value.ptr - b.ptr] = '8';
    bytes_refused(t, buf_view(&b), 0);
}

/* The same bytes under each other suite, as far as they then parse. */
static void other_suite(const struct target *t)
{
    size_t at = t->suite->version == 1 ? 2 : 1;

    for (size_t i = 0; i < ALL_SUITES; i++) {
        AUTO(buf_clear) struct buf b = BUF_INIT(4096);
        put(&b, buf_view(&t->m.bytes));
        b.ptr[at] = (uint8_t)(all_suites[i] >> 8);
        b.ptr[at + 1] = (uint8_t)all_suites[i];
        if (all_suites[i] != t->suite->id)
            bytes_refused(t, buf_view(&b), 0);
    }
}

/* Signed made unsigned: suite, public key and footer taken away. */
static void unsigned_made(const struct target *t)
{
    AUTO(buf_clear) struct buf b = BUF_INIT(4096);
    struct span all = buf_view(&t->m.bytes);
    struct esdk_header h;

    if (!t->suite->signs)
        return;
    assert_int_equal(esdk_header_parse(all, NULL, &h, NULL, NULL), ERR_OK);
    size_t before = (size_t)(h.context.ptr - all.ptr) - 4;
    put(&b, span_sub(all, 0, before));
    b.ptr[t->suite->version == 1 ? 2 : 1]--; /* 0578 -> 0478, 0378 -> 0278: one of them exists */
    put_be(&b, 13, 2);
    put_be(&b, 1, 2);
    put_counted(&b, SPAN_LIT("tenant"));
    put_counted(&b, SPAN_LIT("7"));
    put(&b, span_sub(all, (size_t)(h.keys.ptr - all.ptr) - 2,
                     t->m.footer_at - (size_t)(h.keys.ptr - all.ptr) + 2));
    bytes_refused(t, buf_view(&b), 0);
}

/* A frame of another message under the same data key. */
static void foreign_frame(const struct target *t)
{
    AUTO(target_clear)
    struct target other = target_new(t->suite->id == 0x0478 ? 0x0578 : 0x0478, true);
    AUTO(buf_clear) struct buf b = BUF_INIT(4096);

    if (t->m.frames == 1)
        return;
    size_t from = other.m.frame_at[1], len = other.m.frame_at[2] - from;
    put(&b, buf_view(&t->m.bytes));
    memcpy(b.ptr + t->m.frame_at[1], other.m.bytes.ptr + from, len);
    bytes_refused(t, buf_view(&b), 1);
}

#define EACH(name)                                                                                 \
    static void test_##name(void **state)                                                          \
    {                                                                                              \
        (void)state;                                                                               \
        each_target(name);                                                                         \
    }
EACH(cut_off)
EACH(lengthened)
EACH(bits_of_header)
EACH(bits_of_frames)
EACH(bits_of_signature)
EACH(frames_moved)
EACH(frames_renumbered)
EACH(early_end)
EACH(other_key)
EACH(wrong_context)
EACH(other_suite)
EACH(unsigned_made)
EACH(foreign_frame)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cut_off),           cmocka_unit_test(test_lengthened),
        cmocka_unit_test(test_bits_of_header),    cmocka_unit_test(test_bits_of_frames),
        cmocka_unit_test(test_bits_of_signature), cmocka_unit_test(test_frames_moved),
        cmocka_unit_test(test_frames_renumbered), cmocka_unit_test(test_early_end),
        cmocka_unit_test(test_other_key),         cmocka_unit_test(test_wrong_context),
        cmocka_unit_test(test_other_suite),       cmocka_unit_test(test_unsigned_made),
        cmocka_unit_test(test_foreign_frame),
    };

    if (crypto_process_init() != ERR_OK || crypto_new(&cx) != ERR_OK)
        return 1;
    int failed = cmocka_run_group_tests_name("esdk_tamper", tests, NULL, NULL);
    crypto_free(cx);
    return failed;
}
