/* test_quota.c - how many calls pass in a stretch of time. */
#include "localkms/quota.h"
#include "testing/t.h"

#define T0 INT64_C(1700000000000)

static unsigned passed(struct quota *q, int64_t from_ms, int64_t to_ms, unsigned each_ms)
{
    unsigned n = 0;

    for (int64_t t = from_ms; t < to_ms; t++)
        for (unsigned i = 0; i < each_ms; i++)
            n += quota_take(q, t);
    return n;
}

static void nothing_is_limited(void **state)
{
    (void)state;
    struct quota q = quota_init(0, T0);

    assert_int_equal(passed(&q, T0, T0 + 100, 100), 10000);
}

static void a_burst_and_no_more(void **state)
{
    (void)state;
    struct quota q = quota_init(50, T0);

    for (unsigned i = 0; i < 50; i++)
        assert_true(quota_take(&q, T0));
    assert_false(quota_take(&q, T0));
    assert_false(quota_take(&q, T0 + 19));
    assert_true(quota_take(&q, T0 + 20)); /* a fiftieth of a second later */
    assert_false(quota_take(&q, T0 + 20));
}

static void the_rate_holds(void **state)
{
    (void)state;
    struct quota q = quota_init(200, T0);

    assert_int_equal(passed(&q, T0, T0 + 1000, 3), 200 + 199);
    assert_int_equal(passed(&q, T0 + 1000, T0 + 11000, 3), 2000);
}

static void rest_is_not_hoarded(void **state)
{
    (void)state;
    struct quota q = quota_init(10, T0);

    assert_int_equal(passed(&q, T0, T0 + 1, 100), 10);
    assert_int_equal(passed(&q, T0 + 3600000, T0 + 3600001, 100), 10);
}

static void a_clock_that_steps_back_gives_nothing(void **state)
{
    (void)state;
    struct quota q = quota_init(10, T0);

    assert_int_equal(passed(&q, T0, T0 + 1, 100), 10);
    assert_false(quota_take(&q, T0 - 5000));
    assert_false(quota_take(&q, T0 - 4901));
    assert_true(quota_take(&q, T0 - 4900));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_limited),
        cmocka_unit_test(a_burst_and_no_more),
        cmocka_unit_test(the_rate_holds),
        cmocka_unit_test(rest_is_not_hoarded),
        cmocka_unit_test(a_clock_that_steps_back_gives_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
