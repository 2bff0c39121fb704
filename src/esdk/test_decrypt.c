/* Reading: every suite, every form, every way to cut the input; what is refused before and after
 * the data key; what comes out when. */
#include <stdlib.h>

#include "esdk/esdk_in.h"
#include "esdk/test_make.h"

static struct crypto *cx;

static const struct esdk_decrypt_options any_suite = {
    .policy = ESDK_REQUIRE_ENCRYPT_ALLOW_DECRYPT,
};

#define PAIR(k, v)                                                                                 \
    {                                                                                              \
        SPAN_INIT(k), SPAN_INIT(v)                                                                 \
    }
static const struct esdk_pair context[] = { PAIR("a", "1"), PAIR("purpose", "test") };

/* ---- keys ---- */

/* Values of the reference, section 5: computed by its script. */
static void derivation(void **state)
{
    static const struct {
        unsigned suite;
        const char *key;
    } rows[] = {
        { 0x0478, "d74e333c806138f8d6920e0bba0d3d03babaf903bd68b68f7c3ca48365622a41" },
        { 0x0578, "9121077dd68052ec87f954b3036f5bc5708ba04cada53df4e0947cba509f6f5d" },
        { 0x0378, "96e048ef1d1a79c186acbfaf95ab745499fbf22f2c5a4ba50142d31d382c9315" },
        { 0x0178, "d59fd0d44cc55e6412795792d6456cdcdd99fcde7f13ec25bae832b586c56d2e" },
        { 0x0146, "175b5c0d0979d83289f2726175e9c6a3e36e47bf6f996dd7" },
        { 0x0114, "6a359b61f124f222f0a6efd9089f5ef6" },
        { 0x0078, "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f" },
        { 0x0014, "000102030405060708090a0b0c0d0e0f" },
    };
    struct span id = t_unhex("404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f");
    struct span ck = t_unhex("4fc8f3b078da9a1778fd776cf39f21e62e3c512006129bc6f16a06f8ccdead3a");

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct esdk_suite *s = esdk_suite_find(rows[i].suite);
        AUTO(secret_clear) struct secret data_key = test_data_key(s);
        AUTO(secret_clear) struct secret key = { 0 };
        struct span want = t_unhex(rows[i].key);
        uint8_t commitment[32];
        struct span salt = span_sub(id, 0, s->version == 1 ? 16 : 32);
        assert_int_equal(keys_derive(cx, s, salt, &data_key, &key, commitment), ERR_OK);
        t_assert_span(secret_view(&key), want);
        if (s->commits)
            t_assert_span(SPAN_ARRAY(commitment), ck);
        t_free(want);
    }
    t_free(id);
    t_free(ck);
}

/* ---- good messages ---- */

static void reads(unsigned suite, uint32_t frame_length, size_t len, bool empty_final)
{
    static const size_t cuts[] = { 1, 7, 64, 1000, SIZE_MAX };
    AUTO(buf_clear) struct buf plain = test_plain(len);
    AUTO(made_clear)
    struct made m = make_message(cx, (struct make){ .suite = suite,
                                                    .frame_length = frame_length,
                                                    .plain = buf_view(&plain),
                                                    .pairs = context,
                                                    .n_pairs = len % 3,
                                                    .empty_final = empty_final,
                                                    .iv_first = (uint8_t)len });

    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
        AUTO(buf_clear) struct buf out = BUF_INIT(MADE_MAX_BYTES);
        struct reading how = { .options = &any_suite, .cut = cuts[i] };
        assert_int_equal(read_message(cx, how, buf_view(&m.bytes), &out, NULL), ERR_OK);
        t_assert_span(buf_view(&out), buf_view(&plain));
    }
}

static void every_suite(void **state)
{
    enum { N = 48 };
    static const size_t lengths[] = { 0, 1, N - 1, N, N + 1, 2 * N - 1, 2 * N, 5 * N + 3 };

    (void)state;
    for (size_t s = 0; s < ALL_SUITES; s++) {
        for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
            reads(all_suites[s], N, lengths[i], false);
            reads(all_suites[s], N, lengths[i], true);
            reads(all_suites[s], 0, lengths[i], false);
        }
        reads(all_suites[s], 1, 7, false);
        reads(all_suites[s], 20000, 100000, true);
        reads(all_suites[s], 0, 100000, false);
    }
}

/* The reference's complete example. */
static void example(void **state)
{
    struct span in =
        t_unhex("02 0478 404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f"
                "0014 0003 0001 42 0001 32 0001 61 0001 31 0002 6162 0000"
                "0001 0007 6177732d6b6d73 0003 61726e 0002 aabb 02 00001000"
                "4fc8f3b078da9a1778fd776cf39f21e62e3c512006129bc6f16a06f8ccdead3a"
                "0a1da87492c33f99239f888327784af8"
                "ffffffff 00000001 000000000000000000000001 00000005 42703bbf74"
                "d59f741dea5ffa2f53e9144346619a54");
    AUTO(buf_clear) struct buf out = BUF_INIT(100);

    (void)state;
    assert_int_equal(in.len, 175);
    assert_int_equal(read_message(cx, (struct reading){ .cut = 3 }, in, &out, NULL), ERR_OK);
    t_assert_buf(&out, "hello");
    t_free(in);
}

/* ---- what comes out when ---- */

struct opened {
    struct esdk_decrypt *d;
    struct span rest; /* of the message, after its header */
};

static void opened_clear(struct opened *o)
{
    esdk_decrypt_free(o->d);
}

static struct opened open_body(struct span msg, const struct esdk_decrypt_options *options)
{
    struct opened o = { .rest = msg };
    const struct esdk_header *h;

    assert_int_equal(esdk_decrypt_new(options, &o.d), ERR_OK);
    assert_int_equal(esdk_decrypt_header(o.d, cx, &o.rest, &h, NULL), ERR_OK);
    AUTO(secret_clear) struct secret key = test_data_key(h->suite);
    assert_int_equal(esdk_decrypt_start(o.d, cx, &key, NULL, 0, NULL), ERR_OK);
    return o;
}

/* Byte by byte: a frame comes with the last byte of its tag and no earlier, whole; the last one of
 * a signed message with the last byte of the signature. */
static void release(unsigned suite)
{
    AUTO(buf_clear) struct buf plain = test_plain(50);
    AUTO(made_clear)
    struct made m = make_message(
        cx, (struct make){ .suite = suite, .frame_length = 20, .plain = buf_view(&plain) });
    AUTO(opened_clear) struct opened o = open_body(buf_view(&m.bytes), &any_suite);
    size_t given = 0;

    for (size_t at = m.header_bytes; at < m.bytes.len; at++) {
        struct span one = span_sub(buf_view(&m.bytes), at, 1), got;
        enum err r = esdk_decrypt_step(o.d, &one, &got, NULL);
        bool due = false, last = at + 1 == m.bytes.len;
        for (unsigned f = 1; f < m.frames; f++)
            due = due || at + 1 == m.frame_at[f];
        due = due || last;
        assert_int_equal(r, due ? ERR_OK : ERR_MORE);
        if (due)
            t_assert_span(got, span_sub(buf_view(&plain), given, 20));
        given += got.len;
        if (!last && at % 7 == 0) { /* an empty call changes nothing */
            struct span none = SPAN_EMPTY;
            assert_int_equal(esdk_decrypt_step(o.d, &none, &got, NULL), ERR_MORE);
        }
    }
    assert_int_equal(given, 50);
    assert_int_equal(esdk_decrypt_end(o.d, NULL), ERR_OK);
    assert_int_equal(esdk_decrypt_end(o.d, NULL), ERR_OK);
}

static void release_when_authenticated(void **state)
{
    (void)state;
    for (size_t s = 0; s < ALL_SUITES; s++)
        release(all_suites[s]);
}

/* All at once: each step gives one frame and takes no byte of the next but what it has to. */
static void one_frame_a_step(void **state)
{
    AUTO(buf_clear) struct buf plain = test_plain(50);
    AUTO(made_clear)
    struct made m = make_message(
        cx, (struct make){ .suite = 0x0478, .frame_length = 20, .plain = buf_view(&plain) });
    AUTO(opened_clear) struct opened o = open_body(buf_view(&m.bytes), NULL);
    struct span got;

    (void)state;
    for (unsigned f = 0; f < m.frames; f++) {
        assert_int_equal(esdk_decrypt_step(o.d, &o.rest, &got, NULL), ERR_OK);
        t_assert_span(got, span_sub(buf_view(&plain), f * 20, 20));
        assert_int_equal(o.rest.len, m.bytes.len - m.frame_at[f + 1]);
    }
    assert_int_equal(esdk_decrypt_step(o.d, &o.rest, &got, NULL), ERR_MORE);
    assert_int_equal(esdk_decrypt_end(o.d, NULL), ERR_OK);
}

/* Into the caller's buffer: a frame for which there is no room is a failure like others. */
static void no_room(void **state)
{
    static const size_t rooms[] = { 20, 39, 40, 49 };
    AUTO(buf_clear) struct buf plain = test_plain(50);
    AUTO(made_clear)
    struct made m = make_message(
        cx, (struct make){ .suite = 0x0478, .frame_length = 20, .plain = buf_view(&plain) });

    (void)state;
    for (size_t i = 0; i < sizeof rooms / sizeof rooms[0]; i++) {
        size_t max = rooms[i];
        AUTO(opened_clear) struct opened o = open_body(buf_view(&m.bytes), NULL);
        AUTO(buf_clear) struct buf out = BUF_INIT(max);
        struct why why = { 0 };
        enum err r = ERR_OK;
        while (r == ERR_OK)
            r = esdk_decrypt_step_to(o.d, &o.rest, &out, &why);
        assert_int_equal(r, ERR_LIMIT);
        assert_string_equal(why.what, "no room for a frame");
        t_assert_span(buf_view(&out), span_sub(buf_view(&plain), 0, max / 20 * 20));
        assert_int_equal(esdk_decrypt_step_to(o.d, &o.rest, &out, NULL), ERR_LIMIT);
        assert_int_equal(esdk_decrypt_end(o.d, NULL), ERR_LIMIT);
    }
}

/* ---- refused ---- */

static enum err verdict(const struct esdk_decrypt_options *options, struct span msg,
                        const char **what)
{
    AUTO(buf_clear) struct buf out = BUF_INIT(MADE_MAX_BYTES);
    struct why why = { .what = "" };
    struct reading how = { .options = options, .cut = SIZE_MAX };

    enum err r = read_message(cx, how, msg, &out, &why);
    *what = why.what;
    return r;
}

static void policy(void **state)
{
    const struct esdk_decrypt_options unsigned_only = {
        .policy = ESDK_FORBID_ENCRYPT_ALLOW_DECRYPT,
        .unsigned_only = true,
    };
    const char *what;

    (void)state;
    for (size_t i = 0; i < ALL_SUITES; i++) {
        const struct esdk_suite *s = esdk_suite_find(all_suites[i]);
        AUTO(made_clear)
        struct made m = make_message(
            cx, (struct make){ .suite = s->id, .frame_length = 9, .plain = SPAN_LIT("text") });
        assert_int_equal(verdict(NULL, buf_view(&m.bytes), &what),
                         s->commits ? ERR_OK : ERR_UNSUPPORTED);
        if (!s->commits)
            assert_string_equal(what, "the message's algorithm suite has no key commitment, which "
                                      "the policy requires");
        assert_int_equal(verdict(&any_suite, buf_view(&m.bytes), &what), ERR_OK);
        assert_int_equal(verdict(&unsigned_only, buf_view(&m.bytes), &what),
                         s->signs ? ERR_UNSUPPORTED : ERR_OK);
        if (s->signs)
            assert_string_equal(what, "the message is signed: only unsigned ones are read here");
    }
}

/* The key in the context is judged before any data key is asked for. */
static void public_keys(void **state)
{
    static const char *const bad[] = {
        "!gAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAABQ==", /* not base64 */
        "BAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAABQ==", /* an uncompressed
                                                                                   one's first byte
                                                                                 */
        "Av/////////////////////////////////////////+/////wAAAAAAAAAA/////w==", /* x is the field's
                                                                                   prime */
        "AwAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAQ==", /* no point with
                                                                                   this x */
        "AgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAABQA=", /* 50 bytes */
        "AgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAABQAA", /* 51 bytes */
    };
    AUTO(made_clear)
    struct made m = make_message(
        cx, (struct make){ .suite = 0x0578, .frame_length = 9, .plain = SPAN_LIT("text") });
    struct esdk_header h;
    const char *what;

    (void)state;
    assert_int_equal(esdk_header_parse(buf_view(&m.bytes), NULL, &h, NULL, NULL), ERR_OK);
    assert_int_equal(h.public_key.len, 68);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        memcpy(m.bytes.ptr + (h.public_key.ptr - m.bytes.ptr), bad[i], 68);
        assert_int_equal(verdict(NULL, buf_view(&m.bytes), &what), ERR_MALFORMED);
        assert_string_equal(what, "the message's public key");
    }
}

static void block_limit(void **state)
{
    AUTO(buf_clear) struct buf plain = test_plain(1000);
    AUTO(made_clear)
    struct made m = make_message(cx, (struct make){ .suite = 0x0478, .plain = buf_view(&plain) });
    struct esdk_decrypt_options o = { .limits.block_bytes = 1000 };
    const char *what;

    (void)state;
    assert_int_equal(verdict(&o, buf_view(&m.bytes), &what), ERR_OK);
    o.limits.block_bytes = 999;
    assert_int_equal(verdict(&o, buf_view(&m.bytes), &what), ERR_LIMIT);
    assert_string_equal(what, "the block is longer than the limit");
}

/* A length that AES-GCM has not, whatever the limit. */
static void impossible_block(void **state)
{
    AUTO(made_clear)
    struct made m = make_message(cx, (struct make){ .suite = 0x0478, .plain = SPAN_LIT("x") });
    const struct esdk_decrypt_options o = { .limits.block_bytes = SIZE_MAX };
    uint8_t *len = m.bytes.ptr + m.header_bytes + 12;
    const char *what;

    (void)state;
    put64(len, (UINT64_C(1) << 36) - 31);
    assert_int_equal(verdict(&o, buf_view(&m.bytes), &what), ERR_MALFORMED);
    assert_string_equal(what, "the block is longer than AES-GCM can make one");
    put64(len, (UINT64_C(1) << 36) - 32); /* waits for it */
    assert_int_equal(verdict(&o, buf_view(&m.bytes), &what), ERR_MALFORMED);
    assert_string_equal(what, "the message is cut off: its final frame is missing");
}

/* Numbers end at 2^32-1, which only a final frame has. */
static void last_numbers(void **state)
{
    AUTO(made_clear)
    struct made m = make_message(
        cx, (struct make){ .suite = 0x0478, .frame_length = 4, .plain = SPAN_LIT("12345") });
    struct esdk_header h;
    struct esdk_frame f;
    struct why why;
    struct span regular = t_unhex("fffffffe 000000000000000000000000");
    struct span marked = t_unhex("ffffffff 000000000000000000000000");
    struct span final = t_unhex("ffffffff ffffffff 000000000000000000000000 00000004");

    (void)state;
    assert_int_equal(esdk_header_parse(buf_view(&m.bytes), NULL, &h, NULL, NULL), ERR_OK);
    assert_int_equal(esdk_frame_parse(&h, 0xfffffffe, regular, &f, NULL, NULL), ERR_OK);
    assert_int_equal(f.kind, ESDK_FRAME_REGULAR);
    /* Whose first word is the mark is a final frame, and its number is wrong. */
    assert_int_equal(esdk_frame_parse(&h, 0xffffffff, marked, &f, NULL, &why), ERR_MALFORMED);
    assert_string_equal(why.what, "frame out of order: it has another number");
    assert_int_equal(esdk_frame_parse(&h, 0xffffffff, final, &f, NULL, NULL), ERR_OK);
    assert_int_equal(f.kind, ESDK_FRAME_FINAL);
    AUTO(opened_clear) struct opened o = open_body(buf_view(&m.bytes), NULL);
    esdk_decrypt_skip_to(o.d, 0xfffffffe);
    assert_int_equal(esdk_decrypt_step(o.d, &o.rest, &(struct span){ 0 }, NULL), ERR_MALFORMED);
    t_free(regular);
    t_free(marked);
    t_free(final);
}

static void final_length(void **state)
{
    AUTO(made_clear)
    struct made m = make_message(
        cx, (struct make){ .suite = 0x0478, .frame_length = 4, .plain = SPAN_LIT("1234") });
    const char *what;

    (void)state;
    m.bytes.ptr[m.header_bytes + 23] = 5;
    assert_int_equal(verdict(NULL, buf_view(&m.bytes), &what), ERR_MALFORMED);
    assert_string_equal(what, "the final frame is longer than the frame length");
}

/* ---- data keys and required pairs ---- */

static void data_keys(void **state)
{
    AUTO(esdk_decrypt_freep) struct esdk_decrypt *d = NULL;
    AUTO(made_clear)
    struct made m = make_message(
        cx, (struct make){ .suite = 0x0478, .frame_length = 9, .plain = SPAN_LIT("text") });
    AUTO(secret_clear) struct secret good = test_data_key(esdk_suite_find(0x0478));
    AUTO(secret_clear) struct secret shorter = test_data_key(esdk_suite_find(0x0046));
    AUTO(secret_clear) struct secret other = { 0 };
    struct span rest = buf_view(&m.bytes), got;
    const struct esdk_header *h;
    struct why why;

    (void)state;
    assert_int_equal(secret_new(32, &other), ERR_OK);
    assert_int_equal(esdk_decrypt_new(NULL, &d), ERR_OK);
    assert_int_equal(esdk_decrypt_header(d, cx, &rest, &h, NULL), ERR_OK);
    assert_int_equal(h->n_keys, 2);
    /* Another length: the next one may be tried. Another key: not. */
    assert_int_equal(esdk_decrypt_start(d, cx, &shorter, NULL, 0, &why), ERR_VERIFY);
    assert_int_equal(esdk_decrypt_start(d, cx, &other, NULL, 0, &why), ERR_VERIFY);
    assert_string_equal(why.what,
                        "the key commitment does not hold: another data key, or a changed header");
    assert_int_equal(esdk_decrypt_start(d, cx, &good, NULL, 0, &why), ERR_VERIFY);
    assert_int_equal(esdk_decrypt_step(d, &rest, &got, &why), ERR_VERIFY);
    assert_int_equal(got.len, 0);
    assert_int_equal(esdk_decrypt_end(d, &why), ERR_VERIFY);
    assert_string_equal(why.what,
                        "the key commitment does not hold: another data key, or a changed header");
}

static enum err with_required(struct span msg, const struct esdk_pair *required, size_t n)
{
    AUTO(buf_clear) struct buf out = BUF_INIT(100);
    struct reading how = { .required = required, .n_required = n, .cut = SIZE_MAX };
    enum err r = read_message(cx, how, msg, &out, NULL);

    assert_int_equal(out.len, r == ERR_OK ? 4 : 0);
    return r;
}

static void required_pairs(void **state)
{
    static const struct esdk_pair same[] = { PAIR("purpose", "test") };
    static const struct esdk_pair other[] = { PAIR("purpose", "other") };
    static const struct esdk_pair missing[] = { PAIR("purpose", "test"), PAIR("tenant", "7") };
    static const struct esdk_pair wrong[] = { PAIR("tenant", "8") };
    struct span unstored = t_unhex("0001 0006 74656e616e74 0001 37");
    AUTO(made_clear)
    struct made plain = make_message(cx, (struct make){ .suite = 0x0478,
                                                        .frame_length = 9,
                                                        .plain = SPAN_LIT("text"),
                                                        .pairs = context,
                                                        .n_pairs = 2 });
    AUTO(made_clear)
    struct made bound = make_message(cx, (struct make){ .suite = 0x0478,
                                                        .frame_length = 9,
                                                        .plain = SPAN_LIT("text"),
                                                        .pairs = context,
                                                        .n_pairs = 2,
                                                        .unstored = unstored });

    (void)state;
    assert_int_equal(with_required(buf_view(&plain.bytes), NULL, 0), ERR_OK);
    assert_int_equal(with_required(buf_view(&plain.bytes), context, 2), ERR_OK);
    assert_int_equal(with_required(buf_view(&plain.bytes), same, 1), ERR_OK);
    assert_int_equal(with_required(buf_view(&plain.bytes), other, 1), ERR_VERIFY);
    assert_int_equal(with_required(buf_view(&plain.bytes), missing, 2), ERR_VERIFY);
    /* A newer SDK's: bound to a pair that the header does not carry. */
    assert_int_equal(with_required(buf_view(&bound.bytes), missing, 2), ERR_OK);
    assert_int_equal(with_required(buf_view(&bound.bytes), NULL, 0), ERR_VERIFY);
    assert_int_equal(with_required(buf_view(&bound.bytes), same, 1), ERR_VERIFY);
    assert_int_equal(with_required(buf_view(&bound.bytes), wrong, 1), ERR_VERIFY);
    t_free(unstored);
}

/* Calls in another order than the header's are our own fault, and end the message. */
static void order(void **state)
{
    AUTO(secret_clear) struct secret key = test_data_key(esdk_suite_find(0x0478));
    struct span none = SPAN_EMPTY, got;
    const struct esdk_header *h = NULL;

    (void)state;
    for (int i = 0; i < 2; i++) {
        AUTO(esdk_decrypt_freep) struct esdk_decrypt *d = NULL;
        assert_int_equal(esdk_decrypt_new(NULL, &d), ERR_OK);
        assert_int_equal(i ? esdk_decrypt_start(d, cx, &key, NULL, 0, NULL)
                           : esdk_decrypt_step(d, &none, &got, NULL),
                         ERR_INTERNAL);
        assert_int_equal(esdk_decrypt_header(d, cx, &none, &h, NULL), ERR_INTERNAL);
        assert_int_equal(esdk_decrypt_end(d, NULL), ERR_INTERNAL);
        assert_null(h);
    }
    AUTO(esdk_decrypt_freep) struct esdk_decrypt *d = NULL;
    struct why why;
    assert_int_equal(esdk_decrypt_new(NULL, &d), ERR_OK);
    assert_int_equal(esdk_decrypt_end(d, &why), ERR_MALFORMED);
    assert_string_equal(why.what, "the message is cut off: it ends in or after its header");
    esdk_decrypt_free(NULL);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(derivation),       cmocka_unit_test(every_suite),
        cmocka_unit_test(example),          cmocka_unit_test(release_when_authenticated),
        cmocka_unit_test(one_frame_a_step), cmocka_unit_test(policy),
        cmocka_unit_test(public_keys),      cmocka_unit_test(block_limit),
        cmocka_unit_test(impossible_block), cmocka_unit_test(last_numbers),
        cmocka_unit_test(final_length),     cmocka_unit_test(data_keys),
        cmocka_unit_test(required_pairs),   cmocka_unit_test(order),
        cmocka_unit_test(no_room),
    };

    if (crypto_process_init() != ERR_OK || crypto_new(&cx) != ERR_OK)
        return 1;
    int failed = cmocka_run_group_tests_name("esdk_decrypt", tests, NULL, NULL);
    crypto_free(cx);
    return failed;
}
