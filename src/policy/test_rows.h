/* test_rows.h - tables of policy, request and what is decided by which statement.
 *
 * A row's statements are written with ' for " and ` for ', and stand in a document of version
 * 2012-10-17; with a ! in front in one of 2008-10-17. Facts are "key=value; key=value|value":
 * several values with |. What is wanted is one of
 *
 *     allow N, deny N, delegate N        the statement that decides, counted from 1
 *     silent                             nothing came near
 *     silent action|principal|resource N the Allow that came nearest, and where it failed
 *     silent N OPERATOR key              the same, and the condition that failed
 *     deny N OPERATOR key                a denial that has conditions
 */
#ifndef POLICY_TEST_ROWS_H
#define POLICY_TEST_ROWS_H

#include "policy/policy.h"

#define ACCOUNT "111122223333"
#define OTHER   "444455556666"
#define ALICE   "arn:aws:iam::" ACCOUNT ":user/alice"
#define BOB     "arn:aws:iam::" ACCOUNT ":user/bob"
#define ROLE    "arn:aws:iam::" ACCOUNT ":role/parent"
#define SESSION "arn:aws:sts::" ACCOUNT ":assumed-role/parent/i-0123"
#define ROOT    "arn:aws:iam::" ACCOUNT ":root"
#define EVE     "arn:aws:iam::" OTHER ":user/eve"
#define EC2     "ec2.amazonaws.com" /* a service */
#define KEY     "arn:aws:kms:us-east-1:" ACCOUNT ":key/1234abcd-12ab-34cd-56ef-1234567890ab"

#define ST(effect, who, action, rest)                                                              \
    "{'Effect':'" effect "','Principal':" who ",'Action':" action ",'Resource':'*'" rest "}"
#define AWS(who)    "{'AWS':'" who "'}"
#define IF(c)       ",'Condition':{" c "}"
#define ALLOW(who)  ST("Allow", who, "'kms:*'", "")
#define DENY(who)   ST("Deny", who, "'kms:*'", "")
#define ALLOW_IF(c) ST("Allow", "'*'", "'kms:*'", IF(c))
#define DENY_IF(c)  ST("Deny", "'*'", "'kms:*'", IF(c))
#define EVERYBODY   ALLOW("'*'")

struct rows_row {
    const char *name, *statements, *caller, *action, *facts, *want;
};

/* The pieces, for tables of another shape. */
enum { ROWS_FACTS_MAX = 32, ROWS_VALUES_MAX = 8 };
struct rows_facts {
    struct policy_fact list[ROWS_FACTS_MAX];
    struct span values[ROWS_FACTS_MAX][ROWS_VALUES_MAX];
    size_t n;
};
void rows_facts_parse(const char *text, struct rows_facts *out);
void rows_caller(const char *text, struct policy_caller *out);
struct policy *rows_parse(const char *statements, enum policy_use use);

/* Run the table as one test a row; the status for main. */
int rows_run(const char *suite, const struct rows_row *rows, size_t n);

#endif
