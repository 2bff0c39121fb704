#include "io/t_peer.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { IN_MAX = 4096 };

static unsigned fail_at; /* this one of the next calls of calloc; 0: none */

void *__real_calloc(size_t n, size_t bytes);
void *__wrap_calloc(size_t n, size_t bytes);

void *__wrap_calloc(size_t n, size_t bytes)
{
    return fail_at && --fail_at == 0 ? NULL : __real_calloc(n, bytes);
}

static void listener_at_its_limit(void **state)
{
    struct peer p[4];
    struct addr at = unix_addr("s");
    (void)state;
    bench_listen(&at, NULL, IN_MAX, 2, true);
    for (unsigned i = 0; i < 4; i++)
        peer_connect(&p[i], &at, NULL, IN_MAX);
    UNTIL(bench.n_peers == 2 && bench.n_over == 2);
    assert_int_equal(listener_conns(bench.listener), 2);
    UNTIL(bench.over[0].opens == 1);
    peer_send(&bench.over[0], SPAN_LIT("busy"));
    UNTIL(p[2].got.len == 4);
    /* `over` has its own limit: the fifth is closed at once. */
    struct peer fifth;
    peer_connect(&fifth, &at, NULL, IN_MAX);
    UNTIL(fifth.eofs == 1);
    peer_done(&fifth);
    /* A place is free again. */
    peer_done(&p[0]);
    peer_close(&bench.peers[0]);
    UNTIL(bench.peers[0].closes);
    assert_int_equal(listener_conns(bench.listener), 1);
    peer_connect(&p[0], &at, NULL, IN_MAX);
    UNTIL(bench.n_peers == 3);
    for (unsigned i = 0; i < 4; i++)
        peer_done(&p[i]);
}

static void over_without_an_owner_is_closed(void **state)
{
    struct peer a, b;
    (void)state;
    struct addr to = listen_kind("unix", IN_MAX, 1);
    peer_connect(&a, &to, NULL, IN_MAX);
    peer_connect(&b, &to, NULL, IN_MAX);
    UNTIL(b.eofs == 1);
    assert_int_equal(bench.n_peers, 1);
    peer_done(&a);
    peer_done(&b);
}

static void close_at_once(struct conn *c, void *arg)
{
    (void)arg;
    conn_close(c);
}

/* An owner that has no memory for its own part closes before it has named its events. */
static void conn_of_nobody(void **state)
{
    const struct listener_options o = { .conn = { .in_max = IN_MAX },
                                        .max = 4,
                                        .accepted = close_at_once };
    struct addr at = unix_addr("s");
    struct peer p;
    (void)state;

    assert_int_equal(listener_new(bench.loop, &at, &o, &bench.listener, NULL), ERR_OK);
    peer_connect(&p, &at, NULL, IN_MAX);
    UNTIL(p.eofs == 1);
    peer_done(&p);
}

static void listener_freed_before_its_conns(void **state)
{
    struct peer p;
    struct stat st;
    (void)state;
    bench.echo = true;
    struct addr to = listen_kind("unix", IN_MAX, 4);
    peer_connect(&p, &to, NULL, IN_MAX);
    UNTIL(bench.n_peers == 1);
    listener_free(bench.listener);
    bench.listener = NULL;
    assert_int_equal(stat(bench_path("s"), &st), -1);
    peer_send(&p, SPAN_LIT("still here"));
    UNTIL(p.got.len == 10);
    peer_done(&p);
    connect_fails(&to, 0, ERR_IO, "nobody listens: no such socket");
}

/* Another process has taken the path: its file stays. */
static void listener_removes_only_its_own(void **state)
{
    struct addr at = unix_addr("s");
    int other = -1;
    (void)state;
    bench_listen(&at, NULL, IN_MAX, 1, false);
    unlink(bench_path("s"));
    assert_int_equal(addr_listen(&at, 1, &other, NULL), ERR_OK);
    listener_free(bench.listener);
    bench.listener = NULL;
    assert_int_equal(access(bench_path("s"), F_OK), 0);
    close(other);
}

static void listen_twice(void **state)
{
    struct addr at = unix_addr("s");
    const struct listener_options o = { .max = 1 };
    struct listener *second = NULL;
    struct why why = { 0 };
    (void)state;
    bench_listen(&at, NULL, IN_MAX, 1, false);
    assert_int_equal(listener_new(bench.loop, &at, &o, &second, &why), ERR_IO);
    assert_string_equal(why.what, "address already in use");
    assert_null(second);
}

/* Without memory for one there is none, and no file that says otherwise. */
static void out_of_memory(void **state)
{
    struct addr at = unix_addr("s");
    const struct listener_options o = { .max = 1 };
    enum err r = ERR_NOMEM;
    unsigned n = 0;
    (void)state;
    while (r != ERR_OK && n < 100) {
        struct why why = { 0 };
        fail_at = ++n;
        r = listener_new(bench.loop, &at, &o, &bench.listener, &why);
        fail_at = 0;
        assert_int_equal(access(bench_path("s"), F_OK), r == ERR_OK ? 0 : -1);
        assert_true(r == ERR_OK || why.what);
    }
    assert_in_range(n, 3, 99); /* listener and acceptor, at least */
}

/* Without descriptors the listener waits, and nobody who waits in the backlog is lost. */
static void out_of_descriptors(void **state)
{
    struct rlimit was, low;
    struct addr at = unix_addr("s");
    int client = -1;
    (void)state;
    if (t_under_valgrind()) /* which keeps a limit of its own */
        skip();
    bench_listen(&at, NULL, IN_MAX, 4, false);
    assert_int_equal(addr_connect(&at, 0, &client, NULL), ERR_OK);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
    low = was;
    low.rlim_cur = (rlim_t)client + 1; /* all below are in use */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    for (unsigned i = 0; i < 5; i++)
        bench_tick();
    assert_int_equal(bench.n_peers, 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
    UNTIL(bench.n_peers == 1);
    close(client);
    UNTIL(bench.peers[0].eofs == 1);
}

#define ON_BENCH(fn) cmocka_unit_test_setup_teardown(fn, bench_make, bench_unmake)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BENCH(listener_at_its_limit),
        ON_BENCH(over_without_an_owner_is_closed),
        ON_BENCH(conn_of_nobody),
        ON_BENCH(listener_freed_before_its_conns),
        ON_BENCH(listener_removes_only_its_own),
        ON_BENCH(listen_twice),
        ON_BENCH(out_of_memory),
        ON_BENCH(out_of_descriptors),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests_name("io/listener", tests, NULL, NULL);
}
