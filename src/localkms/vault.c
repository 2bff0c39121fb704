/* vault.c - keys kept and found; material has its own file, vault_material.c. */
#include "localkms/vault.h"

#include <stdlib.h>

#include "base/hex.h"
#include "crypto/aead.h"
#include "localkms/vault_in.h"

void vault_tags_changed(struct key *key)
{
    for (size_t i = 0; i < key->n_tags; i++) {
        free(key->tags[i].name);
        free(key->tags[i].value);
    }
    free(key->tags);
    key->tags = NULL;
    key->n_tags = 0;
    key->tags_known = false;
}

static void key_free(struct key *key)
{
    if (!key)
        return;
    key_row_clear(&key->row);
    policy_free(key->policy);
    secret_clear(&key->material);
    akey_free(key->pair);
    ecdh_key_free(key->agree);
    vault_tags_changed(key);
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
    for (unsigned i = 0; i < VAULT_BUCKETS; i++) {
        while (v->buckets[i]) {
            struct key *key = v->buckets[i];
            v->buckets[i] = key->next;
            key_free(key);
        }
    }
    secret_clear(&v->master_key);
    free(v);
}

const struct keystore *vault_store(const struct vault *v)
{
    return &v->store;
}

struct span vault_master_key(const struct vault *v)
{
    return secret_view(&v->master_key);
}

static struct key **bucket(struct vault *v, const char *id)
{
    uint32_t hash = 2166136261u; /* FNV-1a */

    for (unsigned i = 0; i < KEY_ID_BYTES; i++)
        hash = (hash ^ (uint8_t)id[i]) * 16777619u;
    return &v->buckets[hash % VAULT_BUCKETS];
}

static void drop_oldest(struct vault *v)
{
    struct key **oldest = NULL;

    for (unsigned i = 0; i < VAULT_BUCKETS; i++)
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

void vault_drop(struct vault *v, const char *id)
{
    for (struct key **k = bucket(v, id); *k; k = &(*k)->next) {
        if (strcmp((*k)->row.id, id) != 0)
            continue;
        struct key *gone = *k;
        *k = gone->next;
        key_free(gone);
        v->kept--;
        return;
    }
}

static struct key *key_new(void)
{
    struct key *key = calloc(1, sizeof *key);

    if (key)
        key->row = KEY_ROW_INIT;
    return key;
}

static enum err load_material(struct vault *v, struct key *key)
{
    bool found = false;

    return vault_material(v, key, key->row.material, &key->material, &found);
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
    r = load_material(v, key);
    if (r == ERR_OK)
        r = policy_parse(buf_view(&key->row.policy), POLICY_OF_KEY, &key->policy, NULL);
    if (r != ERR_OK)
        return r;
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

/* A multi-Region key's id has no groups (kms-recipient reference section 4). */
static enum err new_id(struct vault *v, bool multi_region, char out[static KEY_ID_BYTES + 1])
{
    char uuid[KEY_ID_BYTES + 1];
    unsigned at = 4;

    enum err r = uuid_new(v->cx, uuid);
    if (r != ERR_OK)
        return r;
    memcpy(out, multi_region ? "mrk-" : uuid, multi_region ? 4 : KEY_ID_BYTES + 1);
    for (unsigned i = 0; multi_region && i <= KEY_ID_BYTES; i++)
        if (uuid[i] != '-')
            out[at++] = uuid[i];
    return ERR_OK;
}

static enum err fresh_pair(struct vault *v, const struct key_new *n, struct secret *out)
{
    AUTO(buf_clear) struct buf spki = BUF_INIT(1024);

    return keypair_new(v->cx, key_spec_pair(n->spec), out, &spki);
}

static enum err fresh_material(struct vault *v, const struct key_new *n, struct secret *out)
{
    if (n->material.ptr)
        return secret_copy(n->material, out);
    if (key_spec_is_pair(n->spec))
        return fresh_pair(v, n, out);
    enum err r = secret_new(key_spec_secret_bytes(n->spec), out);
    return r == ERR_OK ? rng_bytes(v->cx, out->ptr, out->len) : r;
}

static enum err fill(struct vault *v, const struct key_new *n, int64_t now_ms, struct key *key)
{
    struct key_row *row = &key->row;

    row->created_ms = now_ms;
    row->spec = n->spec;
    row->usage = n->usage;
    row->origin = n->origin;
    row->multi_region = n->multi_region;
    row->status.state = n->origin == KEY_EXTERNAL ? KEY_PENDING_IMPORT : KEY_ENABLED;
    row->material = 1;
    enum err r = ERR_OK;
    if (n->id)
        memcpy(row->id, n->id, sizeof row->id);
    else
        r = new_id(v, n->multi_region, row->id);
    if (r == ERR_OK)
        r = buf_append(&row->description, n->description);
    if (r == ERR_OK)
        r = buf_append(&row->policy, n->policy);
    if (r == ERR_OK)
        r = policy_parse(n->policy, POLICY_OF_KEY, &key->policy, NULL);
    if (r == ERR_OK && n->origin == KEY_AWS_KMS)
        r = fresh_material(v, n, &key->material);
    return r;
}

enum err vault_create(struct vault *v, const struct key_new *n, int64_t now_ms, struct key **out)
{
    AUTO(material_row_clear) struct material_row first = MATERIAL_ROW_INIT;
    AUTO(key_freep) struct key *key = key_new();
    bool external = n->origin == KEY_EXTERNAL;

    if (!key)
        return ERR_NOMEM;
    first.number = 1;
    first.how = MATERIAL_FIRST;
    first.created_ms = now_ms;
    enum err r = fill(v, n, now_ms, key);
    if (r == ERR_OK && !external)
        r = vault_wrap(v, &key->row, 1, secret_view(&key->material), &first.wrapped);
    if (r == ERR_OK)
        r = v->store.insert(v->store.arg, &key->row, external ? NULL : &first, n->tags, n->n_tags);
    if (r != ERR_OK)
        return r;
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

enum err vault_set_description(struct vault *v, struct key *key, struct span text)
{
    AUTO(buf_clear) struct buf copy = BUF_INIT(KEY_DESCRIPTION_MAX_BYTES);

    enum err r = buf_append(&copy, text);
    if (r == ERR_OK)
        r = v->store.set_description(v->store.arg, key->row.id, text);
    if (r != ERR_OK)
        return r;
    buf_clear(&key->row.description);
    key->row.description = buf_take(&copy);
    return ERR_OK;
}

enum err vault_set_status(struct vault *v, struct key *key, const struct key_status *status)
{
    enum err r = v->store.set_status(v->store.arg, key->row.id, status);

    if (r != ERR_OK)
        return r;
    key->row.status = *status;
    v->due_ms = 0;
    return ERR_OK;
}

static char *text_of(struct span s)
{
    return strndup(s.len ? (const char *)s.ptr : "", s.len);
}

static enum err take_tag(void *ctx, const struct tag_row *row)
{
    struct key *key = ctx;
    struct key_tag *tag = &key->tags[key->n_tags];

    *tag = (struct key_tag){ text_of(row->name), text_of(row->value) };
    key->n_tags++;
    return tag->name && tag->value ? ERR_OK : ERR_NOMEM;
}

enum err vault_tags(struct vault *v, struct key *key)
{
    if (key->tags_known)
        return ERR_OK;
    key->tags = calloc(TAGS_MAX, sizeof *key->tags);
    if (!key->tags)
        return ERR_NOMEM;
    enum err r = v->store.list_tags(v->store.arg, key->row.id, SPAN_EMPTY, TAGS_MAX, take_tag, key);
    if (r != ERR_OK)
        vault_tags_changed(key);
    key->tags_known = r == ERR_OK;
    return r;
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
