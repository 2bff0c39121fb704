#include "testing/t.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/sys.h"
#include "io/tube.h"

static struct tubes *pool;
static int from[2], to[2]; /* the tube reads from[0] and writes to[0] */
static struct tube tube;
static int refuse_in, refuse_out; /* splice() says so for that socket */

ssize_t __real_splice(int in, off_t *in_at, int out, off_t *out_at, size_t n, unsigned flags);
ssize_t __wrap_splice(int in, off_t *in_at, int out, off_t *out_at, size_t n, unsigned flags);
ssize_t __wrap_splice(int in, off_t *in_at, int out, off_t *out_at, size_t n, unsigned flags)
{
    if ((refuse_in && in == from[0]) || (refuse_out && out == to[0])) {
        errno = EINVAL;
        return -1;
    }
    return __real_splice(in, in_at, out, out_at, n, flags);
}

static int pair(int s[2])
{
    return socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, s);
}

static int make(unsigned pipes)
{
    refuse_in = refuse_out = 0;
    tube = (struct tube){ .held = 0 };
    return pair(from) || pair(to) || tubes_new(pipes, &pool) != ERR_OK;
}

static int make_pipes(void **state)
{
    (void)state;
    return make(4);
}

static int make_buffers(void **state)
{
    (void)state;
    return make(0);
}

static int unmake(void **state)
{
    (void)state;
    tube_drop(pool, &tube);
    tubes_free(pool);
    for (unsigned i = 0; i < 2; i++) {
        fd_close(&from[i]);
        fd_close(&to[i]);
    }
    return 0;
}

static enum tube_got fill(size_t *n)
{
    const char *what = NULL;
    enum tube_got got = tube_fill(pool, &tube, from[0], n, &what);
    assert_int_equal(got == TUBE_BROKEN, what != NULL);
    return got;
}

static enum tube_got drain(size_t *n)
{
    const char *what = NULL;
    enum tube_got got = tube_drain(pool, &tube, to[0], n, &what);
    assert_int_equal(got == TUBE_BROKEN, what != NULL);
    return got;
}

static uint8_t byte_at(size_t i)
{
    return (uint8_t)(i * 31 + (i >> 8) * 7 + (i >> 16) * 3);
}

/* A megabyte through, with a writer and a reader that take turns and never wait. */
static void all_arrives(void **state)
{
    enum { TOTAL = 1 << 20 };
    static uint8_t piece[50000];
    size_t sent = 0, came = 0, n;
    (void)state;
    while (came < TOTAL) {
        size_t want = TOTAL - sent < sizeof(piece) ? TOTAL - sent : sizeof(piece);
        for (size_t i = 0; i < want; i++)
            piece[i] = byte_at(sent + i);
        ssize_t w = want ? write(from[1], piece, want) : 0;
        sent += w > 0 ? (size_t)w : 0;
        if (tube.held == 0) {
            enum tube_got got = fill(&n);
            assert_true(got == TUBE_MOVED || got == TUBE_AGAIN);
            if (got == TUBE_MOVED)
                assert_int_equal(tube.held, n);
        }
        while (tube.held > 0 && drain(&n) == TUBE_MOVED) {
        }
        ssize_t r = read(to[1], piece, sizeof(piece));
        for (ssize_t i = 0; i < r; i++)
            assert_int_equal(piece[i], byte_at(came++));
    }
    assert_null(tube.store);
}

static void the_source_cannot_splice(void **state)
{
    refuse_in = 1;
    all_arrives(state);
    assert_true(tube.no_splice);
}

/* Known only when the bytes are in the pipe already. */
static void the_destination_cannot_splice(void **state)
{
    refuse_out = 1;
    all_arrives(state);
    assert_true(tube.no_splice);
}

static void empty_end_and_broken(void **state)
{
    size_t n = 77;
    (void)state;
    assert_int_equal(fill(&n), TUBE_AGAIN);
    assert_null(tube.store);
    assert_int_equal(write(from[1], "abc", 3), 3);
    assert_int_equal(shutdown(from[1], SHUT_WR), 0);
    assert_int_equal(fill(&n), TUBE_MOVED);
    assert_int_equal(n, 3);
    fd_close(&to[1]);
    assert_int_equal(drain(&n), TUBE_BROKEN);
    tube_drop(pool, &tube);
    assert_int_equal(tube.held, 0);
    assert_int_equal(fill(&n), TUBE_EOF);
}

static void a_full_destination(void **state)
{
    static uint8_t many[65536];
    size_t n;
    (void)state;
    while (write(to[0], many, sizeof(many)) > 0) {
    }
    assert_int_equal(write(from[1], "abc", 3), 3);
    assert_int_equal(fill(&n), TUBE_MOVED);
    assert_int_equal(drain(&n), TUBE_AGAIN);
    assert_int_equal(tube.held, 3);
}

static unsigned open_fds(void)
{
    unsigned n = 0;
    for (int fd = 0; fd < 256; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

/* Nothing is held by a tube that is empty, and pipes are used again. */
static void pipes_are_shared(void **state)
{
    size_t n;
    (void)state;
    unsigned before = open_fds();
    for (unsigned i = 0; i < 50; i++) {
        struct tube other = { .held = 0 };
        const char *what;
        assert_int_equal(write(from[1], "abc", 3), 3);
        assert_int_equal(tube_fill(pool, &other, from[0], &n, &what), TUBE_MOVED);
        assert_int_equal(tube_drain(pool, &other, to[0], &n, &what), TUBE_MOVED);
        assert_int_equal(n, 3);
    }
    assert_int_equal(open_fds(), before + 2);
}

/* The fifth has a buffer. */
static void more_tubes_than_pipes(void **state)
{
    struct tube all[5] = { { .held = 0 } };
    char back[16] = "";
    const char *what;
    size_t n;
    (void)state;
    unsigned before = open_fds();
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(write(from[1], &"abcde"[i], 1), 1);
        assert_int_equal(tube_fill(pool, &all[i], from[0], &n, &what), TUBE_MOVED);
    }
    assert_int_equal(open_fds(), before + 8);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(tube_drain(pool, &all[i], to[0], &n, &what), TUBE_MOVED);
    assert_int_equal(read(to[1], back, sizeof(back) - 1), 5);
    assert_string_equal(back, "abcde");
    assert_false(all[4].no_splice);
}

#define ROW(fn, make) cmocka_unit_test_setup_teardown(fn, make, unmake)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(all_arrives, make_pipes),
        { "all_arrives through buffers", all_arrives, make_buffers, unmake, NULL },
        ROW(the_source_cannot_splice, make_pipes),
        ROW(the_destination_cannot_splice, make_pipes),
        ROW(empty_end_and_broken, make_pipes),
        { "empty_end_and_broken with buffers", empty_end_and_broken, make_buffers, unmake, NULL },
        ROW(a_full_destination, make_pipes),
        ROW(pipes_are_shared, make_pipes),
        ROW(more_tubes_than_pipes, make_pipes),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests_name("io_tube", tests, NULL, NULL);
}
