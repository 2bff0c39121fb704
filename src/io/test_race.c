#include "io/t_peer.h"

#include <netinet/in.h>
#include <unistd.h>

#include "io/race.h"

static struct race *race;
static struct {
    unsigned calls, which;
    int fd;
    enum err r;
    const char *what;
    uint64_t ns; /* from the start */
} told;
static uint64_t began_ns;
static int hole[2]; /* a listener that accepts nothing, and what fills its queue */

static void on_end(void *arg, int fd, unsigned which, enum err r, const struct why *why)
{
    (void)arg;
    told.calls++;
    told.fd = fd;
    told.which = which;
    told.r = r;
    told.what = why->what;
    told.ns = clock_mono_ns() - began_ns;
    race_free(race);
    race = NULL;
}

static int make(void **state)
{
    memset(&told, 0, sizeof(told));
    told.fd = hole[0] = hole[1] = -1;
    race = NULL;
    return bench_make(state);
}

static int unmake(void **state)
{
    race_free(race);
    fd_close(&told.fd);
    fd_close(&hole[0]);
    fd_close(&hole[1]);
    return bench_unmake(state);
}

static unsigned listening(void)
{
    struct addr at = tcp_addr(0);
    bench_listen(&at, NULL, 64, 4, false);
    return listener_port(bench.listener);
}

/* The port of a listener that does not answer: its queue is full, so SYNs are dropped. */
static unsigned silent(void)
{
    const struct addr at = tcp_addr(0);
    struct sockaddr_in in;
    socklen_t len = sizeof(in);

    hole[0] = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(hole[0], (const struct sockaddr *)&at.tcp, at.tcp_len), 0);
    assert_int_equal(listen(hole[0], 0), 0);
    assert_int_equal(getsockname(hole[0], (struct sockaddr *)&in, &len), 0);
    hole[1] = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(hole[1], (struct sockaddr *)&in, len), 0);
    return ntohs(in.sin_port);
}

static void go_to(const struct resolved *to, uint64_t limit_ns)
{
    began_ns = clock_mono_ns();
    assert_int_equal(race_new(bench.loop, to, limit_ns, on_end, NULL, &race), ERR_OK);
    assert_int_equal(told.calls, 0);
    UNTIL(told.calls);
    assert_int_equal(told.calls, 1);
}

static void go(unsigned a, unsigned b, uint64_t limit_ns)
{
    struct resolved to = { .n = b ? 2 : 1 };

    to.list[0] = tcp_addr(a);
    to.list[1] = tcp_addr(b);
    go_to(&to, limit_ns);
}

static void the_first_answers(void **state)
{
    (void)state;
    go(listening(), 1, 5 * NS_PER_S);
    assert_int_equal(told.r, ERR_OK);
    assert_int_equal(told.which, 0);
    assert_int_equal(write(told.fd, "x", 1), 1);
    UNTIL(bench.n_peers == 1 && bench.peers[0].got.len == 1);
}

static void the_next_when_some_refuse(void **state)
{
    (void)state;
    struct resolved to = { .n = RESOLVE_MAX };

    for (unsigned i = 0; i < RESOLVE_MAX - 1; i++)
        to.list[i] = tcp_addr(1);
    to.list[RESOLVE_MAX - 1] = tcp_addr(listening());
    go_to(&to, 20 * NS_PER_S);
    assert_int_equal(told.r, ERR_OK);
    assert_int_equal(told.which, RESOLVE_MAX - 1);
    /* Each at once: less than all the pauses together, however busy the machine. */
    assert_true(told.ns < (RESOLVE_MAX - 1) * RACE_STAGGER_MS * NS_PER_MS);
}

static void the_next_when_one_is_silent(void **state)
{
    (void)state;
    go(silent(), listening(), 20 * NS_PER_S);
    assert_int_equal(told.r, ERR_OK);
    assert_int_equal(told.which, 1);
    assert_true(told.ns >= RACE_STAGGER_MS * NS_PER_MS && told.ns < 19 * NS_PER_S);
}

static void all_refuse(void **state)
{
    (void)state;
    go(1, 2, 5 * NS_PER_S);
    assert_int_equal(told.r, ERR_IO);
    assert_string_equal(told.what, "connection refused");
    assert_int_equal(told.fd, -1);
}

static void nobody_answers_in_time(void **state)
{
    (void)state;
    go(silent(), 0, 100 * NS_PER_MS);
    assert_int_equal(told.r, ERR_TIMEOUT);
    assert_string_equal(told.what, "timed out");
    assert_true(told.ns >= 100 * NS_PER_MS);
}

static void given_up(void **state)
{
    const struct resolved to = { .n = 1, .list = { tcp_addr(silent()) } };
    (void)state;
    assert_int_equal(race_new(bench.loop, &to, NS_PER_S, on_end, NULL, &race), ERR_OK);
    race_free(race); /* before it began */
    assert_int_equal(race_new(bench.loop, &to, NS_PER_S, on_end, NULL, &race), ERR_OK);
    bench_tick();
    race_free(race); /* and while it runs */
    race = NULL;
    bench_tick();
    assert_int_equal(told.calls, 0);
}

#define ROW(fn) cmocka_unit_test_setup_teardown(fn, make, unmake)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(the_first_answers), ROW(the_next_when_some_refuse), ROW(the_next_when_one_is_silent),
        ROW(all_refuse),        ROW(nobody_answers_in_time),    ROW(given_up),
    };
    return cmocka_run_group_tests_name("io_race", tests, NULL, NULL);
}
