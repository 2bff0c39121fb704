/* credentials.h - where the credentials come from: the command line, a descriptor, the environment;
 * the first of these that says anything, and nothing from the others.
 *
 * Secrets on the command line stay visible to the machine until they are overwritten here: one
 * warning says so. The environment's copies are overwritten too, so that neither
 * /proc/PID/cmdline nor /proc/PID/environ shows them afterwards.
 */
#ifndef BIN_KMSTOOL_CREDENTIALS_H
#define BIN_KMSTOOL_CREDENTIALS_H

#include "base/json.h"
#include "base/secret.h"
#include "bin/kmstool/args.h"

struct credentials {
    struct secret access_key_id, secret_access_key, session_token; /* token may be empty */
};

void credentials_clear(struct credentials *c);
struct sigv4_credentials credentials_view(const struct credentials *c);
/* KMSTOOL_GO; KMSTOOL_USAGE: one is missing; KMSTOOL_FAILED: the descriptor. `err` says why. The
 * texts of `a`, and of the environment, are overwritten in every case. */
MUST_USE int credentials_take(struct args *a, struct credentials *out, struct buf *err);

/* {"access_key_id": ..., "secret_access_key": ..., "session_token": ...}; the same under
 * "credentials", as in a request of the seed protocol; other members are passed over.
 * ERR_MALFORMED: not that, or one is missing. *out untouched on failure. */
MUST_USE enum err credentials_parse(struct span json, struct credentials *out, struct why *why);
void credentials_write(const struct credentials *c, struct json_out *w);

#endif
