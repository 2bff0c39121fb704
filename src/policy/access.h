/* access.h - may this caller do this? Key policy, identity policies and grants together.
 *
 * Source: kms-policy reference section 1. A denial anywhere ends it. A key policy that names the
 * caller allows; one that names the caller's account delegates, and then an identity policy of the
 * caller must allow; identity policies alone never give access to a key. For a caller of another
 * account both must allow. Operations without a key (CreateKey, ListKeys, GenerateRandom) are
 * decided by identity policies only. The root user of an account has every identity permission; a
 * service has no account and no identity policies, so a key policy or grant that names it is
 * enough. A grant allows what the key policy might have allowed by naming the caller.
 *
 * Not here: service control policies, permission boundaries, session policies.
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

struct policy_pair {
    struct span name, value;
};

/* What somebody may do although no policy says so. The encryption context has to be exactly
 * `equals` and to hold all of `subset`; operations without one do not ask (the KMS guide,
 * CreateGrant). A grant to a role is one to its sessions. */
struct policy_grant {
    struct span grantee;           /* ARN, or a service's name */
    const struct span *operations; /* "Decrypt", ... */
    size_t n_operations;
    bool has_equals;
    const struct policy_pair *equals, *subset;
    size_t n_equals, n_subset;
};
bool policy_grant_allows(const struct policy_grant *g, const struct policy_request *rq);

struct access_question {
    struct policy_request rq;
    const struct policy *key; /* NULL: the operation has no key */
    struct span key_account;
    struct policy *const *identity;
    size_t n_identity;
    const struct policy_grant *grants; /* on this key */
    size_t n_grants;
};

struct access {
    enum access_reason reason;
    bool has_key;
    struct policy_verdict key;      /* if there is a key policy */
    struct policy_verdict identity; /* the deciding or nearest one's */
    unsigned identity_policy;       /* which, counted from 1; 0: the caller has none */
    unsigned grant;                 /* which allows, where the key policy does not; 0: none */
};

void access_decide(const struct access_question *q, struct access *out);
/* For a refused one: KMS's words, what goes with AccessDeniedException. ERR_LIMIT, ERR_NOMEM. */
MUST_USE enum err access_refusal(const struct access *a, const struct policy_request *rq,
                                 struct buf *out);
/* Append one line for the operator: what decided, and what would have matched. */
MUST_USE enum err access_explain(const struct access *a, struct buf *out);

#endif
