#include "bin/nitroseald/metrics.h"

static const struct {
    uint64_t ns;
    const char *seconds;
} bounds[METRICS_BUCKETS] = {
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
    size_t i = 0, b = 0;

    while (i < m->n_times && strcmp(m->times[i].operation, operation) != 0)
        i++;
    if (i == METRICS_OPERATIONS_MAX)
        m->times[--i].operation = "other";
    else if (i == m->n_times)
        m->times[m->n_times++].operation = operation;
    while (b < METRICS_BUCKETS && ns > bounds[b].ns)
        b++;
    m->times[i].buckets[b]++;
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

/* Sticky, like the other writers here. */
struct writer {
    struct buf *out;
    enum err err;
};

#define PUT(w, ...)                                                                                \
    do {                                                                                           \
        if ((w)->err == ERR_OK)                                                                    \
            (w)->err = buf_printf((w)->out, __VA_ARGS__);                                          \
    } while (0)

static void describe(struct writer *w, const char *name, const char *type, const char *help)
{
    PUT(w, "# HELP nitroseal_%s %s\n# TYPE nitroseal_%s %s\n", name, help, name, type);
}

static void single(struct writer *w, const char *name, const char *type, const char *help,
                   uint64_t v)
{
    describe(w, name, type, help);
    PUT(w, "nitroseal_%s %llu\n", name, (unsigned long long)v);
}

static void put_results(struct writer *w, const struct metrics *m)
{
    describe(w, "requests_total", "counter", "Requests answered, by operation and result.");
    for (size_t i = 0; i < m->n_results; i++)
        PUT(w, "nitroseal_requests_total{operation=\"%s\",result=\"%s\"} %llu\n",
            m->results[i].operation, m->results[i].result, (unsigned long long)m->results[i].count);
}

static void put_histogram(struct writer *w, const char *operation, const uint64_t *buckets,
                          uint64_t ns)
{
    uint64_t sum = 0;

    for (size_t b = 0; b <= METRICS_BUCKETS; b++) {
        sum += buckets[b];
        PUT(w, "nitroseal_request_seconds_bucket{operation=\"%s\",le=\"%s\"} %llu\n", operation,
            b < METRICS_BUCKETS ? bounds[b].seconds : "+Inf", (unsigned long long)sum);
    }
    PUT(w, "nitroseal_request_seconds_sum{operation=\"%s\"} %.6f\n", operation, (double)ns / 1e9);
    PUT(w, "nitroseal_request_seconds_count{operation=\"%s\"} %llu\n", operation,
        (unsigned long long)sum);
}

static void put_times(struct writer *w, const struct metrics *m)
{
    describe(w, "request_seconds", "histogram",
             "From the whole request to its answer, by operation.");
    for (size_t i = 0; i < m->n_times; i++)
        put_histogram(w, m->times[i].operation, m->times[i].buckets, m->times[i].ns);
}

static void put_kms(struct writer *w, const struct metrics *m, const struct metrics_now *now)
{
    describe(w, "kms_calls_total", "counter",
             "Calls to KMS: ok, refused, or how the connection broke.");
    for (size_t i = 0; i < m->n_kms; i++)
        PUT(w, "nitroseal_kms_calls_total{result=\"%s\"} %llu\n", m->kms[i].result,
            (unsigned long long)m->kms[i].count);
    single(w, "kms_retries_total", "counter", "Calls to KMS beyond a request's first.",
           m->kms_retries);
    single(w, "kms_connections", "gauge", "Connections to KMS.", now->kms_connections);
    single(w, "kms_waiting", "gauge", "Calls that wait for a connection.", now->kms_waiting);
}

static void put_identity(struct writer *w, const struct metrics_now *now)
{
    if (now->has_document) {
        describe(w, "attestation_document_age_seconds", "gauge", "Age of the document in use.");
        PUT(w, "nitroseal_attestation_document_age_seconds %.3f\n", now->document_age_s);
    }
    describe(w, "recipient_key_age_seconds", "gauge", "Age of the RSA key in use.");
    PUT(w, "nitroseal_recipient_key_age_seconds %.3f\n", now->key_age_s);
    single(w, "credentials_held", "gauge", "1 if the service holds AWS credentials.",
           now->has_credentials);
    if (now->credentials_expire_s) {
        describe(w, "credentials_expire_seconds", "gauge", "Until the held credentials expire.");
        PUT(w, "nitroseal_credentials_expire_seconds %lld\n", (long long)now->credentials_expire_s);
    }
}

static void put_load(struct writer *w, const struct metrics *m, const struct metrics_now *now)
{
    single(w, "requests_running", "gauge", "Requests between their last byte and their answer.",
           now->running);
    single(w, "work_queued", "gauge", "Cryptographic work that waits for a core.",
           now->work_queued);
    single(w, "connections", "gauge", "Open connections of clients.", now->connections);
    single(w, "connections_total", "counter", "Connections accepted.", m->connections);
    single(w, "connections_refused_total", "counter", "Connections beyond the limit.", m->refused);
    single(w, "buffered_bytes", "gauge", "Requests in memory.", now->buffered);
    if (now->resident_bytes)
        PUT(w,
            "# HELP process_resident_memory_bytes Resident memory.\n"
            "# TYPE process_resident_memory_bytes gauge\nprocess_resident_memory_bytes %llu\n",
            (unsigned long long)now->resident_bytes);
}

static void put_cache(struct writer *w, const struct metrics_now *now)
{
    single(w, "data_keys_kept", "gauge", "Data keys in the cache.", now->cache.entries);
    single(w, "data_key_cache_hits_total", "counter", "Messages whose data key was kept.",
           now->cache.hits);
    single(w, "data_key_cache_misses_total", "counter", "Messages whose data key was not.",
           now->cache.misses);
    describe(w, "data_key_cache_evictions_total", "counter", "Data keys wiped, by reason.");
    PUT(w,
        "nitroseal_data_key_cache_evictions_total{reason=\"age\"} %llu\n"
        "nitroseal_data_key_cache_evictions_total{reason=\"use\"} %llu\n"
        "nitroseal_data_key_cache_evictions_total{reason=\"room\"} %llu\n"
        "nitroseal_data_key_cache_evictions_total{reason=\"change\"} %llu\n",
        (unsigned long long)now->cache.aged, (unsigned long long)now->cache.used_up,
        (unsigned long long)now->cache.pushed_out, (unsigned long long)now->cache.cleared);
}

enum err metrics_write(const struct metrics *m, const struct metrics_now *now, struct buf *out)
{
    struct writer w = { .out = out };
    size_t before = out->len;

    describe(&w, "build_info", "gauge", "1; the version is the label.");
    PUT(&w, "nitroseal_build_info{version=\"%s\"} 1\n", now->version);
    put_results(&w, m);
    put_times(&w, m);
    put_kms(&w, m, now);
    put_identity(&w, now);
    put_load(&w, m, now);
    put_cache(&w, now);
    if (w.err != ERR_OK)
        buf_truncate(out, before);
    return w.err;
}
