#include "io/talk.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>

bool talk_is_quiet(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    const struct timespec now = { 0 };
    int n;

    while ((n = ppoll(&p, 1, &now, NULL)) < 0 && errno == EINTR) {
    }
    return n == 0;
}

static bool is_gone(int e)
{
    return e == EPIPE || e == ECONNRESET;
}

static enum err receive(int fd, struct buf *in, bool *eof, struct why *why)
{
    uint8_t *room;
    enum err r = buf_reserve(in, TALK_PIECE_BYTES, &room);

    if (r != ERR_OK)
        return why_fail(why, r, "no room to read into", in->len);
    ssize_t n = recv(fd, room, TALK_PIECE_BYTES, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return ERR_MORE;
    if (n < 0)
        return why_fail(why, ERR_IO, errno_what(errno), 0);
    buf_commit(in, (size_t)n);
    *eof = n == 0;
    return ERR_OK;
}

/* ERR_MORE: it does not go on now. */
static enum err transmit(int fd, struct span *out, bool *is_broken, struct why *why)
{
    size_t most = out->len < TALK_PIECE_BYTES ? out->len : TALK_PIECE_BYTES;
    ssize_t n = send(fd, out->ptr, most, MSG_DONTWAIT | MSG_NOSIGNAL);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return ERR_MORE;
    if (n < 0 && is_gone(errno)) {
        *is_broken = true;
        *out = SPAN_EMPTY;
        return ERR_OK;
    }
    if (n < 0)
        return why_fail(why, ERR_IO, errno_what(errno), 0);
    *out = span_from(*out, (size_t)n);
    return ERR_OK;
}

enum err talk_step(int fd, struct span *out, struct buf *in, bool *is_broken, bool *eof,
                   uint64_t deadline_ns, struct why *why)
{
    for (;;) {
        enum err r = fd_wait(fd, (short)(POLLIN | (out->len ? POLLOUT : 0)), deadline_ns, why);
        if (r != ERR_OK)
            return r;
        r = receive(fd, in, eof, why);
        if (r != ERR_MORE)
            return r;
        if (out->len)
            r = transmit(fd, out, is_broken, why);
        if (r != ERR_MORE)
            return r;
    }
}

enum err talk_lock(pthread_mutex_t *lock, uint64_t deadline_ns)
{
    const struct timespec end = { .tv_sec = (time_t)(deadline_ns / NS_PER_S),
                                  .tv_nsec = (long)(deadline_ns % NS_PER_S) };
    int e = pthread_mutex_clocklock(lock, CLOCK_MONOTONIC, &end);

    return e == 0 ? ERR_OK : e == ETIMEDOUT ? ERR_TIMEOUT : ERR_INTERNAL;
}
