/* hash.h - SHA-256, SHA-384 (FIPS 180-4) and HMAC (FIPS 198-1). Nothing here allocates or can
 * fail. */
#ifndef CRYPTO_HASH_H
#define CRYPTO_HASH_H

#include "crypto/crypto.h"

enum { SHA256_BYTES = 32, SHA384_BYTES = 48, HMAC_SHA256_BYTES = 32, HMAC_SHA512_BYTES = 64 };

void sha256(struct span in, uint8_t out[static SHA256_BYTES]);
void sha384(struct span in, uint8_t out[static SHA384_BYTES]);
/* Of the concatenation; `out` may be where a part is. */
void sha256_parts(const struct span *parts, size_t n, uint8_t out[static SHA256_BYTES]);
void sha384_parts(const struct span *parts, size_t n, uint8_t out[static SHA384_BYTES]);
/* Under way. A copy goes on by itself, so what many texts begin with is hashed once. It holds what
 * went in since the last block: wipe() one that is given up, where that is secret. */
struct sha256_state {
    uint64_t opaque[14];
};
void sha256_begin(struct sha256_state *s);
void sha256_more(struct sha256_state *s, struct span in);
void sha256_end(struct sha256_state *s, uint8_t out[static SHA256_BYTES]); /* wipes *s */

/* `out` may be where `key` or `in` is. */
void hmac_sha256(struct span key, struct span in, uint8_t out[static HMAC_SHA256_BYTES]);
void hmac_sha512(struct span key, struct span in, uint8_t out[static HMAC_SHA512_BYTES]);

#endif
