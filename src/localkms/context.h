/* context.h - the encryption context of a request: a map of strings, in canonical form.
 *
 * Source: kms-recipient reference section 4: order does not matter, names and values match exactly
 * and with case; a number, true or false counts as its text. Bound to a ciphertext as additional
 * data in this form: the number of pairs, then for each, in the byte order of the names, length and
 * bytes of name and of value; numbers are 32 bits, big-endian.
 */
#ifndef LOCALKMS_CONTEXT_H
#define LOCALKMS_CONTEXT_H

#include "localkms/input.h"

enum { CONTEXT_PAIRS_MAX = 128, CONTEXT_CANONICAL_MAX_BYTES = INPUT_BODY_MAX_BYTES };

struct context_pair {
    struct span name, value;
};

struct context {
    struct context_pair pairs[CONTEXT_PAIRS_MAX]; /* sorted by name */
    size_t n;
    struct buf scratch; /* what had escapes */
};

void context_clear(struct context *c);
/* `object`: the member's bytes, or absent for none. Spans point into it or into *out. ERR_DENIED:
 * *f; too many pairs are a ValidationException. Release with context_clear() also after a failure.
 */
MUST_USE enum err context_parse(struct span object, struct context *out, struct fault *f);
/* Append the canonical form. ERR_LIMIT, ERR_NOMEM. */
MUST_USE enum err context_canonical(const struct context *c, struct buf *out);

#endif
