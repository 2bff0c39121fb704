#include "io/seqpacket.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/log.h"
#include "io/sock.h"

enum {
    BACKLOG = 128,
    PAUSE_MS = 100, /* when the process is out of descriptors */
};

struct client {
    struct seqpacket *server;
    struct client *prev, *next;
    struct loop_watch *watch;
    int fd;
};

struct seqpacket {
    struct loop *loop;
    struct seqpacket_options o;
    struct addr at;
    struct stat file; /* to remove our own and no other */
    int fd;
    struct loop_watch *watch; /* NULL while paused */
    struct loop_timer *pause;
    struct client *clients;
    unsigned n_clients;
    uint8_t *request;
    struct buf response;
};

static void client_drop(struct client *c)
{
    struct seqpacket *s = c->server;

    if (c->prev)
        c->prev->next = c->next;
    else
        s->clients = c->next;
    if (c->next)
        c->next->prev = c->prev;
    s->n_clients--;
    loop_watch_free(c->watch);
    fd_close(&c->fd);
    free(c);
}

/* recv() gives 0 for an empty packet and at the end alike. */
static bool has_left(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLRDHUP };

    return poll(&p, 1, 0) != 0;
}

static bool respond(struct client *c, struct span request)
{
    struct seqpacket *s = c->server;
    ssize_t n;

    buf_reset(&s->response);
    s->o.ask(request, &s->response, s->o.arg);
    if (s->response.len == 0)
        return false;
    do {
        n = send(c->fd, s->response.ptr, s->response.len, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    buf_reset(&s->response);
    return n >= 0;
}

static void on_readable(void *arg)
{
    struct client *c = arg;
    size_t room = c->server->o.request_max + 1;

    ssize_t n = recv(c->fd, c->server->request, room, MSG_DONTWAIT | MSG_TRUNC);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n < 0 || (n == 0 && has_left(c->fd))) {
        client_drop(c);
        return;
    }
    size_t len = (size_t)n < room ? (size_t)n : room;
    bool stays = respond(c, span_of(c->server->request, len));
    wipe(c->server->request, len);
    if (!stays)
        client_drop(c);
}

static void client_take(struct seqpacket *s, int fd)
{
    struct client *c = s->n_clients < s->o.clients_max ? calloc(1, sizeof(*c)) : NULL;

    if (!c) {
        fd_close(&fd);
        return;
    }
    *c = (struct client){ .server = s, .next = s->clients, .fd = fd };
    if (loop_watch_new(s->loop, fd, on_readable, c, &c->watch) != ERR_OK) {
        fd_close(&fd);
        free(c);
        return;
    }
    if (s->clients)
        s->clients->prev = c;
    s->clients = c;
    s->n_clients++;
}

/* Out of descriptors or memory: who comes waits in the backlog until something is given back. */
static void pause_accepting(struct seqpacket *s, int e)
{
    log_event(LOG_WARN, "accept paused", LOG_STR("why", errno_what(e)), LOG_INT("ms", PAUSE_MS));
    loop_watch_free(s->watch);
    s->watch = NULL;
    loop_timer_arm(s->pause, clock_mono_ns() + PAUSE_MS * NS_PER_MS);
}

static void on_acceptable(void *arg)
{
    struct seqpacket *s = arg;

    int fd = accept4(s->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0)
        client_take(s, fd);
    else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
        pause_accepting(s, errno);
}

static void on_pause_over(void *arg)
{
    struct seqpacket *s = arg;

    if (loop_watch_new(s->loop, s->fd, on_acceptable, s, &s->watch) != ERR_OK)
        loop_timer_arm(s->pause, clock_mono_ns() + PAUSE_MS * NS_PER_MS);
}

static enum err folder_make(const char *path, struct why *why)
{
    char folder[sizeof(((struct addr *)NULL)->path)];
    const char *slash = strrchr(path, '/');
    struct stat st;

    if (!slash || slash == path)
        return ERR_OK;
    memcpy(folder, path, (size_t)(slash - path)); /* addr_unix() has seen that it fits */
    folder[slash - path] = 0;
    return stat(folder, &st) == 0 ? ERR_OK : dir_make(folder, why);
}

static enum err open_socket(struct seqpacket *s, struct why *why)
{
    enum err r = addr_unix(s->o.path, &s->at, why);
    if (r == ERR_OK)
        r = folder_make(s->o.path, why);
    if (r == ERR_OK)
        r = sock_listen(&s->at, SOCK_SEQPACKET, BACKLOG, &s->fd, why);
    if (r == ERR_OK)
        (void)lstat(s->at.path, &s->file);
    return r;
}

enum err seqpacket_new(struct loop *l, const struct seqpacket_options *o, struct seqpacket **out,
                       struct why *why)
{
    struct seqpacket *s = calloc(1, sizeof(*s));
    if (!s)
        return why_fail(why, ERR_NOMEM, "out of memory", 0);
    *s = (struct seqpacket){ .loop = l, .o = *o, .fd = -1, .response = BUF_INIT(o->response_max) };
    s->request = malloc(o->request_max + 1);
    enum err r = s->request ? open_socket(s, why) : why_fail(why, ERR_NOMEM, "out of memory", 0);
    if (r == ERR_OK && (loop_timer_new(l, on_pause_over, s, &s->pause) != ERR_OK ||
                        loop_watch_new(l, s->fd, on_acceptable, s, &s->watch) != ERR_OK))
        r = why_fail(why, ERR_IO, "cannot watch the listening socket", 0);
    if (r != ERR_OK) {
        seqpacket_free(s);
        return r;
    }
    *out = s;
    return ERR_OK;
}

unsigned seqpacket_clients(const struct seqpacket *s)
{
    return s->n_clients;
}

static void remove_file(const struct seqpacket *s)
{
    struct stat now;

    if (s->fd >= 0 && lstat(s->at.path, &now) == 0 && now.st_ino == s->file.st_ino &&
        now.st_dev == s->file.st_dev)
        (void)unlink(s->at.path);
}

void seqpacket_free(struct seqpacket *s)
{
    if (!s)
        return;
    while (s->clients)
        client_drop(s->clients);
    loop_watch_free(s->watch);
    loop_timer_free(s->pause);
    remove_file(s);
    fd_close(&s->fd);
    buf_clear(&s->response);
    free(s->request);
    free(s);
}
