#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "io/conn_in.h"
#include "io/log.h"

enum {
    BACKLOG = 4096,        /* the kernel cuts it to net.core.somaxconn */
    ACCEPTS_PER_TURN = 32, /* then the conns have their turn */
    PAUSE_MS = 100,        /* when the process is out of descriptors */
};

struct listener {
    struct loop_member member;
    struct loop *loop;
    uv_poll_t poll;
    uv_timer_t pause;
    int fd;
    struct addr at;
    struct stat file; /* of a Unix socket, to remove our own and no other */
    struct listener_options o;
    unsigned live, live_over;
    unsigned refs; /* handles of libuv, conns, and the owner */
    bool freed;
    bool paused; /* the last accept found no descriptor */
};

static void on_acceptable(uv_poll_t *h, int status, int events);

static void unref(struct listener *s)
{
    if (--s->refs == 0)
        free(s);
}

static void on_handle_closed(uv_handle_t *h)
{
    unref(h->data);
}

void listener_conn_gone(struct listener *s, bool is_over)
{
    if (is_over)
        s->live_over--;
    else
        s->live--;
    unref(s);
}

static void resume(uv_timer_t *h)
{
    struct listener *s = h->data;

    (void)uv_poll_start(&s->poll, UV_READABLE, on_acceptable);
}

/* Out of descriptors or memory: the peers wait in the backlog until something is given back. */
static void pause_accepting(struct listener *s, int e)
{
    if (!s->paused) /* one line for each time it gets short, not for each pause */
        log_event(LOG_WARN, "accept paused", LOG_STR("why", errno_what(e)),
                  LOG_INT("ms", PAUSE_MS));
    s->paused = true;
    (void)uv_poll_stop(&s->poll);
    (void)uv_timer_start(&s->pause, resume, PAUSE_MS, 0);
}

/* The descriptor is the conn's, or closed. */
static void take(struct listener *s, int fd)
{
    struct conn *c;
    const int on = 1;
    bool over = s->live >= s->o.max;

    if ((over && (!s->o.over || s->live_over >= s->o.max)) ||
        conn_make(s->loop, &s->o.conn, &c) != ERR_OK) {
        fd_close(&fd);
        return;
    }
    if (s->at.kind == ADDR_TCP)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    c->from = s;
    c->is_over = over;
    s->refs++;
    if (over)
        s->live_over++;
    else
        s->live++;
    if (conn_attach(c, fd) != ERR_OK) {
        fd_close(&fd);
        conn_fail(c, ERR_IO, "cannot watch the socket");
    } else {
        conn_begin(c);
        c->deadline_ns = s->o.conn.deadline_ns ? clock_mono_ns() + s->o.conn.deadline_ns : 0;
        conn_arm(c);
    }
    conn_turn_soon(c);
    (over ? s->o.over : s->o.accepted)(c, s->o.arg);
}

static void on_acceptable(uv_poll_t *h, int status, int events)
{
    struct listener *s = h->data;
    (void)status;
    (void)events;

    for (unsigned i = 0; i < ACCEPTS_PER_TURN && !s->freed; i++) {
        int fd = accept4(s->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            s->paused = false;
            take(s, fd);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            pause_accepting(s, errno);
            return;
        }
        if (errno == EAGAIN)
            return;
        /* Others are about the peer that has gone again (accept(2)): the next one. */
    }
}

/* Remove the socket's file if it is still ours: another process may have replaced it. */
static void remove_file(const struct listener *s)
{
    struct sock_name names[SOCK_NAMES_MAX];
    struct sockaddr_un un;
    struct stat now;

    if (s->at.kind != ADDR_UNIX && s->at.kind != ADDR_VSOCK_UNIX)
        return;
    (void)sock_names(&s->at, names);
    memcpy(&un, &names[0].sa, sizeof(un));
    if (lstat(un.sun_path, &now) == 0 && now.st_ino == s->file.st_ino &&
        now.st_dev == s->file.st_dev)
        (void)unlink(un.sun_path);
}

static void remember_file(struct listener *s)
{
    struct sock_name names[SOCK_NAMES_MAX];
    struct sockaddr_un un;

    (void)sock_names(&s->at, names);
    memcpy(&un, &names[0].sa, sizeof(un));
    if (s->at.kind == ADDR_UNIX || s->at.kind == ADDR_VSOCK_UNIX)
        (void)lstat(un.sun_path, &s->file);
}

static void stop(struct listener *s)
{
    s->freed = true;
    loop_leave(&s->member);
    uv_close((uv_handle_t *)&s->poll, on_handle_closed);
    uv_close((uv_handle_t *)&s->pause, on_handle_closed);
    remove_file(s);
    fd_close(&s->fd);
    unref(s);
}

static void on_drop(struct loop_member *m)
{
    stop((struct listener *)(void *)((char *)m - offsetof(struct listener, member)));
}

/* On failure the descriptor stays the caller's. */
static enum err make(struct loop *l, int fd, const struct addr *at,
                     const struct listener_options *o, struct listener **out)
{
    struct listener *s = calloc(1, sizeof(*s));
    if (!s)
        return ERR_NOMEM;
    if (uv_poll_init(loop_uv(l), &s->poll, fd) != 0) {
        free(s);
        return ERR_IO;
    }
    (void)uv_timer_init(loop_uv(l), &s->pause);
    s->poll.data = s->pause.data = s;
    s->refs = 3; /* two handles and the owner */
    s->loop = l;
    s->fd = fd;
    s->at = *at;
    s->o = *o;
    s->member.drop = on_drop;
    *out = s;
    return ERR_OK;
}

enum err listener_new(struct loop *l, const struct addr *at, const struct listener_options *o,
                      struct listener **out, struct why *why)
{
    struct listener *s;
    AUTO(fd_close) int fd = -1;

    enum err r = addr_listen(at, BACKLOG, &fd, why);
    if (r != ERR_OK)
        return r;
    r = make(l, fd, at, o, &s);
    if (r != ERR_OK)
        return why_fail(why, r, "cannot watch the listening socket", 0);
    fd = -1;
    remember_file(s);
    loop_join(l, &s->member);
    (void)uv_poll_start(&s->poll, UV_READABLE, on_acceptable);
    *out = s;
    return ERR_OK;
}

unsigned listener_port(const struct listener *s)
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof(sa);
    struct sockaddr_in in;

    if (s->at.kind != ADDR_TCP || getsockname(s->fd, (struct sockaddr *)&sa, &len) != 0)
        return 0;
    memcpy(&in, &sa, sizeof(in)); /* sin6_port stands at the same place */
    return ntohs(in.sin_port);
}

unsigned listener_conns(const struct listener *s)
{
    return s->live;
}

void listener_free(struct listener *s)
{
    if (s)
        stop(s);
}
