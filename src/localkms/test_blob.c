#include "crypto/aead.h"
#include "localkms/blob.h"
#include "testing/t.h"

static struct crypto *cx;

#define ID      "1234abcd-12ab-34cd-56ef-1234567890ab"
#define KEY     SPAN_LIT("0123456789abcdef0123456789abcdef")
#define CONTEXT SPAN_LIT("\0\0\0\1purpose")

static void seal(struct span plain, struct span context, struct buf *out)
{
    assert_int_equal(blob_seal(cx, SPAN_LIT(ID), 0x01020304, KEY, context, plain, out), ERR_OK);
}

static void shape(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf b = BUF_INIT(BLOB_MAX_BYTES);
    struct blob parts;

    seal(SPAN_LIT("data key"), CONTEXT, &b);
    assert_int_equal(b.len, BLOB_OVERHEAD_BYTES + 8);
    t_assert_span(span_sub(buf_view(&b), 0, 45), SPAN_LIT("\x01\x02\x02\x00\x78" ID "\1\2\3\4"));
    assert_int_equal(blob_parse(buf_view(&b), &parts), ERR_OK);
    t_assert_span(parts.key_id, SPAN_LIT(ID));
    assert_int_equal(parts.material, 0x01020304);
    assert_int_equal(parts.head.len, 45);
    assert_int_equal(parts.iv.len, GCM_IV_BYTES);
    assert_int_equal(parts.ct.len, 8);
    assert_int_equal(parts.tag.len, GCM_TAG_BYTES);
    assert_ptr_equal(parts.tag.ptr + GCM_TAG_BYTES, b.ptr + b.len);
}

static enum err open_with(struct span in, struct span key, struct span context, struct secret *out)
{
    struct blob parts;

    enum err r = blob_parse(in, &parts);
    return r == ERR_OK ? blob_open(cx, &parts, key, context, out) : r;
}

static void there_and_back(void **state)
{
    (void)state;
    static uint8_t plain[BLOB_PLAIN_MAX_BYTES];
    static const size_t sizes[] = { 1, 16, 32, 4095, 4096 };

    assert_int_equal(rng_bytes(cx, plain, sizeof plain), ERR_OK);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        AUTO(buf_clear) struct buf b = BUF_INIT(BLOB_MAX_BYTES);
        AUTO(secret_clear) struct secret out = { 0 };
        seal(span_of(plain, sizes[i]), SPAN_EMPTY, &b);
        assert_int_equal(open_with(buf_view(&b), KEY, SPAN_EMPTY, &out), ERR_OK);
        t_assert_span(secret_view(&out), span_of(plain, sizes[i]));
    }
}

static void other_key_or_context(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf b = BUF_INIT(BLOB_MAX_BYTES);
    AUTO(secret_clear) struct secret out = { 0 };

    seal(SPAN_LIT("data key"), CONTEXT, &b);
    assert_int_equal(
        open_with(buf_view(&b), SPAN_LIT("0123456789abcdef0123456789abcdeF"), CONTEXT, &out),
        ERR_VERIFY);
    assert_int_equal(open_with(buf_view(&b), KEY, SPAN_EMPTY, &out), ERR_VERIFY);
    assert_int_equal(open_with(buf_view(&b), KEY, SPAN_LIT("\0\0\0\1Purpose"), &out), ERR_VERIFY);
    assert_null(out.ptr);
}

static void damaged(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf b = BUF_INIT(BLOB_MAX_BYTES);
    AUTO(secret_clear) struct secret out = { 0 };

    seal(SPAN_LIT("data key"), CONTEXT, &b);
    for (size_t n = 0; n < b.len; n++) {
        struct span cut = t_copy(span_sub(buf_view(&b), 0, n));
        assert_int_equal(open_with(cut, KEY, CONTEXT, &out),
                         n <= BLOB_OVERHEAD_BYTES ? ERR_MALFORMED : ERR_VERIFY);
        t_free(cut);
    }
    for (size_t bit = 0; bit < b.len * 8; bit++) {
        b.ptr[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(open_with(buf_view(&b), KEY, CONTEXT, &out),
                         bit < 40 ? ERR_MALFORMED : ERR_VERIFY);
        b.ptr[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_null(out.ptr);
}

static void limits(void **state)
{
    (void)state;
    static uint8_t plain[BLOB_PLAIN_MAX_BYTES + 1];
    AUTO(buf_clear) struct buf b = BUF_INIT(2 * BLOB_MAX_BYTES);
    AUTO(buf_clear) struct buf small = BUF_INIT(BLOB_OVERHEAD_BYTES + 7);
    struct blob parts = { .material = 7 };

    assert_int_equal(blob_seal(cx, SPAN_LIT(ID), 1, KEY, SPAN_EMPTY, SPAN_ARRAY(plain), &b),
                     ERR_INTERNAL);
    assert_int_equal(blob_seal(cx, SPAN_LIT(ID), 1, KEY, SPAN_EMPTY, SPAN_EMPTY, &b), ERR_INTERNAL);
    assert_int_equal(blob_seal(cx, SPAN_LIT("id"), 1, KEY, SPAN_EMPTY, SPAN_LIT("x"), &b),
                     ERR_INTERNAL);
    assert_int_equal(b.len, 0);
    assert_int_equal(blob_seal(cx, SPAN_LIT(ID), 1, KEY, SPAN_EMPTY, SPAN_LIT("data key"), &small),
                     ERR_LIMIT);
    assert_int_equal(small.len, 0);
    seal(span_of(plain, BLOB_PLAIN_MAX_BYTES), SPAN_EMPTY, &b);
    assert_in_range(b.len, 1, BLOB_MAX_BYTES);
    assert_int_equal(buf_append_byte(&b, 0), ERR_OK);
    assert_int_equal(blob_parse(buf_view(&b), &parts), ERR_MALFORMED);
    assert_int_equal(parts.material, 7);
}

/* A blob of the real KMS is none of ours, though it begins alike. */
static void foreign(void **state)
{
    (void)state;
    uint8_t real[180] = { 0x01, 0x02, 0x03, 0x00, 0x78 };
    struct blob parts;

    assert_int_equal(blob_parse(SPAN_ARRAY(real), &parts), ERR_MALFORMED);
}

static int setup(void **state)
{
    (void)state;
    return crypto_process_init() == ERR_OK && crypto_new(&cx) == ERR_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    crypto_free(cx);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shape),
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(other_key_or_context),
        cmocka_unit_test(damaged),
        cmocka_unit_test(limits),
        cmocka_unit_test(foreign),
    };

    return cmocka_run_group_tests_name("blob", tests, setup, teardown);
}
