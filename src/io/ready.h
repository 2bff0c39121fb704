/* ready.h - told when a descriptor can be read or written: what a relay needs that moves bytes
 * itself. The descriptor stays the caller's; free the watch before closing it. */
#ifndef IO_READY_H
#define IO_READY_H

#include "io/loop.h"

struct ready;

/* A broken descriptor is told as both: the next call on it says what is wrong. */
typedef void ready_fn(void *arg, bool readable, bool writable);

/* Watches nothing until ready_want(). ERR_NOMEM, ERR_IO. */
MUST_USE enum err ready_new(struct loop *l, int fd, ready_fn *fn, void *arg, struct ready **out);
/* Told again and again for as long as it is so. Neither: nothing is told. */
void ready_want(struct ready *r, bool readable, bool writable);
/* NULL is fine. Also from inside its own callback. */
void ready_free(struct ready *r);

#endif
