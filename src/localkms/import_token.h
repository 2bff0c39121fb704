/* import_token.h - inside localkms: what GetParametersForImport gives out and ImportKeyMaterial
 * takes back: the private wrapping key and what it is for, sealed under the master key. So nothing
 * has to be kept, and a restart in between does no harm.
 */
#ifndef LOCALKMS_IMPORT_TOKEN_H
#define LOCALKMS_IMPORT_TOKEN_H

#include "localkms/call.h"

enum import_algorithm {
    IMPORT_OAEP_SHA1 = 1,
    IMPORT_OAEP_SHA256 = 2,
    IMPORT_AES_WRAP_SHA1 = 3, /* RSA wraps an AES key, which wraps the material (RFC 5649) */
    IMPORT_AES_WRAP_SHA256 = 4,
};

struct import_token {
    char key_id[KEY_ID_BYTES + 1];
    enum import_algorithm algorithm;
    int64_t valid_to_s;
    struct secret pkcs8;
};

void import_token_clear(struct import_token *t);
/* Append it. ERR_NOMEM, ERR_LIMIT, ERR_CRYPTO. */
MUST_USE enum err import_token_write(struct crypto *cx, struct span master_key,
                                     const struct import_token *t, struct buf *out);
/* ERR_VERIFY: not one of ours, or altered. *out untouched on failure. */
MUST_USE enum err import_token_open(struct crypto *cx, struct span master_key, struct span in,
                                    struct import_token *out);
/* What was wrapped for that token. ERR_VERIFY: does not open. */
MUST_USE enum err import_unwrap(struct crypto *cx, const struct import_token *t,
                                struct span wrapped, struct secret *out);

#endif
