#include "base/percent.h"

bool percent_is_unreserved(uint8_t c)
{
    uint8_t lower = c | 0x20;

    return (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
           c == '_' || c == '~';
}

enum err percent_append(struct buf *out, struct span s)
{
    enum err r = ERR_OK;

    for (size_t i = 0; i < s.len && r == ERR_OK; i++)
        r = percent_is_unreserved(s.ptr[i]) ? buf_append_byte(out, s.ptr[i])
                                            : buf_printf(out, "%%%02X", (unsigned)s.ptr[i]);
    return r;
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int percent_next(struct span *s)
{
    int c = s->ptr[0], hi, lo;

    *s = span_from(*s, 1);
    if (c != '%')
        return c;
    if (s->len < 2)
        return -1;
    hi = hex_digit(s->ptr[0]);
    lo = hex_digit(s->ptr[1]);
    *s = span_from(*s, 2);
    return hi < 0 || lo < 0 ? -1 : hi << 4 | lo;
}
