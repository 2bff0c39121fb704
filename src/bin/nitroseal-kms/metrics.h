/* metrics.h - what a Prometheus server asks for: counts of calls by operation and error, how long
 * they took, documents, connections, the audit log. Pure: the text format 0.0.4. */
#ifndef BIN_NITROSEAL_KMS_METRICS_H
#define BIN_NITROSEAL_KMS_METRICS_H

#include "base/buf.h"

enum {
    METRICS_CALLS_MAX = 1024, /* pairs of operation and error; further ones count as "other" */
    METRICS_BUCKETS = 10,
    METRICS_TEXT_MAX_BYTES = 256 << 10,
};

struct metrics {
    struct {
        const char *operation, *error; /* static texts */
        uint64_t count;
    } calls[METRICS_CALLS_MAX];
    size_t n_calls;
    uint64_t buckets[METRICS_BUCKETS + 1], time_ns; /* by duration */
    uint64_t attested, unanswered;
    uint64_t audit_records, audit_failures;
    int64_t started_s; /* unix */
};

/* Texts must live as long as `m`; error "" is none. */
void metrics_call(struct metrics *m, const char *operation, const char *error, bool attested,
                  uint64_t duration_ns);

/* What others count. */
struct metrics_more {
    uint64_t connections, refused, documents_verified, documents_kept;
    unsigned connections_open;
    bool healthy;
};
MUST_USE enum err metrics_write(const struct metrics *m, const struct metrics_more *more,
                                struct buf *out);

#endif
