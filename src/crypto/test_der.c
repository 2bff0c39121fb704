/* The DER cursor: each rule of X.690 that it keeps has an input that breaks it. */
#include "crypto/der.h"

#include "testing/t.h"

enum what { SEQ, UINT, BITS };

struct row {
    const char *name, *hex;
    enum what take;
    const char *want; /* hex, or NULL: a fault */
};

static struct row rows[] = {
    { "short length", "3003010203", SEQ, "010203" },
    { "empty content", "3000", SEQ, "" },
    { "another tag", "3103010203", SEQ, NULL },
    { "no bytes", "", SEQ, NULL },
    { "only a tag", "30", SEQ, NULL },
    { "content cut", "30030102", SEQ, NULL },
    { "trailing byte", "300000", SEQ, NULL },
    { "indefinite length", "30800000", SEQ, NULL },
    { "long length where short would do", "30810101", SEQ, NULL },
    { "zero in front of the length", "3082000101", SEQ, NULL },
    { "length of four bytes", "308400000001aa", SEQ, NULL },
    { "length cut", "308201", SEQ, NULL },
    { "reserved length 255", "30ff", SEQ, NULL },
    { "integer", "020141", UINT, "41" },
    { "integer with the sign byte", "02020080", UINT, "80" },
    { "integer zero", "020100", UINT, "" },

    { "integer at the limit", "020400ffffff", UINT, "ffffff" },
    { "integer one past the limit", "020441ffffff", UINT, NULL },
    { "integer negative", "0201ff", UINT, NULL },
    { "integer without content", "0200", UINT, NULL },
    { "integer not the shortest", "02020041", UINT, NULL },
    { "bit string", "0302004a", BITS, "4a" },
    { "bit string with unused bits", "0302014a", BITS, NULL },
    { "bit string without content", "0300", BITS, NULL },
};

static void take(void **state)
{
    const struct row *row = *state;
    struct span in = t_unhex(row->hex), want = t_unhex(row->want ? row->want : "");
    struct der d = der_init(in);
    struct span got = row->take == SEQ    ? der_take(&d, DER_SEQUENCE)
                      : row->take == UINT ? der_take_uint(&d, 3)
                                          : der_take_bits(&d);

    assert_int_equal(der_end(&d), row->want != NULL);
    if (row->want)
        t_assert_span(got, want);
    t_free(in);
    t_free(want);
}

/* 128 and 256 bytes: the first lengths of two and three bytes. */
static void long_lengths(void **state)
{
    (void)state;
    uint8_t in[4 + 256] = { 0x30, 0x81, 0x80 };
    struct der d = der_init(span_of(in, 3 + 128));

    assert_int_equal(der_take(&d, DER_SEQUENCE).len, 128);
    assert_true(der_end(&d));
    memcpy(in, "\x30\x82\x01\x00", 4);
    d = der_init(SPAN_ARRAY(in));
    assert_int_equal(der_take_whole(&d, DER_SEQUENCE).len, sizeof in);
    assert_true(der_end(&d));
}

static void a_fault_sticks(void **state)
{
    (void)state;
    struct der d = der_init(SPAN_LIT("\x02\x01\x41\x30\x00"));

    assert_true(der_peek(&d, DER_INTEGER));
    assert_int_equal(der_take(&d, DER_SEQUENCE).len, 0);
    assert_false(der_peek(&d, DER_INTEGER));
    assert_int_equal(der_take(&d, DER_INTEGER).len, 0);
    assert_false(der_end(&d));
}

int main(void)
{
    enum { ROWS = sizeof rows / sizeof rows[0] };
    struct CMUnitTest tests[ROWS + 2];

    T_ROWS(tests, rows, take);
    tests[ROWS] = (struct CMUnitTest)cmocka_unit_test(long_lengths);
    tests[ROWS + 1] = (struct CMUnitTest)cmocka_unit_test(a_fault_sticks);
    return cmocka_run_group_tests_name("der", tests, NULL, NULL);
}
