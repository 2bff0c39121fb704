#include "io/conn_in.h"
#include "io/t_peer.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MEGABYTE = 1 << 20, IN_MAX = 128 * 1024 };

ssize_t __real_recv(int fd, void *p, size_t n, int flags);
ssize_t __wrap_recv(int fd, void *p, size_t n, int flags);
ssize_t __real_sendmsg(int fd, const struct msghdr *m, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *m, int flags);

/* Every third call is interrupted, the others move at most this many bytes; 0: off. */
static size_t piece;
static unsigned calls;

ssize_t __wrap_recv(int fd, void *p, size_t n, int flags)
{
    if (piece && calls++ % 3 == 0) {
        errno = EINTR;
        return -1;
    }
    return __real_recv(fd, p, piece && n > piece ? piece : n, flags);
}

ssize_t __wrap_sendmsg(int fd, const struct msghdr *m, int flags)
{
    struct iovec first = m->msg_iov[0];
    struct msghdr one = { .msg_iov = &first, .msg_iovlen = 1 };
    if (!piece)
        return __real_sendmsg(fd, m, flags);
    if (calls++ % 3 == 0) {
        errno = EINTR;
        return -1;
    }
    if (first.iov_len > piece)
        first.iov_len = piece;
    return __real_sendmsg(fd, &one, flags);
}

static void echo_once(const char *kind, size_t bytes)
{
    struct peer p;
    bench.echo = true;
    struct addr to = listen_kind(kind, IN_MAX, 4);
    peer_connect(&p, &to, NULL, IN_MAX);
    peer_send(&p, pattern(bytes)); /* before it is connected */
    UNTIL(p.got.len == bytes);
    assert_memory_equal(p.got.ptr, pattern(bytes).ptr, bytes);
    assert_int_equal(conn_in(p.c)->cap, 0); /* an idle conn keeps no memory for reading */
    conn_finish(p.c);
    UNTIL(p.closes && bench.peers[0].closes);
    assert_int_equal(p.r, ERR_OK);
    assert_int_equal(bench.peers[0].r, ERR_OK);
    assert_int_equal(p.eofs, 1);
    assert_true(p.drains >= 1);
    assert_int_equal(listener_conns(bench.listener), 0);
    peer_done(&p);
}

static void echo_tcp(void **state)
{
    (void)state;
    echo_once("tcp", 5);
}

static void echo_unix(void **state)
{
    (void)state;
    echo_once("unix", 5);
}

static void echo_vsock(void **state)
{
    (void)state;
    echo_once("vsock", 5);
}

static void echo_megabyte_tcp(void **state)
{
    (void)state;
    echo_once("tcp", MEGABYTE);
}

static void echo_megabyte_unix(void **state)
{
    (void)state;
    echo_once("unix", MEGABYTE);
}

static void echo_with_faults(void **state)
{
    (void)state;
    piece = 1000;
    echo_once("unix", MEGABYTE);
    piece = 0;
}

static void many_small_sends_keep_their_order(void **state)
{
    struct peer p;
    (void)state;
    struct addr to = listen_kind("unix", IN_MAX, 4);
    peer_connect(&p, &to, NULL, IN_MAX);
    for (size_t at = 0, n = 1; at < 100000; at += n, n = n * 5 % 997 + 1)
        peer_send(&p, span_sub(pattern(100000), at, n));
    assert_int_equal(conn_unsent(p.c), 100000);
    UNTIL(bench.n_peers == 1 && bench.peers[0].got.len == 100000);
    assert_memory_equal(bench.peers[0].got.ptr, pattern(100000).ptr, 100000);
    assert_int_equal(conn_unsent(p.c), 0);
    peer_done(&p);
}

static void slow_reader_bounds_the_memory(void **state)
{
    struct peer p;
    enum { BYTES = 8 * MEGABYTE };
    (void)state;
    bench.hold = true;
    struct addr to = listen_kind("unix", IN_MAX, 4);
    peer_connect(&p, &to, NULL, IN_MAX);
    peer_send(&p, pattern(BYTES));
    UNTIL(bench.n_peers == 1 && conn_in(bench.peers[0].c)->len == IN_MAX);
    for (unsigned i = 0; i < 20; i++)
        bench_tick();
    struct buf *in = conn_in(bench.peers[0].c);
    assert_int_equal(in->len, IN_MAX);
    assert_true(in->cap <= IN_MAX);
    assert_true(conn_unsent(p.c) > BYTES / 2);
    assert_int_equal(p.drains, 0);

    struct peer *q = &bench.peers[0];
    while (q->got.len < BYTES) {
        UNTIL(in->len > 0);
        size_t n = in->len < 50000 ? in->len : 50000;
        assert_int_equal(buf_append(&q->got, span_sub(buf_view(in), 0, n)), ERR_OK);
        buf_consume(in, n);
        bench.inside = true;
        conn_resume(q->c);
        bench.inside = false;
    }
    assert_memory_equal(q->got.ptr, pattern(BYTES).ptr, BYTES);
    UNTIL(p.drains == 1);
    peer_done(&p);
}

static void half_close(void **state)
{
    struct peer p;
    (void)state;
    struct addr to = listen_kind("tcp", IN_MAX, 4);
    peer_connect(&p, &to, NULL, IN_MAX);
    peer_send(&p, SPAN_LIT("question"));
    conn_finish(p.c);
    AUTO(buf_clear) struct buf late = BUF_INIT(10);
    assert_int_equal(buf_append_str(&late, "late"), ERR_OK);
    assert_int_equal(conn_send(p.c, &late), ERR_IO);
    assert_int_equal(late.len, 4);
    UNTIL(bench.n_peers == 1 && bench.peers[0].eofs == 1);
    t_assert_buf(&bench.peers[0].got, "question");
    assert_int_equal(p.closes, 0);
    peer_send(&bench.peers[0], SPAN_LIT("answer"));
    UNTIL(p.got.len == 6);
    assert_int_equal(p.eofs, 0);
    conn_finish(bench.peers[0].c);
    UNTIL(p.closes && bench.peers[0].closes);
    t_assert_buf(&p.got, "answer");
    assert_int_equal(p.eofs, 1);
    assert_int_equal(p.r, ERR_OK);
    assert_null(p.what);
    assert_int_equal(bench.peers[0].r, ERR_OK);
    peer_done(&p);
}

static void deadline_of_the_owner(void **state)
{
    struct peer p;
    (void)state;
    struct addr to = listen_kind("unix", IN_MAX, 4);
    peer_connect(&p, &to, NULL, IN_MAX);
    UNTIL(p.opens);
    uint64_t at = clock_mono_ns() + 20 * NS_PER_MS;
    conn_set_deadline(p.c, at);
    UNTIL(p.closes);
    assert_true(clock_mono_ns() >= at);
    assert_int_equal(p.r, ERR_TIMEOUT);
    assert_string_equal(p.what, "timed out");
    UNTIL(bench.peers[0].eofs == 1);
    peer_done(&p);
    /* Set before it is connected: still the owner's afterwards. */
    peer_connect(&p, &to, NULL, IN_MAX);
    conn_set_deadline(p.c, clock_mono_ns() + 500 * NS_PER_MS);
    UNTIL(p.closes);
    assert_int_equal(p.opens, 1);
    assert_int_equal(p.r, ERR_TIMEOUT);
    peer_done(&p);
    /* Taken back in time. */
    peer_connect(&p, &to, NULL, IN_MAX);
    conn_set_deadline(p.c, clock_mono_ns() + 5 * NS_PER_MS);
    conn_set_deadline(p.c, 0);
    for (unsigned i = 0; i < 15; i++)
        bench_tick();
    assert_int_equal(p.closes, 0);
    peer_done(&p);
}

static int raw_client(const struct addr *to)
{
    int fd = -1;
    assert_int_equal(addr_connect(to, clock_mono_ns() + NS_PER_S, &fd, NULL), ERR_OK);
    UNTIL(bench.n_peers == 1 && bench.peers[0].opens);
    return fd;
}

static void peer_resets(void **state)
{
    const struct linger now = { .l_onoff = 1 };
    (void)state;
    struct addr to = listen_kind("tcp", IN_MAX, 4);
    int fd = raw_client(&to);
    assert_int_equal(write(fd, "last words", 10), 10);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
    UNTIL(bench.peers[0].got.len == 10);
    close(fd);
    UNTIL(bench.peers[0].closes);
    assert_int_equal(bench.peers[0].r, ERR_IO);
    assert_string_equal(bench.peers[0].what, "connection reset");
    assert_int_equal(bench.peers[0].eofs, 0);
}

/* The answer of a peer that stops reading and leaves arrives before the news that it left. */
static void answer_before_the_end(void **state)
{
    (void)state;
    struct addr to = listen_kind("unix", IN_MAX, 4);
    int fd = raw_client(&to);
    struct peer *p = &bench.peers[0];
    peer_send(p, pattern(4 * MEGABYTE));
    bench_tick();
    assert_true(conn_unsent(p->c) > 0);
    assert_int_equal(write(fd, "refused: too long", 17), 17);
    close(fd);
    UNTIL(p->closes);
    t_assert_buf(&p->got, "refused: too long");
    assert_int_equal(p->r, ERR_IO);
    assert_non_null(p->what);
}

/* The same when the write fails before the answer was looked at. */
static void answer_before_a_failed_write(void **state)
{
    (void)state;
    struct addr to = listen_kind("unix", IN_MAX, 4);
    int fd = raw_client(&to);
    struct peer *p = &bench.peers[0];
    assert_int_equal(write(fd, "refused", 7), 7);
    close(fd);
    peer_send(p, SPAN_LIT("x"));
    UNTIL(p->closes);
    t_assert_buf(&p->got, "refused");
    assert_int_equal(p->r, ERR_IO);
    assert_string_equal(p->what, "connection closed by the peer");
}

static void empty_buffer_is_given_back(void **state)
{
    (void)state;
    bench.hold = true;
    struct addr to = listen_kind("unix", IN_MAX, 4);
    int fd = raw_client(&to);
    struct buf *in = conn_in(bench.peers[0].c);
    assert_int_equal(write(fd, "0123456789", 10), 10);
    UNTIL(in->len == 10);
    assert_true(in->cap >= 10);
    buf_reset(in);
    assert_true(in->cap > 0);
    conn_resume(bench.peers[0].c);
    UNTIL(in->cap == 0);
    close(fd);
}

static void leaving_lets_the_peer_read_why(void **state)
{
    struct peer p;
    (void)state;
    bench.hold = true;
    struct addr to = listen_kind("unix", IN_MAX, 4);
    peer_connect(&p, &to, NULL, IN_MAX);
    peer_send(&p, pattern(4 * MEGABYTE));
    UNTIL(bench.n_peers == 1 && conn_in(bench.peers[0].c)->len == IN_MAX);
    struct peer *q = &bench.peers[0];
    unsigned datas = q->datas;
    peer_send(q, SPAN_LIT("refused: too long"));
    bench.inside = true;
    conn_leave(q->c, 1);
    bench.inside = false;
    UNTIL(p.drains == 1 && p.eofs == 1);
    t_assert_buf(&p.got, "refused: too long");
    assert_int_equal(p.closes + q->closes, 0);
    conn_finish(p.c);
    UNTIL(p.closes && q->closes);
    assert_int_equal(p.r, ERR_OK);
    assert_int_equal(q->r, ERR_OK);
    assert_int_equal(q->datas, datas);
    peer_done(&p);
}

/* What waited when it left counts, too. */
static void leaving_drops_so_much_and_no_more(void **state)
{
    struct peer p;
    (void)state;
    bench.hold = true;
    struct addr to = listen_kind("unix", IN_MAX, 4);
    peer_connect(&p, &to, NULL, IN_MAX);
    for (unsigned i = 0; i < CONN_LEAVE_MAX_BYTES / MEGABYTE; i++)
        peer_send(&p, pattern(MEGABYTE));
    UNTIL(bench.n_peers == 1 && conn_in(bench.peers[0].c)->len == IN_MAX);
    struct peer *q = &bench.peers[0];
    conn_leave(q->c, 1);
    assert_int_equal(conn_in(q->c)->cap, 0);
    UNTIL(p.drains == 1 && q->c->dropped == CONN_LEAVE_MAX_BYTES);
    assert_int_equal(q->closes, 0);
    peer_send(&p, SPAN_LIT("x"));
    UNTIL(q->closes);
    assert_int_equal(q->r, ERR_OK);
    peer_done(&p);
}

static void leaving_takes_only_so_long(void **state)
{
    (void)state;
    struct addr to = listen_kind("unix", IN_MAX, 4);
    int fd = raw_client(&to);
    struct peer *q = &bench.peers[0];
    uint64_t before = clock_mono_ns();
    conn_leave(q->c, 1);
    uint64_t after = clock_mono_ns(), at = q->c->deadline_ns;
    assert_true(at >= before + CONN_LEAVE_MS * NS_PER_MS);
    assert_true(at <= after + CONN_LEAVE_MS * NS_PER_MS);
    conn_leave(q->c, 100000); /* once */
    assert_int_equal(q->c->deadline_ns, at);
    conn_set_deadline(q->c, 1);
    UNTIL(q->closes);
    assert_int_equal(q->r, ERR_TIMEOUT);
    close(fd);
}

/* A long answer to a peer that keeps its side open has its own time, and only then begins that of
 * waiting for the peer. */
static void leaving_with_much_unsent(void **state)
{
    struct peer p;
    (void)state;
    struct addr to = listen_kind("unix", IN_MAX, 4);
    peer_connect(&p, &to, NULL, 4096);
    p.hold = true;
    UNTIL(bench.n_peers == 1);
    struct peer *q = &bench.peers[0];
    peer_send(q, pattern(4 * MEGABYTE));
    uint64_t before = clock_mono_ns();
    conn_leave(q->c, 60000);
    assert_true(q->c->deadline_ns >= before + 60000 * NS_PER_MS);
    UNTIL(conn_in(p.c)->len == 4096);
    for (unsigned i = 0; i < 20; i++)
        bench_tick();
    assert_true(q->c->deadline_ns >= before + 60000 * NS_PER_MS);
    conn_set_in_max(p.c, 4 * MEGABYTE + 1); /* and one to see its end */
    UNTIL(p.eofs == 1);
    assert_int_equal(conn_in(p.c)->len, 4 * MEGABYTE);
    assert_in_range(q->c->deadline_ns, before + CONN_LEAVE_MS * NS_PER_MS,
                    clock_mono_ns() + CONN_LEAVE_MS * NS_PER_MS);
    conn_finish(p.c);
    UNTIL(p.closes && q->closes);
    assert_int_equal(q->r, ERR_OK);
    peer_done(&p);
}

/* Nothing more will come, so that only what is queued takes time. */
static void leaving_a_peer_that_has_ended_and_does_not_read(void **state)
{
    (void)state;
    struct addr to = listen_kind("unix", IN_MAX, 4);
    int fd = raw_client(&to);
    struct peer *q = &bench.peers[0];
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    UNTIL(q->eofs == 1);
    peer_send(q, pattern(4 * MEGABYTE));
    uint64_t at = clock_mono_ns() + 20 * NS_PER_MS;
    conn_leave(q->c, 20);
    UNTIL(q->closes);
    assert_true(clock_mono_ns() >= at);
    assert_true(clock_mono_ns() < at + CONN_LEAVE_MS * NS_PER_MS);
    assert_int_equal(q->r, ERR_TIMEOUT);
    close(fd);
}

static void close_in_each_callback(void **state)
{
    const int at[] = { 'o', 'd', 'e', 'r' };
    (void)state;
    bench.echo = true;
    struct addr to = listen_kind("unix", IN_MAX, 8);
    for (unsigned i = 0; i < 4; i++) {
        struct peer p;
        peer_connect(&p, &to, NULL, IN_MAX);
        p.close_in = at[i];
        peer_send(&p, SPAN_LIT("x"));
        if (at[i] == 'e')
            conn_finish(p.c);
        UNTIL(p.closes);
        assert_int_equal(p.r, ERR_OK);
        if (at[i] == 'o')
            assert_int_equal(p.datas + p.eofs + p.drains, 0);
        peer_done(&p);
    }
}

static void closing_is_told_from_the_loop(void **state)
{
    struct peer p;
    (void)state;
    struct addr to = listen_kind("unix", IN_MAX, 4);
    peer_connect(&p, &to, NULL, IN_MAX);
    peer_close(&p); /* before anything happened */
    assert_int_equal(p.closes, 0);
    AUTO(buf_clear) struct buf b = BUF_INIT(10);
    assert_int_equal(buf_append_str(&b, "x"), ERR_OK);
    assert_int_equal(conn_send(p.c, &b), ERR_IO);
    assert_int_equal(b.len, 1);
    conn_finish(p.c);
    conn_resume(p.c);
    conn_set_deadline(p.c, 1);
    UNTIL(p.closes);
    assert_int_equal(p.r, ERR_OK);
    assert_int_equal(p.opens, 0);
    peer_done(&p);
}

static void send_kept(struct conn *c, const char *text, bool is_public)
{
    struct buf b = BUF_INIT(100);

    b.is_public = is_public;
    assert_int_equal(buf_append_str(&b, text), ERR_OK);
    assert_int_equal(conn_send(c, &b), ERR_OK);
    assert_null(b.ptr);
}

/* Short bufs are copied together, but not to where they would not be wiped. */
static void secrets_are_not_put_behind_what_is_public(void **state)
{
    (void)state;
    struct peer p;
    bench.echo = true;
    struct addr to = listen_kind("unix", IN_MAX, 4);
    peer_connect(&p, &to, NULL, IN_MAX);
    send_kept(p.c, "public,", true);
    send_kept(p.c, "this too,", true);
    assert_ptr_equal(p.c->out_first, p.c->out_last);
    send_kept(p.c, "secret,", false);
    assert_ptr_equal(p.c->out_first->next, p.c->out_last);
    assert_false(p.c->out_last->bytes.is_public);
    send_kept(p.c, "public", true);
    assert_ptr_equal(p.c->out_first->next, p.c->out_last);
    UNTIL(p.got.len == strlen("public,this too,secret,public"));
    t_assert_buf(&p.got, "public,this too,secret,public");
    peer_done(&p);
}

static void a_drip_does_not_hold_up_others(void **state)
{
    enum { N = 6 };
    struct peer slow[N], fast;
    (void)state;
    bench.echo = true;
    struct addr to = listen_kind("unix", IN_MAX, 64);
    for (unsigned i = 0; i < N; i++) {
        peer_connect(&slow[i], &to, NULL, IN_MAX);
        peer_send(&slow[i], SPAN_LIT("."));
    }
    peer_connect(&fast, &to, NULL, IN_MAX);
    peer_send(&fast, pattern(MEGABYTE));
    UNTIL(fast.got.len == MEGABYTE);
    for (unsigned i = 0; i < N; i++)
        peer_done(&slow[i]);
    peer_done(&fast);
}

#define ON_BENCH(fn) cmocka_unit_test_setup_teardown(fn, bench_make, bench_unmake)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BENCH(echo_tcp),
        ON_BENCH(echo_unix),
        ON_BENCH(echo_vsock),
        ON_BENCH(echo_megabyte_tcp),
        ON_BENCH(echo_megabyte_unix),
        ON_BENCH(echo_with_faults),
        ON_BENCH(many_small_sends_keep_their_order),
        ON_BENCH(slow_reader_bounds_the_memory),
        ON_BENCH(half_close),
        ON_BENCH(deadline_of_the_owner),
        ON_BENCH(peer_resets),
        ON_BENCH(answer_before_the_end),
        ON_BENCH(answer_before_a_failed_write),
        ON_BENCH(empty_buffer_is_given_back),
        ON_BENCH(leaving_lets_the_peer_read_why),
        ON_BENCH(leaving_drops_so_much_and_no_more),
        ON_BENCH(leaving_takes_only_so_long),
        ON_BENCH(leaving_with_much_unsent),
        ON_BENCH(leaving_a_peer_that_has_ended_and_does_not_read),
        ON_BENCH(close_in_each_callback),
        ON_BENCH(closing_is_told_from_the_loop),
        ON_BENCH(a_drip_does_not_hold_up_others),
        ON_BENCH(secrets_are_not_put_behind_what_is_public),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests_name("io/conn", tests, NULL, NULL);
}
