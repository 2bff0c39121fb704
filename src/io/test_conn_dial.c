#include "io/t_peer.h"

#include <signal.h>
#include <unistd.h>

static void connect_to_nobody(void **state)
{
    struct addr tcp = tcp_addr(1), un = unix_addr("none"), vs = vsock_addr(16, 5000);
    int fd = -1;
    (void)state;
    connect_fails(&tcp, 0, ERR_IO, "connection refused");
    connect_fails(&un, 0, ERR_IO, "nobody listens: no such socket");
    connect_fails(&vs, 0, ERR_IO, "nobody listens: neither CID.vsock_PORT nor CID.vsock is there");
    struct addr stale = unix_addr("16.vsock_5000");
    assert_int_equal(addr_listen(&stale, 1, &fd, NULL), ERR_OK);
    fd_close(&fd);
    connect_fails(&vs, 0, ERR_IO, "connection refused");
}

/* A Unix listener whose backlog is full answers EAGAIN: the conn tries again until its time is up,
 * and gets through when there is room. */
static void full_backlog(void **state)
{
    struct addr at = unix_addr("full");
    struct peer waiting;
    int listening = -1, fds[8];
    unsigned n = 0;
    (void)state;
    assert_int_equal(addr_listen(&at, 0, &listening, NULL), ERR_OK);
    while (n < 8 && addr_connect(&at, clock_mono_ns() + 20 * NS_PER_MS, &fds[n], NULL) == ERR_OK)
        n++;
    assert_true(n >= 1 && n < 8);
    connect_fails(&at, 30 * NS_PER_MS, ERR_TIMEOUT, "timed out");
    peer_connect(&waiting, &at, NULL, 64);
    for (unsigned i = 0; i < 12; i++)
        bench_tick();
    assert_int_equal(waiting.opens, 0);
    int fd = accept(listening, NULL, NULL);
    UNTIL(waiting.opens);
    peer_done(&waiting);
    close(fd);
    while (n > 0)
        close(fds[--n]);
    close(listening);
}

/* The device end of a VM: accept, expect the greeting, answer `answer`. Returns the socket. */
static int device(const char *answer, struct peer *p, struct addr *to)
{
    struct addr at = unix_addr("16.vsock");
    int listening = -1;
    AUTO(buf_clear) struct buf hello = BUF_INIT(64);
    bool eof;
    *to = vsock_addr(16, 5000);
    assert_int_equal(addr_listen(&at, 4, &listening, NULL), ERR_OK);
    peer_connect(p, to, NULL, 64);
    bench_tick();
    int fd = accept(listening, NULL, NULL);
    assert_true(fd >= 0);
    close(listening);
    assert_int_equal(fd_read_some(fd, 64, &hello, &eof, clock_mono_ns() + NS_PER_S, NULL), ERR_OK);
    t_assert_buf(&hello, "CONNECT 5000\n");
    for (const char *c = answer; *c; c++) {
        assert_int_equal(fd_write_all(fd, span_of(c, 1), 0, NULL), ERR_OK);
        if ((c - answer) % 3 == 0)
            bench_tick();
    }
    return fd;
}

static void greeting_then_data(void **state)
{
    struct peer p;
    struct addr to;
    (void)state;
    int fd = device("OK 1073741824\nhello\n", &p, &to);
    peer_send(&p, SPAN_LIT("hi"));
    UNTIL(p.got.len == 6);
    t_assert_buf(&p.got, "hello\n");
    assert_int_equal(p.opens, 1);
    AUTO(buf_clear) struct buf got = BUF_INIT(64);
    bool eof;
    assert_int_equal(fd_read_some(fd, 64, &got, &eof, clock_mono_ns() + NS_PER_S, NULL), ERR_OK);
    t_assert_buf(&got, "hi");
    close(fd);
    peer_done(&p);
}

static void greeting_refused(void **state)
{
    struct peer p;
    struct addr to;
    (void)state;
    close(device("", &p, &to)); /* Firecracker: nobody listens on that port in the VM */
    UNTIL(p.closes);
    assert_int_equal(p.r, ERR_IO);
    assert_string_equal(p.what, "connection refused");
    peer_done(&p);
    unlink(bench_path("16.vsock"));
    close(device("O", &p, &to));
    UNTIL(p.closes);
    assert_string_equal(p.what, "connection refused");
    peer_done(&p);
}

static void greeting_wrong(void **state)
{
    struct peer p;
    struct addr to;
    (void)state;
    int fd = device("OKAY", &p, &to);
    UNTIL(p.closes);
    assert_int_equal(p.r, ERR_IO);
    assert_string_equal(p.what, "the vsock device refused the port");
    close(fd);
    peer_done(&p);
}

static void greeting_never_comes(void **state)
{
    struct peer p;
    struct addr to;
    (void)state;
    int fd = device("OK 1", &p, &to);
    conn_set_deadline(p.c, clock_mono_ns() + 10 * NS_PER_MS);
    UNTIL(p.closes);
    assert_int_equal(p.r, ERR_TIMEOUT);
    close(fd);
    peer_done(&p);
}

#define ON_BENCH(fn) cmocka_unit_test_setup_teardown(fn, bench_make, bench_unmake)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BENCH(connect_to_nobody), ON_BENCH(full_backlog),   ON_BENCH(greeting_then_data),
        ON_BENCH(greeting_refused),  ON_BENCH(greeting_wrong), ON_BENCH(greeting_never_comes),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests_name("io/conn_dial", tests, NULL, NULL);
}
