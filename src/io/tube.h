/* tube.h - bytes from one socket to another: through a pipe with splice(2), so that they are not
 * copied here, or through a buffer where the kernel cannot (or no pipe is to be had).
 *
 * A tube holds memory only while bytes are in it: pipes and buffers come from a pool that its owner
 * shares between all its tubes, so thousands of idle relays cost nothing.
 */
#ifndef IO_TUBE_H
#define IO_TUBE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum {
    TUBE_PIPE_BYTES = 1 << 20,     /* asked for; the kernel may give less */
    TUBE_PIPE_MIN_BYTES = 1 << 16, /* less than this: a buffer does better */
    TUBE_BUFFER_BYTES = 1 << 16,
    TUBE_SPARE_MAX = 32, /* empty pipes that are kept */
};

struct tubes; /* the pool */

/* pipes_max: at most so many at once; beyond that buffers are used. 0: buffers only. ERR_NOMEM. */
MUST_USE enum err tubes_new(unsigned pipes_max, struct tubes **out);
/* All its tubes must be empty or dropped. NULL is fine. */
void tubes_free(struct tubes *t);

struct tube {                 /* the zero value is an empty one */
    struct tube_store *store; /* NULL: nothing is in it */
    size_t held;
    bool no_splice; /* use a buffer: one of the two cannot, or its owner says so */
};

enum tube_got {
    TUBE_MOVED,
    TUBE_AGAIN, /* wait until the socket is ready */
    TUBE_EOF,
    TUBE_BROKEN, /* *what says why */
};

/* From the socket into an empty tube. *n: bytes. */
MUST_USE enum tube_got tube_fill(struct tubes *pool, struct tube *t, int fd, size_t *n,
                                 const char **what);
/* What the tube holds to the socket; all of it or a part. */
MUST_USE enum tube_got tube_drain(struct tubes *pool, struct tube *t, int fd, size_t *n,
                                  const char **what);
/* Throw away what it holds. */
void tube_drop(struct tubes *pool, struct tube *t);

#endif
