/* loop.h - one event loop: timers, signals, watched descriptors, deferred calls. libuv lives behind
 * this folder only. */
#ifndef IO_LOOP_H
#define IO_LOOP_H

#include "io/sys.h"

struct loop;
struct loop_timer;
struct loop_watch;

typedef void loop_fn(void *arg);

MUST_USE enum err loop_new(struct loop **out);
void loop_free(struct loop *l); /* everything made with it must be freed before */
/* Until loop_stop() was called. */
void loop_run(struct loop *l);
void loop_stop(struct loop *l);
/* Monotonic, read when the loop woke up. */
uint64_t loop_now_ns(const struct loop *l);

/* A timer that is not armed; loop_timer_free() disarms. Arming again moves it. */
MUST_USE enum err loop_timer_new(struct loop *l, loop_fn *fn, void *arg, struct loop_timer **out);
void loop_timer_arm(struct loop_timer *t, uint64_t at_ns);
void loop_timer_disarm(struct loop_timer *t);
void loop_timer_free(struct loop_timer *t);

MUST_USE enum err loop_on_signal(struct loop *l, int signo, loop_fn *fn, void *arg);
/* Call when `fd` is readable; the descriptor stays the caller's. */
MUST_USE enum err loop_watch_new(struct loop *l, int fd, loop_fn *readable, void *arg,
                                 struct loop_watch **out);
void loop_watch_free(struct loop_watch *w);

#endif
