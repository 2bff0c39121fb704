/* grants.h - inside localkms: what a grant is about, and whether one allows a call.
 *
 * Source: kms-policy reference section 1, kms-recipient section 4 and the service model. What a
 * grant allows is policy/access.h's to say; here its row becomes what that takes.
 */
#ifndef LOCALKMS_GRANTS_H
#define LOCALKMS_GRANTS_H

#include "localkms/call.h"

/* NULL-terminated, in the order of the service model; a grant's operations are bits of its indices,
 * and those are in the database: append only. */
extern const char *const grant_operations[];
enum { GRANT_OPERATIONS = 17 };

MUST_USE bool grant_operation_by_name(struct span name, unsigned *bit);
/* Ask again, with each grant on c->key that is about the action, until one allows; then
 * answer->reason says so, else *answer stays. */
MUST_USE enum err grants_decide(struct call *c, const struct access_question *q,
                                struct access *answer);

/* {"EncryptionContextSubset": {...}} or {"EncryptionContextEquals": {...}}, or both. Checked when
 * the grant is made. */
MUST_USE enum err grant_constraints_check(struct call *c, struct span constraints);

#endif
