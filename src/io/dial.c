/* The blocking connect of command-line programs, and listening sockets. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "io/sock.h"
#include "io/sys.h"

static bool past(uint64_t deadline_ns)
{
    return deadline_ns != 0 && clock_mono_ns() >= deadline_ns;
}

static enum err greet(int fd, uint32_t port, uint64_t deadline_ns, struct why *why)
{
    char hello[GREETING_MAX_BYTES];
    struct greeting g = { .len = 0 };
    enum err r = fd_write_all(fd, span_of(hello, greeting_write(port, hello)), deadline_ns, why);

    while (r == ERR_OK) {
        r = fd_wait(fd, POLLIN, deadline_ns, why);
        if (r != ERR_OK)
            return r;
        r = greeting_recv(fd, &g, why);
        if (r == ERR_OK)
            return ERR_OK;
        if (r == ERR_MORE)
            r = ERR_OK;
    }
    /* For the caller a device that refuses and a socket that refuses are the same. */
    return r == ERR_DENIED ? ERR_IO : r;
}

/* *e: the errno of an attempt that may be followed by another one. */
static enum err connect_one(const struct addr *a, const struct sock_name *n, uint64_t deadline_ns,
                            int *fd, int *e, struct why *why)
{
    const struct timespec pause = { .tv_nsec = BACKLOG_RETRY_MS * (long)NS_PER_MS };
    int s = -1;

    while ((*e = sock_connect(n, &s)) == EAGAIN) {
        if (past(deadline_ns))
            return why_fail(why, ERR_TIMEOUT, "timed out", 0);
        (void)nanosleep(&pause, NULL);
    }
    AUTO(fd_close) int owned = s;
    if (*e == EINPROGRESS) {
        enum err r = fd_wait(owned, POLLOUT, deadline_ns, why);
        if (r != ERR_OK)
            return r;
        *e = sock_error(owned);
    }
    if (*e != 0)
        return why_fail(why, ERR_IO, sock_connect_what(a, *e), 0);
    if (n->greets) {
        enum err r = greet(owned, a->port, deadline_ns, why);
        if (r != ERR_OK)
            return r;
    }
    if (fcntl(owned, F_SETFL, 0) != 0)
        return why_fail(why, ERR_IO, errno_what(errno), 0);
    *fd = owned;
    owned = -1;
    return ERR_OK;
}

enum err addr_connect(const struct addr *a, uint64_t deadline_ns, int *fd, struct why *why)
{
    struct sock_name names[SOCK_NAMES_MAX];
    unsigned n = sock_names(a, names);
    enum err r = ERR_INTERNAL;
    int first = 0;

    for (unsigned i = 0; i < n; i++) {
        struct why at = { .what = "no address" };
        int e = 0;
        r = connect_one(a, &names[i], deadline_ns, fd, &e, &at);
        if (r == ERR_OK || r == ERR_TIMEOUT || (e != ENOENT && e != ECONNREFUSED))
            return r == ERR_OK ? r : why_fail(why, r, at.what, 0);
        /* A socket that is there and refuses says more than a device that is not there. */
        if (first == 0 || e == ECONNREFUSED)
            first = e;
    }
    return why_fail(why, r, sock_connect_what(a, first), 0);
}

/* Is the socket file one that nobody answers on? Then it may be replaced. */
static bool is_stale(const struct sock_name *n, const char *path)
{
    struct stat st;
    AUTO(fd_close) int fd = -1;

    return lstat(path, &st) == 0 && S_ISSOCK(st.st_mode) && sock_connect(n, &fd) == ECONNREFUSED;
}

static enum err bind_unix(int fd, const struct sock_name *n, struct why *why)
{
    struct sockaddr_un un;
    memcpy(&un, &n->sa, sizeof(un));

    /* The socket's own mode is the most that bind() gives to the file: no moment with another. */
    if (fchmod(fd, 0600) != 0)
        return why_fail(why, ERR_IO, errno_what(errno), 0);
    if (bind(fd, (const struct sockaddr *)&n->sa, n->len) == 0)
        return ERR_OK;
    if (errno != EADDRINUSE)
        return why_fail(why, ERR_IO, errno_what(errno), 0);
    if (!is_stale(n, un.sun_path))
        return why_fail(why, ERR_IO, errno_what(EADDRINUSE), 0);
    if (unlink(un.sun_path) != 0 || bind(fd, (const struct sockaddr *)&n->sa, n->len) != 0)
        return why_fail(why, ERR_IO, errno_what(errno), 0);
    return ERR_OK;
}

static enum err bind_to(int fd, const struct addr *a, const struct sock_name *n, struct why *why)
{
    const int on = 1;

    if (a->kind == ADDR_UNIX || a->kind == ADDR_VSOCK_UNIX)
        return bind_unix(fd, n, why);
    if (a->kind == ADDR_TCP)
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, (const struct sockaddr *)&n->sa, n->len) != 0)
        return why_fail(why, ERR_IO, errno_what(errno), 0);
    return ERR_OK;
}

enum err sock_listen(const struct addr *a, int type, int backlog, int *fd, struct why *why)
{
    struct sock_name names[SOCK_NAMES_MAX];

    if (a->kind == ADDR_VSOCK_UNIX && a->cid == CID_ANY)
        return why_fail(why, ERR_UNSUPPORTED, "unix:DIR needs a CID to listen on", 0);
    /* One folder, not its parents: a mistyped path must not become a place where nobody looks. */
    if (a->kind == ADDR_VSOCK_UNIX && mkdir(a->path, 0700) != 0 && errno != EEXIST)
        return why_fail(why, ERR_IO,
                        errno == ENOENT ? "the folder above that of unix:DIR does not exist"
                                        : errno_what(errno),
                        0);
    (void)sock_names(a, names);
    AUTO(fd_close)
    int s = socket(names[0].sa.ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s < 0)
        return why_fail(why, ERR_IO, errno_what(errno), 0);
    enum err r = bind_to(s, a, &names[0], why);
    if (r != ERR_OK)
        return r;
    if (listen(s, backlog) != 0)
        return why_fail(why, ERR_IO, errno_what(errno), 0);
    *fd = s;
    s = -1;
    return ERR_OK;
}

enum err addr_listen(const struct addr *a, int backlog, int *fd, struct why *why)
{
    return sock_listen(a, SOCK_STREAM, backlog, fd, why);
}
