#include "io/t_peer.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "bin/vsock-proxy/proxy.h"

#include "io/log.h"

enum { MEGABYTE = 1 << 20, LOCAL_PORT = 8000 };

static struct proxy proxy;
static struct proxy_config config;
static struct addr client_at;

/* The resolver of the test: what the next question gets. */
static struct resolved answer;
static enum err answer_r;
static unsigned questions;

enum err __wrap_resolve_name(const char *host, uint16_t port, enum resolve_family family,
                             struct resolved *out, struct why *why);

enum err __wrap_resolve_name(const char *host, uint16_t port, enum resolve_family family,
                             struct resolved *out, struct why *why)
{
    assert_string_equal(host, "kms.test");
    assert_int_equal(port, config.port);
    assert_int_equal(family, RESOLVE_ANY);
    questions++;
    if (answer_r != ERR_OK)
        return why_fail(why, answer_r, "no such name", 0);
    *out = answer;
    return ERR_OK;
}

/* A remote on the loopback (owner: the bench's peers) and the proxy before it. */
static void start(unsigned max, uint64_t idle_ns, const char *host)
{
    struct why why = { 0 };
    if (!bench.listener) {
        struct addr at = tcp_addr(0);
        bench_listen(&at, NULL, 64 * 1024, 64, false);
    }
    client_at = vsock_addr(CID_PARENT, LOCAL_PORT);
    config = (struct proxy_config){ .at = client_at,
                                    .host = host,
                                    .port = (uint16_t)listener_port(bench.listener),
                                    .max = max,
                                    .idle_ns = idle_ns };
    if (proxy_start(&proxy, bench.loop, &config, &why) != ERR_OK)
        fail_msg("proxy: %s", why.what);
}

static int make(void **state)
{
    questions = 0;
    answer_r = ERR_OK;
    answer.n = 0;
    log_init("test", LOG_ERROR);
    return bench_make(state);
}

static int unmake(void **state)
{
    proxy_clear(&proxy);
    return bench_unmake(state);
}

static void client(struct peer *p)
{
    peer_connect(p, &client_at, NULL, 64 * 1024);
}

static void a_megabyte_each_way(void **state)
{
    struct peer p;
    (void)state;
    bench.echo = true;
    start(10, 0, "127.0.0.1");
    client(&p);
    peer_send(&p, pattern(MEGABYTE));
    UNTIL(p.got.len == MEGABYTE);
    assert_memory_equal(p.got.ptr, pattern(MEGABYTE).ptr, MEGABYTE);
    conn_finish(p.c);
    UNTIL(p.closes && bench.peers[0].closes && !proxy.first);
    assert_int_equal(p.r, ERR_OK);
    assert_int_equal(bench.peers[0].r, ERR_OK);
    assert_int_equal(proxy.active + proxy.pending, 0);
    peer_done(&p);
}

static void half_close_both_ways(void **state)
{
    struct peer p;
    (void)state;
    start(10, 0, "localhost");
    client(&p);
    peer_send(&p, SPAN_LIT("question"));
    conn_finish(p.c);
    UNTIL(bench.n_peers == 1 && bench.peers[0].eofs == 1);
    t_assert_buf(&bench.peers[0].got, "question");
    for (unsigned i = 0; i < 5; i++)
        bench_tick();
    assert_int_equal(p.eofs, 0);
    peer_send(&bench.peers[0], SPAN_LIT("answer"));
    conn_finish(bench.peers[0].c);
    UNTIL(p.closes);
    t_assert_buf(&p.got, "answer");
    assert_int_equal(p.r, ERR_OK);
    peer_done(&p);
}

static void the_remote_ends_first(void **state)
{
    struct peer p;
    (void)state;
    start(10, 0, "127.0.0.1");
    client(&p);
    UNTIL(bench.n_peers == 1);
    peer_send(&bench.peers[0], pattern(300000));
    conn_finish(bench.peers[0].c);
    UNTIL(p.eofs == 1);
    assert_memory_equal(p.got.ptr, pattern(300000).ptr, 300000);
    peer_send(&p, SPAN_LIT("still"));
    conn_finish(p.c);
    UNTIL(bench.peers[0].closes && p.closes);
    t_assert_buf(&bench.peers[0].got, "still");
    peer_done(&p);
}

/* The remote refuses: the client is told at once; when it is back, the next connection works. */
static void refused_and_back(void **state)
{
    struct peer p;
    (void)state;
    start(10, 0, "127.0.0.1");
    listener_free(bench.listener);
    bench.listener = NULL;
    uint64_t before = clock_mono_ns();
    client(&p);
    UNTIL(p.eofs || p.closes);
    assert_true(clock_mono_ns() - before < NS_PER_S);
    UNTIL(!proxy.first);
    peer_done(&p);

    struct addr at = tcp_addr(config.port);
    bench.echo = true;
    bench_listen(&at, NULL, 64 * 1024, 64, false);
    client(&p);
    peer_send(&p, SPAN_LIT("back"));
    UNTIL(p.got.len == 4);
    peer_done(&p);
}

static void a_slow_remote_bounds_the_memory(void **state)
{
    struct peer p;
    (void)state;
    bench.hold = true;
    start(10, 0, "127.0.0.1");
    client(&p);
    peer_send(&p, pattern(32 * MEGABYTE));
    UNTIL(bench.n_peers == 1 && conn_in(bench.peers[0].c)->len == 64 * 1024);
    for (unsigned i = 0; i < 50; i++)
        bench_tick();
    /* What is neither here nor there is with the proxy and in the kernel's socket buffers. */
    assert_true(conn_unsent(p.c) > 20 * MEGABYTE);
    /* And when it reads again, all of it comes. */
    bench.peers[0].hold = false;
    assert_int_equal(buf_append(&bench.peers[0].got, buf_view(conn_in(bench.peers[0].c))), ERR_OK);
    buf_reset(conn_in(bench.peers[0].c));
    conn_resume(bench.peers[0].c);
    UNTIL(bench.peers[0].got.len == 32 * MEGABYTE);
    assert_memory_equal(bench.peers[0].got.ptr, pattern(32 * MEGABYTE).ptr, 32 * MEGABYTE);
    peer_done(&p);
}

static void more_than_the_limit_wait(void **state)
{
    struct peer p[3];
    (void)state;
    bench.echo = true;
    start(1, 0, "127.0.0.1");
    for (unsigned i = 0; i < 3; i++) {
        client(&p[i]);
        peer_send(&p[i], SPAN_LIT("hello"));
    }
    UNTIL(p[0].got.len == 5);
    for (unsigned i = 0; i < 10; i++)
        bench_tick();
    assert_int_equal(p[1].got.len + p[2].got.len, 0);
    assert_int_equal(proxy.active, 1);
    assert_int_equal(proxy.pending, 2);
    peer_done(&p[1]); /* has sent all it had: still relayed when its turn comes */
    peer_done(&p[0]);
    UNTIL(p[2].got.len == 5);
    assert_int_equal(bench.n_peers, 3);
    t_assert_buf(&bench.peers[1].got, "hello");
    peer_done(&p[2]);
    UNTIL(proxy.active + proxy.pending == 0);
}

static void idle_limit(void **state)
{
    struct peer p;
    (void)state;
    bench.echo = true;
    start(10, 30 * NS_PER_MS, "127.0.0.1");
    client(&p);
    for (unsigned i = 1; i <= 10; i++) {
        peer_send(&p, SPAN_LIT("."));
        UNTIL(p.got.len == i);
        for (unsigned k = 0; k < 8; k++)
            bench_tick();
    }
    assert_int_equal(p.eofs, 0); /* moving for longer than the limit */
    UNTIL(p.eofs == 1 && bench.peers[0].eofs == 1);
    peer_done(&p);
}

static void the_next_address_is_tried(void **state)
{
    struct peer p;
    (void)state;
    bench.echo = true;
    start(10, 0, "kms.test");
    answer.n = 2;
    answer.list[0] = tcp_addr(1);
    answer.list[1] = tcp_addr(config.port);
    client(&p);
    peer_send(&p, SPAN_LIT("hello"));
    UNTIL(p.got.len == 5);
    peer_done(&p);
    client(&p);
    peer_send(&p, SPAN_LIT("hello"));
    UNTIL(p.got.len == 5);
    assert_int_equal(questions, 1); /* the answer is fresh */
    peer_done(&p);
}

static void a_name_without_an_address(void **state)
{
    struct peer p;
    (void)state;
    start(10, 0, "kms.test");
    answer_r = ERR_IO;
    client(&p);
    UNTIL(p.eofs || p.closes);
    peer_done(&p);
    assert_int_equal(questions, 1);
    /* The resolver is asked anew for the next one, since nothing else is known. */
    answer_r = ERR_OK;
    answer.n = 1;
    answer.list[0] = tcp_addr(config.port);
    bench.echo = true;
    client(&p);
    peer_send(&p, SPAN_LIT("hello"));
    UNTIL(p.got.len == 5);
    /* An old answer serves while the resolver fails. */
    names_expire(&proxy.names);
    answer_r = ERR_IO;
    peer_done(&p);
    client(&p);
    peer_send(&p, SPAN_LIT("hello"));
    UNTIL(p.got.len == 5);
    assert_int_equal(questions, 3);
    peer_done(&p);
}

static void stop_lets_transfers_end(void **state)
{
    struct peer p;
    (void)state;
    bench.echo = true;
    start(10, 0, "127.0.0.1");
    client(&p);
    peer_send(&p, pattern(4 * MEGABYTE));
    UNTIL(p.got.len > 0);
    proxy_stop(&proxy);
    proxy_stop(&proxy);
    UNTIL(p.got.len == 4 * MEGABYTE);
    assert_memory_equal(p.got.ptr, pattern(4 * MEGABYTE).ptr, 4 * MEGABYTE);
    uint64_t before = clock_mono_ns();
    loop_run(bench.loop); /* left when nothing moved any more */
    assert_true(clock_mono_ns() - before < 2 * NS_PER_S);
    assert_null(proxy.first);
    assert_int_equal(access(bench_path("3.vsock_8000"), F_OK), -1);
    peer_done(&p);
}

static void stop_when_idle_leaves_at_once(void **state)
{
    (void)state;
    start(10, 0, "127.0.0.1");
    proxy_stop(&proxy);
    loop_run(bench.loop);
}

static void the_other_family_is_refused(void **state)
{
    struct resolved r = { .n = 7 };
    struct addr at = tcp_addr(0);
    char text[ADDR_TEXT_BYTES];
    struct why why = { 0 };
    (void)state;
    bench_listen(&at, NULL, 64, 1, false);
    config = (struct proxy_config){ .at = vsock_addr(3, 1), .host = "::1", .family = RESOLVE_V4 };
    assert_int_equal(proxy_start(&proxy, bench.loop, &config, &why), ERR_DENIED);
    assert_string_equal(why.what, "the address is of the other IP version");
    assert_int_equal(resolve_numeric("kms.test", 1, RESOLVE_ANY, &r), ERR_UNSUPPORTED);
    assert_int_equal(r.n, 7);
    assert_int_equal(resolve_numeric("[::1]", 443, RESOLVE_ANY, &r), ERR_OK);
    addr_text(&r.list[0], text, sizeof(text));
    assert_string_equal(text, "[::1]:443");
    assert_int_equal(resolve_numeric("localhost", 443, RESOLVE_ANY, &r), ERR_OK);
    assert_int_equal(r.n, 2);
    addr_text(&r.list[0], text, sizeof(text));
    assert_string_equal(text, "127.0.0.1:443");
    assert_int_equal(resolve_numeric("localhost", 443, RESOLVE_V6, &r), ERR_OK);
    assert_int_equal(r.n, 1);
}

#define WITH_PROXY(fn) cmocka_unit_test_setup_teardown(fn, make, unmake)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_PROXY(a_megabyte_each_way),
        WITH_PROXY(half_close_both_ways),
        WITH_PROXY(the_remote_ends_first),
        WITH_PROXY(refused_and_back),
        WITH_PROXY(a_slow_remote_bounds_the_memory),
        WITH_PROXY(more_than_the_limit_wait),
        WITH_PROXY(idle_limit),
        WITH_PROXY(the_next_address_is_tried),
        WITH_PROXY(a_name_without_an_address),
        WITH_PROXY(stop_lets_transfers_end),
        WITH_PROXY(stop_when_idle_leaves_at_once),
        WITH_PROXY(the_other_family_is_refused),
    };
    signal(SIGPIPE, SIG_IGN);
    if (crypto_process_init() != ERR_OK)
        return 1;
    return cmocka_run_group_tests_name("vsock-proxy", tests, NULL, NULL);
}
