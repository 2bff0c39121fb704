#include "base/hex.h"

#include <stdio.h>

#include "testing/t.h"

static void writes(void **state)
{
    (void)state;
    static const uint8_t bytes[] = { 0x00, 0x9a, 0xff };
    AUTO(buf_clear) struct buf b = BUF_INIT(7), small = BUF_INIT(5);
    char text[7];

    hex_write(SPAN_ARRAY(bytes), text);
    assert_string_equal(text, "009aff");
    assert_int_equal(hex_append(&b, SPAN_ARRAY(bytes)), ERR_OK);
    t_assert_buf(&b, "009aff");
    assert_int_equal(hex_append(&small, SPAN_ARRAY(bytes)), ERR_LIMIT);
    assert_int_equal(small.len, 0);
    assert_int_equal(hex_append(&small, (struct span){ NULL, SIZE_MAX }), ERR_LIMIT);
}

static void every_byte_both_cases(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 256; i++) {
        AUTO(buf_clear) struct buf b = BUF_INIT(2);
        char lower[3], upper[3];
        (void)snprintf(lower, sizeof lower, "%02x", i);
        (void)snprintf(upper, sizeof upper, "%02X", i);
        assert_int_equal(hex_parse(span_str(lower), &b), ERR_OK);
        assert_int_equal(hex_parse(span_str(upper), &b), ERR_OK);
        assert_int_equal(b.ptr[0], i);
        assert_int_equal(b.ptr[1], i);
    }
}

static void refuses(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf b = BUF_INIT(8);

    assert_int_equal(buf_append_str(&b, "x"), ERR_OK);
    for (unsigned c = 0; c < 256; c++) {
        bool digit = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
        uint8_t text[4] = { 'a', 'a', 'a', (uint8_t)c };
        if (digit)
            continue;
        assert_int_equal(hex_parse(SPAN_ARRAY(text), &b), ERR_MALFORMED);
        t_assert_buf(&b, "x");
    }
    assert_int_equal(hex_parse(SPAN_LIT("abc"), &b), ERR_MALFORMED);
    assert_int_equal(hex_parse(SPAN_LIT("0000000000000000"), &b), ERR_LIMIT);
    assert_int_equal(hex_parse(SPAN_EMPTY, &b), ERR_OK);
    t_assert_buf(&b, "x");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes),
        cmocka_unit_test(every_byte_both_cases),
        cmocka_unit_test(refuses),
    };

    return cmocka_run_group_tests_name("hex", tests, NULL, NULL);
}
