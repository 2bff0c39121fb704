/* policy_grants.h - inside `policy explain`: grants, as CreateGrant takes them. */
#ifndef BIN_NITROSEAL_POLICY_GRANTS_H
#define BIN_NITROSEAL_POLICY_GRANTS_H

#include "bin/nitroseal/policy_question.h"

/* All --grant FILE: {"GranteePrincipal", "Operations", "Constraints"?}, other members of
 * CreateGrant and ListGrants passed over. CLI_OK, CLI_FILE, CLI_USAGE. */
MUST_USE int question_grants(const struct options *o, struct question *q, struct cli_fault *f);

#endif
