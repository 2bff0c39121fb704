/* calendar.h - dates of the Gregorian calendar, also before there was one, and days since
 * 1970-01-01. */
#ifndef BASE_CALENDAR_H
#define BASE_CALENDAR_H

#include "base/span.h"

enum { CALENDAR_DAY_S = 86400 };

struct date {
    unsigned year, month, day; /* month and day from 1 */
};

/* Is there such a day, in the years 0 to 9999? */
bool date_is_real(struct date d);
/* Of a real date. */
int64_t date_to_days(struct date d);
/* Of the days of those years. */
struct date date_of_days(int64_t days);

#endif
