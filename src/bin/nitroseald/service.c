#include "bin/nitroseald/service.h"

#include <malloc.h>
#include <signal.h>

enum {
    FIRST_IN_MAX = 16384, /* of a connection, before its protocol is known */
    STOP_MS = 12000,      /* longer than KMS's deadline: what runs can end */
    DRIFT_STEP_S = 5,     /* of a change worth a line */
    TRIM_FROM_BYTES = 256 * 1024,
    TRIM_AFTER_MS = 1000, /* the last of them */
    CROWD_MIN = 64,       /* connections whose memory, small as it is for each, goes back, too */
    TRIM_NEVER_BYTES = 1 << 30,
};

struct enclave_time service_now(struct service *s)
{
    uint64_t mono_ns = clock_mono_ns();
    int64_t wall_s = clock_wall_ms() / 1000;
    struct enclave_time now = { mono_ns, enclave_clock_read(&s->clock, wall_s, mono_ns) };
    int64_t drift_s = enclave_clock_drift(&s->clock, wall_s, mono_ns);
    int64_t change_s = drift_s - s->logged_drift_s;

    if (change_s >= DRIFT_STEP_S || change_s <= -DRIFT_STEP_S) {
        s->logged_drift_s = drift_s;
        log_event(LOG_WARN, "clock drift", LOG_INT("seconds", drift_s),
                  LOG_INT("held_back_seconds", now.wall_s - wall_s));
    }
    return now;
}

static void on_stop_signal(void *arg)
{
    service_stop(arg);
}

static void on_stop_timer(void *arg)
{
    struct service *s = arg;

    log_event(LOG_WARN, "stopping with requests unfinished", LOG_INT("running", s->running));
    loop_stop(s->loop);
}

/* Between large requests the allocator keeps what it has: to fault in fresh pages for each costs
 * more than the cipher does. What is kept goes back when it gets quiet: on_trim(). */
void service_tune_memory(void)
{
    (void)mallopt(M_ARENA_MAX, 1); /* malloc_trim() gives back the end of the first one only */
    (void)mallopt(M_TRIM_THRESHOLD, TRIM_NEVER_BYTES);
    (void)mallopt(M_MMAP_MAX, 0); /* no blocks of their own, which would go back each time */
}

static void on_trim(void *arg)
{
    struct service *s = arg;

    s->is_trim_due = false;
    (void)malloc_trim(0);
}

static void trim_in_time(struct service *s)
{
    s->is_trim_due = true;
    loop_timer_arm(s->trim, clock_mono_ns() + TRIM_AFTER_MS * NS_PER_MS);
}

void service_served(struct service *s, size_t bytes)
{
    if (bytes >= TRIM_FROM_BYTES)
        trim_in_time(s);
}

void service_forget_in_time(struct service *s)
{
    uint64_t next;

    enclave_keys_expire(s->enclave, clock_mono_ns(), &next);
    if (next)
        loop_timer_arm(s->forget, next);
}

static void on_forget(void *arg)
{
    service_forget_in_time(arg);
}

bool service_is_full(const struct service *s)
{
    return s->running >= s->set->running_max;
}

enum err service_start(struct service *s, struct why *why)
{
    const struct listener_options o = {
        .conn = { .in_max = FIRST_IN_MAX },
        .max = (unsigned)s->set->connections_max,
        .accepted = client_accepted,
        .over = client_over,
        .arg = s,
    };

    char id[ENCLAVE_ID_BYTES];

    s->awaiting_last = &s->awaiting;
    enclave_id_next(s->enclave, id);
    if (refusal_new(span_str(id), &s->refusal) != ERR_OK || keeper_start(s) != ERR_OK ||
        loop_timer_new(s->loop, on_stop_timer, s, &s->stop_timer) != ERR_OK ||
        loop_timer_new(s->loop, on_trim, s, &s->trim) != ERR_OK ||
        loop_timer_new(s->loop, on_forget, s, &s->forget) != ERR_OK ||
        loop_on_signal(s->loop, SIGTERM, on_stop_signal, s) != ERR_OK ||
        loop_on_signal(s->loop, SIGINT, on_stop_signal, s) != ERR_OK)
        return why_fail(why, ERR_NOMEM, "loop", 0);
    return listener_new(s->loop, &s->set->listen, &o, &s->listener, why);
}

void service_client_came(struct service *s)
{
    s->n_clients++;
    if (s->crowd < s->n_clients)
        s->crowd = s->n_clients;
}

void service_client_gone(struct service *s)
{
    s->n_clients--;
    if (s->crowd >= CROWD_MIN && s->n_clients <= s->crowd / 2) {
        s->crowd = s->n_clients;
        if (!s->is_trim_due) /* where they come and go all the time it is never put off */
            trim_in_time(s);
    }
    if (s->is_stopping && !s->clients)
        loop_stop(s->loop);
}

void service_stop(struct service *s)
{
    if (s->is_stopping)
        return;
    s->is_stopping = true;
    log_event(LOG_INFO, "stopping", LOG_INT("running", s->running));
    enclave_keys_forget(s->enclave);
    listener_free(s->listener);
    s->listener = NULL;
    loop_timer_arm(s->stop_timer, clock_mono_ns() + STOP_MS * NS_PER_MS);
    for (struct client *cl = s->clients, *next; cl; cl = next) {
        next = cl->next;
        client_stop(cl);
    }
    if (!s->clients)
        loop_stop(s->loop);
}

void service_clear(struct service *s)
{
    static const struct conn_events none = { 0 };

    listener_free(s->listener);
    /* Finishes what runs, so that no worker touches a client that is gone. */
    work_pool_free(s->work);
    kms_pool_free(s->kms);
    while (s->tasks) /* whose calls to KMS will not come back */
        task_free(s->tasks);
    while (s->clients) {
        struct client *cl = s->clients;
        if (cl->conn) {
            conn_set_arg(cl->conn, &none, NULL);
            conn_close(cl->conn);
        }
        client_free(cl);
    }
    loop_timer_free(s->rotate);
    loop_timer_free(s->renew);
    loop_timer_free(s->forget);
    loop_timer_free(s->stop_timer);
    loop_timer_free(s->trim);
    refusal_clear(&s->refusal);
    rsa_key_free(s->new_key);
    enclave_free(s->enclave);
    nsm_dev_close(s->nsm);
    fd_close(&s->memory_fd);
}
