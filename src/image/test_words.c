#include "image/words.h"

#include "testing/t.h"

static void lines(void **state)
{
    AUTO(buf_clear) struct buf b = BUF_INIT(12);
    const char *what = NULL;

    (void)state;
    assert_int_equal(words_add(&b, SPAN_LIT("one"), &what), ERR_OK);
    assert_int_equal(words_add(&b, SPAN_LIT(""), &what), ERR_OK);
    assert_int_equal(words_add(&b, SPAN_LIT("a b"), &what), ERR_OK);
    t_assert_buf(&b, "one\n\na b\n");
    t_assert_span(words_at(&b, 0), SPAN_LIT("one"));
    assert_non_null(words_at(&b, 1).ptr);
    assert_int_equal(words_at(&b, 1).len, 0);
    t_assert_span(words_at(&b, 2), SPAN_LIT("a b"));
    assert_null(words_at(&b, 3).ptr);
    assert_int_equal(words_add(&b, SPAN_LIT("a\nb"), &what), ERR_MALFORMED);
    assert_int_equal(words_add(&b, SPAN_LIT("a\0b"), &what), ERR_MALFORMED);
    assert_int_equal(words_add(&b, SPAN_LIT("abc"), &what), ERR_LIMIT);
    t_assert_buf(&b, "one\n\na b\n");
    assert_int_equal(words_add(&b, SPAN_LIT("ab"), &what), ERR_OK);
}

static void assignments(void **state)
{
    AUTO(buf_clear) struct buf b = BUF_INIT(30);
    const char *what = NULL;

    (void)state;
    assert_int_equal(words_set(&b, SPAN_LIT("A=1"), &what), ERR_OK);
    assert_int_equal(words_set(&b, SPAN_LIT("AB=2=3"), &what), ERR_OK);
    assert_int_equal(words_set(&b, SPAN_LIT("C="), &what), ERR_OK);
    t_assert_span(words_get(&b, "AB"), SPAN_LIT("2=3"));
    assert_non_null(words_get(&b, "C").ptr);
    assert_null(words_get(&b, "D").ptr);
    assert_int_equal(words_set(&b, SPAN_LIT("A=long"), &what), ERR_OK);
    t_assert_buf(&b, "A=long\nAB=2=3\nC=\n");
    assert_int_equal(words_set(&b, SPAN_LIT("AB"), &what), ERR_MALFORMED);
    assert_string_equal(what, "not NAME=VALUE");
    assert_int_equal(words_set(&b, SPAN_LIT("=1"), &what), ERR_MALFORMED);
    assert_int_equal(words_set(&b, SPAN_LIT("A=1\n2"), &what), ERR_MALFORMED);
    assert_int_equal(words_set(&b, SPAN_LIT("A=123456789012345678"), &what), ERR_LIMIT);
    t_assert_buf(&b, "A=long\nAB=2=3\nC=\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(lines), cmocka_unit_test(assignments) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
