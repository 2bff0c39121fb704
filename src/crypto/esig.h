/* esig.h - ECDSA over a text that comes in pieces: P-256 with SHA-256 and P-384 with SHA-384 (FIPS
 * 186-4), public keys as compressed points (SEC 1 section 2.3.3), signatures as ECDSA-Sig-Value in
 * DER (RFC 3279 section 2.2.3). This is what the AWS Encryption SDK's message format signs with.
 *
 * The running digest (struct esig) is one thread's at a time, but may move. Keys may be used by
 * several threads at once.
 */
#ifndef CRYPTO_ESIG_H
#define CRYPTO_ESIG_H

#include "base/buf.h"
#include "crypto/crypto.h"

enum esig_curve { ESIG_P256, ESIG_P384, ESIG_CURVES };
enum { ESIG_POINT_MAX_BYTES = 49, ESIG_SIG_MAX_BYTES = 104 };

struct esig;     /* a running digest */
struct esig_key; /* private */
struct esig_pub;

/* Bytes of a compressed point (33, 49), and the most that a signature has (72, 104). */
size_t esig_point_bytes(enum esig_curve curve);
size_t esig_sig_max_bytes(enum esig_curve curve);

/* A fresh pair. ERR_CRYPTO, ERR_NOMEM. */
MUST_USE enum err esig_key_new(struct crypto *cx, enum esig_curve curve, struct esig_key **out);
void esig_key_free(struct esig_key *key); /* NULL is fine */
void esig_key_freep(struct esig_key **key);
enum esig_curve esig_key_curve(const struct esig_key *key);
/* The public half, compressed; lives as long as the key. */
struct span esig_key_point(const struct esig_key *key);

/* Exactly a compressed point of the curve. ERR_MALFORMED, ERR_NOMEM. */
MUST_USE enum err esig_pub_parse(struct crypto *cx, enum esig_curve curve, struct span point,
                                 struct esig_pub **out, struct why *why);
void esig_pub_free(struct esig_pub *pub); /* NULL is fine */
void esig_pub_freep(struct esig_pub **pub);

/* ERR_CRYPTO, ERR_NOMEM; so for all that follows. */
MUST_USE enum err esig_new(struct crypto *cx, enum esig_curve curve, struct esig **out);
void esig_free(struct esig *s); /* NULL is fine */
void esig_freep(struct esig **s);
MUST_USE enum err esig_update(struct esig *s, struct span in);
/* Each ends the digest: nothing can follow. `key` and `pub` are of the same curve (ERR_INTERNAL).
 * sign: writes *len bytes of DER. verify: ERR_VERIFY: another signature, not strict DER, or r or s
 * not in 1..n-1. */
MUST_USE enum err esig_sign(struct esig *s, const struct esig_key *key,
                            uint8_t out[static ESIG_SIG_MAX_BYTES], size_t *len);
MUST_USE enum err esig_verify(struct esig *s, const struct esig_pub *pub, struct span sig);

#endif
