/* op_import_material.c - ImportKeyMaterial.
 *
 * What was imported once may be imported again after it expired or was deleted, and must then be
 * the same (a digest of it is kept). A symmetric key may get more than one: a new one waits until
 * RotateKeyOnDemand makes it the current one.
 */
#include "localkms/import_token.h"
#include "localkms/material_ids.h"

enum { MEMBER_MAX_BYTES = 6144, DESCRIPTION_MAX = 256 };

#define YEAR_MS (INT64_C(365) * 86400000)

struct import {
    struct span key_id, model, type, description, material_id;
    struct buf token, wrapped;
    bool token_given, wrapped_given, valid_given;
    int64_t valid_to_ms;
    struct import_token opened;
    struct secret material;
};

static void import_clear(struct import *in)
{
    buf_clear(&in->token);
    buf_clear(&in->wrapped);
    import_token_clear(&in->opened);
    secret_clear(&in->material);
}

static enum err members(struct call *c, struct import *in)
{
    struct input *m = &c->in;
    enum err r = input_string(m, "KeyId", &in->key_id, &c->fault);

    if (r == ERR_OK)
        r = input_string(m, "ExpirationModel", &in->model, &c->fault);
    if (r == ERR_OK)
        r = input_string(m, "ImportType", &in->type, &c->fault);
    if (r == ERR_OK)
        r = input_string(m, "KeyMaterialDescription", &in->description, &c->fault);
    if (r == ERR_OK)
        r = material_id_take(c, &in->material_id);
    if (r == ERR_OK)
        r = input_time(m, "ValidTo", &in->valid_to_ms, &in->valid_given, &c->fault);
    if (r == ERR_OK)
        r = input_blob(m, "ImportToken", &in->token, &in->token_given, &c->fault);
    if (r == ERR_OK)
        r = input_blob(m, "EncryptedKeyMaterial", &in->wrapped, &in->wrapped_given, &c->fault);
    return r;
}

static enum err constraints(struct call *c, const struct import *in)
{
    static const char *const models[] = { "KEY_MATERIAL_EXPIRES", "KEY_MATERIAL_DOES_NOT_EXPIRE",
                                          NULL };
    static const char *const types[] = { "NEW_KEY_MATERIAL", "EXISTING_KEY_MATERIAL", NULL };
    AUTO(checks_clear) struct checks check = CHECKS_INIT;

    call_check_key_id(&check, in->key_id);
    check_required(&check, "importToken", in->token_given);
    if (in->token_given)
        check_hidden_length(&check, "importToken", in->token.len, 1, MEMBER_MAX_BYTES);
    check_required(&check, "encryptedKeyMaterial", in->wrapped_given);
    if (in->wrapped_given)
        check_hidden_length(&check, "encryptedKeyMaterial", in->wrapped.len, 1, MEMBER_MAX_BYTES);
    check_enum(&check, "expirationModel", in->model, models);
    check_enum(&check, "importType", in->type, types);
    check_length(&check, "keyMaterialDescription", in->description, 0, DESCRIPTION_MAX);
    check_characters(&check, "keyMaterialDescription", in->description, ":/_ .-",
                     "^[a-zA-Z0-9:/_\\s.-]+$");
    return checks_end(&check, &c->fault);
}

static enum err check_expiry(struct call *c, const struct import *in)
{
    bool expires = !span_is(in->model, "KEY_MATERIAL_DOES_NOT_EXPIRE");

    if (expires && !in->valid_given)
        return fault_set(&c->fault, FAULT_VALIDATION,
                         "A validTo date must be set if the ExpirationModel is "
                         "KEY_MATERIAL_EXPIRES");
    if (!expires && in->valid_given)
        return fault_set(&c->fault, FAULT_VALIDATION,
                         "A validTo date must not be set if the ExpirationModel is "
                         "KEY_MATERIAL_DOES_NOT_EXPIRE");
    if (expires && (in->valid_to_ms <= c->now_ms || in->valid_to_ms - c->now_ms > YEAR_MS))
        return fault_set(&c->fault, FAULT_VALIDATION,
                         "The validTo date must be in the future, and at most 365 days from now.");
    return ERR_OK;
}

static enum err open_token(struct call *c, struct import *in)
{
    enum err r =
        import_token_open(c->cx, vault_master_key(c->k->vault), buf_view(&in->token), &in->opened);
    if (r == ERR_VERIFY || (r == ERR_OK && strcmp(in->opened.key_id, c->key->row.id) != 0))
        return fault_bare(&c->fault, FAULT_INVALID_IMPORT_TOKEN);
    if (r != ERR_OK)
        return call_fail(c, r);
    if (in->opened.valid_to_s * 1000 <= c->now_ms)
        return fault_bare(&c->fault, FAULT_EXPIRED_IMPORT_TOKEN);
    r = import_unwrap(c->cx, &in->opened, buf_view(&in->wrapped), &in->material);
    return r == ERR_VERIFY ? fault_bare(&c->fault, FAULT_INVALID_CIPHERTEXT) : call_fail(c, r);
}

/* Do the halves belong together? What one signs the other verifies. */
static bool pair_holds(struct call *c, const struct akey *pair)
{
    AUTO(buf_clear) struct buf sig = BUF_INIT(AKEY_SIGNATURE_MAX_BYTES);
    struct span msg = SPAN_LIT("imported");
    unsigned alg = 0;

    while (!akey_alg_fits(akey_spec(pair), (enum akey_sign_alg)alg))
        alg++;
    return akey_sign(c->cx, pair, (enum akey_sign_alg)alg, msg, false, &sig) == ERR_OK &&
           akey_verify(c->cx, pair, (enum akey_sign_alg)alg, msg, false, buf_view(&sig)) == ERR_OK;
}

static enum err wrong_material(struct call *c, const char *text)
{
    return fault_set(&c->fault, FAULT_INCORRECT_KEY_MATERIAL, "%s", text);
}

static enum err check_material(struct call *c, const struct import *in)
{
    AUTO(akey_freep) struct akey *pair = NULL;
    enum key_spec spec = c->key->row.spec;

    if (!key_spec_is_pair(spec))
        return in->material.len == key_spec_secret_bytes(spec)
                   ? ERR_OK
                   : wrong_material(c, "The key material is not of the length of the key spec.");
    if (akey_parse(c->cx, secret_view(&in->material), &pair, NULL) != ERR_OK ||
        akey_spec(pair) != key_spec_pair(spec) || !pair_holds(c, pair))
        return wrong_material(c, "The key material is not a private key of the key spec.");
    return ERR_OK;
}

/* ---- which one it is ---- */

struct known {
    struct span digest;
    uint32_t same, last, waiting;
};

static enum err look(void *ctx, const struct material_row *row)
{
    struct known *k = ctx;

    k->last = row->number;
    if (row->how == MATERIAL_WAITING)
        k->waiting = row->number;
    if (ct_eq(buf_view(&row->digest), k->digest))
        k->same = row->number;
    return ERR_OK;
}

static enum err choose_new(struct call *c, const struct known *k, struct material_row *m)
{
    if (k->same)
        return wrong_material(c, "The key material was imported before.");
    if (k->last && c->key->row.spec != KEY_SYMMETRIC)
        return wrong_material(c, "The key material is not the one that was imported before.");
    if (k->waiting)
        return fault_set(&c->fault, FAULT_INVALID_STATE,
                         "%s has key material that is pending rotation.", c->key_arn);
    m->number = k->last + 1;
    m->how = k->last ? MATERIAL_WAITING : MATERIAL_FIRST;
    m->created_ms = c->now_ms;
    return ERR_OK;
}

static enum err choose_existing(struct call *c, const struct import *in, const struct known *k,
                                struct material_row *m)
{
    const struct keystore *store = vault_store(c->k->vault);
    uint32_t named = k->same;
    bool found = false;

    enum err r = in->material_id.ptr ? material_by_id(c, in->material_id, &named) : ERR_OK;
    if (r != ERR_OK)
        return r;
    if (!k->same || named != k->same)
        return wrong_material(c, "The key material is not the one that was imported before.");
    return call_fail_store(c, store->find_material(store->arg, c->key->row.id, k->same, m, &found),
                           STORE_READ);
}

static enum err choose(struct call *c, const struct import *in, struct material_row *m)
{
    const struct keystore *store = vault_store(c->k->vault);
    uint8_t digest[MATERIAL_DIGEST_BYTES];
    struct known k = { .digest = SPAN_ARRAY(digest) };

    vault_digest(c->k->vault, c->key, secret_view(&in->material), digest);
    enum err r = call_fail_store(
        c, store->list_materials(store->arg, c->key->row.id, 0, UINT32_MAX >> 1, look, &k),
        STORE_READ);
    if (r != ERR_OK)
        return r;
    bool fresh = in->type.ptr ? span_is(in->type, "NEW_KEY_MATERIAL") : k.last == 0;
    if (fresh && in->material_id.ptr)
        return fault_set(&c->fault, FAULT_VALIDATION,
                         "KeyMaterialId cannot be used with ImportType NEW_KEY_MATERIAL.");
    return fresh ? choose_new(c, &k, m) : choose_existing(c, in, &k, m);
}

static enum err store_it(struct call *c, const struct import *in)
{
    AUTO(material_row_clear) struct material_row m = MATERIAL_ROW_INIT;

    enum err r = choose(c, in, &m);
    if (r != ERR_OK)
        return r;
    m.valid_to_ms = in->valid_to_ms;
    if (in->description.ptr) {
        buf_reset(&m.description);
        r = call_fail(c, buf_append(&m.description, in->description));
    }
    if (r == ERR_OK)
        r = call_fail_store(c, vault_import(c->k->vault, c->key, &m, secret_view(&in->material)),
                            STORE_WRITE);
    if (r != ERR_OK)
        return r;
    call_put_text(c, "KeyId", span_str(c->key_arn));
    if (c->key->row.spec == KEY_SYMMETRIC)
        call_put_material_id(c, "KeyMaterialId", m.number);
    return ERR_OK;
}

enum err op_import_key_material(struct call *c)
{
    AUTO(import_clear)
    struct import in = { .token = BUF_INIT(INPUT_BODY_MAX_BYTES),
                         .wrapped = BUF_INIT(INPUT_BODY_MAX_BYTES) };

    enum err r = members(c, &in);
    if (r == ERR_OK)
        r = constraints(c, &in);
    if (r != ERR_OK)
        return r;
    call_fact(c, SPAN_LIT("kms:ExpirationModel"),
              in.model.ptr ? in.model : SPAN_LIT("KEY_MATERIAL_EXPIRES"));
    r = call_named_key(c, "kms:ImportKeyMaterial", KEY_REF_KEY);
    if (r == ERR_OK)
        r = import_check_origin(c);
    if (r == ERR_OK)
        r = call_check_not_deleted(c);
    if (r == ERR_OK)
        r = check_expiry(c, &in);
    if (r == ERR_OK)
        r = open_token(c, &in);
    if (r == ERR_OK)
        r = check_material(c, &in);
    return r == ERR_OK ? store_it(c, &in) : r;
}
