/* times.h - times as people give them. Pure. */
#ifndef BIN_NITROSEAL_TIMES_H
#define BIN_NITROSEAL_TIMES_H

#include "base/span.h"

/* RFC 3339 in UTC with whole seconds, or a plain number of unix seconds. ERR_MALFORMED. */
MUST_USE enum err times_parse(struct span text, int64_t *unix_s);

#endif
