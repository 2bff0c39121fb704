/* hash.h - SHA-256, SHA-384 (FIPS 180-4) and HMAC-SHA256 (FIPS 198-1) over one or several parts.
 * Every function that can fail: ERR_CRYPTO if the library does; *out is untouched then. */
#ifndef CRYPTO_HASH_H
#define CRYPTO_HASH_H

#include "crypto/crypto.h"

enum { SHA256_BYTES = 32, SHA384_BYTES = 48, HMAC_SHA256_BYTES = 32, HMAC_SHA512_BYTES = 64 };

MUST_USE enum err sha256(struct crypto *cx, struct span in, uint8_t out[static SHA256_BYTES]);
MUST_USE enum err sha384(struct crypto *cx, struct span in, uint8_t out[static SHA384_BYTES]);
/* Of the concatenation. */
MUST_USE enum err sha256_parts(struct crypto *cx, const struct span *parts, size_t n,
                               uint8_t out[static SHA256_BYTES]);
MUST_USE enum err sha384_parts(struct crypto *cx, const struct span *parts, size_t n,
                               uint8_t out[static SHA384_BYTES]);
/* Under way. A copy goes on by itself, so what many texts begin with is hashed once. It holds what
 * went in since the last block: wipe() one that is given up, where that is secret. */
struct sha256_state {
    uint64_t opaque[14];
};
void sha256_begin(struct sha256_state *s);
void sha256_more(struct sha256_state *s, struct span in);
void sha256_end(struct sha256_state *s, uint8_t out[static SHA256_BYTES]); /* wipes *s */

MUST_USE enum err hmac_sha256(struct crypto *cx, struct span key, struct span in,
                              uint8_t out[static HMAC_SHA256_BYTES]);
/* Cannot fail: nothing is allocated. */
void hmac_sha512(struct span key, struct span in, uint8_t out[static HMAC_SHA512_BYTES]);

#endif
