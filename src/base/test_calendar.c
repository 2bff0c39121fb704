/* Every day of ten thousand years, beside a calendar that counts on from day to day. */
#include "base/calendar.h"
#include "testing/t.h"

#include <limits.h>

static unsigned length_of(unsigned year, unsigned month)
{
    switch (month) {
    case 4:
    case 6:
    case 9:
    case 11:
        return 30;
    case 2:
        return year % 400 == 0 || (year % 4 == 0 && year % 100 != 0) ? 29 : 28;
    default:
        return 31;
    }
}

static void every_day(void **state)
{
    int64_t days = -719528; /* from 0000-01-01 to 1970-01-01 */
    unsigned faults = 0;
    (void)state;

    for (unsigned y = 0; y <= 9999; y++)
        for (unsigned m = 1; m <= 12; m++)
            for (unsigned d = 1; d <= length_of(y, m); d++, days++) {
                const struct date want = { y, m, d };
                struct date got = date_of_days(days);
                faults += !date_is_real(want) || date_to_days(want) != days || got.year != y ||
                          got.month != m || got.day != d;
            }
    assert_int_equal(faults, 0);
    assert_int_equal(days, 2932897); /* 10000-01-01 */
    assert_int_equal(date_to_days((struct date){ 1970, 1, 1 }), 0);
}

static void no_such_day(void **state)
{
    (void)state;
    for (unsigned y = 0; y <= 9999; y++)
        for (unsigned m = 1; m <= 12; m++) {
            assert_false(date_is_real((struct date){ y, m, 0 }));
            assert_false(date_is_real((struct date){ y, m, length_of(y, m) + 1 }));
        }
    assert_false(date_is_real((struct date){ 2026, 0, 1 }));
    assert_false(date_is_real((struct date){ 2026, 13, 1 }));
    assert_false(date_is_real((struct date){ 10000, 1, 1 }));
    assert_false(date_is_real((struct date){ UINT_MAX, UINT_MAX, UINT_MAX }));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_day),
        cmocka_unit_test(no_such_day),
    };
    return cmocka_run_group_tests_name("calendar", tests, NULL, NULL);
}
