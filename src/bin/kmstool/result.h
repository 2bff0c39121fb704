/* result.h - what goes to stdout: AWS's lines (kmstool section 4), ours for the operations that it
 * does not have, or one JSON object with KMS's member names. */
#ifndef BIN_KMSTOOL_RESULT_H
#define BIN_KMSTOOL_RESULT_H

#include "bin/kmstool/args.h"

/* Of the length that was asked for, where that is known: CBC has no tag of its own. */
bool result_is_plausible(const struct kms_call *call, struct span plain);
/* Append. ERR_LIMIT, ERR_NOMEM, ERR_MALFORMED. *out as before on failure. */
MUST_USE enum err result_write(const struct args *a, const struct kms_answer *answer,
                               struct span plain, struct buf *out);

#endif
