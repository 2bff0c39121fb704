#include "cms/ber.h"

enum {
    CONSTRUCTED = 0x20,
    TAG_NUMBER_MASK = 0x1f, /* all ones: the tag goes on in the next byte */
    LENGTH_INDEFINITE = 0x80,
    LENGTH_BYTES_MAX = 4,
    END_OF_CONTENTS_BYTES = 2,
};

struct ber ber_init(struct span in)
{
    return (struct ber){ .in = in, .limit = in.len };
}

void ber_fail(struct ber *b, enum err r, const char *what)
{
    if (b->err != ERR_OK)
        return;
    b->err = r;
    b->what = what;
}

static size_t left(const struct ber *b)
{
    return b->limit - b->pos;
}

bool ber_peek(const struct ber *b, unsigned tag)
{
    return b->err == ERR_OK && left(b) > 0 && b->in.ptr[b->pos] == tag;
}

struct head {
    size_t bytes, length;
    bool indefinite;
};

static bool long_length(const uint8_t *p, size_t avail, struct head *h)
{
    size_t n = p[1] & 0x7f;

    if (n > LENGTH_BYTES_MAX || avail < 2 + n)
        return false;
    for (size_t i = 0; i < n; i++)
        h->length = h->length << 8 | p[2 + i];
    h->bytes = 2 + n;
    return true;
}

/* Tag and length of the next element, all of which has to lie within the limit. */
static bool head_read(struct ber *b, unsigned tag, struct head *out)
{
    struct head h = { .bytes = 2 };

    if (b->err != ERR_OK)
        return false;
    const uint8_t *p = b->in.ptr + b->pos;
    size_t avail = left(b);
    if (avail < 2) {
        ber_fail(b, ERR_MALFORMED, "end of input");
        return false;
    }
    if (p[0] != tag || (tag & TAG_NUMBER_MASK) == TAG_NUMBER_MASK) {
        ber_fail(b, ERR_MALFORMED, "tag");
        return false;
    }
    bool well = true;
    h.indefinite = p[1] == LENGTH_INDEFINITE;
    if (h.indefinite)
        well = (tag & CONSTRUCTED) != 0;
    else if (p[1] & 0x80)
        well = long_length(p, avail, &h);
    else
        h.length = p[1];
    if (!well || h.length > avail - h.bytes) {
        ber_fail(b, ERR_MALFORMED, "length");
        return false;
    }
    *out = h;
    return true;
}

struct span ber_take(struct ber *b, unsigned tag)
{
    struct head h;

    if (!head_read(b, tag, &h))
        return SPAN_EMPTY;
    struct span content = span_sub(b->in, b->pos + h.bytes, h.length);
    b->pos += h.bytes + h.length;
    return content;
}

struct ber_frame ber_enter(struct ber *b, unsigned tag)
{
    struct ber_frame f = { .outer_limit = b->limit };
    struct head h;

    if (!head_read(b, tag, &h))
        return f;
    f.indefinite = h.indefinite;
    b->pos += h.bytes;
    if (!h.indefinite)
        b->limit = b->pos + h.length;
    return f;
}

static bool end_of_contents(const struct ber *b)
{
    return left(b) >= END_OF_CONTENTS_BYTES && b->in.ptr[b->pos] == 0 && b->in.ptr[b->pos + 1] == 0;
}

bool ber_at_end(const struct ber *b, struct ber_frame f)
{
    return b->err != ERR_OK || (f.indefinite ? end_of_contents(b) : left(b) == 0);
}

void ber_leave(struct ber *b, struct ber_frame f)
{
    if (!ber_at_end(b, f))
        ber_fail(b, ERR_MALFORMED, "end of contents");
    if (b->err != ERR_OK)
        return;
    if (f.indefinite)
        b->pos += END_OF_CONTENTS_BYTES;
    b->limit = f.outer_limit;
}

enum err ber_end(struct ber *b)
{
    if (b->err == ERR_OK && b->pos != b->in.len)
        ber_fail(b, ERR_MALFORMED, "trailing bytes");
    return b->err;
}
