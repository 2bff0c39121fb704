/* span.h - a borrowed view of bytes, passed by value.
 *
 * A span dies with what it points into. {NULL, 0} is the absent span, {ptr, 0} an empty one that is
 * there; both compare equal to an empty span.
 */
#ifndef BASE_SPAN_H
#define BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"

struct span {
    const uint8_t *ptr;
    size_t len;
};

#define SPAN_EMPTY ((struct span){ NULL, 0 })
/* The bytes of a string literal without its NUL. */
#define SPAN_LIT(s) ((struct span){ (const uint8_t *)("" s), sizeof(s) - 1 })
/* The same where C wants a constant: the initialiser of a static object. */
#define SPAN_INIT(s)                                                                               \
    {                                                                                              \
        (const uint8_t *)("" s), sizeof(s) - 1                                                     \
    }
/* The bytes of an array (not of a pointer). */
#define SPAN_ARRAY(a) ((struct span){ (const uint8_t *)(a), sizeof(a) })

static inline struct span span_of(const void *ptr, size_t len)
{
    return (struct span){ (const uint8_t *)ptr, len };
}

/* A NUL-terminated string; NULL gives the absent span. */
static inline struct span span_str(const char *s)
{
    return s ? span_of(s, strlen(s)) : SPAN_EMPTY;
}

static inline bool span_eq(struct span a, struct span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool span_is(struct span a, const char *s)
{
    return span_eq(a, span_str(s));
}

/* ASCII only, as HTTP header names need it. */
bool span_eq_nocase(struct span a, struct span b);
bool span_starts(struct span a, const char *prefix);

/* Bytes from `at` on, at most `len` of them; past the end gives an empty span. */
static inline struct span span_sub(struct span a, size_t at, size_t len)
{
    if (at > a.len)
        at = a.len;
    if (len > a.len - at)
        len = a.len - at;
    return (struct span){ a.ptr ? a.ptr + at : NULL, len };
}

static inline struct span span_from(struct span a, size_t at)
{
    return span_sub(a, at, SIZE_MAX);
}

/* Index of the first `c`, or a.len. */
size_t span_find(struct span a, uint8_t c);

/* Without spaces and tabs at both ends. */
struct span span_trim(struct span a);

/* Cut `*rest` at the first `c`: returns what stands before it and leaves what follows in `*rest`.
 * Without a `c` returns all of it and leaves an absent span. */
struct span span_cut(struct span *rest, uint8_t c);

/* Decimal digits only, at least one, no sign; ERR_LIMIT past `max`. *out untouched on failure. */
MUST_USE enum err span_to_u64(struct span a, uint64_t max, uint64_t *out);
/* The other way round: the digits, at the end of `room`. */
enum { DECIMAL_BYTES = 20 }; /* 2^64 - 1 has 20 digits */
struct span span_of_u64(uint64_t v, uint8_t room[static DECIMAL_BYTES]);

/* Well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms, at most U+10FFFF). */
bool span_is_utf8(struct span a);
/* Bytes of the one well-formed sequence at the start of `a`; 0: there is none. */
size_t span_utf8_sequence(struct span a);

/* Bytes of well-formed sequences of two bytes and more at the start of `a`, up to ASCII or a fault.
 */
size_t span_utf8_run(struct span a);

/* Equal, in time that depends on the lengths only. */
bool ct_eq(struct span a, struct span b);

/* Overwrite in a way that the compiler may not drop. */
static inline void wipe(void *p, size_t len)
{
    if (len)
        explicit_bzero(p, len);
}

#endif
