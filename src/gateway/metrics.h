/* metrics.h - what a Prometheus server asks the gateway for. Pure: counts, and the text format
 * 0.0.4. Nothing in it depends on what passed through.
 */
#ifndef GATEWAY_METRICS_H
#define GATEWAY_METRICS_H

#include "base/buf.h"
#include "gateway/gateway.h"

enum {
    GATEWAY_BUCKETS = 14,
    GATEWAY_CLASSES = 6, /* 0: no answer came; 1: not used; 2 to 5: the status's first digit */
    GATEWAY_METRICS_MAX_BYTES = 512 << 10,
    GATEWAY_NAME_BYTES = 24, /* "4294967295:4294967295" and its NUL */
};

enum gateway_failure {
    GATEWAY_FAIL_CONNECT, /* nobody there */
    GATEWAY_FAIL_BROKEN,  /* the connection broke, or what came is not HTTP */
    GATEWAY_FAIL_TIMEOUT,
    GATEWAY_FAILURES
};

/* Of one enclave. */
struct gateway_counts {
    uint64_t answers[GATEWAY_CLASSES];
    uint64_t failures[GATEWAY_FAILURES];
    uint64_t retries; /* requests that went on to another connection or enclave */
    uint64_t probes_bad, pushes_good, pushes_bad;
    uint64_t connects; /* connections opened */
    uint64_t buckets[GATEWAY_BUCKETS + 1], ns;
};

/* The status that the client got, and the time from the whole head to the answer's last byte. */
void gateway_count_answer(struct gateway_counts *c, unsigned status, uint64_t ns);

struct gateway_enclave_now {
    const char *name; /* "16:5000" */
    const struct gateway_counts *counts;
    unsigned in_flight, active, idle; /* requests; connections */
    enum gateway_state state;
    bool usable;
    bool has_credentials;
    uint64_t credentials_age_s; /* since it took them */
};

struct gateway_now {
    const char *version;
    const struct gateway_enclave_now *enclaves;
    size_t n_enclaves;
    const uint64_t *own;        /* answers of the gateway itself, GATEWAY_CLASSES */
    uint64_t accepted, refused; /* connections */
    unsigned connections, waiting;
    uint64_t bytes_in, bytes_out; /* content of bodies */
    bool keeps_credentials;
    uint64_t fetches_good, fetches_bad;
    int64_t credentials_expire_s; /* from now; 0: not known or never */
    bool has_credentials;
    uint64_t resident_bytes; /* 0: not known */
};
/* ERR_NOMEM, ERR_LIMIT; *out is as before then. */
MUST_USE enum err gateway_metrics_write(const struct gateway_now *now, struct buf *out);

#endif
