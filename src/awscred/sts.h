/* sts.h - asking STS for a role's credentials: AssumeRole and AssumeRoleWithWebIdentity. Pure.
 *
 * Source: AWS STS API reference, version 2011-06-15 (query protocol: a form in, XML out). Only the
 * elements that we need are looked for; nothing else of the XML is checked.
 */
#ifndef AWSCRED_STS_H
#define AWSCRED_STS_H

#include "awscred/awscred.h"

struct awscred_role { /* empty spans: not given */
    struct span role_arn, session_name, external_id, duration_s;
    struct span web_identity_token; /* with it, AssumeRoleWithWebIdentity, which is not signed */
};

/* Append the form. ERR_LIMIT, ERR_NOMEM. */
MUST_USE enum err awscred_sts_form(const struct awscred_role *role, struct buf *out);

struct awscred_refusal { /* views of the answer */
    struct span code, message;
};
/* As awscred_answer_parse(). ERR_DENIED: an Error, which *no says; else *no is untouched. */
MUST_USE enum err awscred_sts_answer(struct span xml, struct buf *text, struct awscred *out,
                                     struct awscred_refusal *no, struct why *why);

#endif
