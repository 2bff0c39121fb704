#include "io/ready.h"

#include <stdlib.h>

#include "io/loop_in.h"

struct ready {
    uv_poll_t uv;
    ready_fn *fn;
    void *arg;
    int events; /* that libuv waits for */
};

static void on_events(uv_poll_t *h, int status, int events)
{
    struct ready *r = h->data;

    if (status < 0) { /* libuv has stopped the handle */
        r->events = 0;
        events = UV_READABLE | UV_WRITABLE;
    }
    r->fn(r->arg, events & UV_READABLE, events & UV_WRITABLE);
}

enum err ready_new(struct loop *l, int fd, ready_fn *fn, void *arg, struct ready **out)
{
    struct ready *r = calloc(1, sizeof(*r));
    if (!r)
        return ERR_NOMEM;
    r->fn = fn;
    r->arg = arg;
    if (uv_poll_init(loop_uv(l), &r->uv, fd) != 0) {
        free(r);
        return ERR_IO;
    }
    r->uv.data = r;
    *out = r;
    return ERR_OK;
}

void ready_want(struct ready *r, bool readable, bool writable)
{
    int events = (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0);

    if (events == r->events) /* a change costs two system calls */
        return;
    r->events = events;
    if (events)
        (void)uv_poll_start(&r->uv, events, on_events);
    else
        (void)uv_poll_stop(&r->uv);
}

static void on_closed(uv_handle_t *h)
{
    free(h->data);
}

void ready_free(struct ready *r)
{
    if (r)
        uv_close((uv_handle_t *)&r->uv, on_closed);
}
