#include "io/race.h"

#include <errno.h>
#include <stdlib.h>

#include "io/loop_in.h"
#include "io/ready.h"
#include "io/sock.h"

struct runner {
    struct race *race;
    struct ready *ready; /* NULL: not started, or out */
    int fd;
    uint64_t until_ns;
};

struct race {
    struct loop *loop;
    struct loop_defer start;
    struct loop_timer *timer;
    struct resolved to;
    struct runner runners[RESOLVE_MAX];
    unsigned started, running;
    uint64_t limit_ns, next_ns; /* when the next one starts at the latest */
    bool over;
    enum err r; /* of the last that failed */
    struct why why;
    race_fn *fn;
    void *arg;
};

static void go_on(struct race *r);

static void leave(struct race *r, unsigned i)
{
    ready_free(r->runners[i].ready);
    r->runners[i].ready = NULL;
    r->running--;
}

static void drop_all(struct race *r)
{
    for (unsigned i = 0; i < r->started; i++) {
        if (!r->runners[i].ready)
            continue;
        leave(r, i);
        fd_close(&r->runners[i].fd);
    }
}

static void failed(struct race *r, int e)
{
    r->r = e == ETIMEDOUT ? ERR_TIMEOUT : ERR_IO;
    r->why.what = errno_what(e);
}

static void end(struct race *r, int fd, unsigned which)
{
    r->over = true;
    drop_all(r);
    loop_timer_disarm(r->timer);
    r->fn(r->arg, fd, which, fd >= 0 ? ERR_OK : r->r, &r->why);
}

static void on_ready(void *arg, bool readable, bool writable)
{
    struct runner *w = arg;
    struct race *r = w->race;
    unsigned which = (unsigned)(w - r->runners);
    int e = sock_error(w->fd);
    (void)readable;
    (void)writable;

    leave(r, which);
    if (e == 0) {
        end(r, w->fd, which);
        return;
    }
    fd_close(&w->fd);
    failed(r, e);
    r->next_ns = 0;
    go_on(r);
}

/* False: it could not start, or failed at once. */
static bool start_next(struct race *r, uint64_t now)
{
    struct runner *w = &r->runners[r->started];
    struct sock_name names[SOCK_NAMES_MAX];

    (void)sock_names(&r->to.list[r->started++], names);
    int e = sock_connect(&names[0], &w->fd);
    if (e != 0 && e != EINPROGRESS) {
        failed(r, e);
        return false;
    }
    w->race = r;
    w->until_ns = now + r->limit_ns;
    if (ready_new(r->loop, w->fd, on_ready, w, &w->ready) != ERR_OK) {
        fd_close(&w->fd);
        failed(r, ENOMEM);
        return false;
    }
    ready_want(w->ready, false, true); /* one that stands already is told by that, too */
    r->running++;
    r->next_ns = now + RACE_STAGGER_MS * NS_PER_MS;
    return true;
}

static void drop_late(struct race *r, uint64_t now)
{
    for (unsigned i = 0; i < r->started; i++) {
        if (!r->runners[i].ready || now < r->runners[i].until_ns)
            continue;
        leave(r, i);
        fd_close(&r->runners[i].fd);
        failed(r, ETIMEDOUT);
        r->next_ns = 0;
    }
}

static void go_on(struct race *r)
{
    uint64_t now = loop_now_ns(r->loop), wake = UINT64_MAX;

    drop_late(r, now);
    if (now >= r->next_ns || r->running == 0)
        while (r->started < r->to.n && !start_next(r, now)) {
        }
    if (r->running == 0) {
        end(r, -1, 0);
        return;
    }
    if (r->started < r->to.n)
        wake = r->next_ns;
    for (unsigned i = 0; i < r->started; i++)
        if (r->runners[i].ready && r->runners[i].until_ns < wake)
            wake = r->runners[i].until_ns;
    loop_timer_arm(r->timer, wake);
}

static void on_timer(void *arg)
{
    go_on(arg);
}

static void on_start(struct loop_defer *d)
{
    go_on((struct race *)(void *)((char *)d - offsetof(struct race, start)));
}

enum err race_new(struct loop *l, const struct resolved *to, uint64_t limit_ns, race_fn *fn,
                  void *arg, struct race **out)
{
    struct race *r = calloc(1, sizeof(*r));
    if (!r || loop_timer_new(l, on_timer, r, &r->timer) != ERR_OK) {
        free(r);
        return ERR_NOMEM;
    }
    r->loop = l;
    r->start.fn = on_start;
    r->to = *to;
    r->limit_ns = limit_ns;
    r->r = ERR_IO;
    r->why.what = "no address";
    r->fn = fn;
    r->arg = arg;
    loop_defer(l, &r->start);
    *out = r;
    return ERR_OK;
}

void race_free(struct race *r)
{
    if (!r)
        return;
    if (!r->over)
        drop_all(r);
    loop_defer_cancel(r->loop, &r->start);
    loop_timer_free(r->timer);
    free(r);
}
