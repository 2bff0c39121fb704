#include "io/t_peer.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "crypto/test_pki.h"

enum { MEGABYTE = 1 << 20, IN_MAX = 128 * 1024 };

ssize_t __real_recv(int fd, void *p, size_t n, int flags);
ssize_t __wrap_recv(int fd, void *p, size_t n, int flags);
ssize_t __real_sendmsg(int fd, const struct msghdr *m, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *m, int flags);

/* Calls move at most this many bytes; 0: off. */
static size_t piece;
/* The byte at this place of all that is received has a bit flipped; 0: none. */
static size_t flip_at, received;

ssize_t __wrap_recv(int fd, void *p, size_t n, int flags)
{
    ssize_t got = __real_recv(fd, p, piece && n > piece ? piece : n, flags);
    if (got > 0 && flip_at > received && flip_at <= received + (size_t)got)
        ((uint8_t *)p)[flip_at - received - 1] ^= 1;
    received += got > 0 ? (size_t)got : 0;
    return got;
}

ssize_t __wrap_sendmsg(int fd, const struct msghdr *m, int flags)
{
    struct iovec first = m->msg_iov[0];
    struct msghdr one = { .msg_iov = &first, .msg_iovlen = 1 };
    if (!piece)
        return __real_sendmsg(fd, m, flags);
    if (first.iov_len > piece)
        first.iov_len = piece;
    return __real_sendmsg(fd, &one, flags);
}

static struct crypto *cx;
static struct test_pki pki, strange_pki;
static struct tls_ctx *client_ctx, *server_ctx, *strange_ctx;

static int make(void **state)
{
    piece = flip_at = received = 0;
    if (tls_ctx_client(buf_view(&pki.ca), &client_ctx, NULL) != ERR_OK ||
        tls_ctx_client(buf_view(&strange_pki.ca), &strange_ctx, NULL) != ERR_OK ||
        tls_ctx_server(buf_view(&pki.cert), buf_view(&pki.key), &server_ctx, NULL) != ERR_OK)
        return -1;
    return bench_make(state);
}

static int unmake(void **state)
{
    int r = bench_unmake(state);
    tls_ctx_freep(&client_ctx);
    tls_ctx_freep(&server_ctx);
    tls_ctx_freep(&strange_ctx);
    return r;
}

static struct addr listen_tls(void)
{
    struct addr at = unix_addr("s");
    bench_listen(&at, server_ctx, IN_MAX, 4, false);
    return at;
}

static void echo_once(size_t bytes)
{
    struct peer p;
    bench.echo = true;
    struct addr to = listen_tls();
    peer_connect(&p, &to, client_ctx, IN_MAX);
    peer_send(&p, pattern(bytes)); /* waits for the handshake */
    UNTIL(p.got.len == bytes);
    assert_memory_equal(p.got.ptr, pattern(bytes).ptr, bytes);
    assert_int_equal(p.opens, 1);
    assert_int_equal(conn_in(p.c)->cap, 0);
    conn_finish(p.c);
    UNTIL(p.closes && bench.peers[0].closes);
    assert_int_equal(p.r, ERR_OK);
    assert_int_equal(p.eofs, 1);
    assert_int_equal(bench.peers[0].r, ERR_OK);
    peer_done(&p);
}

static void echo_small(void **state)
{
    (void)state;
    echo_once(5);
}

static void echo_megabytes(void **state)
{
    (void)state;
    echo_once(3 * MEGABYTE);
}

static void echo_in_pieces(void **state)
{
    (void)state;
    piece = 777;
    echo_once(MEGABYTE);
}

/* Before there is TLS, as the first, behind others, at the longest that goes at once and one past.
 */
static void views_in_their_order(void **state)
{
    static const size_t sizes[] = { 5, 65536, 65537, 9, 200000, 7 };
    struct peer p;
    size_t at = 0;
    (void)state;

    bench.echo = true;
    struct addr to = listen_tls();
    peer_connect(&p, &to, client_ctx, IN_MAX);
    for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct span text = pattern(at + sizes[i]);
        assert_int_equal(conn_send_view(p.c, span_from(text, at)), ERR_OK);
        at += sizes[i];
        if (i == 0 || i == 3) { /* else they wait for each other */
            UNTIL(p.got.len == at);
            assert_int_equal(conn_unsent(p.c), 0);
        }
    }
    assert_int_equal(conn_send_view(p.c, SPAN_EMPTY), ERR_OK);
    UNTIL(p.got.len == at);
    assert_memory_equal(p.got.ptr, pattern(at).ptr, at);
    assert_true(p.drains >= 3);
    conn_finish(p.c);
    assert_int_equal(conn_send_view(p.c, SPAN_LIT("late")), ERR_IO);
    UNTIL(p.closes);
    peer_done(&p);
}

static void second_connection_resumes(void **state)
{
    struct peer p;
    (void)state;
    bench.echo = true;
    struct addr to = listen_tls();
    for (unsigned i = 0; i < 2; i++) {
        peer_connect(&p, &to, client_ctx, IN_MAX);
        peer_send(&p, SPAN_LIT("hello"));
        UNTIL(p.got.len == 5);
        peer_done(&p);
    }
}

static void slow_reader_bounds_the_memory(void **state)
{
    struct peer p;
    enum { BYTES = 8 * MEGABYTE };
    (void)state;
    bench.hold = true;
    struct addr to = listen_tls();
    peer_connect(&p, &to, client_ctx, IN_MAX);
    peer_send(&p, pattern(BYTES));
    UNTIL(bench.n_peers == 1 && bench.peers[0].opens && conn_in(bench.peers[0].c)->len == IN_MAX);
    for (unsigned i = 0; i < 20; i++)
        bench_tick();
    struct peer *q = &bench.peers[0];
    struct buf *in = conn_in(q->c);
    assert_int_equal(in->len, IN_MAX);
    assert_true(conn_unsent(p.c) > BYTES / 2);
    while (q->got.len < BYTES) {
        UNTIL(in->len > 0);
        size_t n = in->len < 30000 ? in->len : 30000;
        assert_int_equal(buf_append(&q->got, span_sub(buf_view(in), 0, n)), ERR_OK);
        buf_consume(in, n);
        conn_resume(q->c);
    }
    assert_memory_equal(q->got.ptr, pattern(BYTES).ptr, BYTES);
    UNTIL(p.drains == 1);
    conn_finish(p.c);
    UNTIL(q->eofs == 1);
    peer_done(&p);
}

static void half_close(void **state)
{
    struct peer p;
    (void)state;
    struct addr to = listen_tls();
    peer_connect(&p, &to, client_ctx, IN_MAX);
    peer_send(&p, SPAN_LIT("question"));
    conn_finish(p.c);
    UNTIL(bench.n_peers == 1 && bench.peers[0].eofs == 1);
    t_assert_buf(&bench.peers[0].got, "question");
    peer_send(&bench.peers[0], SPAN_LIT("answer"));
    conn_finish(bench.peers[0].c);
    UNTIL(p.closes && bench.peers[0].closes);
    t_assert_buf(&p.got, "answer");
    assert_int_equal(p.r, ERR_OK);
    assert_int_equal(bench.peers[0].r, ERR_OK);
    peer_done(&p);
}

static void refused_by_the_client(struct tls_ctx *ctx, const char *name, const char *what,
                                  const char *server_what)
{
    struct peer p;
    struct addr to = listen_tls();
    bench.server_name = name;
    peer_connect(&p, &to, ctx, IN_MAX);
    peer_send(&p, SPAN_LIT("secret"));
    UNTIL(p.closes && bench.n_peers == 1 && bench.peers[0].closes);
    assert_int_equal(p.r, ERR_VERIFY);
    assert_string_equal(p.what, what);
    assert_int_equal(p.opens, 0);
    /* The alert tells the server why. */
    assert_int_equal(bench.peers[0].r, ERR_MALFORMED);
    assert_string_equal(bench.peers[0].what, server_what);
    assert_int_equal(bench.peers[0].opens + bench.peers[0].datas, 0);
    peer_done(&p);
}

static void unknown_ca(void **state)
{
    (void)state;
    refused_by_the_client(strange_ctx, "kms.test", "unknown CA",
                          "alert: the peer does not know the CA");
}

static void wrong_name(void **state)
{
    (void)state;
    refused_by_the_client(client_ctx, "other.test", "name mismatch",
                          "alert: the peer refuses the certificate");
}

static void not_tls(void **state)
{
    struct addr to = listen_tls();
    struct peer p;
    (void)state;
    peer_connect(&p, &to, NULL, IN_MAX);
    peer_send(&p, SPAN_LIT("GET / HTTP/1.1\r\n\r\n"));
    UNTIL(bench.n_peers == 1 && bench.peers[0].closes);
    assert_int_equal(bench.peers[0].r, ERR_MALFORMED);
    assert_string_equal(bench.peers[0].what, "not TLS");
    assert_int_equal(bench.peers[0].opens, 0);
    peer_done(&p);
}

/* Long enough for a handshake on a machine that has other things to do. */
enum { HANDSHAKE_MS = 1500 };

static void silent_client_times_out(void **state)
{
    const struct listener_options o = {
        .conn = { .tls = server_ctx,
                  .in_max = IN_MAX,
                  .deadline_ns = (t_under_valgrind() ? 2U : 1U) * HANDSHAKE_MS * NS_PER_MS,
                  .events = &peer_events },
        .max = 4,
        .accepted = bench_accepted,
    };
    struct addr at = unix_addr("s");
    struct peer silent, good;
    (void)state;
    bench.echo = true;
    assert_int_equal(listener_new(bench.loop, &at, &o, &bench.listener, NULL), ERR_OK);
    peer_connect(&silent, &at, NULL, IN_MAX);
    UNTIL(bench.n_peers == 1 && bench.peers[0].closes);
    assert_int_equal(bench.peers[0].r, ERR_TIMEOUT);
    assert_string_equal(bench.peers[0].what, "timed out");
    UNTIL(silent.eofs == 1);
    peer_done(&silent);
    /* The time is for the handshake only. */
    peer_connect(&good, &at, client_ctx, IN_MAX);
    UNTIL(good.opens);
    uint64_t over_ns = clock_mono_ns() + o.conn.deadline_ns + o.conn.deadline_ns / 4;
    UNTIL(clock_mono_ns() > over_ns);
    peer_send(&good, SPAN_LIT("later"));
    UNTIL(good.got.len == 5);
    peer_done(&good);
}

static void closed_in_the_handshake(void **state)
{
    struct addr to = listen_tls();
    int fd = -1;
    (void)state;
    assert_int_equal(addr_connect(&to, 0, &fd, NULL), ERR_OK);
    assert_int_equal(write(fd, "\x16\x03\x01", 3), 3);
    close(fd);
    UNTIL(bench.n_peers == 1 && bench.peers[0].closes);
    assert_int_equal(bench.peers[0].r, ERR_IO);
    assert_string_equal(bench.peers[0].what, "TLS: closed during the handshake");
}

/* Bytes after the handshake are cut or altered on the way: nothing of them is believed. */
static void truncated(void **state)
{
    struct peer p;
    (void)state;
    struct addr to = listen_tls();
    peer_connect(&p, &to, client_ctx, IN_MAX);
    UNTIL(p.opens && bench.n_peers == 1 && bench.peers[0].opens);
    peer_send(&bench.peers[0], SPAN_LIT("all of it?"));
    UNTIL(p.got.len == 10);
    peer_close(&bench.peers[0]); /* drops it without close_notify */
    UNTIL(p.closes);
    assert_int_equal(p.r, ERR_IO);
    assert_string_equal(p.what, "TLS: closed without close_notify");
    assert_int_equal(p.eofs, 0);
    peer_done(&p);
}

static void altered(void **state)
{
    struct peer p;
    (void)state;
    struct addr to = listen_tls();
    peer_connect(&p, &to, client_ctx, IN_MAX);
    UNTIL(p.opens && bench.n_peers == 1 && bench.peers[0].opens);
    for (unsigned i = 0; i < 5; i++)
        bench_tick();
    flip_at = received + 8; /* in the first record's ciphertext */
    peer_send(&p, SPAN_LIT("altered"));
    UNTIL(bench.peers[0].closes && p.closes);
    assert_int_equal(bench.peers[0].r, ERR_MALFORMED);
    assert_string_equal(bench.peers[0].what, "record does not verify");
    assert_int_equal(bench.peers[0].datas, 0);
    assert_int_equal(p.r, ERR_MALFORMED);
    assert_string_equal(p.what, "alert from the peer");
    peer_done(&p);
}

static void close_in_open(void **state)
{
    struct peer p;
    (void)state;
    struct addr to = listen_tls();
    peer_connect(&p, &to, client_ctx, IN_MAX);
    p.close_in = 'o';
    peer_send(&p, SPAN_LIT("never"));
    UNTIL(p.closes && bench.n_peers == 1 && bench.peers[0].closes);
    assert_int_equal(p.r, ERR_OK);
    assert_int_equal(bench.peers[0].got.len, 0);
    peer_done(&p);
}

#define ON_BENCH(fn) cmocka_unit_test_setup_teardown(fn, make, unmake)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BENCH(echo_small),
        ON_BENCH(views_in_their_order),
        ON_BENCH(echo_megabytes),
        ON_BENCH(echo_in_pieces),
        ON_BENCH(second_connection_resumes),
        ON_BENCH(slow_reader_bounds_the_memory),
        ON_BENCH(half_close),
        ON_BENCH(unknown_ca),
        ON_BENCH(wrong_name),
        ON_BENCH(not_tls),
        ON_BENCH(silent_client_times_out),
        ON_BENCH(closed_in_the_handshake),
        ON_BENCH(truncated),
        ON_BENCH(altered),
        ON_BENCH(close_in_open),
    };
    signal(SIGPIPE, SIG_IGN);
    if (crypto_process_init() != ERR_OK || crypto_new(&cx) != ERR_OK)
        return 1;
    pki = test_pki_new(cx, -TEST_PKI_HOUR, TEST_PKI_HOUR);
    strange_pki = test_pki_new(cx, -TEST_PKI_HOUR, TEST_PKI_HOUR);
    int failed = cmocka_run_group_tests_name("io/conn_tls", tests, NULL, NULL);
    test_pki_clear(&pki);
    test_pki_clear(&strange_pki);
    crypto_free(cx);
    return failed;
}
