/* rfc3339.h - "2026-01-02T03:04:05Z" and its kin, to unix time and back. */
#ifndef BASE_RFC3339_H
#define BASE_RFC3339_H

#include "base/span.h"

/* RFC 3339 with any offset; fractions are dropped. ERR_MALFORMED. */
MUST_USE enum err rfc3339_parse(struct span s, int64_t *unix_s);
/* In UTC; "" for 0 and before (not known), and for what has no year of four digits. */
enum { RFC3339_BYTES = 32 };
void rfc3339_write(int64_t unix_s, char out[static RFC3339_BYTES]);

#endif
