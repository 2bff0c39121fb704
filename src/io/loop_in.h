/* loop_in.h - inside io: what the other files of this folder need of a loop. */
#ifndef IO_LOOP_IN_H
#define IO_LOOP_IN_H

#include <uv.h>

#include "io/loop.h"

enum { LOOP_SCRATCH_BYTES = 65536 };

/* A call that is wanted from the loop, outside every owner's own call. Embedded in its object. */
struct loop_defer {
    struct loop_defer *next;
    void (*fn)(struct loop_defer *d);
    bool queued;
};

/* Something that the loop drops without a word if it is still there in loop_free(). */
struct loop_member {
    struct loop_member *prev, *next;
    void (*drop)(struct loop_member *m);
};

uv_loop_t *loop_uv(struct loop *l);
/* Runs once, before the loop sleeps; queueing what is queued does nothing. */
void loop_defer(struct loop *l, struct loop_defer *d);
void loop_defer_cancel(struct loop *l, struct loop_defer *d);
void loop_join(struct loop *l, struct loop_member *m);
void loop_leave(struct loop_member *m);
/* loop_room.c. Memory for a table of so many descriptors, which the next libuv call of this thread
 * gets that makes it larger; then drop what it did not want. ERR_NOMEM. */
MUST_USE enum err loop_room_keep(unsigned files);
void loop_room_drop(void);
/* ERR_IO: there are not the descriptors that libuv opens for its first loop. */
MUST_USE enum err loop_room_files(void);
/* One buffer of LOOP_SCRATCH_BYTES for what is used up before the callback returns. */
uint8_t *loop_scratch(struct loop *l);
/* Milliseconds from the loop's own now to `at_ns`, rounded up; 0: it is past. */
uint64_t loop_ms_until(struct loop *l, uint64_t at_ns);
/* What uv_timer_start() gets: the same, at least 1. */
uint64_t loop_timeout_ms(struct loop *l, uint64_t at_ns);

#endif
