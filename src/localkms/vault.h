/* vault.h - keys in use: rows of the store with policy compiled and material unwrapped, kept for
 * the next request.
 *
 * Material is wrapped with AES-256-GCM under the master key, with key id, material number
 * and, if it is not symmetric, kind as additional data, so a row cannot stand in for another. One
 * thread.
 */
#ifndef LOCALKMS_VAULT_H
#define LOCALKMS_VAULT_H

#include "crypto/crypto.h"
#include "localkms/keystore.h"
#include "policy/policy.h"

enum { VAULT_KEPT_MAX = 1024, MASTER_KEY_BYTES = 32 };

struct key {
    struct key_row row; /* without the wrapped material */
    struct policy *policy;
    struct secret material;
    struct key *next;
    uint64_t used;
};

struct vault;

/* `master_key`: MASTER_KEY_BYTES, copied. ERR_NOMEM, ERR_INTERNAL. */
MUST_USE enum err vault_new(struct crypto *cx, const struct keystore *store, struct span master_key,
                            struct vault **out);
void vault_free(struct vault *v); /* NULL is fine */

/* *out is NULL if there is no such key; else it lives until the next call here. ERR_VERIFY: the
 * material does not unwrap (another master key, or a damaged row). ERR_IO, ERR_NOMEM. */
MUST_USE enum err vault_find(struct vault *v, const char *id, struct key **out);
/* A new enabled symmetric key with fresh material, stored. *out as with vault_find().
 * ERR_MALFORMED: `policy` was not checked before. */
MUST_USE enum err vault_create(struct vault *v, struct span description, struct span policy,
                               int64_t now_ms, struct key **out);
/* The same of another kind. */
MUST_USE enum err vault_create_spec(struct vault *v, enum key_spec spec, struct span description,
                                    struct span policy, int64_t now_ms, struct key **out);
MUST_USE enum err vault_set_policy(struct vault *v, struct key *key, struct span policy);
MUST_USE enum err vault_list(struct vault *v, const char *after, unsigned max,
                             char (*ids)[KEY_ID_BYTES + 1], unsigned *n);

/* What the store says about the last ERR_IO, for a log; "": nothing. Lives until the next call. */
const char *vault_store_reason(const struct vault *v);

/* A random UUID (RFC 4122 version 4) and a NUL. */
MUST_USE enum err uuid_new(struct crypto *cx, char out[static KEY_ID_BYTES + 1]);

#endif
