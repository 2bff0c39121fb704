#include "sigv4/sigv4.h"

#include "base/calendar.h"
#include "base/rfc3339.h"

/* RFC 3339 without its punctuation. */
void sigv4_time_write(int64_t unix_s, char out[static SIGV4_TIME_BYTES + 1])
{
    char text[RFC3339_BYTES];
    size_t n = 0;

    rfc3339_write(unix_s, text);
    for (size_t i = 0; i < RFC3339_BYTES; i++)
        if (text[i] != '-' && text[i] != ':')
            out[n++] = text[i];
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
    struct date d;
    unsigned h, m, s;

    if (text.len != SIGV4_TIME_BYTES || text.ptr[8] != 'T' || text.ptr[15] != 'Z' ||
        !number_at(text, 0, 4, &d.year) || !number_at(text, 4, 2, &d.month) ||
        !number_at(text, 6, 2, &d.day) || !number_at(text, 9, 2, &h) ||
        !number_at(text, 11, 2, &m) || !number_at(text, 13, 2, &s))
        return ERR_MALFORMED;
    if (!date_is_real(d) || h > 23 || m > 59 || s > 59)
        return ERR_MALFORMED;
    *unix_s = date_to_days(d) * CALENDAR_DAY_S + (int64_t)(h * 3600 + m * 60 + s);
    return ERR_OK;
}
