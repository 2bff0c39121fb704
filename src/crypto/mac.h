/* mac.h - HMAC (FIPS 198-1) with the SHA-2 hashes that KMS's HMAC keys have, and AES key wrap with
 * padding (RFC 5649) for imported keys. */
#ifndef CRYPTO_MAC_H
#define CRYPTO_MAC_H

#include "crypto/crypto.h"

enum mac_alg { MAC_SHA224, MAC_SHA256, MAC_SHA384, MAC_SHA512, MAC_ALGS };
enum { MAC_MAX_BYTES = 64, AES_KWP_KEY_BYTES = 32 };

size_t mac_bytes(enum mac_alg alg);
/* Writes mac_bytes() to `out`; untouched on failure. ERR_NOMEM, ERR_INTERNAL (empty key). */
MUST_USE enum err mac_compute(struct crypto *cx, enum mac_alg alg, struct span key, struct span msg,
                              uint8_t out[static MAC_MAX_BYTES]);

/* Open what AES-256-KWP wrapped under `key` (AES_KWP_KEY_BYTES). ERR_VERIFY: does not open, another
 * key, or not of the form. ERR_INTERNAL: a key of another length. *out untouched on failure. */
MUST_USE enum err aes_kwp_open(struct crypto *cx, struct span key, struct span wrapped,
                               struct secret *out);

#endif
