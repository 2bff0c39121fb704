/* err.h - how every function here fails.
 *
 * `enum err` says what the caller can do next; `struct why` says what was wrong, for our own
 * log and our own user. A remote peer gets the category, never `why`.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stddef.h>

#define MUST_USE __attribute__((warn_unused_result))
#define AUTO(fn) __attribute__((cleanup(fn)))

enum err {
    ERR_OK = 0,
    ERR_MORE,        /* incomplete, not wrong: call again when more bytes are there */
    ERR_MALFORMED,   /* the bytes are not of the accepted form */
    ERR_LIMIT,       /* well formed perhaps, but past one of our limits */
    ERR_UNSUPPORTED, /* a form, algorithm or operation that we do not take */
    ERR_VERIFY,      /* a signature, tag, chain or expected value does not hold */
    ERR_DENIED,      /* somebody with the right to refuse did so */
    ERR_CRYPTO,      /* the cryptographic library failed: could not tell, treat as refused */
    ERR_NOMEM,
    ERR_IO, /* descriptor, file or peer */
    ERR_TIMEOUT,
    ERR_INTERNAL, /* our own fault */
};

struct why {
    const char *what; /* static text, nothing secret and nothing of the peer's in it */
    size_t at;        /* byte offset in the input, 0 where it has no meaning */
};

/* Record the fault where the caller wants it recorded (`why` may be NULL) and hand `r` back. */
MUST_USE static inline enum err why_fail(struct why *why, enum err r, const char *what, size_t at)
{
    if (why)
        *why = (struct why){ .what = what, .at = at };
    return r;
}

/* "malformed", "timeout", ...: for logs. */
const char *err_name(enum err r);

#endif
