#include "base/rfc3339.h"

#include "base/calendar.h"

static enum err number(struct span s, size_t at, size_t n, unsigned max, unsigned *out)
{
    uint64_t v = 0;
    struct span part = span_sub(s, at, n);

    if (part.len != n || span_to_u64(part, max, &v) != ERR_OK)
        return ERR_MALFORMED;
    *out = (unsigned)v;
    return ERR_OK;
}

/* "Z" or "+hh:mm", as seconds east of Greenwich. */
static enum err offset_parse(struct span s, int64_t *east_s)
{
    unsigned h = 0, m = 0;

    if (span_is(s, "Z") || span_is(s, "z")) {
        *east_s = 0;
        return ERR_OK;
    }
    if (s.len != 6 || (s.ptr[0] != '+' && s.ptr[0] != '-') || s.ptr[3] != ':' ||
        number(s, 1, 2, 23, &h) != ERR_OK || number(s, 4, 2, 59, &m) != ERR_OK)
        return ERR_MALFORMED;
    *east_s = (s.ptr[0] == '-' ? -1 : 1) * (int64_t)(h * 3600 + m * 60);
    return ERR_OK;
}

enum err rfc3339_parse(struct span s, int64_t *unix_s)
{
    struct date d = { .year = 0 };
    unsigned h = 0, mi = 0, sec = 0;
    int64_t east = 0;
    size_t at = 19; /* after YYYY-MM-DDThh:mm:ss */

    if (s.len < at + 1 || s.ptr[4] != '-' || s.ptr[7] != '-' || (s.ptr[10] | 0x20) != 't' ||
        s.ptr[13] != ':' || s.ptr[16] != ':')
        return ERR_MALFORMED;
    if (number(s, 0, 4, 9999, &d.year) != ERR_OK || number(s, 5, 2, 12, &d.month) != ERR_OK ||
        number(s, 8, 2, 31, &d.day) != ERR_OK || number(s, 11, 2, 23, &h) != ERR_OK ||
        number(s, 14, 2, 59, &mi) != ERR_OK || number(s, 17, 2, 60, &sec) != ERR_OK)
        return ERR_MALFORMED;
    if (d.year == 0 || !date_is_real(d))
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
    *unix_s = date_to_days(d) * CALENDAR_DAY_S + (int64_t)(h * 3600 + mi * 60 + sec) - east;
    return ERR_OK;
}

enum err rfc3339_parse_plain(struct span s, int64_t *unix_s)
{
    char back[RFC3339_BYTES];
    int64_t got = 0;

    if (rfc3339_parse(s, &got) != ERR_OK)
        return ERR_MALFORMED;
    rfc3339_write(got, back);
    if (!span_is(s, back))
        return ERR_MALFORMED;
    *unix_s = got;
    return ERR_OK;
}

static void put(char *at, size_t width, unsigned v)
{
    for (size_t i = width; i > 0; i--, v /= 10)
        at[i - 1] = (char)('0' + v % 10);
}

void rfc3339_write(int64_t unix_s, char out[static RFC3339_BYTES])
{
    static const int64_t min_s = INT64_C(-62167219200), max_s = RFC3339_LAST_S;
    int64_t t = unix_s < min_s ? min_s : unix_s > max_s ? max_s : unix_s;
    int64_t days = (t - min_s) / CALENDAR_DAY_S + min_s / CALENDAR_DAY_S;
    unsigned s = (unsigned)(t - days * CALENDAR_DAY_S);
    struct date d = date_of_days(days);

    memcpy(out, "YYYY-MM-DDThh:mm:ssZ", RFC3339_BYTES);
    put(out, 4, d.year);
    put(out + 5, 2, d.month);
    put(out + 8, 2, d.day);
    put(out + 11, 2, s / 3600);
    put(out + 14, 2, s / 60 % 60);
    put(out + 17, 2, s % 60);
}

void rfc3339_write_ms(int64_t unix_ms, char out[static RFC3339_MS_BYTES])
{
    bool is_before = unix_ms % 1000 < 0;
    int64_t s = unix_ms / 1000 - is_before;

    rfc3339_write(s, out);
    memcpy(out + RFC3339_BYTES - 2, ".mmmZ", sizeof ".mmmZ");
    put(out + RFC3339_BYTES - 1, 3, (unsigned)(unix_ms % 1000 + 1000 * is_before));
}
