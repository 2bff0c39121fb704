#include "gateway/metrics.h"

static const struct {
    uint64_t ns;
    const char *seconds;
} bounds[GATEWAY_BUCKETS] = {
    { 100000, "0.0001" },  { 250000, "0.00025" }, { 500000, "0.0005" },  { 1000000, "0.001" },
    { 2500000, "0.0025" }, { 5000000, "0.005" },  { 10000000, "0.01" },  { 25000000, "0.025" },
    { 50000000, "0.05" },  { 100000000, "0.1" },  { 250000000, "0.25" }, { 1000000000, "1" },
    { 10000000000, "10" }, { 60000000000, "60" },
};

void gateway_count_answer(struct gateway_counts *c, unsigned status, uint64_t ns)
{
    size_t b = 0;

    while (b < GATEWAY_BUCKETS && ns > bounds[b].ns)
        b++;
    c->answers[status / 100 < GATEWAY_CLASSES ? status / 100 : 0]++;
    c->buckets[b]++;
    c->ns += ns;
}

/* Sticky, like the other writers here. */
struct writer {
    struct buf *out;
    enum err err;
    const struct gateway_now *now;
};

#define PUT(w, ...)                                                                                \
    do {                                                                                           \
        if ((w)->err == ERR_OK)                                                                    \
            (w)->err = buf_printf((w)->out, __VA_ARGS__);                                          \
    } while (0)

#define NAME "nitroseal_gateway_"

static void describe(struct writer *w, const char *name, const char *type, const char *help)
{
    PUT(w, "# HELP " NAME "%s %s\n# TYPE " NAME "%s %s\n", name, help, name, type);
}

static void single(struct writer *w, const char *name, const char *type, const char *help,
                   uint64_t v)
{
    describe(w, name, type, help);
    PUT(w, NAME "%s %llu\n", name, (unsigned long long)v);
}

/* One number of each enclave. */
typedef uint64_t pick_fn(const struct gateway_enclave_now *e);

static void each(struct writer *w, const char *name, const char *type, const char *help,
                 pick_fn *pick)
{
    describe(w, name, type, help);
    for (size_t i = 0; i < w->now->n_enclaves; i++)
        PUT(w, NAME "%s{enclave=\"%s\"} %llu\n", name, w->now->enclaves[i].name,
            (unsigned long long)pick(&w->now->enclaves[i]));
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

static void put_answers(struct writer *w)
{
    static const char *const class[GATEWAY_CLASSES] = { "none", NULL, "2xx", "3xx", "4xx", "5xx" };

    describe(w, "requests_total", "counter",
             "Requests answered, by enclave and status; enclave \"\": by the gateway itself; code "
             "none: its client left first, or the answer was cut.");
    for (size_t c = 0; c < GATEWAY_CLASSES; c++) {
        if (!class[c])
            continue;
        for (size_t i = 0; i < w->now->n_enclaves; i++)
            PUT(w, NAME "requests_total{enclave=\"%s\",code=\"%s\"} %llu\n",
                w->now->enclaves[i].name, class[c],
                (unsigned long long)w -> now -> enclaves[i].counts->answers[c]);
        PUT(w, NAME "requests_total{enclave=\"\",code=\"%s\"} %llu\n", class[c],
            (unsigned long long)w -> now -> own[c]);
    }
}

static void put_failures(struct writer *w)
{
    static const char *const reasons[GATEWAY_FAILURES] = { "connect", "broken", "timeout" };

    describe(w, "failures_total", "counter",
             "Times that an enclave could not be reached, broke off, or was silent for too long.");
    for (size_t i = 0; i < w->now->n_enclaves; i++)
        for (size_t f = 0; f < GATEWAY_FAILURES; f++)
            PUT(w, NAME "failures_total{enclave=\"%s\",reason=\"%s\"} %llu\n",
                w->now->enclaves[i].name, reasons[f],
                (unsigned long long)w->now->enclaves[i].counts->failures[f]);
}

static void put_connections(struct writer *w)
{
    describe(w, "enclave_connections", "gauge", "Connections to enclaves, by use.");
    for (size_t i = 0; i < w->now->n_enclaves; i++) {
        const struct gateway_enclave_now *e = &w->now->enclaves[i];
        PUT(w, NAME "enclave_connections{enclave=\"%s\",state=\"active\"} %u\n", e->name,
            e->active);
        PUT(w, NAME "enclave_connections{enclave=\"%s\",state=\"idle\"} %u\n", e->name, e->idle);
    }
}

static void put_times(struct writer *w)
{
    describe(w, "request_seconds", "histogram",
             "From the head of a request to the last byte of its answer.");
    for (size_t i = 0; i < w->now->n_enclaves; i++) {
        const struct gateway_enclave_now *e = &w->now->enclaves[i];
        uint64_t sum = 0;
        for (size_t b = 0; b <= GATEWAY_BUCKETS; b++) {
            sum += e->counts->buckets[b];
            PUT(w, NAME "request_seconds_bucket{enclave=\"%s\",le=\"%s\"} %llu\n", e->name,
                b < GATEWAY_BUCKETS ? bounds[b].seconds : "+Inf", (unsigned long long)sum);
        }
        PUT(w, NAME "request_seconds_sum{enclave=\"%s\"} %.6f\n", e->name,
            (double)e->counts->ns / 1e9);
        PUT(w, NAME "request_seconds_count{enclave=\"%s\"} %llu\n", e->name,
            (unsigned long long)sum);
    }
}

static void put_pushes(struct writer *w)
{
    describe(w, "credential_pushes_total", "counter", "Credentials given to enclaves.");
    for (size_t i = 0; i < w->now->n_enclaves; i++) {
        const struct gateway_enclave_now *e = &w->now->enclaves[i];
        PUT(w, NAME "credential_pushes_total{enclave=\"%s\",result=\"ok\"} %llu\n", e->name,
            (unsigned long long)e->counts->pushes_good);
        PUT(w, NAME "credential_pushes_total{enclave=\"%s\",result=\"failed\"} %llu\n", e->name,
            (unsigned long long)e->counts->pushes_bad);
    }
    describe(w, "credentials_age_seconds", "gauge", "Since an enclave took its credentials.");
    for (size_t i = 0; i < w->now->n_enclaves; i++)
        if (w->now->enclaves[i].has_credentials)
            PUT(w, NAME "credentials_age_seconds{enclave=\"%s\"} %llu\n", w->now->enclaves[i].name,
                (unsigned long long)w->now->enclaves[i].credentials_age_s);
}

static void put_credentials(struct writer *w)
{
    const struct gateway_now *now = w->now;

    if (!now->keeps_credentials)
        return;
    put_pushes(w);
    describe(w, "credential_fetches_total", "counter", "Times credentials were looked for.");
    PUT(w, NAME "credential_fetches_total{result=\"ok\"} %llu\n",
        (unsigned long long)now->fetches_good);
    PUT(w, NAME "credential_fetches_total{result=\"failed\"} %llu\n",
        (unsigned long long)now->fetches_bad);
    single(w, "credentials_held", "gauge", "1 if there are any.", now->has_credentials);
    if (now->credentials_expire_s) {
        describe(w, "credentials_expire_seconds", "gauge", "Until they end.");
        PUT(w, NAME "credentials_expire_seconds %lld\n", (long long)now->credentials_expire_s);
    }
}

static void put_own(struct writer *w)
{
    const struct gateway_now *now = w->now;

    single(w, "connections", "gauge", "Open connections of clients.", now->connections);
    single(w, "connections_total", "counter", "Connections accepted.", now->accepted);
    single(w, "connections_refused_total", "counter", "Connections beyond the limit.",
           now->refused);
    single(w, "waiting", "gauge", "Requests that wait for an enclave.", now->waiting);
    single(w, "request_bytes_total", "counter", "Bytes of bodies sent to enclaves.", now->bytes_in);
    single(w, "answer_bytes_total", "counter", "Bytes of bodies that came from them.",
           now->bytes_out);
    if (now->resident_bytes)
        PUT(w,
            "# HELP process_resident_memory_bytes Resident memory.\n"
            "# TYPE process_resident_memory_bytes gauge\nprocess_resident_memory_bytes %llu\n",
            (unsigned long long)now->resident_bytes);
}

enum err gateway_metrics_write(const struct gateway_now *now, struct buf *out)
{
    struct writer w = { .out = out, .now = now };
    size_t before = out->len;

    describe(&w, "build_info", "gauge", "1; the version is the label.");
    PUT(&w, NAME "build_info{version=\"%s\"} 1\n", now->version);
    each(&w, "enclave_up", "gauge", "1 if requests are sent to it.", pick_up);
    each(&w, "in_flight", "gauge", "Requests that it works on.", pick_in_flight);
    put_answers(&w);
    put_failures(&w);
    each(&w, "retries_total", "counter",
         "Requests that were sent again, after this enclave had not answered or was busy.",
         pick_retries);
    each(&w, "probes_failed_total", "counter", "Health checks that failed.", pick_probes);
    put_connections(&w);
    each(&w, "enclave_connections_total", "counter", "Connections opened.", pick_connects);
    put_times(&w);
    put_credentials(&w);
    put_own(&w);
    if (w.err != ERR_OK)
        buf_truncate(out, before);
    return w.err;
}
