#include "testing/t.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "io/work.h"

enum { JOBS_MAX = 64 };

static struct loop *loop;
static pthread_t loop_thread;
static atomic_uint runs;
static unsigned dones, expected;
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static struct crypto *seen[JOBS_MAX];
static struct work_pool *pool_of_done;

static int make(void **state)
{
    (void)state;
    atomic_store(&runs, 0);
    dones = 0;
    expected = 0;
    loop_thread = pthread_self();
    return loop_new(&loop) == ERR_OK ? 0 : -1;
}

static int unmake(void **state)
{
    (void)state;
    loop_free(loop);
    return 0;
}

static void run(struct crypto *cx, void *arg)
{
    unsigned *slot = arg;
    assert_false(pthread_equal(pthread_self(), loop_thread));
    seen[*slot] = cx;
    atomic_fetch_add(&runs, 1);
}

static void run_behind_the_gate(struct crypto *cx, void *arg)
{
    pthread_mutex_lock(&gate);
    pthread_mutex_unlock(&gate);
    run(cx, arg);
}

static void done(void *arg)
{
    (void)arg;
    assert_true(pthread_equal(pthread_self(), loop_thread));
    if (++dones == expected)
        loop_stop(loop);
}

static unsigned slots[JOBS_MAX];

static struct work job(unsigned i, bool gated)
{
    slots[i] = i;
    return (struct work){ gated ? run_behind_the_gate : run, done, &slots[i], i % 3 == 0 };
}

static void all_are_done_on_the_loop(void **state)
{
    struct work_pool *p;
    (void)state;
    assert_int_equal(work_pool_new(loop, 3, JOBS_MAX, &p), ERR_OK);
    expected = JOBS_MAX;
    for (unsigned i = 0; i < JOBS_MAX; i++)
        assert_int_equal(work_submit(p, job(i, false)), ERR_OK);
    assert_int_equal(dones, 0); /* not from inside our own call */
    loop_run(loop);
    assert_int_equal(atomic_load(&runs), JOBS_MAX);
    for (unsigned i = 0; i < JOBS_MAX; i++)
        assert_non_null(seen[i]);
    work_pool_free(p);
    work_pool_free(NULL);
}

static void queue_at_its_limit(void **state)
{
    struct work_pool *p;
    (void)state;
    assert_int_equal(work_pool_new(loop, 1, 3, &p), ERR_OK);
    pthread_mutex_lock(&gate);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(work_submit(p, job(i, true)), ERR_OK);
    assert_int_equal(work_submit(p, job(4, true)), ERR_LIMIT);
    assert_true(work_queued(p) >= 3);
    expected = 4;
    pthread_mutex_unlock(&gate);
    loop_run(loop);
    assert_int_equal(work_queued(p), 0);
    expected = 5;
    assert_int_equal(work_submit(p, job(4, true)), ERR_OK);
    loop_run(loop);
    assert_int_equal(dones, 5);
    work_pool_free(p);
}

static void free_finishes_everything(void **state)
{
    struct work_pool *p;
    (void)state;
    assert_int_equal(work_pool_new(loop, 2, 20, &p), ERR_OK);
    for (unsigned i = 0; i < 20; i++)
        assert_int_equal(work_submit(p, job(i, false)), ERR_OK);
    work_pool_free(p);
    assert_int_equal(dones, 20);
    assert_int_equal(atomic_load(&runs), 20);
}

static void submit_again(void *arg)
{
    assert_int_equal(work_submit(pool_of_done, job(*(unsigned *)arg, false)), ERR_LIMIT);
    done(arg);
}

static void nothing_new_while_freeing(void **state)
{
    struct work w = job(0, false);
    (void)state;
    assert_int_equal(work_pool_new(loop, 1, 8, &pool_of_done), ERR_OK);
    w.done = submit_again;
    assert_int_equal(work_submit(pool_of_done, w), ERR_OK);
    work_pool_free(pool_of_done);
    assert_int_equal(dones, 1);
}

static void open_gate(void *arg)
{
    pthread_mutex_unlock(&gate);
    done(arg);
}

/* What is finished may wait for short jobs only: this long one ends when the loop has heard. */
static void told_before_a_long_one(void **state)
{
    struct work_pool *p;
    (void)state;
    assert_int_equal(work_pool_new(loop, 1, 8, &p), ERR_OK);
    pthread_mutex_lock(&gate);
    struct work brief = job(0, false), lengthy = job(1, true);
    brief.done = open_gate;
    brief.is_short = true;
    lengthy.is_short = false;
    assert_int_equal(work_submit(p, brief), ERR_OK);
    assert_int_equal(work_submit(p, lengthy), ERR_OK);
    expected = 2;
    loop_run(loop);
    assert_int_equal(dones, 2);
    work_pool_free(p);
}

static void sizes_refused(void **state)
{
    struct work_pool *p = NULL;
    (void)state;
    assert_int_equal(work_pool_new(loop, 0, 1, &p), ERR_LIMIT);
    assert_int_equal(work_pool_new(loop, 65, 1, &p), ERR_LIMIT);
    assert_null(p);
    assert_int_equal(work_pool_new(loop, 64, 1, &p), ERR_OK);
    work_pool_free(p);
}

#define WITH_LOOP(fn) cmocka_unit_test_setup_teardown(fn, make, unmake)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_LOOP(all_are_done_on_the_loop), WITH_LOOP(queue_at_its_limit),
        WITH_LOOP(free_finishes_everything), WITH_LOOP(nothing_new_while_freeing),
        WITH_LOOP(told_before_a_long_one),   WITH_LOOP(sizes_refused),
    };
    if (crypto_process_init() != ERR_OK)
        return 1;
    return cmocka_run_group_tests_name("io/work", tests, NULL, NULL);
}
