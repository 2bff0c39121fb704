/* requests.c - one request in, one answer out: the core's, /healthz, /metrics; each call into log,
 * audit log and metrics. */
#include "bin/nitroseal-kms/kms.h"
#include "io/log.h"

static enum err plain(struct buf *response, unsigned status, struct span body, bool keep_alive)
{
    const struct http1_header headers[] = {
        { SPAN_LIT("Content-Type"), SPAN_LIT("text/plain; version=0.0.4; charset=utf-8") },
        { SPAN_LIT("Cache-Control"), SPAN_LIT("no-store") },
        { SPAN_LIT("Connection"), SPAN_LIT("close") },
    };

    return http1_response_write(response, status, headers, keep_alive ? 2 : 3, body);
}

static bool is_get(const struct server_request *rq, const char *target)
{
    return span_is(rq->head->method, "GET") && span_is(rq->head->target, target);
}

static enum err health(const struct kms *k, const struct server_request *rq, struct buf *response)
{
    return k->audit_failed ? plain(response, 503, SPAN_LIT("the audit log cannot be written\n"),
                                   rq->head->keep_alive)
                           : plain(response, 200, SPAN_LIT("ok\n"), rq->head->keep_alive);
}

static const char *attested(const struct localkms_note *n)
{
    return !n->attested           ? "no"
           : n->unsigned_document ? "UNSIGNED, QEMU"
           : n->debug_enclave     ? "debug"
                                  : "yes";
}

/* One line for each request: who, what, about which key, and how it ended. Refusals of policy are
 * explained where the operator asked for it. A KMS that takes what nobody signed says so each time.
 */
static void note_log(const struct kms *k)
{
    const struct localkms_note *n = &k->note;
    enum log_level level = n->status >= 500 ? LOG_ERROR : n->status >= 400 ? LOG_WARN : LOG_INFO;
    const char *trust = k->accept_any       ? "ANY CREDENTIALS"
                        : k->n_qemu_modules ? "UNSIGNED DOCUMENTS OF QEMU"
                                            : "";

    log_event(level, "request", LOG_STR("operation", n->operation), LOG_INT("status", n->status),
              LOG_STR("error", n->error), LOG_STR("caller", n->caller), LOG_STR("key", n->key_id),
              LOG_STR("attested", attested(n)), LOG_STR("module", n->module_id ? n->module_id : ""),
              LOG_STR("request_id", n->request_id), LOG_STR("store", n->store_reason),
              LOG_STR("trusting", trust),
              LOG_SPAN("message", n->message.len ? buf_view(&n->message) : SPAN_LIT("")));
    if (k->explain && n->explain.len)
        log_event(LOG_INFO, "explanation", LOG_STR("request_id", n->request_id),
                  LOG_STR("attested", attested(n)), LOG_STR("trusting", trust),
                  LOG_SPAN("text", buf_view(&n->explain)));
}

static void audit(struct kms *k)
{
    struct why why = { 0 };

    if (!k->audit)
        return;
    enum err r = audit_log_append(k->audit, buf_view(&k->note.audit), &why);
    k->audit_failed = r != ERR_OK;
    if (r == ERR_OK) {
        k->metrics.audit_records++;
        return;
    }
    k->metrics.audit_failures++;
    log_event(LOG_ERROR, "A CALL IS NOT IN THE AUDIT LOG",
              LOG_STR("request_id", k->note.request_id),
              LOG_STR("why", why.what ? why.what : err_name(r)));
}

enum err kms_handle(void *arg, const struct server_request *rq, struct buf *response)
{
    struct kms *k = arg;
    struct localkms_origin origin = { .tls = rq->tls };
    uint64_t began = clock_mono_ns();

    if (is_get(rq, "/healthz"))
        return health(k, rq, response);
    memcpy(origin.ip, rq->peer, sizeof origin.ip);
    localkms_set_origin(k->core, &origin);
    enum err r = localkms_handle(k->core, rq->head, rq->body, clock_wall_ms(), response, &k->note);
    if (r == ERR_MORE) {
        r = kms_make_pair(k, rq->client);
        if (r == ERR_OK)
            return ERR_MORE;
        localkms_decline(k->core);
        r = localkms_handle(k->core, rq->head, rq->body, clock_wall_ms(), response, &k->note);
    }
    if (r != ERR_OK) {
        k->metrics.unanswered++;
        log_event(LOG_ERROR, "no answer", LOG_STR("why", err_name(r)));
        return r;
    }
    note_log(k);
    audit(k);
    metrics_call(&k->metrics, k->note.operation, k->note.error, k->note.attested,
                 clock_mono_ns() - began);
    return ERR_OK;
}

/* On an address of its own: whoever may know how many calls there are need not be able to make any.
 */
enum err kms_handle_metrics(void *arg, const struct server_request *rq, struct buf *response)
{
    AUTO(buf_clear) struct buf text = BUF_INIT(METRICS_TEXT_MAX_BYTES);
    struct kms *k = arg;

    if (is_get(rq, "/healthz"))
        return health(k, rq, response);
    if (!is_get(rq, "/metrics"))
        return plain(response, 404, SPAN_LIT("/metrics and /healthz are here\n"),
                     rq->head->keep_alive);
    struct server_counts counts = server_counts(k->server);
    struct localkms_documents documents = localkms_documents(k->core);
    const struct metrics_more more = {
        .connections = counts.accepted,
        .connections_open = counts.open,
        .refused = counts.refused,
        .documents_verified = documents.verified,
        .documents_kept = documents.kept,
        .healthy = !k->audit_failed,
    };
    enum err r = metrics_write(&k->metrics, &more, &text);
    return r == ERR_OK ? plain(response, 200, buf_view(&text), rq->head->keep_alive) : r;
}
