/* hkdf.h - HKDF (RFC 5869) with the SHA-2 hashes, in its two steps: one extract may serve several
 * expands. */
#ifndef CRYPTO_HKDF_H
#define CRYPTO_HKDF_H

#include "crypto/mac.h"

enum { HKDF_INFO_MAX_BYTES = 1024 };

/* mac_bytes() of key into a new secret; an empty `salt` is one of that many zeros (section 2.2).
 * ERR_INTERNAL (empty key), ERR_NOMEM. *prk untouched on failure. */
MUST_USE enum err hkdf_extract(struct crypto *cx, enum mac_alg alg, struct span salt,
                               struct span key, struct secret *prk);
/* Fill `out`. ERR_INTERNAL: longer than 255 hashes, or `info` past HKDF_INFO_MAX_BYTES. ERR_NOMEM.
 * `out` is all zeros on failure. */
MUST_USE enum err hkdf_expand(struct crypto *cx, enum mac_alg alg, const struct secret *prk,
                              struct span info, uint8_t *out, size_t len);

#endif
