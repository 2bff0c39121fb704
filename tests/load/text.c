/* text.c - texts that nobody else has: made again from (client, number, length) to compare, and
 * telling in their first line whose they are, for the reader of a failure. */
#include <stdio.h>

#include "load.h"

uint64_t random_next(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* What JSON has to escape is among them, so that every writer and reader on the way does work. */
static const char alphabet[64] =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123 \n\"\\\t/{:";

static uint64_t fill(uint8_t *p, size_t n, uint64_t random)
{
    uint64_t digest = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < n;) {
        uint64_t word = random_next(&random);
        digest = (digest ^ word) * UINT64_C(0x100000001b3);
        for (unsigned k = 0; k < 10 && i < n; k++, i++, word >>= 6)
            p[i] = (uint8_t)alphabet[word & 63];
    }
    return digest;
}

enum err text_write(struct buf *out, const struct text_id *id)
{
    char head[TEXT_HEAD_BYTES + 1];
    uint8_t *p = NULL;
    enum err r = buf_reserve(out, id->bytes, &p);

    if (r != ERR_OK || id->bytes == 0)
        return r;
    size_t skip = id->bytes >= TEXT_HEAD_BYTES ? TEXT_HEAD_BYTES : 0;
    uint64_t digest = fill(p + skip, id->bytes - skip,
                           id->number << 20 ^ (uint64_t)id->client << 8 ^ id->bytes << 40);
    if (skip) {
        int n = snprintf(head, sizeof head,
                         "client %u, request %llu, %zu bytes, digest %016llx, gr\xc3\xb6\xc3\x9f"
                         "er \xe2\x82\xac \xf0\x9f\x94\x92",
                         id->client, (unsigned long long)id->number, id->bytes,
                         (unsigned long long)digest);
        memset(p, '.', TEXT_HEAD_BYTES);
        memcpy(p, head, n < TEXT_HEAD_BYTES ? (size_t)n : TEXT_HEAD_BYTES - 1);
        p[TEXT_HEAD_BYTES - 1] = '\n';
    }
    buf_commit(out, id->bytes);
    return ERR_OK;
}

void text_describe(struct span text, char *out, size_t size)
{
    struct span line = span_sub(text, 0, span_find(text, '\n'));

    if (text.len >= TEXT_HEAD_BYTES && span_starts(text, "client "))
        snprintf(out, size, "%.*s", (int)(line.len < 80 ? line.len : 80), (const char *)line.ptr);
    else
        snprintf(out, size, "%zu bytes that do not say whose they are", text.len);
}
