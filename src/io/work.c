#include "io/work.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    THREADS_MAX = 64,
    QUEUE_MAX = 1 << 20,
    TOLD_TOGETHER = 4, /* short jobs: about a millisecond */
    PATIENCE_FROM = 8, /* short jobs that each worker has before it: two milliseconds */
    PATIENCE_NS = 800000,
    STACK_BYTES = 512 * 1024, /* OpenSSL and getaddrinfo() use some tens of KiB */
};

struct worker {
    struct work_pool *pool;
    struct crypto *cx;
    pthread_t thread;
};

struct work_pool {
    /* Not libuv's uv_async_t: the loop spins until the worker that woke it has run on, which on
     * one core is a time slice. */
    int done_fd;
    struct loop *loop;
    struct loop_watch *watch;
    /* The loop's own. */
    unsigned in_flight, in_flight_max; /* accepted and not delivered: bounds the three arrays */
    struct work *batch;                /* being delivered */
    unsigned n_workers;
    /* Under the lock. */
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct work *queue; /* ring */
    unsigned head, queued;
    unsigned queued_short; /* of these */
    struct work *finished;
    unsigned n_finished;
    unsigned idle;
    bool told; /* the loop, of what is finished */
    bool stopping;
    struct worker workers[];
};

/* The count is far from its limit, so this cannot block, nor fail. */
static void wake_loop(struct work_pool *p)
{
    const uint64_t one = 1;

    while (write(p->done_fd, &one, sizeof one) < 0 && errno == EINTR) {
    }
}

/* Under the lock, which it gives up meanwhile: else the loop would wake up to wait for it. */
static void tell(struct work_pool *p)
{
    if (p->n_finished == 0 || p->told)
        return;
    p->told = true;
    (void)pthread_mutex_unlock(&p->lock);
    wake_loop(p);
    (void)pthread_mutex_lock(&p->lock);
}

/* Results wait for a few short jobs that are there already: to wake the loop for each of them, on a
 * core that it shares with a worker, costs a tenth of an RSA operation. */
static void run_one(struct work_pool *p, struct worker *w)
{
    struct work job = p->queue[p->head];
    p->head = (p->head + 1) % p->in_flight_max;
    p->queued--;
    p->queued_short -= job.is_short;
    if (!job.is_short)
        tell(p);

    (void)pthread_mutex_unlock(&p->lock);
    job.run(w->cx, job.arg);
    (void)pthread_mutex_lock(&p->lock);
    p->finished[p->n_finished++] = job;
    if (p->queued == 0 || p->n_finished >= TOLD_TOGETHER)
        tell(p);
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    struct work_pool *p = w->pool;

    (void)pthread_mutex_lock(&p->lock);
    for (;;) {
        if (p->queued > 0) {
            run_one(p, w);
            continue;
        }
        if (p->stopping)
            break;
        p->idle++;
        (void)pthread_cond_wait(&p->wake, &p->lock);
        p->idle--;
    }
    (void)pthread_mutex_unlock(&p->lock);
    return NULL;
}

static void deliver(struct work_pool *p)
{
    (void)pthread_mutex_lock(&p->lock);
    struct work *batch = p->finished;
    unsigned n = p->n_finished;
    p->finished = p->batch;
    p->n_finished = 0;
    p->told = false;
    (void)pthread_mutex_unlock(&p->lock);

    p->batch = batch;
    for (unsigned i = 0; i < n; i++) {
        p->in_flight--;
        batch[i].done(batch[i].arg);
    }
}

/* Reading first: what is finished after that tells again. */
static void on_done(void *arg)
{
    struct work_pool *p = arg;
    uint64_t count;

    (void)!read(p->done_fd, &count, sizeof count);
    deliver(p);
}

/* While every worker has plenty to do the loop need not look at once: on a core that it shares with
 * one, to be woken for every packet costs as much as to handle it. */
static uint64_t patience(void *arg)
{
    struct work_pool *p = arg;

    (void)pthread_mutex_lock(&p->lock);
    bool busy = p->queued_short / p->n_workers >= PATIENCE_FROM;
    (void)pthread_mutex_unlock(&p->lock);
    return busy ? PATIENCE_NS : 0;
}

static void free_all(struct work_pool *p)
{
    if (p->watch)
        loop_set_patience(p->loop, NULL, NULL);
    loop_watch_free(p->watch);
    for (unsigned i = 0; i < p->n_workers; i++)
        crypto_free(p->workers[i].cx);
    (void)pthread_cond_destroy(&p->wake);
    (void)pthread_mutex_destroy(&p->lock);
    free(p->queue);
    free(p->finished);
    free(p->batch);
    fd_close(&p->done_fd);
    free(p);
}

static enum err start_worker(struct worker *w)
{
    sigset_t all, before;
    pthread_attr_t attr;

    if (pthread_attr_init(&attr) != 0)
        return ERR_NOMEM;
    (void)pthread_attr_setstacksize(&attr, STACK_BYTES);
    /* Signals are the loop's. */
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int e = pthread_create(&w->thread, &attr, worker_main, w);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_attr_destroy(&attr);
    return e == 0 ? ERR_OK : ERR_LIMIT;
}

static void join(struct work_pool *p, unsigned n)
{
    (void)pthread_mutex_lock(&p->lock);
    p->stopping = true;
    (void)pthread_cond_broadcast(&p->wake);
    (void)pthread_mutex_unlock(&p->lock);
    for (unsigned i = 0; i < n; i++)
        (void)pthread_join(p->workers[i].thread, NULL);
}

static enum err start_all(struct work_pool *p)
{
    for (unsigned i = 0; i < p->n_workers; i++) {
        enum err r = start_worker(&p->workers[i]);
        if (r != ERR_OK) {
            join(p, i);
            return r;
        }
    }
    return ERR_OK;
}

static enum err make(unsigned threads, unsigned queue_max, struct work_pool **out)
{
    struct work_pool *p = calloc(1, sizeof(*p) + threads * sizeof(p->workers[0]));
    if (!p)
        return ERR_NOMEM;
    p->done_fd = -1;
    p->n_workers = threads;
    p->in_flight_max = threads + queue_max;
    p->queue = calloc(p->in_flight_max, sizeof(*p->queue));
    p->finished = calloc(p->in_flight_max, sizeof(*p->finished));
    p->batch = calloc(p->in_flight_max, sizeof(*p->batch));
    (void)pthread_mutex_init(&p->lock, NULL);
    (void)pthread_cond_init(&p->wake, NULL);
    enum err r = p->queue && p->finished && p->batch ? ERR_OK : ERR_NOMEM;
    for (unsigned i = 0; i < threads && r == ERR_OK; i++) {
        p->workers[i].pool = p;
        r = crypto_new(&p->workers[i].cx);
    }
    if (r != ERR_OK) {
        free_all(p);
        return r;
    }
    *out = p;
    return ERR_OK;
}

enum err work_pool_new(struct loop *l, unsigned threads, unsigned queue_max, struct work_pool **out)
{
    struct work_pool *p;

    if (threads == 0 || threads > THREADS_MAX || queue_max > QUEUE_MAX)
        return ERR_LIMIT;
    enum err r = make(threads, queue_max, &p);
    if (r != ERR_OK)
        return r;
    p->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    r = p->done_fd < 0 ? ERR_IO : loop_watch_new(l, p->done_fd, on_done, p, &p->watch);
    if (r == ERR_OK) {
        p->loop = l;
        loop_set_patience(l, patience, p);
        r = start_all(p);
    }
    if (r != ERR_OK) {
        free_all(p);
        return r;
    }
    *out = p;
    return ERR_OK;
}

enum err work_submit(struct work_pool *p, struct work w)
{
    if (p->stopping || p->in_flight == p->in_flight_max) /* written by this thread only */
        return ERR_LIMIT;
    p->in_flight++;
    (void)pthread_mutex_lock(&p->lock);
    p->queue[(p->head + p->queued) % p->in_flight_max] = w;
    p->queued++;
    p->queued_short += w.is_short;
    bool wake = p->idle > 0;
    (void)pthread_mutex_unlock(&p->lock);
    if (wake)
        (void)pthread_cond_signal(&p->wake);
    return ERR_OK;
}

unsigned work_queued(struct work_pool *p)
{
    (void)pthread_mutex_lock(&p->lock);
    unsigned n = p->queued;
    (void)pthread_mutex_unlock(&p->lock);
    return n;
}

void work_pool_free(struct work_pool *p)
{
    if (!p)
        return;
    join(p, p->n_workers);
    deliver(p);
    free_all(p);
}
