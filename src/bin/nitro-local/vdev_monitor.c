/* The vhost-user socket: messages with descriptors, the guest's memory, the rings' events. */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bin/nitro-local/vdev_in.h"
#include "io/log.h"

enum { REPLY_MAX_BYTES = VHOST_HEADER_BYTES + VHOST_PAYLOAD_MAX_BYTES };

static void close_fds(struct monitor *m)
{
    for (unsigned i = 0; i < m->n_fds; i++)
        fd_close(&m->fds[i]);
    m->n_fds = 0;
}

static void unmap(struct monitor *m)
{
    const struct guest_mem none = { .n = 0 };

    for (unsigned i = 0; i < m->n_maps; i++)
        (void)munmap(m->map[i].base, m->map[i].len);
    m->n_maps = 0;
    if (vhost_mapped(&m->session, &none, NULL) != ERR_OK)
        return; /* as it should be: the rings are nowhere now */
}

static enum err map_one(struct monitor *m, struct guest_part part, uint64_t offset, int fd,
                        struct guest_mem *mem, struct why *why)
{
    struct stat st;
    uint64_t len = part.size + offset;

    if (fstat(fd, &st) != 0 || st.st_size < 0 || (uint64_t)st.st_size < len)
        return why_fail(why, ERR_MALFORMED, "a memory region past the end of its file", 0);
    void *base = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (base == MAP_FAILED)
        return why_fail(why, ERR_IO, errno_what(errno), 0);
    m->map[m->n_maps].base = base;
    m->map[m->n_maps++].len = len;
    part.host = (uint8_t *)base + offset;
    return guest_mem_add(mem, part, why);
}

static enum err map(struct monitor *m, const struct vhost_action *a, struct why *why)
{
    struct guest_mem mem = { .n = 0 };
    enum err r = ERR_OK;

    unmap(m);
    for (unsigned i = 0; i < a->n_parts && r == ERR_OK; i++)
        r = map_one(m, a->part[i], a->offset[i], m->fds[i], &mem, why);
    return r == ERR_OK ? vhost_mapped(&m->session, &mem, why) : r;
}

static void on_kick(void *arg)
{
    struct vdev *v = arg;
    uint64_t n;

    for (unsigned i = 0; i < VHOST_RINGS; i++)
        if (v->monitor.kick[i] >= 0 && read(v->monitor.kick[i], &n, sizeof n) < 0 &&
            errno != EAGAIN)
            log_event(LOG_WARN, "kick", LOG_STR("why", errno_what(errno)));
    vdev_turn(v);
}

static void stop_ring(struct monitor *m, unsigned i)
{
    loop_watch_free(m->kicked[i]);
    m->kicked[i] = NULL;
    fd_close(&m->kick[i]);
    fd_close(&m->call[i]);
}

/* The message's one descriptor, or -1. */
static int take_fd(struct monitor *m)
{
    if (m->n_fds == 0)
        return -1;
    m->n_fds = 0;
    return m->fds[0];
}

static enum err perform(struct vdev *v, const struct vhost_action *a, struct why *why)
{
    struct monitor *m = &v->monitor;
    bool ran;

    switch (a->what) {
    case VHOST_DO_NOTHING:
        return ERR_OK;
    case VHOST_DO_MAP:
        return map(m, a, why);
    case VHOST_DO_KICK:
        loop_watch_free(m->kicked[a->ring]);
        m->kicked[a->ring] = NULL;
        fd_close(&m->kick[a->ring]);
        m->kick[a->ring] = take_fd(m);
        if (fcntl(m->kick[a->ring], F_SETFL, O_NONBLOCK) != 0)
            return why_fail(why, ERR_IO, errno_what(errno), 0);
        return loop_watch_new(v->loop, m->kick[a->ring], on_kick, v, &m->kicked[a->ring]);
    case VHOST_DO_CALL:
        fd_close(&m->call[a->ring]);
        m->call[a->ring] = take_fd(m);
        return ERR_OK;
    case VHOST_DO_ERR:
        fd_close(&m->err[a->ring]);
        m->err[a->ring] = take_fd(m);
        return ERR_OK;
    case VHOST_DO_STOP: /* the guest's driver is gone, or starts anew */
        ran = m->kicked[a->ring] != NULL;
        stop_ring(m, a->ring);
        vsock_mux_reset(v->mux);
        if (ran && v->restarted)
            v->restarted(v->arg);
        return ERR_OK;
    }
    return ERR_INTERNAL;
}

/* ERR_MORE: not all of it is there. */
static enum err one_message(struct vdev *v, struct why *why)
{
    AUTO(buf_clear) struct buf reply = BUF_INIT(REPLY_MAX_BYTES);
    struct monitor *m = &v->monitor;
    struct vhost_action act;
    struct vhost_msg msg;
    size_t used;

    enum err r = vhost_msg_parse(span_of(m->raw, m->have), &msg, &used, why);
    if (r == ERR_OK)
        r = vhost_step(&m->session, &msg, m->n_fds, &act, &reply, why);
    if (r == ERR_OK)
        r = perform(v, &act, why);
    if (r != ERR_OK)
        return r;
    close_fds(m);
    m->have = 0; /* never more than one message was read */
    if (reply.len == 0)
        return ERR_OK;
    return fd_write_all(m->fd, buf_view(&reply), clock_mono_ns() + NS_PER_S, why);
}

/* Exactly what belongs to this message: descriptors come with the first byte of theirs. */
static size_t missing(const struct monitor *m)
{
    uint32_t size = 0;

    if (m->have < VHOST_HEADER_BYTES)
        return VHOST_HEADER_BYTES - m->have;
    memcpy(&size, m->raw + 8, sizeof size);
    return size <= VHOST_PAYLOAD_MAX_BYTES ? VHOST_HEADER_BYTES + (size_t)size - m->have : 0;
}

static enum err keep_fds(struct monitor *m, struct msghdr *h, struct why *why)
{
    bool over = h->msg_flags & MSG_CTRUNC;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t i = 0; i < (c->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            if (m->n_fds < VHOST_FDS_MAX) {
                m->fds[m->n_fds++] = fd;
                continue;
            }
            over = true;
            fd_close(&fd);
        }
    }
    return over ? why_fail(why, ERR_LIMIT, "too many descriptors", 0) : ERR_OK;
}

static enum err receive(struct monitor *m, struct why *why)
{
    union {
        struct cmsghdr align;
        char raw[CMSG_SPACE(sizeof(int) * VHOST_FDS_MAX)];
    } control;
    struct iovec iov = { m->raw + m->have, missing(m) };
    struct msghdr h = { .msg_iov = &iov,
                        .msg_iovlen = 1,
                        .msg_control = control.raw,
                        .msg_controllen = sizeof control.raw };

    ssize_t n = recvmsg(m->fd, &h, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? ERR_MORE
                                                 : why_fail(why, ERR_IO, errno_what(errno), 0);
    if (n == 0)
        return why_fail(why, ERR_IO, "the monitor has left", 0);
    m->have += (size_t)n;
    return keep_fds(m, &h, why);
}

static void on_message(void *arg)
{
    struct vdev *v = arg;
    struct monitor *m = &v->monitor;
    struct why why = { 0 };
    enum err r = ERR_OK;

    while (r == ERR_OK) {
        r = missing(m) > 0 ? receive(m, &why) : ERR_OK;
        if (r == ERR_OK && missing(m) == 0)
            r = one_message(v, &why);
    }
    if (r != ERR_MORE) {
        log_event(r == ERR_IO ? LOG_INFO : LOG_ERROR, "monitor gone",
                  LOG_STR("why", why.what ? why.what : err_name(r)));
        monitor_close(v);
    }
    vdev_turn(v);
}

void monitor_accept(struct vdev *v, int fd)
{
    struct monitor *m = &v->monitor;

    if (m->fd >= 0) {
        log_event(LOG_WARN, "second monitor refused", LOG_INT("cid", v->cid));
        fd_close(&fd);
        return;
    }
    *m = (struct monitor){ .fd = fd };
    for (unsigned i = 0; i < VHOST_RINGS; i++)
        m->kick[i] = m->call[i] = m->err[i] = -1;
    vhost_session_init(&m->session, v->cid);
    if (loop_watch_new(v->loop, fd, on_message, v, &m->watch) != ERR_OK) {
        log_event(LOG_ERROR, "monitor refused", LOG_STR("why", "out of memory"));
        monitor_close(v);
    }
}

void monitor_close(struct vdev *v)
{
    struct monitor *m = &v->monitor;

    vsock_mux_reset(v->mux);
    if (m->fd < 0)
        return;
    loop_watch_free(m->watch);
    m->watch = NULL;
    for (unsigned i = 0; i < VHOST_RINGS; i++) {
        stop_ring(m, i);
        fd_close(&m->err[i]);
        m->session.ring[i].has_kick = false;
    }
    close_fds(m);
    unmap(m);
    fd_close(&m->fd);
}
