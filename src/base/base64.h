/* base64.h - RFC 4648 section 4: standard alphabet, padding required.
 *
 * Strict in: no line breaks, no other characters, canonical padding, unused bits zero; OpenSSL's
 * own decoder accepts `AA=A`, `A===` and stray bits. Decoding takes time that depends on the
 * length, and on validity only at the end.
 */
#ifndef BASE_BASE64_H
#define BASE_BASE64_H

#include "base/buf.h"

/* Characters that `n` bytes become, and the most bytes that `n` characters can become. */
#define BASE64_TEXT_BYTES(n) (((n) + 2) / 3 * 4)
#define BASE64_DATA_BYTES(n) ((n) / 4 * 3)

/* Append the text of `in`. ERR_LIMIT, ERR_NOMEM. */
MUST_USE enum err base64_append(struct buf *out, struct span in);
/* Append the bytes of `text`; the empty text is no bytes. ERR_MALFORMED: not canonical base64 (then
 * *out is as before and why->at is the offset of the first fault). ERR_LIMIT, ERR_NOMEM. */
MUST_USE enum err base64_parse(struct span text, struct buf *out, struct why *why);

#endif
