/* vault_in.h - inside the vault: keys kept, and material wrapped. */
#ifndef LOCALKMS_VAULT_IN_H
#define LOCALKMS_VAULT_IN_H

#include "localkms/vault.h"

enum { VAULT_BUCKETS = 256 };

struct vault {
    struct crypto *cx;
    struct keystore store;
    struct secret master_key;
    struct key *buckets[VAULT_BUCKETS];
    unsigned kept;
    uint64_t clock; /* of uses */
    int64_t due_ms; /* nothing is due before; 0: not known */
};

/* Wipe what is kept of a key; the store keeps it. */
void vault_drop(struct vault *v, const char *id);
MUST_USE enum err vault_wrap(struct vault *v, const struct key_row *row, uint32_t number,
                             struct span material, struct buf *out);
/* ERR_VERIFY: does not unwrap. *out untouched on failure. */
MUST_USE enum err vault_unwrap(struct vault *v, const struct key_row *row, uint32_t number,
                               struct span wrapped, struct secret *out);
/* Another material is the current one: what was made out of the old one goes. */
void vault_material_changed(struct key *key, struct secret *material);

#endif
