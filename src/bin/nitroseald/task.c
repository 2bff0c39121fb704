/* perform.c - what a step asks for: the NSM, KMS, a worker, or the answer. */
#include "bin/nitroseald/service.h"

static void run_work(struct crypto *cx, void *arg)
{
    struct client *cl = arg;

    enclave_work(cx, cl->rq);
}

static void work_done(void *arg)
{
    const struct enclave_event ev = { .kind = ENCLAVE_WORKED };

    client_step(arg, &ev);
}

static void run_nsm(struct crypto *cx, void *arg)
{
    struct client *cl = arg;
    (void)cx;

    cl->nsm.answer = BUF_INIT(NSM_RESPONSE_MAX);
    cl->nsm.result = nsm_dev_ask(cl->s->nsm, cl->nsm.request, &cl->nsm.answer, cl->nsm.deadline_ns,
                                 &cl->nsm.why);
}

static void nsm_done(void *arg)
{
    struct client *cl = arg;
    const struct enclave_event ev = {
        .kind = ENCLAVE_NSM_ANSWERED,
        .result = cl->nsm.result,
        .what = cl->nsm.why.what,
        .body = buf_view(&cl->nsm.answer),
    };

    client_step(cl, &ev);
}

static void kms_answered(void *arg, const struct http1_head *head, struct span body)
{
    const struct enclave_event ev = { .kind = ENCLAVE_KMS_ANSWERED, .head = head, .body = body };

    client_step(arg, &ev);
}

static void kms_broken(void *arg, enum err r, const char *what)
{
    const struct enclave_event ev = { .kind = ENCLAVE_KMS_BROKEN, .result = r, .what = what };

    log_event(LOG_DEBUG, "kms call broken", LOG_STR("error", err_name(r)),
              LOG_STR("why", what ? what : ""));
    client_step(arg, &ev);
}

/* True if it is on its way; else *failed is the event that says so. */
static bool submit(struct client *cl, void (*run)(struct crypto *, void *), void (*done)(void *),
                   struct enclave_event *failed)
{
    const struct work w = { .run = run, .done = done, .arg = cl };

    *failed = (struct enclave_event){ .kind = ENCLAVE_OVERLOADED };
    return work_submit(cl->s->work, w) == ERR_OK;
}

static bool call_kms(struct client *cl, const struct enclave_action *a,
                     struct enclave_event *failed)
{
    cl->x = (struct exchange){
        .request = a->bytes,
        .deadline_ns = a->deadline_ns,
        .answered = kms_answered,
        .broken = kms_broken,
        .arg = cl,
    };
    if (a->not_before_ns) {
        loop_timer_arm(cl->timer, a->not_before_ns);
        return true;
    }
    enum err r = kms_pool_call(cl->s->kms, &cl->x);
    *failed = (struct enclave_event){ .kind = ENCLAVE_KMS_BROKEN,
                                      .result = r,
                                      .what = "too many calls wait for KMS" };
    return r == ERR_OK;
}

void client_pause_over(struct client *cl)
{
    enum err r = kms_pool_call(cl->s->kms, &cl->x);

    if (r != ERR_OK)
        kms_broken(cl, r, "too many calls wait for KMS");
}

/* True: something else will call back. False: *next is to be stepped at once. */
static bool perform(struct client *cl, const struct enclave_action *a, struct enclave_event *next)
{
    switch (a->kind) {
    case ENCLAVE_AWAIT_DOCUMENT:
        keeper_await_document(cl->s, cl);
        return true;
    case ENCLAVE_ASK_NSM:
        cl->nsm.request = a->bytes;
        cl->nsm.deadline_ns = a->deadline_ns;
        return submit(cl, run_nsm, nsm_done, next);
    case ENCLAVE_CALL_KMS:
        return call_kms(cl, a, next);
    case ENCLAVE_WORK:
        return submit(cl, run_work, work_done, next);
    case ENCLAVE_ANSWER:
        client_answer(cl, a); /* may free cl */
        return true;
    }
    return true;
}

void client_step(struct client *cl, const struct enclave_event *ev)
{
    struct enclave_event next = *ev;
    struct enclave_action a;

    do
        enclave_step(cl->s->enclave, cl->rq, &next, service_now(cl->s), &a);
    while (!perform(cl, &a, &next));
}
