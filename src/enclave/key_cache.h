/* key_cache.h - data keys of messages, kept for a while so that small messages need no KMS call.
 *
 * Pure. Never for seed messages: texts under one data key would show that they are equal. A
 * key is found again only for the same use (new message, or one to be opened), suite, commitment
 * policy, key ARN, encryption context, epoch, and for opening the same encrypted data key. The
 * epoch is the service's: it moves when PCRs, credentials or the recipient key change. Suites
 * without derivation are refused both ways, since a message's own key comes only from derivation.
 *
 * An entry leaves by age, use, room or change; what it held is wiped then. Give-outs are copies.
 * Sources: esdk section 10.3, security R-5.
 */
#ifndef ENCLAVE_KEY_CACHE_H
#define ENCLAVE_KEY_CACHE_H

#include "crypto/hash.h"
#include "esdk/esdk.h"

struct key_cache_limits {
    uint64_t age_ns;   /* of an entry; 0: there is no cache */
    uint64_t messages; /* that an entry seals; opening is limited by age only */
    uint64_t bytes;    /* that an entry seals */
    unsigned entries;  /* at most KEY_CACHE_ENTRIES_MAX */
};

enum {
    KEY_CACHE_ENTRIES_MAX = 4096,
    KEY_CACHE_BLOB_MAX = 6144,
    KEY_CACHE_ID_BYTES = SHA384_BYTES,
    /* What one entry takes at most: its blob, and the key's own page. */
    KEY_CACHE_ENTRY_BYTES = KEY_CACHE_BLOB_MAX + 4096,
};

/* What a key is for. */
struct key_cache_use {
    bool is_new;
    const struct esdk_suite *suite;
    enum esdk_policy policy;
    struct span arn;
    struct span pairs;      /* the encryption context for KMS, canonical */
    struct span ciphertext; /* opening: the encrypted data key */
    uint64_t epoch;
};
struct key_cache_id {
    uint8_t digest[KEY_CACHE_ID_BYTES];
    bool is_new;
};
/* ERR_UNSUPPORTED: keys for this use are not kept (no derivation; sealing with a signing suite,
 * whose context is another for each message). */
MUST_USE enum err key_cache_id(const struct key_cache_use *use, struct key_cache_id *out);

struct key_cache;

/* ERR_NOMEM; ERR_LIMIT: more entries than there can be. */
MUST_USE enum err key_cache_new(const struct key_cache_limits *limits, struct key_cache **out);
void key_cache_free(struct key_cache *c); /* wipes; NULL is fine */

/* A copy of the key and, for a new message, a view of its blob that lives until the next call.
 * `bytes`: of the message to be sealed; they are counted, and an entry that would go past a limit
 * is given up instead. False: not there. ERR_NOMEM counts as not there. */
bool key_cache_get(struct key_cache *c, const struct key_cache_id *id, uint64_t bytes,
                   uint64_t now_ns, struct secret *key, struct span *blob);
/* Keep copies; the first message's bytes count. What does not fit is not kept. */
void key_cache_put(struct key_cache *c, const struct key_cache_id *id, const struct secret *key,
                   struct span blob, uint64_t bytes, uint64_t now_ns);
/* Drop what is too old; ERR_OK with *next_ns: when the next one will be, 0: none is there. */
void key_cache_expire(struct key_cache *c, uint64_t now_ns, uint64_t *next_ns);
/* Drop all: the epoch moved, or the service stops. */
void key_cache_clear(struct key_cache *c);

struct key_cache_counts {
    uint64_t hits, misses, kept;
    uint64_t aged, used_up, pushed_out, cleared; /* why entries left */
    unsigned entries;
};
struct key_cache_counts key_cache_counts(const struct key_cache *c);

#endif
