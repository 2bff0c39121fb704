/* cred_source.h - credentials that have to be fetched: from a credential_process, a container's
 * endpoint, the instance's metadata service. Blocking. */
#ifndef BIN_NITROSEAL_CRED_SOURCE_H
#define BIN_NITROSEAL_CRED_SOURCE_H

#include "awsconf/endpoint.h"
#include "awscred/sts.h"
#include "bin/nitroseal/cli.h"
#include "bin/nitroseal/http_call.h"

/* Copy into *out. CLI_OK or CLI_SETTINGS. */
int cred_take(struct span id, struct span key, struct span token, struct cli_credentials *out,
              struct cli_fault *f);
/* The same after a look at the clock: credentials that have expired are refused. `from` names where
 * they came from. */
int cred_take_fetched(const struct awscred *c, const char *from, struct cli_credentials *out,
                      struct cli_fault *f);

/* Each: CLI_OK or CLI_SETTINGS with a line that says what was asked and what came of it. */
int cred_from_process(struct span command, const char *profile, struct cli_credentials *out,
                      struct cli_fault *f);
int cred_from_container(struct cli_credentials *out, struct cli_fault *f);
int cred_from_imds(struct cli_credentials *out, struct cli_fault *f);
/* Which STS is asked; views of what the settings were read from. */
struct cred_sts {
    struct span region;
    struct awsconf_endpoint endpoint;
};
/* A role for `source`'s keys. */
int cred_assume(const struct awscred_role *role, const struct cli_credentials *source,
                const struct cred_sts *sts, struct cli_credentials *out, struct cli_fault *f);
/* A role for the web identity token in that file, which is read now: it is replaced often. */
int cred_assume_web(struct span token_file, struct awscred_role *role, const struct cred_sts *sts,
                    struct cli_credentials *out, struct cli_fault *f);

/* Where to connect for that place; a name is looked up only with TLS. server->tls, made on the
 * first call, is the caller's to free. */
MUST_USE enum err cred_server(const struct awscred_place *p, struct http_server *server,
                              struct why *why);
void cred_pause_ms(unsigned ms);

/* Does the environment name a container's endpoint? Is IMDS to be asked? */
bool cred_has_container(void);
bool cred_has_imds(void);

#endif
