/* common.h - the keys of the request context that follow from who calls, when and which key: the
 * same for the local KMS and for a call that is only thought of.
 *
 * Source: IAM user guide, global condition keys; kms-policy reference section 3. kms:CallerAccount,
 * aws:PrincipalArn (of a session its role's), aws:PrincipalAccount, aws:PrincipalType,
 * aws:PrincipalIsAWSService, aws:PrincipalServiceName, aws:username (of users), aws:CurrentTime,
 * aws:EpochTime, aws:RequestedRegion, aws:ResourceAccount. Whatever depends on the connection
 * (aws:SourceIp, aws:SecureTransport) and on the operation is the caller's to add.
 */
#ifndef POLICY_COMMON_H
#define POLICY_COMMON_H

#include "base/rfc3339.h"
#include "policy/policy.h"

enum { POLICY_COMMON_MAX = 12, POLICY_ARN_MAX_BYTES = 2048 };

struct policy_common {
    struct policy_fact facts[POLICY_COMMON_MAX];
    size_t n;
    struct span values[POLICY_COMMON_MAX];
    char arn[POLICY_ARN_MAX_BYTES]; /* of a session's role */
    char time[RFC3339_BYTES], epoch[24];
};

struct policy_circumstances {
    const struct policy_caller *caller;
    int64_t now_s;           /* unix; years 1970 to 9999 */
    struct span region;      /* absent: no aws:RequestedRegion */
    struct span key_account; /* absent: the operation has no key */
};

/* Facts point into *out and into what `c` points to: *out must not move. */
void policy_common_facts(const struct policy_circumstances *c, struct policy_common *out);

#endif
