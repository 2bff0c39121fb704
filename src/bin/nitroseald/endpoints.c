/* endpoints.c - what each path of the HTTP API does. */
#include "base/base64.h"
#include "bin/nitroseald/service.h"

enum { CREDENTIALS_ROOM = 32768, HEALTH_ANSWER_MAX = 64, REFUSAL_MAX = 4096 };

#define JSON_HEADER                                                                                \
    {                                                                                              \
        SPAN_LIT("content-type"), SPAN_LIT("application/json")                                     \
    }
#define BINARY_HEADER                                                                              \
    {                                                                                              \
        SPAN_LIT("content-type"), SPAN_LIT("application/octet-stream")                             \
    }

/* --- those that are answered here --- */

struct reply {
    struct client *cl;
    char id[ENCLAVE_ID_BYTES];
};

static struct reply reply_new(struct client *cl)
{
    struct reply r = { .cl = cl };

    enclave_id_next(cl->s->enclave, r.id);
    return r;
}

static void count(const struct client *cl, const char *result)
{
    metrics_request(&cl->s->metrics, api_endpoint_name(cl->call->route.endpoint), result,
                    clock_mono_ns() - cl->call->born_ns);
}

static void problem(const struct reply *r, const char *code, const char *title, const char *detail)
{
    const struct proto_error e = { .error = title, .code = code, .detail = span_str(detail) };

    count(r->cl, code);
    http_answer_problem(r->cl, &e, SPAN_EMPTY, span_str(r->id));
}

/* `r` is how parsing a body ended. */
static void refuse(const struct reply *rp, enum err r, const struct api_fault *fault)
{
    if (r == ERR_MALFORMED)
        problem(rp, fault->code, fault->title, fault->detail);
    else
        problem(rp, "busy", "Service is out of memory", NULL);
}

static void ok(const struct reply *r, const struct http1_header *type, struct buf *body)
{
    count(r->cl, "ok");
    http_answer(r->cl, body->len || type ? 200 : 204, type, type ? 1 : 0, span_str(r->id), body);
}

static void serve_random(const struct reply *rp, struct span body)
{
    const struct http1_header json = JSON_HEADER, binary = BINARY_HEADER;
    AUTO(buf_clear) struct buf bytes = BUF_INIT(API_RANDOM_MAX_BYTES);
    AUTO(buf_clear) struct buf text = BUF_INIT(API_RANDOM_MAX_BYTES * 2);
    bool is_binary = rp->cl->call->route.wants_binary;
    struct api_fault fault = { 0 };
    size_t n = 0;
    uint8_t *room;

    enum err r = api_random_parse(body, &n, &fault);
    if (r == ERR_OK)
        r = buf_reserve(&bytes, n, &room);
    if (r == ERR_OK)
        r = rng_bytes(rp->cl->s->cx, room, n);
    if (r == ERR_OK)
        buf_commit(&bytes, n);
    if (r == ERR_OK && !is_binary)
        r = api_random_write(&text, buf_view(&bytes), span_str(rp->id));
    if (r == ERR_OK)
        ok(rp, is_binary ? &binary : &json, is_binary ? &bytes : &text);
    else if (r == ERR_CRYPTO)
        problem(rp, "internal", "Random generator failed", NULL);
    else
        refuse(rp, r, &fault);
}

static void serve_credentials(const struct reply *rp, struct span body)
{
    AUTO(buf_clear) struct buf room = BUF_INIT(CREDENTIALS_ROOM);
    struct service *s = rp->cl->s;
    struct api_credentials c;
    struct api_fault fault = { 0 };
    struct buf none = { 0 };

    enum err r = api_credentials_parse(body, &room, &c, &fault);
    if (r != ERR_OK) {
        refuse(rp, r, &fault);
        return;
    }
    if (c.expire_s && c.expire_s <= service_now(s).wall_s) {
        problem(rp, "invalid_credentials", "AWS credentials have expired already", NULL);
        return;
    }
    const struct sigv4_credentials cred = { c.access_key_id, c.secret_access_key, c.session_token };
    r = enclave_credentials_set(s->enclave, &cred, c.expire_s);
    if (r == ERR_MALFORMED)
        problem(rp, "invalid_credentials",
                "AWS credentials are empty or hold characters that they cannot have", NULL);
    else if (r != ERR_OK)
        refuse(rp, r, &fault);
    else
        ok(rp, NULL, &none);
}

static void serve_health(const struct reply *rp)
{
    const struct http1_header json = JSON_HEADER;
    AUTO(buf_clear) struct buf body = BUF_INIT(HEALTH_ANSWER_MAX);
    uint64_t age;

    if (!enclave_document_age_ns(rp->cl->s->enclave, clock_mono_ns(), &age))
        problem(rp, "nsm_failed", "There is no attestation document to use",
                "the NSM gave none; the service's log says why");
    else if (buf_append_str(&body, "{\"status\":\"ok\"}") == ERR_OK)
        ok(rp, &json, &body);
    else
        problem(rp, "busy", "Service is out of memory", NULL);
}

static struct metrics_now metrics_at(struct service *s)
{
    struct enclave_time now = service_now(s);
    int64_t expire_s = enclave_credentials_expire_s(s->enclave);
    uint64_t age_ns = 0;
    struct metrics_now m = {
        .version = NITROSEAL_VERSION,
        .has_document = enclave_document_age_ns(s->enclave, now.mono_ns, &age_ns),
        .key_age_s = (double)(now.mono_ns - s->key_born_ns) / NS_PER_S,
        .kms_connections = kms_pool_conns(s->kms),
        .kms_waiting = kms_pool_waiting(s->kms),
        .work_queued = work_queued(s->work),
        .running = s->running,
        .connections = s->listener ? listener_conns(s->listener) : 0,
        .buffered = s->buffered,
        .resident_bytes = memory_resident(s->memory_fd),
        .has_credentials = enclave_credentials(s->enclave, now.wall_s) != NULL,
        .credentials_expire_s = expire_s ? expire_s - now.wall_s : 0,
    };

    const struct key_cache_counts c = enclave_keys_counts(s->enclave);
    m.cache.hits = c.hits;
    m.cache.misses = c.misses;
    m.cache.aged = c.aged;
    m.cache.used_up = c.used_up;
    m.cache.pushed_out = c.pushed_out;
    m.cache.cleared = c.cleared;
    m.cache.entries = c.entries;
    m.document_age_s = (double)age_ns / NS_PER_S;
    return m;
}

static void serve_metrics(const struct reply *rp)
{
    const struct http1_header text = { SPAN_LIT("content-type"),
                                       SPAN_LIT("text/plain; version=0.0.4") };
    AUTO(buf_clear) struct buf body = BUF_INIT(METRICS_TEXT_MAX_BYTES);
    const struct metrics_now now = metrics_at(rp->cl->s);

    if (metrics_write(&rp->cl->s->metrics, &now, &body) == ERR_OK)
        ok(rp, &text, &body);
    else
        problem(rp, "busy", "Service is out of memory", NULL);
}

/* --- those of the enclave --- */

static void answer_task(struct client *cl, struct task *t, const struct enclave_action *a)
{
    const struct enclave_result res = enclave_request_result(t->rq);
    struct span id = enclave_request_summary(t->rq).id;
    AUTO(buf_clear) struct buf signature = BUF_INIT(BASE64_TEXT_BYTES(HMAC_SHA256_BYTES));
    struct http1_header h[4] = { JSON_HEADER };
    size_t n = 1;

    if (cl->call->route.wants_binary) {
        h[0] = (struct http1_header)BINARY_HEADER;
        if (res.key_id.len)
            h[n++] = (struct http1_header){ SPAN_LIT("nitroseal-key-id"), res.key_id };
    }
    if (cl->call->route.is_binary && cl->call->route.endpoint == API_ENCRYPT) {
        if (base64_append(&signature, res.signature) != ERR_OK) { /* without it nothing opens */
            const struct proto_error e = { .error = "Service is out of memory", .code = "busy" };
            http_answer_problem(cl, &e, SPAN_EMPTY, id);
            return;
        }
        h[n++] = (struct http1_header){ SPAN_LIT("nitroseal-signature"), buf_view(&signature) };
        h[n++] =
            (struct http1_header){ SPAN_LIT("nitroseal-ciphertext-blob"), res.ciphertext_blob_b64 };
    }
    http_answer(cl, 200, h, n, id, a->answer);
}

static void answered(struct task *t, const struct enclave_action *a)
{
    struct client *cl = t->owner;

    if (a->code) {
        const struct proto_error e = enclave_request_failure(t->rq);
        http_answer_problem(cl, &e, SPAN_EMPTY, enclave_request_summary(t->rq).id);
    } else {
        answer_task(cl, t, a);
    }
    task_free(t);
    client_settle(cl);
}

static void serve_task(const struct reply *rp, struct buf *body, const struct enclave_input *input)
{
    const struct enclave_event ev = { .kind = ENCLAVE_RECEIVED, .received = body, .input = input };
    struct task *t;

    if (task_new(rp->cl, answered, &t) != ERR_OK)
        problem(rp, "busy", "Service is out of memory", NULL);
    else
        task_step(t, &ev);
}

static void serve_text(const struct reply *rp, struct buf *body, size_t from, enum proto_op op)
{
    const struct http_call *call = rp->cl->call;
    const struct enclave_input input = {
        .form = call->route.is_binary ? ENCLAVE_BINARY : ENCLAVE_JSON,
        .from = from,
        .has_op = true,
        .op = op,
        .signature_b64 = call->signature_b64,
        .ciphertext_blob_b64 = call->blob_b64,
    };

    serve_task(rp, body, &input);
}

static void serve_attestation(const struct reply *rp)
{
    const struct http_call *call = rp->cl->call;
    AUTO(buf_clear) struct buf nonce = BUF_INIT(API_NONCE_MAX_BYTES);
    AUTO(buf_clear) struct buf text = BUF_INIT(API_NONCE_MAX_BYTES * 2);
    struct enclave_input input = { .form = ENCLAVE_JSON, .has_op = true, .op = PROTO_ATTEST };
    struct api_fault fault = { 0 };

    enum err r = api_nonce_parse(call->query, &nonce, &fault);
    if (r == ERR_OK && !call->route.wants_binary)
        r = proto_attest_write(&text, buf_view(&nonce));
    if (r != ERR_OK) {
        refuse(rp, r, &fault);
        return;
    }
    if (call->route.wants_binary)
        input.form = ENCLAVE_BINARY;
    serve_task(rp, call->route.wants_binary ? &nonce : &text, &input);
}

bool endpoint_needs_place(enum api_endpoint e)
{
    return e == API_ENCRYPT || e == API_DECRYPT || e == API_BATCH || e == API_ATTESTATION;
}

bool endpoint_refuse_at_once(struct client *cl, const struct http1_head *head, enum api_endpoint e,
                             size_t used)
{
    struct buf *in = conn_in(cl->conn);
    AUTO(buf_clear) struct buf answer = BUF_INIT(REFUSAL_MAX);
    uint64_t body = head->framing == HTTP1_LENGTH ? head->content_length : 0;
    char id[ENCLAVE_ID_BYTES];

    if (!head->keep_alive || head->framing == HTTP1_CHUNKED || in->len - used < body)
        return false;
    enclave_id_next(cl->s->enclave, id);
    if (refusal_put(&cl->s->refusal, span_str(id), &answer) != ERR_OK ||
        conn_send(cl->conn, &answer) != ERR_OK)
        return false;
    metrics_request(&cl->s->metrics, api_endpoint_name(e), refusal_busy.code, 0);
    buf_consume(in, used + (size_t)body);
    return true;
}

void endpoint_serve(struct client *cl, struct buf *body, size_t from)
{
    const struct reply rp = reply_new(cl);
    struct span content = span_from(buf_view(body), from);
    enum api_endpoint e = cl->call->route.endpoint;

    if (endpoint_needs_place(e) && service_is_full(cl->s)) {
        problem(&rp, refusal_busy.code, refusal_busy.title, refusal_busy.detail);
        return;
    }
    switch (e) {
    case API_ENCRYPT:
        serve_text(&rp, body, from, PROTO_ENCRYPT);
        return;
    case API_DECRYPT:
        serve_text(&rp, body, from, PROTO_DECRYPT);
        return;
    case API_BATCH:
        batch_serve(cl, body, from, span_str(rp.id));
        return;
    case API_RANDOM:
        serve_random(&rp, content);
        return;
    case API_ATTESTATION:
        serve_attestation(&rp);
        return;
    case API_CREDENTIALS:
        serve_credentials(&rp, content);
        return;
    case API_HEALTH:
        serve_health(&rp);
        return;
    case API_METRICS:
        serve_metrics(&rp);
        return;
    case API_MESSAGE_ENCRYPT: /* stream.c has them */
    case API_MESSAGE_DECRYPT:
    case API_MESSAGE_REWRAP:
    case API_ENDPOINTS:
        break;
    }
    problem(&rp, "internal", "Internal error", NULL);
}
