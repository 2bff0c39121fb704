#include "io/accept.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "io/log.h"
#include "io/loop_in.h"
#include "io/sock.h"

enum {
    BACKLOG = 4096,        /* the kernel cuts it to net.core.somaxconn */
    ACCEPTS_PER_TURN = 32, /* then those that were accepted have their turn */
    PAUSE_MS = 100,        /* when the process is out of descriptors */
};

struct acceptor {
    struct loop_member member;
    uv_poll_t poll;
    uv_timer_t pause;
    int fd;
    struct addr at;
    struct stat file; /* of a Unix socket, to remove our own and no other */
    bool has_file;
    acceptor_fn *fn;
    void *arg;
    unsigned handles; /* of libuv, not closed yet */
    bool freed;
    bool paused; /* the last accept found no descriptor */
};

static void on_acceptable(uv_poll_t *h, int status, int events);

static void on_handle_closed(uv_handle_t *h)
{
    struct acceptor *a = h->data;

    if (--a->handles == 0)
        free(a);
}

static void resume(uv_timer_t *h)
{
    struct acceptor *a = h->data;

    (void)uv_poll_start(&a->poll, UV_READABLE, on_acceptable);
}

/* Out of descriptors or memory: the peers wait in the backlog until something is given back. */
static void pause_accepting(struct acceptor *a, int e)
{
    if (!a->paused) /* one line for each time it gets short, not for each pause */
        log_event(LOG_WARN, "accept paused", LOG_STR("why", errno_what(e)),
                  LOG_INT("ms", PAUSE_MS));
    a->paused = true;
    (void)uv_poll_stop(&a->poll);
    (void)uv_timer_start(&a->pause, resume, PAUSE_MS, 0);
}

static void on_acceptable(uv_poll_t *h, int status, int events)
{
    struct acceptor *a = h->data;
    const int on = 1;
    bool any = false;
    int e = 0;
    (void)status;
    (void)events;

    for (unsigned i = 0; i < ACCEPTS_PER_TURN && !a->freed; i++) {
        int fd = accept4(a->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            a->paused = false;
            any = true;
            if (a->at.kind == ADDR_TCP)
                (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
            a->fn(a->arg, fd);
            continue;
        }
        e = errno;
        if (e == EMFILE || e == ENFILE || e == ENOBUFS || e == ENOMEM) {
            pause_accepting(a, e);
            return;
        }
        if (e == EAGAIN)
            return;
        /* Others are about the peer that has gone again (accept(2)): the next one. */
    }
    if (!any && !a->freed) /* nothing but such: what keeps coming back must not keep us busy */
        pause_accepting(a, e);
}

static void file_path(const struct addr *at, struct sockaddr_un *out)
{
    struct sock_name names[SOCK_NAMES_MAX];

    (void)sock_names(at, names);
    memcpy(out, &names[0].sa, sizeof(*out));
}

static void remember_file(struct acceptor *a)
{
    struct sockaddr_un un;

    if (a->at.kind != ADDR_UNIX && a->at.kind != ADDR_VSOCK_UNIX)
        return;
    file_path(&a->at, &un);
    a->has_file = lstat(un.sun_path, &a->file) == 0;
}

/* Remove the socket's file if it is still ours: another process may have replaced it. */
static void remove_file(const struct acceptor *a)
{
    struct sockaddr_un un;
    struct stat now;

    if (!a->has_file)
        return;
    file_path(&a->at, &un);
    if (lstat(un.sun_path, &now) == 0 && now.st_ino == a->file.st_ino &&
        now.st_dev == a->file.st_dev)
        (void)unlink(un.sun_path);
}

static void stop(struct acceptor *a)
{
    a->freed = true;
    loop_leave(&a->member);
    uv_close((uv_handle_t *)&a->poll, on_handle_closed);
    uv_close((uv_handle_t *)&a->pause, on_handle_closed);
    remove_file(a);
    fd_close(&a->fd);
}

static void on_drop(struct loop_member *m)
{
    stop((struct acceptor *)(void *)((char *)m - offsetof(struct acceptor, member)));
}

/* On failure the descriptor stays the caller's. */
static enum err make(struct loop *l, int fd, acceptor_fn *fn, void *arg, struct acceptor **out)
{
    struct acceptor *a = calloc(1, sizeof(*a));
    if (!a)
        return ERR_NOMEM;
    if (uv_poll_init(loop_uv(l), &a->poll, fd) != 0) {
        free(a);
        return ERR_IO;
    }
    (void)uv_timer_init(loop_uv(l), &a->pause);
    a->poll.data = a->pause.data = a;
    a->handles = 2;
    a->fd = fd;
    a->fn = fn;
    a->arg = arg;
    a->member.drop = on_drop;
    loop_join(l, &a->member);
    (void)uv_poll_start(&a->poll, UV_READABLE, on_acceptable);
    *out = a;
    return ERR_OK;
}

enum err acceptor_new(struct loop *l, const struct addr *at, acceptor_fn *fn, void *arg,
                      struct acceptor **out, struct why *why)
{
    AUTO(fd_close) int fd = -1;
    struct acceptor ours = { .at = *at };

    enum err r = addr_listen(at, BACKLOG, &fd, why);
    if (r != ERR_OK)
        return r;
    remember_file(&ours);
    r = make(l, fd, fn, arg, out);
    if (r != ERR_OK) {
        remove_file(&ours);
        return why_fail(why, r, "cannot watch the listening socket", 0);
    }
    fd = -1;
    (*out)->at = *at;
    (*out)->file = ours.file;
    (*out)->has_file = ours.has_file;
    return ERR_OK;
}

static bool option_is(int fd, int name, int want)
{
    int v = 0;
    socklen_t len = sizeof(v);

    return getsockopt(fd, SOL_SOCKET, name, &v, &len) == 0 && v == want;
}

enum err acceptor_adopt(struct loop *l, int fd, acceptor_fn *fn, void *arg, struct acceptor **out,
                        struct why *why)
{
    int flags = fcntl(fd, F_GETFL);

    if (!option_is(fd, SO_TYPE, SOCK_STREAM) || !option_is(fd, SO_ACCEPTCONN, 1) || flags < 0)
        return why_fail(why, ERR_UNSUPPORTED, "not a listening stream socket", 0);
    if (fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
        return why_fail(why, ERR_IO, errno_what(errno), 0);
    enum err r = make(l, fd, fn, arg, out);
    if (r != ERR_OK)
        return why_fail(why, r, "cannot watch the listening socket", 0);
    (*out)->at.kind = ADDR_VSOCK; /* as far as options of the accepted ones go */
    return ERR_OK;
}

unsigned acceptor_port(const struct acceptor *a)
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof(sa);
    struct sockaddr_in in;

    if (a->at.kind != ADDR_TCP || getsockname(a->fd, (struct sockaddr *)&sa, &len) != 0)
        return 0;
    memcpy(&in, &sa, sizeof(in)); /* sin6_port stands at the same place */
    return ntohs(in.sin_port);
}

void acceptor_free(struct acceptor *a)
{
    if (a)
        stop(a);
}
