/* principals.h - who may sign requests: the operator's list of access keys. The file that people
 * write is people.h's; this one is for programs.
 *
 * A JSON array of {"access_key_id", "secret_access_key", "session_token"?, "expiration"?, "arn",
 * "policies"?}. "expiration" is written as AWS writes it (2026-01-02T03:04:05Z); "policies" is an
 * array of identity policy documents. Unknown members are refused.
 */
#ifndef LOCALKMS_PRINCIPALS_H
#define LOCALKMS_PRINCIPALS_H

#include "base/secret.h"
#include "policy/policy.h"

enum {
    PRINCIPALS_MAX = 1024,
    PRINCIPALS_FILE_MAX_BYTES = 4 << 20,
    PRINCIPAL_POLICIES_MAX = 20,
};

struct principal {
    char *access_key_id, *arn;
    struct secret secret_access_key;
    struct secret session_token; /* empty: none */
    int64_t expires_s;           /* unix; 0: never */
    struct policy_caller caller; /* points into arn */
    struct policy *policies[PRINCIPAL_POLICIES_MAX];
    size_t n_policies;
};

struct principals {
    struct principal *all;
    size_t n;
};

/* ERR_MALFORMED: why->what says what, why->at which principal, counted from 1 (0: the file).
 * ERR_LIMIT, ERR_NOMEM. *out untouched on failure. */
MUST_USE enum err principals_parse(struct span json, struct principals *out, struct why *why);
void principals_clear(struct principals *p);
/* NULL: nobody. Access key ids are not secret. */
const struct principal *principals_find(const struct principals *p, struct span access_key_id);

#endif
