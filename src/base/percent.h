/* percent.h - percent-encoding (RFC 3986 section 2.1). */
#ifndef BASE_PERCENT_H
#define BASE_PERCENT_H

#include "base/buf.h"

/* A letter, a digit, or one of "-._~": what never needs to be encoded. */
bool percent_is_unreserved(uint8_t c);
/* Append `s` with all but unreserved characters encoded, in capitals. ERR_LIMIT, ERR_NOMEM: what
 * has been appended by then stays. */
MUST_USE enum err percent_append(struct buf *out, struct span s);
/* Take one character off the front of *s, which is not empty. -1: '%' without two hex digits. A '+'
 * is itself, not a blank. */
int percent_next(struct span *s);

#endif
