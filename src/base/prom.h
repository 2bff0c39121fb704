/* prom.h - what a Prometheus server asks for: the text format 0.0.4, written. Sticky: after the
 * first failure the other calls do nothing, and prom_end() tells of it.
 */
#ifndef BASE_PROM_H
#define BASE_PROM_H

#include "base/buf.h"

/* Of a page that is being written. */
struct prom {
    struct buf *out;
    const char *prefix; /* before each metric's own name */
    size_t start;
    enum err err;
};

/* The last one's name is NULL: see PROM_LABELS. */
struct prom_label {
    const char *name, *value;
};
#define PROM_LABELS(...) ((const struct prom_label[]){ __VA_ARGS__, { NULL, NULL } })

/* Where a bucket ends, and how that is written. */
struct prom_bound {
    uint64_t ns;
    const char *seconds;
};

struct prom prom_begin(struct buf *out, const char *prefix);
/* ERR_LIMIT, ERR_NOMEM: nothing of the page is in the buf. */
MUST_USE enum err prom_end(struct prom *p);

/* Before a metric's samples. `type`: counter, gauge, histogram. `help` is one line. */
void prom_describe(struct prom *p, const char *name, const char *type, const char *help);
/* One sample. `labels` NULL: none; values are escaped, names are not looked at. */
void prom_u64(struct prom *p, const char *name, const struct prom_label *labels, uint64_t v);
void prom_i64(struct prom *p, const char *name, const struct prom_label *labels, int64_t v);
/* With that many digits behind the point. */
void prom_fixed(struct prom *p, const char *name, const struct prom_label *labels, int digits,
                double v);
/* A metric of one sample without labels, described. */
void prom_single(struct prom *p, const char *name, const char *type, const char *help, uint64_t v);
/* The same, named process_... in place of the prefix: what every exporter calls alike. */
void prom_process(struct prom *p, const char *name, const char *type, const char *help, uint64_t v);

/* The first of `n` bounds, ascending, that `ns` does not pass; n: it passes all. */
size_t prom_bucket(const struct prom_bound *bounds, size_t n, uint64_t ns);
/* The samples of a histogram: `counts` has n + 1 buckets, each on its own; `sum_ns` of all that was
 * counted, written in seconds with that many digits. */
void prom_histogram(struct prom *p, const char *name, const struct prom_label *labels,
                    const struct prom_bound *bounds, size_t n, const uint64_t *counts, int digits,
                    uint64_t sum_ns);

#endif
