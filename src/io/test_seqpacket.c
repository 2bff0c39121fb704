#include "testing/t.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "io/addr.h"
#include "io/log.h"
#include "io/seqpacket.h"

enum { REQUEST_MAX = 100, RESPONSE_MAX = 20000, CLIENTS_MAX = 8, PATIENCE_MS = 5000 };

static struct bench {
    char dir[64], path[96];
    struct loop *loop;
    struct loop_timer *tick;
    struct seqpacket *server;
    unsigned asked;
    size_t last_len;
    bool (*done)(void);
    uint64_t give_up_ns;
} bench;

/* Echo with one byte more; "silent" gets none, "large" gets 12,000 bytes. */
static void ask(struct span request, struct buf *response, void *arg)
{
    (void)arg;
    bench.asked++;
    bench.last_len = request.len;
    if (span_is(request, "silent"))
        return;
    if (span_is(request, "large")) {
        uint8_t *p;
        assert_int_equal(buf_reserve(response, 12000, &p), ERR_OK);
        memset(p, 'x', 12000);
        buf_commit(response, 12000);
        return;
    }
    assert_int_equal(buf_append(response, request), ERR_OK);
    assert_int_equal(buf_append_byte(response, '!'), ERR_OK);
}

static void on_tick(void *arg)
{
    (void)arg;
    if (bench.done() || clock_mono_ns() > bench.give_up_ns) {
        loop_stop(bench.loop);
        return;
    }
    loop_timer_arm(bench.tick, clock_mono_ns());
}

static void run_until(bool (*done)(void))
{
    bench.done = done;
    bench.give_up_ns = clock_mono_ns() + PATIENCE_MS * NS_PER_MS;
    loop_timer_arm(bench.tick, clock_mono_ns());
    loop_run(bench.loop);
    assert_true(done());
}

static struct seqpacket_options options(void)
{
    return (struct seqpacket_options){ .path = bench.path,
                                       .clients_max = CLIENTS_MAX,
                                       .request_max = REQUEST_MAX,
                                       .response_max = RESPONSE_MAX,
                                       .ask = ask };
}

static int setup(void **state)
{
    (void)state;
    log_init("test", LOG_ERROR);
    bench = (struct bench){ .dir = "/tmp/nitroseal-t-XXXXXX" };
    if (!mkdtemp(bench.dir))
        return -1;
    (void)snprintf(bench.path, sizeof(bench.path), "%s/sub/nsm", bench.dir);
    assert_int_equal(loop_new(&bench.loop), ERR_OK);
    assert_int_equal(loop_timer_new(bench.loop, on_tick, NULL, &bench.tick), ERR_OK);
    const struct seqpacket_options o = options();
    assert_int_equal(seqpacket_new(bench.loop, &o, &bench.server, NULL), ERR_OK);
    return 0;
}

static int teardown(void **state)
{
    char sub[96];
    (void)state;

    seqpacket_free(bench.server);
    loop_timer_free(bench.tick);
    loop_free(bench.loop);
    (void)snprintf(sub, sizeof(sub), "%s/sub", bench.dir);
    (void)unlink(bench.path);
    (void)rmdir(sub);
    return rmdir(bench.dir);
}

static int dial(int type)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

    memcpy(un.sun_path, bench.path, strlen(bench.path));
    assert_true(fd >= 0);
    if (connect(fd, (const struct sockaddr *)&un, sizeof(un)) == 0)
        return fd;
    int e = errno;
    close(fd);
    errno = e;
    return -1;
}

static int watched;

static bool can_read(void)
{
    struct pollfd p = { .fd = watched, .events = POLLIN };

    return poll(&p, 1, 0) > 0;
}

/* The server's next packet; 0 at its end. */
static ssize_t receive(int fd, char *into, size_t size)
{
    watched = fd;
    run_until(can_read);
    return recv(fd, into, size, MSG_DONTWAIT);
}

static void exchange(int fd, const char *text)
{
    char got[REQUEST_MAX * 2], want[REQUEST_MAX * 2];

    assert_int_equal(send(fd, text, strlen(text), 0), strlen(text));
    ssize_t n = receive(fd, got, sizeof(got));
    int want_len = snprintf(want, sizeof(want), "%s!", text);
    assert_int_equal(n, want_len);
    assert_memory_equal(got, want, (size_t)n);
}

static void modes(void **state)
{
    struct stat st;
    char sub[96];
    (void)state;

    assert_int_equal(stat(bench.path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    (void)snprintf(sub, sizeof(sub), "%s/sub", bench.dir);
    assert_int_equal(stat(sub, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
}

static void many_clients(void **state)
{
    int fd[CLIENTS_MAX];
    (void)state;

    for (int i = 0; i < CLIENTS_MAX; i++)
        fd[i] = dial(SOCK_SEQPACKET);
    for (int round = 0; round < 3; round++)
        for (int i = CLIENTS_MAX; i > 0; i--)
            exchange(fd[i - 1], "hello");
    assert_int_equal(seqpacket_clients(bench.server), CLIENTS_MAX);
    char got[8];
    int one_more = dial(SOCK_SEQPACKET);
    assert_int_equal(receive(one_more, got, sizeof(got)), 0);
    close(one_more);
    close(fd[0]);
    for (int i = 1; i < CLIENTS_MAX; i++)
        exchange(fd[i], "again");
    int in_its_place = dial(SOCK_SEQPACKET);
    exchange(in_its_place, "new");
    close(in_its_place);
    for (int i = 1; i < CLIENTS_MAX; i++)
        close(fd[i]);
}

static bool one_asked(void)
{
    return bench.asked == 1;
}

static void lengths(void **state)
{
    char data[REQUEST_MAX * 10] = { 0 }, got[REQUEST_MAX * 2];
    static const size_t sent[] = { 0, 1, REQUEST_MAX, REQUEST_MAX + 1, REQUEST_MAX * 10 };
    static const size_t seen[] = { 0, 1, REQUEST_MAX, REQUEST_MAX + 1, REQUEST_MAX + 1 };
    int fd = dial(SOCK_SEQPACKET);
    (void)state;

    for (size_t i = 0; i < sizeof(sent) / sizeof(sent[0]); i++) {
        bench.asked = 0;
        assert_int_equal(send(fd, data, sent[i], 0), sent[i]);
        assert_int_equal(receive(fd, got, sizeof(got)), seen[i] + 1);
        assert_true(one_asked());
        assert_int_equal(bench.last_len, seen[i]);
    }
    close(fd);
}

static void no_answer_drops(void **state)
{
    char got[8];
    int fd = dial(SOCK_SEQPACKET), other = dial(SOCK_SEQPACKET);
    (void)state;

    exchange(other, "a");
    assert_int_equal(send(fd, "silent", 6, 0), 6);
    assert_int_equal(receive(fd, got, sizeof(got)), 0);
    exchange(other, "b");
    close(fd);
    close(other);
}

static bool one_client(void)
{
    return seqpacket_clients(bench.server) == 1;
}

/* It asks and never reads: dropped when its socket is full, and the other has its answers. */
static void who_does_not_read(void **state)
{
    int fd = dial(SOCK_SEQPACKET), other = dial(SOCK_SEQPACKET);
    (void)state;

    exchange(other, "a");
    while (seqpacket_clients(bench.server) == 2) {
        if (send(fd, "large", 5, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
            assert_true(errno == EAGAIN || errno == EPIPE);
        exchange(other, "b");
    }
    assert_true(one_client());
    exchange(other, "c");
    close(fd);
    close(other);
}

static bool no_client(void)
{
    return seqpacket_clients(bench.server) == 0;
}

static void who_leaves(void **state)
{
    int fd = dial(SOCK_SEQPACKET);
    (void)state;

    exchange(fd, "a");
    assert_int_equal(send(fd, "large", 5, 0), 5);
    close(fd);
    run_until(no_client);
}

static void a_stream_is_refused(void **state)
{
    (void)state;
    assert_int_equal(dial(SOCK_STREAM), -1);
    assert_int_equal(errno, EPROTOTYPE);
}

static void already_served(void **state)
{
    const struct seqpacket_options o = options();
    struct seqpacket *second = NULL;
    struct why why = { 0 };
    (void)state;

    assert_int_equal(seqpacket_new(bench.loop, &o, &second, &why), ERR_IO);
    assert_string_equal(why.what, "address already in use");
    int fd = dial(SOCK_SEQPACKET);
    exchange(fd, "still here");
    close(fd);
}

static void stale_socket(void **state)
{
    const struct seqpacket_options o = options();
    char keep[112];
    (void)state;

    (void)snprintf(keep, sizeof(keep), "%s.keep", bench.path);
    assert_int_equal(link(bench.path, keep), 0);
    seqpacket_free(bench.server);
    bench.server = NULL;
    assert_int_equal(access(bench.path, F_OK), -1); /* removed */
    assert_int_equal(rename(keep, bench.path), 0);  /* as after kill -9 */
    assert_int_equal(seqpacket_new(bench.loop, &o, &bench.server, NULL), ERR_OK);
    int fd = dial(SOCK_SEQPACKET);
    exchange(fd, "new");
    close(fd);
}

static void not_a_socket(void **state)
{
    struct seqpacket_options o = options();
    struct why why = { 0 };
    struct seqpacket *s = NULL;
    char long_path[200];
    (void)state;

    seqpacket_free(bench.server);
    bench.server = NULL;
    FILE *f = fopen(bench.path, "w");
    assert_non_null(f);
    fclose(f);
    assert_int_equal(seqpacket_new(bench.loop, &o, &s, &why), ERR_IO);
    assert_string_equal(why.what, "address already in use");
    assert_int_equal(access(bench.path, F_OK), 0);
    memset(long_path, 'a', sizeof(long_path) - 1);
    long_path[sizeof(long_path) - 1] = 0;
    o.path = long_path;
    assert_int_equal(seqpacket_new(bench.loop, &o, &s, &why), ERR_LIMIT);
    assert_null(s);
}

/* No descriptor is free: who comes waits, and is served once there is one. */
static void out_of_descriptors(void **state)
{
    struct rlimit all, none;
    int fd = dial(SOCK_SEQPACKET);
    (void)state;
    if (t_under_valgrind()) /* which keeps a limit of its own */
        skip();

    exchange(fd, "a");
    int late = dial(SOCK_SEQPACKET);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &all), 0);
    none = all;
    none.rlim_cur = (rlim_t)late + 1;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    exchange(fd, "b");
    exchange(fd, "c");
    assert_int_equal(seqpacket_clients(bench.server), 1);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &all), 0);
    exchange(late, "d");
    close(late);
    close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(modes),           TEST(many_clients),        TEST(lengths),
        TEST(no_answer_drops), TEST(who_does_not_read),   TEST(who_leaves),
        TEST(already_served),  TEST(a_stream_is_refused), TEST(stale_socket),
        TEST(not_a_socket),    TEST(out_of_descriptors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
