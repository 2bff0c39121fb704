/* signer.h - certificates and keys that sign enclave images: ECDSA on P-256 with SHA-256, P-384
 * with SHA-384, P-521 with SHA-512 (RFC 9053 section 2.1), raw r || s.
 *
 * x509.h is about the NSM's chains and takes P-384 only; a signing certificate is made by whoever
 * signs, and is its own trust anchor: PCR8 is its digest. So nothing here looks at who issued it.
 */
#ifndef CRYPTO_SIGNER_H
#define CRYPTO_SIGNER_H

#include "base/buf.h"
#include "crypto/crypto.h"

enum signer_curve { SIGNER_P256, SIGNER_P384, SIGNER_P521, SIGNER_CURVES };
enum {
    SIGNER_SIG_MAX = 132,         /* r || s on P-521, 66 bytes each */
    SIGNER_CERT_MAX_BYTES = 8192, /* DER */
    SIGNER_TIME_BYTES = 32,
    SIGNER_ALGORITHM_BYTES = 64,
};

struct signer_cert; /* owns its bytes */
struct signer_key;

struct signer_facts {
    struct span der;               /* as it was given: what PCR8 measures */
    enum signer_curve curve;       /* of its public key */
    int64_t not_before, not_after; /* unix seconds, both inclusive */
    /* OpenSSL's words, as nitro-cli prints them: "Jan  1 00:00:00 2026 GMT", "ecdsa-with-SHA384" */
    char not_before_text[SIGNER_TIME_BYTES], not_after_text[SIGNER_TIME_BYTES];
    char algorithm[SIGNER_ALGORITHM_BYTES];
    struct span signature; /* the certificate's own */
};

/* One DER certificate and nothing after it. ERR_MALFORMED; ERR_UNSUPPORTED: its key is not on one
 * of the three curves; ERR_LIMIT past SIGNER_CERT_MAX_BYTES. *out is untouched on failure. */
MUST_USE enum err signer_cert_parse(struct span der, struct signer_cert **out, struct why *why);
void signer_cert_free(struct signer_cert *cert); /* NULL is fine */
void signer_cert_freep(struct signer_cert **cert);
/* Lives as long as the certificate. */
const struct signer_facts *signer_cert_facts(const struct signer_cert *cert);
/* Number of attributes of the issuer's name, and one of them: OpenSSL's long name of its type
 * ("commonName"; dotted numbers for one it does not know) and its value as UTF-8, appended.
 * ERR_MALFORMED: a value that cannot be written as UTF-8. */
unsigned signer_issuer_count(const struct signer_cert *cert);
MUST_USE enum err signer_issuer_at(const struct signer_cert *cert, unsigned i, struct buf *name,
                                   struct buf *value);

/* A private key in PEM, unencrypted. ERR_MALFORMED; ERR_UNSUPPORTED: not on one of the curves. */
MUST_USE enum err signer_key_parse_pem(struct span pem, struct signer_key **out, struct why *why);
void signer_key_free(struct signer_key *key);
void signer_key_freep(struct signer_key **key);
enum signer_curve signer_key_curve(const struct signer_key *key);

/* Bytes of a signature on that curve: 64, 96, 132. */
size_t signer_sig_bytes(enum signer_curve curve);
/* Write signer_sig_bytes() of the key's curve to `sig`. ERR_CRYPTO, ERR_NOMEM. */
MUST_USE enum err signer_sign(const struct signer_key *key, struct span msg,
                              uint8_t sig[static SIGNER_SIG_MAX]);
/* ECDSA-Sig-Value (RFC 3279 section 2.2.3) as r || s. ERR_MALFORMED: not DER of two numbers that
 * fit the curve; ERR_NOMEM. */
MUST_USE enum err signer_sig_from_der(enum signer_curve curve, struct span der,
                                      uint8_t sig[static SIGNER_SIG_MAX]);
/* ERR_VERIFY: wrong, or of another length than the curve's. */
MUST_USE enum err signer_verify(const struct signer_cert *cert, struct span msg, struct span sig);

#endif
