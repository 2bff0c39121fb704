/* audit_log.h - the audit log as a file: lines of audit_chain.h, a head beside it, rotation by
 * size.
 *
 *     PATH                 the current file                       0600
 *     PATH.000000000123    an older one, by its first record      0600
 *     PATH.head            number and digest of the last record   0600
 *
 * A line is written before the head is. After kill -9 a line that is not whole is dropped when the
 * log is opened, and a record says so (AuditRepaired); where records are missing that the head
 * knows of, a record says that (AuditRecordsMissing). Lines reach the kernel before the call is
 * answered; they are not synced to the disk each time.
 */
#ifndef BIN_NITROSEAL_KMS_AUDIT_LOG_H
#define BIN_NITROSEAL_KMS_AUDIT_LOG_H

#include "localkms/audit_chain.h"

enum { AUDIT_PATH_BYTES = 512 };

struct audit_log;

struct audit_opened {  /* what was found */
    uint64_t sequence; /* of the last record */
    uint64_t dropped_bytes;
    bool records_missing;
};

/* ERR_IO, ERR_LIMIT (path), ERR_MALFORMED (the last line or the head is not ours), ERR_NOMEM,
 * ERR_CRYPTO. */
MUST_USE enum err audit_log_open(const char *path, uint64_t max_bytes, int64_t now_ms,
                                 struct audit_log **out, struct audit_opened *found,
                                 struct why *why);
/* On failure the file is as before and the next record takes this one's place. */
MUST_USE enum err audit_log_append(struct audit_log *a, struct span record, struct why *why);
void audit_log_close(struct audit_log *a); /* NULL is fine */

/* PATH.head */
MUST_USE enum err audit_head_path(const char *path, char out[static AUDIT_PATH_BYTES]);

#endif
