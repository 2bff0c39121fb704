/* client.c - one client's connection: read to its end within a time, answer, linger, close. */
#include "bin/nitroseald/service.h"

#include <stdlib.h>

enum {
    LINGER_MS = 5000,            /* for a client that still sends when it is refused */
    DISCARD_MAX_BYTES = 1 << 26, /* of what it sends meanwhile */
};

static void count(struct client *cl, size_t bytes)
{
    cl->s->buffered += bytes - cl->counted;
    cl->counted = bytes;
    if (bytes > cl->largest)
        cl->largest = bytes;
}

void client_free(struct client *cl)
{
    struct service *s = cl->s;

    count(cl, 0);
    service_served(s, cl->largest);
    *cl->link = cl->next;
    if (cl->next)
        cl->next->link = cl->link;
    enclave_request_free(cl->rq);
    buf_clear(&cl->nsm.answer);
    loop_timer_free(cl->timer);
    free(cl);
    service_client_gone(s);
}

static void begin_request(struct client *cl, const struct enclave_event *ev)
{
    loop_timer_disarm(cl->timer);
    if (enclave_request_new(cl->s->enclave, &cl->rq) != ERR_OK) {
        conn_close(cl->conn);
        return;
    }
    cl->phase = CLIENT_RUNNING;
    cl->s->running++;
    client_step(cl, ev);
}

void client_refuse(struct client *cl, enum enclave_refusal why)
{
    const struct enclave_event ev = { .kind = ENCLAVE_NOT_RECEIVED, .refusal = why };

    begin_request(cl, &ev);
}

static void discard(struct client *cl)
{
    struct buf *in = conn_in(cl->conn);

    cl->discarded += in->len;
    buf_clear(in);
    if (cl->discarded > DISCARD_MAX_BYTES)
        conn_close(cl->conn);
}

static void on_data(struct conn *c, void *arg)
{
    struct client *cl = arg;
    struct service *s = cl->s;
    size_t len = conn_in(c)->len;

    if (cl->phase == CLIENT_LEAVING) {
        discard(cl);
        return;
    }
    if (cl->phase != CLIENT_READING)
        return;
    count(cl, len);
    if (len > s->set->request_max)
        client_refuse(cl, ENCLAVE_TOO_LARGE);
    else if (s->buffered > s->set->buffered_max)
        client_refuse(cl, ENCLAVE_BUSY);
}

static void on_eof(struct conn *c, void *arg)
{
    struct client *cl = arg;

    cl->has_eof = true;
    if (cl->phase != CLIENT_READING)
        return;
    if (cl->s->running >= cl->s->set->connections_max) {
        client_refuse(cl, ENCLAVE_BUSY);
        return;
    }
    struct buf received = buf_take(conn_in(c));
    const struct enclave_event ev = { .kind = ENCLAVE_RECEIVED, .received = &received };
    begin_request(cl, &ev);
    buf_clear(&received);
}

static void on_closed(struct conn *c, void *arg, enum err r, const struct why *why)
{
    struct client *cl = arg;
    (void)c;

    cl->conn = NULL;
    if (r != ERR_OK && cl->phase != CLIENT_READING)
        log_event(LOG_DEBUG, "client gone", LOG_STR("error", err_name(r)),
                  LOG_STR("why", why && why->what ? why->what : ""));
    if (cl->phase != CLIENT_RUNNING)
        client_free(cl);
}

static const struct conn_events client_events = {
    .data = on_data,
    .eof = on_eof,
    .closed = on_closed,
};

static void on_timer(void *arg)
{
    struct client *cl = arg;

    if (cl->phase == CLIENT_READING)
        client_refuse(cl, cl->s->is_stopping ? ENCLAVE_STOPPING : ENCLAVE_READ_TIMEOUT);
    else if (cl->phase == CLIENT_RUNNING)
        client_pause_over(cl);
}

static struct client *client_new(struct service *s, struct conn *c)
{
    struct client *cl = calloc(1, sizeof *cl);

    if (!cl || loop_timer_new(s->loop, on_timer, cl, &cl->timer) != ERR_OK) {
        free(cl);
        conn_close(c);
        return NULL;
    }
    cl->s = s;
    cl->conn = c;
    cl->born_ns = clock_mono_ns();
    cl->next = s->clients;
    cl->link = &s->clients;
    if (s->clients)
        s->clients->link = &cl->next;
    s->clients = cl;
    conn_set_arg(c, &client_events, cl);
    return cl;
}

void client_accepted(struct conn *c, void *service)
{
    struct service *s = service;
    struct client *cl = client_new(s, c);

    if (cl)
        loop_timer_arm(cl->timer, cl->born_ns + s->set->read_ms * NS_PER_MS);
}

void client_over(struct conn *c, void *service)
{
    struct client *cl = client_new(service, c);

    if (cl)
        client_refuse(cl, ENCLAVE_BUSY);
}

static void log_answer(const struct client *cl, const struct enclave_action *a)
{
    struct enclave_summary sum = enclave_request_summary(cl->rq);

    log_event(
        a->code ? LOG_WARN : LOG_DEBUG, "request", LOG_SPAN("id", sum.id), LOG_STR("op", sum.op),
        LOG_STR("result", a->code ? a->code : "ok"),
        LOG_STR("detail", sum.detail ? sum.detail : ""),
        LOG_SPAN("kms_type", sum.kms_type.ptr ? sum.kms_type : SPAN_LIT("")),
        LOG_SPAN("kms_request_id", sum.kms_request_id.ptr ? sum.kms_request_id : SPAN_LIT("")),
        LOG_INT("kms_tries", sum.kms_tries), LOG_INT("request_bytes", sum.request_bytes),
        LOG_INT("answer_bytes", a->answer->len),
        LOG_INT("us", (clock_mono_ns() - cl->born_ns) / 1000));
}

/* The peer may still be sending, and would not see the answer if we closed on it: on Unix sockets
 * unread bytes turn a close into a reset. So what comes is read and dropped for a while. */
static void leave(struct client *cl)
{
    uint64_t ms = cl->has_eof ? cl->s->set->write_ms : LINGER_MS;

    conn_set_deadline(cl->conn, clock_mono_ns() + ms * NS_PER_MS);
    conn_finish(cl->conn);
    if (!cl->has_eof) {
        discard(cl);
        conn_resume(cl->conn);
    }
}

void client_answer(struct client *cl, const struct enclave_action *a)
{
    log_answer(cl, a);
    cl->phase = CLIENT_LEAVING;
    cl->s->running--;
    count(cl, 0);
    if (!cl->conn) {
        client_free(cl);
        return;
    }
    bool is_sent = a->answer->len > 0 && conn_send(cl->conn, a->answer) == ERR_OK;
    enclave_request_free(cl->rq);
    cl->rq = NULL;
    if (is_sent)
        leave(cl);
    else
        conn_close(cl->conn);
}
