#include "base/base64.h"

#include "base/base64_wide.h"

/* The character of a number below 64, without a table: an index is seen in the cache, and keys go
 * through here. Each range adds its part where its mask is set. */
static uint8_t char_of(uint32_t six)
{
    int v = (int)six, c = v + 'A';

    c += (25 - v) >> 8 & ('a' - 'Z' - 1);
    c -= (51 - v) >> 8 & ('z' + 1 - '0');
    c -= (61 - v) >> 8 & ('9' + 1 - '+');
    c += (62 - v) >> 8 & ('/' - '+' - 1);
    return (uint8_t)c;
}

/* The six bits of a character, or a negative number. */
static int bits_of(uint8_t ch)
{
    int c = ch, v = -1;

    v += (('A' - 1 - c) & (c - ('Z' + 1))) >> 8 & (c - 'A' + 1);
    v += (('a' - 1 - c) & (c - ('z' + 1))) >> 8 & (c - 'a' + 27);
    v += (('0' - 1 - c) & (c - ('9' + 1))) >> 8 & (c - '0' + 53);
    v += (('+' - 1 - c) & (c - ('+' + 1))) >> 8 & 63;
    v += (('/' - 1 - c) & (c - ('/' + 1))) >> 8 & 64;
    return v;
}

static void encode_group(const uint8_t in[static 3], uint8_t out[static 4])
{
    uint32_t v = (uint32_t)in[0] << 16 | (uint32_t)in[1] << 8 | in[2];

    out[0] = char_of(v >> 18);
    out[1] = char_of(v >> 12 & 63);
    out[2] = char_of(v >> 6 & 63);
    out[3] = char_of(v & 63);
}

enum err base64_append(struct buf *out, struct span in)
{
    uint8_t *p, last[3] = { 0 };

    if (in.len > SIZE_MAX / 2)
        return ERR_LIMIT;
    enum err r = buf_reserve(out, BASE64_TEXT_BYTES(in.len), &p);
    if (r != ERR_OK)
        return r;
    size_t i = base64_wide_encode(in, p);
    p += i / 3 * 4;
    for (; in.len - i >= 3; i += 3, p += 4)
        encode_group(in.ptr + i, p);
    size_t left = in.len - i;
    if (left) {
        memcpy(last, in.ptr + i, left);
        encode_group(last, p);
        p[3] = '=';
        if (left == 1)
            p[2] = '=';
        wipe(last, sizeof last);
    }
    buf_commit(out, BASE64_TEXT_BYTES(in.len));
    return ERR_OK;
}

/* Negative if a character has no value. */
static int decode_group(const uint8_t in[static 4], uint8_t out[static 3])
{
    int a = bits_of(in[0]), b = bits_of(in[1]), c = bits_of(in[2]), d = bits_of(in[3]);
    uint32_t v = (uint32_t)a << 18 | (uint32_t)b << 12 | (uint32_t)c << 6 | (uint32_t)d;

    out[0] = (uint8_t)(v >> 16);
    out[1] = (uint8_t)(v >> 8);
    out[2] = (uint8_t)v;
    return a | b | c | d;
}

/* The group that may have padding: its bits that stand for nothing must be zero, or one value would
 * have several texts. Negative if there is a fault. */
static int decode_last(const uint8_t in[static 4], size_t pads, uint8_t *out)
{
    uint8_t text[4], bytes[3];

    memcpy(text, in, sizeof text);
    for (size_t i = 4 - pads; i < 4; i++)
        text[i] = 'A';
    int bad = decode_group(text, bytes);
    for (size_t i = 3 - pads; i < 3; i++)
        bad |= -(int)bytes[i];
    memcpy(out, bytes, 3 - pads);
    wipe(text, sizeof text);
    wipe(bytes, sizeof bytes);
    return bad;
}

/* Offset of the first fault of a text that has one. */
static size_t fault_at(struct span text, size_t pads)
{
    for (size_t i = 0; i + pads < text.len; i++)
        if (bits_of(text.ptr[i]) < 0)
            return i;
    return text.len - pads - 1; /* unused bits of the last character */
}

enum err base64_parse(struct span text, struct buf *out, struct why *why)
{
    uint8_t *p;
    bool wide_bad = false;
    int bad = 0;

    if (text.len % 4 != 0)
        return why_fail(why, ERR_MALFORMED, "base64", text.len);
    if (text.len == 0)
        return ERR_OK;
    size_t pads = text.ptr[text.len - 1] != '=' ? 0 : text.ptr[text.len - 2] != '=' ? 1 : 2;
    size_t n = BASE64_DATA_BYTES(text.len) - pads, last = text.len - 4;
    enum err r = buf_reserve(out, n, &p);
    if (r != ERR_OK)
        return why_fail(why, r, "base64", 0);
    size_t i = base64_wide_decode(span_sub(text, 0, last), p, &wide_bad);
    for (; i < last; i += 4)
        bad |= decode_group(text.ptr + i, p + i / 4 * 3);
    bad |= decode_last(text.ptr + last, pads, p + last / 4 * 3);
    if (bad < 0 || wide_bad) {
        wipe(p, n);
        return why_fail(why, ERR_MALFORMED, "base64", fault_at(text, pads));
    }
    buf_commit(out, n);
    return ERR_OK;
}
