/* vault_material.c - material: wrapped, rotated, imported, forgotten, and due at a time. */
#include "crypto/aead.h"
#include "crypto/hash.h"
#include "localkms/vault_in.h"

enum { WRAP_AAD_BYTES = KEY_ID_BYTES + 5, DUE_AT_ONCE_MAX = 64, RETRY_MS = 60000 };

#define DAY_MS INT64_C(86400000)

/* The kind came later: symmetric keys are wrapped as they were before. */
static struct span wrap_aad(const struct key_row *row, uint32_t number,
                            uint8_t out[static WRAP_AAD_BYTES])
{
    memcpy(out, row->id, KEY_ID_BYTES);
    for (unsigned i = 0; i < 4; i++)
        out[KEY_ID_BYTES + i] = (uint8_t)(number >> (24 - 8 * i));
    out[WRAP_AAD_BYTES - 1] = (uint8_t)row->spec;
    return span_of(out, row->spec == KEY_SYMMETRIC ? WRAP_AAD_BYTES - 1 : WRAP_AAD_BYTES);
}

enum err vault_wrap(struct vault *v, const struct key_row *row, uint32_t number,
                    struct span material, struct buf *out)
{
    uint8_t aad[WRAP_AAD_BYTES];
    uint8_t *room;

    enum err r = buf_reserve(out, KEY_WRAP_BYTES + material.len, &room);
    if (r == ERR_OK)
        r = rng_bytes(v->cx, room, GCM_IV_BYTES);
    if (r != ERR_OK)
        return r;
    r = aes256gcm_seal(v->cx, secret_view(&v->master_key), span_of(room, GCM_IV_BYTES),
                       wrap_aad(row, number, aad), material, room + GCM_IV_BYTES,
                       room + GCM_IV_BYTES + material.len);
    if (r == ERR_OK)
        buf_commit(out, KEY_WRAP_BYTES + material.len);
    return r;
}

/* Agreement keys were kept as the seed that they are made from. */
static enum err from_seed(struct vault *v, const struct key_row *row, struct secret *material)
{
    AUTO(ecdh_key_freep) struct ecdh_key *key = NULL;
    AUTO(secret_clear) struct secret pkcs8 = { 0 };

    enum err r = ecdh_key_from_seed(v->cx, key_spec_curve(row->spec), secret_view(material), &key);
    if (r == ERR_OK)
        r = ecdh_key_private(key, &pkcs8);
    if (r != ERR_OK)
        return r;
    secret_clear(material);
    *material = secret_take(&pkcs8);
    return ERR_OK;
}

static bool length_fits(const struct key_row *row, size_t len)
{
    return key_spec_is_pair(row->spec) || len == key_spec_secret_bytes(row->spec);
}

enum err vault_unwrap(struct vault *v, const struct key_row *row, uint32_t number,
                      struct span wrapped, struct secret *out)
{
    AUTO(secret_clear) struct secret plain = { 0 };
    uint8_t aad[WRAP_AAD_BYTES];

    if (wrapped.len <= KEY_WRAP_BYTES || !length_fits(row, wrapped.len - KEY_WRAP_BYTES))
        return ERR_VERIFY;
    enum err r = secret_new(wrapped.len - KEY_WRAP_BYTES, &plain);
    if (r == ERR_OK)
        r = aes256gcm_open(v->cx, secret_view(&v->master_key), span_sub(wrapped, 0, GCM_IV_BYTES),
                           wrap_aad(row, number, aad), span_sub(wrapped, GCM_IV_BYTES, plain.len),
                           span_from(wrapped, GCM_IV_BYTES + plain.len), plain.ptr);
    if (r == ERR_OK && row->usage == KEY_KEY_AGREEMENT && plain.len == KEY_MATERIAL_BYTES)
        r = from_seed(v, row, &plain);
    if (r == ERR_OK)
        *out = secret_take(&plain);
    return r;
}

enum err vault_material(struct vault *v, const struct key *key, uint32_t number, struct secret *out,
                        bool *found)
{
    AUTO(material_row_clear) struct material_row m = MATERIAL_ROW_INIT;

    *found = false;
    enum err r = v->store.find_material(v->store.arg, key->row.id, number, &m, found);
    if (r != ERR_OK || !*found)
        return r;
    *found = m.wrapped.len > 0;
    return *found ? vault_unwrap(v, &key->row, number, buf_view(&m.wrapped), out) : ERR_OK;
}

enum err vault_pair(struct vault *v, struct key *key, const struct akey **out)
{
    if (!key->pair) {
        enum err r = akey_parse(v->cx, secret_view(&key->material), &key->pair, NULL);
        if (r != ERR_OK)
            return r;
    }
    *out = key->pair;
    return ERR_OK;
}

enum err vault_agree(struct vault *v, struct key *key, const struct ecdh_key **out)
{
    if (!key->agree) {
        enum err r = ecdh_key_parse(v->cx, key_spec_curve(key->row.spec),
                                    secret_view(&key->material), &key->agree);
        if (r != ERR_OK)
            return r;
    }
    *out = key->agree;
    return ERR_OK;
}

void vault_material_changed(struct key *key, struct secret *material)
{
    akey_free(key->pair);
    key->pair = NULL;
    ecdh_key_free(key->agree);
    key->agree = NULL;
    secret_clear(&key->material);
    key->material = secret_take(material);
}

/* ---- rotation ---- */

static enum err count_one(void *ctx, const struct material_row *row)
{
    uint32_t *last = ctx;

    if (row->number > *last)
        *last = row->number;
    return ERR_OK;
}

static enum err next_number(struct vault *v, const struct key *key, uint32_t *out)
{
    uint32_t last = key->row.material;
    enum err r =
        v->store.list_materials(v->store.arg, key->row.id, last, UINT32_MAX >> 1, count_one, &last);
    *out = last + 1;
    return r;
}

/* An automatic rotation is followed by the next one. */
static void reschedule(struct key_status *s, enum material_how how, int64_t now_ms)
{
    if (how != MATERIAL_AUTOMATIC)
        return;
    s->rotation_next_ms += s->rotation_days * DAY_MS;
    if (s->rotation_next_ms <= now_ms)
        s->rotation_next_ms = now_ms + s->rotation_days * DAY_MS;
}

enum err vault_rotate(struct vault *v, struct key *key, enum material_how how, int64_t now_ms)
{
    AUTO(material_row_clear) struct material_row m = MATERIAL_ROW_INIT;
    AUTO(secret_clear) struct secret fresh = { 0 };
    struct key_status status = key->row.status;

    m.how = how;
    m.created_ms = m.rotated_ms = now_ms;
    reschedule(&status, how, now_ms);
    enum err r = next_number(v, key, &m.number);
    if (r == ERR_OK)
        r = secret_new(key_spec_secret_bytes(key->row.spec), &fresh);
    if (r == ERR_OK)
        r = rng_bytes(v->cx, fresh.ptr, fresh.len);
    if (r == ERR_OK)
        r = vault_wrap(v, &key->row, m.number, secret_view(&fresh), &m.wrapped);
    if (r == ERR_OK)
        r = v->store.put_material(v->store.arg, key->row.id, &m, m.number, &status);
    if (r != ERR_OK)
        return r;
    key->row.material = m.number;
    key->row.status = status;
    v->due_ms = 0;
    vault_material_changed(key, &fresh);
    return ERR_OK;
}

struct waiting {
    uint32_t number;
};

static enum err find_waiting(void *ctx, const struct material_row *row)
{
    struct waiting *w = ctx;

    if (row->how == MATERIAL_WAITING && row->wrapped.len)
        w->number = row->number;
    return ERR_OK;
}

enum err vault_rotate_waiting(struct vault *v, struct key *key, int64_t now_ms, bool *found)
{
    AUTO(material_row_clear) struct material_row m = MATERIAL_ROW_INIT;
    AUTO(secret_clear) struct secret material = { 0 };
    struct waiting w = { 0 };

    enum err r = v->store.list_materials(v->store.arg, key->row.id, key->row.material,
                                         UINT32_MAX >> 1, find_waiting, &w);
    *found = w.number != 0;
    if (r != ERR_OK || !*found)
        return r;
    r = v->store.find_material(v->store.arg, key->row.id, w.number, &m, found);
    if (r == ERR_OK)
        r = vault_unwrap(v, &key->row, w.number, buf_view(&m.wrapped), &material);
    m.how = MATERIAL_ON_DEMAND;
    m.rotated_ms = now_ms;
    if (r == ERR_OK)
        r = v->store.put_material(v->store.arg, key->row.id, &m, m.number, &key->row.status);
    if (r != ERR_OK)
        return r;
    key->row.material = m.number;
    vault_material_changed(key, &material);
    return ERR_OK;
}

/* ---- imported material ---- */

void vault_digest(struct vault *v, const struct key *key, struct span material,
                  uint8_t out[static MATERIAL_DIGEST_BYTES])
{
    uint8_t own[SHA256_BYTES];
    const struct span parts[] = { span_str("nitroseal imported material"), span_str(key->row.id),
                                  material };

    sha256_parts(parts, 3, own);
    hmac_sha256(secret_view(&v->master_key), SPAN_ARRAY(own), out);
}

struct missing {
    uint32_t except;
    bool any;
};

/* What waits for a rotation need not be there; everything that may have encrypted something does.
 */
static enum err find_missing(void *ctx, const struct material_row *row)
{
    struct missing *m = ctx;

    if (row->number != m->except && row->how != MATERIAL_WAITING && row->wrapped.len == 0)
        m->any = true;
    return ERR_OK;
}

static enum err is_complete(struct vault *v, const struct key *key, uint32_t with, bool *out)
{
    struct missing m = { .except = with };

    enum err r =
        v->store.list_materials(v->store.arg, key->row.id, 0, UINT32_MAX >> 1, find_missing, &m);
    *out = !m.any;
    return r;
}

enum err vault_import(struct vault *v, struct key *key, struct material_row *m,
                      struct span material)
{
    AUTO(secret_clear) struct secret copy = { 0 };
    struct key_status status = key->row.status;
    uint8_t digest[MATERIAL_DIGEST_BYTES];
    bool complete = false;

    buf_reset(&m->wrapped);
    buf_reset(&m->digest);
    vault_digest(v, key, material, digest);
    enum err r = buf_append(&m->digest, SPAN_ARRAY(digest));
    if (r == ERR_OK)
        r = vault_wrap(v, &key->row, m->number, material, &m->wrapped);
    if (r == ERR_OK)
        r = secret_copy(material, &copy);
    if (r == ERR_OK)
        r = is_complete(v, key, m->number, &complete);
    if (r != ERR_OK)
        return r;
    if (status.state == KEY_PENDING_IMPORT && complete)
        status.state = KEY_ENABLED;
    r = v->store.put_material(v->store.arg, key->row.id, m, key->row.material, &status);
    if (r != ERR_OK)
        return r;
    key->row.status = status;
    v->due_ms = 0;
    if (m->number == key->row.material)
        vault_material_changed(key, &copy);
    return ERR_OK;
}

enum err vault_forget(struct vault *v, struct key *key, uint32_t number)
{
    AUTO(material_row_clear) struct material_row m = MATERIAL_ROW_INIT;
    AUTO(secret_clear) struct secret none = { 0 };
    struct key_status status = key->row.status;
    bool found = false;

    enum err r = v->store.find_material(v->store.arg, key->row.id, number, &m, &found);
    if (r != ERR_OK || !found)
        return r;
    buf_clear(&m.wrapped);
    m.valid_to_ms = 0;
    if (status.state != KEY_PENDING_DELETION && m.how != MATERIAL_WAITING)
        status.state = KEY_PENDING_IMPORT;
    r = v->store.put_material(v->store.arg, key->row.id, &m, key->row.material, &status);
    if (r != ERR_OK)
        return r;
    key->row.status = status;
    v->due_ms = 0;
    if (number == key->row.material)
        vault_material_changed(key, &none);
    return ERR_OK;
}

/* ---- what time brings ---- */

static enum err do_one(struct vault *v, const struct due *due, int64_t now_ms)
{
    struct key *key = NULL;

    if (due->what == DUE_DELETION) {
        vault_drop(v, due->key_id);
        return v->store.remove(v->store.arg, due->key_id);
    }
    enum err r = vault_find(v, due->key_id, &key);
    if (r != ERR_OK || !key)
        return r == ERR_OK ? ERR_INTERNAL : r;
    return due->what == DUE_ROTATION ? vault_rotate(v, key, MATERIAL_AUTOMATIC, now_ms)
                                     : vault_forget(v, key, due->material);
}

/* Bounded, as one request waits for it; the rest is done before the next one. */
enum err vault_do_due(struct vault *v, int64_t now_ms)
{
    for (unsigned i = 0; i < DUE_AT_ONCE_MAX && now_ms >= v->due_ms; i++) {
        struct due due;
        enum err r = v->store.next_due(v->store.arg, &due);
        if (r != ERR_OK)
            return r;
        v->due_ms = due.what == DUE_NOTHING ? INT64_MAX : due.at_ms;
        if (now_ms < v->due_ms)
            return ERR_OK;
        r = do_one(v, &due, now_ms);
        v->due_ms = r == ERR_OK ? 0 : now_ms + RETRY_MS;
        if (r != ERR_OK)
            return r;
    }
    return ERR_OK;
}
