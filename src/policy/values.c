#include "policy/values.h"

#include "base/calendar.h"

enum {
    WHOLE_DIGITS_MAX = 15,
    NANO_DIGITS = 9,
    MINUTE_S = 60,
    HOUR_S = 3600,
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
        *whole_day = take(s, '-');
        if (*whole_day && !take_field(s, 2, 1, 31, &day))
            return false;
    }
    const struct date d = { (unsigned)year, (unsigned)month, (unsigned)day };
    if (!date_is_real(d))
        return false;
    *days = date_to_days(d);
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
    *out = (struct quantity){ .whole = days * CALENDAR_DAY_S + seconds, .nano = nano };
    return ERR_OK;
}
