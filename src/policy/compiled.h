/* compiled.h - inside policy: the compiled form of a document, shared by the files that build,
 * match, explain, compare and criticise it. Texts point into the policy's own copy of the document
 * or, where they had escapes, into its scratch. */
#ifndef POLICY_COMPILED_H
#define POLICY_COMPILED_H

#include "policy/policy.h"

struct policy_list {
    struct span *items;
    size_t n;
};

enum principal_kind {
    PRINCIPAL_ANYONE,
    PRINCIPAL_ACCOUNT,
    PRINCIPAL_ARN,
    PRINCIPAL_SERVICE,
    PRINCIPAL_ABSENT, /* federation, deleted identities: never one of our callers */
};

struct policy_principal {
    enum principal_kind kind;
    struct span text;         /* as written */
    struct policy_caller who; /* of ACCOUNT (partition empty for a bare number) and ARN */
};

enum operator_test {
    TEST_STRING,
    TEST_LIKE,
    TEST_NUMBER,
    TEST_DATE,
    TEST_BOOL,
    TEST_BINARY,
    TEST_ADDRESS,
    TEST_ARN,
    TEST_NULL,
};

enum operator_order {
    ORDER_EQUAL,
    ORDER_LESS,
    ORDER_LESS_EQUAL,
    ORDER_GREATER,
    ORDER_GREATER_EQUAL
};

struct policy_operator {
    const char *name;
    enum operator_test test;
    enum operator_order order; /* of numbers and dates */
    bool negated, ignore_case;
};
/* Ends with name == NULL. */
extern const struct policy_operator policy_operators[];

enum policy_quantifier { QUANTIFIER_NONE, QUANTIFIER_ALL, QUANTIFIER_ANY };

struct policy_condition {
    const struct policy_operator *op;
    enum policy_quantifier quantifier;
    bool if_exists;
    struct span key;
    struct policy_list values;
};

struct policy_statement {
    struct span sid;
    size_t at; /* offset of its brace in the document */
    bool allows;
    bool not_principals, not_actions, not_resources;
    struct policy_principal *principals;
    size_t n_principals;
    struct policy_list actions, resources; /* n 0: not given, so it never applies */
    struct policy_condition *conditions;
    size_t n_conditions;
};

struct policy {
    struct buf text, scratch;
    enum policy_use use;
    struct span version; /* absent: the old one */
    bool variables;      /* ${...} is one: in version 2012-10-17 only */
    struct policy_statement *statements;
    size_t n;
};

/* operators.c */
/* The name with its prefix and suffix. False: there is no such operator. */
bool policy_operator_find(struct span name, struct policy_condition *out);
/* Is it a value that the operator can compare with? NULL, or what is wrong. */
const char *policy_value_fault(const struct policy_operator *op, struct span value);
/* Whether one value of the request matches one of the policy's, before negation. */
bool policy_value_matches(const struct policy_operator *op, bool variables, struct span wanted,
                          struct span got, const struct policy_request *rq);

/* principal.c. False: nothing that may stand there. `type`: "AWS", "Service", "Federated". */
bool policy_principal_parse(struct span type, struct span value, struct policy_principal *out);
enum principal_match { PRINCIPAL_NO, PRINCIPAL_BY_ACCOUNT, PRINCIPAL_DIRECT };
enum principal_match policy_principals_match(const struct policy_statement *st,
                                             const struct policy_caller *who);

/* policy.c */
const struct policy_fact *policy_fact_find(const struct policy_request *rq, struct span key);

#endif
