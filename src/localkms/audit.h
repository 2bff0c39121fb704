/* audit.h - what a call did, as CloudTrail would tell it: one JSON object on one line.
 *
 * Source: kms-policy reference section 4. Of the request only members that are no secret and no
 * data are told (audit_members); a request that nobody signed tells none. Plaintexts, ciphertexts,
 * key material, grant tokens, session tokens and secrets are never in it. Chosen, not confirmed:
 * the names of NitroTPM's registers, principalId (derived from the ARN).
 */
#ifndef LOCALKMS_AUDIT_H
#define LOCALKMS_AUDIT_H

#include "http1/http1.h"
#include "localkms/localkms.h"

struct call;

/* What is left out, as too long, before the record is. */
enum { AUDIT_PARAMETERS_MAX_BYTES = LOCALKMS_AUDIT_MAX_BYTES - 8192 };

/* Append the record of a call that is over but not forgotten. ERR_LIMIT, ERR_NOMEM, ERR_CRYPTO;
 * then nothing is appended. */
MUST_USE enum err audit_record(const struct call *c, const struct http1_head *head,
                               struct buf *out);

/* May this member of a request be told? */
bool audit_tells(struct span member);

#endif
