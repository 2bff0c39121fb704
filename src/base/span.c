#include "base/span.h"

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
}

bool span_eq_nocase(struct span a, struct span b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (lower(a.ptr[i]) != lower(b.ptr[i]))
            return false;
    return true;
}

bool span_starts(struct span a, const char *prefix)
{
    size_t n = strlen(prefix);
    return a.len >= n && (n == 0 || memcmp(a.ptr, prefix, n) == 0);
}

size_t span_find(struct span a, uint8_t c)
{
    const uint8_t *hit = a.len ? memchr(a.ptr, c, a.len) : NULL;
    return hit ? (size_t)(hit - a.ptr) : a.len;
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

struct span span_trim(struct span a)
{
    while (a.len && is_blank(a.ptr[0]))
        a = span_from(a, 1);
    while (a.len && is_blank(a.ptr[a.len - 1]))
        a.len--;
    return a;
}

struct span span_cut(struct span *rest, uint8_t c)
{
    size_t at = span_find(*rest, c);
    struct span head = span_sub(*rest, 0, at);

    *rest = at < rest->len ? span_from(*rest, at + 1) : SPAN_EMPTY;
    return head;
}

enum err span_to_u64(struct span a, uint64_t max, uint64_t *out)
{
    uint64_t v = 0;

    if (a.len == 0)
        return ERR_MALFORMED;
    for (size_t i = 0; i < a.len; i++) {
        if (a.ptr[i] < '0' || a.ptr[i] > '9')
            return ERR_MALFORMED;
        uint64_t d = (uint64_t)(a.ptr[i] - '0');
        if (v > (UINT64_MAX - d) / 10)
            return ERR_LIMIT;
        v = v * 10 + d;
    }
    if (v > max)
        return ERR_LIMIT;
    *out = v;
    return ERR_OK;
}

struct span span_of_u64(uint64_t v, uint8_t room[static DECIMAL_BYTES])
{
    size_t at = DECIMAL_BYTES;

    do
        room[--at] = (uint8_t)('0' + v % 10);
    while ((v /= 10) > 0);
    return span_of(room + at, DECIMAL_BYTES - at);
}

/* RFC 3629 section 4. */
size_t span_utf8_sequence(struct span a)
{
    const uint8_t *p = a.ptr;
    uint8_t low = 0x80, high = 0xbf;
    size_t n;

    if (a.len == 0)
        return 0;
    if (p[0] < 0x80)
        return 1;
    if (p[0] < 0xc2 || p[0] > 0xf4)
        return 0;
    n = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    if (a.len < n)
        return 0;
    if (p[0] == 0xe0)
        low = 0xa0; /* overlong */
    if (p[0] == 0xed)
        high = 0x9f; /* surrogates */
    if (p[0] == 0xf0)
        low = 0x90; /* overlong */
    if (p[0] == 0xf4)
        high = 0x8f; /* past U+10FFFF */
    if (p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    return n;
}

size_t span_utf8_run(struct span a)
{
    size_t i = 0;

    while (i < a.len && a.ptr[i] >= 0x80) {
        const uint8_t *p = a.ptr + i;
        /* Most of Chinese in one step: three bytes whose first one sets no range to the second. */
        if (a.len - i >= 3 && p[0] >> 4 == 0xe && p[0] != 0xe0 && p[0] != 0xed &&
            ((p[1] & 0xc0) | (p[2] & 0xc0) >> 6) == 0x82) {
            i += 3;
            continue;
        }
        size_t n = span_utf8_sequence(span_from(a, i));
        if (n == 0)
            break;
        i += n;
    }
    return i;
}

bool span_is_utf8(struct span a)
{
    for (size_t i = 0; i < a.len;) {
        uint64_t eight;
        if (a.len - i >= sizeof eight) {
            memcpy(&eight, a.ptr + i, sizeof eight);
            if ((eight & UINT64_C(0x8080808080808080)) == 0) {
                i += sizeof eight;
                continue;
            }
        }
        if (a.ptr[i] < 0x80) {
            i++;
            continue;
        }
        size_t n = span_utf8_run(span_from(a, i));
        if (n == 0)
            return false;
        i += n;
    }
    return true;
}

bool ct_eq(struct span a, struct span b)
{
    volatile uint8_t diff = 0;

    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        diff |= (uint8_t)(a.ptr[i] ^ b.ptr[i]);
    return diff == 0;
}
