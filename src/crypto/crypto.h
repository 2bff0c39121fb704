/* crypto.h - the thread's own set of cryptographic contexts.
 *
 * `struct crypto` holds the algorithms (fetched once) and the contexts (reused), so an operation
 * costs no look-up. It is not shared: one per thread. After each operation the
 * contexts are re-keyed with zeros, so no caller's key stays behind in them. This folder is the
 * only one that includes OpenSSL.
 */
#ifndef CRYPTO_CRYPTO_H
#define CRYPTO_CRYPTO_H

#include "base/secret.h"
#include "base/span.h"

struct crypto;

/* Once per process, before the first other call and before any thread: OpenSSL's allocations are
 * from then on wiped when they are freed or moved, and no configuration file is read. ERR_CRYPTO.
 */
MUST_USE enum err crypto_process_init(void);

/* ERR_NOMEM, ERR_CRYPTO (an algorithm is missing). */
MUST_USE enum err crypto_new(struct crypto **out);
void crypto_free(struct crypto *cx);   /* NULL is fine */
void crypto_freep(struct crypto **cx); /* for AUTO() */

/* Bytes from OpenSSL's DRBG (seeded by getrandom). ERR_CRYPTO. */
MUST_USE enum err rng_bytes(struct crypto *cx, uint8_t *out, size_t len);
/* For what goes out as it is: IVs, message ids. They come from a DRBG of their own, some ahead,
 * because a call of it costs more than to seal a kilobyte. Never for keys. ERR_CRYPTO. */
MUST_USE enum err rng_public(struct crypto *cx, uint8_t *out, size_t len);

#endif
