/* work.h - workers for what takes long (RSA, signatures, the NSM): a bounded queue, results
 * delivered on the loop. */
#ifndef IO_WORK_H
#define IO_WORK_H

#include "crypto/crypto.h"
#include "io/loop.h"

struct work_pool;

/* `run` on a worker, with that worker's own crypto contexts; then `done` on the loop. */
struct work {
    void (*run)(struct crypto *cx, void *arg);
    void (*done)(void *arg);
    void *arg;
};

MUST_USE enum err work_pool_new(struct loop *l, unsigned threads, unsigned queue_max,
                                struct work_pool **out);
/* ERR_LIMIT: the queue is full. */
MUST_USE enum err work_submit(struct work_pool *p, struct work w);
unsigned work_queued(const struct work_pool *p);
/* Finishes what runs and what is queued, then joins; `done` is called for all before it returns. */
void work_pool_free(struct work_pool *p);

#endif
