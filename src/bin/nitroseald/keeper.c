/* keeper.c - the recipient key, replaced in the background, and the kept document. */
#include "bin/nitroseald/service.h"

enum {
    NSM_MS = 5000,       /* one document; hardware takes some tens of milliseconds */
    KEY_RETRY_MS = 5000, /* when a new key could not be made */
    DOCUMENT_RETRY_MS = 1000,
};

struct document_work { /* one at a time: the enclave sees to that */
    struct service *s;
    struct enclave_document_job *job;
};

void keeper_run_job(struct crypto *cx, struct nsm_dev *nsm, struct enclave_document_job *job)
{
    job->result = nsm_dev_ask(nsm, buf_view(&job->request), &job->response,
                              clock_mono_ns() + NSM_MS * NS_PER_MS, &job->why);
    if (job->result == ERR_OK)
        enclave_document_check(cx, job);
}

static struct document_work document;

static void tell_all(struct service *s, enum err r, const char *what)
{
    const struct enclave_event ev = { .kind = ENCLAVE_DOCUMENT_DONE, .result = r, .what = what };
    struct task *t = s->awaiting;

    s->awaiting = NULL;
    s->awaiting_last = &s->awaiting;
    while (t) {
        struct task *next = t->next_awaiting;
        task_step(t, &ev);
        t = next;
    }
}

static void run_document(struct crypto *cx, void *arg)
{
    struct document_work *w = arg;

    keeper_run_job(cx, w->s->nsm, w->job);
}

/* Ahead of its end, so that no request has to wait for the NSM. */
static void renew_in_time(struct service *s, enum err last)
{
    uint64_t ms = last == ERR_OK ? s->set->document_max_age_s * 1000 / 4 * 3 : DOCUMENT_RETRY_MS;

    loop_timer_arm(s->renew, clock_mono_ns() + ms * NS_PER_MS);
}

static void begin_document(struct service *s);

static void document_done(void *arg)
{
    struct document_work *w = arg;
    struct service *s = w->s;
    enum err r = w->job->result;
    const char *what = w->job->why.what;
    bool had_next = enclave_has_next_key(s->enclave);

    enclave_document_end(s->enclave, w->job, service_now(s));
    if (r != ERR_OK)
        log_event(LOG_ERROR, "no attestation document", LOG_STR("error", err_name(r)),
                  LOG_STR("why", what ? what : ""));
    renew_in_time(s, r);
    if (had_next && !enclave_has_next_key(s->enclave)) {
        s->key_born_ns = clock_mono_ns();
        log_event(LOG_INFO, "recipient key replaced", LOG_INT("bits", RSA_BITS_DEFAULT));
    } else if (had_next && r == ERR_OK) {
        begin_document(s); /* this one was still for the key before */
    }
    tell_all(s, r, what);
}

static void begin_document(struct service *s)
{
    struct enclave_document_job *job = NULL;
    enum err r = enclave_document_begin(s->enclave, service_now(s), &job);

    if (r == ERR_OK && !job)
        return; /* one runs already */
    if (r == ERR_OK) {
        document = (struct document_work){ s, job };
        const struct work w = { .run = run_document, .done = document_done, .arg = &document };
        r = work_submit(s->work, w);
        if (r == ERR_OK)
            return;
        job->result = r;
        enclave_document_end(s->enclave, job, service_now(s));
    }
    log_event(LOG_ERROR, "no attestation document", LOG_STR("error", err_name(r)),
              LOG_STR("why", "service is busy"));
    renew_in_time(s, r); /* there may be no request that would ask for one */
    tell_all(s, r, "service is busy");
}

void keeper_await_document(struct service *s, struct task *t)
{
    t->next_awaiting = NULL;
    *s->awaiting_last = t;
    s->awaiting_last = &t->next_awaiting;
    begin_document(s);
}

static void run_key(struct crypto *cx, void *arg)
{
    struct service *s = arg;

    s->new_key_result = rsa_key_new(cx, RSA_BITS_DEFAULT, &s->new_key);
}

static void key_done(void *arg)
{
    struct service *s = arg;
    uint64_t now = clock_mono_ns();

    if (s->new_key_result != ERR_OK) {
        log_event(LOG_ERROR, "no new recipient key", LOG_STR("error", err_name(s->new_key_result)));
        loop_timer_arm(s->rotate, now + KEY_RETRY_MS * NS_PER_MS);
        return;
    }
    enclave_key_next(s->enclave, s->new_key); /* takes over with its document */
    s->new_key = NULL;
    loop_timer_arm(s->rotate, now + s->set->key_max_age_s * NS_PER_S);
    begin_document(s);
}

static void on_rotate(void *arg)
{
    struct service *s = arg;
    const struct work w = { .run = run_key, .done = key_done, .arg = s };

    if (work_submit(s->work, w) != ERR_OK)
        loop_timer_arm(s->rotate, clock_mono_ns() + KEY_RETRY_MS * NS_PER_MS);
}

static void on_renew(void *arg)
{
    begin_document(arg);
}

enum err keeper_start(struct service *s)
{
    enum err r = loop_timer_new(s->loop, on_rotate, s, &s->rotate);

    if (r == ERR_OK)
        r = loop_timer_new(s->loop, on_renew, s, &s->renew);
    if (r != ERR_OK)
        return r;
    s->key_born_ns = clock_mono_ns();
    loop_timer_arm(s->rotate, s->key_born_ns + s->set->key_max_age_s * NS_PER_S);
    renew_in_time(s, ERR_OK);
    return ERR_OK;
}
