#include "enclave/key_cache.h"

#include <stdlib.h>

struct entry {
    struct key_cache_id id;
    struct secret key; /* empty: a free place */
    struct buf blob;
    uint64_t born_ns, used_ns, messages, bytes;
};

struct key_cache {
    struct key_cache_limits limits;
    struct key_cache_counts counts;
    struct entry entries[];
};

static void put_u64(uint8_t out[static 8], uint64_t v)
{
    for (int i = 0; i < 8; i++)
        out[i] = (uint8_t)(v >> (56 - 8 * i));
}

/* Every field with its length, so that no two uses are one string of bytes. */
enum err key_cache_id(const struct key_cache_use *use, struct key_cache_id *out)
{
    struct key_cache_id id = { .is_new = use->is_new };
    uint8_t fixed[3 + 8 + 3 * 8];
    const struct span parts[] = { SPAN_ARRAY(fixed), use->arn, use->pairs, use->ciphertext };

    if (!use->suite->derives || (use->is_new && use->suite->signs))
        return ERR_UNSUPPORTED;
    fixed[0] = (uint8_t)(use->is_new | use->policy << 1);
    fixed[1] = (uint8_t)(use->suite->id >> 8);
    fixed[2] = (uint8_t)use->suite->id;
    put_u64(fixed + 3, use->epoch);
    put_u64(fixed + 11, use->arn.len);
    put_u64(fixed + 19, use->pairs.len);
    put_u64(fixed + 27, use->ciphertext.len);
    sha384_parts(parts, sizeof parts / sizeof parts[0], id.digest);
    *out = id;
    return ERR_OK;
}

enum err key_cache_new(const struct key_cache_limits *limits, struct key_cache **out)
{
    if (limits->entries == 0 || limits->entries > KEY_CACHE_ENTRIES_MAX)
        return ERR_LIMIT;
    struct key_cache *c = calloc(1, sizeof *c + limits->entries * sizeof c->entries[0]);
    if (!c)
        return ERR_NOMEM;
    c->limits = *limits;
    for (unsigned i = 0; i < limits->entries; i++)
        c->entries[i].blob = BUF_INIT(KEY_CACHE_BLOB_MAX);
    *out = c;
    return ERR_OK;
}

static void drop(struct key_cache *c, struct entry *e, uint64_t *reason)
{
    secret_clear(&e->key);
    buf_clear(&e->blob);
    wipe(&e->id, sizeof e->id);
    c->counts.entries--;
    (*reason)++;
}

void key_cache_clear(struct key_cache *c)
{
    for (unsigned i = 0; i < c->limits.entries; i++)
        if (c->entries[i].key.len)
            drop(c, &c->entries[i], &c->counts.cleared);
}

void key_cache_free(struct key_cache *c)
{
    if (!c)
        return;
    key_cache_clear(c);
    free(c);
}

static bool is_old(const struct key_cache *c, const struct entry *e, uint64_t now_ns)
{
    return now_ns - e->born_ns >= c->limits.age_ns;
}

void key_cache_expire(struct key_cache *c, uint64_t now_ns, uint64_t *next_ns)
{
    *next_ns = 0;
    for (unsigned i = 0; i < c->limits.entries; i++) {
        struct entry *e = &c->entries[i];
        if (!e->key.len)
            continue;
        if (is_old(c, e, now_ns))
            drop(c, e, &c->counts.aged);
        else if (*next_ns == 0 || e->born_ns + c->limits.age_ns < *next_ns)
            *next_ns = e->born_ns + c->limits.age_ns;
    }
}

static struct entry *find(struct key_cache *c, const struct key_cache_id *id)
{
    for (unsigned i = 0; i < c->limits.entries; i++) {
        struct entry *e = &c->entries[i];
        if (e->key.len && e->id.is_new == id->is_new &&
            memcmp(e->id.digest, id->digest, sizeof id->digest) == 0)
            return e;
    }
    return NULL;
}

/* Would one message more, of so many bytes, be past a limit? */
static bool is_used_up(const struct key_cache *c, const struct entry *e, uint64_t bytes)
{
    return e->id.is_new && (e->messages >= c->limits.messages || bytes > c->limits.bytes ||
                            e->bytes > c->limits.bytes - bytes);
}

bool key_cache_get(struct key_cache *c, const struct key_cache_id *id, uint64_t bytes,
                   uint64_t now_ns, struct secret *key, struct span *blob)
{
    struct entry *e = find(c, id);
    struct secret copy;

    if (e && is_old(c, e, now_ns)) {
        drop(c, e, &c->counts.aged);
        e = NULL;
    } else if (e && is_used_up(c, e, bytes)) {
        drop(c, e, &c->counts.used_up);
        e = NULL;
    }
    if (!e || secret_copy(secret_view(&e->key), &copy) != ERR_OK) {
        c->counts.misses++;
        return false;
    }
    e->messages++;
    e->bytes += bytes;
    e->used_ns = now_ns;
    c->counts.hits++;
    *key = copy;
    *blob = buf_view(&e->blob);
    return true;
}

/* A free place, or that of the one unused for the longest time. */
static struct entry *place(struct key_cache *c)
{
    struct entry *oldest = &c->entries[0];

    for (unsigned i = 0; i < c->limits.entries; i++) {
        if (!c->entries[i].key.len)
            return &c->entries[i];
        if (c->entries[i].used_ns < oldest->used_ns)
            oldest = &c->entries[i];
    }
    drop(c, oldest, &c->counts.pushed_out);
    return oldest;
}

void key_cache_put(struct key_cache *c, const struct key_cache_id *id, const struct secret *key,
                   struct span blob, uint64_t bytes, uint64_t now_ns)
{
    struct entry *e = find(c, id);
    struct secret copy;

    if (c->limits.age_ns == 0 || key->len == 0 || blob.len > KEY_CACHE_BLOB_MAX ||
        (id->is_new && (c->limits.messages <= 1 || bytes > c->limits.bytes)))
        return;
    if (e) /* two asked at the same time: the younger one stays */
        drop(c, e, &c->counts.pushed_out);
    if (secret_copy(secret_view(key), &copy) != ERR_OK)
        return;
    e = place(c);
    if (buf_append(&e->blob, blob) != ERR_OK) {
        secret_clear(&copy);
        return;
    }
    e->id = *id;
    e->key = copy;
    e->born_ns = e->used_ns = now_ns;
    e->messages = 1;
    e->bytes = bytes;
    c->counts.entries++;
    c->counts.kept++;
}

struct key_cache_counts key_cache_counts(const struct key_cache *c)
{
    return c->counts;
}
