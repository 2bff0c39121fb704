/* Writing: the worked example byte for byte, every way to cut the input, and what is refused. What
 * comes out is read by the module's own reader. */
#include <stdlib.h>

#include "base/base64.h"
#include "crypto/hash.h"
#include "esdk/esdk_in.h"
#include "esdk/test_make.h"

static struct crypto *cx;

#define PAIR(k, v)                                                                                 \
    {                                                                                              \
        SPAN_INIT(k), SPAN_INIT(v)                                                                 \
    }
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct esdk_key one_key = { SPAN_INIT("aws-kms"), SPAN_INIT("arn"),
                                         SPAN_INIT("\xaa\xbb") };

/* 40 41 42 ..: what a random source is not, but the reference's example is. */
static enum err counting(void *arg, uint8_t *out, size_t len)
{
    for (size_t i = 0; i < len; i++)
        out[i] = (uint8_t)(0x40 + i);
    ++*(unsigned *)arg;
    return ERR_OK;
}

static enum err broken(void *arg, uint8_t *out, size_t len)
{
    (void)arg;
    (void)out;
    (void)len;
    return ERR_CRYPTO;
}

/* The whole message, the plaintext given in pieces of `cut`. */
static enum err write_message(const struct esdk_encrypt_options *o, const struct esdk_key *keys,
                              size_t n, struct span plain, size_t cut, struct buf *out,
                              struct why *why)
{
    AUTO(esdk_encrypt_freep) struct esdk_encrypt *e = NULL;
    struct span got;

    enum err r = esdk_encrypt_new(cx, o, &e, why);
    if (r != ERR_OK)
        return r;
    AUTO(secret_clear) struct secret key = test_data_key(esdk_encrypt_suite(e));
    r = esdk_encrypt_start(e, cx, &key, keys, n, &got, why);
    while (r == ERR_OK) {
        put(out, got);
        struct span piece = span_sub(plain, 0, cut);
        plain = span_from(plain, piece.len);
        while ((r = esdk_encrypt_step(e, &piece, &got, why)) == ERR_OK)
            put(out, got);
        if (r == ERR_MORE)
            r = ERR_OK;
        got = SPAN_EMPTY;
        if (plain.len == 0)
            break;
    }
    if (r == ERR_OK)
        r = esdk_encrypt_end(e, &got, why);
    if (r == ERR_OK)
        put(out, got);
    return r;
}

static void example(void **state)
{
    static const struct esdk_pair context[] = { PAIR("a", "1"), PAIR("ab", ""), PAIR("B", "2") };
    AUTO(buf_clear) struct buf out = BUF_INIT(1000);
    unsigned drawn = 0;
    struct esdk_encrypt_options o = {
        .context = context,
        .n_pairs = COUNT(context),
        .random = { counting, &drawn },
    };
    struct span want = t_unhex("948c0e2d812c43054513fecd4429c6251ef9e3c731e3dcde7ba0eb0ead5739b3");
    uint8_t sum[SHA256_BYTES];

    (void)state;
    assert_int_equal(write_message(&o, &one_key, 1, SPAN_LIT("hello"), 2, &out, NULL), ERR_OK);
    assert_int_equal(out.len, 175);
    sha256(buf_view(&out), sum);
    t_assert_span(SPAN_ARRAY(sum), want);
    assert_int_equal(drawn, 1);
    t_free(want);
}

/* Every length around a frame, every cut: unsigned ones are the same bytes whatever the cut. */
static void roundtrip(unsigned suite, uint32_t frame_length, size_t len)
{
    static const size_t cuts[] = { SIZE_MAX, 1, 7, 48, 49, 1000 };
    AUTO(buf_clear) struct buf plain = test_plain(len), first = BUF_INIT(MADE_MAX_BYTES);
    unsigned drawn = 0;
    struct esdk_encrypt_options o = { .suite = suite,
                                      .frame_length = frame_length,
                                      .plaintext_max = len,
                                      .random = { counting, &drawn } };

    for (size_t i = 0; i < COUNT(cuts); i++) {
        AUTO(buf_clear) struct buf out = BUF_INIT(MADE_MAX_BYTES), back = BUF_INIT(MADE_MAX_BYTES);
        struct reading how = { .cut = i % 2 ? 5 : SIZE_MAX };
        assert_int_equal(write_message(&o, &one_key, 1, buf_view(&plain), cuts[i], &out, NULL),
                         ERR_OK);
        assert_int_equal(read_message(cx, how, buf_view(&out), &back, NULL), ERR_OK);
        t_assert_span(buf_view(&back), buf_view(&plain));
        if (i == 0)
            put(&first, buf_view(&out));
        else if (suite == ESDK_SUITE_COMMITTING)
            t_assert_span(buf_view(&out), buf_view(&first));
    }
}

/* Frames made in the caller's buf are the same bytes; one without room ends the message. */
static void in_place(void **state)
{
    enum { FRAME = 48, SEALED = FRAME + 4 + GCM_IV_BYTES + ESDK_TAG_BYTES };
    static const size_t cuts[] = { SIZE_MAX, 1, 7, 48, 49 };
    AUTO(buf_clear) struct buf plain = test_plain(5 * FRAME + 3), want = BUF_INIT(MADE_MAX_BYTES);
    unsigned drawn = 0;
    struct esdk_encrypt_options o = { .frame_length = FRAME, .random = { counting, &drawn } };

    (void)state;
    assert_int_equal(write_message(&o, &one_key, 1, buf_view(&plain), SIZE_MAX, &want, NULL),
                     ERR_OK);
    for (size_t i = 0; i < COUNT(cuts); i++) {
        for (int room = 0; room < 2; room++) {
            AUTO(esdk_encrypt_freep) struct esdk_encrypt *e = NULL;
            AUTO(buf_clear) struct buf out = BUF_INIT(MADE_MAX_BYTES);
            struct span rest = buf_view(&plain), got;
            struct why why = { 0 };
            assert_int_equal(esdk_encrypt_new(cx, &o, &e, NULL), ERR_OK);
            AUTO(secret_clear) struct secret key = test_data_key(esdk_encrypt_suite(e));
            assert_int_equal(esdk_encrypt_start(e, cx, &key, &one_key, 1, &got, NULL), ERR_OK);
            put(&out, got);
            size_t header = out.len;
            if (!room)
                out.max = header + 2 * SEALED - 1; /* a byte less than two frames */
            enum err r = ERR_MORE;
            while (rest.len && r == ERR_MORE) {
                struct span piece = span_sub(rest, 0, cuts[i]);
                rest = span_from(rest, piece.len);
                while ((r = esdk_encrypt_step_to(e, &piece, &out, &why)) == ERR_OK)
                    ;
            }
            assert_int_equal(r, room ? ERR_MORE : ERR_LIMIT);
            if (!room) {
                assert_string_equal(why.what, "no room for a frame");
                t_assert_span(buf_view(&out), span_sub(buf_view(&want), 0, header + SEALED));
                assert_int_equal(esdk_encrypt_end(e, &got, NULL), ERR_LIMIT);
                continue;
            }
            assert_int_equal(esdk_encrypt_end(e, &got, NULL), ERR_OK);
            put(&out, got);
            t_assert_span(buf_view(&out), buf_view(&want));
        }
    }
}

static void lengths(void **state)
{
    enum { N = 48 };
    static const unsigned suites[] = { ESDK_SUITE_COMMITTING, ESDK_SUITE_SIGNED };

    (void)state;
    for (size_t s = 0; s < COUNT(suites); s++) {
        for (size_t len = 0; len <= 2 * N + 1; len += len % N < 2 || len % N > N - 3 ? 1 : 13)
            roundtrip(suites[s], N, len);
        roundtrip(suites[s], 1, 9);
        roundtrip(suites[s], 0, 10000);
        roundtrip(suites[s], 65536, 200000);
    }
}

/* Where frames end: an exact multiple has an empty final frame. */
static void frames(void **state)
{
    AUTO(buf_clear) struct buf plain = test_plain(40), out = BUF_INIT(1000);
    struct esdk_encrypt_options o = { .frame_length = 20 };
    struct esdk_header h;
    struct esdk_frame f;

    (void)state;
    assert_int_equal(write_message(&o, &one_key, 1, buf_view(&plain), 40, &out, NULL), ERR_OK);
    assert_int_equal(esdk_header_parse(buf_view(&out), NULL, &h, NULL, NULL), ERR_OK);
    struct span rest = span_from(buf_view(&out), h.bytes);
    for (uint32_t n = 1; n <= 3; n++) {
        assert_int_equal(esdk_frame_parse(&h, n, rest, &f, NULL, NULL), ERR_OK);
        assert_int_equal(f.kind, n == 3 ? ESDK_FRAME_FINAL : ESDK_FRAME_REGULAR);
        assert_int_equal(f.length, n == 3 ? 0 : 20);
        assert_int_equal(get32(f.iv.ptr + 8), n); /* the number; zeros before it */
        assert_int_equal(get64(f.iv.ptr), 0);
        rest = span_from(rest, f.head_bytes + (size_t)f.length + ESDK_TAG_BYTES);
    }
    assert_int_equal(rest.len, 0);
}

/* ---- context and signature ---- */

static void signed_context(void **state)
{
    static const struct esdk_pair context[] = { PAIR("z", "1"), PAIR("a", "1") };
    AUTO(esdk_encrypt_freep) struct esdk_encrypt *e = NULL;
    AUTO(esig_key_freep) struct esig_key *key = NULL;
    AUTO(buf_clear) struct buf point = BUF_INIT(100);
    struct esdk_encrypt_options o = { .suite = ESDK_SUITE_SIGNED,
                                      .context = context,
                                      .n_pairs = COUNT(context) };
    struct span value;
    struct esdk_pair p = { 0 };

    (void)state;
    assert_int_equal(esig_key_new(cx, ESIG_P384, &key), ERR_OK);
    assert_int_equal(base64_append(&point, esig_key_point(key)), ERR_OK);
    o.signing_key = key; /* a cache entry's */
    assert_int_equal(esdk_encrypt_new(cx, &o, &e, NULL), ERR_OK);
    struct span rest = esdk_encrypt_pairs(e);
    assert_true(pair_find(rest, SPAN_LIT(ESDK_PUBLIC_KEY_NAME), &value));
    t_assert_span(value, buf_view(&point));
    assert_true(esdk_pair_next(&rest, &p) && span_is(p.key, "a"));
    assert_true(esdk_pair_next(&rest, &p) && span_is(p.key, ESDK_PUBLIC_KEY_NAME));
    assert_true(esdk_pair_next(&rest, &p) && span_is(p.key, "z"));
    assert_int_equal(rest.len, 0);
    t_assert_span(span_from(esdk_encrypt_context(e), 2), esdk_encrypt_pairs(e));
    esdk_encrypt_freep(&e);
    o.signing_key = NULL; /* one of its own, another each time */
    assert_int_equal(esdk_encrypt_new(cx, &o, &e, NULL), ERR_OK);
    assert_true(pair_find(esdk_encrypt_pairs(e), SPAN_LIT(ESDK_PUBLIC_KEY_NAME), &value));
    assert_false(span_eq(value, buf_view(&point)));
    esdk_encrypt_freep(&e);
    o.suite = 0;
    o.n_pairs = 0;
    assert_int_equal(esdk_encrypt_new(cx, &o, &e, NULL), ERR_OK);
    assert_int_equal(esdk_encrypt_context(e).len, 0);
    assert_int_equal(esdk_encrypt_pairs(e).len, 0);
}

/* ---- refused before anything is made ---- */

static void options(void **state)
{
    static const struct esdk_pair reserved[] = { PAIR("aws-crypto-public-key", "x") };
    static const struct esdk_pair also[] = { PAIR("aws-crypto-", "x") };
    static const struct esdk_pair near[] = { PAIR("aws-cryptO-x", "x") };
    static const struct esdk_pair bytes[] = { PAIR("a", "\xff") };
    AUTO(esig_key_freep) struct esig_key *p256 = NULL;
    AUTO(esig_key_freep) struct esig_key *p384 = NULL;
    struct why why;

    (void)state;
    assert_int_equal(esig_key_new(cx, ESIG_P256, &p256), ERR_OK);
    assert_int_equal(esig_key_new(cx, ESIG_P384, &p384), ERR_OK);
    const struct {
        struct esdk_encrypt_options o;
        enum err want;
        const char *what;
    } rows[] = {
        { { .suite = 0x0378 },
          ERR_UNSUPPORTED,
          "algorithm suite: only 0x0478 and 0x0578 are written" },
        { { .suite = 0x0479 },
          ERR_UNSUPPORTED,
          "algorithm suite: only 0x0478 and 0x0578 are written" },
        { { .policy = ESDK_FORBID_ENCRYPT_ALLOW_DECRYPT },
          ERR_UNSUPPORTED,
          "the policy does not let this suite be written" },
        { { .policy = ESDK_REQUIRE_ENCRYPT_ALLOW_DECRYPT }, ERR_OK, NULL },
        { { .context = reserved, .n_pairs = 1 },
          ERR_MALFORMED,
          "encryption context: names that begin aws-crypto- are reserved" },
        { { .context = also, .n_pairs = 1, .suite = ESDK_SUITE_SIGNED },
          ERR_MALFORMED,
          "encryption context: names that begin aws-crypto- are reserved" },
        { { .context = near, .n_pairs = 1 }, ERR_OK, NULL },
        { { .context = bytes, .n_pairs = 1 }, ERR_MALFORMED, "encryption context: not UTF-8" },
        { { .context = near, .n_pairs = 1, .limits.pairs = 1 }, ERR_OK, NULL },
        { { .context = near, .n_pairs = 1, .limits.pairs = 1, .suite = ESDK_SUITE_SIGNED },
          ERR_LIMIT,
          "the encryption context has more pairs than the limit" },
        { { .context = near, .n_pairs = 1, .limits.context_bytes = 19 }, ERR_OK, NULL },
        { { .context = near, .n_pairs = 1, .limits.context_bytes = 18 },
          ERR_LIMIT,
          "the encryption context is longer than the limit" },
        { { .frame_length = 1 << 20 }, ERR_OK, NULL },
        { { .frame_length = (1 << 20) + 1 },
          ERR_LIMIT,
          "the frame length is longer than the limit" },
        { { .signing_key = p384 }, ERR_INTERNAL, "the signing key does not go with the suite" },
        { { .signing_key = p256, .suite = ESDK_SUITE_SIGNED },
          ERR_INTERNAL,
          "the signing key does not go with the suite" },
        { { .random = { broken, NULL } }, ERR_CRYPTO, "message id or signing key" },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        AUTO(esdk_encrypt_freep) struct esdk_encrypt *e = NULL;
        assert_int_equal(esdk_encrypt_new(cx, &rows[i].o, &e, &why), rows[i].want);
        assert_int_equal(e != NULL, rows[i].want == ERR_OK);
        if (rows[i].what)
            assert_string_equal(why.what, rows[i].what);
    }
}

static void data_keys(void **state)
{
    static uint8_t big[65536];
    struct esdk_key many[9], bad[] = {
        { SPAN_LIT("\xff"), SPAN_LIT("i"), SPAN_LIT("c") },
        { SPAN_LIT("p"), SPAN_ARRAY(big), SPAN_LIT("c") },
        { SPAN_LIT("p"), SPAN_LIT("i"), SPAN_ARRAY(big) },
        { SPAN_LIT("p"), SPAN_LIT("i"), span_of(big, 65535) }, /* the field fits, the header not */
    };
    AUTO(buf_clear) struct buf out = BUF_INIT(MADE_MAX_BYTES);
    const struct esdk_encrypt_options o = { 0 };
    struct why why;

    (void)state;
    for (size_t i = 0; i < 9; i++)
        many[i] = one_key;
    assert_int_equal(write_message(&o, many, 8, SPAN_EMPTY, 1, &out, &why), ERR_OK);
    assert_int_equal(write_message(&o, many, 9, SPAN_EMPTY, 1, &out, &why), ERR_LIMIT);
    assert_string_equal(why.what, "more encrypted data keys than the limit");
    assert_int_equal(write_message(&o, many, 0, SPAN_EMPTY, 1, &out, &why), ERR_MALFORMED);
    assert_string_equal(why.what, "no encrypted data key");
    assert_int_equal(write_message(&o, &bad[0], 1, SPAN_EMPTY, 1, &out, &why), ERR_MALFORMED);
    for (size_t i = 1; i < COUNT(bad); i++)
        assert_int_equal(write_message(&o, &bad[i], 1, SPAN_EMPTY, 1, &out, &why), ERR_LIMIT);
    assert_string_equal(why.what, "the header is longer than the limit");
    AUTO(esdk_encrypt_freep) struct esdk_encrypt *e = NULL;
    AUTO(secret_clear) struct secret shorter = test_data_key(esdk_suite_find(0x0046));
    struct span got = SPAN_LIT("untouched");
    assert_int_equal(esdk_encrypt_new(cx, &o, &e, NULL), ERR_OK);
    assert_int_equal(esdk_encrypt_start(e, cx, &shorter, &one_key, 1, &got, &why), ERR_MALFORMED);
    assert_true(span_is(got, "untouched"));
}

/* ---- limits and order of calls ---- */

static struct esdk_encrypt *started(const struct esdk_encrypt_options *o)
{
    struct esdk_encrypt *e = NULL;
    struct span got;

    assert_int_equal(esdk_encrypt_new(cx, o, &e, NULL), ERR_OK);
    AUTO(secret_clear) struct secret key = test_data_key(esdk_encrypt_suite(e));
    assert_int_equal(esdk_encrypt_start(e, cx, &key, &one_key, 1, &got, NULL), ERR_OK);
    return e;
}

static void announced_length(void **state)
{
    AUTO(esdk_encrypt_freep)
    struct esdk_encrypt *e =
        started(&(struct esdk_encrypt_options){ .frame_length = 4, .plaintext_max = 6 });
    struct span in = SPAN_LIT("123456"), got;
    struct why why;

    (void)state;
    assert_int_equal(esdk_encrypt_step(e, &in, &got, NULL), ERR_OK);
    assert_int_equal(esdk_encrypt_step(e, &in, &got, NULL), ERR_MORE);
    in = SPAN_LIT("7");
    assert_int_equal(esdk_encrypt_step(e, &in, &got, &why), ERR_LIMIT);
    assert_string_equal(why.what, "more plaintext than was announced");
    assert_int_equal(esdk_encrypt_end(e, &got, &why), ERR_LIMIT);
    assert_int_equal(got.len, 0);
}

static void last_number(void **state)
{
    const struct esdk_encrypt_options o = { .frame_length = 4 };
    AUTO(esdk_encrypt_freep) struct esdk_encrypt *e = started(&o);
    struct span in = SPAN_LIT("12345678"), got;
    struct why why;

    (void)state;
    esdk_encrypt_skip_to(e, 0xfffffffe);
    assert_int_equal(esdk_encrypt_step(e, &in, &got, NULL), ERR_OK);
    assert_int_equal(esdk_encrypt_step(e, &in, &got, &why), ERR_LIMIT);
    assert_string_equal(why.what, "too many frames: choose a longer frame length");
    AUTO(esdk_encrypt_freep) struct esdk_encrypt *good = started(&o);
    in = SPAN_LIT("1234567");
    esdk_encrypt_skip_to(good, 0xfffffffe);
    assert_int_equal(esdk_encrypt_step(good, &in, &got, NULL), ERR_OK);
    assert_int_equal(esdk_encrypt_step(good, &in, &got, NULL), ERR_MORE);
    assert_int_equal(esdk_encrypt_end(good, &got, NULL), ERR_OK);
    assert_int_equal(get32(got.ptr + 4), 0xffffffff);
}

static void order(void **state)
{
    const struct esdk_encrypt_options o = { 0 };
    AUTO(secret_clear) struct secret key = test_data_key(esdk_suite_find(0x0478));
    struct span in = SPAN_LIT("x"), got;

    (void)state;
    for (int i = 0; i < 4; i++) {
        AUTO(esdk_encrypt_freep) struct esdk_encrypt *e = NULL;
        if (i < 2)
            assert_int_equal(esdk_encrypt_new(cx, &o, &e, NULL), ERR_OK);
        else
            e = started(&o);
        if (i == 3)
            assert_int_equal(esdk_encrypt_end(e, &got, NULL), ERR_OK);
        enum err r = i == 0   ? esdk_encrypt_step(e, &in, &got, NULL)
                     : i == 2 ? esdk_encrypt_start(e, cx, &key, &one_key, 1, &got, NULL)
                              : esdk_encrypt_end(e, &got, NULL);
        assert_int_equal(r, ERR_INTERNAL);
        assert_int_equal(esdk_encrypt_start(e, cx, &key, &one_key, 1, &got, NULL), ERR_INTERNAL);
        assert_int_equal(esdk_encrypt_step(e, &in, &got, NULL), ERR_INTERNAL);
    }
    esdk_encrypt_free(NULL);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(example),        cmocka_unit_test(in_place),
        cmocka_unit_test(lengths),        cmocka_unit_test(frames),
        cmocka_unit_test(signed_context), cmocka_unit_test(options),
        cmocka_unit_test(data_keys),      cmocka_unit_test(announced_length),
        cmocka_unit_test(last_number),    cmocka_unit_test(order),
    };

    if (crypto_process_init() != ERR_OK || crypto_new(&cx) != ERR_OK)
        return 1;
    int failed = cmocka_run_group_tests_name("esdk_encrypt", tests, NULL, NULL);
    crypto_free(cx);
    return failed;
}
