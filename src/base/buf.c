#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { FIRST_BYTES = 64 };

static void forget(const struct buf *b, size_t from, size_t to)
{
    if (!b->is_public)
        wipe(b->ptr + from, to - from);
}

void buf_clear(struct buf *b)
{
    if (b->ptr) {
        forget(b, 0, b->used);
        free(b->ptr);
    }
    *b = (struct buf){ .max = b->max };
}

void buf_reset(struct buf *b)
{
    if (b->ptr)
        forget(b, 0, b->len);
    b->len = 0;
}

/* Move to a larger block; never realloc(), which would leave the old bytes behind. */
static enum err grow(struct buf *b, size_t need)
{
    /* The first block is as long as it has to be: who knows how much comes asks for it at once, and
     * all of a block is wiped. */
    size_t cap = b->cap ? b->cap : need > FIRST_BYTES ? need : FIRST_BYTES;

    while (cap < need)
        cap = cap > SIZE_MAX / 2 ? need : cap * 2;
    if (cap > b->max)
        cap = b->max;
    uint8_t *p = malloc(cap);
    if (!p)
        return ERR_NOMEM;
    if (b->ptr) {
        memcpy(p, b->ptr, b->len);
        forget(b, 0, b->used);
        free(b->ptr);
    }
    b->ptr = p;
    b->cap = cap;
    b->used = b->len;
    return ERR_OK;
}

enum err buf_make_room(struct buf *b, size_t n)
{
    if (n > b->max || b->len > b->max - n)
        return ERR_LIMIT;
    if (b->len + n <= b->cap && b->ptr)
        return ERR_OK;
    return grow(b, b->len + n ? b->len + n : 1);
}

enum err buf_reserve(struct buf *b, size_t n, uint8_t **out)
{
    enum err r = buf_make_room(b, n);

    if (r != ERR_OK)
        return r;
    if (b->used < b->len + n)
        b->used = b->len + n;
    *out = b->ptr + b->len;
    return ERR_OK;
}

void buf_commit(struct buf *b, size_t n)
{
    if (n > b->cap - b->len)
        abort(); /* committing what was never reserved is our bug */
    b->len += n;
}

enum err buf_append(struct buf *b, struct span s)
{
    uint8_t *p;

    if (s.len == 0)
        return ERR_OK;
    enum err r = buf_reserve(b, s.len, &p);
    if (r != ERR_OK)
        return r;
    memcpy(p, s.ptr, s.len);
    buf_commit(b, s.len);
    return ERR_OK;
}

enum err buf_append_byte(struct buf *b, uint8_t c)
{
    return buf_append(b, span_of(&c, 1));
}

enum err buf_append_str(struct buf *b, const char *s)
{
    return buf_append(b, span_str(s));
}

enum err buf_append_uint(struct buf *b, uint64_t v)
{
    uint8_t digits[DECIMAL_BYTES];

    return buf_append(b, span_of_u64(v, digits));
}

enum err buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    uint8_t *p;

    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0)
        return ERR_INTERNAL;
    size_t len = (size_t)n;
    /* vsnprintf writes a NUL after the text: room for it too, but it does not count. */
    enum err r = buf_reserve(b, len + 1, &p);
    if (r != ERR_OK)
        return r;
    va_start(ap, fmt);
    vsnprintf((char *)p, len + 1, fmt, ap);
    va_end(ap);
    buf_commit(b, len);
    return ERR_OK;
}

void buf_consume(struct buf *b, size_t n)
{
    if (n > b->len)
        n = b->len;
    if (n == 0)
        return;
    memmove(b->ptr, b->ptr + n, b->len - n);
    buf_truncate(b, b->len - n);
}

void buf_truncate(struct buf *b, size_t n)
{
    if (n >= b->len)
        return;
    forget(b, n, b->len);
    b->len = n;
}

const char *buf_cstr(struct buf *b)
{
    uint8_t *p;

    if (buf_reserve(b, 1, &p) != ERR_OK)
        return NULL;
    *p = '\0';
    return (const char *)b->ptr;
}

struct buf buf_take(struct buf *b)
{
    struct buf taken = *b;
    *b = (struct buf){ .max = taken.max };
    return taken;
}
