#include "base/base64_wide.h"

#ifdef __x86_64__
#include <immintrin.h>

#define WIDE __attribute__((target("avx2")))

enum {
    ENCODE_BYTES = 24, /* of input a turn, but ENCODE_READ are read */
    ENCODE_READ = 28,
    DECODE_CHARS = 32, /* of input a turn, giving 24 bytes, but 32 are written, */
    DECODE_LEAST = 44, /* for which this many characters have room */
};

static bool has_wide(void)
{
    return __builtin_cpu_supports("avx2");
}

WIDE static __m256i both(__m128i lane)
{
    return _mm256_broadcastsi128_si256(lane);
}

/* 24 bytes, twelve in each lane, to 32 numbers of six bits. */
WIDE static __m256i split(const uint8_t *in)
{
    const __m128i order = _mm_setr_epi8(1, 0, 2, 1, 4, 3, 5, 4, 7, 6, 8, 7, 10, 9, 11, 10);
    __m128i low = _mm_loadu_si128((const __m128i *)(const void *)in);
    __m128i high = _mm_loadu_si128((const __m128i *)(const void *)(in + 12));
    __m256i v = _mm256_shuffle_epi8(_mm256_set_m128i(high, low), both(order));
    __m256i ac = _mm256_mulhi_epu16(_mm256_and_si256(v, _mm256_set1_epi32(0x0fc0fc00)),
                                    _mm256_set1_epi32(0x04000040));
    __m256i bd = _mm256_mullo_epi16(_mm256_and_si256(v, _mm256_set1_epi32(0x003f03f0)),
                                    _mm256_set1_epi32(0x01000010));
    return _mm256_or_si256(ac, bd);
}

/* What each range of numbers adds to become its character: a-z, ten digits, '+', '/', A-Z. */
WIDE static __m256i to_alphabet(__m256i six)
{
    const __m128i shift =
        _mm_setr_epi8('a' - 26, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52,
                      '0' - 52, '0' - 52, '0' - 52, '0' - 52, '+' - 62, '/' - 63, 'A', 0, 0);
    __m256i range = _mm256_subs_epu8(six, _mm256_set1_epi8(51));
    __m256i capital = _mm256_cmpgt_epi8(_mm256_set1_epi8(26), six);
    range = _mm256_or_si256(range, _mm256_and_si256(capital, _mm256_set1_epi8(13)));
    return _mm256_add_epi8(_mm256_shuffle_epi8(both(shift), range), six);
}

WIDE static size_t encode(struct span in, uint8_t *out)
{
    size_t i = 0;

    for (; in.len - i >= ENCODE_READ; i += ENCODE_BYTES, out += 32)
        _mm256_storeu_si256((__m256i *)(void *)out, to_alphabet(split(in.ptr + i)));
    return i;
}

/* Characters to numbers of six bits; a bit stays in *bad for each that has none. The two tables
 * say, by the upper and the lower half of a byte, which classes it may not be of. */
WIDE static __m256i from_alphabet(__m256i text, __m256i *bad)
{
    const __m128i by_low = _mm_setr_epi8(0x15, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11,
                                         0x13, 0x1a, 0x1b, 0x1b, 0x1b, 0x1a);
    const __m128i by_high = _mm_setr_epi8(0x10, 0x10, 0x01, 0x02, 0x04, 0x08, 0x04, 0x08, 0x10,
                                          0x10, 0x10, 0x10, 0x10, 0x10, 0x10, 0x10);
    const __m128i shift = _mm_setr_epi8(0, 16, 19, 4, -65, -65, -71, -71, 0, 0, 0, 0, 0, 0, 0, 0);
    const __m256i slash = _mm256_set1_epi8('/'); /* 0x2f: also the mask of a half */
    __m256i high = _mm256_and_si256(_mm256_srli_epi32(text, 4), slash);
    __m256i low = _mm256_and_si256(text, slash);
    __m256i wrong = _mm256_and_si256(_mm256_shuffle_epi8(both(by_low), low),
                                     _mm256_shuffle_epi8(both(by_high), high));
    *bad = _mm256_or_si256(*bad, wrong);
    __m256i range = _mm256_add_epi8(_mm256_cmpeq_epi8(text, slash), high);
    return _mm256_add_epi8(text, _mm256_shuffle_epi8(both(shift), range));
}

/* 32 numbers of six bits to 24 bytes at the front. */
WIDE static __m256i join(__m256i six)
{
    const __m128i order = _mm_setr_epi8(2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, -1, -1, -1, -1);
    __m256i twelve = _mm256_maddubs_epi16(six, _mm256_set1_epi32(0x01400140));
    __m256i whole = _mm256_madd_epi16(twelve, _mm256_set1_epi32(0x00011000));
    return _mm256_permutevar8x32_epi32(_mm256_shuffle_epi8(whole, both(order)),
                                       _mm256_setr_epi32(0, 1, 2, 4, 5, 6, 7, 7));
}

WIDE static size_t decode(struct span text, uint8_t *out, bool *bad)
{
    __m256i wrong = _mm256_setzero_si256();
    size_t i = 0;

    for (; text.len - i >= DECODE_LEAST; i += DECODE_CHARS, out += 24) {
        __m256i v = _mm256_loadu_si256((const __m256i *)(const void *)(text.ptr + i));
        _mm256_storeu_si256((__m256i *)(void *)out, join(from_alphabet(v, &wrong)));
    }
    if (!_mm256_testz_si256(wrong, wrong))
        *bad = true;
    return i;
}

size_t base64_wide_encode(struct span in, uint8_t *out)
{
    return has_wide() ? encode(in, out) : 0;
}

size_t base64_wide_decode(struct span text, uint8_t *out, bool *bad)
{
    return has_wide() ? decode(text, out, bad) : 0;
}

#else

size_t base64_wide_encode(struct span in, uint8_t *out)
{
    (void)in;
    (void)out;
    return 0;
}

size_t base64_wide_decode(struct span text, uint8_t *out, bool *bad)
{
    (void)text;
    (void)out;
    (void)bad;
    return 0;
}

#endif
