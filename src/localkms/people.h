/* people.h - the operator's YAML file of who may sign requests: users, roles and their sessions,
 * root users, with access keys and identity policies. What comes out is what principals.h keeps.
 *
 *     users:
 *       - name: alice            # arn:aws:iam::ACCOUNT:user/alice
 *         path: /team/           # optional
 *         account: "111122223333" # optional: another account than the server's
 *         access_keys:
 *           - {id: AKIA..., secret: ...}
 *         policies:              # optional: identity policies, as YAML or as one JSON text each
 *           - {Version: "2012-10-17", Statement: [...]}
 *     roles:
 *       - name: parent           # arn:aws:sts::ACCOUNT:assumed-role/parent/SESSION
 *         policies: [...]        # of the role, for each of its sessions
 *         sessions:
 *           - {name: i-0123, id: ASIA..., secret: ..., session_token: ..., expires:
 * 2026-01-02T03:04:05Z} root:                      # arn:aws:iam::ACCOUNT:root
 *       - {access_keys: [{id: ..., secret: ...}]}
 *
 * Unknown keys are refused; every fault says its line.
 */
#ifndef LOCALKMS_PEOPLE_H
#define LOCALKMS_PEOPLE_H

#include "localkms/principals.h"

struct people_defaults {
    const char *partition, *account;
};

/* ERR_MALFORMED, ERR_LIMIT, ERR_NOMEM; why->at is the line. *out untouched on failure. */
MUST_USE enum err people_parse(struct span yaml, const struct people_defaults *defaults,
                               struct principals *out, struct why *why);

#endif
