/* der.h - a cursor over strict DER (X.690 sections 8 and 10): definite lengths in the fewest bytes,
 * single-byte tags. Private to this folder; what KMS sends is BER and has its own reader in cms.
 *
 * Sticky: after the first fault every call gives an empty span, and der_end() tells. */
#ifndef CRYPTO_DER_H
#define CRYPTO_DER_H

#include "base/span.h"

enum {
    DER_BOOLEAN = 0x01,
    DER_INTEGER = 0x02,
    DER_BIT_STRING = 0x03,
    DER_SEQUENCE = 0x30,
};
/* Constructed and context-specific: [n]. */
#define DER_CONTEXT(n) (0xa0 | (n))

struct der {
    struct span rest;
    bool bad;
};

static inline struct der der_init(struct span in)
{
    return (struct der){ .rest = in };
}

/* Is the next element of this tag? */
bool der_peek(const struct der *d, unsigned tag);
/* The content of the next element, which has to be of this tag; and the same with its header. */
struct span der_take(struct der *d, unsigned tag);
struct span der_take_whole(struct der *d, unsigned tag);
/* The magnitude of a non-negative INTEGER of at most `max` bytes: big-endian, without leading
 * zeros (so zero is empty). */
struct span der_take_uint(struct der *d, size_t max);
/* A BIT STRING of whole bytes. */
struct span der_take_bits(struct der *d);
/* No fault so far, and nothing left. */
MUST_USE bool der_end(const struct der *d);

#endif
