/* pattern.h - inside policy: a text of a policy with its wildcards and variables, against a text of
 * a request. Nothing is put together in memory: variables are walked through where they stand, and
 * what they hold is never taken for a wildcard.
 *
 * Source: IAM user guide, policy variables. ${key} is the one value of that key of the request
 * context, ${key, 'text'} the text where the key is absent; ${*}, ${?} and ${$} are these
 * characters. A variable of an absent key, or of one with several values, is no text at all:
 * whatever holds it matches nothing.
 */
#ifndef POLICY_PATTERN_H
#define POLICY_PATTERN_H

#include "policy/policy.h"

struct pattern {
    struct span text;
    bool wildcards, variables, ignore_case;
    const struct policy_request *rq; /* for variables; NULL: all keys are absent */
};

bool pattern_matches(const struct pattern *p, struct span text);
/* Component by component, as ARNs are compared: a wildcard stays within its colons. The last of six
 * takes the rest. */
bool pattern_matches_arn(const struct pattern *p, struct span arn);
/* Are all ${ closed, and names of keys or one of the three characters in them? */
bool pattern_variables_valid(struct span text);
bool pattern_has_variable(struct span text);

#endif
