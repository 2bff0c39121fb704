/* keystore.h - where keys are kept: what the core asks of a store.
 *
 * A store keeps rows and nothing else; key material comes to it wrapped. Every change is durable
 * when the call returns. Behind it: keystore_sqlite.h, and an array in tests.
 */
#ifndef LOCALKMS_KEYSTORE_H
#define LOCALKMS_KEYSTORE_H

#include "base/buf.h"
#include "localkms/key_spec.h"

enum {
    KEY_ID_BYTES = 36,                /* a UUID, or "mrk-" and 32 digits */
    KEY_MATERIAL_BYTES = 32,          /* AES-256, or the seed of an agreement key */
    KEY_WRAPPED_BYTES = 12 + 32 + 16, /* IV, material, tag: see vault.h */
    KEY_DESCRIPTION_MAX_BYTES = 8192,
};

/* Numbers are in the database: do not renumber. */
enum key_state {
    KEY_ENABLED = 1,
    KEY_DISABLED = 2,
    KEY_PENDING_DELETION = 3,
    KEY_PENDING_IMPORT = 4
};

struct key_row {
    char id[KEY_ID_BYTES + 1];
    int64_t created_ms; /* unix */
    enum key_state state;
    enum key_spec spec;
    uint32_t material; /* number of the current one, from 1 */
    struct buf description, policy;
    struct buf wrapped; /* the current material, KEY_WRAPPED_BYTES */
};

#define KEY_ROW_INIT                                                                               \
    ((struct key_row){ .spec = KEY_SYMMETRIC,                                                      \
                       .description = BUF_INIT(KEY_DESCRIPTION_MAX_BYTES),                         \
                       .policy = BUF_INIT(32768),                                                  \
                       .wrapped = BUF_INIT(KEY_WRAPPED_BYTES) })

static inline void key_row_clear(struct key_row *row)
{
    buf_clear(&row->description);
    buf_clear(&row->policy);
    buf_clear(&row->wrapped);
}

/* ERR_IO: the store failed. ERR_NOMEM, ERR_LIMIT. */
struct keystore {
    void *arg;
    /* *out begins as KEY_ROW_INIT; filled only if *found. */
    enum err (*find)(void *arg, const char *id, struct key_row *out, bool *found);
    enum err (*insert)(void *arg, const struct key_row *row);
    enum err (*set_policy)(void *arg, const char *id, struct span policy);
    /* Ids in ascending order, after `after` ("": from the first), at most `max` of them. */
    enum err (*list)(void *arg, const char *after, unsigned max, char (*ids)[KEY_ID_BYTES + 1],
                     unsigned *n);
    /* The store's own words about the last ERR_IO, for a log, never for a client; "": none. Lives
     * until the next call. May be NULL. */
    const char *(*reason)(void *arg);
};

#endif
