#include "testing/t.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "io/nsm_dev.h"
#include "io/sys.h"

enum { RESPONSE_MAX = 12288, REQUEST_MAX = 4096, CONNECTIONS_MAX = 16 };

static char dir[32], path[64], where[80];

/* A NSM on a SEQPACKET socket that answers each request by its first byte: 'e' echo, 'g' go away
 * without an answer, 'm' the longest response, 'M' one byte more, 's' slowly. */
static bool serve_one(int fd, uint8_t *packet)
{
    ssize_t n = recv(fd, packet, RESPONSE_MAX + 1, 0);
    if (n <= 0 || packet[0] == 'g')
        return false;
    if (packet[0] == 's')
        usleep(1000000); /* whatever else the machine does */
    if (packet[0] == 'm' || packet[0] == 'M')
        n = RESPONSE_MAX + (packet[0] == 'M');
    return send(fd, packet, (size_t)n, MSG_NOSIGNAL) == n;
}

static void *connection_main(void *arg)
{
    int fd = (int)(intptr_t)arg;
    uint8_t *packet = calloc(1, RESPONSE_MAX + 1);
    while (serve_one(fd, packet)) {
    }
    free(packet);
    close(fd);
    return NULL;
}

static void *server_main(void *arg)
{
    pthread_t t[CONNECTIONS_MAX];
    size_t n = 0;
    int fd;
    while (n < CONNECTIONS_MAX && (fd = accept(*(int *)arg, NULL, NULL)) >= 0)
        if (pthread_create(&t[n], NULL, connection_main, (void *)(intptr_t)fd) == 0)
            n++;
    while (n > 0) /* a slow one may still be asleep */
        pthread_join(t[--n], NULL);
    return NULL;
}

static int listening;
static pthread_t server;

static int make(void **state)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    (void)state;
    strcpy(dir, "/tmp/nitroseal-t-XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    snprintf(path, sizeof(path), "%s/nsm", dir);
    snprintf(where, sizeof(where), "unix:%s", path);
    strcpy(un.sun_path, path);
    listening = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (bind(listening, (struct sockaddr *)&un, sizeof(un)) != 0 || listen(listening, 8) != 0)
        return -1;
    return pthread_create(&server, NULL, server_main, &listening);
}

static int unmake(void **state)
{
    (void)state;
    shutdown(listening, SHUT_RDWR);
    pthread_join(server, NULL);
    close(listening);
    unlink(path);
    return rmdir(dir);
}

static const char *in_dir_other(void)
{
    static char other[80];
    snprintf(other, sizeof(other), "%s.away", path);
    return other;
}

static uint64_t soon(void)
{
    return clock_mono_ns() + 5 * NS_PER_S;
}

static struct nsm_dev *open_it(void)
{
    struct nsm_dev *d;
    assert_int_equal(nsm_dev_open(where, &d, NULL), ERR_OK);
    return d;
}

static void echo(struct nsm_dev *d)
{
    AUTO(buf_clear) struct buf out = BUF_INIT(RESPONSE_MAX);
    assert_int_equal(buf_append_byte(&out, '>'), ERR_OK);
    assert_int_equal(nsm_dev_ask(d, SPAN_LIT("echo"), &out, soon(), NULL), ERR_OK);
    t_assert_buf(&out, ">echo");
}

static void ask_twice(void **state)
{
    struct nsm_dev *d = open_it();
    (void)state;
    echo(d);
    echo(d);
    nsm_dev_close(d);
    nsm_dev_close(NULL);
}

static void limits(void **state)
{
    struct nsm_dev *d = open_it();
    AUTO(buf_clear) struct buf out = BUF_INIT(RESPONSE_MAX);
    AUTO(buf_clear) struct buf small = BUF_INIT(3);
    static uint8_t request[REQUEST_MAX + 1] = { 'e' };
    struct why why = { 0 };
    (void)state;

    assert_int_equal(nsm_dev_ask(d, span_of(request, REQUEST_MAX), &out, soon(), NULL), ERR_OK);
    assert_int_equal(out.len, REQUEST_MAX);
    buf_reset(&out);
    assert_int_equal(nsm_dev_ask(d, span_of(request, REQUEST_MAX + 1), &out, soon(), &why),
                     ERR_LIMIT);
    assert_string_equal(why.what, "NSM request over 4,096 bytes");
    assert_int_equal(nsm_dev_ask(d, SPAN_EMPTY, &out, soon(), &why), ERR_LIMIT);
    assert_int_equal(nsm_dev_ask(d, SPAN_LIT("M"), &out, soon(), &why), ERR_LIMIT);
    assert_string_equal(why.what, "NSM response over 12,288 bytes");
    assert_int_equal(out.len, 0);
    assert_int_equal(nsm_dev_ask(d, SPAN_LIT("m"), &out, soon(), NULL), ERR_OK);
    assert_int_equal(out.len, RESPONSE_MAX);
    assert_int_equal(nsm_dev_ask(d, SPAN_LIT("echo"), &small, soon(), &why), ERR_LIMIT);
    assert_string_equal(why.what, "no room for the NSM response");
    assert_int_equal(small.len, 0);
    nsm_dev_close(d);
}

/* The second connection is left without an answer as well: that is where it gives up. */
static void reconnects_once(void **state)
{
    struct nsm_dev *d = open_it();
    AUTO(buf_clear) struct buf out = BUF_INIT(RESPONSE_MAX);
    struct why why = { 0 };
    (void)state;
    echo(d);
    assert_int_equal(nsm_dev_ask(d, SPAN_LIT("go"), &out, soon(), &why), ERR_IO);
    assert_string_equal(why.what, "the NSM closed the connection");
    assert_int_equal(out.len, 0);
    echo(d);
    nsm_dev_close(d);
}

/* Started anew on the same path while nobody asked: the next one notices nothing. */
static void restarted_nsm(void **state)
{
    struct nsm_dev *d = open_it();
    AUTO(buf_clear) struct buf out = BUF_INIT(RESPONSE_MAX);
    struct why why = { 0 };
    (void)state;
    echo(d);
    assert_int_equal(rename(path, in_dir_other()), 0);
    assert_int_equal(nsm_dev_ask(d, SPAN_LIT("go"), &out, soon(), &why), ERR_IO);
    assert_string_equal(why.what, "no such file or folder");
    assert_int_equal(rename(in_dir_other(), path), 0);
    echo(d);
    nsm_dev_close(d);
}

/* The late answer must not be taken for the next question's. */
static void timeout_forgets_the_answer(void **state)
{
    struct nsm_dev *d = open_it();
    AUTO(buf_clear) struct buf out = BUF_INIT(RESPONSE_MAX);
    struct why why = { 0 };
    (void)state;
    assert_int_equal(nsm_dev_ask(d, SPAN_LIT("slow"), &out, clock_mono_ns() + 10 * NS_PER_MS, &why),
                     ERR_TIMEOUT);
    assert_string_equal(why.what, "timed out");
    echo(d);
    nsm_dev_close(d);
}

static void *ask_many(void *arg)
{
    for (unsigned i = 0; i < 50; i++)
        echo(arg);
    return NULL;
}

static void several_threads(void **state)
{
    struct nsm_dev *d = open_it();
    pthread_t t[4];
    (void)state;
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&t[i], NULL, ask_many, d), 0);
    for (unsigned i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    nsm_dev_close(d);
}

static void open_faults(void **state)
{
    struct nsm_dev *d = NULL;
    struct why why = { 0 };
    char longest[200];
    (void)state;
    assert_int_equal(nsm_dev_open("/no/such/nsm", &d, &why), ERR_IO);
    assert_string_equal(why.what, "no such file or folder");
    assert_int_equal(nsm_dev_open("unix:/no/such/nsm", &d, &why), ERR_IO);
    assert_string_equal(why.what, "no such file or folder");
    memset(longest, 'x', sizeof(longest));
    memcpy(longest, "unix:", 5);
    longest[sizeof(longest) - 1] = 0;
    assert_int_equal(nsm_dev_open(longest, &d, &why), ERR_LIMIT);
    assert_null(d);
}

/* Another device does not know the ioctl. */
static void not_an_nsm(void **state)
{
    struct nsm_dev *d;
    AUTO(buf_clear) struct buf out = BUF_INIT(RESPONSE_MAX);
    struct why why = { 0 };
    (void)state;
    assert_int_equal(nsm_dev_open("/dev/null", &d, NULL), ERR_OK);
    assert_int_equal(nsm_dev_ask(d, SPAN_LIT("x"), &out, soon(), &why), ERR_IO);
    assert_string_equal(why.what, "Inappropriate ioctl for device");
    assert_int_equal(out.len, 0);
    nsm_dev_close(d);
}

#define WITH_NSM(fn) cmocka_unit_test_setup_teardown(fn, make, unmake)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_NSM(ask_twice),           WITH_NSM(limits),
        WITH_NSM(reconnects_once),     WITH_NSM(timeout_forgets_the_answer),
        WITH_NSM(restarted_nsm),       WITH_NSM(several_threads),
        cmocka_unit_test(open_faults), cmocka_unit_test(not_an_nsm),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests_name("io/nsm_dev", tests, NULL, NULL);
}
