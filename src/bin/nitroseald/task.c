/* task.c - one request to the enclave, and what its steps ask for: the NSM, KMS, a worker. */
#include "bin/nitroseald/service.h"

#include <stdlib.h>

enum { SHORT_BYTES = 65536 }; /* of a text: its ciphers take less than the RSA operation */

enum err task_new(struct client *owner,
                  void (*answered)(struct task *t, const struct enclave_action *a),
                  struct task **out)
{
    struct task *t = calloc(1, sizeof *t);

    if (!t || enclave_request_new(owner->s->enclave, &t->rq) != ERR_OK) {
        free(t);
        return ERR_NOMEM;
    }
    t->owner = owner;
    t->answered = answered;
    t->born_ns = clock_mono_ns();
    t->next = owner->s->tasks;
    t->link = &owner->s->tasks;
    if (t->next)
        t->next->link = &t->next;
    owner->s->tasks = t;
    owner->tasks++;
    owner->s->running++;
    *out = t;
    return ERR_OK;
}

void task_free(struct task *t)
{
    *t->link = t->next;
    if (t->next)
        t->next->link = t->link;
    t->owner->tasks--;
    t->owner->s->running--;
    enclave_request_free(t->rq);
    buf_clear(&t->nsm.answer);
    loop_timer_free(t->pause);
    free(t);
}

static void run_work(struct crypto *cx, void *arg)
{
    struct task *t = arg;

    enclave_work(cx, t->rq);
}

static void work_done(void *arg)
{
    const struct enclave_event ev = { .kind = ENCLAVE_WORKED };

    task_step(arg, &ev);
}

static void run_nsm(struct crypto *cx, void *arg)
{
    struct task *t = arg;
    (void)cx;

    t->nsm.answer = BUF_INIT(NSM_RESPONSE_MAX);
    t->nsm.result = nsm_dev_ask(t->owner->s->nsm, t->nsm.request, &t->nsm.answer,
                                t->nsm.deadline_ns, &t->nsm.why);
}

static void nsm_done(void *arg)
{
    struct task *t = arg;
    const struct enclave_event ev = {
        .kind = ENCLAVE_NSM_ANSWERED,
        .result = t->nsm.result,
        .what = t->nsm.why.what,
        .body = buf_view(&t->nsm.answer),
    };

    task_step(t, &ev);
}

static void kms_answered(void *arg, const struct http1_head *head, struct span body)
{
    const struct enclave_event ev = { .kind = ENCLAVE_KMS_ANSWERED, .head = head, .body = body };
    struct task *t = arg;

    metrics_kms(&t->owner->s->metrics, head->status == 200 ? "ok" : "refused");
    task_step(t, &ev);
}

static void kms_broken(void *arg, enum err r, const char *what)
{
    const struct enclave_event ev = { .kind = ENCLAVE_KMS_BROKEN, .result = r, .what = what };
    struct task *t = arg;

    metrics_kms(&t->owner->s->metrics, err_name(r));
    log_event(LOG_DEBUG, "kms call broken", LOG_STR("error", err_name(r)),
              LOG_STR("why", what ? what : ""));
    task_step(t, &ev);
}

/* True if it is on its way; else *failed is the event that says so. */
static bool submit(struct task *t, void (*run)(struct crypto *, void *), void (*done)(void *),
                   struct enclave_event *failed)
{
    size_t bytes = enclave_request_summary(t->rq).request_bytes;
    const struct work w = {
        .run = run, .done = done, .arg = t, .is_short = run == run_work && bytes <= SHORT_BYTES
    };

    *failed = (struct enclave_event){ .kind = ENCLAVE_OVERLOADED };
    return work_submit(t->owner->s->work, w) == ERR_OK;
}

static void on_pause_over(void *arg)
{
    struct task *t = arg;
    enum err r = kms_pool_call(t->owner->s->kms, &t->x);

    if (r != ERR_OK)
        kms_broken(t, r, "too many calls wait for KMS");
}

/* ERR_NOMEM. */
static enum err pause_until(struct task *t, uint64_t at_ns)
{
    enum err r = t->pause ? ERR_OK : loop_timer_new(t->owner->s->loop, on_pause_over, t, &t->pause);

    if (r == ERR_OK)
        loop_timer_arm(t->pause, at_ns);
    return r;
}

static bool call_kms(struct task *t, const struct enclave_action *a, struct enclave_event *failed)
{
    t->x = (struct exchange){
        .request = a->bytes,
        .deadline_ns = a->deadline_ns,
        .answered = kms_answered,
        .broken = kms_broken,
        .arg = t,
        .flow = &t->owner->flow,
    };
    enum err r = a->not_before_ns ? pause_until(t, a->not_before_ns)
                                  : kms_pool_call(t->owner->s->kms, &t->x);
    *failed = (struct enclave_event){ .kind = ENCLAVE_KMS_BROKEN,
                                      .result = r,
                                      .what = "too many calls wait for KMS" };
    return r == ERR_OK;
}

static void note_answer(const struct task *t, const struct enclave_action *a)
{
    struct enclave_summary sum = enclave_request_summary(t->rq);
    uint64_t ns = clock_mono_ns() - t->born_ns;

    metrics_request(&t->owner->s->metrics, sum.op, a->code ? a->code : "ok", ns);
    t->owner->s->metrics.kms_retries += sum.kms_tries ? sum.kms_tries - 1 : 0;
    log_event(
        a->code ? LOG_WARN : LOG_DEBUG, "request", LOG_SPAN("id", sum.id), LOG_STR("op", sum.op),
        LOG_STR("result", a->code ? a->code : "ok"),
        LOG_STR("detail", sum.detail ? sum.detail : ""),
        LOG_SPAN("kms_type", sum.kms_type.ptr ? sum.kms_type : SPAN_LIT("")),
        LOG_SPAN("kms_request_id", sum.kms_request_id.ptr ? sum.kms_request_id : SPAN_LIT("")),
        LOG_INT("kms_tries", sum.kms_tries), LOG_INT("request_bytes", sum.request_bytes),
        LOG_INT("answer_bytes", a->answer->len), LOG_INT("us", ns / 1000));
}

/* True: something else will call back. False: *next is to be stepped at once. */
static bool perform(struct task *t, const struct enclave_action *a, struct enclave_event *next)
{
    switch (a->kind) {
    case ENCLAVE_AWAIT_DOCUMENT:
        keeper_await_document(t->owner->s, t);
        return true;
    case ENCLAVE_ASK_NSM:
        t->nsm.request = a->bytes;
        t->nsm.deadline_ns = a->deadline_ns;
        return submit(t, run_nsm, nsm_done, next);
    case ENCLAVE_CALL_KMS:
        return call_kms(t, a, next);
    case ENCLAVE_WORK:
        return submit(t, run_work, work_done, next);
    case ENCLAVE_ANSWER:
        note_answer(t, a);
        t->answered(t, a); /* may free the task and its owner */
        return true;
    }
    return true;
}

void task_step(struct task *t, const struct enclave_event *ev)
{
    struct service *s = t->owner->s;
    struct enclave_event next = *ev;
    struct enclave_action a;

    do
        enclave_step(s->enclave, t->rq, &next, service_now(s), &a);
    while (!perform(t, &a, &next));
}
