/* doc.h - the attestation document's payload: bytes to value and back. Believes nothing.
 *
 * Documents of NitroTPM have the same form, with nitrotpm_pcrs in place of pcrs; what their
 * registers hold has nothing to do with an enclave's, so whoever wants an enclave has to look at
 * `is_tpm` (pcrs.h does).
 *
 * Source: AWS attestation_process.md section 3.2, and real documents of 2022 to 2026: the outer map
 * comes with definite and with indefinite length, absent optionals come as null. Unknown members
 * are refused, and so are PCRs of 32 or 64 bytes, which the text allows and SHA384 does not give.
 * An empty public_key is taken: the CDDL allows it and real documents have it.
 */
#ifndef ATTEST_DOC_H
#define ATTEST_DOC_H

#include "base/buf.h"
#include "cose/cose.h"

enum {
    ATTEST_DOC_MAX = 16384, /* bytes of a whole document */
    ATTEST_PCRS = 32,
    ATTEST_PCR_BYTES = 48, /* digest is SHA384, nothing else */
    ATTEST_CERT_MAX = 1024,
    ATTEST_CABUNDLE_MAX = 8, /* real ones have 4 */
    ATTEST_FIELD_MAX = 1024, /* public_key, user_data, nonce */
    ATTEST_MODULE_ID_MAX = 128,
};

struct attest_pcrs {
    uint32_t present; /* bit n: PCRn is there */
    bool is_tpm;      /* of a NitroTPM, not of an enclave */
    uint8_t value[ATTEST_PCRS][ATTEST_PCR_BYTES];
};

struct attest_doc {
    struct cose_sign1 sign1; /* borrowed, as every span here, from the parsed bytes */
    struct span module_id;
    uint64_t timestamp_ms; /* unix, UTC */
    struct attest_pcrs pcrs;
    struct span certificate;                   /* leaf, DER */
    struct span cabundle[ATTEST_CABUNDLE_MAX]; /* [0] is the root, the last issued the leaf */
    size_t n_cabundle;
    struct span public_key, user_data, nonce; /* ptr NULL: absent */
};

/* Parse the COSE envelope and the payload. On failure *out is untouched; why->at is an offset in
 * `in`. ERR_MALFORMED, ERR_LIMIT, ERR_UNSUPPORTED (algorithm, digest). Verifies nothing. */
MUST_USE enum err attest_doc_parse(struct span in, struct attest_doc *out, struct why *why);

/* The payload map alone, a part of `in`; out->sign1 is left as it is. For documents of another
 * envelope than ours, which nobody but the local KMS takes. Failures as above. */
MUST_USE enum err attest_payload_parse(struct span in, struct span payload, struct attest_doc *out,
                                       struct why *why);

/* Append the payload map (definite, or indefinite as current hardware does); doc->sign1 is not
 * looked at. For softnsm. */
MUST_USE enum err attest_doc_write(const struct attest_doc *doc, bool indefinite, struct buf *out);

#endif
