/* Conns on top of an acceptor, with a limit on how many live at once. */
#include <stdlib.h>

#include "io/accept.h"
#include "io/conn_in.h"

struct listener {
    struct loop *loop;
    struct loop_member member;
    struct acceptor *acceptor; /* NULL: freed */
    struct listener_options o;
    unsigned live, live_over;
    unsigned refs; /* conns and the owner */
};

static void unref(struct listener *s)
{
    if (--s->refs == 0)
        free(s);
}

void listener_conn_gone(struct listener *s, bool is_over)
{
    if (is_over)
        s->live_over--;
    else
        s->live--;
    unref(s);
}

/* The descriptor is the conn's, or closed. */
static void take(void *arg, int fd)
{
    struct listener *s = arg;
    struct conn *c;
    bool over = s->live >= s->o.max;

    if ((over && (!s->o.over || s->live_over >= s->o.max)) ||
        conn_make(s->loop, &s->o.conn, &c) != ERR_OK) {
        fd_close(&fd);
        return;
    }
    c->from = s;
    c->is_over = over;
    s->refs++;
    if (over)
        s->live_over++;
    else
        s->live++;
    if (conn_attach(c, fd) != ERR_OK) {
        fd_close(&fd);
        conn_fail(c, ERR_IO, "cannot watch the socket");
    } else {
        conn_begin(c);
        c->deadline_ns = s->o.conn.deadline_ns ? clock_mono_ns() + s->o.conn.deadline_ns : 0;
        conn_arm(c);
    }
    conn_turn_soon(c);
    (over ? s->o.over : s->o.accepted)(c, s->o.arg);
}

/* The loop drops the acceptor on its own. */
static void on_drop(struct loop_member *m)
{
    unref((struct listener *)(void *)((char *)m - offsetof(struct listener, member)));
}

static struct listener *make(const struct listener_options *o, struct loop *l)
{
    struct listener *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    s->loop = l;
    s->o = *o;
    s->refs = 1;
    s->member.drop = on_drop;
    return s;
}

/* `r`: of making its acceptor. */
static enum err made(struct listener *s, enum err r, struct listener **out)
{
    if (r != ERR_OK) {
        free(s);
        return r;
    }
    loop_join(s->loop, &s->member);
    *out = s;
    return ERR_OK;
}

enum err listener_new(struct loop *l, const struct addr *at, const struct listener_options *o,
                      struct listener **out, struct why *why)
{
    struct listener *s = make(o, l);
    if (!s)
        return why_fail(why, ERR_NOMEM, "out of memory", 0);
    return made(s, acceptor_new(l, at, take, s, &s->acceptor, why), out);
}

enum err listener_adopt(struct loop *l, int fd, const struct listener_options *o,
                        struct listener **out, struct why *why)
{
    struct listener *s = make(o, l);
    if (!s)
        return why_fail(why, ERR_NOMEM, "out of memory", 0);
    return made(s, acceptor_adopt(l, fd, take, s, &s->acceptor, why), out);
}

unsigned listener_port(const struct listener *s)
{
    return acceptor_port(s->acceptor);
}

unsigned listener_conns(const struct listener *s)
{
    return s->live;
}

void listener_free(struct listener *s)
{
    if (!s)
        return;
    acceptor_free(s->acceptor);
    s->acceptor = NULL;
    loop_leave(&s->member);
    unref(s);
}
