#include "io/loop_in.h"

#include <stdlib.h>
#include <time.h>

#include "io/log.h"

enum { FIRST_FILES = 254 }; /* that the first table of libuv has places for */

struct loop {
    uv_loop_t uv;
    uv_prepare_t prepare;
    uv_check_t check;
    uv_idle_t idle; /* active: calls are waiting, do not sleep */
    struct loop_defer *first, *last;
    struct loop_member members; /* ring */
    uint8_t *scratch;
    loop_patience_fn *patience;
    void *patience_arg;
    bool stopped;
};

struct loop_timer {
    uv_timer_t uv;
    struct loop *loop;
    loop_fn *fn;
    void *arg;
};

struct loop_watch {
    uv_poll_t uv;
    loop_fn *fn;
    void *arg;
};

struct signal_handler {
    uv_signal_t uv;
    loop_fn *fn;
    void *arg;
};

uv_loop_t *loop_uv(struct loop *l)
{
    return &l->uv;
}

uint8_t *loop_scratch(struct loop *l)
{
    return l->scratch;
}

static void on_idle(uv_idle_t *h)
{
    (void)h; /* its being active is the point: the loop polls without sleeping */
}

void loop_defer(struct loop *l, struct loop_defer *d)
{
    if (d->queued)
        return;
    d->queued = true;
    d->next = NULL;
    if (l->last)
        l->last->next = d;
    else
        l->first = d;
    l->last = d;
}

void loop_defer_cancel(struct loop *l, struct loop_defer *d)
{
    struct loop_defer *before = NULL;

    if (!d->queued)
        return;
    for (struct loop_defer *p = l->first; p != d; p = p->next)
        before = p;
    if (before)
        before->next = d->next;
    else
        l->first = d->next;
    if (l->last == d)
        l->last = before;
    d->queued = false;
}

/* Only what was waiting at the start: calls that queue calls must not keep the sockets waiting. */
static void run_deferred(struct loop *l)
{
    struct loop_defer *end = l->last;
    bool more = l->first != NULL;

    while (more && l->first) {
        struct loop_defer *d = l->first;
        more = d != end;
        l->first = d->next;
        if (!l->first)
            l->last = NULL;
        d->queued = false;
        d->fn(d);
    }
}

static void on_check(uv_check_t *h)
{
    run_deferred(h->data);
}

void loop_set_patience(struct loop *l, loop_patience_fn *fn, void *arg)
{
    l->patience = fn;
    l->patience_arg = arg;
}

/* A signal ends it early: fine. */
static void be_patient(const struct loop *l)
{
    uint64_t ns = l->patience ? l->patience(l->patience_arg) : 0;
    const struct timespec pause = { .tv_sec = (time_t)(ns / NS_PER_S),
                                    .tv_nsec = (long)(ns % NS_PER_S) };

    if (ns > 0)
        (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
}

/* The last stop before sleeping. */
static void on_prepare(uv_prepare_t *h)
{
    struct loop *l = h->data;

    run_deferred(l);
    if (l->first) {
        (void)uv_idle_start(&l->idle, on_idle);
        return;
    }
    (void)uv_idle_stop(&l->idle);
    log_flush();
    be_patient(l);
}

void loop_join(struct loop *l, struct loop_member *m)
{
    m->prev = &l->members;
    m->next = l->members.next;
    m->next->prev = m;
    l->members.next = m;
}

void loop_leave(struct loop_member *m)
{
    if (!m->next)
        return;
    m->prev->next = m->next;
    m->next->prev = m->prev;
    m->prev = m->next = NULL;
}

enum err loop_new(struct loop **out)
{
    struct loop *l = calloc(1, sizeof(*l));
    uint8_t *scratch = malloc(LOOP_SCRATCH_BYTES);
    enum err r = l && scratch ? loop_room_files() : ERR_NOMEM;
    if (r == ERR_OK)
        r = loop_room_keep(FIRST_FILES);
    if (r == ERR_OK && uv_loop_init(&l->uv) != 0)
        r = ERR_NOMEM;
    loop_room_drop();
    if (r != ERR_OK) {
        free(l);
        free(scratch);
        return r;
    }
    l->scratch = scratch;
    l->members.prev = l->members.next = &l->members;
    (void)uv_prepare_init(&l->uv, &l->prepare);
    (void)uv_check_init(&l->uv, &l->check);
    (void)uv_idle_init(&l->uv, &l->idle);
    l->prepare.data = l->check.data = l->idle.data = l;
    (void)uv_prepare_start(&l->prepare, on_prepare);
    (void)uv_check_start(&l->check, on_check);
    *out = l;
    return ERR_OK;
}

static void free_signal(uv_handle_t *h)
{
    free(h->data);
}

static void close_own(uv_handle_t *h, void *arg)
{
    (void)arg;
    if (uv_is_closing(h))
        return;
    if (h->type == UV_SIGNAL)
        uv_close(h, free_signal);
    else if (h->type == UV_PREPARE || h->type == UV_CHECK || h->type == UV_IDLE)
        uv_close(h, NULL);
    else
        abort(); /* somebody forgot to free what he made with this loop: our bug */
}

void loop_free(struct loop *l)
{
    if (!l)
        return;
    while (l->members.next != &l->members) {
        struct loop_member *m = l->members.next;
        loop_leave(m);
        m->drop(m);
    }
    l->first = l->last = NULL;
    uv_walk(&l->uv, close_own, NULL);
    while (uv_run(&l->uv, UV_RUN_DEFAULT) != 0) { /* until every closing is through */
    }
    if (uv_loop_close(&l->uv) != 0)
        abort();
    wipe(l->scratch, LOOP_SCRATCH_BYTES);
    free(l->scratch);
    free(l);
}

void loop_run(struct loop *l)
{
    while (!l->stopped)
        (void)uv_run(&l->uv, UV_RUN_DEFAULT);
    l->stopped = false;
}

void loop_stop(struct loop *l)
{
    l->stopped = true;
    uv_stop(&l->uv);
}

uint64_t loop_now_ns(const struct loop *l)
{
    (void)l;
    return clock_mono_ns();
}

uint64_t loop_timeout_ms(struct loop *l, uint64_t at_ns)
{
    /* libuv goes on with due timers until none is left: one that is armed anew for a past time in
     * its own callback would keep everything else from running. */
    uint64_t ms = loop_ms_until(l, at_ns);
    return ms > 0 ? ms : 1;
}

uint64_t loop_ms_until(struct loop *l, uint64_t at_ns)
{
    uint64_t at_ms = at_ns / NS_PER_MS + (at_ns % NS_PER_MS ? 1 : 0);
    uint64_t now_ms = uv_now(&l->uv);
    return at_ms > now_ms ? at_ms - now_ms : 0;
}

static void on_timer(uv_timer_t *h)
{
    struct loop_timer *t = h->data;
    t->fn(t->arg);
}

enum err loop_timer_new(struct loop *l, loop_fn *fn, void *arg, struct loop_timer **out)
{
    struct loop_timer *t = calloc(1, sizeof(*t));
    if (!t)
        return ERR_NOMEM;
    *t = (struct loop_timer){ .loop = l, .fn = fn, .arg = arg };
    (void)uv_timer_init(&l->uv, &t->uv);
    t->uv.data = t;
    *out = t;
    return ERR_OK;
}

void loop_timer_arm(struct loop_timer *t, uint64_t at_ns)
{
    (void)uv_timer_start(&t->uv, on_timer, loop_timeout_ms(t->loop, at_ns), 0);
}

void loop_timer_disarm(struct loop_timer *t)
{
    (void)uv_timer_stop(&t->uv);
}

static void free_handle(uv_handle_t *h)
{
    free(h->data);
}

void loop_timer_free(struct loop_timer *t)
{
    if (t)
        uv_close((uv_handle_t *)&t->uv, free_handle);
}

static void on_signal(uv_signal_t *h, int signo)
{
    struct signal_handler *s = h->data;
    (void)signo;
    s->fn(s->arg);
}

enum err loop_on_signal(struct loop *l, int signo, loop_fn *fn, void *arg)
{
    struct signal_handler *s = calloc(1, sizeof(*s));
    if (!s)
        return ERR_NOMEM;
    s->fn = fn;
    s->arg = arg;
    s->uv.data = s;
    if (uv_signal_init(&l->uv, &s->uv) != 0) {
        free(s);
        return ERR_IO;
    }
    s->uv.data = s;
    if (uv_signal_start(&s->uv, on_signal, signo) == 0)
        return ERR_OK;
    uv_close((uv_handle_t *)&s->uv, free_handle);
    return ERR_IO;
}

static void on_readable(uv_poll_t *h, int status, int events)
{
    struct loop_watch *w = h->data;
    (void)events;
    /* libuv stops a handle whose descriptor is broken; the owner finds out by reading. */
    if (status < 0)
        (void)uv_poll_start(h, UV_READABLE, on_readable);
    w->fn(w->arg);
}

enum err loop_watch_new(struct loop *l, int fd, loop_fn *readable, void *arg,
                        struct loop_watch **out)
{
    struct loop_watch *w = calloc(1, sizeof(*w));
    if (!w)
        return ERR_NOMEM;
    w->fn = readable;
    w->arg = arg;
    if (uv_poll_init(&l->uv, &w->uv, fd) != 0) {
        free(w);
        return ERR_IO;
    }
    w->uv.data = w;
    if (uv_poll_start(&w->uv, UV_READABLE, on_readable) == 0) {
        *out = w;
        return ERR_OK;
    }
    uv_close((uv_handle_t *)&w->uv, free_handle);
    return ERR_IO;
}

void loop_watch_free(struct loop_watch *w)
{
    if (w)
        uv_close((uv_handle_t *)&w->uv, free_handle);
}
