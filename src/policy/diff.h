/* diff.h - what changed from one policy to another, by meaning.
 *
 * Order of statements and of values, one value or a list of one, an account by number or by the ARN
 * of its root, letters of actions and condition keys: none of these is a change. Actions are
 * compared as the actions of KMS that they stand for, so kms:Describe* and kms:DescribeKey are the
 * same; patterns that stand for none of them as text. Statements are paired that are equal, else by
 * Sid, else by what they have in common.
 */
#ifndef POLICY_DIFF_H
#define POLICY_DIFF_H

#include "policy/policy.h"

enum policy_part {
    POLICY_PART_STATEMENT, /* it came or went; what it says follows */
    POLICY_PART_SID,
    POLICY_PART_EFFECT,
    POLICY_PART_PRINCIPAL,
    POLICY_PART_ACTION,
    POLICY_PART_RESOURCE,
    POLICY_PART_CONDITION,
};

struct policy_change {
    bool added; /* else taken away */
    enum policy_part part;
    unsigned before, after; /* number of the statement in either policy; 0: it is not there */
    struct span sid;        /* of the later one if it is there */
    bool negated;           /* of NotPrincipal, NotResource */
    struct span value;      /* principal, action, resource, effect, Sid or value of a condition */
    /* Of a condition. */
    const char *quantifier, *op;
    bool if_exists;
    struct span key;
};

typedef void policy_change_fn(void *arg, const struct policy_change *c);

/* Calls `emit` for each change, by statement of `after`, then what is gone. Returns how many. */
size_t policy_diff(const struct policy *before, const struct policy *after, policy_change_fn *emit,
                   void *arg);

#endif
