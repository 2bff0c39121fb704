/* secret.h - key material and credentials: own pages, locked, not dumped, not inherited, wiped.
 *
 * Only secret_view() turns a secret into a span, so `grep secret_view` is the audit. Locking is
 * best effort (RLIMIT_MEMLOCK may be small on a laptop; an enclave has no swap); wiping and keeping
 * out of dumps are not. The zero value is an empty secret. A few wiped pages are kept for the next
 * ones.
 */
#ifndef BASE_SECRET_H
#define BASE_SECRET_H

#include "base/span.h"

enum { SECRET_MAX_BYTES = 65536 };

struct secret {
    uint8_t *ptr; /* start of its own pages */
    size_t len;   /* bytes in use */
    size_t cap;   /* bytes mapped */
};

/* A secret of `len` zero bytes, to be filled through `ptr`. ERR_LIMIT past SECRET_MAX_BYTES,
 * ERR_NOMEM. *out is untouched on failure; what it held before is not freed. */
MUST_USE enum err secret_new(size_t len, struct secret *out);
/* The same, filled from `s`; the caller wipes its own copy. */
MUST_USE enum err secret_copy(struct span s, struct secret *out);
/* Give up bytes at the end (wiped); `len` must not be more than now. */
void secret_shorten(struct secret *s, size_t len);
/* Wipe, unmap, and leave the zero value. */
void secret_clear(struct secret *s);
/* Hand over: returns the secret and leaves the zero value. */
struct secret secret_take(struct secret *s);

static inline struct span secret_view(const struct secret *s)
{
    return (struct span){ s->ptr, s->len };
}

#endif
