#include "crypto/der.h"

enum { LONG_FORM = 0x80, LENGTH_BYTES_MAX = 3 };

static struct span fault(struct der *d)
{
    d->bad = true;
    d->rest = SPAN_EMPTY;
    return SPAN_EMPTY;
}

bool der_peek(const struct der *d, unsigned tag)
{
    return !d->bad && d->rest.len > 0 && d->rest.ptr[0] == tag;
}

/* Bytes of the header of the element at the front, and the length of its content; 0: not DER. */
static size_t header(struct span in, size_t *content)
{
    if (in.len < 2)
        return 0;
    size_t first = in.ptr[1];
    if (first < LONG_FORM) {
        *content = first;
        return 2;
    }
    size_t n = first - LONG_FORM;
    if (n < 1 || n > LENGTH_BYTES_MAX || in.len < 2 + n)
        return 0;
    size_t len = 0;
    for (size_t i = 0; i < n; i++)
        len = len << 8 | in.ptr[2 + i];
    if (len < LONG_FORM || in.ptr[2] == 0)
        return 0; /* fewer bytes would have done */
    *content = len;
    return 2 + n;
}

struct span der_take_whole(struct der *d, unsigned tag)
{
    size_t content = 0;

    if (!der_peek(d, tag))
        return fault(d);
    size_t head = header(d->rest, &content);
    if (head == 0 || content > d->rest.len - head)
        return fault(d);
    struct span whole = span_sub(d->rest, 0, head + content);
    d->rest = span_from(d->rest, head + content);
    return whole;
}

struct span der_take(struct der *d, unsigned tag)
{
    struct span whole = der_take_whole(d, tag);
    size_t content = 0;

    if (d->bad)
        return SPAN_EMPTY;
    return span_from(whole, header(whole, &content));
}

struct span der_take_uint(struct der *d, size_t max)
{
    struct span n = der_take(d, DER_INTEGER);

    if (n.len == 0 || n.ptr[0] >= 0x80)
        return fault(d); /* no content, or negative */
    if (n.len > 1 && n.ptr[0] == 0 && n.ptr[1] < 0x80)
        return fault(d); /* fewer bytes would have done */
    if (n.ptr[0] == 0)
        n = span_from(n, 1);
    return n.len <= max ? n : fault(d);
}

struct span der_take_bits(struct der *d)
{
    struct span bits = der_take(d, DER_BIT_STRING);

    if (bits.len == 0 || bits.ptr[0] != 0)
        return fault(d);
    return span_from(bits, 1);
}

bool der_end(const struct der *d)
{
    return !d->bad && d->rest.len == 0;
}
