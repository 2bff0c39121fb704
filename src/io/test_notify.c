#include "testing/t.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "io/notify.h"
#include "io/sys.h"

static char dir[] = "/tmp/nitroseal-t-XXXXXX";
static int fd = -1;

/* A supervisor at `path`; '@' first: an abstract name. */
static void supervise(const char *path)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    size_t len = strlen(path);

    memcpy(un.sun_path, path, len);
    if (path[0] == '@')
        un.sun_path[0] = '\0';
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(
        bind(fd, (struct sockaddr *)&un, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)),
        0);
    assert_int_equal(setenv("NOTIFY_SOCKET", path, 1), 0);
}

static const char *heard(void)
{
    static char text[256];
    ssize_t n = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

static void tells_a_path_and_an_abstract_name(void **state)
{
    char path[64], name[64];
    (void)state;
    snprintf(path, sizeof(path), "%s/notify", dir);
    snprintf(name, sizeof(name), "@%s", dir);
    for (unsigned i = 0; i < 2; i++) {
        supervise(i ? name : path);
        notify_send("READY=1");
        assert_string_equal(heard(), "READY=1");
        notify_reloading();
        assert_memory_equal(heard(), "RELOADING=1\nMONOTONIC_USEC=", 27);
        fd_close(&fd);
    }
    (void)unlink(path);
}

static void nobody_to_tell(void **state)
{
    static const char *const bad[] = { "", "@", "relative", "/nonexistent/notify" };
    (void)state;
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(setenv("NOTIFY_SOCKET", bad[i], 1), 0);
        notify_send("READY=1");
    }
    assert_int_equal(unsetenv("NOTIFY_SOCKET"), 0);
    notify_send("READY=1");
    assert_string_equal(heard(), "");
}

static unsigned sockets(const char *pid, const char *fds)
{
    assert_int_equal(setenv("LISTEN_PID", pid, 1), 0);
    assert_int_equal(setenv("LISTEN_FDS", fds, 1), 0);
    unsigned n = notify_sockets();
    assert_null(getenv("LISTEN_PID"));
    assert_null(getenv("LISTEN_FDS"));
    return n;
}

static void sockets_that_are_for_us(void **state)
{
    char self[16], other[16];
    (void)state;
    snprintf(self, sizeof(self), "%d", getpid());
    snprintf(other, sizeof(other), "%d", getppid());
    assert_int_equal(notify_sockets(), 0);
    assert_int_equal(sockets(self, "2"), 2);
    assert_int_equal(sockets(self, "64"), NOTIFY_FDS_MAX);
    assert_int_equal(sockets(self, "65"), 0);
    assert_int_equal(sockets(self, "-1"), 0);
    assert_int_equal(sockets(other, "2"), 0);
    assert_int_equal(sockets("x", "2"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_a_path_and_an_abstract_name),
        cmocka_unit_test(nobody_to_tell),
        cmocka_unit_test(sockets_that_are_for_us),
    };
    if (!mkdtemp(dir))
        return 1;
    int failed = cmocka_run_group_tests_name("io_notify", tests, NULL, NULL);
    (void)rmdir(dir);
    return failed;
}
