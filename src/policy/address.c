/* address.c - IP addresses and networks, without the system's resolver. */
#include "policy/values.h"

enum { V4_BYTES = 4, V6_BYTES = 16, V6_GROUPS = 8 };

static bool take_v4(struct span s, uint8_t out[static V4_BYTES])
{
    for (unsigned i = 0; i < V4_BYTES; i++) {
        uint64_t n;
        struct span part = span_cut(&s, '.');
        if (span_to_u64(part, 255, &n) != ERR_OK || (part.len > 1 && part.ptr[0] == '0') ||
            (i < V4_BYTES - 1) != (s.ptr != NULL))
            return false;
        out[i] = (uint8_t)n;
    }
    return true;
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool take_group(struct span s, uint8_t out[static 2])
{
    unsigned value = 0;

    if (s.len == 0 || s.len > 4)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        int digit = hex_digit(s.ptr[i]);
        if (digit < 0)
            return false;
        value = value * 16 + (unsigned)digit;
    }
    out[0] = (uint8_t)(value >> 8);
    out[1] = (uint8_t)value;
    return true;
}

/* Groups between colons, the last perhaps dotted; at most `room` bytes. */
static bool take_groups(struct span s, size_t room, uint8_t *out, size_t *n)
{
    *n = 0;
    if (s.len == 0)
        return true;
    while (s.ptr) {
        struct span group = span_cut(&s, ':');
        if (!s.ptr && span_find(group, '.') < group.len) {
            if (room - *n < V4_BYTES || !take_v4(group, out + *n))
                return false;
            *n += V4_BYTES;
            return true;
        }
        if (room - *n < 2 || !take_group(group, out + *n))
            return false;
        *n += 2;
    }
    return true;
}

static size_t find_gap(struct span s)
{
    for (size_t i = 0; i + 1 < s.len; i++)
        if (s.ptr[i] == ':' && s.ptr[i + 1] == ':')
            return i;
    return s.len;
}

/* Without "::" all sixteen bytes, with it fewer, and zeros in the gap. */
static bool take_v6(struct span s, uint8_t out[static V6_BYTES])
{
    uint8_t tail[V6_BYTES];
    size_t gap = find_gap(s), n_head, n_tail;

    if (gap == s.len)
        return take_groups(s, V6_BYTES, out, &n_head) && n_head == V6_BYTES;
    struct span behind = span_from(s, gap + 2);
    if (!take_groups(span_sub(s, 0, gap), V6_BYTES - 2, out, &n_head) ||
        !take_groups(behind, V6_BYTES - 2, tail, &n_tail) || n_head + n_tail > V6_BYTES - 2 ||
        (n_head > 0 && span_find(span_sub(s, 0, gap), '.') < gap))
        return false;
    memset(out + n_head, 0, V6_BYTES - n_head);
    memcpy(out + V6_BYTES - n_tail, tail, n_tail);
    return true;
}

enum err network_parse(struct span text, struct network *out)
{
    struct network made = { .family = 4 };
    struct span prefix = text;
    struct span address = span_cut(&prefix, '/');
    uint64_t bits;

    if (span_find(address, ':') < address.len)
        made.family = 6;
    if (made.family == 4 ? !take_v4(address, made.bytes) : !take_v6(address, made.bytes))
        return ERR_MALFORMED;
    made.prefix = made.family == 4 ? 32 : 128;
    if (prefix.ptr) {
        if (prefix.len > 3 || span_to_u64(prefix, made.prefix, &bits) != ERR_OK)
            return ERR_MALFORMED;
        made.prefix = (unsigned)bits;
    }
    *out = made;
    return ERR_OK;
}

bool network_contains(const struct network *outer, const struct network *inner)
{
    unsigned bytes = outer->prefix / 8, bits = outer->prefix % 8;

    if (outer->family != inner->family || inner->prefix < outer->prefix ||
        memcmp(outer->bytes, inner->bytes, bytes) != 0)
        return false;
    unsigned mask = 0xff00U >> bits & 0xff;
    return bits == 0 || (outer->bytes[bytes] & mask) == (inner->bytes[bytes] & mask);
}
