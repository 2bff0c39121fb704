/* base64_wide.h - the bulk of a base64 text, 32 characters at a time, where the processor has AVX2.
 * Internal to base64.
 *
 * The method is Mula and Lemire's "Faster Base64 Encoding and Decoding Using AVX2 Instructions"
 * (2018): arithmetic and shuffles of constants, so time depends on the length only.
 */
#ifndef BASE_BASE64_WIDE_H
#define BASE_BASE64_WIDE_H

#include "base/span.h"

/* Write the text of as many 3-byte groups of `in` as fit the method, and return how many bytes of
 * it that took: a multiple of 3, perhaps 0. `out` has room for the whole text. */
size_t base64_wide_encode(struct span in, uint8_t *out);
/* Write the bytes of as many 4-character groups as fit, and return how many characters that took: a
 * multiple of 4, perhaps 0. Sets *bad where one was not of the alphabet. `out` has room for the
 * bytes of `text`, which has no padding. */
size_t base64_wide_decode(struct span text, uint8_t *out, bool *bad);

#endif
