/* json_escape.h - runs of plain characters and the code unit of a \uXXXX escape. Internal to json.
 */
#ifndef BASE_JSON_ESCAPE_H
#define BASE_JSON_ESCAPE_H

#include "base/span.h"

/* A hexadecimal digit's value and 16, or 0. */
static inline unsigned json_hex_digit(uint8_t c)
{
    static const uint8_t digits[256] = {
        ['0'] = 16, ['1'] = 17, ['2'] = 18, ['3'] = 19, ['4'] = 20, ['5'] = 21,
        ['6'] = 22, ['7'] = 23, ['8'] = 24, ['9'] = 25, ['a'] = 26, ['b'] = 27,
        ['c'] = 28, ['d'] = 29, ['e'] = 30, ['f'] = 31, ['A'] = 26, ['B'] = 27,
        ['C'] = 28, ['D'] = 29, ['E'] = 30, ['F'] = 31,
    };

    return digits[c];
}

/* Of the escape at the start of `s`, or -1. */
static inline int32_t json_unicode_escape(struct span s)
{
    if (s.len < 6 || s.ptr[0] != '\\' || s.ptr[1] != 'u')
        return -1;
    unsigned a = json_hex_digit(s.ptr[2]), b = json_hex_digit(s.ptr[3]),
             c = json_hex_digit(s.ptr[4]), d = json_hex_digit(s.ptr[5]);
    if (!(a & b & c & d & 16))
        return -1;
    return (int32_t)((a & 15) << 12 | (b & 15) << 8 | (c & 15) << 4 | (d & 15));
}

/* How many bytes from `s` on are neither control character, quote nor backslash and, if `ascii`,
 * below 0x80. */
size_t json_plain_run(struct span s, bool ascii);

#endif
