/* keystore.h - where keys are kept: what the core asks of a store.
 *
 * A store keeps rows and nothing else; key material comes to it wrapped. Every change is durable
 * when the call returns, and is there wholly or not at all. Behind it: keystore_sqlite.h.
 */
#ifndef LOCALKMS_KEYSTORE_H
#define LOCALKMS_KEYSTORE_H

#include "base/buf.h"
#include "localkms/key_spec.h"

enum {
    KEY_ID_BYTES = 36,        /* a UUID, or "mrk-" and 32 digits */
    KEY_MATERIAL_BYTES = 32,  /* AES-256, or the seed of an early agreement key */
    KEY_WRAP_BYTES = 12 + 16, /* IV before the material, tag after it: see vault.h */
    KEY_WRAPPED_MAX_BYTES = KEY_WRAP_BYTES + 4096,
    KEY_DESCRIPTION_MAX_BYTES = 8192,
    MATERIAL_DIGEST_BYTES = 32,
    MATERIAL_DESCRIPTION_MAX_BYTES = 256,
    TAGS_MAX = 50,       /* of a key */
    GRANT_ID_BYTES = 64, /* hexadecimal digits */
    GRANT_TOKEN_BYTES = 64,
};

/* Numbers are in the database: do not renumber. */
enum key_state {
    KEY_ENABLED = 1,
    KEY_DISABLED = 2,
    KEY_PENDING_DELETION = 3,
    KEY_PENDING_IMPORT = 4
};

/* How a material came to be the current one. Numbers are in the database. */
enum material_how {
    MATERIAL_FIRST = 1,
    MATERIAL_AUTOMATIC = 2,
    MATERIAL_ON_DEMAND = 3,
    MATERIAL_WAITING = 4, /* imported, to be the current one after the next rotation on demand */
};

/* What changes without new material. Times are unix, in ms; 0: none. */
struct key_status {
    enum key_state state;
    int64_t deletion_ms;
    uint32_t rotation_days; /* 0: no automatic rotation */
    int64_t rotation_next_ms;
};

struct key_row {
    char id[KEY_ID_BYTES + 1];
    int64_t created_ms; /* unix */
    enum key_spec spec;
    enum key_usage usage;
    enum key_origin origin;
    bool multi_region;
    uint32_t
        material; /* number of the current one, from 1; it need not be there (pending import) */
    struct key_status status;
    struct buf description, policy;
};

#define KEY_ROW_INIT                                                                               \
    ((struct key_row){ .spec = KEY_SYMMETRIC,                                                      \
                       .usage = KEY_ENCRYPT_DECRYPT,                                               \
                       .origin = KEY_AWS_KMS,                                                      \
                       .description = BUF_INIT(KEY_DESCRIPTION_MAX_BYTES),                         \
                       .policy = BUF_INIT(32768) })

static inline void key_row_clear(struct key_row *row)
{
    buf_clear(&row->description);
    buf_clear(&row->policy);
}

struct material_row {
    uint32_t number; /* from 1 */
    enum material_how how;
    int64_t created_ms, rotated_ms; /* rotated: became the current one; 0 of the first */
    int64_t valid_to_ms;            /* 0: does not expire */
    struct buf wrapped;             /* empty: deleted or expired, to be imported again */
    struct buf digest;              /* of an imported one: what it has to be again */
    struct buf description;
};

#define MATERIAL_ROW_INIT                                                                          \
    ((struct material_row){ .wrapped = BUF_INIT(KEY_WRAPPED_MAX_BYTES),                            \
                            .digest = BUF_INIT(MATERIAL_DIGEST_BYTES),                             \
                            .description = BUF_INIT(MATERIAL_DESCRIPTION_MAX_BYTES) })

static inline void material_row_clear(struct material_row *row)
{
    buf_clear(&row->wrapped);
    buf_clear(&row->digest);
    buf_clear(&row->description);
}

/* Rows of which there are many are given one at a time to a visitor; spans live during its call. A
 * visitor that fails ends the walk, and its error is the walk's. */
struct alias_row {
    struct span name; /* "alias/..." */
    char key_id[KEY_ID_BYTES + 1];
    int64_t created_ms, updated_ms;
};

struct tag_row {
    struct span name, value;
};

struct grant_row {
    char id[GRANT_ID_BYTES + 1], token[GRANT_TOKEN_BYTES + 1], key_id[KEY_ID_BYTES + 1];
    int64_t created_ms;
    uint32_t operations;                 /* bits of grants.h */
    struct span name, grantee, retiring; /* absent name and retiring: empty */
    struct span issuing, constraints;    /* account ARN; JSON, or empty */
};

/* Empty: any; but the key or the retiring principal has to be there. */
struct grant_filter {
    struct span key_id, grantee, retiring;
};

typedef enum err material_visit(void *ctx, const struct material_row *row);
typedef enum err alias_visit(void *ctx, const struct alias_row *row);
typedef enum err tag_visit(void *ctx, const struct tag_row *row);
typedef enum err grant_visit(void *ctx, const struct grant_row *row);

/* What has to happen at a time: a key deleted, a key rotated, a material gone. */
enum due_what { DUE_NOTHING, DUE_DELETION, DUE_ROTATION, DUE_EXPIRY };
struct due {
    enum due_what what;
    char key_id[KEY_ID_BYTES + 1];
    uint32_t material; /* of DUE_EXPIRY */
    int64_t at_ms;
};

/* ERR_IO: the store failed. ERR_NOMEM, ERR_LIMIT. ERR_INTERNAL: a change of what is not there. */
struct keystore {
    void *arg;
    /* *out begins as KEY_ROW_INIT; filled only if *found. */
    enum err (*find)(void *arg, const char *id, struct key_row *out, bool *found);
    /* The key, its first material (NULL: to be imported) and its tags. */
    enum err (*insert)(void *arg, const struct key_row *row, const struct material_row *material,
                       const struct tag_row *tags, size_t n_tags);
    enum err (*set_policy)(void *arg, const char *id, struct span policy);
    enum err (*set_description)(void *arg, const char *id, struct span description);
    enum err (*set_status)(void *arg, const char *id, const struct key_status *status);
    /* With all that belongs to it. */
    enum err (*remove)(void *arg, const char *id);
    /* Ids in ascending order, after `after` ("": from the first), at most `max` of them. */
    enum err (*list)(void *arg, const char *after, unsigned max, char (*ids)[KEY_ID_BYTES + 1],
                     unsigned *n);
    /* The earliest of all; DUE_NOTHING: none. */
    enum err (*next_due)(void *arg, struct due *out);

    /* *out begins as MATERIAL_ROW_INIT. */
    enum err (*find_material)(void *arg, const char *id, uint32_t number, struct material_row *out,
                              bool *found);
    /* Insert it, or replace the one of its number; `current` becomes the key's material and
     * `status` its status. */
    enum err (*put_material)(void *arg, const char *id, const struct material_row *material,
                             uint32_t current, const struct key_status *status);
    /* By number, those after `after`. Their `wrapped` is there, but not to be unwrapped. */
    enum err (*list_materials)(void *arg, const char *id, uint32_t after, unsigned max,
                               material_visit *visit, void *ctx);

    /* `out` but for its name. */
    enum err (*find_alias)(void *arg, struct span name, struct alias_row *out, bool *found);
    /* Insert, or replace the target and the time of update. */
    enum err (*put_alias)(void *arg, const struct alias_row *row);
    enum err (*remove_alias)(void *arg, struct span name);
    /* By name; `key_id` "": of any key. */
    enum err (*list_aliases)(void *arg, const char *key_id, struct span after, unsigned max,
                             alias_visit *visit, void *ctx);

    enum err (*put_tags)(void *arg, const char *id, const struct tag_row *tags, size_t n);
    enum err (*remove_tags)(void *arg, const char *id, const struct span *names, size_t n);
    enum err (*list_tags)(void *arg, const char *id, struct span after, unsigned max,
                          tag_visit *visit, void *ctx);

    enum err (*insert_grant)(void *arg, const struct grant_row *row);
    /* By id of the grant, after `after`. */
    enum err (*list_grants)(void *arg, const struct grant_filter *filter, const char *after,
                            unsigned max, grant_visit *visit, void *ctx);
    /* The one of this token; no visit: none. */
    enum err (*find_grant_token)(void *arg, struct span token, grant_visit *visit, void *ctx);
    enum err (*remove_grant)(void *arg, const char *key_id, const char *grant_id, bool *found);

    /* The store's own words about the last ERR_IO, for a log, never for a client; "": none. Lives
     * until the next call. May be NULL. */
    const char *(*reason)(void *arg);
};

#endif
