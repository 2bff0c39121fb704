/* transfer.h - one message through the service: the body is sent while the answer is read, in
 * memory that does not depend on its length, over a connection of its own. */
#ifndef BIN_NITROSEAL_TRANSFER_H
#define BIN_NITROSEAL_TRANSFER_H

#include "bin/nitroseal/input.h"
#include "bin/nitroseal/output.h"
#include "bin/nitroseal/progress.h"
#include "bin/nitroseal/stream.h"
#include "io/addr.h"

struct transfer {
    const struct cli_enclave *enclave;
    uint64_t timeout_ns;           /* without progress, where the service is waited for */
    struct stream_request request; /* length and framing are set by transfer_run() */
    struct input *in;
    struct output *out;
    bool armor_in, armor_out;
    struct progress *progress;

    struct stream_answer answer; /* its head lasts */
    bool is_expired;             /* KMS said so of the credentials, before anything came out */
    bool is_forgotten;           /* the service has none, the same */
    uint64_t bytes_in;           /* of the input, as read */
};
/* CLI_OK: all of the input was sent, and what is written to `out` is the whole answer; it is not
 * committed. Else the fault is set, and what was written is worth nothing. */
MUST_USE int transfer_run(struct transfer *t, struct cli_fault *f);

#endif
