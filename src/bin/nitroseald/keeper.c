/* keeper.c - the recipient key, replaced in the background, and the kept document. */
#include "bin/nitroseald/service.h"

enum {
    NSM_MS = 5000,       /* one document; hardware takes some tens of milliseconds */
    KEY_RETRY_MS = 5000, /* when a new key could not be made */
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
    struct client *cl = s->awaiting;

    s->awaiting = NULL;
    s->awaiting_last = &s->awaiting;
    while (cl) {
        struct client *next = cl->next_awaiting;
        client_step(cl, &ev);
        cl = next;
    }
}

static void run_document(struct crypto *cx, void *arg)
{
    struct document_work *w = arg;

    keeper_run_job(cx, w->s->nsm, w->job);
}

static void document_done(void *arg)
{
    struct document_work *w = arg;
    struct service *s = w->s;
    enum err r = w->job->result;
    const char *what = w->job->why.what;

    enclave_document_end(s->enclave, w->job, service_now(s));
    if (r != ERR_OK)
        log_event(LOG_ERROR, "no attestation document", LOG_STR("error", err_name(r)),
                  LOG_STR("why", what ? what : ""));
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
    tell_all(s, r, "service is busy");
}

void keeper_await_document(struct service *s, struct client *cl)
{
    cl->next_awaiting = NULL;
    *s->awaiting_last = cl;
    s->awaiting_last = &cl->next_awaiting;
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
    enclave_key_set(s->enclave, s->new_key);
    s->new_key = NULL;
    loop_timer_arm(s->rotate, now + s->set->key_max_age_s * NS_PER_S);
    log_event(LOG_INFO, "recipient key replaced", LOG_INT("bits", RSA_BITS_DEFAULT));
}

static void on_rotate(void *arg)
{
    struct service *s = arg;
    const struct work w = { .run = run_key, .done = key_done, .arg = s };

    if (work_submit(s->work, w) != ERR_OK)
        loop_timer_arm(s->rotate, clock_mono_ns() + KEY_RETRY_MS * NS_PER_MS);
}

enum err keeper_start(struct service *s)
{
    enum err r = loop_timer_new(s->loop, on_rotate, s, &s->rotate);

    if (r == ERR_OK)
        loop_timer_arm(s->rotate, clock_mono_ns() + s->set->key_max_age_s * NS_PER_S);
    return r;
}
