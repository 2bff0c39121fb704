#include "api/percent.h"

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
