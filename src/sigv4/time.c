#include "sigv4/sigv4.h"

enum { SECONDS_PER_DAY = 86400, DAYS_PER_ERA = 146097, YEARS_PER_ERA = 400 };

/* Days before 1970-01-01 since 0000-03-01, where the proleptic Gregorian calendar's eras start. */
enum { DAYS_TO_EPOCH = 719468 };

static const int64_t time_min = -62167219200; /* 0000-01-01T00:00:00Z */
static const int64_t time_max = 253402300799; /* 9999-12-31T23:59:59Z */

struct civil {
    unsigned year, month, day;
};

/* Years counted from March, so that the leap day is a year's last. `days` since 0000-01-01 or
 * later. */
static struct civil civil_of_days(int64_t days)
{
    int64_t z = days + DAYS_TO_EPOCH;
    int64_t era = (z >= 0 ? z : z - DAYS_PER_ERA + 1) / DAYS_PER_ERA;
    int64_t in_era = z - era * DAYS_PER_ERA;
    int64_t y = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
    int64_t in_year = in_era - (365 * y + y / 4 - y / 100);
    int64_t m = (5 * in_year + 2) / 153;

    return (struct civil){
        .year = (unsigned)(y + era * YEARS_PER_ERA + (m >= 10)),
        .month = (unsigned)(m < 10 ? m + 3 : m - 9),
        .day = (unsigned)(in_year - (153 * m + 2) / 5 + 1),
    };
}

static int64_t days_of_civil(struct civil c)
{
    int64_t y = (int64_t)c.year - (c.month <= 2);
    int64_t era = (y >= 0 ? y : y - YEARS_PER_ERA + 1) / YEARS_PER_ERA;
    int64_t in_era = y - era * YEARS_PER_ERA;
    int64_t m = c.month > 2 ? c.month - 3 : c.month + 9;
    int64_t in_year = (153 * m + 2) / 5 + (int64_t)c.day - 1;

    return era * DAYS_PER_ERA + in_era * 365 + in_era / 4 - in_era / 100 + in_year - DAYS_TO_EPOCH;
}

static void put_number(char *at, size_t width, unsigned v)
{
    for (size_t i = width; i > 0; i--, v /= 10)
        at[i - 1] = (char)('0' + v % 10);
}

void sigv4_time_write(int64_t unix_s, char out[static SIGV4_TIME_BYTES + 1])
{
    int64_t t = unix_s < time_min ? time_min : unix_s > time_max ? time_max : unix_s;
    int64_t days = (t - time_min) / SECONDS_PER_DAY + time_min / SECONDS_PER_DAY;
    unsigned s = (unsigned)(t - days * SECONDS_PER_DAY);
    struct civil c = civil_of_days(days);

    memcpy(out, "YYYYMMDDTHHMMSSZ", SIGV4_TIME_BYTES + 1);
    put_number(out, 4, c.year);
    put_number(out + 4, 2, c.month);
    put_number(out + 6, 2, c.day);
    put_number(out + 9, 2, s / 3600);
    put_number(out + 11, 2, s / 60 % 60);
    put_number(out + 13, 2, s % 60);
}

static bool number_at(struct span text, size_t at, size_t width, unsigned *out)
{
    uint64_t v;

    if (span_to_u64(span_sub(text, at, width), UINT16_MAX, &v) != ERR_OK)
        return false;
    *out = (unsigned)v;
    return true;
}

enum err sigv4_time_parse(struct span text, int64_t *unix_s)
{
    struct civil c;
    unsigned h, m, s;

    if (text.len != SIGV4_TIME_BYTES || text.ptr[8] != 'T' || text.ptr[15] != 'Z' ||
        !number_at(text, 0, 4, &c.year) || !number_at(text, 4, 2, &c.month) ||
        !number_at(text, 6, 2, &c.day) || !number_at(text, 9, 2, &h) ||
        !number_at(text, 11, 2, &m) || !number_at(text, 13, 2, &s))
        return ERR_MALFORMED;
    if (c.month < 1 || c.month > 12 || h > 23 || m > 59 || s > 59)
        return ERR_MALFORMED;
    struct civil back = civil_of_days(days_of_civil(c));
    if (back.month != c.month || back.day != c.day) /* no such day in that month */
        return ERR_MALFORMED;
    *unix_s = days_of_civil(c) * SECONDS_PER_DAY + (int64_t)(h * 3600 + m * 60 + s);
    return ERR_OK;
}
