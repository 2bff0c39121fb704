/* test_tar.h - tar archives (ustar, POSIX.1-1988) written by hand, so that a test can also write
 * what no tool would. */
#ifndef IMAGE_TEST_TAR_H
#define IMAGE_TEST_TAR_H

#include "testing/t.h"

enum { TAR_BLOCK = 512, TAR_ROOM = 1 << 20 };

struct tar_item {
    const char *name, *link, *data;
    char type; /* '0' file, '1' hard link, '2' symbolic link, '3' '4' devices, '5' folder, '6' pipe
                */
    unsigned mode, uid, gid;
    const char *size; /* octal, instead of the data's */
};

/* `digits` octal digits. */
static void tar_octal(uint8_t *at, size_t digits, size_t v)
{
    for (size_t i = digits; i-- > 0; v >>= 3)
        at[i] = (uint8_t)('0' + (v & 7));
}

static void tar_put(struct buf *out, struct tar_item i)
{
    uint8_t h[TAR_BLOCK] = { 0 };
    size_t sum = 0, len = i.data ? strlen(i.data) : 0;

    memcpy(h, i.name, strnlen(i.name, 100));
    tar_octal(h + 100, 7, i.mode ? i.mode : 0644);
    tar_octal(h + 108, 7, i.uid);
    tar_octal(h + 116, 7, i.gid);
    if (i.size)
        memcpy(h + 124, i.size, strlen(i.size));
    else
        tar_octal(h + 124, 11, len);
    memcpy(h + 136, "14000000000", 12); /* a time that must not get anywhere */
    h[156] = (uint8_t)(i.type ? i.type : '0');
    if (i.link)
        memcpy(h + 157, i.link, strnlen(i.link, 100));
    memcpy(h + 257, "ustar", 6);
    memcpy(h + 263, "00", 2);
    memset(h + 148, ' ', 8);
    for (size_t k = 0; k < sizeof h; k++)
        sum += h[k];
    tar_octal(h + 148, 6, sum);
    h[154] = 0;
    assert_int_equal(buf_append(out, SPAN_ARRAY(h)), ERR_OK);
    assert_int_equal(buf_append(out, span_of(i.data ? i.data : "", len)), ERR_OK);
    while (out->len % TAR_BLOCK)
        assert_int_equal(buf_append_byte(out, 0), ERR_OK);
}

static void tar_end(struct buf *out)
{
    for (int i = 0; i < 2 * TAR_BLOCK; i++)
        assert_int_equal(buf_append_byte(out, 0), ERR_OK);
}

/* Items up to one without a name. */
static void tar_of(const struct tar_item *items, struct buf *out)
{
    *out = BUF_INIT(TAR_ROOM);
    for (; items->name; items++)
        tar_put(out, *items);
    tar_end(out);
}

#endif
