#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <unistd.h>

#include "bin/nitro-local/vdev_in.h"
#include "io/log.h"

enum {
    PACKETS_PER_TURN = 64, /* each way, then the other way is due */
    ROUNDS_PER_TURN = 8,   /* then others on the loop are */
    CONNECT_S = 10,        /* for the guest to answer */
    LINGER_S = 10,         /* longer than the 8 s of Linux's own timer */
    DRAIN_S = 300,
};

/* The guest broke the rules of a ring: it is on its own until its driver starts anew. */
static void broken(struct vdev *v, unsigned ring, const struct why *why)
{
    const uint64_t one = 1;

    v->monitor.session.ring[ring].broken = true;
    log_event(LOG_WARN, "ring broken", LOG_STR("ring", ring == VHOST_RING_RX ? "rx" : "tx"),
              LOG_STR("why", why->what ? why->what : ""));
    vsock_mux_reset(v->mux);
    if (v->monitor.err[ring] >= 0 && write(v->monitor.err[ring], &one, sizeof one) < 0)
        log_event(LOG_DEBUG, "no error event", LOG_STR("why", errno_what(errno)));
}

static void call(struct vdev *v, unsigned ring)
{
    const uint64_t one = 1;
    int fd = v->monitor.call[ring];

    if (fd >= 0 && virtq_wants_call(&v->monitor.session.ring[ring].q) &&
        write(fd, &one, sizeof one) < 0)
        log_event(LOG_DEBUG, "no call", LOG_STR("why", errno_what(errno)));
}

/* The next chain of a ring. With none there, kicks are asked for, and a last look is taken: a chain
 * that came before the guest saw that is not announced. */
static enum err next_chain(struct vdev *v, struct virtq *q, struct virtq_chain *c, struct why *why)
{
    const struct guest_mem *mem = &v->monitor.session.mem;

    enum err r = virtq_peek(q, mem, c, why);
    if (r != ERR_MORE)
        return r;
    virtq_want_kick(q, true);
    r = virtq_peek(q, mem, c, why);
    if (r == ERR_OK)
        virtq_want_kick(q, false);
    return r;
}

/* From the guest. Returns the number of packets. */
static unsigned from_guest(struct vdev *v)
{
    struct virtq *q = &v->monitor.session.ring[VHOST_RING_TX].q;
    struct virtq_chain c;
    struct why why = { 0 };
    enum err r = ERR_OK;
    unsigned n = 0;

    if (!vhost_ring_runs(&v->monitor.session, VHOST_RING_TX))
        return 0;
    uint64_t now = clock_mono_ns();
    while (n < PACKETS_PER_TURN && vsock_mux_takes(v->mux)) {
        r = next_chain(v, q, &c, &why);
        if (r != ERR_OK)
            break;
        if (n == 0)
            virtq_want_kick(q, false);
        vsock_mux_packet(v->mux, &c, now);
        virtq_give(q, &c, 0);
        n++;
        peer_actions(v);
    }
    if (r != ERR_OK && r != ERR_MORE)
        broken(v, VHOST_RING_TX, &why);
    else if (n > 0)
        call(v, VHOST_RING_TX);
    return n;
}

/* Read from the connection's socket into the guest's buffer, behind the place of the header. */
static enum vsock_got read_into(const struct virtq_chain *c, int fd, size_t max, size_t *n)
{
    struct iovec iov[VIRTQ_SEGS_MAX];
    size_t skip = VSOCK_HEADER_BYTES;
    int k = 0;

    for (unsigned i = 0; i < c->n && max > 0; i++) {
        size_t at = skip < c->seg[i].len ? skip : c->seg[i].len;
        size_t len = c->seg[i].len - at;
        skip -= at;
        len = len < max ? len : max;
        if (len == 0)
            continue;
        iov[k++] = (struct iovec){ c->seg[i].ptr + at, len };
        max -= len;
    }
    ssize_t got = readv(fd, iov, k);
    if (got > 0) {
        *n = (size_t)got;
        return VSOCK_MOVED;
    }
    if (got < 0)
        return errno == EAGAIN || errno == EINTR ? VSOCK_AGAIN : VSOCK_BROKE;
    struct pollfd p = { .fd = fd };
    return poll(&p, 1, 0) > 0 && (p.revents & POLLHUP) ? VSOCK_HUP : VSOCK_EOF;
}

static bool put_packet(struct vdev *v, struct virtq *q, const struct virtq_chain *c,
                       struct vsock_out *out)
{
    uint8_t raw[VSOCK_HEADER_BYTES];
    enum vsock_got got = VSOCK_MOVED;
    size_t n = 0;

    if (out->read_max > 0) {
        const struct peer *p = vsock_conn_host(out->conn);
        got = read_into(c, p->fd, out->read_max, &n);
    }
    if (!vsock_mux_put(v->mux, out, got, n, clock_mono_ns()))
        return false;
    vsock_hdr_write(&out->hdr, raw);
    (void)virtq_write(c, 0, raw, sizeof raw);
    virtq_give(q, c, (uint32_t)(sizeof raw + n));
    return true;
}

/* To the guest. */
static unsigned to_guest(struct vdev *v)
{
    struct virtq *q = &v->monitor.session.ring[VHOST_RING_RX].q;
    struct virtq_chain c;
    struct vsock_out out;
    struct why why = { 0 };
    enum err r = ERR_OK;
    unsigned n = 0;

    if (!vhost_ring_runs(&v->monitor.session, VHOST_RING_RX))
        return 0;
    virtq_want_kick(q, false); /* buffers that come are of no interest while nothing is due */
    while (n < PACKETS_PER_TURN && vsock_mux_out(v->mux, SIZE_MAX, &out)) {
        r = next_chain(v, q, &c, &why);
        if (r == ERR_OK && (!c.writable || !vsock_mux_out(v->mux, c.len, &out)))
            r = why_fail(&why, ERR_MALFORMED, "a receive buffer that no packet fits in", 0);
        if (r != ERR_OK)
            break;
        n += put_packet(v, q, &c, &out);
        peer_actions(v);
    }
    if (r != ERR_OK && r != ERR_MORE)
        broken(v, VHOST_RING_RX, &why);
    else if (n > 0)
        call(v, VHOST_RING_RX);
    return n;
}

static void wake_up(struct vdev *v)
{
    uint64_t at = vsock_mux_wake_ns(v->mux), other = peer_wake_ns(v);

    if (at == 0 || (other != 0 && other < at))
        at = other;
    if (at != 0)
        loop_timer_arm(v->timer, at);
}

void vdev_turn(struct vdev *v)
{
    const uint64_t one = 1;
    unsigned rounds = 0, moved;

    peer_actions(v);
    do {
        moved = from_guest(v);
        moved += to_guest(v);
    } while (moved > 0 && ++rounds < ROUNDS_PER_TURN);
    if (moved > 0 && write(v->again, &one, sizeof one) < 0)
        log_event(LOG_ERROR, "no wake-up", LOG_STR("why", errno_what(errno)));
    peer_actions(v);
    wake_up(v);
}

static void on_again(void *arg)
{
    struct vdev *v = arg;
    uint64_t n;

    if (read(v->again, &n, sizeof n) < 0 && errno != EAGAIN)
        log_event(LOG_ERROR, "no wake-up", LOG_STR("why", errno_what(errno)));
    vdev_turn(v);
}

static void on_timer(void *arg)
{
    struct vdev *v = arg;
    uint64_t now = clock_mono_ns();

    vsock_mux_tick(v->mux, now);
    peer_tick(v, now);
    vdev_turn(v);
}

static void on_monitor(void *arg, int fd)
{
    monitor_accept(arg, fd);
}

static void on_host(void *arg, int fd)
{
    peer_accept(arg, fd);
}

static enum err listen_both(struct vdev *v, const struct vdev_options *o, struct why *why)
{
    char path[sizeof v->folder + 16];
    struct addr at;

    enum err r = addr_unix(o->socket, &at, why);
    if (r == ERR_OK)
        r = acceptor_new(v->loop, &at, on_monitor, v, &v->monitors, why);
    if (r != ERR_OK)
        return r;
    (void)snprintf(path, sizeof path, "%s/%u.vsock", o->folder, o->cid);
    r = addr_unix(path, &at, why);
    return r == ERR_OK ? acceptor_new(v->loop, &at, on_host, v, &v->hosts, why) : r;
}

static enum err make(struct vdev *v, const struct vdev_options *o, struct why *why)
{
    const struct vsock_options mux = {
        .guest_cid = o->cid,
        .conns_max = VSOCK_CONNS_MAX,
        .buf_bytes = VSOCK_BUF_BYTES,
        .connect_ns = CONNECT_S * NS_PER_S,
        .linger_ns = LINGER_S * NS_PER_S,
        .drain_ns = DRAIN_S * NS_PER_S,
    };
    struct addr longest;
    char setting[sizeof v->folder + 8];

    v->again = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (v->again < 0)
        return why_fail(why, ERR_IO, errno_what(errno), 0);
    if (strlen(o->folder) >= sizeof v->folder)
        return why_fail(why, ERR_LIMIT, "the folder's path is too long for sockets in it", 0);
    (void)snprintf(v->folder, sizeof v->folder, "%s", o->folder);
    (void)snprintf(setting, sizeof setting, "unix:%s", o->folder);
    enum err r = addr_vsock(setting, CID_PARENT, UINT32_MAX, &longest, why);
    if (r == ERR_OK)
        r = dir_make(o->folder, why);
    if (r == ERR_OK)
        r = vsock_mux_new(&mux, &v->mux);
    if (r == ERR_OK)
        r = loop_timer_new(v->loop, on_timer, v, &v->timer);
    if (r == ERR_OK)
        r = loop_watch_new(v->loop, v->again, on_again, v, &v->on_again);
    return r == ERR_OK ? listen_both(v, o, why) : r;
}

enum err vdev_new(struct loop *l, const struct vdev_options *o, struct vdev **out, struct why *why)
{
    struct vdev *v = calloc(1, sizeof *v);
    if (!v)
        return why_fail(why, ERR_NOMEM, "out of memory", 0);
    v->loop = l;
    v->cid = o->cid;
    v->serve = o->serve;
    v->restarted = o->restarted;
    v->arg = o->arg;
    v->again = v->monitor.fd = -1;
    enum err r = make(v, o, why);
    if (r != ERR_OK) {
        vdev_free(v);
        return r;
    }
    *out = v;
    return ERR_OK;
}

void vdev_free(struct vdev *v)
{
    if (!v)
        return;
    acceptor_free(v->monitors);
    acceptor_free(v->hosts);
    if (v->mux) {
        monitor_close(v);
        peer_clear(v);
    }
    vsock_mux_free(v->mux);
    loop_timer_free(v->timer);
    loop_watch_free(v->on_again);
    fd_close(&v->again);
    free(v);
}

void vdev_raise_limits(void)
{
    struct rlimit l;

    if (getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur < l.rlim_max) {
        l.rlim_cur = l.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &l); /* then it stays as it is */
    }
}
