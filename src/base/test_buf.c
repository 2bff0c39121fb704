#include "base/buf.h"
#include "testing/t.h"

static void grows_to_its_maximum(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf b = BUF_INIT(100);
    uint8_t *p = NULL;

    for (int i = 0; i < 100; i++)
        assert_int_equal(buf_append_byte(&b, (uint8_t)i), ERR_OK);
    assert_int_equal(buf_append_byte(&b, 0), ERR_LIMIT);
    assert_int_equal(buf_reserve(&b, 1, &p), ERR_LIMIT);
    assert_null(p);
    assert_int_equal(buf_reserve(&b, SIZE_MAX, &p), ERR_LIMIT);
    assert_int_equal(b.len, 100);
    assert_true(b.cap <= 100);
    for (int i = 0; i < 100; i++)
        assert_int_equal(b.ptr[i], i);
    assert_int_equal(buf_append(&b, SPAN_EMPTY), ERR_OK);
}

/* Memory follows what is needed, not what is allowed. */
static void grows_as_needed(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf b = BUF_INIT(1 << 30);

    for (size_t i = 1; i <= 100000; i++) {
        assert_int_equal(buf_append_byte(&b, (uint8_t)i), ERR_OK);
        assert_true(b.cap >= i && b.cap < 2 * i + 128);
    }
}

static void zero_value_takes_nothing(void **state)
{
    (void)state;
    struct buf b = { 0 };

    assert_int_equal(buf_append(&b, SPAN_EMPTY), ERR_OK);
    assert_int_equal(buf_append_byte(&b, 1), ERR_LIMIT);
    assert_int_equal(buf_view(&b).len, 0);
    buf_consume(&b, 5);
    buf_truncate(&b, 0);
    buf_reset(&b);
    buf_clear(&b);
}

static void formats(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf b = BUF_INIT(16), exact = BUF_INIT(3);

    assert_int_equal(buf_printf(&b, "%s %d", "answer", 42), ERR_OK);
    t_assert_buf(&b, "answer 42");
    assert_int_equal(buf_printf(&b, "%08d", 1), ERR_LIMIT); /* the text and its NUL: 18 */
    t_assert_buf(&b, "answer 42");
    assert_int_equal(buf_append_str(&exact, "abc"), ERR_OK);
    assert_null(buf_cstr(&exact)); /* no room for the NUL */
    assert_string_equal(buf_cstr(&b), "answer 42");
    assert_int_equal(b.len, 9);
}

static void writes_numbers(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf b = BUF_INIT(32), exact = BUF_INIT(20), small = BUF_INIT(2);

    assert_int_equal(buf_append_uint(&b, 0), ERR_OK);
    assert_int_equal(buf_append_uint(&b, 9), ERR_OK);
    assert_int_equal(buf_append_uint(&b, 1000), ERR_OK);
    t_assert_buf(&b, "091000");
    assert_int_equal(buf_append_uint(&exact, UINT64_MAX), ERR_OK);
    t_assert_buf(&exact, "18446744073709551615");
    assert_int_equal(buf_append_uint(&small, 100), ERR_LIMIT);
    assert_int_equal(small.len, 0);
}

/* What is asked for at once has no room beyond it that would be wiped for nothing. */
static void first_block_fits(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf b = BUF_INIT(10000), few = BUF_INIT(10000);
    uint8_t *p;

    assert_int_equal(buf_reserve(&b, 5001, &p), ERR_OK);
    assert_int_equal(b.cap, 5001);
    assert_int_equal(buf_append_byte(&few, 1), ERR_OK);
    assert_in_range(few.cap, 2, 64);
}

static void wipes_what_it_leaves(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf b = BUF_INIT(64);
    static const uint8_t zeros[64];

    assert_int_equal(buf_append_str(&b, "0123456789"), ERR_OK);
    buf_consume(&b, 4);
    t_assert_buf(&b, "456789");
    assert_memory_equal(b.ptr + 6, zeros, 4);
    buf_truncate(&b, 3);
    t_assert_buf(&b, "456");
    assert_memory_equal(b.ptr + 3, zeros, 7);
    buf_truncate(&b, 9); /* more than there is: nothing */
    t_assert_buf(&b, "456");
    buf_reset(&b);
    assert_int_equal(b.len, 0);
    assert_memory_equal(b.ptr, zeros, 10);
    assert_int_equal(buf_append_str(&b, "again"), ERR_OK);
    buf_consume(&b, 99);
    assert_int_equal(b.len, 0);
    buf_clear(&b);
    assert_null(b.ptr);
    assert_int_equal(b.max, 64);
}

/* Of what anybody may read nothing is wiped, until it is cleared: then it is a buf like others. */
static void leaves_what_is_public(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf b = BUF_INIT(64);

    b.is_public = true;
    assert_int_equal(buf_append_str(&b, "0123456789"), ERR_OK);
    buf_truncate(&b, 3);
    t_assert_buf(&b, "012");
    assert_memory_equal(b.ptr + 3, "3456789", 7);
    buf_reset(&b);
    assert_memory_equal(b.ptr, "0123456789", 10);
    assert_int_equal(buf_append_str(&b, "again"), ERR_OK);
    AUTO(buf_clear) struct buf taken = buf_take(&b);
    assert_true(taken.is_public);
    assert_false(b.is_public);
    buf_clear(&taken);
    assert_false(taken.is_public);
    assert_int_equal(taken.max, 64);
}

static void hands_over(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf a = BUF_INIT(8);

    assert_int_equal(buf_append_str(&a, "abc"), ERR_OK);
    AUTO(buf_clear) struct buf b = buf_take(&a);
    t_assert_buf(&b, "abc");
    assert_null(a.ptr);
    assert_int_equal(a.max, 8);
    assert_int_equal(buf_append_str(&a, "new"), ERR_OK);
    t_assert_buf(&a, "new");
}

static void reserve_then_commit(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf b = BUF_INIT(10);
    uint8_t *p;

    assert_int_equal(buf_reserve(&b, 10, &p), ERR_OK);
    memcpy(p, "abcdef", 6);
    assert_int_equal(b.len, 0);
    buf_commit(&b, 3);
    t_assert_buf(&b, "abc");
    assert_int_equal(buf_reserve(&b, 0, &p), ERR_OK);
    assert_ptr_equal(p, b.ptr + 3);
}

/* Room is not handed out, and so not wiped either. */
static void makes_room(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf b = BUF_INIT(1000);
    uint8_t *p;

    assert_int_equal(buf_make_room(&b, 1001), ERR_LIMIT);
    assert_null(b.ptr);
    assert_int_equal(buf_make_room(&b, 1000), ERR_OK);
    assert_int_equal(b.cap, 1000);
    assert_int_equal(b.len + b.used, 0);
    assert_int_equal(buf_append_str(&b, "abc"), ERR_OK);
    assert_int_equal(b.used, 3);
    assert_int_equal(buf_make_room(&b, 998), ERR_LIMIT);
    assert_int_equal(buf_make_room(&b, 997), ERR_OK);
    assert_int_equal(buf_reserve(&b, 10, &p), ERR_OK);
    assert_int_equal(b.used, 13); /* may be written to without a word */
    buf_commit(&b, 2);
    buf_truncate(&b, 1);
    assert_int_equal(b.used, 13);
    uint8_t *block = b.ptr;
    b.max = 5000;
    assert_int_equal(buf_make_room(&b, 2000), ERR_OK);
    assert_ptr_not_equal(b.ptr, block);
    t_assert_buf(&b, "a");
    assert_int_equal(b.used, 1);
    struct buf taken = buf_take(&b);
    assert_int_equal(taken.used, 1);
    assert_int_equal(b.used, 0);
    buf_clear(&taken);
    assert_int_equal(taken.used, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grows_to_its_maximum),
        cmocka_unit_test(zero_value_takes_nothing),
        cmocka_unit_test(formats),
        cmocka_unit_test(writes_numbers),
        cmocka_unit_test(first_block_fits),
        cmocka_unit_test(wipes_what_it_leaves),
        cmocka_unit_test(leaves_what_is_public),
        cmocka_unit_test(hands_over),
        cmocka_unit_test(reserve_then_commit),
        cmocka_unit_test(grows_as_needed),
        cmocka_unit_test(makes_room),
    };

    return cmocka_run_group_tests_name("buf", tests, NULL, NULL);
}
