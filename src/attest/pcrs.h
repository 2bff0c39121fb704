/* pcrs.h - expected PCR values against those of a verified document, and how PCRs are computed.
 *
 * An empty list of expectations is an error, not a pass; PCR0-2 all zero is a debug enclave and
 * refused unless allowed; a list of PCR3 and PCR4 alone is refused, since they are real in debug
 * mode too.
 */
#ifndef ATTEST_PCRS_H
#define ATTEST_PCRS_H

#include "attest/chain.h"

/* Are PCR0, PCR1 and PCR2 all there and all zero? Never of a NitroTPM. */
bool attest_is_debug(const struct attest_pcrs *pcrs);

/* Each PCR in `want` must be in the document with that value. ERR_VERIFY: "PCR0 differs" ..., "PCR
 * not in the document", "debug enclave", "NitroTPM document". ERR_MALFORMED: "no expected PCRs",
 * "PCR3 and PCR4 alone".
 */
MUST_USE enum err attest_pcrs_check(const struct attest_verified *v, const struct attest_pcrs *want,
                                    bool allow_debug, struct why *why);

/* Take "N=96 hex digits" (also "PCRN=..." ) into `want`. ERR_MALFORMED. */
MUST_USE enum err attest_pcr_parse(struct span text, struct attest_pcrs *want, struct why *why);

/* new = SHA384(old || data). */
void attest_pcr_extend(uint8_t pcr[static ATTEST_PCR_BYTES], struct span data);

/* One extend of zero with the digest of the parts, without lengths or separators: how the parts of
 * an image and its signing certificate (PCR8) are measured. */
void attest_pcr_measure(const struct span *parts, size_t n, uint8_t pcr[static ATTEST_PCR_BYTES]);

/* The EIF rule (eif reference section 3): PCRn = SHA384(0^48 || SHA384(parts)); parts[0] kernel,
 * [1] cmdline, [2] first ramdisk, then the others. PCR0 over all, PCR1 over the first three, PCR2
 * over the rest. Missing parts are empty spans; n >= 3. */
MUST_USE enum err attest_pcrs_of_image(const struct span *parts, size_t n, struct attest_pcrs *out);

#endif
