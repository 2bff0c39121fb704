#include "testing/t.h"
#include "base/percent.h"

/* Every byte there and back, and which of them stand as they are. */
static void every_byte(void **state)
{
    (void)state;
    const char *plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";

    for (unsigned c = 0; c < 256; c++) {
        AUTO(buf_clear) struct buf out = BUF_INIT(8);
        const uint8_t byte = (uint8_t)c;
        bool stands = c != 0 && strchr(plain, (int)c);
        assert_int_equal(percent_is_unreserved(byte), stands);
        assert_int_equal(percent_append(&out, span_of(&byte, 1)), ERR_OK);
        assert_int_equal(out.len, stands ? 1 : 3);
        struct span rest = buf_view(&out);
        assert_int_equal(percent_next(&rest), c);
        assert_int_equal(rest.len, 0);
    }
}

static void faults(void **state)
{
    (void)state;
    static const char *const bad[] = { "%", "%4", "%zz", "%4g", "%g4" };
    AUTO(buf_clear) struct buf small = BUF_INIT(2);
    struct span plus = SPAN_LIT("+"), lower = SPAN_LIT("%c3x");

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct span s = t_copy(span_str(bad[i])), rest = s;
        assert_int_equal(percent_next(&rest), -1);
        t_free(s);
    }
    assert_int_equal(percent_next(&plus), '+');
    assert_int_equal(percent_next(&lower), 0xc3);
    assert_int_equal(lower.len, 1);
    assert_int_equal(percent_append(&small, SPAN_LIT(" ")), ERR_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte),
        cmocka_unit_test(faults),
    };

    return cmocka_run_group_tests_name("percent", tests, NULL, NULL);
}
