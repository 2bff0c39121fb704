#include "base/base64.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* The six bits of a character, or a negative number; no branch or table index on the character,
 * which may be part of a secret: each range adds its part where its mask is set. */
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

enum err base64_append(struct buf *out, struct span in)
{
    uint8_t *p;
    size_t i = 0;

    if (in.len > SIZE_MAX / 2)
        return ERR_LIMIT;
    enum err r = buf_reserve(out, BASE64_TEXT_BYTES(in.len), &p);
    if (r != ERR_OK)
        return r;
    for (; in.len - i >= 3; i += 3, p += 4) {
        uint32_t v = (uint32_t)in.ptr[i] << 16 | (uint32_t)in.ptr[i + 1] << 8 | in.ptr[i + 2];
        p[0] = (uint8_t)alphabet[v >> 18];
        p[1] = (uint8_t)alphabet[v >> 12 & 63];
        p[2] = (uint8_t)alphabet[v >> 6 & 63];
        p[3] = (uint8_t)alphabet[v & 63];
    }
    if (i < in.len) {
        bool two = in.len - i == 2;
        uint32_t v = (uint32_t)in.ptr[i] << 16 | (two ? (uint32_t)in.ptr[i + 1] << 8 : 0);
        p[0] = (uint8_t)alphabet[v >> 18];
        p[1] = (uint8_t)alphabet[v >> 12 & 63];
        p[2] = two ? (uint8_t)alphabet[v >> 6 & 63] : '=';
        p[3] = '=';
    }
    buf_commit(out, BASE64_TEXT_BYTES(in.len));
    return ERR_OK;
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
    int bad = 0;

    if (text.len % 4 != 0)
        return why_fail(why, ERR_MALFORMED, "base64", text.len);
    if (text.len == 0)
        return ERR_OK;
    size_t pads = text.ptr[text.len - 1] != '=' ? 0 : text.ptr[text.len - 2] != '=' ? 1 : 2;
    size_t n = BASE64_DATA_BYTES(text.len) - pads;
    enum err r = buf_reserve(out, BASE64_DATA_BYTES(text.len), &p);
    if (r != ERR_OK)
        return why_fail(why, r, "base64", 0);
    for (size_t i = 0, o = 0; i < text.len; i += 4, o += 3) {
        size_t used = i + 4 == text.len ? 4 - pads : 4;
        int v[4] = { 0 };
        for (size_t k = 0; k < used; k++)
            v[k] = bits_of(text.ptr[i + k]);
        bad |= v[0] | v[1] | v[2] | v[3];
        uint32_t w =
            (uint32_t)v[0] << 18 | (uint32_t)v[1] << 12 | (uint32_t)v[2] << 6 | (uint32_t)v[3];
        p[o] = (uint8_t)(w >> 16);
        p[o + 1] = (uint8_t)(w >> 8);
        p[o + 2] = (uint8_t)w;
    }
    uint8_t unused = pads == 0 ? 0 : pads == 1 ? p[n] : p[n] | p[n + 1];
    if (bad < 0 || unused != 0) {
        wipe(p, BASE64_DATA_BYTES(text.len));
        return why_fail(why, ERR_MALFORMED, "base64", fault_at(text, pads));
    }
    buf_commit(out, n);
    return ERR_OK;
}
