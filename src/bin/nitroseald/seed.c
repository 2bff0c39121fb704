/* seed.c - the seed protocol on one connection: a request to the end of the stream, an answer. */
#include "bin/nitroseald/service.h"

/* The end of a step: ANSWER. */
static void answered(struct task *t, const struct enclave_action *a)
{
    struct client *cl = t->owner;
    bool is_sent = cl->conn && a->answer->len > 0 && conn_send(cl->conn, a->answer) == ERR_OK;

    task_free(t);
    if (is_sent)
        client_leave(cl);
    else if (cl->conn)
        conn_close(cl->conn);
    else
        client_settle(cl);
}

static void begin(struct client *cl, const struct enclave_event *ev)
{
    struct task *t;

    client_set_deadline(cl, 0);
    cl->phase = CLIENT_RUNNING;
    if (task_new(cl, answered, &t) != ERR_OK) {
        conn_close(cl->conn);
        return;
    }
    task_step(t, ev);
}

void seed_refuse(struct client *cl, enum enclave_refusal why)
{
    const struct enclave_event ev = { .kind = ENCLAVE_NOT_RECEIVED, .refusal = why };

    begin(cl, &ev);
}

void seed_data(struct client *cl)
{
    struct service *s = cl->s;
    size_t len = conn_in(cl->conn)->len;

    if (cl->phase != CLIENT_READING)
        return;
    conn_set_in_max(cl->conn, (size_t)s->set->request_max + 1);
    client_count(cl, len);
    if (len > s->set->request_max)
        seed_refuse(cl, ENCLAVE_TOO_LARGE);
    else if (s->buffered > s->set->buffered_max)
        seed_refuse(cl, ENCLAVE_BUSY);
}

void seed_eof(struct client *cl)
{
    if (service_is_full(cl->s)) {
        seed_refuse(cl, ENCLAVE_BUSY);
        return;
    }
    struct buf received = buf_take(conn_in(cl->conn));
    const struct enclave_event ev = { .kind = ENCLAVE_RECEIVED, .received = &received };
    begin(cl, &ev);
    buf_clear(&received);
}
