#include "base/calendar.h"

/* Years are counted from March here, so that the leap day is a year's last, and eras of 400 years
 * begin with the one of 0000-03-01. */
enum { DAYS_PER_ERA = 146097, YEARS_PER_ERA = 400, DAYS_TO_1970 = 719468 };

bool date_is_real(struct date d)
{
    static const uint8_t days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool is_leap = (d.year % 4 == 0 && d.year % 100 != 0) || d.year % 400 == 0;

    return d.year <= 9999 && d.month >= 1 && d.month <= 12 && d.day >= 1 &&
           d.day <= days[d.month - 1] + (unsigned)(d.month == 2 && is_leap);
}

int64_t date_to_days(struct date d)
{
    int64_t y = (int64_t)d.year - (d.month <= 2);
    int64_t era = (y >= 0 ? y : y - YEARS_PER_ERA + 1) / YEARS_PER_ERA;
    int64_t in_era = y - era * YEARS_PER_ERA;
    int64_t m = d.month > 2 ? d.month - 3 : d.month + 9;
    int64_t in_year = (153 * m + 2) / 5 + (int64_t)d.day - 1;

    return era * DAYS_PER_ERA + in_era * 365 + in_era / 4 - in_era / 100 + in_year - DAYS_TO_1970;
}

struct date date_of_days(int64_t days)
{
    int64_t z = days + DAYS_TO_1970;
    int64_t era = (z >= 0 ? z : z - DAYS_PER_ERA + 1) / DAYS_PER_ERA;
    int64_t in_era = z - era * DAYS_PER_ERA;
    int64_t y = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
    int64_t in_year = in_era - (365 * y + y / 4 - y / 100);
    int64_t m = (5 * in_year + 2) / 153;

    return (struct date){
        .year = (unsigned)(y + era * YEARS_PER_ERA + (m >= 10)),
        .month = (unsigned)(m < 10 ? m + 3 : m - 9),
        .day = (unsigned)(in_year - (153 * m + 2) / 5 + 1),
    };
}
