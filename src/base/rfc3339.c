#include "base/rfc3339.h"

#include <stdio.h>

static enum err number(struct span s, size_t at, size_t n, int64_t max, int64_t *out)
{
    uint64_t v = 0;
    struct span part = span_sub(s, at, n);

    if (part.len != n || span_to_u64(part, (uint64_t)max, &v) != ERR_OK)
        return ERR_MALFORMED;
    *out = (int64_t)v;
    return ERR_OK;
}

/* Days from 1970-01-01 (Gregorian, year 1 and later). */
static int64_t days_of(int64_t y, int64_t m, int64_t d)
{
    y -= m <= 2;
    int64_t era = y / 400, in_era = y - era * 400;
    int64_t in_year = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    return era * 146097 + in_era * 365 + in_era / 4 - in_era / 100 + in_year - 719468;
}

static int64_t days_in(int64_t y, int64_t m)
{
    static const uint8_t days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
    return m == 2 && leap ? 29 : days[m - 1];
}

/* "Z" or "+hh:mm", as seconds east of Greenwich. */
static enum err offset_parse(struct span s, int64_t *east_s)
{
    int64_t h = 0, m = 0;

    if (span_is(s, "Z") || span_is(s, "z")) {
        *east_s = 0;
        return ERR_OK;
    }
    if (s.len != 6 || (s.ptr[0] != '+' && s.ptr[0] != '-') || s.ptr[3] != ':' ||
        number(s, 1, 2, 23, &h) != ERR_OK || number(s, 4, 2, 59, &m) != ERR_OK)
        return ERR_MALFORMED;
    *east_s = (s.ptr[0] == '-' ? -1 : 1) * (h * 3600 + m * 60);
    return ERR_OK;
}

enum err rfc3339_parse(struct span s, int64_t *unix_s)
{
    int64_t y = 0, mo = 0, d = 0, h = 0, mi = 0, sec = 0, east = 0;
    size_t at = 19; /* after YYYY-MM-DDThh:mm:ss */

    if (s.len < at + 1 || s.ptr[4] != '-' || s.ptr[7] != '-' || (s.ptr[10] | 0x20) != 't' ||
        s.ptr[13] != ':' || s.ptr[16] != ':')
        return ERR_MALFORMED;
    if (number(s, 0, 4, 9999, &y) != ERR_OK || number(s, 5, 2, 12, &mo) != ERR_OK ||
        number(s, 8, 2, 31, &d) != ERR_OK || number(s, 11, 2, 23, &h) != ERR_OK ||
        number(s, 14, 2, 59, &mi) != ERR_OK || number(s, 17, 2, 60, &sec) != ERR_OK)
        return ERR_MALFORMED;
    if (y == 0 || mo == 0 || d == 0 || d > days_in(y, mo))
        return ERR_MALFORMED;
    if (s.ptr[at] == '.') {
        size_t digits = ++at;
        while (at < s.len && s.ptr[at] >= '0' && s.ptr[at] <= '9')
            at++;
        if (at == digits)
            return ERR_MALFORMED;
    }
    if (offset_parse(span_from(s, at), &east) != ERR_OK)
        return ERR_MALFORMED;
    *unix_s = days_of(y, mo, d) * 86400 + h * 3600 + mi * 60 + sec - east;
    return ERR_OK;
}

void rfc3339_write(int64_t unix_s, char out[static RFC3339_BYTES])
{
    static const int64_t end_s = INT64_C(253402300800); /* 10000-01-01T00:00:00Z */

    out[0] = 0;
    if (unix_s <= 0 || unix_s >= end_s)
        return;
    /* days_of() the other way round: years begin with March. */
    unsigned in_day = (unsigned)(unix_s % 86400), days = (unsigned)(unix_s / 86400) + 719468;
    unsigned era = days / 146097, in_era = days % 146097;
    unsigned year = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
    unsigned in_year = in_era - (365 * year + year / 4 - year / 100);
    unsigned m = (5 * in_year + 2) / 153, d = in_year - (153 * m + 2) / 5 + 1;
    m = m < 10 ? m + 3 : m - 9;
    snprintf(out, RFC3339_BYTES, "%04u-%02u-%02uT%02u:%02u:%02uZ",
             (year + era * 400 + (m <= 2)) % 10000, m % 100, d % 100, in_day / 3600,
             in_day / 60 % 60, in_day % 60);
}
