/* compiled.h - inside policy: the compiled form of a policy, shared by the files that build,
 * match and explain it. Strings point into the JSON document, which the policy keeps. */
#ifndef POLICY_COMPILED_H
#define POLICY_COMPILED_H

#include <jansson.h>

#include "policy/policy.h"

struct policy_list {
    struct span *items;
    size_t n;
};

enum principal_kind {
    PRINCIPAL_ANYONE,
    PRINCIPAL_ACCOUNT,
    PRINCIPAL_ARN,
    PRINCIPAL_ABSENT, /* services, federation, deleted identities: never one of our callers */
};

struct policy_principal {
    enum principal_kind kind;
    struct policy_caller who; /* of ACCOUNT (partition empty for a bare number) and ARN */
};

enum operator_test { TEST_EQUAL, TEST_LIKE, TEST_BOOL, TEST_NULL };

struct policy_operator {
    const char *name;
    enum operator_test test;
    bool negated, ignore_case;
};
/* Ends with name == NULL. */
extern const struct policy_operator policy_operators[];

struct policy_condition {
    const struct policy_operator *op;
    bool if_exists;
    struct span key;
    struct policy_list values;
};

struct policy_statement {
    struct span sid;
    bool allows;
    bool not_principals, not_actions, not_resources;
    struct policy_principal *principals;
    size_t n_principals;
    struct policy_list actions, resources; /* n 0: not given, so it never applies */
    struct policy_condition *conditions;
    size_t n_conditions;
};

struct policy {
    json_t *doc;
    enum policy_use use;
    struct policy_statement *statements;
    size_t n;
};

/* principal.c. ERR_MALFORMED. */
MUST_USE enum err policy_principals_parse(json_t *value, struct policy_statement *st,
                                          struct why *why);
enum principal_match { PRINCIPAL_NO, PRINCIPAL_BY_ACCOUNT, PRINCIPAL_DIRECT };
enum principal_match policy_principals_match(const struct policy_statement *st,
                                             const struct policy_caller *who);

#endif
