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
    bool is_short; /* below a millisecond: what is finished may wait for it before the loop hears */
};

/* Everything is allocated here; submitting cannot fail for want of memory. ERR_LIMIT: no thread or
 * too many. ERR_NOMEM, ERR_CRYPTO, ERR_IO. */
MUST_USE enum err work_pool_new(struct loop *l, unsigned threads, unsigned queue_max,
                                struct work_pool **out);
/* From the loop's thread. ERR_LIMIT: `threads` + `queue_max` are submitted and not done, or the
 * pool is being freed. */
MUST_USE enum err work_submit(struct work_pool *p, struct work w);
/* Waiting for a worker. */
unsigned work_queued(struct work_pool *p);
/* Finishes what runs and what is queued, then joins; `done` is called for all before it returns.
 * Not from inside a `done`. NULL is fine. */
void work_pool_free(struct work_pool *p);

#endif
