#include "bin/nitroseal-kms/metrics.h"

#include "base/prom.h"

static const struct prom_bound bounds[METRICS_BUCKETS] = {
    { 100000, "0.0001" },  { 250000, "0.00025" }, { 500000, "0.0005" }, { 1000000, "0.001" },
    { 2500000, "0.0025" }, { 5000000, "0.005" },  { 10000000, "0.01" }, { 50000000, "0.05" },
    { 250000000, "0.25" }, { 1000000000, "1" },
};

void metrics_call(struct metrics *m, const char *operation, const char *error, bool attested,
                  uint64_t duration_ns)
{
    size_t i = 0;

    while (i < m->n_calls &&
           (strcmp(m->calls[i].operation, operation) != 0 || strcmp(m->calls[i].error, error) != 0))
        i++;
    if (i == METRICS_CALLS_MAX) {
        m->calls[--i].operation = "other";
        m->calls[i].error = "other";
    } else if (i == m->n_calls) {
        m->calls[i].operation = operation;
        m->calls[i].error = error;
        m->n_calls++;
    }
    m->calls[i].count++;
    m->buckets[prom_bucket(bounds, METRICS_BUCKETS, duration_ns)]++;
    m->time_ns += duration_ns;
    m->attested += attested;
}

static void put_calls(struct prom *p, const struct metrics *m)
{
    prom_describe(p, "calls_total", "counter", "Calls answered, by operation and error.");
    for (size_t i = 0; i < m->n_calls; i++)
        prom_u64(
            p, "calls_total",
            PROM_LABELS({ "operation", m->calls[i].operation }, { "error", m->calls[i].error }),
            m->calls[i].count);
}

enum err metrics_write(const struct metrics *m, const struct metrics_more *more, struct buf *out)
{
    struct prom p = prom_begin(out, "nitroseal_kms_");

    put_calls(&p, m);
    prom_describe(&p, "call_seconds", "histogram", "Time in the server for a call.");
    prom_histogram(&p, "call_seconds", NULL, bounds, METRICS_BUCKETS, m->buckets, 9, m->time_ns);
    prom_single(&p, "attested_calls_total", "counter", "Calls with a document.", m->attested);
    prom_single(&p, "unanswered_total", "counter", "Calls that could not be answered.",
                m->unanswered);
    prom_single(&p, "documents_verified_total", "counter", "Attestation documents verified.",
                more->documents_verified);
    prom_single(&p, "documents_kept_total", "counter",
                "Attestation documents found among those verified before.", more->documents_kept);
    prom_single(&p, "connections_total", "counter", "Connections accepted.", more->connections);
    prom_single(&p, "connections_open", "gauge", "Connections open now.", more->connections_open);
    prom_single(&p, "http_refused_total", "counter",
                "Messages that were no request to be answered.", more->refused);
    prom_single(&p, "audit_records_total", "counter", "Records in the audit log.",
                m->audit_records);
    prom_single(&p, "audit_failures_total", "counter", "Records that could not be written.",
                m->audit_failures);
    prom_single(&p, "healthy", "gauge", "1 if /healthz says so.", more->healthy);
    prom_process(&p, "start_time_seconds", "gauge", "Start, in unix seconds.",
                 (uint64_t)m->started_s);
    return prom_end(&p);
}
