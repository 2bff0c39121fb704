/* From the owner's bufs to the socket: plain bytes as they are, TLS piece by piece, so that no more
 * than a few records of a long text exist twice. */
#include <errno.h>
#include <stdlib.h>
#include <sys/uio.h>

#include "io/conn_in.h"

enum {
    TLS_MAX_BYTES = 65536, /* of records at one time */
    WRITE_TURN_BYTES = 1 << 20,
    IOV_MAX_NODES = 16,
    WRITE_TAIL_BYTES = 4096, /* what would be left for a call of its own goes along */
    COPY_MAX_BYTES = 4096,   /* shorter bufs are copied behind the last one if that has room */
};

bool conn_wants_write(const struct conn *c)
{
    if (c->stage == CONN_OPEN)
        return conn_unsent(c) > 0;
    return c->stage == CONN_HANDSHAKE && c->cipher.len > 0;
}

size_t conn_unsent(const struct conn *c)
{
    return c->unsent + (c->cipher.len - c->cipher_sent);
}

static bool append_to_last(struct conn *c, const struct buf *b)
{
    struct out_node *last = c->out_last;

    if (!last || b->len > COPY_MAX_BYTES || last->bytes.cap - last->bytes.len < b->len)
        return false;
    if (last->bytes.is_public && !b->is_public)
        return false; /* it would not be wiped there */
    return buf_append(&last->bytes, buf_view(b)) == ERR_OK;
}

enum err conn_send(struct conn *c, struct buf *take)
{
    size_t len = take->len;

    if (c->closing || c->finish_wanted)
        return ERR_IO;
    if (len == 0)
        return ERR_OK;
    if (append_to_last(c, take)) {
        buf_clear(take);
    } else {
        struct out_node *n = calloc(1, sizeof(*n));
        if (!n)
            return ERR_NOMEM;
        n->bytes = buf_take(take);
        if (c->out_last)
            c->out_last->next = n;
        else
            c->out_first = n;
        c->out_last = n;
    }
    c->unsent += len;
    c->drain_due = true;
    conn_turn_soon(c);
    return ERR_OK;
}

enum err conn_send_view(struct conn *c, struct span s)
{
    bool at_once = c->tls && c->stage == CONN_OPEN && conn_unsent(c) == 0 && s.len > 0 &&
                   s.len <= TLS_MAX_BYTES;

    if (c->closing || c->finish_wanted)
        return ERR_IO;
    if (at_once) {
        enum err r = tls_write(c->tls, s);
        if (r == ERR_OK)
            r = conn_tls_drain(c);
        if (r != ERR_OK) /* half of it may be there: nothing can follow that */
            conn_fail(c, r, "TLS: cannot encrypt");
        else
            c->drain_due = true;
        conn_turn_soon(c);
        return ERR_OK;
    }
    AUTO(buf_clear) struct buf copy = BUF_INIT(s.len);
    enum err r = buf_append(&copy, s);
    return r == ERR_OK ? conn_send(c, &copy) : r;
}

static void pop(struct conn *c)
{
    struct out_node *n = c->out_first;

    c->out_first = n->next;
    if (!c->out_first)
        c->out_last = NULL;
    buf_clear(&n->bytes);
    free(n);
}

void conn_out_clear(struct conn *c)
{
    while (c->out_first)
        pop(c);
    c->unsent = 0;
}

/* `n` more bytes from the front are dealt with. */
static void advance(struct conn *c, size_t n)
{
    c->unsent -= n;
    while (n > 0) {
        struct out_node *first = c->out_first;
        size_t left = first->bytes.len - first->sent;
        size_t now = n < left ? n : left;
        first->sent += now;
        n -= now;
        if (first->sent == first->bytes.len)
            pop(c);
    }
}

/* The peer is gone for writing. It may have said why before it left (an answer that refuses the
 * request which is still being sent), so the owner sees what has come first. */
static void write_failed(struct conn *c, int e)
{
    conn_out_clear(c);
    buf_clear(&c->cipher);
    c->cipher_sent = 0;
    conn_read(c);
    if (!c->closing)
        conn_fail_errno(c, e);
}

/* Bytes that the kernel took; 0: not now, or closing. */
static size_t send_iov(struct conn *c, struct iovec *iov, size_t n)
{
    struct msghdr m = { .msg_iov = iov, .msg_iovlen = n };

    for (;;) {
        ssize_t sent = sendmsg(c->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent >= 0)
            return (size_t)sent;
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN)
            write_failed(c, errno);
        return 0;
    }
}

static size_t send_nodes(struct conn *c)
{
    struct iovec iov[IOV_MAX_NODES];
    size_t n = 0, total = 0;
    size_t max = c->unsent <= c->write_max + WRITE_TAIL_BYTES ? c->unsent : c->write_max;

    for (struct out_node *o = c->out_first; o && n < IOV_MAX_NODES && total < max; o = o->next) {
        size_t len = o->bytes.len - o->sent;
        if (len > max - total)
            len = max - total;
        iov[n++] = (struct iovec){ .iov_base = o->bytes.ptr + o->sent, .iov_len = len };
        total += len;
    }
    return send_iov(c, iov, n);
}

static void flush_plain(struct conn *c)
{
    for (size_t done = 0; c->out_first && done < WRITE_TURN_BYTES;) {
        size_t n = send_nodes(c);
        if (n == 0)
            return;
        advance(c, n);
        done += n;
    }
}

enum err conn_tls_drain(struct conn *c)
{
    return tls_drain(c->tls, &c->cipher);
}

void conn_tls_alert(struct conn *c)
{
    size_t left = c->cipher.len - c->cipher_sent;

    if (left > 0)
        (void)send(c->fd, c->cipher.ptr + c->cipher_sent, left, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static enum err encrypt_more(struct conn *c)
{
    enum err r = ERR_OK;

    while (r == ERR_OK && c->out_first && c->cipher.len < TLS_MAX_BYTES) {
        struct out_node *o = c->out_first;
        struct span piece = span_sub(buf_view(&o->bytes), o->sent, TLS_MAX_BYTES);
        r = tls_write(c->tls, piece);
        if (r == ERR_OK)
            r = conn_tls_drain(c);
        advance(c, piece.len);
    }
    if (r == ERR_OK && !c->out_first && c->finish_wanted && !c->notify_sent) {
        c->notify_sent = true;
        tls_finish(c->tls);
        r = conn_tls_drain(c);
    }
    return r;
}

/* False: the kernel takes no more now, or there is no more, or closing. */
static bool send_cipher(struct conn *c)
{
    size_t left = c->cipher.len - c->cipher_sent;

    if (left == 0)
        return false;
    struct iovec iov = { .iov_base = c->cipher.ptr + c->cipher_sent, .iov_len = left };
    size_t n = send_iov(c, &iov, 1);
    if (n == 0)
        return false;
    c->cipher_sent += n;
    if (c->cipher_sent < c->cipher.len)
        return true;
    buf_clear(&c->cipher);
    c->cipher_sent = 0;
    return true;
}

static void flush_tls(struct conn *c)
{
    for (unsigned i = 0; i < WRITE_TURN_BYTES / TLS_MAX_BYTES; i++) {
        enum err r = c->stage == CONN_OPEN ? encrypt_more(c) : ERR_OK;
        if (r != ERR_OK) {
            conn_fail(c, r, "TLS: cannot encrypt");
            return;
        }
        if (!send_cipher(c))
            return;
    }
}

void conn_flush(struct conn *c)
{
    if (c->stage != CONN_OPEN && c->stage != CONN_HANDSHAKE)
        return;
    if (c->tls)
        flush_tls(c);
    else
        flush_plain(c);
    if (c->closing || !c->finish_wanted || c->finished || c->stage != CONN_OPEN)
        return;
    if (conn_unsent(c) > 0 || (c->tls && !c->notify_sent))
        return;
    c->finished = true;
    if (c->leaving && !c->eof_told)
        conn_set_deadline(c, clock_mono_ns() + CONN_LEAVE_MS * NS_PER_MS);
    (void)shutdown(c->fd, SHUT_WR); /* fails only if the peer is gone, which reading tells */
}
