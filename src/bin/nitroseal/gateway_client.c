/* gateway_client.c - one connection of a client: heads, our own pages, its time and its end. */
#include "bin/nitroseal/gateway.h"

#include <stdlib.h>

#include "io/log.h"
#include "io/sys.h"

enum {
    STOP_READ_MS = 1000, /* for the rest of a request that has begun */
    PAGE_MAX_BYTES = GATEWAY_METRICS_MAX_BYTES + 4096,
};

static const struct gateway_client closing_client = { .minor = 1 };

void client_free(struct client *cl)
{
    struct gateway *g = cl->g;

    *cl->link = cl->next;
    if (cl->next)
        cl->next->link = cl->link;
    g->n_clients -= !cl->is_over;
    free(cl);
    gw_client_gone(g);
}

void client_leave(struct client *cl)
{
    cl->phase = CLIENT_LEAVING;
    cl->deadline_ns = 0;
    conn_leave(cl->conn, cl->g->set->write_ms);
}

void client_close(struct client *cl)
{
    cl->phase = CLIENT_LEAVING;
    conn_close(cl->conn);
}

/* --- answers of our own --- */

static void send_own(struct client *cl, unsigned status, enum err r, struct buf *answer, bool keep)
{
    cl->g->own[status / 100]++;
    if (r == ERR_OK)
        r = conn_send(cl->conn, answer);
    if (r != ERR_OK)
        client_close(cl);
    else if (!keep)
        client_leave(cl);
}

void client_answer_fault(struct client *cl, const struct gateway_fault *f,
                         const struct gateway_client *to)
{
    AUTO(buf_clear) struct buf out = BUF_INIT(PAGE_MAX_BYTES);

    log_event(LOG_DEBUG, "request refused", LOG_STR("code", f->code),
              LOG_STR("detail", f->detail ? f->detail : f->title));
    send_own(cl, f->status, gateway_problem_write(f, to, &out), &out, to->keep_alive);
}

static void refuse(struct client *cl, unsigned status, const char *code, const char *title,
                   const char *detail)
{
    const struct gateway_fault f = {
        .status = status, .code = code, .title = title, .detail = detail
    };

    client_answer_fault(cl, &f, &closing_client);
}

static void answer_page(struct client *cl, enum gateway_place place,
                        const struct gateway_client *to)
{
    AUTO(buf_clear) struct buf out = BUF_INIT(PAGE_MAX_BYTES);
    unsigned status = 200;
    enum err r = place == GATEWAY_HEALTH ? gw_health_page(cl->g, to, &out, &status)
                                         : gw_metrics_page(cl->g, to, &out);

    send_own(cl, status, r, &out, to->keep_alive);
}

/* --- requests --- */

static void be_idle(struct client *cl)
{
    cl->scanned = 0;
    cl->deadline_ns = clock_mono_ns() + cl->g->set->idle_ms * NS_PER_MS;
}

/* Looked at once when it begins, for what is wrong from the start, and once when its end is here.
 */
static bool is_worth_parsing(struct client *cl, struct span in)
{
    size_t from = cl->scanned > 3 ? cl->scanned - 3 : 0;
    bool is_first = cl->scanned == 0;

    cl->scanned = in.len;
    return is_first || in.len >= GATEWAY_HEAD_MAX_BYTES ||
           memmem(in.ptr + from, in.len - from, "\r\n\r\n", 4) != NULL;
}

/* The whole head is here, `used` bytes of conn_in(). */
static void begin(struct client *cl, const struct http1_head *head, size_t used)
{
    struct gateway_route route;
    struct gateway_fault fault = { .status = 0 };
    bool has_body = head->framing == HTTP1_CHUNKED || head->content_length > 0;
    struct gateway_client to = {
        .minor = head->minor,
        .head_only = span_is(head->method, "HEAD"),
        .keep_alive = head->keep_alive && !cl->g->is_stopping && !cl->has_eof,
    };

    enum err r = gateway_route(head, &route, &fault);
    if (r == ERR_OK && route.place != GATEWAY_HEALTH && route.place != GATEWAY_METRICS) {
        exchange_start(cl, head, used, &route);
        return;
    }
    /* A body that nobody takes; what may not be meant as HTTP, so that nothing behind it is. */
    if (has_body || fault.status == 400 || fault.status == 501)
        to.keep_alive = false;
    buf_consume(conn_in(cl->conn), used);
    if (r == ERR_OK)
        answer_page(cl, route.place, &to);
    else
        client_answer_fault(cl, &fault, &to);
}

/* True: something was done, and there may be more. */
static bool read_head(struct client *cl)
{
    struct span in = buf_view(conn_in(cl->conn));
    struct http1_head head;
    struct why why = { .what = "head too long" };
    size_t used = 0;

    if (in.len == 0) {
        be_idle(cl);
        return false;
    }
    if (cl->scanned == 0)
        cl->deadline_ns = clock_mono_ns() + cl->g->set->read_ms * NS_PER_MS;
    if ((in.ptr[0] < 'A' || in.ptr[0] > 'Z') && in.ptr[0] != '\r') { /* no line feed need follow */
        refuse(cl, 400, "invalid_request", "Not an HTTP request that is understood", "method");
        return true;
    }
    if (!is_worth_parsing(cl, in))
        return false;
    enum err r = http1_request_parse(in, &head, &used, &why);
    if (r == ERR_MORE && in.len < GATEWAY_HEAD_MAX_BYTES)
        return false;
    cl->scanned = 0;
    if (r == ERR_OK && used <= GATEWAY_HEAD_MAX_BYTES) {
        begin(cl, &head, used);
        return true;
    }
    if (r == ERR_MORE || r == ERR_LIMIT || r == ERR_OK)
        refuse(cl, 431, "head_too_large", "Head of the request is too large",
               "at most 16384 bytes and 100 fields");
    else if (strstr(why.what, "Transfer-Encoding other"))
        refuse(cl, 501, "not_implemented", "Transfer coding is not known", why.what);
    else
        refuse(cl, 400, "invalid_request", "Not an HTTP request that is understood", why.what);
    return true;
}

/* A client that asks and does not read is not served until it does. */
static bool is_blocked(struct client *cl)
{
    if (conn_unsent(cl->conn) < GW_UNSENT_MAX_BYTES)
        return false;
    if (!cl->is_blocked)
        cl->deadline_ns = clock_mono_ns() + cl->g->set->write_ms * NS_PER_MS;
    cl->is_blocked = true;
    return true;
}

void client_pump(struct client *cl)
{
    bool is_waiting = false;

    if (cl->is_pumping)
        return;
    cl->is_pumping = true;
    if (cl->x && !cl->x->request.done)
        exchange_request(cl->x);
    while (cl->phase == CLIENT_READING && !cl->x && !is_blocked(cl) && !is_waiting)
        is_waiting = !read_head(cl);
    cl->is_pumping = false;
    if (!cl->in_data && cl->phase == CLIENT_READING)
        conn_resume(cl->conn);
    /* Nothing more will come: what is not whole never will be. */
    if (is_waiting && cl->has_eof && cl->phase == CLIENT_READING)
        client_leave(cl);
}

void client_done(struct client *cl, bool keep)
{
    if (cl->phase != CLIENT_READING)
        return;
    if (!keep || cl->g->is_stopping)
        client_leave(cl);
    else if (!cl->is_pumping)
        client_pump(cl);
}

/* --- the connection --- */

static void on_data(struct conn *c, void *arg)
{
    struct client *cl = arg;
    (void)c;

    cl->in_data = true;
    client_pump(cl);
    cl->in_data = false;
}

static void on_eof(struct conn *c, void *arg)
{
    struct client *cl = arg;
    (void)c;

    cl->has_eof = true;
    if (cl->phase == CLIENT_READING)
        client_pump(cl);
}

static void on_drained(struct conn *c, void *arg)
{
    struct client *cl = arg;
    (void)c;

    if (cl->phase != CLIENT_READING)
        return;
    cl->is_blocked = false;
    if (cl->x && cl->x->is_answering)
        exchange_answer(cl->x, false);
    else if (!cl->x)
        client_pump(cl);
}

static void on_closed(struct conn *c, void *arg, enum err r, const struct why *why)
{
    struct client *cl = arg;
    (void)c;

    if (r != ERR_OK && cl->x)
        log_event(LOG_DEBUG, "client gone", LOG_STR("error", err_name(r)),
                  LOG_STR("why", why && why->what ? why->what : ""));
    cl->phase = CLIENT_LEAVING;
    if (cl->x)
        exchange_abort(cl->x);
    client_free(cl);
}

static const struct conn_events client_events = {
    .data = on_data,
    .eof = on_eof,
    .drained = on_drained,
    .closed = on_closed,
};

static struct client *client_new(struct gateway *g, struct conn *c)
{
    struct client *cl = calloc(1, sizeof *cl);

    if (!cl) {
        conn_close(c);
        return NULL;
    }
    cl->g = g;
    cl->conn = c;
    cl->next = g->clients;
    cl->link = &g->clients;
    if (g->clients)
        g->clients->link = &cl->next;
    g->clients = cl;
    conn_set_arg(c, &client_events, cl);
    return cl;
}

void client_accepted(struct conn *c, void *gateway)
{
    struct gateway *g = gateway;
    struct client *cl = client_new(g, c);

    g->accepted++;
    if (!cl)
        return;
    g->n_clients++;
    be_idle(cl);
}

/* One connection too many: it is told so at once, whatever it wants. */
void client_over(struct conn *c, void *gateway)
{
    struct gateway *g = gateway;
    struct client *cl = client_new(g, c);

    g->refused++;
    if (!cl)
        return;
    cl->is_over = true;
    refuse(cl, 503, "busy", "Gateway is busy", "too many connections at one time");
}

static void time_is_over(struct client *cl)
{
    if (cl->phase == CLIENT_READING && !cl->is_blocked && conn_in(cl->conn)->len > 0)
        refuse(cl, 408, "read_timeout", "Request did not arrive in time", NULL);
    else
        client_close(cl);
}

void client_tick(struct client *cl, uint64_t now_ns)
{
    if (cl->x)
        exchange_tick(cl->x, now_ns);
    else if (cl->deadline_ns != 0 && now_ns > cl->deadline_ns) {
        cl->deadline_ns = 0;
        time_is_over(cl);
    }
}

void client_stop(struct client *cl)
{
    if (cl->phase != CLIENT_READING || cl->x)
        return;
    if (conn_in(cl->conn)->len > 0) /* a moment for the rest of what has begun */
        cl->deadline_ns = clock_mono_ns() + STOP_READ_MS * NS_PER_MS;
    else if (conn_unsent(cl->conn) > 0)
        client_leave(cl);
    else
        client_close(cl);
}
