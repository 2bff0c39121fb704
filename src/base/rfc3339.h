/* rfc3339.h - "2026-01-02T03:04:05Z" and its kin, to unix time. */
#ifndef BASE_RFC3339_H
#define BASE_RFC3339_H

#include "base/span.h"

/* RFC 3339 with any offset; fractions are dropped. ERR_MALFORMED. */
MUST_USE enum err rfc3339_parse(struct span s, int64_t *unix_s);

#endif
