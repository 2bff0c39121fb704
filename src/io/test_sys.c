#include "testing/t.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/sys.h"

ssize_t __real_read(int fd, void *p, size_t n);
ssize_t __wrap_read(int fd, void *p, size_t n);
ssize_t __real_send(int fd, const void *p, size_t n, int flags);
ssize_t __wrap_send(int fd, const void *p, size_t n, int flags);

/* Faults of the system calls under test: every second call is interrupted, the others move at most
 * `piece` bytes. 0: off. */
static size_t piece;
static unsigned calls;

ssize_t __wrap_read(int fd, void *p, size_t n)
{
    if (piece && calls++ % 2 == 0) {
        errno = EINTR;
        return -1;
    }
    return __real_read(fd, p, piece && n > piece ? piece : n);
}

ssize_t __wrap_send(int fd, const void *p, size_t n, int flags)
{
    if (piece && calls++ % 2 == 0) {
        errno = EINTR;
        return -1;
    }
    return __real_send(fd, p, piece && n > piece ? piece : n, flags);
}

static char dir[32];

static int make_dir(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/nitroseal-t-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
    char cmd[64];
    (void)state;
    piece = 0;
    snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
    return system(cmd);
}

static const char *in_dir(const char *name)
{
    static char path[4][128];
    static unsigned turn;
    turn = (turn + 1) % 4;
    snprintf(path[turn], sizeof(path[turn]), "%s/%s", dir, name);
    return path[turn];
}

static void clocks_advance(void **state)
{
    (void)state;
    uint64_t a = clock_mono_ns();
    usleep(1000);
    assert_true(clock_mono_ns() - a >= NS_PER_MS);
    assert_true(clock_wall_ms() > INT64_C(1600000000000));
}

static void errno_texts(void **state)
{
    (void)state;
    assert_string_equal(errno_what(ECONNREFUSED), "connection refused");
    assert_string_equal(errno_what(ETIMEDOUT), "timed out");
    assert_string_equal(errno_what(EISDIR), "Is a directory");
    assert_string_equal(errno_what(99999), "unknown system error");
}

static void fd_close_twice(void **state)
{
    (void)state;
    int fd = dup(0), was = fd;
    fd_close(&fd);
    assert_int_equal(fd, -1);
    assert_int_equal(fcntl(was, F_GETFD), -1);
    fd_close(&fd);
}

struct feed {
    int fd;
    const char *text;
};

static void *feeder(void *arg)
{
    struct feed *f = arg;
    for (const char *p = f->text; *p; p++) {
        assert_int_equal(write(f->fd, p, 1), 1);
        usleep(500);
    }
    close(f->fd);
    return NULL;
}

static void read_all_of(const char *text, size_t max, enum err want)
{
    int p[2];
    pthread_t t;
    AUTO(buf_clear) struct buf out = BUF_INIT(max);
    struct why why = { 0 };

    assert_int_equal(buf_append_str(&out, "="), ERR_OK);
    assert_int_equal(pipe2(p, O_CLOEXEC), 0);
    struct feed f = { p[1], text };
    assert_int_equal(pthread_create(&t, NULL, feeder, &f), 0);
    assert_int_equal(fd_read_all(p[0], &out, clock_mono_ns() + 5 * NS_PER_S, &why), want);
    pthread_join(t, NULL);
    close(p[0]);
    if (want == ERR_OK) {
        assert_int_equal(out.len, 1 + strlen(text));
        assert_memory_equal(out.ptr + 1, text, strlen(text));
    } else {
        assert_string_equal(why.what, "longer than the limit");
        t_assert_buf(&out, "=");
    }
}

static void read_all_pieces(void **state)
{
    (void)state;
    read_all_of("hello", 100, ERR_OK);
    read_all_of("", 100, ERR_OK);
}

static void read_all_at_the_limit(void **state)
{
    (void)state;
    read_all_of("hello", 6, ERR_OK);
    read_all_of("hello!", 6, ERR_LIMIT);
}

static void read_all_interrupted(void **state)
{
    (void)state;
    piece = 2;
    read_all_of("interrupted", 100, ERR_OK);
}

static void read_all_times_out(void **state)
{
    int p[2];
    AUTO(buf_clear) struct buf out = BUF_INIT(10);
    struct why why = { 0 };
    (void)state;

    assert_int_equal(pipe2(p, O_CLOEXEC), 0);
    assert_int_equal(write(p[1], "x", 1), 1);
    uint64_t start = clock_mono_ns();
    assert_int_equal(fd_read_all(p[0], &out, start + 30 * NS_PER_MS, &why), ERR_TIMEOUT);
    assert_string_equal(why.what, "timed out");
    assert_int_equal(out.len, 0);
    assert_true(clock_mono_ns() - start >= 30 * NS_PER_MS);
    close(p[0]);
    close(p[1]);
}

static void *slow_reader(void *arg)
{
    int fd = *(int *)arg;
    static uint8_t sum;
    uint8_t block[1000];
    ssize_t n;
    sum = 0;
    while ((n = __real_read(fd, block, sizeof(block))) > 0)
        for (ssize_t i = 0; i < n; i++)
            sum = (uint8_t)(sum + block[i]);
    return &sum;
}

/* More than pipe and socket buffers hold, to a reader in another thread. */
static void write_all_to(int to, int from, bool blocking)
{
    enum { BYTES = 1 << 20 };
    uint8_t *data = malloc(BYTES), sum = 0;
    pthread_t t;
    void *got;
    for (size_t i = 0; i < BYTES; i++)
        sum = (uint8_t)(sum + (data[i] = (uint8_t)(i * 7 + i / 256)));
    if (!blocking)
        assert_int_equal(fcntl(to, F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(pthread_create(&t, NULL, slow_reader, &from), 0);
    assert_int_equal(fd_write_all(to, span_of(data, BYTES), clock_mono_ns() + 20 * NS_PER_S, NULL),
                     ERR_OK);
    close(to);
    pthread_join(t, &got);
    assert_int_equal(*(uint8_t *)got, sum);
    close(from);
    free(data);
}

static void write_all_kinds(void **state)
{
    int p[2];
    (void)state;
    for (int blocking = 0; blocking < 2; blocking++) {
        assert_int_equal(pipe2(p, O_CLOEXEC), 0);
        write_all_to(p[1], p[0], blocking);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, p), 0);
        write_all_to(p[1], p[0], blocking);
    }
}

static void write_all_interrupted(void **state)
{
    int p[2];
    (void)state;
    piece = 5000;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, p), 0);
    write_all_to(p[1], p[0], true);
}

/* A blocking descriptor, nobody reads: must not hang in the call. */
static void write_all_times_out(void **state)
{
    int p[2];
    struct why why = { 0 };
    static uint8_t data[1 << 20];
    (void)state;

    for (int sock = 0; sock < 2; sock++) {
        assert_int_equal(sock ? socketpair(AF_UNIX, SOCK_STREAM, 0, p) : pipe2(p, O_CLOEXEC), 0);
        assert_int_equal(
            fd_write_all(p[1], SPAN_ARRAY(data), clock_mono_ns() + 20 * NS_PER_MS, &why),
            ERR_TIMEOUT);
        assert_string_equal(why.what, "timed out");
        close(p[0]);
        close(p[1]);
    }
}

static void write_all_to_nobody(void **state)
{
    int p[2];
    struct why why = { 0 };
    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, p), 0);
    close(p[0]);
    assert_int_equal(fd_write_all(p[1], SPAN_LIT("x"), 0, &why), ERR_IO);
    assert_string_equal(why.what, "connection closed by the peer");
    close(p[1]);
}

static void file_round_trip(void **state)
{
    AUTO(buf_clear) struct buf out = BUF_INIT(100);
    struct stat st;
    (void)state;

    assert_int_equal(file_write(in_dir("a"), SPAN_LIT("one"), 0600, NULL), ERR_OK);
    assert_int_equal(file_write(in_dir("a"), SPAN_LIT("two!"), 0640, NULL), ERR_OK);
    assert_int_equal(file_read(in_dir("a"), &out, NULL), ERR_OK);
    t_assert_buf(&out, "two!");
    assert_int_equal(stat(in_dir("a"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
    /* Nothing temporary is left. */
    assert_int_equal(unlink(in_dir("a")), 0);
    assert_int_equal(rmdir(dir), 0);
    assert_int_equal(mkdir(dir, 0700), 0);
}

static void file_faults(void **state)
{
    AUTO(buf_clear) struct buf out = BUF_INIT(3);
    struct why why = { 0 };
    (void)state;

    assert_int_equal(file_read(in_dir("none"), &out, &why), ERR_IO);
    assert_string_equal(why.what, "no such file or folder");
    assert_int_equal(file_read(dir, &out, &why), ERR_IO);
    assert_string_equal(why.what, "Is a directory");
    assert_int_equal(file_write(in_dir("b"), SPAN_LIT("four"), 0600, NULL), ERR_OK);
    assert_int_equal(file_read(in_dir("b"), &out, &why), ERR_LIMIT);
    assert_string_equal(why.what, "longer than the limit");
    assert_int_equal(out.len, 0);
    assert_int_equal(file_write(in_dir("no/such"), SPAN_LIT("x"), 0600, &why), ERR_IO);
    assert_string_equal(why.what, "no such file or folder");
    /* A folder in the way: the temporary file must go again. */
    assert_int_equal(mkdir(in_dir("full"), 0700), 0);
    assert_int_equal(file_write(in_dir("full"), SPAN_LIT("x"), 0600, &why), ERR_IO);
    assert_string_equal(why.what, "Is a directory");
    assert_int_equal(rmdir(in_dir("full")), 0);
    assert_int_equal(unlink(in_dir("b")), 0);
    assert_int_equal(rmdir(dir), 0);
    assert_int_equal(mkdir(dir, 0700), 0);
}

static void dir_make_deep(void **state)
{
    struct stat st;
    struct why why = { 0 };
    (void)state;

    assert_int_equal(dir_make(in_dir("x/y/z/"), NULL), ERR_OK);
    assert_int_equal(dir_make(in_dir("x/y/z"), NULL), ERR_OK);
    assert_int_equal(stat(in_dir("x/y/z"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_int_equal(file_write(in_dir("f"), SPAN_LIT("x"), 0600, NULL), ERR_OK);
    assert_int_equal(dir_make(in_dir("f"), &why), ERR_IO);
    assert_string_equal(why.what, "Not a directory");
    assert_int_equal(dir_make("", &why), ERR_LIMIT);
    assert_string_equal(why.what, "empty path");
    char longest[2000];
    memset(longest, 'a', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = 0;
    assert_int_equal(dir_make(longest, &why), ERR_LIMIT);
    assert_string_equal(why.what, "path too long");
}

static void harden(void **state)
{
    (void)state;
    pid_t child = fork(); /* for good, so not in this process */
    if (child == 0) {
        struct rlimit core;
        struct sigaction sa;
        bool ok = process_harden() == ERR_OK && prctl(PR_GET_DUMPABLE) == 0 &&
                  prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 &&
                  getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_max == 0 &&
                  sigaction(SIGPIPE, NULL, &sa) == 0 && sa.sa_handler == SIG_IGN && umask(0) == 077;
        _exit(ok ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

#define IN_DIR(fn) cmocka_unit_test_setup_teardown(fn, make_dir, remove_dir)

static void memory(void **state)
{
    (void)state;
    int fd = memory_open();

    assert_true(fd >= 0);
    uint64_t before = memory_resident(fd);
    assert_true(before > 65536);
    enum { MORE = 32 << 20 };
    char *p = malloc(MORE);
    assert_non_null(p);
    memset(p, 1, MORE);
    assert_true(memory_resident(fd) > before + MORE / 2); /* the same descriptor, again */
    free(p);
    fd_close(&fd);
    assert_int_equal(memory_resident(fd), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory),
        cmocka_unit_test(clocks_advance),
        cmocka_unit_test(errno_texts),
        cmocka_unit_test(fd_close_twice),
        cmocka_unit_test(read_all_pieces),
        cmocka_unit_test(read_all_at_the_limit),
        IN_DIR(read_all_interrupted),
        cmocka_unit_test(read_all_times_out),
        cmocka_unit_test(write_all_kinds),
        IN_DIR(write_all_interrupted),
        cmocka_unit_test(write_all_times_out),
        cmocka_unit_test(write_all_to_nobody),
        IN_DIR(file_round_trip),
        IN_DIR(file_faults),
        IN_DIR(dir_make_deep),
        cmocka_unit_test(harden),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests_name("io/sys", tests, NULL, NULL);
}
