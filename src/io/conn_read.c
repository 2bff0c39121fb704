/* From the socket into conn_in(): plain bytes straight into its memory, TLS through the loop's
 * scratch buffer and the engine. */
#include <errno.h>

#include "io/conn_in.h"

enum {
    READ_MIN_BYTES = 4096,
    READ_MAX_BYTES = 256 * 1024,
    READS_PER_TURN = 8, /* then the other conns have their turn */
};

/* What one turn of reading found, told to the owner in this order. */
struct found {
    bool data;
    enum err r;
    const char *what;
};

static size_t room(const struct conn *c)
{
    return c->in.max - c->in.len;
}

bool conn_wants_read(const struct conn *c)
{
    if (c->stage == CONN_GREETING || c->stage == CONN_HANDSHAKE)
        return true;
    return c->stage == CONN_OPEN && !c->eof_seen && room(c) > 0 && !c->tls_waiting;
}

/* Bytes read; 0: nothing now, or the end, or a fault, as *f and c->eof_seen say. */
static size_t take(struct conn *c, uint8_t *into, size_t max, struct found *f)
{
    for (;;) {
        ssize_t n = recv(c->fd, into, max, MSG_DONTWAIT);
        if (n > 0)
            return (size_t)n;
        if (n == 0) {
            c->eof_seen = true;
            return 0;
        }
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN) {
            f->r = errno == ETIMEDOUT ? ERR_TIMEOUT : ERR_IO;
            f->what = errno_what(errno);
        }
        return 0;
    }
}

static void read_plain(struct conn *c, struct found *f)
{
    for (unsigned i = 0; i < READS_PER_TURN && room(c) > 0; i++) {
        size_t piece = c->piece < room(c) ? c->piece : room(c);
        uint8_t *into;
        f->r = buf_reserve(&c->in, piece, &into);
        if (f->r != ERR_OK) {
            f->what = "no memory to read into";
            return;
        }
        size_t n = take(c, into, piece, f);
        buf_commit(&c->in, n);
        f->data = f->data || n > 0;
        if (n < piece) { /* that was all there is */
            c->piece = c->piece / 2 > READ_MIN_BYTES ? c->piece / 2 : READ_MIN_BYTES;
            return;
        }
        if (c->piece < READ_MAX_BYTES)
            c->piece *= 2;
    }
}

/* The peer is told why by the alert that the engine has made. */
static void give_up(struct conn *c, enum err r, const char *what, struct found *f)
{
    f->r = r;
    f->what = what;
    if (conn_tls_drain(c) == ERR_OK)
        conn_tls_alert(c);
}

/* Plaintext out of the engine. False: no more reading now. */
static bool read_engine(struct conn *c, struct found *f)
{
    struct why why = { .what = "TLS" };
    size_t before = c->in.len;

    enum err r = tls_read(c->tls, &c->in, &why);
    c->tls_waiting = r == ERR_LIMIT || room(c) == 0;
    f->data = f->data || c->in.len > before;
    if (r != ERR_OK && r != ERR_LIMIT) {
        give_up(c, r, why.what, f);
        return false;
    }
    r = conn_tls_drain(c); /* the answer to a key update */
    if (r != ERR_OK) {
        give_up(c, r, "TLS: cannot answer", f);
        return false;
    }
    if (!c->tls_waiting && tls_is_closed(c->tls))
        c->eof_seen = true;
    return !c->tls_waiting && !c->eof_seen;
}

/* The end of the socket's bytes inside TLS counts only after the peer's close_notify, or when we
 * had said goodbye already: then many peers just leave. */
static void check_truncation(struct conn *c, struct found *f)
{
    if (!c->eof_seen || tls_is_closed(c->tls) || c->notify_sent)
        return;
    c->eof_seen = false;
    f->r = ERR_IO;
    f->what =
        c->open_told ? "TLS: closed without close_notify" : "TLS: closed during the handshake";
}

static void feed(struct conn *c, size_t n, struct found *f)
{
    struct why why = { .what = "TLS" };
    enum err r = tls_feed(c->tls, span_of(loop_scratch(c->loop), n), &why);
    enum err drained = r == ERR_OK ? conn_tls_drain(c) : r;

    if (r != ERR_OK)
        give_up(c, r, why.what, f);
    else if (drained != ERR_OK)
        give_up(c, drained, "TLS: cannot answer", f);
}

static void read_tls(struct conn *c, struct found *f)
{
    if (c->tls_waiting && !read_engine(c, f))
        return;
    for (unsigned i = 0; i < READS_PER_TURN; i++) {
        size_t n = take(c, loop_scratch(c->loop), LOOP_SCRATCH_BYTES, f);
        if (n == 0) {
            check_truncation(c, f);
            return;
        }
        feed(c, n, f);
        if (f->r != ERR_OK || c->closing)
            return;
        if (c->stage == CONN_HANDSHAKE && tls_is_open(c->tls)) {
            c->stage = CONN_OPEN;
            conn_tell_open(c);
        }
        if (c->closing || (c->stage == CONN_OPEN && !read_engine(c, f)))
            return;
        if (n < LOOP_SCRATCH_BYTES)
            return;
    }
}

void conn_drop_in(struct conn *c)
{
    c->dropped += c->in.len;
    buf_clear(&c->in);
    if (c->dropped > CONN_LEAVE_MAX_BYTES)
        conn_close(c);
}

static void tell_data(struct conn *c)
{
    if (c->leaving)
        conn_drop_in(c);
    else if (c->events->data)
        c->events->data(c, c->arg);
}

void conn_read(struct conn *c)
{
    struct found f = { .r = ERR_OK };

    if (c->eof_seen || (c->stage != CONN_OPEN && c->stage != CONN_HANDSHAKE))
        return;
    if (c->tls)
        read_tls(c, &f);
    else
        read_plain(c, &f);
    if (!c->closing && f.data)
        tell_data(c);
    if (!c->closing && c->eof_seen && !c->eof_told) {
        c->eof_told = true;
        if (c->events->eof)
            c->events->eof(c, c->arg);
    }
    if (!c->closing && f.r != ERR_OK)
        conn_fail(c, f.r, f.what);
    /* An idle conn keeps no memory for reading. */
    if (!c->closing && c->in.len == 0)
        buf_clear(&c->in);
    if (!c->closing && c->tls_waiting && room(c) > 0)
        conn_resume(c); /* the owner made room in `data` */
}
