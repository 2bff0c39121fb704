#include "io/tube.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/span.h"
#include "io/sys.h"

struct tube_store {
    struct tube_store *next; /* among the spare ones */
    int in, out;             /* of the pipe; -1: a buffer */
    size_t size;             /* of the buffer */
    size_t at;               /* of the first byte held in it */
    uint8_t bytes[];
};

struct tubes {
    struct tube_store *spare;
    unsigned n_spare, n_pipes, pipes_max;
};

enum err tubes_new(unsigned pipes_max, struct tubes **out)
{
    struct tubes *t = calloc(1, sizeof(*t));
    if (!t)
        return ERR_NOMEM;
    t->pipes_max = pipes_max;
    *out = t;
    return ERR_OK;
}

static void store_free(struct tubes *pool, struct tube_store *s)
{
    if (s->in >= 0) {
        pool->n_pipes--;
        fd_close(&s->in);
        fd_close(&s->out);
    } else {
        wipe(s->bytes, s->size);
    }
    free(s);
}

void tubes_free(struct tubes *t)
{
    if (!t)
        return;
    while (t->spare) {
        struct tube_store *s = t->spare;
        t->spare = s->next;
        store_free(t, s);
    }
    free(t);
}

static struct tube_store *new_pipe(struct tubes *pool)
{
    int ends[2];

    if (pool->n_pipes >= pool->pipes_max || pipe2(ends, O_NONBLOCK | O_CLOEXEC) != 0)
        return NULL;
    struct tube_store *s = calloc(1, sizeof(*s));
    /* A user's pipes may be limited (pipe(7), pipe-user-pages-soft): then the usual size stays, or
     * gets too small to be of use. */
    (void)fcntl(ends[1], F_SETPIPE_SZ, TUBE_PIPE_BYTES);
    if (!s || fcntl(ends[1], F_GETPIPE_SZ) < TUBE_PIPE_MIN_BYTES) {
        fd_close(&ends[0]);
        fd_close(&ends[1]);
        free(s);
        return NULL;
    }
    s->out = ends[0];
    s->in = ends[1];
    pool->n_pipes++;
    return s;
}

static struct tube_store *new_buffer(size_t size)
{
    struct tube_store *s = malloc(sizeof(*s) + size);
    if (s)
        *s = (struct tube_store){ .in = -1, .out = -1, .size = size };
    return s;
}

static struct tube_store *take(struct tubes *pool, bool no_splice)
{
    struct tube_store *s = no_splice ? NULL : pool->spare;

    if (s) {
        pool->spare = s->next;
        pool->n_spare--;
        return s;
    }
    if (!no_splice)
        s = new_pipe(pool);
    return s ? s : new_buffer(TUBE_BUFFER_BYTES);
}

/* Empty, and back to where it came from. */
static void give(struct tubes *pool, struct tube *t)
{
    struct tube_store *s = t->store;

    t->store = NULL;
    t->held = 0;
    if (s->in < 0 || pool->n_spare == TUBE_SPARE_MAX) {
        store_free(pool, s);
        return;
    }
    s->next = pool->spare;
    pool->spare = s;
    pool->n_spare++;
}

void tube_drop(struct tubes *pool, struct tube *t)
{
    struct tube_store *s = t->store;

    t->store = NULL;
    t->held = 0;
    if (s)
        store_free(pool, s); /* a pipe with bytes in it is of no use to anybody */
}

static enum tube_got failed(int e, const char **what)
{
    if (e == EAGAIN || e == EINTR)
        return TUBE_AGAIN;
    *what = errno_what(e);
    return TUBE_BROKEN;
}

enum tube_got tube_fill(struct tubes *pool, struct tube *t, int fd, size_t *n, const char **what)
{
    struct tube_store *s = take(pool, t->no_splice);
    if (!s) {
        *what = "out of memory";
        return TUBE_BROKEN;
    }
    t->store = s;
    s->at = 0;
    ssize_t got = s->in >= 0 ? splice(fd, NULL, s->in, NULL, TUBE_PIPE_BYTES,
                                      SPLICE_F_MOVE | SPLICE_F_NONBLOCK)
                             : recv(fd, s->bytes, TUBE_BUFFER_BYTES, MSG_DONTWAIT);
    int e = errno;
    bool cannot = got < 0 && e == EINVAL && s->in >= 0;
    if (got > 0) {
        t->held = *n = (size_t)got;
        return TUBE_MOVED;
    }
    give(pool, t);
    if (cannot) {
        t->no_splice = true;
        return tube_fill(pool, t, fd, n, what);
    }
    return got == 0 ? TUBE_EOF : failed(e, what);
}

/* The kernel cannot splice into that socket: what the pipe holds goes on in a buffer. */
static enum tube_got to_buffer(struct tubes *pool, struct tube *t, const char **what)
{
    struct tube_store *s = new_buffer(t->held);
    size_t n = 0;

    while (s && n < t->held) {
        ssize_t got = read(t->store->out, s->bytes + n, t->held - n);
        if (got <= 0)
            break;
        n += (size_t)got;
    }
    if (!s || n < t->held) {
        free(s);
        *what = s ? "a pipe lost bytes" : "out of memory";
        return TUBE_BROKEN;
    }
    store_free(pool, t->store);
    t->store = s;
    t->no_splice = true;
    return TUBE_MOVED;
}

enum tube_got tube_drain(struct tubes *pool, struct tube *t, int fd, size_t *n, const char **what)
{
    struct tube_store *s = t->store;
    ssize_t put = s->in >= 0
                      ? splice(s->out, NULL, fd, NULL, t->held, SPLICE_F_MOVE | SPLICE_F_NONBLOCK)
                      : send(fd, s->bytes + s->at, t->held, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (put < 0 && errno == EINVAL && s->in >= 0)
        return to_buffer(pool, t, what) == TUBE_MOVED ? tube_drain(pool, t, fd, n, what)
                                                      : TUBE_BROKEN;
    if (put <= 0)
        return failed(put == 0 ? EPIPE : errno, what);
    *n = (size_t)put;
    s->at += (size_t)put;
    t->held -= (size_t)put;
    if (t->held == 0)
        give(pool, t);
    return TUBE_MOVED;
}
