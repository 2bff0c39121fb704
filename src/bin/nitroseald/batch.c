/* batch.c - many requests in one: each item is a task of its own and has its own result.
 *
 * A window of items runs at a time, less when the service is full: a batch gets as far as others
 * leave room, and one item at least, so that it always ends.
 */
#include "bin/nitroseald/service.h"

#include <stdlib.h>

enum {
    WINDOW = 16,
    CREDENTIALS_ROOM = 32768,
    PROBLEM_MAX_BYTES = 16384,
};

struct batch {
    struct client *cl;
    struct buf body, room; /* room: the credentials' texts */
    struct span *items;
    struct buf *results; /* JSON, one for each item */
    size_t n, started, ended, bytes;
    unsigned running;
    bool is_starting, has_credentials;
    struct sigv4_credentials credentials;
    char id[ENCLAVE_ID_BYTES];
};

void batch_free(struct batch *b)
{
    if (!b)
        return;
    for (size_t i = 0; b->results && i < b->n; i++)
        buf_clear(&b->results[i]);
    buf_clear(&b->body);
    buf_clear(&b->room);
    free(b->results);
    free(b->items);
    free(b);
}

static void put_result(struct json_out *w, const struct batch *b, size_t i)
{
    const struct proto_error e = { .error = "Service is out of memory", .code = "busy" };

    if (b->results[i].len)
        json_out_raw(w, buf_view(&b->results[i]));
    else
        api_problem_put(w, &e, span_str(b->id));
}

static void finish(struct batch *b)
{
    const struct http1_header json = { SPAN_LIT("content-type"), SPAN_LIT("application/json") };
    AUTO(buf_clear) struct buf out = BUF_INIT(b->bytes + b->n * PROBLEM_MAX_BYTES + 256);
    struct json_out w = json_out_init(&out);
    struct client *cl = b->cl;
    char id[ENCLAVE_ID_BYTES];

    memcpy(id, b->id, sizeof id); /* the batch goes with the call */
    json_out_object(&w);
    json_out_key(&w, "results");
    json_out_array(&w);
    for (size_t i = 0; i < b->n; i++)
        put_result(&w, b, i);
    json_out_array_end(&w);
    json_out_key(&w, "request_id");
    json_out_string(&w, span_str(id));
    json_out_object_end(&w);
    enum err r = json_out_end(&w);
    metrics_request(&cl->s->metrics, "batch", r == ERR_OK ? "ok" : "busy",
                    clock_mono_ns() - cl->call->born_ns);
    if (r == ERR_OK) {
        http_answer(cl, 200, &json, 1, span_str(id), &out);
        return;
    }
    const struct proto_error e = { .error = "Service is out of memory", .code = "busy" };
    http_answer_problem(cl, &e, SPAN_EMPTY, span_str(id));
}

/* The answer as it is, or a problem document. */
static void keep_result(struct batch *b, const struct task *t, const struct enclave_action *a)
{
    struct buf *out = &b->results[t->index];

    if (!a->code) {
        *out = buf_take(a->answer);
    } else {
        const struct proto_error e = enclave_request_failure(t->rq);
        *out = BUF_INIT(PROBLEM_MAX_BYTES);
        if (api_problem_write(out, &e, enclave_request_summary(t->rq).id) != ERR_OK)
            buf_clear(out);
    }
    b->bytes += out->len;
}

static void run_on(struct batch *b);

static void answered(struct task *t, const struct enclave_action *a)
{
    struct client *cl = t->owner;
    struct batch *b = cl->call->batch;

    keep_result(b, t, a);
    task_free(t);
    b->running--;
    b->ended++;
    client_count(cl, b->body.len + b->bytes);
    if (!b->is_starting)
        run_on(b); /* may end the call */
    client_settle(cl);
}

static bool start_next(struct batch *b)
{
    AUTO(buf_clear) struct buf copy = BUF_INIT(b->items[b->started].len);
    const struct enclave_input input = {
        .form = ENCLAVE_JSON,
        .credentials = b->has_credentials ? &b->credentials : NULL,
    };
    const struct enclave_event ev = { .kind = ENCLAVE_RECEIVED,
                                      .received = &copy,
                                      .input = &input };
    struct task *t;

    if (buf_append(&copy, b->items[b->started]) != ERR_OK ||
        task_new(b->cl, answered, &t) != ERR_OK)
        return false;
    t->index = b->started++;
    b->running++;
    task_step(t, &ev);
    return true;
}

/* Start what may run. A client that is gone gets no more work done. */
static void run_on(struct batch *b)
{
    b->is_starting = true;
    while (b->cl->conn && b->started < b->n && b->running < WINDOW &&
           (b->running == 0 || !service_is_full(b->cl->s))) {
        if (start_next(b))
            continue;
        if (b->running > 0) /* memory may come back with these */
            break;
        b->started++;
        b->ended++; /* its result is empty: out of memory */
    }
    b->is_starting = false;
    if (b->running > 0 || (b->started < b->n && b->cl->conn))
        return;
    finish(b);
}

static enum err make(struct client *cl, struct buf *body, size_t from, struct batch **out,
                     struct api_fault *fault)
{
    struct batch *b = calloc(1, sizeof *b);
    struct api_batch asked;

    if (!b || !(b->items = calloc(API_BATCH_MAX_ITEMS, sizeof *b->items))) {
        free(b);
        return ERR_NOMEM;
    }
    b->cl = cl;
    b->room = BUF_INIT(CREDENTIALS_ROOM);
    b->body = buf_take(body);
    enum err r =
        api_batch_parse(span_from(buf_view(&b->body), from), b->items, &b->room, &asked, fault);
    if (r == ERR_OK && !(b->results = calloc(asked.n, sizeof *b->results)))
        r = ERR_NOMEM;
    if (r != ERR_OK) {
        batch_free(b);
        return r;
    }
    b->n = asked.n;
    b->has_credentials = asked.has_credentials;
    b->credentials = (struct sigv4_credentials){ asked.credentials.access_key_id,
                                                 asked.credentials.secret_access_key,
                                                 asked.credentials.session_token };
    *out = b;
    return ERR_OK;
}

void batch_serve(struct client *cl, struct buf *body, size_t from, struct span id)
{
    struct api_fault fault = { .code = "busy", .title = "Service is out of memory" };
    enum err r = make(cl, body, from, &cl->call->batch, &fault);

    if (r != ERR_OK) {
        const struct proto_error e = { .error = fault.title,
                                       .code = fault.code,
                                       .detail = span_str(fault.detail) };
        metrics_request(&cl->s->metrics, "batch", fault.code, 0);
        http_answer_problem(cl, &e, SPAN_EMPTY, id);
        return;
    }
    memcpy(cl->call->batch->id, id.ptr, id.len);
    run_on(cl->call->batch);
}
