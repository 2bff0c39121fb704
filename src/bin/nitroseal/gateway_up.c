/* gateway_up.c - connections to enclaves: made when needed, kept for the next request. */
#include "bin/nitroseal/gateway.h"

#include <stdlib.h>

#include "io/log.h"
#include "io/sys.h"

static void leave_idle(struct gw_up *up)
{
    if (!up->link_idle)
        return;
    *up->link_idle = up->next_idle;
    if (up->next_idle)
        up->next_idle->link_idle = up->link_idle;
    up->link_idle = NULL;
    up->e->n_idle--;
}

static void on_open(struct conn *c, void *arg)
{
    struct gw_up *up = arg;
    (void)c;

    up->is_open = true;
    up->e->counts.connects++;
    if (up->x)
        exchange_open(up->x);
}

/* An idle one ends by our own time limit only, unless the service does. */
static void end_idle(struct gw_up *up)
{
    if (up->link_idle)
        gw_enclave_suspect(up->e);
    leave_idle(up);
    conn_close(up->conn);
}

static void on_data(struct conn *c, void *arg)
{
    struct gw_up *up = arg;
    (void)c;

    if (!up->x) { /* nobody asked for anything */
        end_idle(up);
        return;
    }
    up->has_answer = true;
    up->in_data = true;
    exchange_answer(up->x, false);
    up->in_data = false;
}

static void on_eof(struct conn *c, void *arg)
{
    struct gw_up *up = arg;
    (void)c;

    up->has_eof = true;
    if (up->x)
        exchange_answer(up->x, false);
    else
        end_idle(up);
}

static void on_drained(struct conn *c, void *arg)
{
    struct gw_up *up = arg;
    (void)c;

    if (up->x && !up->x->request.done)
        exchange_request(up->x);
}

static void on_closed(struct conn *c, void *arg, enum err r, const struct why *why)
{
    struct gw_up *up = arg;
    (void)c;

    if (up->link_idle)
        end_idle(up);
    if (up->x)
        exchange_up_closed(up->x, r, why);
    up->conn = NULL;
    gw_up_free(up);
}

static const struct conn_events up_events = {
    .open = on_open,
    .data = on_data,
    .eof = on_eof,
    .drained = on_drained,
    .closed = on_closed,
};

static struct gw_up *connect_new(struct gw_enclave *e)
{
    struct gateway *g = e->g;
    struct gw_up *up = calloc(1, sizeof *up);
    const struct conn_options o = {
        .in_max = GW_UP_IN_MAX_BYTES,
        .deadline_ns = clock_mono_ns() + g->set->connect_ms * NS_PER_MS,
        .events = &up_events,
        .arg = up,
    };

    if (!up || conn_connect(g->loop, &e->at, &o, &up->conn, NULL) != ERR_OK) {
        free(up);
        return NULL;
    }
    up->e = e;
    up->next = g->ups;
    up->link = &g->ups;
    if (g->ups)
        g->ups->link = &up->next;
    g->ups = up;
    e->conns++;
    return up;
}

struct gw_up *gw_up_get(struct gw_enclave *e, struct exchange *x, bool fresh)
{
    struct gw_up *up = fresh ? NULL : e->idle;

    if (up) {
        leave_idle(up);
        up->is_reused = true;
    } else {
        up = connect_new(e);
    }
    if (!up)
        return NULL;
    up->x = x;
    up->has_answer = false;
    return up;
}

void gw_up_put(struct gw_up *up, bool reusable)
{
    struct gw_enclave *e = up->e;

    up->x = NULL;
    if (!reusable || up->has_eof || conn_in(up->conn)->len > 0 || conn_unsent(up->conn) > 0 ||
        e->n_idle >= GW_IDLE_PER_ENCLAVE || e->g->is_stopping) {
        conn_close(up->conn);
        return;
    }
    up->idle_ns = clock_mono_ns();
    up->next_idle = e->idle;
    up->link_idle = &e->idle;
    if (e->idle)
        e->idle->link_idle = &up->next_idle;
    e->idle = up;
    e->n_idle++;
}

void gw_up_tick(struct gw_up *up, uint64_t now_ns)
{
    bool is_old = up->link_idle && now_ns > up->idle_ns + GW_UP_IDLE_S * NS_PER_S;

    if (!is_old && !(up->link_idle && up->e->health.state == GATEWAY_DOWN))
        return;
    leave_idle(up);
    conn_close(up->conn);
}

void gw_up_free(struct gw_up *up)
{
    leave_idle(up);
    *up->link = up->next;
    if (up->next)
        up->next->link = up->link;
    up->e->conns--;
    free(up);
}
