/* audit_chain.h - records that hold each other: every line of an audit log carries its number and
 * the SHA-256 of the line before it, and a head beside the log says which line is the last.
 *
 *     {...record...,"chain":{"sequence":7,"previous":"<64 hex>"}}\n     digest: of the line without
 * \n head: "7 <64 hex>\n"
 *
 * So an edited, removed, reordered or cut record is noticed and named. There is no key in it:
 * whoever may write the log and the head can make both anew from any record on. Keep the head (or a
 * digest out of it) somewhere else where that matters.
 */
#ifndef LOCALKMS_AUDIT_CHAIN_H
#define LOCALKMS_AUDIT_CHAIN_H

#include "base/buf.h"
#include "crypto/hash.h"

enum {
    AUDIT_LINE_MAX_BYTES = 65536 + 256,
    AUDIT_HEAD_MAX_BYTES = 96,
    AUDIT_RECORDS_MAX = 4 << 20, /* that can be verified at once */
};

/* The last record: its number, from 1, and its digest. Zero: there is none yet. */
struct audit_tip {
    uint64_t sequence;
    uint8_t digest[SHA256_BYTES];
};

/* Append `record` (one JSON object without line ends) as the line after *tip, which becomes it.
 * ERR_MALFORMED: not an object. ERR_LIMIT, ERR_NOMEM. Both untouched on failure. */
MUST_USE enum err audit_seal(struct audit_tip *tip, struct span record, struct buf *out);

MUST_USE enum err audit_head_write(const struct audit_tip *tip, struct buf *out);
MUST_USE enum err audit_head_parse(struct span text, struct audit_tip *out);

/* What a line says of itself, and its digest. */
struct audit_line {
    uint64_t sequence;
    uint8_t previous[SHA256_BYTES], digest[SHA256_BYTES];
    bool is_repair; /* written by us: a torn line was dropped before it */
    bool is_cut;    /* written by us: records were missing when the program started */
};
/* `line` without its end. ERR_MALFORMED; out->digest is set all the same. */
MUST_USE enum err audit_line_parse(struct span line, struct audit_line *out);

/* A log under examination. */
struct audit_check;

enum audit_fault {
    AUDIT_EDITED,
    AUDIT_REMOVED,    /* from `sequence` to `last` */
    AUDIT_REORDERED,  /* stands where another should */
    AUDIT_CUT,        /* missing at the end, from `sequence` to `last` */
    AUDIT_CUT_BEFORE, /* the log itself tells that records before this one were missing */
    AUDIT_AHEAD,      /* more records than the head knows, from `sequence` to `last` */
};
struct audit_finding {
    enum audit_fault fault;
    uint64_t sequence, last;
    unsigned file, line; /* where it shows; line counted from 1 */
};
typedef void audit_finding_fn(void *arg, const struct audit_finding *f);

MUST_USE enum err audit_check_new(struct audit_check **out);
void audit_check_free(struct audit_check *a); /* NULL is fine */
/* The next line of the log, files in order. ERR_LIMIT, ERR_NOMEM. */
MUST_USE enum err audit_check_line(struct audit_check *a, struct span line, unsigned file,
                                   unsigned line_number);
/* Judge all of it; `head` NULL: none, so that a cut at the end is not noticed. The count of
 * findings. */
unsigned audit_check_end(struct audit_check *a, const struct audit_tip *head,
                         audit_finding_fn *found, void *arg);
/* After audit_check_end(). */
struct audit_summary {
    uint64_t first, last, records, repairs;
};
struct audit_summary audit_check_summary(const struct audit_check *a);

#endif
