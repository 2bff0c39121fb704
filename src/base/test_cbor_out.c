#include "testing/t.h"
#include "base/cbor.h"

static void assert_hex(const struct buf *b, const char *hex)
{
    struct span want = t_unhex(hex);

    t_assert_span(buf_view(b), want);
    t_free(want);
}

/* RFC 8949 appendix A, the values that the writer can make. */
static struct row {
    const char *name, *hex;
    int64_t v;
} int_rows[] = {
    { "0", "00", 0 },
    { "23", "17", 23 },
    { "24", "1818", 24 },
    { "255", "18ff", 255 },
    { "256", "190100", 256 },
    { "65535", "19ffff", 65535 },
    { "65536", "1a00010000", 65536 },
    { "1000000000000", "1b000000e8d4a51000", 1000000000000 },
    { "-1", "20", -1 },
    { "-24", "37", -24 },
    { "-25", "3818", -25 },
    { "-1000", "3903e7", -1000 },
    { "smallest", "3b7fffffffffffffff", INT64_MIN },
};

static void int_row(void **state)
{
    const struct row *row = *state;
    AUTO(buf_clear) struct buf b = BUF_INIT(16);
    struct cbor_out w = cbor_out_init(&b);

    cbor_out_int(&w, row->v);
    assert_int_equal(cbor_out_end(&w), ERR_OK);
    assert_hex(&b, row->hex);
    struct cbor_in c = cbor_in_init(buf_view(&b));
    assert_true(cbor_in_int(&c) == row->v);
    assert_int_equal(cbor_in_end(&c), ERR_OK);
}

static void all_kinds(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf b = BUF_INIT(64);
    struct cbor_out w = cbor_out_init(&b);

    cbor_out_tag(&w, 18);
    cbor_out_array(&w, 3);
    cbor_out_map(&w, 2);
    cbor_out_tstr(&w, SPAN_LIT("k"));
    cbor_out_bool(&w, true);
    cbor_out_bstr(&w, SPAN_LIT("v"));
    cbor_out_null(&w);
    cbor_out_map_begin(&w);
    cbor_out_uint(&w, UINT64_MAX);
    cbor_out_bool(&w, false);
    cbor_out_map_end(&w);
    cbor_out_bstr_head(&w, 2);
    assert_int_equal(buf_append_str(&b, "ab"), ERR_OK);
    assert_int_equal(cbor_out_end(&w), ERR_OK);
    assert_hex(&b, "d2 83 a2 616b f5 4176 f6 bf 1bffffffffffffffff f4 ff 42 6162");
}

static void full_buffer_is_sticky(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf b = BUF_INIT(3);
    struct cbor_out w = cbor_out_init(&b);

    cbor_out_bstr(&w, SPAN_LIT("abc")); /* the head fits, the bytes do not */
    cbor_out_null(&w);                  /* would fit, but comes too late */
    assert_int_equal(cbor_out_end(&w), ERR_LIMIT);
    assert_int_equal(b.len, 1);
}

enum { FIXED = 2, ROWS = sizeof int_rows / sizeof int_rows[0] };

int main(void)
{
    struct CMUnitTest tests[FIXED + ROWS] = {
        cmocka_unit_test(all_kinds),
        cmocka_unit_test(full_buffer_is_sticky),
    };

    T_ROWS(tests + FIXED, int_rows, int_row);
    return cmocka_run_group_tests_name("cbor_out", tests, NULL, NULL);
}
