/* signature.h - the signature section of an image (eif.md section 4): the signing certificate's PEM
 * and a COSE_Sign1 over PCR0, in CBOR whose byte strings are arrays of integers.
 *
 * What a signature covers is rebuilt from the PCR0 that was measured and compared; nothing is ever
 * taken out of the payload. Accepted: one pair, "signing_certificate" first, ES256, ES384 or ES512
 * as the certificate's curve asks. Nobody vouches for the certificate: whoever trusts an image by
 * its signature compares PCR8 with one he knows.
 */
#ifndef EIF_SIGNATURE_H
#define EIF_SIGNATURE_H

#include "attest/pcrs.h"
#include "crypto/signer.h"

struct eif_signature {
    struct buf pem;           /* exactly as it was given to the builder */
    struct buf cose;          /* COSE_Sign1 */
    struct signer_cert *cert; /* the first of the PEM */
};
#define EIF_SIGNATURE_NONE ((struct eif_signature){ 0 })
void eif_signature_clear(struct eif_signature *s);

/* `section` is the section's data. ERR_MALFORMED, ERR_LIMIT, ERR_UNSUPPORTED (the certificate's
 * key); verifies nothing. *out is untouched on failure. */
MUST_USE enum err eif_signature_parse(struct span section, struct eif_signature *out,
                                      struct why *why);
/* Does it sign this PCR0? ERR_VERIFY: "the signature is for another PCR0", "signature"; and
 * ERR_MALFORMED, ERR_UNSUPPORTED for a COSE_Sign1 of another profile. Dates are not looked at. */
MUST_USE enum err eif_signature_verify(const struct eif_signature *s,
                                       const uint8_t pcr0[static ATTEST_PCR_BYTES],
                                       struct why *why);
/* ERR_VERIFY: `now` (unix seconds) is outside the certificate's validity, as run-enclave and the
 * hypervisor check it. */
MUST_USE enum err eif_signature_check_time(const struct eif_signature *s, int64_t now,
                                           struct why *why);
/* Append a section's data. ERR_VERIFY: the key does not belong to the certificate. ERR_MALFORMED,
 * ERR_UNSUPPORTED: the certificate; ERR_LIMIT past EIF_SIGNATURE_MAX, ERR_CRYPTO, ERR_NOMEM. */
MUST_USE enum err eif_signature_write(struct span cert_pem, const struct signer_key *key,
                                      const uint8_t pcr0[static ATTEST_PCR_BYTES], struct buf *out,
                                      struct why *why);
/* For a key that is somewhere else, in a token or in KMS: append what has to be signed (ECDSA with
 * the curve's hash) ... */
MUST_USE enum err eif_signature_tbs(enum signer_curve curve,
                                    const uint8_t pcr0[static ATTEST_PCR_BYTES], struct buf *out);
/* ... and make the section from the signature, r || s or DER. ERR_VERIFY: it is not one of the
 * certificate's key over this PCR0; else as eif_signature_write(). */
MUST_USE enum err eif_signature_attach(struct span cert_pem, struct span sig,
                                       const uint8_t pcr0[static ATTEST_PCR_BYTES], struct buf *out,
                                       struct why *why);
/* PCR8 of that certificate, into *pcrs. */
void eif_pcr8(const struct signer_cert *cert, struct attest_pcrs *pcrs);
/* The first certificate of a PEM file. */
MUST_USE enum err eif_cert_from_pem(struct span pem, struct signer_cert **out, struct why *why);

#endif
