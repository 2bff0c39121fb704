/* race.h - connect to the first of several addresses that answers (after RFC 8305 section 5): they
 * are tried in order, the next one as soon as one fails or has not answered for RACE_STAGGER_MS. */
#ifndef IO_RACE_H
#define IO_RACE_H

#include "io/loop.h"
#include "io/resolve.h"

enum { RACE_STAGGER_MS = 250 };

struct race;

/* Once, from the loop. fd: connected, non-blocking, the callee's; `which` of the addresses. -1:
 * none could be reached, ERR_IO or ERR_TIMEOUT, and why, which dies
 * with the race, is about the last that failed. */
typedef void race_fn(void *arg, int fd, unsigned which, enum err r, const struct why *why);

/* limit_ns: for each address. ERR_NOMEM. */
MUST_USE enum err race_new(struct loop *l, const struct resolved *to, uint64_t limit_ns,
                           race_fn *fn, void *arg, struct race **out);
/* Give up, or forget it after the callback; from inside the callback, too. NULL is fine. */
void race_free(struct race *r);

#endif
