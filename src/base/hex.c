#include "base/hex.h"

static const char digits[] = "0123456789abcdef";

void hex_write(struct span in, char *out)
{
    for (size_t i = 0; i < in.len; i++) {
        out[2 * i] = digits[in.ptr[i] >> 4];
        out[2 * i + 1] = digits[in.ptr[i] & 15];
    }
    out[2 * in.len] = '\0';
}

enum err hex_append(struct buf *out, struct span in)
{
    uint8_t *p;

    if (in.len > SIZE_MAX / 2)
        return ERR_LIMIT;
    enum err r = buf_reserve(out, 2 * in.len, &p);
    if (r != ERR_OK)
        return r;
    for (size_t i = 0; i < in.len; i++) {
        p[2 * i] = (uint8_t)digits[in.ptr[i] >> 4];
        p[2 * i + 1] = (uint8_t)digits[in.ptr[i] & 15];
    }
    buf_commit(out, 2 * in.len);
    return ERR_OK;
}

static int value_of(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

enum err hex_parse(struct span in, struct buf *out)
{
    uint8_t *p;

    if (in.len % 2 != 0)
        return ERR_MALFORMED;
    enum err r = buf_reserve(out, in.len / 2, &p);
    if (r != ERR_OK)
        return r;
    for (size_t i = 0; i < in.len / 2; i++) {
        int high = value_of(in.ptr[2 * i]), low = value_of(in.ptr[2 * i + 1]);
        if (high < 0 || low < 0) {
            wipe(p, i);
            return ERR_MALFORMED;
        }
        p[i] = (uint8_t)(high << 4 | low);
    }
    buf_commit(out, in.len / 2);
    return ERR_OK;
}
