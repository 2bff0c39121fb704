/* fault.h - the errors of KMS: their names, HTTP statuses and wire form.
 *
 * Source: kms-recipient reference sections 1 and 5, sigv4 reference section 3. A fault's text is
 * for the caller of KMS and never holds anything secret. Where the real service sends no text,
 * neither do we: the member is left out.
 */
#ifndef LOCALKMS_FAULT_H
#define LOCALKMS_FAULT_H

#include "base/buf.h"

enum fault_kind {
    FAULT_NONE,
    FAULT_ACCESS_DENIED,
    FAULT_ALREADY_EXISTS,
    FAULT_DISABLED,
    FAULT_DRY_RUN,
    FAULT_EXPIRED_IMPORT_TOKEN,
    FAULT_EXPIRED_TOKEN,
    FAULT_INCOMPLETE_SIGNATURE,
    FAULT_INCORRECT_KEY,
    FAULT_INCORRECT_KEY_MATERIAL,
    FAULT_INTERNAL, /* the only one with status 500 */
    FAULT_INVALID_ALIAS_NAME,
    FAULT_INVALID_ARN,
    FAULT_INVALID_CIPHERTEXT,
    FAULT_INVALID_GRANT_ID,
    FAULT_INVALID_GRANT_TOKEN,
    FAULT_INVALID_IMPORT_TOKEN,
    FAULT_INVALID_KEY_USAGE,
    FAULT_INVALID_MAC,
    FAULT_INVALID_MARKER,
    FAULT_INVALID_SIGNATURE,
    FAULT_INVALID_STATE,
    FAULT_KMS_INVALID_SIGNATURE,
    FAULT_LIMIT_EXCEEDED,
    FAULT_MALFORMED_POLICY,
    FAULT_MISSING_TOKEN,
    FAULT_NOT_FOUND,
    FAULT_SERIALIZATION,
    FAULT_TAG,
    FAULT_THROTTLING,
    FAULT_UNKNOWN_OPERATION,
    FAULT_UNRECOGNIZED_CLIENT,
    FAULT_UNSUPPORTED,
    FAULT_VALIDATION,
    FAULT_KINDS,
};

enum { FAULT_TEXT_MAX_BYTES = 8192 };

struct fault {
    enum fault_kind kind;
    struct buf text; /* UTF-8; empty: none */
};

/* One byte more for the NUL that printf writes. */
#define FAULT_INIT ((struct fault){ .text = BUF_INIT(FAULT_TEXT_MAX_BYTES + 1) })
void fault_clear(struct fault *f);

/* Each of these returns ERR_DENIED, so that a handler can `return fault_set(...)`. A text that does
 * not fit is left out. An earlier fault is replaced. */
MUST_USE enum err fault_set(struct fault *f, enum fault_kind kind, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Without a text. */
MUST_USE enum err fault_bare(struct fault *f, enum fault_kind kind);

/* "AccessDeniedException", ...; FAULT_NONE gives "". */
const char *fault_name(enum fault_kind kind);
unsigned fault_status(enum fault_kind kind);
/* Append {"__type":...,"message":...}; AccessDeniedException spells it "Message". ERR_MALFORMED:
 * the text is not UTF-8. ERR_LIMIT, ERR_NOMEM. *body untouched on failure. */
MUST_USE enum err fault_write(const struct fault *f, struct buf *body);

#endif
