/* buf.h - owned bytes that cannot grow past the maximum they were born with.
 *
 * A buf always wipes what it leaves behind (on growth, consume, reset and clear), because we rarely
 * know what went through it. The exception is a buf whose owner does know that it holds what
 * anybody may read (ciphertext, in megabytes), and says so by `is_public`: until it is cleared
 * nothing of it is wiped. The zero value is a valid buf of maximum 0, and so is a cleared one.
 * Spans of a buf die at the next call that may grow, consume or clear it.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/span.h"

struct buf {
    uint8_t *ptr;
    size_t len, cap, max;
    size_t used;    /* of cap: what may hold something, and is wiped in the end */
    bool is_public; /* of now and of all that is still to come */
};

#define BUF_INIT(max_bytes) ((struct buf){ .max = (max_bytes) })

/* Wipe and free; the maximum stays, so the buf can be used again. */
void buf_clear(struct buf *b);
/* Wipe the content and keep the memory. */
void buf_reset(struct buf *b);

/* Room for `n` more bytes at *out (uninitialised); they count only after buf_commit().
 * ERR_LIMIT: past the maximum. ERR_NOMEM. On failure the buf is as before. */
MUST_USE enum err buf_reserve(struct buf *b, size_t n, uint8_t **out);
/* Memory for `n` more bytes, and nothing of it handed out: what is not written to costs neither
 * pages of the system nor the time to wipe it. Failures as buf_reserve(). */
MUST_USE enum err buf_make_room(struct buf *b, size_t n);
/* The first `n` reserved bytes are there now. */
void buf_commit(struct buf *b, size_t n);

/* ERR_LIMIT, ERR_NOMEM as buf_reserve(); on failure nothing was appended. */
MUST_USE enum err buf_append(struct buf *b, struct span s);
MUST_USE enum err buf_append_byte(struct buf *b, uint8_t c);
MUST_USE enum err buf_append_str(struct buf *b, const char *s);
MUST_USE enum err buf_append_uint(struct buf *b, uint64_t v); /* in decimal */
MUST_USE enum err buf_printf(struct buf *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Remove the first `n` bytes (all if n > len); what they held is wiped. */
void buf_consume(struct buf *b, size_t n);
/* Keep the first `n` bytes only; what followed is wiped. */
void buf_truncate(struct buf *b, size_t n);

/* A NUL after the content, not counted in len: for paths and messages. NULL when there is no room.
 */
MUST_USE const char *buf_cstr(struct buf *b);

static inline struct span buf_view(const struct buf *b)
{
    return (struct span){ b->ptr, b->len };
}

/* Hand over: returns the buf and leaves the source empty, with the same maximum. */
struct buf buf_take(struct buf *b);

#endif
