/* blob.h - the ciphertext blob of a symmetric key. KMS's own is opaque; ours begins like it.
 *
 *     offset  bytes
 *          0  5    01 02 02 00 78: version
 *          5  36   key id, ASCII ("mrk-" and 32 digits, or a UUID)
 *         41  4    number of the key material, big-endian
 *         45  12   IV, random
 *         57  n    ciphertext, n <= 4096
 *     57 + n  16   tag
 *
 * AES-256-GCM under the key material; additional data: bytes 0 to 44, then the canonical encryption
 * context. With random IVs one key material is good for 2^32 blobs (SP 800-38D section 8.3), more
 * than a local KMS makes. Blobs of other programs, KMS's own included, do not open.
 */
#ifndef LOCALKMS_BLOB_H
#define LOCALKMS_BLOB_H

#include "base/buf.h"
#include "crypto/crypto.h"

enum {
    BLOB_KEY_ID_BYTES = 36,
    BLOB_PLAIN_MAX_BYTES = 4096,
    BLOB_OVERHEAD_BYTES = 5 + BLOB_KEY_ID_BYTES + 4 + 12 + 16,
    BLOB_MAX_BYTES = 6144, /* limit of the API */
};

struct blob {
    struct span head;   /* what is authenticated before the context */
    struct span key_id; /* BLOB_KEY_ID_BYTES */
    uint32_t material;
    struct span iv, ct, tag;
};

/* Spans point into `in`. ERR_MALFORMED: not one of ours. *out untouched on failure. */
MUST_USE enum err blob_parse(struct span in, struct blob *out);
/* Append. `context`: canonical. ERR_INTERNAL: `key_id` of another length, or `plain` too long or
 * empty. ERR_LIMIT, ERR_NOMEM, ERR_CRYPTO. *out as before on failure. */
MUST_USE enum err blob_seal(struct crypto *cx, struct span key_id, uint32_t material,
                            struct span key, struct span context, struct span plain,
                            struct buf *out);
/* ERR_VERIFY: another key, another context, or altered. *out untouched on failure. */
MUST_USE enum err blob_open(struct crypto *cx, const struct blob *b, struct span key,
                            struct span context, struct secret *out);

#endif
