/* echo.c - the least that a server on this socket can do: bare epoll, one thread, no library. With
 * `answer` every request head gets the same answer; with `echo` bytes come back as they are. What
 * `./bench` measures against it is what the socket and the load client can do at best.
 *
 *   bench_echo PATH answer|echo */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { EVENTS = 256, BUFFER = 1 << 18, BACKLOG = 4096, FDS_MAX = 1 << 16 };

static const char answer[] = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
                             "content-length: 15\r\n\r\n{\"status\":\"ok\"}";

static char buffer[BUFFER];
/* Of each descriptor: bytes of the end of a head that have been seen, and an echo's bytes that did
 * not go out. */
static struct {
    unsigned matched;
    char *left;
    size_t n_left;
} peers[FDS_MAX];

static int fail(const char *what)
{
    fprintf(stderr, "bench_echo: %s: %s\n", what, strerror(errno));
    return 1;
}

static int listen_at(const char *path)
{
    struct sockaddr_un sa = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0 || strlen(path) >= sizeof sa.sun_path)
        return -1;
    memcpy(sa.sun_path, path, strlen(path));
    (void)unlink(path);
    if (bind(fd, (struct sockaddr *)&sa, sizeof sa) != 0 || listen(fd, BACKLOG) != 0)
        return -1;
    return fd;
}

static void want(int ep, int fd, int how, unsigned events)
{
    struct epoll_event ev = { .events = events, .data.fd = fd };

    if (epoll_ctl(ep, how, fd, &ev) != 0)
        abort();
}

/* What the kernel does not take waits, and reading waits for it. */
static int put(int ep, int fd, const char *p, size_t n)
{
    while (n) {
        ssize_t k = send(fd, p, n, MSG_NOSIGNAL);
        if (k < 0 && errno == EAGAIN) {
            peers[fd].left = malloc(n);
            if (!peers[fd].left)
                abort();
            memcpy(peers[fd].left, p, n);
            peers[fd].n_left = n;
            want(ep, fd, EPOLL_CTL_MOD, EPOLLOUT);
            return 0;
        }
        if (k < 0)
            return -1;
        p += k;
        n -= (size_t)k;
    }
    return 0;
}

static int on_out(int ep, int fd)
{
    char *left = peers[fd].left;
    size_t n = peers[fd].n_left;

    peers[fd].left = NULL;
    peers[fd].n_left = 0;
    want(ep, fd, EPOLL_CTL_MOD, EPOLLIN);
    int r = put(ep, fd, left, n);
    free(left);
    return r;
}

static int on_in(int ep, int fd, int is_echo)
{
    ssize_t n = recv(fd, buffer, sizeof buffer, 0);

    if (n <= 0)
        return n < 0 && errno == EAGAIN ? 0 : -1;
    if (is_echo)
        return put(ep, fd, buffer, (size_t)n);
    for (ssize_t i = 0; i < n; i++) {
        unsigned m = peers[fd].matched;
        peers[fd].matched = buffer[i] == "\r\n\r\n"[m] ? m + 1 : buffer[i] == '\r';
        if (peers[fd].matched < 4)
            continue;
        peers[fd].matched = 0;
        if (put(ep, fd, answer, sizeof answer - 1) != 0)
            return -1;
    }
    return 0;
}

static void accept_all(int ep, int listener)
{
    int fd;

    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        if (fd >= FDS_MAX)
            abort();
        peers[fd].matched = 0;
        want(ep, fd, EPOLL_CTL_ADD, EPOLLIN);
    }
}

int main(int argc, char **argv)
{
    struct epoll_event events[EVENTS];

    if (argc != 3 || (strcmp(argv[2], "echo") != 0 && strcmp(argv[2], "answer") != 0)) {
        fprintf(stderr, "usage: bench_echo PATH answer|echo\n");
        return 2;
    }
    int is_echo = argv[2][0] == 'e', listener = listen_at(argv[1]),
        ep = epoll_create1(EPOLL_CLOEXEC);
    if (listener < 0 || ep < 0)
        return fail(argv[1]);
    want(ep, listener, EPOLL_CTL_ADD, EPOLLIN);
    for (;;) {
        int n = epoll_wait(ep, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd, r = 0;
            if (fd == listener) {
                accept_all(ep, listener);
                continue;
            }
            if (events[i].events & EPOLLOUT)
                r = on_out(ep, fd);
            else if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
                r = on_in(ep, fd, is_echo);
            if (r != 0) {
                free(peers[fd].left);
                peers[fd].left = NULL;
                (void)close(fd);
            }
        }
        if (n < 0 && errno != EINTR)
            return fail("epoll");
    }
}
