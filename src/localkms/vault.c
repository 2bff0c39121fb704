#include "localkms/vault.h"

#include <stdlib.h>

#include "base/hex.h"
#include "crypto/aead.h"

enum { BUCKETS = 256, WRAP_AAD_BYTES = KEY_ID_BYTES + 5 };

struct vault {
    struct crypto *cx;
    struct keystore store;
    struct secret master_key;
    struct key *buckets[BUCKETS];
    unsigned kept;
    uint64_t clock; /* of uses */
};

static void key_free(struct key *key)
{
    if (!key)
        return;
    key_row_clear(&key->row);
    policy_free(key->policy);
    secret_clear(&key->material);
    free(key);
}

static void key_freep(struct key **key)
{
    key_free(*key);
    *key = NULL;
}

enum err vault_new(struct crypto *cx, const struct keystore *store, struct span master_key,
                   struct vault **out)
{
    if (master_key.len != MASTER_KEY_BYTES)
        return ERR_INTERNAL;
    struct vault *v = calloc(1, sizeof *v);
    if (!v)
        return ERR_NOMEM;
    v->cx = cx;
    v->store = *store;
    enum err r = secret_copy(master_key, &v->master_key);
    if (r != ERR_OK) {
        free(v);
        return r;
    }
    *out = v;
    return ERR_OK;
}

void vault_free(struct vault *v)
{
    if (!v)
        return;
    for (unsigned i = 0; i < BUCKETS; i++) {
        while (v->buckets[i]) {
            struct key *key = v->buckets[i];
            v->buckets[i] = key->next;
            key_free(key);
        }
    }
    secret_clear(&v->master_key);
    free(v);
}

static struct key **bucket(struct vault *v, const char *id)
{
    uint32_t hash = 2166136261u; /* FNV-1a */

    for (unsigned i = 0; i < KEY_ID_BYTES; i++)
        hash = (hash ^ (uint8_t)id[i]) * 16777619u;
    return &v->buckets[hash % BUCKETS];
}

static void drop_oldest(struct vault *v)
{
    struct key **oldest = NULL;

    for (unsigned i = 0; i < BUCKETS; i++)
        for (struct key **k = &v->buckets[i]; *k; k = &(*k)->next)
            if (!oldest || (*k)->used < (*oldest)->used)
                oldest = k;
    if (!oldest)
        return;
    struct key *gone = *oldest;
    *oldest = gone->next;
    key_free(gone);
    v->kept--;
}

static void keep(struct vault *v, struct key *key)
{
    struct key **head;

    if (v->kept == VAULT_KEPT_MAX)
        drop_oldest(v);
    head = bucket(v, key->row.id);
    key->used = ++v->clock;
    key->next = *head;
    *head = key;
    v->kept++;
}

/* The kind came later: symmetric keys are wrapped as they were before. */
static struct span wrap_aad(const struct key_row *row, uint8_t out[static WRAP_AAD_BYTES])
{
    memcpy(out, row->id, KEY_ID_BYTES);
    for (unsigned i = 0; i < 4; i++)
        out[KEY_ID_BYTES + i] = (uint8_t)(row->material >> (24 - 8 * i));
    out[WRAP_AAD_BYTES - 1] = (uint8_t)row->spec;
    return span_of(out, row->spec == KEY_SYMMETRIC ? WRAP_AAD_BYTES - 1 : WRAP_AAD_BYTES);
}

static enum err wrap(struct vault *v, struct key *key)
{
    uint8_t aad[WRAP_AAD_BYTES];
    uint8_t *room;

    enum err r = buf_reserve(&key->row.wrapped, KEY_WRAPPED_BYTES, &room);
    if (r == ERR_OK)
        r = rng_bytes(v->cx, room, GCM_IV_BYTES);
    if (r != ERR_OK)
        return r;
    r = aes256gcm_seal(v->cx, secret_view(&v->master_key), span_of(room, GCM_IV_BYTES),
                       wrap_aad(&key->row, aad), secret_view(&key->material), room + GCM_IV_BYTES,
                       room + GCM_IV_BYTES + KEY_MATERIAL_BYTES);
    if (r == ERR_OK)
        buf_commit(&key->row.wrapped, KEY_WRAPPED_BYTES);
    return r;
}

static enum err unwrap(struct vault *v, struct key *key)
{
    struct span in = buf_view(&key->row.wrapped);
    uint8_t aad[WRAP_AAD_BYTES];

    if (in.len != KEY_WRAPPED_BYTES)
        return ERR_VERIFY;
    enum err r = secret_new(KEY_MATERIAL_BYTES, &key->material);
    if (r != ERR_OK)
        return r;
    return aes256gcm_open(v->cx, secret_view(&v->master_key), span_sub(in, 0, GCM_IV_BYTES),
                          wrap_aad(&key->row, aad), span_sub(in, GCM_IV_BYTES, KEY_MATERIAL_BYTES),
                          span_from(in, GCM_IV_BYTES + KEY_MATERIAL_BYTES), key->material.ptr);
}

static struct key *key_new(void)
{
    struct key *key = calloc(1, sizeof *key);

    if (key)
        key->row = KEY_ROW_INIT;
    return key;
}

static enum err load(struct vault *v, const char *id, struct key **out)
{
    AUTO(key_freep) struct key *key = key_new();
    bool found = false;

    if (!key)
        return ERR_NOMEM;
    enum err r = v->store.find(v->store.arg, id, &key->row, &found);
    if (r != ERR_OK || !found)
        return r;
    r = unwrap(v, key);
    if (r == ERR_OK)
        r = policy_parse(buf_view(&key->row.policy), POLICY_OF_KEY, &key->policy, NULL);
    if (r != ERR_OK)
        return r;
    buf_clear(&key->row.wrapped);
    keep(v, key);
    *out = key;
    key = NULL; /* handed over */
    return ERR_OK;
}

enum err vault_find(struct vault *v, const char *id, struct key **out)
{
    *out = NULL;
    if (strlen(id) != KEY_ID_BYTES)
        return ERR_OK;
    for (struct key *key = *bucket(v, id); key; key = key->next) {
        if (strcmp(key->row.id, id) != 0)
            continue;
        key->used = ++v->clock;
        *out = key;
        return ERR_OK;
    }
    return load(v, id, out);
}

enum err uuid_new(struct crypto *cx, char out[static KEY_ID_BYTES + 1])
{
    uint8_t raw[16];
    char hex[33];

    enum err r = rng_bytes(cx, raw, sizeof raw);
    if (r != ERR_OK)
        return r;
    raw[6] = (uint8_t)((raw[6] & 0x0f) | 0x40);
    raw[8] = (uint8_t)((raw[8] & 0x3f) | 0x80);
    hex_write(SPAN_ARRAY(raw), hex);
    for (unsigned i = 0, at = 0; i < 32; i++) {
        if (i == 8 || i == 12 || i == 16 || i == 20)
            out[at++] = '-';
        out[at++] = hex[i];
    }
    out[KEY_ID_BYTES] = '\0';
    return ERR_OK;
}

static enum err fill(struct vault *v, struct key *key, struct span description, struct span policy,
                     int64_t now_ms)
{
    key->row.created_ms = now_ms;
    key->row.state = KEY_ENABLED;
    key->row.material = 1;
    enum err r = uuid_new(v->cx, key->row.id);
    if (r == ERR_OK)
        r = buf_append(&key->row.description, description);
    if (r == ERR_OK)
        r = buf_append(&key->row.policy, policy);
    if (r == ERR_OK)
        r = policy_parse(policy, POLICY_OF_KEY, &key->policy, NULL);
    if (r == ERR_OK)
        r = secret_new(KEY_MATERIAL_BYTES, &key->material);
    if (r == ERR_OK)
        r = rng_bytes(v->cx, key->material.ptr, KEY_MATERIAL_BYTES);
    return r == ERR_OK ? wrap(v, key) : r;
}

enum err vault_create(struct vault *v, struct span description, struct span policy, int64_t now_ms,
                      struct key **out)
{
    return vault_create_spec(v, KEY_SYMMETRIC, description, policy, now_ms, out);
}

enum err vault_create_spec(struct vault *v, enum key_spec spec, struct span description,
                           struct span policy, int64_t now_ms, struct key **out)
{
    AUTO(key_freep) struct key *key = key_new();

    if (!key)
        return ERR_NOMEM;
    key->row.spec = spec;
    enum err r = fill(v, key, description, policy, now_ms);
    if (r == ERR_OK)
        r = v->store.insert(v->store.arg, &key->row);
    if (r != ERR_OK)
        return r;
    buf_clear(&key->row.wrapped);
    keep(v, key);
    *out = key;
    key = NULL; /* handed over */
    return ERR_OK;
}

enum err vault_set_policy(struct vault *v, struct key *key, struct span policy)
{
    AUTO(policy_freep) struct policy *compiled = NULL;
    AUTO(buf_clear) struct buf text = BUF_INIT(POLICY_MAX_BYTES);

    enum err r = policy_parse(policy, POLICY_OF_KEY, &compiled, NULL);
    if (r == ERR_OK)
        r = buf_append(&text, policy);
    if (r == ERR_OK)
        r = v->store.set_policy(v->store.arg, key->row.id, policy);
    if (r != ERR_OK)
        return r;
    policy_free(key->policy);
    key->policy = compiled;
    compiled = NULL; /* handed over */
    buf_clear(&key->row.policy);
    key->row.policy = buf_take(&text);
    return ERR_OK;
}

enum err vault_list(struct vault *v, const char *after, unsigned max, char (*ids)[KEY_ID_BYTES + 1],
                    unsigned *n)
{
    return v->store.list(v->store.arg, after, max, ids, n);
}

const char *vault_store_reason(const struct vault *v)
{
    return v->store.reason ? v->store.reason(v->store.arg) : "";
}
