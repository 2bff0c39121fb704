#include "io/conn_in.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    READ_FIRST_BYTES = 4096,
    CIPHER_MAX_BYTES = 256 * 1024, /* conn_write.c puts less than half of it in at once */
    WRITE_MAX_BYTES = 256 * 1024,  /* each call wakes the peer, who may need our core for that */
    WRITE_VSOCK_BYTES = 65536,     /* where vsock is fastest (2 MiB in one call collapses) */
};

/* What an idle plain conn costs, since it keeps no buffer. */
_Static_assert(sizeof(struct conn) <= 1024, "an idle conn should stay small");

static void on_turn(struct loop_defer *d);
static void on_timer(uv_timer_t *h);
static void on_drop(struct loop_member *m);

/* Of a conn whose owner came to nothing before it could name its own. */
static const struct conn_events nobody = { 0 };

enum err conn_make(struct loop *l, const struct conn_options *o, struct conn **out)
{
    struct conn *c = calloc(1, sizeof(*c));
    if (!c)
        return ERR_NOMEM;
    c->loop = l;
    c->turn.fn = on_turn;
    c->member.drop = on_drop;
    c->fd = -1;
    c->events = o->events ? o->events : &nobody;
    c->arg = o->arg;
    c->in = BUF_INIT(o->in_max);
    c->piece = READ_FIRST_BYTES;
    c->cipher = BUF_INIT(CIPHER_MAX_BYTES);
    enum err r = o->tls ? tls_new(o->tls, o->server_name, &c->tls) : ERR_OK;
    if (r != ERR_OK) {
        free(c);
        return r;
    }
    (void)uv_timer_init(loop_uv(l), &c->timer);
    c->timer.data = c;
    c->handles = 1;
    loop_join(l, &c->member);
    *out = c;
    return ERR_OK;
}

enum err conn_connect(struct loop *l, const struct addr *to, const struct conn_options *o,
                      struct conn **out, struct why *why)
{
    struct conn *c;
    struct conn_dial *dial = calloc(1, sizeof(*dial));
    if (!dial)
        return why_fail(why, ERR_NOMEM, "out of memory", 0);
    enum err r = conn_make(l, o, &c);
    if (r != ERR_OK) {
        free(dial);
        return why_fail(why, r, "cannot make a connection", 0);
    }
    dial->to = *to;
    c->dial = dial;
    c->stage = CONN_DIALING;
    c->deadline_ns = o->deadline_ns;
    conn_arm(c);
    conn_turn_soon(c);
    *out = c;
    return ERR_OK;
}

void conn_turn_soon(struct conn *c)
{
    loop_defer(c->loop, &c->turn);
}

/* Moving a timer costs more than to look at the clock when it fires: it is only ever armed earlier.
 */
void conn_arm(struct conn *c)
{
    uint64_t at = c->deadline_ns;
    uint64_t retry = c->dial ? c->dial->retry_ns : 0;

    if (retry != 0 && (at == 0 || retry < at))
        at = retry;
    if (at == 0 || (c->armed_ns != 0 && c->armed_ns <= at))
        return;
    c->armed_ns = at;
    (void)uv_timer_start(&c->timer, on_timer, loop_timeout_ms(c->loop, at), 0);
}

static void on_timer(uv_timer_t *h)
{
    struct conn *c = h->data;

    c->armed_ns = 0;
    if (c->closing)
        return;
    if (c->deadline_ns != 0 && loop_ms_until(c->loop, c->deadline_ns) == 0) {
        conn_fail(c, ERR_TIMEOUT, errno_what(ETIMEDOUT));
        return;
    }
    if (c->dial && c->dial->retry_ns != 0 && loop_ms_until(c->loop, c->dial->retry_ns) == 0) {
        c->dial->retry_ns = 0;
        conn_turn_soon(c);
    }
    conn_arm(c);
}

static void update_poll(struct conn *c);

static void on_poll(uv_poll_t *h, int status, int events)
{
    struct conn *c = h->data;

    if (status < 0) { /* libuv stops the handle of a broken socket; reading tells what it is */
        c->polled = 0;
        events = UV_READABLE | UV_WRITABLE;
    }
    if (c->stage == CONN_CONNECTING)
        conn_dial_writable(c);
    else if (c->stage == CONN_GREETING)
        conn_dial_greeting(c);
    else if (events & UV_READABLE)
        conn_read(c);
    if (!c->closing)
        on_turn(&c->turn);
}

enum err conn_attach(struct conn *c, int fd)
{
    if (uv_poll_init(loop_uv(c->loop), &c->poll, fd) != 0)
        return ERR_IO;
    int family = 0;
    socklen_t size = sizeof(family);
    (void)getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &size);
    c->write_max = family == AF_VSOCK ? WRITE_VSOCK_BYTES : WRITE_MAX_BYTES;
    c->poll.data = c;
    c->poll_made = true;
    c->handles++;
    c->fd = fd;
    return ERR_OK;
}

void conn_begin(struct conn *c)
{
    free(c->dial);
    c->dial = NULL;
    c->stage = c->tls ? CONN_HANDSHAKE : CONN_OPEN;
    if (!c->tls || c->from)
        return;
    enum err r = tls_start(c->tls);
    if (r == ERR_OK)
        r = conn_tls_drain(c);
    if (r != ERR_OK)
        conn_fail(c, r, "TLS: cannot start");
}

void conn_tell_open(struct conn *c)
{
    if (c->open_told)
        return;
    c->open_told = true;
    if (!c->owner_deadline) {
        c->deadline_ns = 0;
        conn_arm(c);
    }
    if (c->events->open)
        c->events->open(c, c->arg);
}

static void update_poll(struct conn *c)
{
    int want = 0;

    if (!c->poll_made)
        return;
    if (c->stage == CONN_CONNECTING)
        want = UV_WRITABLE;
    else
        want = (conn_wants_read(c) ? UV_READABLE : 0) | (conn_wants_write(c) ? UV_WRITABLE : 0);
    if (want == c->polled)
        return;
    int e = want ? uv_poll_start(&c->poll, want, on_poll) : uv_poll_stop(&c->poll);
    if (e != 0)
        conn_fail(c, ERR_IO, "cannot watch the socket");
    c->polled = want;
}

static void on_handle_closed(uv_handle_t *h)
{
    struct conn *c = h->data;

    if (--c->handles == 0)
        free(c);
}

static void close_socket(struct conn *c)
{
    if (c->poll_made)
        uv_close((uv_handle_t *)&c->poll, on_handle_closed);
    c->poll_made = false;
    fd_close(&c->fd);
}

/* Gives back everything but the struct, which libuv's handles still need. */
static void release(struct conn *c)
{
    close_socket(c);
    loop_leave(&c->member);
    loop_defer_cancel(c->loop, &c->turn);
    conn_out_clear(c);
    buf_clear(&c->in);
    buf_clear(&c->cipher);
    tls_freep(&c->tls);
    free(c->dial);
    c->dial = NULL;
    if (c->from)
        listener_conn_gone(c->from, c->is_over);
    uv_close((uv_handle_t *)&c->timer, on_handle_closed);
}

static void on_drop(struct loop_member *m)
{
    release((struct conn *)(void *)((char *)m - offsetof(struct conn, member)));
}

void conn_fail(struct conn *c, enum err r, const char *what)
{
    if (c->closing)
        return;
    c->closing = true;
    c->result = r;
    c->why.what = what;
    close_socket(c);
    (void)uv_timer_stop(&c->timer);
    conn_turn_soon(c);
}

void conn_fail_errno(struct conn *c, int e)
{
    conn_fail(c, e == ETIMEDOUT ? ERR_TIMEOUT : ERR_IO, errno_what(e));
}

/* One round of everything that may be due. After each callback the owner may have closed it. */
static void turn(struct conn *c)
{
    if (c->stage == CONN_DIALING)
        conn_dial_start(c);
    if (!c->closing && c->stage == CONN_OPEN)
        conn_tell_open(c);
    if (!c->closing && c->read_wanted) {
        c->read_wanted = false;
        conn_read(c);
    }
    if (!c->closing)
        conn_flush(c);
    if (!c->closing && c->drain_due && conn_unsent(c) == 0) {
        c->drain_due = false;
        if (c->events->drained)
            c->events->drained(c, c->arg);
    }
    if (!c->closing && c->finished && c->eof_told)
        conn_fail(c, ERR_OK, NULL);
    if (!c->closing)
        update_poll(c);
}

static void on_turn(struct loop_defer *d)
{
    struct conn *c = (struct conn *)(void *)((char *)d - offsetof(struct conn, turn));

    if (!c->closing) {
        turn(c);
        return;
    }
    if (c->events->closed)
        c->events->closed(c, c->arg, c->result, &c->why);
    release(c);
}

void conn_set_arg(struct conn *c, const struct conn_events *events, void *arg)
{
    c->events = events;
    c->arg = arg;
}

void conn_set_deadline(struct conn *c, uint64_t deadline_ns)
{
    if (c->closing)
        return;
    c->owner_deadline = true;
    c->deadline_ns = deadline_ns;
    conn_arm(c);
}

struct buf *conn_in(struct conn *c)
{
    return &c->in;
}

void conn_set_in_max(struct conn *c, size_t max)
{
    c->in.max = max > c->in.len ? max : c->in.len;
    if (!c->closing)
        conn_turn_soon(c); /* to watch for what there is room for */
}

void conn_resume(struct conn *c)
{
    if (c->closing)
        return;
    c->read_wanted = true;
    conn_turn_soon(c);
}

void conn_finish(struct conn *c)
{
    if (c->closing)
        return;
    c->finish_wanted = true;
    conn_turn_soon(c);
}

void conn_leave(struct conn *c, uint64_t write_ms)
{
    uint64_t ms = c->eof_told || write_ms > CONN_LEAVE_MS ? write_ms : CONN_LEAVE_MS;

    if (c->closing || c->leaving)
        return;
    c->leaving = true;
    conn_set_deadline(c, clock_mono_ns() + ms * NS_PER_MS);
    conn_finish(c);
    if (!c->eof_told) {
        conn_drop_in(c);
        conn_resume(c);
    }
}

void conn_close(struct conn *c)
{
    conn_fail(c, ERR_OK, NULL);
}

void conn_peer(const struct conn *c, char out[static CONN_PEER_BYTES])
{
    struct sockaddr_storage at = { .ss_family = AF_UNSPEC };
    socklen_t len = sizeof at;
    const void *address = NULL;

    out[0] = '\0';
    if (getpeername(c->fd, (struct sockaddr *)&at, &len) != 0)
        return;
    if (at.ss_family == AF_UNIX)
        memcpy(out, "unix", sizeof "unix");
    if (at.ss_family == AF_INET)
        address = &((const struct sockaddr_in *)(const void *)&at)->sin_addr;
    if (at.ss_family == AF_INET6)
        address = &((const struct sockaddr_in6 *)(const void *)&at)->sin6_addr;
    if (address && !inet_ntop(at.ss_family, address, out, CONN_PEER_BYTES))
        out[0] = '\0';
}
