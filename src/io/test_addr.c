#include "testing/t.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "io/resolve.h"
#include "io/sock.h"
#include "io/sys.h"

static const struct tcp_row {
    const char *name, *in;
    enum err want;
    const char *text; /* addr_text(), or why.what */
} tcp_rows[] = {
    { "IPv4", "127.0.0.1:443", ERR_OK, "127.0.0.1:443" },
    { "IPv6", "[::1]:8443", ERR_OK, "[::1]:8443" },
    { "localhost", "localhost:0", ERR_OK, "127.0.0.1:0" },
    { "highest port", "1.2.3.4:65535", ERR_OK, "1.2.3.4:65535" },
    { "port over the limit", "1.2.3.4:65536", ERR_MALFORMED, "port is not a number up to 65535" },
    { "no port", "127.0.0.1", ERR_MALFORMED, "no port" },
    { "empty port", "127.0.0.1:", ERR_MALFORMED, "port is not a number up to 65535" },
    { "sign", "127.0.0.1:+1", ERR_MALFORMED, "port is not a number up to 65535" },
    { "empty", "", ERR_MALFORMED, "no port" },
    { "empty host", ":1", ERR_MALFORMED, "host" },
    { "empty brackets", "[]:1", ERR_MALFORMED, "host" },
    { "IPv6 without brackets", "::1:1", ERR_UNSUPPORTED,
      "neither a numeric address nor localhost" },
    { "IPv4 in brackets", "[1.2.3.4]:1", ERR_UNSUPPORTED,
      "neither a numeric address nor localhost" },
    { "a name needs DNS", "example.com:1", ERR_UNSUPPORTED,
      "neither a numeric address nor localhost" },
};

static void tcp_row(void **state)
{
    const struct tcp_row *row = *state;
    struct addr a = { .kind = ADDR_UNIX, .port = 77 };
    struct why why = { 0 };
    char text[ADDR_TEXT_BYTES];

    assert_int_equal(addr_tcp(row->in, &a, &why), row->want);
    if (row->want != ERR_OK) {
        assert_string_equal(why.what, row->text);
        assert_true(a.kind == ADDR_UNIX && a.port == 77);
        return;
    }
    addr_text(&a, text, sizeof(text));
    assert_string_equal(text, row->text);
}

static void vsock_settings(void **state)
{
    struct addr a = { .kind = ADDR_TCP };
    struct why why = { 0 };
    char text[ADDR_TEXT_BYTES], longest[128];
    (void)state;

    assert_int_equal(addr_vsock("other", 1, 2, &a, &why), ERR_MALFORMED);
    assert_string_equal(why.what, "neither kernel nor unix:DIR");
    assert_int_equal(addr_vsock("unix:", 1, 2, &a, &why), ERR_MALFORMED);
    assert_int_equal(a.kind, ADDR_TCP);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(addr_vsock((const char *[]){ NULL, "", "kernel" }[i], 16, 5000, &a, &why),
                         ERR_OK);
        assert_int_equal(a.kind, ADDR_VSOCK);
        addr_text(&a, text, sizeof(text));
        assert_string_equal(text, "vsock 16:5000");
    }
    a.cid = CID_ANY;
    addr_text(&a, text, sizeof(text));
    assert_string_equal(text, "vsock any:5000");

    /* The longest name in the folder is "/4294967295.vsock_4294967295" and a NUL: 29 of 108. */
    strcpy(longest, "unix:");
    memset(longest + 5, 'd', 80);
    longest[5 + 79] = 0;
    assert_int_equal(addr_vsock(longest, CID_ANY - 1, UINT32_MAX, &a, &why), ERR_OK);
    longest[5 + 79] = 'd';
    longest[5 + 80] = 0;
    assert_int_equal(addr_vsock(longest, 1, 2, &a, &why), ERR_LIMIT);
    assert_string_equal(why.what, "folder too long for the names of Unix sockets");
}

static void names_as_firecracker(void **state)
{
    struct sock_name n[SOCK_NAMES_MAX];
    struct sockaddr_un un;
    struct addr a;
    char dir[100];
    (void)state;

    assert_int_equal(addr_vsock("unix:/d", 16, 5000, &a, NULL), ERR_OK);
    assert_int_equal(sock_names(&a, n), 2);
    memcpy(&un, &n[0].sa, sizeof(un));
    assert_string_equal(un.sun_path, "/d/16.vsock_5000");
    assert_false(n[0].greets);
    memcpy(&un, &n[1].sa, sizeof(un));
    assert_string_equal(un.sun_path, "/d/16.vsock");
    assert_true(n[1].greets);

    strcpy(dir, "unix:");
    memset(dir + 5, 'd', 79);
    dir[5 + 79] = 0;
    assert_int_equal(addr_vsock(dir, UINT32_MAX, UINT32_MAX, &a, NULL), ERR_OK);
    (void)sock_names(&a, n);
    memcpy(&un, &n[0].sa, sizeof(un));
    assert_int_equal(strnlen(un.sun_path, sizeof(un.sun_path)), sizeof(un.sun_path) - 1);
}

static void unix_paths(void **state)
{
    struct addr a = { .kind = ADDR_TCP };
    struct why why = { 0 };
    char path[109];
    (void)state;

    assert_int_equal(addr_unix("", &a, &why), ERR_MALFORMED);
    assert_string_equal(why.what, "empty path");
    memset(path, 'p', sizeof(path));
    path[108] = 0;
    assert_int_equal(addr_unix(path, &a, &why), ERR_LIMIT);
    assert_string_equal(why.what, "path too long for a Unix socket");
    assert_int_equal(a.kind, ADDR_TCP);
    path[107] = 0;
    assert_int_equal(addr_unix(path, &a, &why), ERR_OK);
    assert_string_equal(a.path, path);
}

static void sockaddr_kinds(void **state)
{
    struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(9) };
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    struct addr a;
    (void)state;
    assert_int_equal(addr_sockaddr((const struct sockaddr *)&v4, sizeof(v4), &a), ERR_OK);
    assert_int_equal(a.kind, ADDR_TCP);
    assert_int_equal(addr_sockaddr((const struct sockaddr *)&v4, sizeof(v4) - 1, &a),
                     ERR_UNSUPPORTED);
    assert_int_equal(addr_sockaddr((const struct sockaddr *)&un, sizeof(un), &a), ERR_UNSUPPORTED);
}

static void is_resolved(const char *host, enum resolve_family family, const char *want)
{
    static struct resolved r;
    char text[ADDR_TEXT_BYTES];

    assert_int_equal(resolve_numeric(host, 443, family, &r), ERR_OK);
    assert_int_equal(r.n, 1);
    addr_text(&r.list[0], text, sizeof(text));
    assert_string_equal(text, want);
}

static void names_without_dns(void **state)
{
    struct resolved r = { .n = 7 };
    (void)state;

    is_resolved("127.0.0.9", RESOLVE_V4, "127.0.0.9:443");
    is_resolved("::9", RESOLVE_ANY, "[::9]:443");
    is_resolved("[::9]", RESOLVE_V6, "[::9]:443");
    is_resolved("localhost", RESOLVE_V4, "127.0.0.1:443");
    is_resolved("localhost", RESOLVE_V6, "[::1]:443");
    assert_int_equal(resolve_numeric("kms.test", 443, RESOLVE_ANY, &r), ERR_UNSUPPORTED);
    assert_int_equal(resolve_numeric("[::9", 443, RESOLVE_ANY, &r), ERR_UNSUPPORTED);
    assert_int_equal(resolve_numeric("127.0.0.9", 443, RESOLVE_V6, &r), ERR_DENIED);
    assert_int_equal(resolve_numeric("::9", 443, RESOLVE_V4, &r), ERR_DENIED);
    assert_int_equal(r.n, 7);
    assert_int_equal(resolve_numeric("localhost", 443, RESOLVE_ANY, &r), ERR_OK);
    assert_int_equal(r.n, 2);
}

static void greeting_answers(void **state)
{
    static const char good[] = "OK 1073741824\n";
    char text[64];
    (void)state;

    assert_int_equal(greeting_check(SPAN_LIT("OK 1073741824\n")), ERR_OK);
    assert_int_equal(greeting_check(SPAN_LIT("OK 4294967295\n")), ERR_OK);
    for (size_t i = 0; i < strlen(good); i++)
        assert_int_equal(greeting_check(span_of(good, i)), ERR_MORE);
    for (size_t bit = 0; bit < strlen(good) * 8; bit++) {
        strcpy(text, good);
        text[bit / 8] = (char)(text[bit / 8] ^ (1 << bit % 8));
        bool digit = text[bit / 8] >= '0' && text[bit / 8] <= '9' && bit / 8 >= 3 && bit / 8 < 13;
        enum err want = digit ? ERR_OK : ERR_DENIED;
        assert_int_equal(greeting_check(span_of(text, strlen(good))), want);
    }
    assert_int_equal(greeting_check(SPAN_LIT("OK \n")), ERR_DENIED);
    assert_int_equal(greeting_check(SPAN_LIT("OK 1\nx")), ERR_DENIED);
    memset(text, '1', sizeof(text));
    memcpy(text, "OK ", 3);
    assert_int_equal(greeting_check(span_of(text, GREETING_MAX_BYTES - 1)), ERR_MORE);
    assert_int_equal(greeting_check(span_of(text, GREETING_MAX_BYTES)), ERR_DENIED);
    assert_int_equal(greeting_write(4294967295U, text), strlen("CONNECT 4294967295\n"));
    assert_string_equal(text, "CONNECT 4294967295\n");
}

static char dir[32], setting[64];

static int make_dir(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/nitroseal-t-XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    snprintf(setting, sizeof(setting), "unix:%s/v", dir);
    return 0;
}

static int remove_dir(void **state)
{
    char cmd[64];
    (void)state;
    snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
    return system(cmd);
}

static const char *in_dir(const char *name)
{
    static char path[100];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    return path;
}

static void modes_of_unix_sockets(void **state)
{
    struct addr a;
    struct stat st;
    AUTO(fd_close) int fd = -1;
    (void)state;

    mode_t before = umask(0);
    assert_int_equal(addr_vsock(setting, 3, 8000, &a, NULL), ERR_OK);
    assert_int_equal(addr_listen(&a, 4, &fd, NULL), ERR_OK);
    umask(before);
    assert_int_equal(stat(in_dir("v"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_int_equal(stat(in_dir("v/3.vsock_8000"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_true(S_ISSOCK(st.st_mode));
}

static void stale_and_live_sockets(void **state)
{
    struct addr a;
    struct why why = { 0 };
    int first = -1, second = -1;
    (void)state;

    assert_int_equal(addr_unix(in_dir("s"), &a, NULL), ERR_OK);
    assert_int_equal(addr_listen(&a, 4, &first, NULL), ERR_OK);
    assert_int_equal(addr_listen(&a, 4, &second, &why), ERR_IO);
    assert_string_equal(why.what, "address already in use");
    assert_int_equal(second, -1);
    fd_close(&first); /* the file stays, nobody answers */
    assert_int_equal(addr_connect(&a, 0, &second, &why), ERR_IO);
    assert_string_equal(why.what, "connection refused");
    assert_int_equal(addr_listen(&a, 4, &first, NULL), ERR_OK);
    assert_int_equal(addr_connect(&a, 0, &second, NULL), ERR_OK);
    fd_close(&first);
    fd_close(&second);
    /* Something that is no socket is never removed. */
    assert_int_equal(unlink(in_dir("s")), 0);
    assert_int_equal(file_write(in_dir("s"), SPAN_LIT("mine"), 0600, NULL), ERR_OK);
    assert_int_equal(addr_listen(&a, 4, &first, &why), ERR_IO);
    assert_string_equal(why.what, "address already in use");
    assert_int_equal(access(in_dir("s"), F_OK), 0);
}

static void listen_needs_a_cid(void **state)
{
    struct addr a;
    struct why why = { 0 };
    int fd = -1;
    (void)state;
    assert_int_equal(addr_vsock(setting, CID_ANY, 5000, &a, NULL), ERR_OK);
    assert_int_equal(addr_listen(&a, 4, &fd, &why), ERR_UNSUPPORTED);
    assert_string_equal(why.what, "unix:DIR needs a CID to listen on");
    assert_int_equal(fd, -1);
}

static void connect_to_nobody(void **state)
{
    struct addr a;
    struct why why = { 0 };
    int fd = -1;
    (void)state;

    assert_int_equal(addr_vsock(setting, 16, 5000, &a, NULL), ERR_OK);
    assert_int_equal(addr_connect(&a, 0, &fd, &why), ERR_IO);
    assert_string_equal(why.what, "nobody listens: neither CID.vsock_PORT nor CID.vsock is there");
    assert_int_equal(addr_unix(in_dir("none"), &a, NULL), ERR_OK);
    assert_int_equal(addr_connect(&a, 0, &fd, &why), ERR_IO);
    assert_string_equal(why.what, "nobody listens: no such socket");
    assert_int_equal(addr_tcp("127.0.0.1:1", &a, NULL), ERR_OK);
    assert_int_equal(addr_connect(&a, clock_mono_ns() + NS_PER_S, &fd, &why), ERR_IO);
    assert_string_equal(why.what, "connection refused");
    assert_int_equal(fd, -1);
}

/* A Unix listener with a full backlog answers EAGAIN: wait, within the deadline. */
static void connect_waits_for_the_backlog(void **state)
{
    struct addr a;
    struct why why = { 0 };
    int listening = -1, fds[8], extra = -1;
    unsigned n = 0;
    (void)state;

    assert_int_equal(addr_unix(in_dir("full"), &a, NULL), ERR_OK);
    assert_int_equal(addr_listen(&a, 0, &listening, NULL), ERR_OK);
    while (n < 8 && addr_connect(&a, clock_mono_ns() + 30 * NS_PER_MS, &fds[n], &why) == ERR_OK)
        n++;
    assert_true(n >= 1 && n < 8);
    assert_int_equal(addr_connect(&a, clock_mono_ns() + 30 * NS_PER_MS, &extra, &why), ERR_TIMEOUT);
    assert_string_equal(why.what, "timed out");
    assert_int_equal(extra, -1);
    while (n > 0)
        close(fds[--n]);
    close(listening);
}

struct device {
    int listening;
    const char *answer;
    char got[64];
};

/* A VM's vsock device: takes one connection, reads the greeting, answers in single bytes. */
static void *device_main(void *arg)
{
    struct device *d = arg;
    size_t n = 0;
    assert_int_equal(fd_wait(d->listening, POLLIN, 0, NULL), ERR_OK);
    int fd = accept(d->listening, NULL, NULL);
    while (n < sizeof(d->got) - 1 && (n == 0 || d->got[n - 1] != '\n'))
        if (read(fd, d->got + n, 1) == 1)
            n++;
    d->got[n] = 0;
    for (const char *p = d->answer; *p; p++) {
        (void)!write(fd, p, 1);
        usleep(200);
    }
    close(fd);
    return NULL;
}

/* A mistyped folder is an error, and is not made. */
static void folder_without_its_parent(void **state)
{
    struct addr a;
    struct why why = { 0 };
    char missing[200];
    int fd = -1;
    (void)state;

    snprintf(missing, sizeof missing, "unix:%s", in_dir("nowhere/v"));
    assert_int_equal(addr_vsock(missing, 16, 5000, &a, NULL), ERR_OK);
    assert_int_equal(addr_listen(&a, 4, &fd, &why), ERR_IO);
    assert_string_equal(why.what, "the folder above that of unix:DIR does not exist");
    assert_int_equal(fd, -1);
    assert_int_equal(access(in_dir("nowhere"), F_OK), -1);
}

static void greet(const char *answer, enum err want, const char *what)
{
    struct addr device_at, a;
    struct device d = { .listening = -1, .answer = answer };
    struct why why = { 0 };
    AUTO(buf_clear) struct buf rest = BUF_INIT(64);
    AUTO(fd_close) int fd = -1;
    pthread_t t;

    assert_int_equal(dir_make(in_dir("v"), NULL), ERR_OK);
    assert_int_equal(addr_unix(in_dir("v/16.vsock"), &device_at, NULL), ERR_OK);
    assert_int_equal(addr_listen(&device_at, 4, &d.listening, NULL), ERR_OK);
    assert_int_equal(pthread_create(&t, NULL, device_main, &d), 0);
    assert_int_equal(addr_vsock(setting, 16, 5000, &a, NULL), ERR_OK);
    assert_int_equal(addr_connect(&a, clock_mono_ns() + 5 * NS_PER_S, &fd, &why), want);
    if (want == ERR_OK) {
        assert_int_equal(fd_read_all(fd, &rest, clock_mono_ns() + 5 * NS_PER_S, NULL), ERR_OK);
        t_assert_buf(&rest, "data\nmore");
    } else {
        assert_string_equal(why.what, what);
        assert_int_equal(fd, -1);
    }
    pthread_join(t, NULL);
    assert_string_equal(d.got, "CONNECT 5000\n");
    close(d.listening);
}

/* What follows the answer is data and must not be swallowed with it. */
static void greeting_accepted(void **state)
{
    (void)state;
    greet("OK 1024\ndata\nmore", ERR_OK, NULL);
}

static void greeting_refused(void **state)
{
    (void)state;
    greet("", ERR_IO, "connection refused");
}

static void greeting_wrong(void **state)
{
    (void)state;
    greet("NO\n", ERR_IO, "the vsock device refused the port");
}

#define IN_DIR(fn) cmocka_unit_test_setup_teardown(fn, make_dir, remove_dir)

int main(void)
{
    enum { ROWS = sizeof(tcp_rows) / sizeof(tcp_rows[0]), OTHERS = 15 };
    struct CMUnitTest tests[ROWS + OTHERS] = {
        cmocka_unit_test(vsock_settings),
        cmocka_unit_test(names_as_firecracker),
        cmocka_unit_test(unix_paths),
        cmocka_unit_test(sockaddr_kinds),
        cmocka_unit_test(names_without_dns),
        cmocka_unit_test(greeting_answers),
        IN_DIR(modes_of_unix_sockets),
        IN_DIR(stale_and_live_sockets),
        IN_DIR(listen_needs_a_cid),
        IN_DIR(folder_without_its_parent),
        IN_DIR(connect_to_nobody),
        IN_DIR(connect_waits_for_the_backlog),
        IN_DIR(greeting_accepted),
        IN_DIR(greeting_refused),
        IN_DIR(greeting_wrong),
    };
    T_ROWS(tests + OTHERS, tcp_rows, tcp_row);
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests_name("io/addr", tests, NULL, NULL);
}
