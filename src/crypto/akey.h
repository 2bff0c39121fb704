/* akey.h - asymmetric keys as the local KMS uses them: signatures and RSAES-OAEP with what stands
 * in a PKCS#8 PrivateKeyInfo.
 *
 * Signatures: RSASSA-PSS (salt as long as the digest, MGF1 with the same hash) and
 * RSASSA-PKCS1-v1_5 (RFC 8017), ECDSA in DER (RFC 3279 section 2.2.3), Ed25519 (RFC 8032; pure
 * only: OpenSSL 3.0 has no Ed25519ph). A key is one thread's at a time.
 */
#ifndef CRYPTO_AKEY_H
#define CRYPTO_AKEY_H

#include "base/buf.h"
#include "crypto/crypto.h"
#include "crypto/keypair.h"

enum akey_sign_alg {
    AKEY_PSS_SHA256,
    AKEY_PSS_SHA384,
    AKEY_PSS_SHA512,
    AKEY_PKCS1_SHA256,
    AKEY_PKCS1_SHA384,
    AKEY_PKCS1_SHA512,
    AKEY_ECDSA_SHA256,
    AKEY_ECDSA_SHA384,
    AKEY_ECDSA_SHA512,
    AKEY_ED25519,
    AKEY_SIGN_ALGS,
};
enum akey_oaep_hash { AKEY_OAEP_SHA1, AKEY_OAEP_SHA256 };
enum { AKEY_SIGNATURE_MAX_BYTES = 512, AKEY_OAEP_MAX_BYTES = 512 };

struct akey;

/* DER PrivateKeyInfo, nothing after it. ERR_MALFORMED; ERR_UNSUPPORTED: no kind of keypair.h, SM2,
 * or a curve by its parameters instead of its name. *out untouched on failure. */
MUST_USE enum err akey_parse(struct crypto *cx, struct span pkcs8, struct akey **out,
                             struct why *why);
void akey_free(struct akey *key); /* NULL is fine */
void akey_freep(struct akey **key);
enum keypair_spec akey_spec(const struct akey *key);
/* Append the DER SubjectPublicKeyInfo. */
MUST_USE enum err akey_public(const struct akey *key, struct buf *spki);
/* Append the DER PrivateKeyInfo. */
MUST_USE enum err akey_private(const struct akey *key, struct secret *out);

/* Bytes of a digest that `alg` signs; 0: it takes messages only. */
size_t akey_digest_bytes(enum akey_sign_alg alg);
/* Does this algorithm go with this kind of key? */
bool akey_alg_fits(enum keypair_spec spec, enum akey_sign_alg alg);

/* `prehashed`: `msg` is the digest. ERR_UNSUPPORTED: the algorithm does not fit the key.
 * ERR_MALFORMED: a digest of another length. ERR_CRYPTO, ERR_NOMEM, ERR_LIMIT. */
MUST_USE enum err akey_sign(struct crypto *cx, const struct akey *key, enum akey_sign_alg alg,
                            struct span msg, bool prehashed, struct buf *out);
/* The same errors, and ERR_VERIFY: not this key's signature of this message. */
MUST_USE enum err akey_verify(struct crypto *cx, const struct akey *key, enum akey_sign_alg alg,
                              struct span msg, bool prehashed, struct span sig);

/* The longest plaintext; 0: not an RSA key. */
size_t akey_oaep_max_bytes(const struct akey *key, enum akey_oaep_hash hash);
/* ERR_LIMIT: longer than that. ERR_UNSUPPORTED: not an RSA key. */
MUST_USE enum err akey_oaep_seal(struct crypto *cx, const struct akey *key,
                                 enum akey_oaep_hash hash, struct span plain, struct buf *out);
/* ERR_VERIFY: does not open, whatever the reason. ERR_UNSUPPORTED. *out untouched on failure. */
MUST_USE enum err akey_oaep_open(struct crypto *cx, const struct akey *key,
                                 enum akey_oaep_hash hash, struct span ct, struct secret *out);

#endif
