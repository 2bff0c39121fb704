#include "io/sock.h"

#include <errno.h>
#include <linux/vm_sockets.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/un.h>
#include <unistd.h>

#include "io/sys.h"

enum { TEXT_BYTES = 160 }; /* more than sun_path; addr.c has refused what would not fit that */

static void unix_name(struct sock_name *out, const char *path)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };

    memcpy(un.sun_path, path, strnlen(path, sizeof(un.sun_path) - 1));
    *out = (struct sock_name){ .len = sizeof(un) };
    memcpy(&out->sa, &un, sizeof(un));
}

unsigned sock_names(const struct addr *a, struct sock_name out[static SOCK_NAMES_MAX])
{
    char text[TEXT_BYTES];
    struct sockaddr_vm vm = { .svm_family = AF_VSOCK, .svm_cid = a->cid, .svm_port = a->port };

    switch (a->kind) {
    case ADDR_VSOCK:
        out[0] = (struct sock_name){ .len = sizeof(vm) };
        memcpy(&out[0].sa, &vm, sizeof(vm));
        return 1;
    case ADDR_VSOCK_UNIX:
        (void)snprintf(text, sizeof(text), "%s/%u.vsock_%u", a->path, a->cid, a->port);
        unix_name(&out[0], text);
        (void)snprintf(text, sizeof(text), "%s/%u.vsock", a->path, a->cid);
        unix_name(&out[1], text);
        out[1].greets = true;
        return 2;
    case ADDR_UNIX:
        unix_name(&out[0], a->path);
        return 1;
    case ADDR_TCP:
        out[0] = (struct sock_name){ .sa = a->tcp, .len = a->tcp_len };
        return 1;
    }
    return 0;
}

int sock_error(int fd)
{
    int e = 0;
    socklen_t len = sizeof(e);

    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &len) == 0 ? e : errno;
}

int sock_connect(const struct sock_name *n, int *fd)
{
    const int on = 1;
    int family = n->sa.ss_family;
    int s = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s < 0)
        return errno;
    /* Requests and answers are written whole, so waiting to gather more only costs time. */
    if (family == AF_INET || family == AF_INET6)
        (void)setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    int e = connect(s, (const struct sockaddr *)&n->sa, n->len) == 0 ? 0 : errno;
    if (e == EINTR) /* goes on in the background, as with EINPROGRESS */
        e = EINPROGRESS;
    if (e != 0 && e != EINPROGRESS) {
        (void)close(s);
        return e;
    }
    *fd = s;
    return e;
}

const char *sock_connect_what(const struct addr *a, int e)
{
    if (a->kind == ADDR_VSOCK && e == ECONNRESET)
        return errno_what(ECONNREFUSED);
    if (a->kind == ADDR_VSOCK_UNIX && e == ENOENT)
        return "nobody listens: neither CID.vsock_PORT nor CID.vsock is there";
    if (a->kind == ADDR_UNIX && e == ENOENT)
        return "nobody listens: no such socket";
    return errno_what(e);
}

size_t greeting_write(uint32_t port, char out[static GREETING_MAX_BYTES])
{
    return (size_t)snprintf(out, GREETING_MAX_BYTES, "CONNECT %u\n", port);
}

enum err greeting_check(struct span answer)
{
    static const char ok[] = "OK ";
    size_t i = 0;

    for (; i < answer.len && ok[i]; i++)
        if (answer.ptr[i] != (uint8_t)ok[i])
            return ERR_DENIED;
    size_t digits = 0;
    for (; i < answer.len && answer.ptr[i] >= '0' && answer.ptr[i] <= '9'; i++)
        digits++;
    if (i == answer.len)
        return answer.len < GREETING_MAX_BYTES ? ERR_MORE : ERR_DENIED;
    return digits > 0 && answer.ptr[i] == '\n' && i + 1 == answer.len ? ERR_OK : ERR_DENIED;
}

enum err greeting_recv(int fd, struct greeting *g, struct why *why)
{
    char *at = g->text + g->len;
    ssize_t n = recv(fd, at, sizeof(g->text) - g->len, MSG_PEEK | MSG_DONTWAIT);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return ERR_MORE;
    if (n < 0)
        return why_fail(why, ERR_IO, errno_what(errno), 0);
    if (n == 0) /* Firecracker: nobody listens on that port */
        return why_fail(why, ERR_DENIED, errno_what(ECONNREFUSED), 0);
    const char *end = memchr(at, '\n', (size_t)n);
    size_t take = end ? (size_t)(end - at) + 1 : (size_t)n;
    if (recv(fd, at, take, MSG_DONTWAIT) != (ssize_t)take)
        return why_fail(why, ERR_IO, "the greeting changed while it was read", 0);
    g->len += take;
    enum err r = greeting_check(span_of(g->text, g->len));
    return r == ERR_DENIED ? why_fail(why, r, "the vsock device refused the port", 0) : r;
}
