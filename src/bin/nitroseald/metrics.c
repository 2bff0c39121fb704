#include "bin/nitroseald/metrics.h"

#include "base/prom.h"

static const struct prom_bound bounds[METRICS_BUCKETS] = {
    { 100000, "0.0001" },  { 250000, "0.00025" }, { 500000, "0.0005" }, { 1000000, "0.001" },
    { 2500000, "0.0025" }, { 5000000, "0.005" },  { 10000000, "0.01" }, { 25000000, "0.025" },
    { 50000000, "0.05" },  { 100000000, "0.1" },  { 1000000000, "1" },  { 10000000000, "10" },
};

static void count_result(struct metrics *m, const char *operation, const char *result)
{
    size_t i = 0;

    while (i < m->n_results && (strcmp(m->results[i].operation, operation) != 0 ||
                                strcmp(m->results[i].result, result) != 0))
        i++;
    if (i == METRICS_RESULTS_MAX) {
        m->results[--i].operation = "other";
        m->results[i].result = "other";
    } else if (i == m->n_results) {
        m->results[i].operation = operation;
        m->results[i].result = result;
        m->n_results++;
    }
    m->results[i].count++;
}

static void count_time(struct metrics *m, const char *operation, uint64_t ns)
{
    size_t i = 0;

    while (i < m->n_times && strcmp(m->times[i].operation, operation) != 0)
        i++;
    if (i == METRICS_OPERATIONS_MAX)
        m->times[--i].operation = "other";
    else if (i == m->n_times)
        m->times[m->n_times++].operation = operation;
    m->times[i].buckets[prom_bucket(bounds, METRICS_BUCKETS, ns)]++;
    m->times[i].ns += ns;
}

void metrics_request(struct metrics *m, const char *operation, const char *result, uint64_t ns)
{
    count_result(m, operation, result);
    count_time(m, operation, ns);
}

void metrics_kms(struct metrics *m, const char *result)
{
    size_t i = 0;

    while (i < m->n_kms && strcmp(m->kms[i].result, result) != 0)
        i++;
    if (i == METRICS_KMS_MAX)
        m->kms[--i].result = "other";
    else if (i == m->n_kms)
        m->kms[m->n_kms++].result = result;
    m->kms[i].count++;
}

static void put_results(struct prom *p, const struct metrics *m)
{
    prom_describe(p, "requests_total", "counter", "Requests answered, by operation and result.");
    for (size_t i = 0; i < m->n_results; i++)
        prom_u64(p, "requests_total",
                 PROM_LABELS({ "operation", m->results[i].operation },
                             { "result", m->results[i].result }),
                 m->results[i].count);
}

static void put_times(struct prom *p, const struct metrics *m)
{
    prom_describe(p, "request_seconds", "histogram",
                  "From the whole request to its answer, by operation.");
    for (size_t i = 0; i < m->n_times; i++)
        prom_histogram(p, "request_seconds", PROM_LABELS({ "operation", m->times[i].operation }),
                       bounds, METRICS_BUCKETS, m->times[i].buckets, 6, m->times[i].ns);
}

static void put_kms(struct prom *p, const struct metrics *m, const struct metrics_now *now)
{
    prom_describe(p, "kms_calls_total", "counter",
                  "Calls to KMS: ok, refused, or how the connection broke.");
    for (size_t i = 0; i < m->n_kms; i++)
        prom_u64(p, "kms_calls_total", PROM_LABELS({ "result", m->kms[i].result }),
                 m->kms[i].count);
    prom_single(p, "kms_retries_total", "counter", "Calls to KMS beyond a request's first.",
                m->kms_retries);
    prom_single(p, "kms_connections", "gauge", "Connections to KMS.", now->kms_connections);
    prom_single(p, "kms_waiting", "gauge", "Calls that wait for a connection.", now->kms_waiting);
}

static void put_identity(struct prom *p, const struct metrics_now *now)
{
    if (now->has_document) {
        prom_describe(p, "attestation_document_age_seconds", "gauge",
                      "Age of the document in use.");
        prom_fixed(p, "attestation_document_age_seconds", NULL, 3, now->document_age_s);
    }
    prom_describe(p, "recipient_key_age_seconds", "gauge", "Age of the RSA key in use.");
    prom_fixed(p, "recipient_key_age_seconds", NULL, 3, now->key_age_s);
    prom_single(p, "credentials_held", "gauge", "1 if the service holds AWS credentials.",
                now->has_credentials);
    if (now->credentials_expire_s) {
        prom_describe(p, "credentials_expire_seconds", "gauge",
                      "Until the held credentials expire.");
        prom_i64(p, "credentials_expire_seconds", NULL, now->credentials_expire_s);
    }
}

static void put_load(struct prom *p, const struct metrics *m, const struct metrics_now *now)
{
    prom_single(p, "requests_running", "gauge",
                "Requests between their last byte and their answer.", now->running);
    prom_single(p, "work_queued", "gauge", "Cryptographic work that waits for a core.",
                now->work_queued);
    prom_single(p, "connections", "gauge", "Open connections of clients.", now->connections);
    prom_single(p, "connections_total", "counter", "Connections accepted.", m->connections);
    prom_single(p, "connections_refused_total", "counter", "Connections beyond the limit.",
                m->refused);
    prom_single(p, "buffered_bytes", "gauge", "Requests and unread answers in memory.",
                now->buffered);
    if (now->resident_bytes)
        prom_process(p, "resident_memory_bytes", "gauge", "Resident memory.", now->resident_bytes);
}

static void put_cache(struct prom *p, const struct metrics_now *now)
{
    const struct {
        const char *reason;
        uint64_t count;
    } evictions[] = {
        { "age", now->cache.aged },
        { "use", now->cache.used_up },
        { "room", now->cache.pushed_out },
        { "change", now->cache.cleared },
    };

    prom_single(p, "data_keys_kept", "gauge", "Data keys in the cache.", now->cache.entries);
    prom_single(p, "data_key_cache_hits_total", "counter", "Messages whose data key was kept.",
                now->cache.hits);
    prom_single(p, "data_key_cache_misses_total", "counter", "Messages whose data key was not.",
                now->cache.misses);
    prom_describe(p, "data_key_cache_evictions_total", "counter", "Data keys wiped, by reason.");
    for (size_t i = 0; i < sizeof evictions / sizeof evictions[0]; i++)
        prom_u64(p, "data_key_cache_evictions_total",
                 PROM_LABELS({ "reason", evictions[i].reason }), evictions[i].count);
}

enum err metrics_write(const struct metrics *m, const struct metrics_now *now, struct buf *out)
{
    struct prom p = prom_begin(out, "nitroseal_");

    prom_describe(&p, "build_info", "gauge", "1; the version is the label.");
    prom_u64(&p, "build_info", PROM_LABELS({ "version", now->version }), 1);
    put_results(&p, m);
    put_times(&p, m);
    put_kms(&p, m, now);
    put_identity(&p, now);
    put_load(&p, m, now);
    put_cache(&p, now);
    return prom_end(&p);
}
