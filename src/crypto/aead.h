/* aead.h - AES-256-GCM (NIST SP 800-38D, 96-bit IV, 128-bit tag) and AES-256-CBC with PKCS#7
 * padding. ERR_CRYPTO: the library failed. ERR_INTERNAL: a key, IV or length that the caller must
 * not pass. */
#ifndef CRYPTO_AEAD_H
#define CRYPTO_AEAD_H

#include "base/buf.h"
#include "crypto/crypto.h"

enum {
    AES256_KEY_BYTES = 32,
    GCM_IV_BYTES = 12,
    GCM_TAG_BYTES = 16,
    CBC_IV_BYTES = 16,
    AES_BLOCK_BYTES = 16
};

/* Encrypt `plain` into `out` (plain.len bytes; may not overlap) and write the tag. */
MUST_USE enum err aes256gcm_seal(struct crypto *cx, struct span key, struct span iv,
                                 struct span aad, struct span plain, uint8_t *out,
                                 uint8_t tag[static GCM_TAG_BYTES]);
/* ERR_VERIFY: the tag does not hold; `out` (ct.len bytes) has then been wiped. */
MUST_USE enum err aes256gcm_open(struct crypto *cx, struct span key, struct span iv,
                                 struct span aad, struct span ct, struct span tag, uint8_t *out);

/* Append the padded ciphertext. ERR_LIMIT, ERR_NOMEM. */
MUST_USE enum err aes256cbc_seal(struct crypto *cx, struct span key, struct span iv,
                                 struct span plain, struct buf *out);
/* The plaintext of `ct`, a non-empty multiple of 16 bytes, into a new secret. ERR_VERIFY: padding,
 * checked without branching on its bytes before the end. ERR_LIMIT past SECRET_MAX_BYTES. */
MUST_USE enum err aes256cbc_open(struct crypto *cx, struct span key, struct span iv, struct span ct,
                                 struct secret *out);

#endif
