/* gcm.h - AES-GCM (NIST SP 800-38D; 96-bit IV, 128-bit tag) with one key for many texts, each of
 * which may come in pieces: key schedule and context are made once.
 *
 * One object is one direction and one thread's at a time, but may move between threads. For each
 * text: gcm_begin(), gcm_aad() any number of times, gcm_update() any number of times, then
 * gcm_tag() or gcm_check(). What gcm_update() gave while opening is not to be believed before
 * gcm_check() said ERR_OK. ERR_CRYPTO: the library failed. ERR_INTERNAL: a length that the caller
 * must not pass.
 */
#ifndef CRYPTO_GCM_H
#define CRYPTO_GCM_H

#include "crypto/aead.h"

enum gcm_direction { GCM_SEAL, GCM_OPEN };

struct gcm;

/* A key of 16, 24 or 32 bytes. ERR_INTERNAL, ERR_NOMEM, ERR_CRYPTO. */
MUST_USE enum err gcm_new(struct crypto *cx, struct span key, enum gcm_direction way,
                          struct gcm **out);
void gcm_free(struct gcm *g); /* wipes; NULL is fine */
void gcm_freep(struct gcm **g);

MUST_USE enum err gcm_begin(struct gcm *g, const uint8_t iv[static GCM_IV_BYTES]);
MUST_USE enum err gcm_aad(struct gcm *g, struct span aad);
/* `out` takes in.len bytes: the same place as `in`, or one that does not overlap. */
MUST_USE enum err gcm_update(struct gcm *g, struct span in, uint8_t *out);
MUST_USE enum err gcm_tag(struct gcm *g, uint8_t tag[static GCM_TAG_BYTES]);
/* ERR_VERIFY: the tag does not hold; wiping what was opened is the caller's. */
MUST_USE enum err gcm_check(struct gcm *g, const uint8_t tag[static GCM_TAG_BYTES]);

#endif
