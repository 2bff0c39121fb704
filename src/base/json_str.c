#include "base/json.h"

#include "base/json_escape.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

size_t json_plain_run(struct span s, bool ascii)
{
    size_t i = 0;

#ifdef __SSE2__
    const __m128i quote = _mm_set1_epi8('"'), slash = _mm_set1_epi8('\\');
    const __m128i control = _mm_set1_epi8(0x1f), high = _mm_set1_epi8(ascii ? (char)0x80 : 0);
    for (; s.len - i >= 16; i += 16) {
        __m128i x = _mm_loadu_si128((const __m128i *)(const void *)(s.ptr + i));
        __m128i stop = _mm_or_si128(_mm_cmpeq_epi8(x, quote), _mm_cmpeq_epi8(x, slash));
        stop = _mm_or_si128(stop, _mm_cmpeq_epi8(_mm_min_epu8(x, control), x));
        stop = _mm_or_si128(stop, _mm_and_si128(x, high));
        unsigned mask = (unsigned)_mm_movemask_epi8(stop);
        if (mask)
            return i + (size_t)__builtin_ctz(mask);
    }
#endif
    for (; i < s.len; i++) {
        uint8_t c = s.ptr[i];
        if (c < 0x20 || (ascii && c >= 0x80) || c == '"' || c == '\\')
            break;
    }
    return i;
}

/* What the cursor has checked needs no checks here. */
uint32_t json_str_next(struct span *s)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const uint8_t *p = s->ptr;
    uint32_t v;

    if (p[0] != '\\') {
        size_t n = span_utf8_sequence(*s);
        static const uint8_t first_bits[5] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
        v = p[0] & first_bits[n];
        for (size_t i = 1; i < n; i++)
            v = v << 6 | (p[i] & 0x3fu);
        *s = span_from(*s, n);
        return v;
    }
    if (p[1] != 'u') {
        v = (uint8_t)to[strchr(from, p[1]) - from];
        *s = span_from(*s, 2);
        return v;
    }
    v = (uint32_t)json_unicode_escape(*s);
    *s = span_from(*s, 6);
    if (v >= 0xd800 && v <= 0xdbff) {
        v = 0x10000 + ((v - 0xd800) << 10) + ((uint32_t)json_unicode_escape(*s) - 0xdc00);
        *s = span_from(*s, 6);
    }
    return v;
}

/* At `out` is room for as many bytes as `v` needs. */
static size_t utf8_write(uint32_t v, uint8_t *out)
{
    if (v < 0x80) {
        out[0] = (uint8_t)v;
        return 1;
    }
    if (v < 0x800) {
        out[0] = (uint8_t)(0xc0 | v >> 6);
        out[1] = (uint8_t)(0x80 | (v & 0x3f));
        return 2;
    }
    if (v < 0x10000) {
        out[0] = (uint8_t)(0xe0 | v >> 12);
        out[1] = (uint8_t)(0x80 | (v >> 6 & 0x3f));
        out[2] = (uint8_t)(0x80 | (v & 0x3f));
        return 3;
    }
    out[0] = (uint8_t)(0xf0 | v >> 18);
    out[1] = (uint8_t)(0x80 | (v >> 12 & 0x3f));
    out[2] = (uint8_t)(0x80 | (v >> 6 & 0x3f));
    out[3] = (uint8_t)(0x80 | (v & 0x3f));
    return 4;
}

bool json_str_is(struct json_str s, const char *text)
{
    struct span left = s.raw, want = span_str(text);

    if (!json_str_is_set(s))
        return false;
    if (!s.escaped)
        return span_eq(s.raw, want);
    while (left.len) {
        uint8_t c[4];
        size_t n = utf8_write(json_str_next(&left), c);
        if (want.len < n || memcmp(want.ptr, c, n) != 0)
            return false;
        want = span_from(want, n);
    }
    return want.len == 0;
}

enum err json_str_decode(struct json_str s, struct buf *out)
{
    struct span left = s.raw;
    uint8_t *p;

    /* No escape is shorter than what it stands for, so the raw length is room enough. */
    if (!s.escaped)
        return buf_append(out, s.raw);
    enum err r = buf_reserve(out, left.len, &p);
    if (r != ERR_OK)
        return r;
    size_t n = 0;
    while (left.len) {
        if (left.ptr[0] == '\\') { /* often another one follows at once */
            n += utf8_write(json_str_next(&left), p + n);
            continue;
        }
        size_t run = span_find(left, '\\');
        memcpy(p + n, left.ptr, run);
        n += run;
        left = span_from(left, run);
    }
    buf_commit(out, n);
    return ERR_OK;
}

enum err json_str_view(struct json_str s, struct buf *scratch, struct span *out)
{
    size_t start = scratch->len;

    if (!s.escaped) {
        *out = s.raw;
        return ERR_OK;
    }
    enum err r = json_str_decode(s, scratch);
    if (r == ERR_OK)
        *out = span_from(buf_view(scratch), start);
    return r;
}
