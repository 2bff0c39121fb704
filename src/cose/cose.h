/* cose.h - COSE_Sign1 in the one profile that the Nitro hypervisor emits.
 *
 * Pure: no I/O, no clock. Source: RFC 9052 sections 4.2 and 4.4; AWS attestation_process.md
 * section 3.1. Accepted: array(4), bare or under tag 18, protected header {1: -35}, empty
 * unprotected map, definite lengths, minimal heads.
 */
#ifndef COSE_COSE_H
#define COSE_COSE_H

#include "base/buf.h"
#include "crypto/ec.h"

enum {
    COSE_TAG_SIGN1 = 18,
    COSE_ALG_ES256 = -7, /* these two: signatures of enclave images, see eif/signature.h */
    COSE_ALG_ES384 = -35,
    COSE_ALG_ES512 = -36,
    COSE_SIG_BYTES =
        96, /* r || s, 48 bytes each (RFC 9053 section 2.1); the AWS page says 32/48/64 */
    COSE_PAYLOAD_MAX = 16384, /* bytes; attestation_process.md section 3.1 */
};

struct cose_sign1 {
    struct span phdr;    /* protected header, the exact bytes that were signed */
    struct span payload; /* untrusted until cose_sign1_verify() says ERR_OK */
    struct span sig;     /* COSE_SIG_BYTES long */
};

/* Split `in` as RFC 9052 section 4.2 says, whatever the algorithm, and the bytes of the unprotected
 * map into *uhdr; what cose_sign1_parse() rests on. ERR_MALFORMED, ERR_LIMIT; outputs untouched. */
MUST_USE enum err cose_sign1_split(struct span in, struct cose_sign1 *out, struct span *uhdr,
                                   struct why *why);

/* The algorithm of a protected header that is exactly {1: alg}: no further parameter could be
 * critical to how the message is to be read. ERR_MALFORMED; *out untouched. */
MUST_USE enum err cose_alg_parse(struct span phdr, int64_t *out);
/* Append what is signed: Sig_structure with an empty external_aad (RFC 9052 section 4.4). */
MUST_USE enum err cose_sign1_tbs(struct span phdr, struct span payload, struct buf *out);

/* Split `in` into its parts; verifies nothing. Borrow: every span in *out points into `in`. On
 * failure *out is untouched and *why (may be NULL) holds the first fault and its byte offset.
 * ERR_MALFORMED: not this profile. ERR_LIMIT: a part is too long. ERR_UNSUPPORTED: another
 * algorithm. */
MUST_USE enum err cose_sign1_parse(struct span in, struct cose_sign1 *out, struct why *why);

/* Check the signature over Sig_structure (external_aad empty). ERR_VERIFY: wrong. ERR_CRYPTO,
 * ERR_NOMEM: could not tell, so treat as wrong. Says nothing about whose key it is: see
 * attest/chain.h. */
MUST_USE enum err cose_sign1_verify(struct crypto *cx, const struct cose_sign1 *msg,
                                    const struct ec_pub *key, struct why *why);

/* Append an untagged COSE_Sign1 over `payload` (at most COSE_PAYLOAD_MAX), signed with `key`. */
MUST_USE enum err cose_sign1_write(struct crypto *cx, const struct ec_key *key, struct span payload,
                                   struct buf *out);

#endif
