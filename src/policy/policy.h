/* policy.h - policy documents: text to a compiled value, and its answer to one request.
 *
 * Pure: no store, no clock. Source: kms-policy reference sections 1 to 3, which follows the IAM
 * user guide. Taken: Version, Id, Statement (one or several) of Sid, Effect, Principal or
 * NotPrincipal, Action or NotAction, Resource or NotResource, Condition with every operator of IAM
 * (compiled.h), IfExists, ForAllValues and ForAnyValue; policy variables in resources and in text
 * and ARN conditions, where the version is 2012-10-17. Whatever else stands in a document is
 * refused and never passed over, for an ignored condition would allow what its author forbade:
 * other elements and operators, wildcards inside principals, NotPrincipal with Allow, values that
 * their operator cannot compare with, member names that come twice.
 *
 * Not checked: that principals exist, that actions and condition keys are known (an unknown key is
 * never in the context, as in IAM; lint.h tells of it).
 */
#ifndef POLICY_POLICY_H
#define POLICY_POLICY_H

#include "base/buf.h"

enum {
    POLICY_MAX_BYTES = 32768, /* quota of a key policy; KMS answers LimitExceededException */
    POLICY_STATEMENTS_MAX = 512,
};

enum policy_use { POLICY_OF_KEY, POLICY_OF_IDENTITY };

struct policy;

/* Why a document was refused, and where. */
struct policy_fault {
    const char *what;   /* static text */
    unsigned statement; /* counted from 1; 0: the document itself */
    size_t at;          /* byte offset of what is wrong */
};

/* ERR_MALFORMED, ERR_LIMIT (more than POLICY_MAX_BYTES), ERR_NOMEM. A key policy's statement names
 * principals, an identity's must not. *out and, on success, *fault are untouched. */
MUST_USE enum err policy_parse_at(struct span text, enum policy_use use, struct policy **out,
                                  struct policy_fault *fault);
/* The same; why->at is the byte offset where the text is not JSON, else the statement. */
MUST_USE enum err policy_parse(struct span text, enum policy_use use, struct policy **out,
                               struct why *why);
void policy_free(struct policy *p); /* NULL is fine */
void policy_freep(struct policy **p);

struct policy_position {
    unsigned line, column; /* counted from 1; columns in bytes */
};
struct policy_position policy_position_of(struct span text, size_t at);

/* Who calls. */
enum policy_caller_kind {
    POLICY_CALLER_ROOT,
    POLICY_CALLER_NAMED,
    POLICY_CALLER_SESSION,
    POLICY_CALLER_SERVICE, /* of no account */
};

struct policy_caller {
    enum policy_caller_kind kind;
    struct span arn, partition, account;
    struct span role; /* of a session: the name of its role */
};

/* arn:PARTITION:iam::ACCOUNT:root, :user/PATH, :role/PATH, or
 * arn:PARTITION:sts::ACCOUNT:assumed-role/ROLE/SESSION or :federated-user/NAME. Spans point into
 * `arn`. ERR_MALFORMED. */
MUST_USE enum err policy_caller_parse(struct span arn, struct policy_caller *out);
/* NAME.amazonaws.com, perhaps with parts before and a country behind; the name is the arn.
 * ERR_MALFORMED. */
MUST_USE enum err policy_service_parse(struct span name, struct policy_caller *out);

/* Does the ARN name this caller: it itself, or the role that its session is of? Never a service,
 * nor somebody for an account. */
bool policy_caller_is(const struct policy_caller *who, struct span arn);

/* One key of the request context. A key that is absent is not in the list. */
struct policy_fact {
    struct span key;
    const struct span *values;
    size_t n_values;
};

struct policy_request {
    const struct policy_caller *caller;
    struct span action;   /* "kms:Decrypt" */
    struct span resource; /* the key's ARN, or "*" */
    const struct policy_fact *facts;
    size_t n_facts;
    bool lasting; /* an Allow under a condition does not count: the lockout check */
};

enum policy_answer {
    POLICY_SILENT,   /* no statement applies */
    POLICY_DELEGATE, /* allowed to the caller's account: its identity policies decide */
    POLICY_ALLOW,
    POLICY_DENY,
};

/* How far the nearest Allow came before it failed, in this order. */
enum policy_miss {
    POLICY_MISS_NONE,
    POLICY_MISS_ACTION,
    POLICY_MISS_PRINCIPAL,
    POLICY_MISS_RESOURCE,
    POLICY_MISS_CONDITION,
    POLICY_MISS_LASTING, /* holds, but only under a condition */
};

/* One statement and what is to be said about it. Spans live as long as the policy and the request's
 * facts. */
struct policy_finding {
    unsigned statement; /* counted from 1; 0: none */
    struct span sid;
    enum policy_miss miss; /* why it does not apply */
    /* Of POLICY_MISS_CONDITION the one that fails; of a denial that has conditions the first. */
    const char *op;         /* "StringEquals"; NULL: no condition */
    const char *quantifier; /* "ForAllValues:", "ForAnyValue:" or "" */
    bool if_exists;
    struct span key;
    const struct span *wanted; /* the policy's values, as written: variables and all */
    size_t n_wanted;
    bool present; /* the key is in the context, with these values */
    const struct span *got;
    size_t n_got;
};

struct policy_verdict {
    enum policy_answer answer;
    struct policy_finding decided; /* the statement that decided; none if silent */
    struct policy_finding nearest; /* unless allowed or denied: the Allow that came nearest */
};

void policy_evaluate(const struct policy *p, const struct policy_request *rq,
                     struct policy_verdict *out);
/* Append one line without a newline, for the operator: the statement that decided, the one that
 * came nearest, what did not match and what would have. ERR_LIMIT, ERR_NOMEM. */
MUST_USE enum err policy_explain(const struct policy_verdict *v, struct buf *out);

/* `*` any characters, `?` one; for tests and for other matchers. */
bool policy_glob(struct span pattern, struct span text, bool ignore_case);

#endif
