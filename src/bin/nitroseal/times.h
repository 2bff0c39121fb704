/* times.h - times as people write them: RFC 3339 in UTC, whole seconds. Pure. */
#ifndef BIN_NITROSEAL_TIMES_H
#define BIN_NITROSEAL_TIMES_H

#include "base/span.h"

enum { TIMES_BYTES = 21 };                /* "2026-01-02T03:04:05Z" and its NUL */
#define TIMES_MAX_S INT64_C(253402300799) /* the last second of the year 9999 */

void times_write(int64_t unix_s, char out[static TIMES_BYTES]);
/* That form, or a plain number of unix seconds. ERR_MALFORMED. */
MUST_USE enum err times_parse(struct span text, int64_t *unix_s);

#endif
