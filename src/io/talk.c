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

enum err talk_receive(int fd, uint8_t *into, size_t room, size_t *n, struct why *why)
{
    ssize_t got = recv(fd, into, room, MSG_DONTWAIT);

    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return ERR_MORE;
    if (got < 0)
        return why_fail(why, ERR_IO, errno_what(errno), 0);
    *n = (size_t)got;
    return ERR_OK;
}

static enum err receive(int fd, struct buf *in, bool *eof, struct why *why)
{
    size_t n = 0;
    uint8_t *room;
    enum err r = buf_reserve(in, TALK_PIECE_BYTES, &room);

    if (r != ERR_OK)
        return why_fail(why, r, "no room to read into", in->len);
    r = talk_receive(fd, room, TALK_PIECE_BYTES, &n, why);
    if (r != ERR_OK)
        return r;
    buf_commit(in, n);
    *eof = n == 0;
    return ERR_OK;
}

enum err talk_send(int fd, struct span *out, bool *is_broken, struct why *why)
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
            r = talk_send(fd, out, is_broken, why);
        if (r != ERR_MORE)
            return r;
    }
}

enum err talk_wait(int fd, bool sends, int input_fd, int stop_fd, uint64_t deadline_ns,
                   unsigned *ready, struct why *why)
{
    struct pollfd p[] = { { .fd = fd, .events = (short)(POLLIN | (sends ? POLLOUT : 0)) },
                          { .fd = input_fd, .events = POLLIN },
                          { .fd = stop_fd, .events = POLLIN } };
    enum err r = fd_wait_any(p, sizeof p / sizeof p[0], deadline_ns, why);

    if (r == ERR_OK)
        *ready = (p[0].revents ? TALK_PEER : 0U) | (p[1].revents ? TALK_INPUT : 0U) |
                 (p[2].revents ? TALK_STOP : 0U);
    return r;
}

enum err talk_turn_init(struct talk_turn *t)
{
    pthread_condattr_t monotonic;

    if (pthread_condattr_init(&monotonic) != 0)
        return ERR_NOMEM;
    int e = pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    if (e == 0)
        e = pthread_cond_init(&t->left, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    if (e == 0 && (e = pthread_mutex_init(&t->lock, NULL)) != 0)
        (void)pthread_cond_destroy(&t->left);
    t->is_taken = t->is_handed = false;
    t->n_waiting = 0;
    return e == 0 ? ERR_OK : ERR_NOMEM;
}

void talk_turn_clear(struct talk_turn *t)
{
    (void)pthread_cond_destroy(&t->left);
    (void)pthread_mutex_destroy(&t->lock);
}

enum err talk_turn_take(struct talk_turn *t, uint64_t deadline_ns)
{
    const struct timespec end = { .tv_sec = (time_t)(deadline_ns / NS_PER_S),
                                  .tv_nsec = (long)(deadline_ns % NS_PER_S) };
    int e = 0;

    pthread_mutex_lock(&t->lock);
    bool is_ours = !t->is_taken;
    t->is_taken = true;
    if (!is_ours) {
        t->n_waiting++;
        /* At least once: what is handed over already is for those that were here before. */
        do
            e = pthread_cond_timedwait(&t->left, &t->lock, &end);
        while (!t->is_handed && e == 0);
        t->n_waiting--;
        is_ours = t->is_handed; /* also where it came at the last moment */
        t->is_handed = false;
    }
    pthread_mutex_unlock(&t->lock);
    return is_ours ? ERR_OK : ERR_TIMEOUT;
}

/* To one that waits, if there is one: else who leaves could take it again before any of those is
 * awake, and again. */
void talk_turn_leave(struct talk_turn *t)
{
    pthread_mutex_lock(&t->lock);
    t->is_handed = t->n_waiting > 0;
    t->is_taken = t->is_handed;
    pthread_cond_signal(&t->left);
    pthread_mutex_unlock(&t->lock);
}
