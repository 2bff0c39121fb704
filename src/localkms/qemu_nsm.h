/* qemu_nsm.h - the unsigned documents of QEMU's nitro-enclave machine, for a KMS that was told to
 * take them.
 *
 * QEMU's NSM signs nothing: whoever can write to a socket can make such a document. It is taken
 * only from module ids that the operator named, and only in exactly QEMU's form (qemu-nitro-enclave
 * reference section 4): untagged, algorithm -1, the nine members in QEMU's order and in the
 * shortest encoding, a certificate, one certificate of the bundle and a signature of 64 zero bytes
 * each, a time in whole seconds. A document of the real form never comes this way. Its PCRs, public
 * key and age are judged like those of any other document.
 */
#ifndef LOCALKMS_QEMU_NSM_H
#define LOCALKMS_QEMU_NSM_H

#include "attest/doc.h"

enum {
    QEMU_NSM_MODULES_MAX = 16,
    QEMU_NSM_ZEROS_BYTES = 64,  /* certificate, cabundle[0], signature */
    QEMU_NSM_MAX_AGE_S = 300,   /* no certificate says until when such a document counts */
    QEMU_NSM_MAX_AHEAD_S = 300, /* clocks differ */
};

/* Is its algorithm QEMU's, so that it can be nothing else? Says nothing about the rest. */
bool qemu_nsm_is(struct span in);

/* Only for what qemu_nsm_is(). On failure *out is untouched; why->at is an offset in `in`.
 * ERR_MALFORMED, ERR_LIMIT, ERR_UNSUPPORTED. Believes nothing. */
MUST_USE enum err qemu_nsm_parse(struct span in, struct attest_doc *out, struct why *why);

/* Append a whole document of that form around doc's members; sign1, certificate and cabundle are
 * not looked at, the time is cut to seconds. For tests. ERR_LIMIT, ERR_NOMEM. */
MUST_USE enum err qemu_nsm_write(const struct attest_doc *doc, struct buf *out);

#endif
