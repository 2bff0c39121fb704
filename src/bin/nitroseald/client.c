/* client.c - one connection: which protocol its first byte means, its memory, its time, its end. */
#include "bin/nitroseald/service.h"

#include <stdlib.h>

enum {
    OVER_MS = 1000,      /* for the first byte of a connection that is refused anyway */
    STOP_READ_MS = 1000, /* for the rest of a request that has begun */
};

void client_count(struct client *cl, size_t bytes)
{
    uint64_t all = bytes + (cl->conn ? conn_unsent(cl->conn) : 0);

    cl->requests = bytes;
    cl->s->buffered += all - cl->counted;
    cl->counted = all;
    if (all > cl->largest)
        cl->largest = all;
}

void client_free(struct client *cl)
{
    struct service *s = cl->s;

    client_count(cl, 0);
    service_served(s, cl->largest);
    *cl->link = cl->next;
    if (cl->next)
        cl->next->link = cl->link;
    http_call_free(cl->call);
    loop_timer_free(cl->timer);
    free(cl);
    service_client_gone(s);
}

void client_settle(struct client *cl)
{
    if (!cl->conn && cl->tasks == 0)
        client_free(cl);
}

/* Moving a timer costs more than to look at the clock when it fires: it is only ever armed earlier.
 */
void client_set_deadline(struct client *cl, uint64_t at_ns)
{
    cl->deadline_ns = at_ns;
    if (at_ns == 0 || (cl->armed_ns != 0 && cl->armed_ns <= at_ns))
        return;
    cl->armed_ns = at_ns;
    loop_timer_arm(cl->timer, at_ns);
}

void client_leave(struct client *cl)
{
    cl->phase = CLIENT_LEAVING;
    client_count(cl, 0);
    client_set_deadline(cl, 0);
    conn_leave(cl->conn, cl->s->set->write_ms);
}

/* Methods are in capitals; a JSON text begins otherwise, and so does everything that the seed's
 * clients could have sent by mistake. */
static void tell_kind(struct client *cl)
{
    uint8_t first = conn_in(cl->conn)->ptr[0];
    bool is_over = cl->kind == CLIENT_OVER;

    cl->kind = first >= 'A' && first <= 'Z' ? CLIENT_HTTP : CLIENT_SEED;
    if (!is_over)
        return;
    cl->s->metrics.refused++;
    if (cl->kind == CLIENT_HTTP)
        http_refuse(cl, "busy", "Service is busy", "too many connections at one time");
    else
        seed_refuse(cl, ENCLAVE_BUSY);
}

static bool is_streaming(const struct client *cl)
{
    return cl->phase == CLIENT_RUNNING && cl->call && cl->call->stream;
}

static void on_data(struct conn *c, void *arg)
{
    struct client *cl = arg;
    (void)c;

    if (cl->kind < CLIENT_SEED)
        tell_kind(cl);
    if (cl->phase == CLIENT_LEAVING || !cl->conn)
        return;
    if (is_streaming(cl))
        stream_go_on(cl);
    else if (cl->kind == CLIENT_HTTP)
        http_data(cl);
    else
        seed_data(cl);
}

static void on_eof(struct conn *c, void *arg)
{
    struct client *cl = arg;
    (void)c;

    cl->has_eof = true;
    if (is_streaming(cl))
        stream_go_on(cl);
    else if (cl->phase != CLIENT_LEAVING && cl->kind == CLIENT_HTTP)
        http_eof(cl);
    else if (cl->phase == CLIENT_READING && cl->kind != CLIENT_HTTP)
        seed_eof(cl);
}

static void on_drained(struct conn *c, void *arg)
{
    struct client *cl = arg;
    (void)c;

    client_count(cl, cl->requests);
    if (is_streaming(cl))
        stream_drained(cl);
    else if (cl->kind == CLIENT_HTTP && cl->phase != CLIENT_LEAVING)
        http_drained(cl);
}

static void on_closed(struct conn *c, void *arg, enum err r, const struct why *why)
{
    struct client *cl = arg;
    (void)c;

    cl->conn = NULL;
    client_count(cl, cl->requests);
    if (r != ERR_OK && cl->phase != CLIENT_READING)
        log_event(LOG_DEBUG, "client gone", LOG_STR("error", err_name(r)),
                  LOG_STR("why", why && why->what ? why->what : ""));
    client_settle(cl);
}

static const struct conn_events client_events = {
    .data = on_data,
    .eof = on_eof,
    .drained = on_drained,
    .closed = on_closed,
};

static void time_is_over(struct client *cl)
{
    if (is_streaming(cl))
        stream_timeout(cl);
    else if (cl->kind == CLIENT_HTTP)
        http_timeout(cl);
    else if (cl->kind == CLIENT_OVER)
        seed_refuse(cl, ENCLAVE_BUSY);
    else
        seed_refuse(cl, cl->s->is_stopping ? ENCLAVE_STOPPING : ENCLAVE_READ_TIMEOUT);
}

static void on_timer(void *arg)
{
    struct client *cl = arg;
    bool is_waiting = cl->phase == CLIENT_READING || is_streaming(cl);

    cl->armed_ns = 0;
    if (cl->deadline_ns == 0 || !is_waiting || !cl->conn)
        return;
    if (clock_mono_ns() < cl->deadline_ns)
        client_set_deadline(cl, cl->deadline_ns);
    else
        time_is_over(cl);
}

static struct client *client_new(struct service *s, struct conn *c, enum client_kind kind,
                                 uint64_t ms)
{
    struct client *cl = calloc(1, sizeof *cl);

    if (!cl || loop_timer_new(s->loop, on_timer, cl, &cl->timer) != ERR_OK) {
        free(cl);
        conn_close(c);
        return NULL;
    }
    cl->s = s;
    cl->conn = c;
    cl->kind = kind;
    cl->next = s->clients;
    cl->link = &s->clients;
    if (s->clients)
        s->clients->link = &cl->next;
    s->clients = cl;
    service_client_came(s);
    conn_set_arg(c, &client_events, cl);
    client_set_deadline(cl, clock_mono_ns() + ms * NS_PER_MS);
    return cl;
}

void client_accepted(struct conn *c, void *service)
{
    struct service *s = service;

    s->metrics.connections++;
    (void)client_new(s, c, CLIENT_NEW, s->set->read_ms);
}

void client_over(struct conn *c, void *service)
{
    (void)client_new(service, c, CLIENT_OVER, OVER_MS);
}

void client_stop(struct client *cl)
{
    if (cl->phase != CLIENT_READING || !cl->conn)
        return;
    if (cl->call || conn_in(cl->conn)->len > 0)
        /* half of a request is here: a moment for the rest */
        client_set_deadline(cl, clock_mono_ns() + STOP_READ_MS * NS_PER_MS);
    else if (cl->kind == CLIENT_HTTP)
        conn_close(cl->conn);
    else
        seed_refuse(cl, ENCLAVE_STOPPING);
}
