#include "lib/t_service.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    TIMEOUT_MS = 20000,
    REQUEST_MAX_BYTES = 64 << 20,
};

static struct {
    int listener;
    char path[64], address[80];
    pthread_t thread;
    int stop[2];
    pthread_mutex_t lock; /* for what follows */
    struct t_turn turns[T_REQUESTS_MAX];
    unsigned n_turns, n_done, n_connections;
    struct buf requests[T_REQUESTS_MAX];
} t_service;

static bool wait_in(int fd)
{
    struct pollfd p[2] = { { .fd = fd, .events = POLLIN },
                           { .fd = t_service.stop[0], .events = POLLIN } };

    return poll(p, 2, TIMEOUT_MS) > 0 && !(p[1].revents);
}

/* Head and body, as far as the head tells. */
static bool read_request(int fd, struct buf *out)
{
    static char piece[65536];
    size_t want = SIZE_MAX;

    while (out->len < want) {
        if (!wait_in(fd))
            return false;
        ssize_t n = read(fd, piece, sizeof piece);
        if (n <= 0 || buf_append(out, span_of(piece, (size_t)n)) != ERR_OK)
            return false;
        const uint8_t *end = memmem(out->ptr, out->len, "\r\n\r\n", 4);
        if (!end)
            continue;
        /* Of chunks the last one is the end: what the tests send does not hold it otherwise. */
        if (memmem(out->ptr, out->len, "transfer-encoding: chunked", 26)) {
            want = memcmp(out->ptr + out->len - 5, "0\r\n\r\n", 5) == 0 ? out->len : SIZE_MAX;
            continue;
        }
        const char *length = memmem(out->ptr, out->len, "content-length: ", 16);
        want = (size_t)(end - out->ptr) + 4 + (length ? strtoul(length + 16, NULL, 10) : 0);
    }
    return true;
}

/* False: the script is over. */
static bool next_turn(struct t_turn *t)
{
    pthread_mutex_lock(&t_service.lock);
    bool is_there = t_service.n_done < t_service.n_turns;
    if (is_there)
        *t = t_service.turns[t_service.n_done];
    pthread_mutex_unlock(&t_service.lock);
    return is_there;
}

static void turn_done(struct buf *request)
{
    pthread_mutex_lock(&t_service.lock);
    struct buf *kept = &t_service.requests[t_service.n_done++];
    buf_clear(kept);
    *kept = *request;
    *request = BUF_INIT(0);
    pthread_mutex_unlock(&t_service.lock);
}

/* False: this connection is over. */
static bool play(int fd)
{
    AUTO(buf_clear) struct buf request = BUF_INIT(REQUEST_MAX_BYTES);
    struct t_turn t;
    char first;

    if (!wait_in(fd) || recv(fd, &first, 1, MSG_PEEK) != 1 || !next_turn(&t) ||
        (!t.unread && !read_request(fd, &request)))
        return false;
    turn_done(&request);
    if (t.silent) {
        (void)wait_in(t_service.stop[0]);
        return false;
    }
    (void)!send(fd, t.answer, strlen(t.answer), MSG_NOSIGNAL);
    if (t.unread && !t.close) { /* nothing is taken, so that it cannot all be sent; it leaves */
        struct pollfd p[] = { { .fd = fd }, { .fd = t_service.stop[0] } };
        (void)shutdown(fd, SHUT_WR);
        (void)poll(p, 2, TIMEOUT_MS);
    }
    return !t.close && !t.unread;
}

static void *serve(void *arg)
{
    (void)arg;
    while (wait_in(t_service.listener)) {
        int fd = accept(t_service.listener, NULL, NULL);
        pthread_mutex_lock(&t_service.lock);
        t_service.n_connections++;
        pthread_mutex_unlock(&t_service.lock);
        while (play(fd)) {
        }
        close(fd);
    }
    return NULL;
}

int t_service_make(void **state)
{
    (void)state;
    struct sockaddr_un un = { .sun_family = AF_UNIX };

    memset(&t_service, 0, sizeof t_service);
    memcpy(t_service.path, "/tmp/ns-lib-XXXXXX", 19);
    int unused = mkstemp(t_service.path);
    close(unused);
    unlink(t_service.path);
    memcpy(un.sun_path, t_service.path, strlen(t_service.path));
    snprintf(t_service.address, sizeof t_service.address, "unix:%s", t_service.path);
    t_service.listener = socket(AF_UNIX, SOCK_STREAM, 0);
    if (bind(t_service.listener, (struct sockaddr *)&un, sizeof un) != 0 ||
        listen(t_service.listener, 8) != 0 || pipe(t_service.stop) != 0 ||
        pthread_mutex_init(&t_service.lock, NULL) != 0)
        return -1;
    return pthread_create(&t_service.thread, NULL, serve, NULL);
}

int t_service_end(void **state)
{
    (void)state;
    close(t_service.stop[1]);
    pthread_join(t_service.thread, NULL);
    close(t_service.stop[0]);
    close(t_service.listener);
    unlink(t_service.path);
    pthread_mutex_destroy(&t_service.lock);
    for (size_t i = 0; i < T_REQUESTS_MAX; i++)
        buf_clear(&t_service.requests[i]);
    return 0;
}

void t_service_turns(unsigned n, const struct t_turn *t)
{
    pthread_mutex_lock(&t_service.lock);
    memcpy(t_service.turns, t, n * sizeof *t);
    t_service.n_turns = n;
    t_service.n_done = 0;
    for (size_t i = 0; i < T_REQUESTS_MAX; i++)
        buf_clear(&t_service.requests[i]);
    pthread_mutex_unlock(&t_service.lock);
}

unsigned t_service_done(void)
{
    pthread_mutex_lock(&t_service.lock);
    unsigned n = t_service.n_done;
    pthread_mutex_unlock(&t_service.lock);
    return n;
}

struct span t_service_request(unsigned i)
{
    pthread_mutex_lock(&t_service.lock);
    struct span request = buf_view(&t_service.requests[i]);
    pthread_mutex_unlock(&t_service.lock);
    return request;
}

unsigned t_service_connections(void)
{
    pthread_mutex_lock(&t_service.lock);
    unsigned n = t_service.n_connections;
    pthread_mutex_unlock(&t_service.lock);
    return n;
}

struct nitroseal *t_service_handle(void)
{
    struct nitroseal *ns = NULL;
    struct nitroseal_error *error = NULL;

    assert_int_equal(nitroseal_new(t_service.address, &ns, &error), NITROSEAL_OK);
    assert_null(error);
    return ns;
}
