/* metrics.h - what a Prometheus server asks the service for. Pure: counts, and the text format
 * 0.0.4. Nothing in it depends on what was encrypted.
 */
#ifndef BIN_NITROSEALD_METRICS_H
#define BIN_NITROSEALD_METRICS_H

#include "base/buf.h"

enum {
    METRICS_OPERATIONS_MAX = 16,
    METRICS_RESULTS_MAX = 256, /* pairs of operation and result; further ones count as "other" */
    METRICS_KMS_MAX = 16,
    METRICS_BUCKETS = 12,
    METRICS_TEXT_MAX_BYTES = 128 << 10,
};

struct metrics { /* texts are static */
    struct {
        const char *operation, *result;
        uint64_t count;
    } results[METRICS_RESULTS_MAX];
    size_t n_results;
    struct {
        const char *operation;
        uint64_t buckets[METRICS_BUCKETS + 1], ns;
    } times[METRICS_OPERATIONS_MAX];
    size_t n_times;
    struct {
        const char *result;
        uint64_t count;
    } kms[METRICS_KMS_MAX];
    size_t n_kms;
    uint64_t kms_retries;
    uint64_t connections, refused; /* accepted; one too many */
};

void metrics_request(struct metrics *m, const char *operation, const char *result, uint64_t ns);
void metrics_kms(struct metrics *m, const char *result);

/* How things are at this moment. */
struct metrics_now {
    const char *version;
    double document_age_s, key_age_s;
    bool has_document;
    unsigned kms_connections, kms_waiting, work_queued, running, connections;
    uint64_t buffered, resident_bytes; /* resident 0: not known */
    int64_t credentials_expire_s;      /* from now; 0: none are held, or they do not expire */
    bool has_credentials;
    struct {
        uint64_t hits, misses, aged, used_up, pushed_out, cleared;
        unsigned entries;
    } cache;
};
/* ERR_NOMEM, ERR_LIMIT. */
MUST_USE enum err metrics_write(const struct metrics *m, const struct metrics_now *now,
                                struct buf *out);

#endif
