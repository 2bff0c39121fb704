/* envelope.h - the seed message: AES-256-GCM and HMAC-SHA256 under one 32-byte data key.
 *
 * encrypted = IV (12) || tag (16) || ciphertext; signature = HMAC-SHA256 over the plaintext. The
 * format is the original's and fixed; the HMAC also serves as key commitment. Source: seed-system
 * section 3.
 */
#ifndef ENVELOPE_ENVELOPE_H
#define ENVELOPE_ENVELOPE_H

#include "base/buf.h"
#include "crypto/aead.h"
#include "crypto/hash.h"

enum { ENVELOPE_OVERHEAD_BYTES = GCM_IV_BYTES + GCM_TAG_BYTES };

/* Append the encrypted form of `plain` to `encrypted` and write its signature. ERR_LIMIT,
 * ERR_NOMEM, ERR_CRYPTO; ERR_INTERNAL: `key` is not AES256_KEY_BYTES long. */
MUST_USE enum err envelope_seal(struct crypto *cx, const struct secret *key, struct span plain,
                                struct buf *encrypted, uint8_t signature[static HMAC_SHA256_BYTES]);
/* Append the plaintext and say whether the signature holds. ERR_MALFORMED: shorter than the
 * overhead. ERR_VERIFY: the tag does not hold (nothing appended). A wrong signature is not an error
 * here: the seed protocol answers with the text and `signature_valid` false. ERR_INTERNAL as above.
 */
MUST_USE enum err envelope_open(struct crypto *cx, const struct secret *key, struct span encrypted,
                                struct span signature, struct buf *plain, bool *signature_valid,
                                struct why *why);

#endif
