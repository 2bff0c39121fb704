/* crypt.h - inside localkms: encryption and decryption under c->key, symmetric and RSA. */
#ifndef LOCALKMS_CRYPT_H
#define LOCALKMS_CRYPT_H

#include "localkms/blob.h"
#include "localkms/call.h"

/* The model's EncryptionAlgorithmSpec, NULL-terminated. */
extern const char *const crypt_algorithms[];
/* No algorithm is the symmetric one. */
bool crypt_is_symmetric(struct span algorithm);
/* The algorithm has to be of c->key's kind, and an RSA one has no encryption context.
 * InvalidKeyUsageException, ValidationException. */
MUST_USE enum err crypt_check_algorithm(struct call *c, struct span algorithm);

/* The key that a ciphertext is of: of a symmetric one it is in the blob (`b` is set), and has to be
 * the one that the request names, if it names one. InvalidCiphertextException,
 * IncorrectKeyException, AccessDeniedException for a key that is not here. */
MUST_USE enum err crypt_find_source(struct call *c, struct span key_id, struct span algorithm,
                                    struct span ciphertext, struct blob *b);
/* Append the ciphertext of `plain` under c->key and c->context_bytes. */
MUST_USE enum err crypt_seal(struct call *c, struct span algorithm, struct span plain,
                             struct buf *out);
/* InvalidCiphertextException. `b`: of crypt_find_source(). *number: of the material, 0 with RSA. */
MUST_USE enum err crypt_open(struct call *c, struct span algorithm, struct span ciphertext,
                             const struct blob *b, struct secret *out, uint32_t *number);
/* c->key can seal data keys: symmetric, and enabled; and it is no dry run. */
MUST_USE enum err crypt_check_wraps(struct call *c, const char *operation);
/* A symmetric blob of c->key's current material: what a data key is sealed with. */
MUST_USE enum err crypt_blob(struct call *c, struct span plain, struct buf *out);

#endif
