/* vault.h - keys in use: rows of the store with policy compiled and material unwrapped, kept for
 * the next request.
 *
 * Material is wrapped with AES-256-GCM under the master key, with key id, material number
 * and, if it is not symmetric, kind as additional data, so a row cannot stand in for another. It is
 * a secret of key_spec_secret_bytes(), or the PKCS#8 form of a pair. One thread.
 */
#ifndef LOCALKMS_VAULT_H
#define LOCALKMS_VAULT_H

#include "crypto/crypto.h"
#include "localkms/keystore.h"
#include "policy/policy.h"

enum { VAULT_KEPT_MAX = 1024, MASTER_KEY_BYTES = 32 };

struct key_tag {
    char *name, *value;
};

struct key {
    struct key_row row;
    struct policy *policy;
    struct secret material; /* the current one; empty while it has to be imported */
    struct akey *pair;      /* made at first use: see vault_pair() */
    struct ecdh_key *agree;
    struct key_tag *tags; /* for policies: see vault_tags() */
    size_t n_tags;
    bool tags_known;
    struct key *next;
    uint64_t used;
};

struct key_new {
    enum key_spec spec;
    enum key_usage usage;
    enum key_origin origin; /* KEY_EXTERNAL: without material, KEY_PENDING_IMPORT */
    bool multi_region;
    struct span description, policy;
    const struct tag_row *tags;
    size_t n_tags;
    const char *id;       /* NULL: a new one */
    struct span material; /* checked before; absent: fresh. RSA keys take long to make here */
};

struct vault;

/* `master_key`: MASTER_KEY_BYTES, copied. ERR_NOMEM, ERR_INTERNAL. */
MUST_USE enum err vault_new(struct crypto *cx, const struct keystore *store, struct span master_key,
                            struct vault **out);
void vault_free(struct vault *v); /* NULL is fine */
/* For what has nothing to do with material: aliases, tags, grants. */
const struct keystore *vault_store(const struct vault *v);
struct span vault_master_key(const struct vault *v);

/* *out is NULL if there is no such key; else it lives until the next call here. ERR_VERIFY: the
 * material does not unwrap (another master key, or a damaged row). ERR_IO, ERR_NOMEM. */
MUST_USE enum err vault_find(struct vault *v, const char *id, struct key **out);
/* A new enabled key with fresh material, stored. *out as with vault_find().
 * ERR_MALFORMED: `policy` was not checked before. */
MUST_USE enum err vault_create(struct vault *v, const struct key_new *n, int64_t now_ms,
                               struct key **out);
MUST_USE enum err vault_set_policy(struct vault *v, struct key *key, struct span policy);
MUST_USE enum err vault_set_description(struct vault *v, struct key *key, struct span text);
MUST_USE enum err vault_set_status(struct vault *v, struct key *key,
                                   const struct key_status *status);
MUST_USE enum err vault_list(struct vault *v, const char *after, unsigned max,
                             char (*ids)[KEY_ID_BYTES + 1], unsigned *n);

/* The material of a number: *out is filled only if *found and it is there (not deleted). */
MUST_USE enum err vault_material(struct vault *v, const struct key *key, uint32_t number,
                                 struct secret *out, bool *found);
/* Of a key that is a pair. Lives as long as the key. */
MUST_USE enum err vault_pair(struct vault *v, struct key *key, const struct akey **out);
/* Of a key whose usage is KEY_KEY_AGREEMENT. */
MUST_USE enum err vault_agree(struct vault *v, struct key *key, const struct ecdh_key **out);

/* Fills key->tags if they are not known. */
MUST_USE enum err vault_tags(struct vault *v, struct key *key);
/* They were changed in the store. */
void vault_tags_changed(struct key *key);

/* Fresh material of a symmetric key, the older ones stay. */
MUST_USE enum err vault_rotate(struct vault *v, struct key *key, enum material_how how,
                               int64_t now_ms);
/* Make an imported material that waits the current one. *found false: none waits. */
MUST_USE enum err vault_rotate_waiting(struct vault *v, struct key *key, int64_t now_ms,
                                       bool *found);
/* Store imported material under `m->number`, with `m`'s times and description; digest and wrapped
 * form are made here. The key is enabled if that was what it lacked. */
MUST_USE enum err vault_import(struct vault *v, struct key *key, struct material_row *m,
                               struct span material);
/* What identifies imported material without telling it. */
void vault_digest(struct vault *v, const struct key *key, struct span material,
                  uint8_t out[static MATERIAL_DIGEST_BYTES]);
/* Forget imported material: the key waits for it again. */
MUST_USE enum err vault_forget(struct vault *v, struct key *key, uint32_t number);

/* Do what has become due: deletions, rotations, expiry. Cheap when nothing has. What fails is tried
 * again after a minute. */
MUST_USE enum err vault_do_due(struct vault *v, int64_t now_ms);

/* What the store says about the last ERR_IO, for a log; "": nothing. Lives until the next call. */
const char *vault_store_reason(const struct vault *v);

/* A random UUID (RFC 4122 version 4) and a NUL. */
MUST_USE enum err uuid_new(struct crypto *cx, char out[static KEY_ID_BYTES + 1]);

#endif
