#include "bin/nitroseal-kms/metrics.h"

#include <stdio.h>

static const struct {
    uint64_t ns;
    const char *seconds;
} bounds[METRICS_BUCKETS] = {
    { 100000, "0.0001" },  { 250000, "0.00025" }, { 500000, "0.0005" }, { 1000000, "0.001" },
    { 2500000, "0.0025" }, { 5000000, "0.005" },  { 10000000, "0.01" }, { 50000000, "0.05" },
    { 250000000, "0.25" }, { 1000000000, "1" },
};

void metrics_call(struct metrics *m, const char *operation, const char *error, bool attested,
                  uint64_t duration_ns)
{
    size_t i = 0;
    unsigned b = 0;

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
    while (b < METRICS_BUCKETS && duration_ns > bounds[b].ns)
        b++;
    m->buckets[b]++;
    m->time_ns += duration_ns;
    m->attested += attested;
}

struct writer {
    struct buf *out;
    enum err err;
};

static void put(struct writer *w, const char *text)
{
    if (w->err == ERR_OK)
        w->err = buf_append_str(w->out, text);
}

static void put_u64(struct writer *w, uint64_t v)
{
    if (w->err == ERR_OK)
        w->err = buf_printf(w->out, " %llu\n", (unsigned long long)v);
}

static void describe(struct writer *w, const char *name, const char *type, const char *help)
{
    if (w->err == ERR_OK)
        w->err = buf_printf(w->out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void single(struct writer *w, const char *name, const char *type, const char *help,
                   uint64_t v)
{
    describe(w, name, type, help);
    put(w, name);
    put_u64(w, v);
}

static void put_calls(struct writer *w, const struct metrics *m)
{
    describe(w, "nitroseal_kms_calls_total", "counter", "Calls answered, by operation and error.");
    for (size_t i = 0; i < m->n_calls && w->err == ERR_OK; i++)
        w->err = buf_printf(
            w->out, "nitroseal_kms_calls_total{operation=\"%s\",error=\"%s\"} %llu\n",
            m->calls[i].operation, m->calls[i].error, (unsigned long long)m->calls[i].count);
}

static void put_durations(struct writer *w, const struct metrics *m)
{
    uint64_t sum = 0;

    describe(w, "nitroseal_kms_call_seconds", "histogram", "Time in the server for a call.");
    for (unsigned b = 0; b <= METRICS_BUCKETS && w->err == ERR_OK; b++) {
        sum += m->buckets[b];
        w->err =
            buf_printf(w->out, "nitroseal_kms_call_seconds_bucket{le=\"%s\"} %llu\n",
                       b < METRICS_BUCKETS ? bounds[b].seconds : "+Inf", (unsigned long long)sum);
    }
    if (w->err == ERR_OK)
        w->err = buf_printf(w->out,
                            "nitroseal_kms_call_seconds_sum %.9f\nnitroseal_kms_call_seconds_count"
                            " %llu\n",
                            (double)m->time_ns / 1e9, (unsigned long long)sum);
}

enum err metrics_write(const struct metrics *m, const struct metrics_more *more, struct buf *out)
{
    struct writer w = { .out = out };
    size_t before = out->len;

    put_calls(&w, m);
    put_durations(&w, m);
    single(&w, "nitroseal_kms_attested_calls_total", "counter", "Calls with a document.",
           m->attested);
    single(&w, "nitroseal_kms_unanswered_total", "counter", "Calls that could not be answered.",
           m->unanswered);
    single(&w, "nitroseal_kms_documents_verified_total", "counter",
           "Attestation documents verified.", more->documents_verified);
    single(&w, "nitroseal_kms_documents_kept_total", "counter",
           "Attestation documents found among those verified before.", more->documents_kept);
    single(&w, "nitroseal_kms_connections_total", "counter", "Connections accepted.",
           more->connections);
    single(&w, "nitroseal_kms_connections_open", "gauge", "Connections open now.",
           more->connections_open);
    single(&w, "nitroseal_kms_http_refused_total", "counter",
           "Messages that were no request to be answered.", more->refused);
    single(&w, "nitroseal_kms_audit_records_total", "counter", "Records in the audit log.",
           m->audit_records);
    single(&w, "nitroseal_kms_audit_failures_total", "counter",
           "Records that could not be written.", m->audit_failures);
    single(&w, "nitroseal_kms_healthy", "gauge", "1 if /healthz says so.", more->healthy);
    single(&w, "process_start_time_seconds", "gauge", "Start, in unix seconds.",
           (uint64_t)m->started_s);
    if (w.err != ERR_OK)
        buf_truncate(out, before);
    return w.err;
}
