/* access.h - may this caller do this? Key policy and identity policies together.
 *
 * Source: kms-policy reference section 1. A denial anywhere ends it. A key policy that names the
 * caller allows; one that names the caller's account delegates, and then an identity policy of the
 * caller must allow; identity policies alone never give access to a key. For a caller of another
 * account both must allow. Operations without a key (CreateKey, ListKeys, GenerateRandom) are
 * decided by identity policies only. The root user of an account has every identity permission.
 *
 * Not here: grants, service control policies, permission boundaries, session policies.
 */
#ifndef POLICY_ACCESS_H
#define POLICY_ACCESS_H

#include "policy/policy.h"

enum access_reason {
    ACCESS_ALLOWED,
    ACCESS_DENIED_BY_KEY,
    ACCESS_DENIED_BY_IDENTITY,
    ACCESS_NOT_BY_KEY,
    ACCESS_NOT_BY_IDENTITY,
};

struct access_question {
    struct policy_request rq;
    const struct policy *key; /* NULL: the operation has no key */
    struct span key_account;
    struct policy *const *identity;
    size_t n_identity;
};

struct access {
    enum access_reason reason;
    bool has_key;
    struct policy_verdict key;      /* if there is a key policy */
    struct policy_verdict identity; /* the deciding or nearest one's */
    unsigned identity_policy;       /* which, counted from 1; 0: the caller has none */
};

void access_decide(const struct access_question *q, struct access *out);
/* For a refused one: KMS's words, what goes with AccessDeniedException. ERR_LIMIT, ERR_NOMEM. */
MUST_USE enum err access_refusal(const struct access *a, const struct policy_request *rq,
                                 struct buf *out);
/* Append one line for the operator: what decided, and what would have matched. */
MUST_USE enum err access_explain(const struct access *a, struct buf *out);

#endif
