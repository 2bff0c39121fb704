/* chain.h - is this document signed by a chain that ends at the given root?
 *
 * The root is a parameter, cabundle[0] is not a trust source (it must equal the root). Checked:
 * signatures leaf to root, names as DER, validity of every certificate at `now_s`, critical
 * basicConstraints, pathLen, keyUsage, P-384 and ecdsa-with-SHA384 only, unknown critical
 * extensions refused, the COSE signature, the document's timestamp within the leaf's validity. Not
 * checked: CRLs (AWS says not to), name constraints, extended key usage, PCR values (pcrs.h), nonce
 * and age (the caller's protocol).
 */
#ifndef ATTEST_CHAIN_H
#define ATTEST_CHAIN_H

#include "attest/doc.h"
#include "crypto/x509.h"

/* SHA-256 of the DER of AWS Nitro Enclaves root G1, and the certificate itself (attest/aws_root.c).
 */
extern const uint8_t attest_aws_root_g1_sha256[32];
struct span attest_aws_root_g1_der(void);

/* A document whose chain and signature held. Only attest_verify() makes one: policy takes nothing
 * else. */
struct attest_verified {
    struct attest_doc doc;
    int64_t not_before, not_after; /* of the leaf, unix seconds */
    int64_t chain_from, chain_to;  /* when all certificates are valid: within the leaf's times */
};

/* `now_s`: unix seconds at which to judge. `in` is parsed and verified; spans of *out point into
 * it. On failure *out is untouched. ERR_MALFORMED, ERR_LIMIT, ERR_UNSUPPORTED: as
 * attest_doc_parse(), or a certificate. ERR_VERIFY: why->what says which check: "root", "chain
 * signature", "chain names", "certificate time", "basic constraints", "path length", "key usage",
 * "critical extension", "certificate key", "document signature", "document time". */
MUST_USE enum err attest_verify(struct crypto *cx, struct span in, struct span root_der,
                                int64_t now_s, struct attest_verified *out, struct why *why);

/* What held before, for a verifier of many documents. Signatures on certificates, by the SHA-256 of
 * issuer and subject: they hold for ever. Whole chains, by the SHA-256 of all their certificates:
 * they hold while each of them is valid, and of a document under one only its own signature and its
 * times are left to check. Which root is trusted is judged anew each time. Bounded: the oldest make
 * room. Zero is empty; one thread. */
enum { ATTEST_SEEN_MAX = 64, ATTEST_CHAINS_MAX = 32 };
struct attest_seen {
    uint8_t digests[ATTEST_SEEN_MAX][32];
    unsigned n; /* that were ever put in */
    struct {
        uint8_t digest[32];
        struct x509 *leaf;
        int64_t from, to;
    } chains[ATTEST_CHAINS_MAX];
    unsigned n_chains;
    uint64_t chains_found; /* for a log */
};
void attest_seen_clear(struct attest_seen *seen);
/* As attest_verify(). `seen` may be NULL. */
MUST_USE enum err attest_verify_seen(struct crypto *cx, struct span in, struct span root_der,
                                     int64_t now_s, struct attest_seen *seen,
                                     struct attest_verified *out, struct why *why);

#endif
