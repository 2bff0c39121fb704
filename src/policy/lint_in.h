/* lint_in.h - inside policy: what the critics share. */
#ifndef POLICY_LINT_IN_H
#define POLICY_LINT_IN_H

#include "policy/compiled.h"
#include "policy/lint.h"
#include "policy/words.h"

/* `statement`: index, or -1 for the document. */
void lint_add(struct policy_lint *out, const struct policy *p, long statement, const char *id,
              struct span detail);

/* Does the statement speak of this action? Conditions and principals are not looked at. */
bool lint_covers(const struct policy_statement *st, const char *action);
/* Is it written out, and not only met by a wildcard? */
bool lint_names(const struct policy_statement *st, const char *action);
/* A Deny of everybody outside of images: nothing but one negated condition on a register and, if it
 * spares somebody, one on aws:PrincipalArn. */
bool lint_is_belt(const struct policy_statement *st);
/* Its condition on the register. */
const struct policy_condition *lint_belt_register(const struct policy_statement *belt);
/* Is the action denied outside the images by some belt: to all whom `st` is about, or, with NULL,
 * to anybody? */
bool lint_belted(const struct policy *p, const struct policy_statement *st, const char *action);
/* Does some belt of the action spare all whom `st` is about, each by name? */
bool lint_spared(const struct policy *p, const struct policy_statement *st, const char *action);
/* Has the statement a condition on a register that only an attested call meets? */
bool lint_is_attested(const struct policy_statement *st);
bool lint_is_image_condition(const struct policy_condition *c);

/* lint_registers.c: conditions on registers, statement by statement. */
void lint_registers(const struct policy *p, size_t i, struct policy_lint *out);
/* lint_whole.c: what statements do together. */
void lint_whole(const struct policy *p, struct policy_lint *out);

#endif
