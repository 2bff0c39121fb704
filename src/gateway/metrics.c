#include "gateway/metrics.h"

#include "base/prom.h"

static const struct prom_bound bounds[GATEWAY_BUCKETS] = {
    { 100000, "0.0001" },  { 250000, "0.00025" }, { 500000, "0.0005" },  { 1000000, "0.001" },
    { 2500000, "0.0025" }, { 5000000, "0.005" },  { 10000000, "0.01" },  { 25000000, "0.025" },
    { 50000000, "0.05" },  { 100000000, "0.1" },  { 250000000, "0.25" }, { 1000000000, "1" },
    { 10000000000, "10" }, { 60000000000, "60" },
};

void gateway_count_answer(struct gateway_counts *c, unsigned status, uint64_t ns)
{
    c->answers[status / 100 < GATEWAY_CLASSES ? status / 100 : 0]++;
    c->buckets[prom_bucket(bounds, GATEWAY_BUCKETS, ns)]++;
    c->ns += ns;
}

/* One number of each enclave. */
typedef uint64_t pick_fn(const struct gateway_enclave_now *e);

static void each(struct prom *p, const struct gateway_now *now, const char *name, const char *type,
                 const char *help, pick_fn *pick)
{
    prom_describe(p, name, type, help);
    for (size_t i = 0; i < now->n_enclaves; i++)
        prom_u64(p, name, PROM_LABELS({ "enclave", now->enclaves[i].name }),
                 pick(&now->enclaves[i]));
}

static uint64_t pick_up(const struct gateway_enclave_now *e)
{
    return e->usable;
}

static uint64_t pick_in_flight(const struct gateway_enclave_now *e)
{
    return e->in_flight;
}

static uint64_t pick_retries(const struct gateway_enclave_now *e)
{
    return e->counts->retries;
}

static uint64_t pick_probes(const struct gateway_enclave_now *e)
{
    return e->counts->probes_bad;
}

static uint64_t pick_connects(const struct gateway_enclave_now *e)
{
    return e->counts->connects;
}

static void put_answers(struct prom *p, const struct gateway_now *now)
{
    static const char *const class[GATEWAY_CLASSES] = { "none", NULL, "2xx", "3xx", "4xx", "5xx" };

    prom_describe(p, "requests_total", "counter",
                  "Requests answered, by enclave and status; enclave \"\": by the gateway itself; "
                  "code none: its client left first, or the answer was cut.");
    for (size_t c = 0; c < GATEWAY_CLASSES; c++) {
        if (!class[c])
            continue;
        for (size_t i = 0; i < now->n_enclaves; i++)
            prom_u64(p, "requests_total",
                     PROM_LABELS({ "enclave", now->enclaves[i].name }, { "code", class[c] }),
                     now->enclaves[i].counts->answers[c]);
        prom_u64(p, "requests_total", PROM_LABELS({ "enclave", "" }, { "code", class[c] }),
                 now->own[c]);
    }
}

static void put_failures(struct prom *p, const struct gateway_now *now)
{
    static const char *const reasons[GATEWAY_FAILURES] = { "connect", "broken", "timeout" };

    prom_describe(
        p, "failures_total", "counter",
        "Times that an enclave could not be reached, broke off, or was silent for too long.");
    for (size_t i = 0; i < now->n_enclaves; i++)
        for (size_t f = 0; f < GATEWAY_FAILURES; f++)
            prom_u64(p, "failures_total",
                     PROM_LABELS({ "enclave", now->enclaves[i].name }, { "reason", reasons[f] }),
                     now->enclaves[i].counts->failures[f]);
}

static void put_connections(struct prom *p, const struct gateway_now *now)
{
    static const char name[] = "enclave_connections";

    prom_describe(p, name, "gauge", "Connections to enclaves, by use.");
    for (size_t i = 0; i < now->n_enclaves; i++) {
        const struct gateway_enclave_now *e = &now->enclaves[i];
        prom_u64(p, name, PROM_LABELS({ "enclave", e->name }, { "state", "active" }), e->active);
        prom_u64(p, name, PROM_LABELS({ "enclave", e->name }, { "state", "idle" }), e->idle);
    }
}

static void put_times(struct prom *p, const struct gateway_now *now)
{
    prom_describe(p, "request_seconds", "histogram",
                  "From the head of a request to the last byte of its answer.");
    for (size_t i = 0; i < now->n_enclaves; i++)
        prom_histogram(p, "request_seconds", PROM_LABELS({ "enclave", now->enclaves[i].name }),
                       bounds, GATEWAY_BUCKETS, now->enclaves[i].counts->buckets, 6,
                       now->enclaves[i].counts->ns);
}

static void put_pushes(struct prom *p, const struct gateway_now *now)
{
    static const char name[] = "credential_pushes_total";

    prom_describe(p, name, "counter", "Credentials given to enclaves.");
    for (size_t i = 0; i < now->n_enclaves; i++) {
        const struct gateway_enclave_now *e = &now->enclaves[i];
        prom_u64(p, name, PROM_LABELS({ "enclave", e->name }, { "result", "ok" }),
                 e->counts->pushes_good);
        prom_u64(p, name, PROM_LABELS({ "enclave", e->name }, { "result", "failed" }),
                 e->counts->pushes_bad);
    }
    prom_describe(p, "credentials_age_seconds", "gauge", "Since an enclave took its credentials.");
    for (size_t i = 0; i < now->n_enclaves; i++)
        if (now->enclaves[i].has_credentials)
            prom_u64(p, "credentials_age_seconds",
                     PROM_LABELS({ "enclave", now->enclaves[i].name }),
                     now->enclaves[i].credentials_age_s);
}

static void put_credentials(struct prom *p, const struct gateway_now *now)
{
    static const char fetches[] = "credential_fetches_total";

    if (!now->keeps_credentials)
        return;
    put_pushes(p, now);
    prom_describe(p, fetches, "counter", "Times credentials were looked for.");
    prom_u64(p, fetches, PROM_LABELS({ "result", "ok" }), now->fetches_good);
    prom_u64(p, fetches, PROM_LABELS({ "result", "failed" }), now->fetches_bad);
    prom_single(p, "credentials_held", "gauge", "1 if there are any.", now->has_credentials);
    if (now->credentials_expire_s) {
        prom_describe(p, "credentials_expire_seconds", "gauge", "Until they end.");
        prom_i64(p, "credentials_expire_seconds", NULL, now->credentials_expire_s);
    }
}

static void put_own(struct prom *p, const struct gateway_now *now)
{
    prom_single(p, "connections", "gauge", "Open connections of clients.", now->connections);
    prom_single(p, "connections_total", "counter", "Connections accepted.", now->accepted);
    prom_single(p, "connections_refused_total", "counter", "Connections beyond the limit.",
                now->refused);
    prom_single(p, "waiting", "gauge", "Requests that wait for an enclave.", now->waiting);
    prom_single(p, "request_bytes_total", "counter", "Bytes of bodies sent to enclaves.",
                now->bytes_in);
    prom_single(p, "answer_bytes_total", "counter", "Bytes of bodies that came from them.",
                now->bytes_out);
    if (now->resident_bytes)
        prom_process(p, "resident_memory_bytes", "gauge", "Resident memory.", now->resident_bytes);
}

enum err gateway_metrics_write(const struct gateway_now *now, struct buf *out)
{
    struct prom p = prom_begin(out, "nitroseal_gateway_");

    prom_describe(&p, "build_info", "gauge", "1; the version is the label.");
    prom_u64(&p, "build_info", PROM_LABELS({ "version", now->version }), 1);
    each(&p, now, "enclave_up", "gauge", "1 if requests are sent to it.", pick_up);
    each(&p, now, "in_flight", "gauge", "Requests that it works on.", pick_in_flight);
    put_answers(&p, now);
    put_failures(&p, now);
    each(&p, now, "retries_total", "counter",
         "Requests that were sent again, after this enclave had not answered or was busy.",
         pick_retries);
    each(&p, now, "probes_failed_total", "counter", "Health checks that failed.", pick_probes);
    put_connections(&p, now);
    each(&p, now, "enclave_connections_total", "counter", "Connections opened.", pick_connects);
    put_times(&p, now);
    put_credentials(&p, now);
    put_own(&p, now);
    return prom_end(&p);
}
