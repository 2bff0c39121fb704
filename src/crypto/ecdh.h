/* ecdh.h - Diffie-Hellman on the NIST curves (SP 800-56A section 5.7.1.2: the x coordinate), for
 * the local KMS's keys of usage KEY_AGREEMENT.
 *
 * Keys of early databases were made out of a 32-byte seed, always the same one: more bits than the
 * order needs, reduced (FIPS 186-5 section A.2.1). On P-384 and P-521 such a one is no stronger
 * than its seed: 256 bits.
 */
#ifndef CRYPTO_ECDH_H
#define CRYPTO_ECDH_H

#include "base/buf.h"
#include "crypto/crypto.h"

enum ecdh_curve { ECDH_P256, ECDH_P384, ECDH_P521, ECDH_CURVES };
enum { ECDH_SEED_BYTES = 32, ECDH_SECRET_MAX_BYTES = 66 };

struct ecdh_key;

/* ERR_INTERNAL: a seed of another length. ERR_CRYPTO, ERR_NOMEM. */
MUST_USE enum err ecdh_key_from_seed(struct crypto *cx, enum ecdh_curve curve, struct span seed,
                                     struct ecdh_key **out);
/* DER PrivateKeyInfo (RFC 5208), nothing after it. ERR_MALFORMED, ERR_UNSUPPORTED: another curve or
 * kind of key. ERR_NOMEM. */
MUST_USE enum err ecdh_key_parse(struct crypto *cx, enum ecdh_curve curve, struct span pkcs8,
                                 struct ecdh_key **out);
/* The same form. *pkcs8 untouched on failure. */
MUST_USE enum err ecdh_key_private(const struct ecdh_key *key, struct secret *pkcs8);
void ecdh_key_free(struct ecdh_key *key);
void ecdh_key_freep(struct ecdh_key **key);
/* Append the DER SubjectPublicKeyInfo. */
MUST_USE enum err ecdh_key_public(const struct ecdh_key *key, struct buf *spki);
/* With a peer's SubjectPublicKeyInfo: a named curve, the point uncompressed. ERR_MALFORMED: not
 * that, or not on the curve. ERR_UNSUPPORTED: another curve or kind of key. ERR_CRYPTO, ERR_NOMEM.
 * *out untouched on failure. */
MUST_USE enum err ecdh_derive(struct crypto *cx, const struct ecdh_key *key, struct span peer_spki,
                              struct secret *out, struct why *why);

#endif
