#include "policy/values.h"

#include <stdio.h>

enum {
    WHOLE_DIGITS_MAX = 15,
    NANO_DIGITS = 9,
    MINUTE_S = 60,
    HOUR_S = 3600,
    DAY_S = 86400,
    NANO = 1000000000,
};

int quantity_compare(struct quantity a, struct quantity b)
{
    if (a.whole != b.whole)
        return a.whole < b.whole ? -1 : 1;
    return a.nano == b.nano ? 0 : a.nano < b.nano ? -1 : 1;
}

/* Digits at the front of `*s`, at least one and at most `max`; their value. */
static bool take_digits(struct span *s, size_t max, uint64_t *out)
{
    size_t n = 0;

    *out = 0;
    for (; n < s->len && s->ptr[n] >= '0' && s->ptr[n] <= '9'; n++) {
        if (n == max)
            return false;
        *out = *out * 10 + (uint64_t)(s->ptr[n] - '0');
    }
    *s = span_from(*s, n);
    return n > 0;
}

static bool take(struct span *s, uint8_t c)
{
    if (s->len == 0 || s->ptr[0] != c)
        return false;
    *s = span_from(*s, 1);
    return true;
}

/* ".f", if it is there, as billionths. */
static bool take_fraction(struct span *s, uint32_t *nano)
{
    uint64_t value;

    *nano = 0;
    if (!take(s, '.'))
        return true;
    size_t before = s->len;
    if (!take_digits(s, NANO_DIGITS, &value))
        return false;
    for (size_t digits = before - s->len; digits < NANO_DIGITS; digits++)
        value *= 10;
    *nano = (uint32_t)value;
    return true;
}

enum err quantity_parse(struct span text, struct quantity *out)
{
    struct span s = text;
    uint64_t whole;
    uint32_t nano;
    bool negative = take(&s, '-');

    if (!negative)
        (void)take(&s, '+');
    if (!take_digits(&s, WHOLE_DIGITS_MAX, &whole) || !take_fraction(&s, &nano) || s.len != 0)
        return ERR_MALFORMED;
    *out = (struct quantity){ .whole = (int64_t)whole, .nano = nano };
    if (negative)
        *out = (struct quantity){ .whole = -(int64_t)whole - (nano > 0),
                                  .nano = nano ? (uint32_t)NANO - nano : 0 };
    return ERR_OK;
}

/* Exactly `n` digits from min to max. */
static bool take_field(struct span *s, size_t n, uint64_t min, uint64_t max, uint64_t *out)
{
    size_t before = s->len;

    return take_digits(s, n, out) && before - s->len == n && *out >= min && *out <= max;
}

static bool is_leap(uint64_t y)
{
    return (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
}

static uint64_t days_of_month(uint64_t year, uint64_t month)
{
    static const uint8_t days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

    return month == 2 && is_leap(year) ? 29 : days[month - 1];
}

static int64_t days_since_1970(uint64_t year, uint64_t month, uint64_t day)
{
    uint64_t before = year - 1; /* from 1 to 9998 */
    int64_t days = (int64_t)(before * 365 + before / 4 - before / 100 + before / 400);

    for (uint64_t m = 1; m < month; m++)
        days += (int64_t)days_of_month(year, m);
    return days + (int64_t)day - 1 - 719162; /* of 0001-01-01 to 1970-01-01 */
}

/* "Thh:mm[:ss[.f]]" and "Z" or an offset. */
static bool take_clock(struct span *s, int64_t *seconds, uint32_t *nano)
{
    uint64_t hour, minute, second = 0, zone_hour = 0, zone_minute = 0;

    if (!take_field(s, 2, 0, 23, &hour) || !take(s, ':') || !take_field(s, 2, 0, 59, &minute))
        return false;
    if (take(s, ':') && (!take_field(s, 2, 0, 60, &second) || !take_fraction(s, nano)))
        return false;
    *seconds = (int64_t)(hour * HOUR_S + minute * MINUTE_S + second);
    if (take(s, 'Z'))
        return true;
    bool west = take(s, '-');
    if (!west && !take(s, '+'))
        return false;
    if (!take_field(s, 2, 0, 23, &zone_hour) || !take(s, ':') ||
        !take_field(s, 2, 0, 59, &zone_minute))
        return false;
    int64_t ahead = (int64_t)(zone_hour * HOUR_S + zone_minute * MINUTE_S);
    *seconds += west ? ahead : -ahead;
    return true;
}

static bool take_calendar(struct span *s, int64_t *days, bool *whole_day)
{
    uint64_t year, month = 1, day = 1;

    *whole_day = false;
    if (!take_field(s, 4, 1, 9999, &year))
        return false;
    if (take(s, '-')) {
        if (!take_field(s, 2, 1, 12, &month))
            return false;
        if (take(s, '-')) {
            if (!take_field(s, 2, 1, days_of_month(year, month), &day))
                return false;
            *whole_day = true;
        }
    }
    *days = days_since_1970(year, month, day);
    return true;
}

enum err quantity_parse_time(struct span text, struct quantity *out)
{
    struct span s = text;
    int64_t days, seconds = 0;
    uint32_t nano = 0;
    bool whole_day;

    /* Four digits alone are a year. */
    if (text.len != 4 && quantity_parse(text, out) == ERR_OK)
        return ERR_OK;
    if (!take_calendar(&s, &days, &whole_day))
        return ERR_MALFORMED;
    if (whole_day && take(&s, 'T') && !take_clock(&s, &seconds, &nano))
        return ERR_MALFORMED;
    if (s.len != 0)
        return ERR_MALFORMED;
    *out = (struct quantity){ .whole = days * DAY_S + seconds, .nano = nano };
    return ERR_OK;
}

/* By counting: no library's clock, no time zone. */
void time_text(int64_t unix_s, char out[static TIME_TEXT_BYTES])
{
    uint64_t s = (uint64_t)unix_s, days = s / DAY_S, rest = s % DAY_S, year = 1970, month = 1;

    for (; days >= 365U + is_leap(year); year++)
        days -= 365U + is_leap(year);
    for (; days >= days_of_month(year, month); month++)
        days -= days_of_month(year, month);
    snprintf(out, TIME_TEXT_BYTES, "%04u-%02u-%02uT%02u:%02u:%02uZ", (unsigned)year,
             (unsigned)month, (unsigned)days + 1, (unsigned)(rest / HOUR_S),
             (unsigned)(rest / MINUTE_S % 60), (unsigned)(rest % MINUTE_S));
}
