/* op_policy.h - inside localkms: a policy that somebody wants to put on a key. */
#ifndef LOCALKMS_OP_POLICY_H
#define LOCALKMS_OP_POLICY_H

#include "localkms/call.h"

/* Parse it and, unless bypassed, check that the caller can replace it later. Faults:
 * LimitExceededException, MalformedPolicyDocumentException. */
MUST_USE enum err policy_take(struct call *c, struct span text, bool bypass, struct policy **out);

/* What KMS gives a key that is made without one: the account's identity policies decide. */
MUST_USE enum err policy_default(const struct localkms *k, struct buf *out);

#endif
