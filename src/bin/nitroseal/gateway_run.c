/* gateway_run.c - start, ticks, stop. */
#include "bin/nitroseal/gateway.h"

#include <signal.h>
#include <stdlib.h>

#include "io/log.h"
#include "io/notify.h"
#include "io/sys.h"

enum { START_MAX_MS = 10000, LEAVE_CHECK_MS = 10 };

static void on_tick(void *arg);

/* --- listening --- */

static enum err listen_at(struct gateway *g, unsigned i, const struct listener_options *o,
                          struct why *why)
{
    bool is_given = g->set->n_sockets > 0;
    char at[ADDR_TEXT_BYTES + 8];
    enum err r = is_given
                     ? listener_adopt(g->loop, NOTIFY_FD_FIRST + (int)i, o, &g->listeners[i], why)
                     : listener_new(g->loop, &g->set->listen[i], o, &g->listeners[i], why);

    if (!is_given)
        addr_text(&g->set->listen[i], at, ADDR_TEXT_BYTES);
    if (r != ERR_OK) {
        log_event(LOG_ERROR, "cannot listen", LOG_STR("at", is_given ? "systemd" : at),
                  LOG_STR("why", why->what), LOG_STR("see", "--listen"));
        return r;
    }
    log_event(LOG_INFO, "listening", LOG_STR("at", is_given ? "systemd" : at),
              LOG_INT("port", is_given ? 0 : listener_port(g->listeners[i])));
    return ERR_OK;
}

/* Each listener has its own count, so that the limit for all of them is shared out. */
static enum err listen_all(struct gateway *g, struct why *why)
{
    unsigned n = g->set->n_sockets > 0 ? g->set->n_sockets : g->set->n_listen;
    unsigned max = (unsigned)g->set->connections_max / n;
    const struct listener_options o = {
        .conn = { .in_max = GW_CLIENT_IN_MAX_BYTES },
        .max = max > 0 ? max : 1,
        .accepted = client_accepted,
        .over = client_over,
        .arg = g,
    };
    enum err r = ERR_OK;

    for (unsigned i = 0; i < n && r == ERR_OK; i++)
        r = listen_at(g, i, &o, why);
    g->is_listening = r == ERR_OK;
    return r;
}

/* Requests are taken when there is something to do with them, or when waiting for it was in vain.
 */
static void begin_listening(struct gateway *g, uint64_t now_ns)
{
    struct why why = { .what = "" };

    if (!gw_care_settled(g) && now_ns < g->start_by_ns)
        return;
    g->failure = listen_all(g, &why);
    if (g->failure == ERR_OK) {
        notify_send("READY=1");
        return;
    }
    loop_stop(g->loop);
}

/* --- ticks --- */

static void on_tick(void *arg)
{
    struct gateway *g = arg;
    uint64_t now_ns = clock_mono_ns();

    loop_timer_arm(g->tick, now_ns + GW_TICK_MS * NS_PER_MS);
    gw_care_tick(g, now_ns);
    if (!g->is_listening && !g->is_stopping)
        begin_listening(g, now_ns);
    /* Neither is freed in its own tick: their conns say goodbye from the loop. */
    for (struct client *cl = g->clients; cl; cl = cl->next)
        client_tick(cl, now_ns);
    for (struct gw_up *up = g->ups; up; up = up->next)
        gw_up_tick(up, now_ns);
    exchange_place_waiting(g);
}

static enum err open_enclaves(struct gateway *g)
{
    g->n_enclaves = g->set->n_enclaves;
    for (unsigned i = 0; i < g->n_enclaves; i++) {
        struct gw_enclave *e = &g->enclaves[i];
        e->g = g;
        e->index = i;
        e->at = g->set->enclave[i];
        (void)snprintf(e->name, sizeof e->name, "%u:%u", (unsigned)e->at.cid, (unsigned)e->at.port);
    }
    return ERR_OK;
}

static void on_stop_signal(void *arg)
{
    gw_stop(arg);
}

static void on_hangup(void *arg)
{
    struct gateway *g = arg;

    g->fetch_at_ns = 0;
}

static void on_stop_timer(void *arg)
{
    struct gateway *g = arg;

    log_event(LOG_WARN, "stopping with requests unfinished", LOG_INT("connections", g->n_clients));
    loop_stop(g->loop);
}

enum err gw_start(struct gateway *g, struct why *why)
{
    uint64_t now_ns = clock_mono_ns();

    g->waiting_last = &g->waiting;
    g->start_by_ns = now_ns + START_MAX_MS * NS_PER_MS;
    if (open_enclaves(g) != ERR_OK || loop_timer_new(g->loop, on_tick, g, &g->tick) != ERR_OK ||
        loop_timer_new(g->loop, on_stop_timer, g, &g->stop_timer) != ERR_OK ||
        loop_on_signal(g->loop, SIGTERM, on_stop_signal, g) != ERR_OK ||
        loop_on_signal(g->loop, SIGINT, on_stop_signal, g) != ERR_OK ||
        loop_on_signal(g->loop, SIGHUP, on_hangup, g) != ERR_OK ||
        (g->set->keeps_credentials && work_pool_new(g->loop, 1, 1, &g->work) != ERR_OK))
        return why_fail(why, ERR_NOMEM, "out of memory", 0);
    loop_timer_arm(g->tick, now_ns);
    return ERR_OK;
}

/* --- the end --- */

void gw_client_gone(struct gateway *g)
{
    if (g->is_stopping && !g->clients)
        loop_stop(g->loop);
}

void gw_stop(struct gateway *g)
{
    if (g->is_stopping) { /* asked twice: at once */
        loop_stop(g->loop);
        return;
    }
    g->is_stopping = true;
    notify_send("STOPPING=1");
    log_event(LOG_INFO, "stopping", LOG_INT("connections", g->n_clients));
    for (unsigned i = 0; i < GW_LISTEN_MAX; i++) {
        listener_free(g->listeners[i]);
        g->listeners[i] = NULL;
    }
    loop_timer_arm(g->stop_timer, clock_mono_ns() + g->set->stop_ms * NS_PER_MS);
    for (struct client *cl = g->clients; cl; cl = cl->next)
        client_stop(cl);
    if (!g->clients)
        loop_stop(g->loop);
}

void gw_clear(struct gateway *g)
{
    for (unsigned i = 0; i < GW_LISTEN_MAX; i++)
        listener_free(g->listeners[i]);
    while (g->clients) {
        struct client *cl = g->clients;
        cl->phase = CLIENT_LEAVING;
        if (cl->x)
            exchange_abort(cl->x);
        client_free(cl);
    }
    while (g->ups)
        gw_up_free(g->ups);
    while (g->calls)
        gw_call_free(g->calls);
    loop_timer_free(g->tick);
    loop_timer_free(g->stop_timer);
    cli_credentials_clear(&g->current);
    fd_close(&g->memory_fd);
}
