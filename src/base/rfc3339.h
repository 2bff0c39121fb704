/* rfc3339.h - "2026-01-02T03:04:05Z" and its kin, to unix time and back. */
#ifndef BASE_RFC3339_H
#define BASE_RFC3339_H

#include "base/span.h"

#define RFC3339_LAST_S INT64_C(253402300799) /* 9999-12-31T23:59:59Z */

/* RFC 3339 with any offset; fractions are dropped. ERR_MALFORMED. */
MUST_USE enum err rfc3339_parse(struct span s, int64_t *unix_s);
/* Exactly what rfc3339_write() writes: UTC, capitals, whole seconds. ERR_MALFORMED. */
MUST_USE enum err rfc3339_parse_plain(struct span s, int64_t *unix_s);
/* "2026-01-02T03:04:05Z", and with milliseconds "2026-01-02T03:04:05.678Z"; the first or last
 * second of the years 0 to 9999 for what is not in them. */
enum { RFC3339_BYTES = 21, RFC3339_MS_BYTES = 25 };
void rfc3339_write(int64_t unix_s, char out[static RFC3339_BYTES]);
void rfc3339_write_ms(int64_t unix_ms, char out[static RFC3339_MS_BYTES]);

#endif
