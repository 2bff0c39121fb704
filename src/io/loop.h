/* loop.h - one event loop: timers, signals, watched descriptors, deferred calls. libuv lives behind
 * this folder only.
 *
 * One thread owns a loop and everything made with it. Times are monotonic nanoseconds; timers have
 * the grain of a millisecond and are never early.
 */
#ifndef IO_LOOP_H
#define IO_LOOP_H

#include "io/sys.h"

struct loop;
struct loop_timer;
struct loop_watch;

typedef void loop_fn(void *arg);

/* ERR_NOMEM; ERR_IO: too few descriptors are left. */
MUST_USE enum err loop_new(struct loop **out);
/* Once, before it runs: from then on nothing that watches one of the first `files` descriptors
 * (fewer if the process may not have so many) asks for memory for libuv's table of them, for want
 * of which libuv would end the process. ERR_NOMEM, ERR_IO. */
MUST_USE enum err loop_reserve(struct loop *l, unsigned files);
/* Timers, watches and pools made with it must be freed before. Conns and listeners that are left
 * are dropped without a callback. NULL is fine. */
void loop_free(struct loop *l);
/* Until loop_stop() was called, which may also be before. */
void loop_run(struct loop *l);
void loop_stop(struct loop *l);
/* Asked before the loop waits for its descriptors: for how long it may leave them alone, so that
 * what comes meanwhile is dealt with at once together; 0: not at all. NULL: nobody is asked. */
typedef uint64_t loop_patience_fn(void *arg);
void loop_set_patience(struct loop *l, loop_patience_fn *fn, void *arg);
/* Monotonic, now. */
uint64_t loop_now_ns(const struct loop *l);

/* A timer that is not armed; loop_timer_free() disarms. Arming again moves it. Fires once. */
MUST_USE enum err loop_timer_new(struct loop *l, loop_fn *fn, void *arg, struct loop_timer **out);
void loop_timer_arm(struct loop_timer *t, uint64_t at_ns);
void loop_timer_disarm(struct loop_timer *t);
void loop_timer_free(struct loop_timer *t);

/* For the life of the loop. */
MUST_USE enum err loop_on_signal(struct loop *l, int signo, loop_fn *fn, void *arg);
/* Call when `fd` is readable (or at end of file, or broken); the descriptor stays the caller's and
 * must live longer than the watch. */
MUST_USE enum err loop_watch_new(struct loop *l, int fd, loop_fn *readable, void *arg,
                                 struct loop_watch **out);
void loop_watch_free(struct loop_watch *w);

#endif
