/* link.h - the way to the service: libnitroseal over its HTTP API, or the seed protocol where that
 * is all that answers there (the original's service, and ours of before the API).
 *
 * Which of them it is one small request over a connection of its own tells, once for a link; if
 * nothing comes back in a second it is the seed protocol, which nitroseald speaks too, so the guess
 * is never wrong. An answer is the same in either case: members as the seed protocol has them.
 */
#ifndef BIN_NITROSEAL_LINK_H
#define BIN_NITROSEAL_LINK_H

#include <nitroseal.h>

#include "bin/nitroseal/cli.h"
#include "bin/nitroseal/triple.h"

struct cli_link {
    struct nitroseal *ns; /* NULL: not known yet, or seed */
    bool is_seed;
};
void cli_link_clear(struct cli_link *l);

/* A handle for the enclave, or the gateway, that the options name. CLI_OK, CLI_FAILED. */
MUST_USE int cli_handle_new(const struct cli_enclave *e, struct nitroseal **out,
                            struct cli_fault *f);
/* The service is to hold these, until `expires_s` if it is known. As the library. */
MUST_USE enum nitroseal_status cli_put_credentials(struct nitroseal *ns,
                                                   const struct cli_credentials *cred,
                                                   long timeout_ms, struct nitroseal_error **error);
/* The library's error as ours; *a has what the service said, as views of it. */
int cli_library_failed(const struct cli_enclave *e, const struct nitroseal_error *error,
                       struct proto_answer *a, struct cli_fault *f);

/* As cli_ask(): CLI_OK with x->answer, or the fault is set and x->answer has what the service said.
 */
MUST_USE int cli_encrypt(const struct cli_enclave *e, struct cli_link *l, struct span text,
                         const struct proto_credentials *cred, struct cli_exchange *x,
                         struct cli_fault *f);
/* CLI_OK also for a signature that does not hold: answer.signature_valid says it. The HTTP API
 * keeps the text back then; with `whole` it is asked for again by the seed protocol, which shows
 * it. */
MUST_USE int cli_decrypt(const struct cli_enclave *e, struct cli_link *l, const struct triple *t,
                         const struct proto_credentials *cred, bool whole, struct cli_exchange *x,
                         struct cli_fault *f);
/* The document, appended as it came, judged by nobody. `l` NULL: by the seed protocol. */
MUST_USE int cli_attest(const struct cli_enclave *e, struct cli_link *l, struct span nonce,
                        struct buf *out, struct cli_fault *f);

#endif
