/* lint.h - what is wrong, or weak, about a policy that parses.
 *
 * Source: security reference, kms-policy reference sections 1 to 3 and 5.
 * Each rule has an id that stays, a reason and a way to put it right. It looks at one document:
 * what IAM policies, grants and other keys add is not seen.
 */
#ifndef POLICY_LINT_H
#define POLICY_LINT_H

#include "policy/policy.h"

enum policy_severity { POLICY_NOTE, POLICY_WARNING, POLICY_ERROR };

struct policy_rule {
    const char *id;
    enum policy_severity severity;
    const char *what; /* the reason; a sentence without its end */
    const char *fix;  /* what to do */
};
/* Ends with id == NULL. */
extern const struct policy_rule policy_rules[];

enum { POLICY_LINT_MAX = 256, POLICY_LINT_DETAIL_BYTES = 256 };

struct policy_lint_finding {
    const struct policy_rule *rule;
    unsigned statement; /* counted from 1; 0: the document */
    struct span sid;
    char detail[POLICY_LINT_DETAIL_BYTES]; /* which action, key, value or principal; or "" */
};

struct policy_lint {
    struct policy_lint_finding found[POLICY_LINT_MAX]; /* by statement, the document's last */
    size_t n;
    bool more; /* there were more than fit */
};

/* Large: keep it in static storage or on the heap. Spans live as long as the policy. */
void policy_lint(const struct policy *p, struct policy_lint *out);
/* The worst, or POLICY_NOTE. */
enum policy_severity policy_lint_worst(const struct policy_lint *l);

#endif
