/* The Unix sockets: of connections, of those that are being dialled, of those that still greet. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "bin/nitro-local/vdev_in.h"
#include "io/log.h"

enum {
    GREETING_S = 5,
    DIAL_S = 5,
    DIAL_RETRY_MS = 5, /* a listener whose queue is full answers EAGAIN at once */
};

static void enlist(struct vdev *v, struct peer *p)
{
    p->listed = true;
    p->prev = NULL;
    p->next = v->listed;
    if (p->next)
        p->next->prev = p;
    v->listed = p;
}

static void unlist(struct vdev *v, struct peer *p)
{
    if (!p->listed)
        return;
    p->listed = false;
    if (p->prev)
        p->prev->next = p->next;
    else
        v->listed = p->next;
    if (p->next)
        p->next->prev = p->prev;
    if (!p->conn)
        v->n_greeters--;
}

static void drop(struct peer *p)
{
    unlist(p->v, p);
    ready_free(p->ready);
    fd_close(&p->fd);
    free(p);
}

static void on_ready(void *arg, bool readable, bool writable);

static struct peer *new_peer(struct vdev *v, struct vsock_conn *conn)
{
    struct peer *p = calloc(1, sizeof *p);

    if (p)
        *p = (struct peer){ .v = v, .conn = conn, .fd = -1 };
    return p;
}

/* --- the guest connects --- */

static int connect_folder(const struct vdev *v, uint32_t port, int *fd)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };

    int n =
        snprintf(un.sun_path, sizeof un.sun_path, "%s/%d.vsock_%u", v->folder, CID_PARENT, port);
    if (n < 0 || (size_t)n >= sizeof un.sun_path)
        return ENAMETOOLONG; /* not so: the folder was checked for the longest port */
    int s = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s < 0)
        return errno;
    if (connect(s, (const struct sockaddr *)&un, sizeof un) == 0) {
        *fd = s;
        return 0;
    }
    int e = errno;
    fd_close(&s);
    return e;
}

/* The socket is there: from now on the mux says what to do with it. */
static void settle(struct peer *p, int fd)
{
    struct vdev *v = p->v;

    unlist(v, p);
    p->fd = fd;
    bool ok = ready_new(v->loop, fd, on_ready, p, &p->ready) == ERR_OK;
    vsock_conn_dialled(v->mux, p->conn, ok);
}

static void dial(struct vdev *v, struct peer *p, uint64_t now)
{
    int fd = -1, e = 0;

    if (v->serve)
        fd = v->serve(v->arg, p->port);
    if (fd < 0)
        e = connect_folder(v, p->port, &fd);
    if (e == 0) {
        settle(p, fd);
    } else if (e == EAGAIN && now < p->until_ns) {
        if (!p->listed)
            enlist(v, p);
    } else {
        log_event(LOG_DEBUG, "guest refused", LOG_INT("port", p->port),
                  LOG_STR("why", errno_what(e)));
        unlist(v, p);
        vsock_conn_dialled(v->mux, p->conn, false);
    }
}

static void start_dial(struct vdev *v, const struct vsock_action *a)
{
    struct peer *p = new_peer(v, a->conn);
    uint64_t now = clock_mono_ns();

    if (!p) {
        vsock_conn_dialled(v->mux, a->conn, false);
        return;
    }
    p->port = a->port;
    p->until_ns = now + DIAL_S * NS_PER_S;
    vsock_conn_set_host(a->conn, p);
    dial(v, p, now);
}

/* --- somebody connects to the guest --- */

/* Take "CONNECT PORT\n" and not a byte more. ERR_MORE, ERR_DENIED. */
static enum err greeting(int fd, uint32_t *port)
{
    char text[GREETING_BYTES];
    uint64_t n;

    ssize_t got = recv(fd, text, sizeof text, MSG_PEEK | MSG_DONTWAIT);
    if (got < 0)
        return errno == EAGAIN || errno == EINTR ? ERR_MORE : ERR_DENIED;
    struct span in = span_of(text, (size_t)got);
    size_t end = span_find(in, '\n');
    if (end == in.len)
        return got == 0 || in.len == sizeof text ? ERR_DENIED : ERR_MORE;
    if (recv(fd, text, end + 1, MSG_DONTWAIT) != (ssize_t)(end + 1))
        return ERR_DENIED;
    struct span line = span_of(text, end);
    if (!span_starts(line, "CONNECT ") ||
        span_to_u64(span_from(line, 8), UINT32_MAX - 1, &n) != ERR_OK)
        return ERR_DENIED;
    *port = (uint32_t)n;
    return ERR_OK;
}

static void greet(struct peer *p)
{
    struct vdev *v = p->v;
    struct vsock_conn *conn = NULL;
    uint32_t port = 0;

    enum err r = greeting(p->fd, &port);
    if (r == ERR_MORE)
        return;
    if (r == ERR_OK && !vhost_ring_runs(&v->monitor.session, VHOST_RING_RX))
        r = ERR_DENIED; /* there is no guest that could answer */
    if (r == ERR_OK)
        r = vsock_mux_connect(v->mux, port, p, clock_mono_ns(), &conn);
    if (r != ERR_OK) {
        drop(p);
        return;
    }
    unlist(v, p);
    p->conn = conn;
    ready_want(p->ready, false, false);
    vdev_turn(v);
}

void peer_accept(struct vdev *v, int fd)
{
    struct peer *p = v->n_greeters < GREETERS_MAX ? new_peer(v, NULL) : NULL;

    if (!p) {
        fd_close(&fd);
        return;
    }
    p->fd = fd;
    p->until_ns = clock_mono_ns() + GREETING_S * NS_PER_S;
    v->n_greeters++;
    enlist(v, p);
    if (ready_new(v->loop, fd, on_ready, p, &p->ready) != ERR_OK) {
        drop(p);
        return;
    }
    ready_want(p->ready, true, false);
    vdev_turn(v); /* arms the timer */
}

/* --- both --- */

static void on_ready(void *arg, bool readable, bool writable)
{
    struct peer *p = arg;
    struct vdev *v = p->v;

    if (!p->conn) {
        greet(p);
        return;
    }
    vsock_conn_ready(v->mux, p->conn, readable, writable);
    vdev_turn(v);
}

static void send_some(struct vdev *v, const struct vsock_action *a)
{
    const struct peer *p = a->host;

    ssize_t n = send(p->fd, a->bytes.ptr, a->bytes.len, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n > 0)
        vsock_conn_sent(v->mux, a->conn, VSOCK_MOVED, (size_t)n);
    else if (n < 0 && (errno == EAGAIN || errno == EINTR))
        vsock_conn_sent(v->mux, a->conn, VSOCK_AGAIN, 0);
    else
        vsock_conn_sent(v->mux, a->conn, VSOCK_BROKE, 0);
}

static void tell_accepted(struct vdev *v, const struct vsock_action *a)
{
    const struct peer *p = a->host;
    char text[GREETING_BYTES];

    int n = snprintf(text, sizeof text, "OK %u\n", a->port);
    /* The first bytes of this socket: there is room for them. */
    if (send(p->fd, text, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL) != n)
        vsock_conn_sent(v->mux, a->conn, VSOCK_BROKE, 0);
    vsock_conn_ready(v->mux, a->conn, false, false);
}

void peer_actions(struct vdev *v)
{
    for (;;) {
        struct vsock_action a = vsock_mux_next(v->mux);
        struct peer *p = a.host;
        switch (a.what) {
        case VSOCK_DO_NOTHING:
            return;
        case VSOCK_DO_DIAL:
            start_dial(v, &a);
            break;
        case VSOCK_DO_GREET:
            tell_accepted(v, &a);
            break;
        case VSOCK_DO_SEND:
            send_some(v, &a);
            break;
        case VSOCK_DO_SHUT_WR:
            (void)shutdown(p->fd, SHUT_WR);
            break;
        case VSOCK_DO_SHUT_RD:
            (void)shutdown(p->fd, SHUT_RD);
            break;
        case VSOCK_DO_WATCH:
            ready_want(p->ready, a.read, a.write);
            break;
        case VSOCK_DO_CLOSE:
            if (p)
                drop(p);
            break;
        }
    }
}

void peer_tick(struct vdev *v, uint64_t now_ns)
{
    struct peer *next;

    for (struct peer *p = v->listed; p; p = next) {
        next = p->next;
        if (p->conn)
            dial(v, p, now_ns);
        else if (now_ns >= p->until_ns)
            drop(p);
    }
}

uint64_t peer_wake_ns(const struct vdev *v)
{
    uint64_t wake = 0;

    for (const struct peer *p = v->listed; p; p = p->next) {
        uint64_t at = p->conn ? clock_mono_ns() + DIAL_RETRY_MS * NS_PER_MS : p->until_ns;
        if (wake == 0 || at < wake)
            wake = at;
    }
    return wake;
}

void peer_clear(struct vdev *v)
{
    peer_actions(v); /* those of connections */
    while (v->listed)
        drop(v->listed);
}
