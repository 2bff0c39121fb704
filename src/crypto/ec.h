/* ec.h - ECDSA on P-384 with SHA-384 (ES384: FIPS 186-4; raw r || s of RFC 9053 section 2.1). */
#ifndef CRYPTO_EC_H
#define CRYPTO_EC_H

#include "base/buf.h"
#include "crypto/crypto.h"

enum { ES384_SIG_BYTES = 96, P384_POINT_BYTES = 97 };

struct ec_key; /* private */
struct ec_pub;

MUST_USE enum err ec_key_new(struct crypto *cx, struct ec_key **out);
/* PKCS#8 PEM, unencrypted. parse: ERR_MALFORMED; ERR_UNSUPPORTED: not P-384. */
MUST_USE enum err ec_key_parse_pem(struct crypto *cx, struct span pem, struct ec_key **out,
                                   struct why *why);
MUST_USE enum err ec_key_write_pem(const struct ec_key *key, struct buf *out);
/* The public half, the caller's to free. */
MUST_USE enum err ec_key_pub(struct crypto *cx, const struct ec_key *key, struct ec_pub **out);
void ec_key_free(struct ec_key *key);
void ec_key_freep(struct ec_key **key);

/* 0x04 || X || Y; checked to be on the curve. ERR_MALFORMED. */
MUST_USE enum err ec_pub_parse(struct crypto *cx, struct span point, struct ec_pub **out,
                               struct why *why);
void ec_pub_free(struct ec_pub *pub);
void ec_pub_freep(struct ec_pub **pub);

MUST_USE enum err ec_sign_es384(struct crypto *cx, const struct ec_key *key, struct span msg,
                                uint8_t sig[static ES384_SIG_BYTES]);
/* ERR_VERIFY: wrong signature, or `sig` is not 96 bytes of r || s, each in 1..n-1. */
MUST_USE enum err ec_verify_es384(struct crypto *cx, const struct ec_pub *pub, struct span msg,
                                  struct span sig);
/* The same with an ECDSA-Sig-Value in DER, as certificates carry it. */
MUST_USE enum err ec_verify_p384_der(struct crypto *cx, const struct ec_pub *pub, struct span msg,
                                     struct span sig_der);

#endif
