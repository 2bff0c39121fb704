#include "testing/t.h"

#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/loop_in.h"

static struct loop *loop;
static char order[64];

static int make(void **state)
{
    (void)state;
    order[0] = 0;
    return loop_new(&loop) == ERR_OK ? 0 : -1;
}

static int unmake(void **state)
{
    (void)state;
    loop_free(loop);
    return 0;
}

static void note(void *arg)
{
    strcat(order, arg);
}

static void stop(void *arg)
{
    strcat(order, arg);
    loop_stop(loop);
}

static struct loop_timer *timer(loop_fn *fn, const char *name, uint64_t at_ns)
{
    struct loop_timer *t;
    assert_int_equal(loop_timer_new(loop, fn, (void *)(uintptr_t)name, &t), ERR_OK);
    if (at_ns)
        loop_timer_arm(t, at_ns);
    return t;
}

static void timers_in_order(void **state)
{
    (void)state;
    uint64_t now = loop_now_ns(loop);
    struct loop_timer *t[] = {
        timer(stop, "d", now + 12 * NS_PER_MS),
        timer(note, "b", now + 4 * NS_PER_MS),
        timer(note, "a", now),
        timer(note, "x", now + 2 * NS_PER_MS),
        timer(note, "c", now + 1 * NS_PER_MS),
    };
    loop_timer_disarm(t[3]);
    loop_timer_arm(t[4], now + 8 * NS_PER_MS);
    loop_run(loop);
    assert_string_equal(order, "abcd");
    assert_true(loop_now_ns(loop) >= now + 12 * NS_PER_MS);
    for (size_t i = 0; i < 5; i++)
        loop_timer_free(t[i]);
    loop_timer_free(NULL);
}

static void stop_before_run(void **state)
{
    (void)state;
    loop_stop(loop);
    loop_run(loop);
    /* And the stop is used up. */
    struct loop_timer *t = timer(stop, "s", loop_now_ns(loop) + NS_PER_MS);
    loop_run(loop);
    assert_string_equal(order, "s");
    loop_timer_free(t);
}

static struct loop_timer *self;

static void free_self(void *arg)
{
    strcat(order, arg);
    loop_timer_free(self);
}

static void timer_freed_in_its_callback(void **state)
{
    (void)state;
    uint64_t now = loop_now_ns(loop);
    struct loop_timer *end = timer(stop, "s", now + 3 * NS_PER_MS);
    self = timer(free_self, "f", now + NS_PER_MS);
    loop_run(loop);
    assert_string_equal(order, "fs");
    loop_timer_free(end);
}

static void signals_arrive(void **state)
{
    (void)state;
    assert_int_equal(loop_on_signal(loop, SIGUSR1, note, (void *)(uintptr_t) "1"), ERR_OK);
    assert_int_equal(loop_on_signal(loop, SIGUSR2, stop, (void *)(uintptr_t) "2"), ERR_OK);
    assert_int_equal(loop_on_signal(loop, SIGKILL, note, NULL), ERR_IO);
    kill(getpid(), SIGUSR1);
    kill(getpid(), SIGUSR2);
    loop_run(loop);
    assert_string_equal(order, "12");
}

static int pair[2];

static void read_byte(void *arg)
{
    char c;
    (void)arg;
    ssize_t n = read(pair[0], &c, 1);
    strcat(order, n == 1 ? (char[]){ c, 0 } : n == 0 ? "." : "!");
    if (n != 1)
        loop_stop(loop);
}

static void watch_until_the_end(void **state)
{
    struct loop_watch *w;
    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_int_equal(loop_watch_new(loop, pair[0], read_byte, NULL, &w), ERR_OK);
    assert_int_equal(write(pair[1], "ab", 2), 2);
    close(pair[1]);
    loop_run(loop);
    assert_string_equal(order, "ab.");
    loop_watch_free(w);
    close(pair[0]);
}

/* The peer leaves with unread bytes: an error on the socket must reach the owner too. */
static void watch_a_broken_socket(void **state)
{
    struct loop_watch *w;
    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_int_equal(loop_watch_new(loop, pair[0], read_byte, NULL, &w), ERR_OK);
    assert_int_equal(write(pair[0], "unread", 6), 6);
    close(pair[1]);
    loop_run(loop);
    assert_string_equal(order, "!");
    loop_watch_free(w);
    close(pair[0]);
}

struct call {
    struct loop_defer d;
    const char *name;
    struct call *next;
};

static void run_call(struct loop_defer *d)
{
    struct call *c = (struct call *)(void *)d;
    if (strlen(order) + strlen(c->name) < sizeof(order))
        strcat(order, c->name);
    if (c->next)
        loop_defer(loop, &c->next->d);
    else
        loop_stop(loop);
}

static void deferred_calls(void **state)
{
    struct call last = { { .fn = run_call }, "4", NULL };
    struct call third = { { .fn = run_call }, "3", &last };
    struct call second = { { .fn = run_call }, "2", &third };
    struct call first = { { .fn = run_call }, "1", &second };
    struct call never = { { .fn = run_call }, "x", NULL };
    struct call never_too = { { .fn = run_call }, "y", NULL };
    (void)state;

    loop_defer(loop, &never.d);
    loop_defer(loop, &first.d);
    loop_defer(loop, &first.d); /* once */
    loop_defer(loop, &never_too.d);
    loop_defer_cancel(loop, &never.d);
    loop_defer_cancel(loop, &never_too.d);
    loop_defer_cancel(loop, &never_too.d);
    loop_run(loop);
    assert_string_equal(order, "1234");
}

static unsigned rounds;

static void again(struct loop_defer *d)
{
    rounds++;
    loop_defer(loop, d);
}

/* A call that always queues itself must not keep timers from firing. */
static void deferred_calls_leave_room(void **state)
{
    struct loop_defer busy = { .fn = again };
    (void)state;
    rounds = 0;
    loop_defer(loop, &busy);
    struct loop_timer *t = timer(stop, "t", loop_now_ns(loop) + 5 * NS_PER_MS);
    loop_run(loop);
    assert_true(rounds > 2);
    loop_defer_cancel(loop, &busy);
    loop_timer_free(t);
}

static void arm_for_the_past(void *arg)
{
    (void)arg;
    rounds++;
    loop_timer_arm(self, 1);
}

/* Nor one that is always due. */
static void timers_leave_room(void **state)
{
    struct call last = { { .fn = run_call }, "c", NULL };
    (void)state;
    rounds = 0;
    self = timer(arm_for_the_past, "", 1);
    while (rounds < 3) {
        loop_defer(loop, &last.d);
        loop_run(loop);
    }
    loop_timer_free(self);
}

static uint64_t pauses[] = { 20 * NS_PER_MS, 0, 0 };

static uint64_t next_pause(void *arg)
{
    unsigned *asked = arg;
    return pauses[*asked < 2 ? (*asked)++ : 2];
}

/* What comes meanwhile is seen after the pause, and one that is no longer set is not asked. */
static void patience(void **state)
{
    (void)state;
    unsigned asked = 0;
    struct loop_watch *w;
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    assert_int_equal(loop_watch_new(loop, ends[0], stop, "r", &w), ERR_OK);
    assert_int_equal(write(ends[1], "x", 1), 1);
    loop_set_patience(loop, next_pause, &asked);
    uint64_t start = clock_mono_ns();
    loop_run(loop);
    assert_true(clock_mono_ns() - start >= pauses[0]);
    assert_int_equal(asked, 1);
    loop_set_patience(loop, NULL, NULL);
    loop_run(loop);
    assert_int_equal(asked, 1);
    assert_string_equal(order, "rr");
    loop_watch_free(w);
    close(ends[0]);
    close(ends[1]);
}

#define WITH_LOOP(fn) cmocka_unit_test_setup_teardown(fn, make, unmake)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_LOOP(timers_in_order),
        WITH_LOOP(stop_before_run),
        WITH_LOOP(timer_freed_in_its_callback),
        WITH_LOOP(signals_arrive),
        WITH_LOOP(watch_until_the_end),
        WITH_LOOP(watch_a_broken_socket),
        WITH_LOOP(deferred_calls),
        WITH_LOOP(deferred_calls_leave_room),
        WITH_LOOP(timers_leave_room),
        WITH_LOOP(patience),
    };
    return cmocka_run_group_tests_name("io/loop", tests, NULL, NULL);
}
