/* transfer.h - one message through the service, from an input to an output: libnitroseal's streams,
 * with armor on either side, progress, and interruptions. */
#ifndef BIN_NITROSEAL_TRANSFER_H
#define BIN_NITROSEAL_TRANSFER_H

#include <nitroseal.h>

#include "bin/nitroseal/cli.h"
#include "bin/nitroseal/input.h"
#include "bin/nitroseal/output.h"
#include "bin/nitroseal/progress.h"

enum message_op { MESSAGE_ENCRYPT, MESSAGE_DECRYPT, MESSAGE_REWRAP };

struct transfer {
    const struct cli_enclave *enclave; /* for what is said */
    struct nitroseal *ns;
    long timeout_ms; /* without progress, where the service is waited for */
    enum message_op op;
    const struct nitroseal_stream *stream; /* what is asked; the rest of it is set here */
    struct input *in;
    struct output *out;
    bool armor_in, armor_out;
    struct progress *progress;

    struct nitroseal_streamed done; /* of one that was good */
    bool is_expired;                /* KMS said so of the credentials, before anything came out */
    bool is_forgotten;              /* the service has none, the same */
    uint64_t bytes_in;              /* of the input, as read */
};
/* CLI_OK: all of the input was sent, and what is written to `out` is the whole answer; it is not
 * committed. Else the fault is set, and what was written is worth nothing. */
MUST_USE int transfer_run(struct transfer *t, struct cli_fault *f);

#endif
