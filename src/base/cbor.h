/* cbor.h - a pull cursor and a writer for the CBOR that the NSM speaks (RFC 8949).
 *
 * The cursor carries its error: after the first fault every call does nothing and returns zero
 * values, so a decoder is written straight down and checked once, at cbor_in_end(). Accepted:
 * minimal heads, definite lengths; a map may be of indefinite length only where the caller says so
 * (cbor_in_map_any). Refused: reserved and non-minimal heads, floats, other simple values, chunked
 * strings, trailing bytes, text that is not UTF-8. Nothing recurses but cbor_in_skip(), to
 * CBOR_DEPTH_MAX. Faults: `what` is one of "end of input", "type", "head", "length", "byte string"
 * (too long), "text string" (too long), "UTF-8", "integer", "tag", "array length", "map length",
 * "depth", "trailing bytes".
 */
#ifndef BASE_CBOR_H
#define BASE_CBOR_H

#include "base/buf.h"

enum { CBOR_DEPTH_MAX = 8 };

enum cbor_type {
    CBOR_UINT,
    CBOR_NINT,
    CBOR_BSTR,
    CBOR_TSTR,
    CBOR_ARRAY,
    CBOR_MAP,
    CBOR_TAG,
    CBOR_BOOL,
    CBOR_NULL,
    CBOR_BREAK, /* the end of an indefinite map */
    CBOR_OTHER, /* well formed, but nothing that we take */
    CBOR_NONE,  /* end of input, or the cursor has failed */
};

struct cbor_in {
    struct span in;
    size_t pos; /* of the next item; after a fault, of the item that is wrong */
    enum err err;
    const char *what; /* static text of the fault */
};

struct cbor_in cbor_in_init(struct span in);
/* The next item's type; consumes nothing. */
enum cbor_type cbor_in_peek(const struct cbor_in *c);

uint64_t cbor_in_uint(struct cbor_in *c, uint64_t max);
int64_t cbor_in_int(struct cbor_in *c);
bool cbor_in_bool(struct cbor_in *c);
/* True, and consumed, if the next item is null; false, and nothing consumed, otherwise. */
bool cbor_in_null_opt(struct cbor_in *c);
/* Views into the input, at most `max` bytes long: ERR_LIMIT otherwise. */
struct span cbor_in_bstr(struct cbor_in *c, size_t max);
struct span cbor_in_tstr(struct cbor_in *c, size_t max);
/* Heads of exactly `n` elements or pairs: ERR_MALFORMED otherwise. */
void cbor_in_array(struct cbor_in *c, uint64_t n);
void cbor_in_map(struct cbor_in *c, uint64_t n);
/* Head of at most `max` elements; returns how many follow. */
uint64_t cbor_in_array_upto(struct cbor_in *c, uint64_t max);
uint64_t cbor_in_map_upto(struct cbor_in *c, uint64_t max);

/* A map of definite or of indefinite length: real attestation documents have both since 2025.
 *     struct cbor_map m = cbor_in_map_any(&c, MAX);
 *     while (cbor_in_map_next(&c, &m)) { key; value; }
 */
struct cbor_map {
    uint64_t left; /* pairs still allowed */
    bool indefinite;
};
struct cbor_map cbor_in_map_any(struct cbor_in *c, uint64_t max);
bool cbor_in_map_next(struct cbor_in *c, struct cbor_map *m);

/* Consume tag `tag` if it is next; another tag is left for the next call to refuse. */
void cbor_in_tag_opt(struct cbor_in *c, uint64_t tag);
/* Consume one whole item of an accepted form, nested to CBOR_DEPTH_MAX, and return its bytes. */
struct span cbor_in_skip(struct cbor_in *c);
/* Set a fault of the caller's own at the current position, unless one is set. */
void cbor_in_fail(struct cbor_in *c, enum err r, const char *what);
/* The verdict: the first fault, or ERR_MALFORMED "trailing bytes", or ERR_OK. */
MUST_USE enum err cbor_in_end(struct cbor_in *c);

/* Writer: minimal heads, definite lengths unless cbor_out_map_begin(). Sticky like the cursor. */
struct cbor_out {
    struct buf *out;
    enum err err;
};

struct cbor_out cbor_out_init(struct buf *out);
void cbor_out_uint(struct cbor_out *w, uint64_t v);
void cbor_out_int(struct cbor_out *w, int64_t v);
void cbor_out_bool(struct cbor_out *w, bool v);
void cbor_out_null(struct cbor_out *w);
void cbor_out_bstr(struct cbor_out *w, struct span s);
void cbor_out_tstr(struct cbor_out *w, struct span s);
/* The head only: the bytes are appended to the buf by the caller. */
void cbor_out_bstr_head(struct cbor_out *w, uint64_t len);
void cbor_out_array(struct cbor_out *w, uint64_t n);
void cbor_out_map(struct cbor_out *w, uint64_t n);
void cbor_out_map_begin(struct cbor_out *w); /* indefinite, closed by ... */
void cbor_out_map_end(struct cbor_out *w);
void cbor_out_tag(struct cbor_out *w, uint64_t tag);
/* ERR_OK, or the first of ERR_LIMIT and ERR_NOMEM; then what was written is not to be used. */
MUST_USE enum err cbor_out_end(struct cbor_out *w);

#endif
