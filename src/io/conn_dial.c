/* From an address to a connected socket: the names in turn, a full backlog, the greeting. */
#include <errno.h>

#include "io/conn_in.h"

static void fail_connect(struct conn *c, int e)
{
    conn_fail(c, e == ETIMEDOUT ? ERR_TIMEOUT : ERR_IO, sock_connect_what(&c->dial->to, e));
}

static void say_hello(struct conn *c)
{
    char hello[GREETING_MAX_BYTES];
    size_t n = greeting_write(c->dial->to.port, hello);

    c->stage = CONN_GREETING;
    /* A socket that was connected a moment ago takes these few bytes at once. */
    if (send(c->fd, hello, n, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)n)
        fail_connect(c, ECONNREFUSED);
}

static void attach(struct conn *c, int fd, int e, bool greets)
{
    if (conn_attach(c, fd) != ERR_OK) {
        fd_close(&fd);
        conn_fail(c, ERR_IO, "cannot watch the socket");
        return;
    }
    if (e == EINPROGRESS)
        c->stage = CONN_CONNECTING;
    else if (greets)
        say_hello(c);
    else
        conn_begin(c);
}

void conn_dial_start(struct conn *c)
{
    struct sock_name names[SOCK_NAMES_MAX];
    unsigned n = sock_names(&c->dial->to, names);
    int first = 0;

    if (c->dial->retry_ns != 0)
        return;
    for (unsigned i = 0; i < n; i++) {
        int fd = -1;
        int e = sock_connect(&names[i], &fd);
        if (e == 0 || e == EINPROGRESS) {
            /* Only the kinds with a single name take time, so there is no next name to go back to.
             */
            attach(c, fd, e, names[i].greets);
            return;
        }
        if (e == EAGAIN) {
            c->dial->retry_ns = loop_now_ns(c->loop) + BACKLOG_RETRY_MS * NS_PER_MS;
            conn_arm(c);
            return;
        }
        if (e != ENOENT && e != ECONNREFUSED) {
            fail_connect(c, e);
            return;
        }
        /* A socket that is there and refuses says more than a device that is not there. */
        if (first == 0 || e == ECONNREFUSED)
            first = e;
    }
    fail_connect(c, first);
}

void conn_dial_writable(struct conn *c)
{
    int e = sock_error(c->fd);

    if (e != 0)
        fail_connect(c, e);
    else
        conn_begin(c);
}

void conn_dial_greeting(struct conn *c)
{
    struct why why = { 0 };
    enum err r = greeting_recv(c->fd, &c->dial->greeting, &why);

    if (r == ERR_OK)
        conn_begin(c);
    else if (r != ERR_MORE)
        conn_fail(c, ERR_IO, why.what);
}
