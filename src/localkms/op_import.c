/* op_import.c - GetParametersForImport, DeleteImportedKeyMaterial; ImportKeyMaterial is in
 * op_import_material.c. */
#include "localkms/import_token.h"
#include "localkms/material_ids.h"

enum { VALID_S = 24 * 3600, TOKEN_MAX_BYTES = 6144, SPKI_MAX_BYTES = 1024 };

static const char *const algorithms[] = { "RSAES_PKCS1_V1_5",
                                          "RSAES_OAEP_SHA_1",
                                          "RSAES_OAEP_SHA_256",
                                          "RSA_AES_KEY_WRAP_SHA_1",
                                          "RSA_AES_KEY_WRAP_SHA_256",
                                          "SM2PKE",
                                          NULL };
static const char *const specs[] = { "RSA_2048", "RSA_3072", "RSA_4096", "SM2", NULL };

struct parameters {
    struct span key_id, algorithm, spec;
};

enum err import_check_origin(struct call *c)
{
    return c->key->row.origin == KEY_EXTERNAL
               ? ERR_OK
               : fault_set(&c->fault, FAULT_UNSUPPORTED,
                           "%s origin is %s which is not valid for this operation.", c->key_arn,
                           key_origin_name(c->key->row.origin));
}

static enum err take(struct call *c, struct parameters *in)
{
    AUTO(checks_clear) struct checks check = CHECKS_INIT;

    enum err r = input_string(&c->in, "KeyId", &in->key_id, &c->fault);
    if (r == ERR_OK)
        r = input_string(&c->in, "WrappingAlgorithm", &in->algorithm, &c->fault);
    if (r == ERR_OK)
        r = input_string(&c->in, "WrappingKeySpec", &in->spec, &c->fault);
    if (r != ERR_OK)
        return r;
    call_check_key_id(&check, in->key_id);
    check_required(&check, "wrappingAlgorithm", in->algorithm.ptr != NULL);
    check_enum(&check, "wrappingAlgorithm", in->algorithm, algorithms);
    check_required(&check, "wrappingKeySpec", in->spec.ptr != NULL);
    check_enum(&check, "wrappingKeySpec", in->spec, specs);
    return checks_end(&check, &c->fault);
}

/* RSAES_PKCS1_V1_5 has been withdrawn by the service, SM2 is for China's Regions. */
static enum err supported(struct call *c, const struct parameters *in,
                          enum import_algorithm *algorithm, enum keypair_spec *spec)
{
    unsigned a = 0, s = 0;

    while (!span_is(in->algorithm, algorithms[a]))
        a++;
    while (!span_is(in->spec, specs[s]))
        s++;
    if (a < IMPORT_OAEP_SHA1 || a > IMPORT_AES_WRAP_SHA256 || s > 2)
        return fault_set(&c->fault, FAULT_UNSUPPORTED,
                         "Wrapping algorithm %s with wrapping key spec %s is not supported.",
                         algorithms[a], specs[s]);
    *algorithm = (enum import_algorithm)a;
    *spec = (enum keypair_spec)(KEYPAIR_RSA_2048 + s);
    return ERR_OK;
}

static enum err answer(struct call *c, struct import_token *t, enum keypair_spec spec)
{
    AUTO(buf_clear) struct buf spki = BUF_INIT(SPKI_MAX_BYTES), token = BUF_INIT(TOKEN_MAX_BYTES);

    memcpy(t->key_id, c->key->row.id, sizeof t->key_id);
    t->valid_to_s = c->now_ms / 1000 + VALID_S;
    enum err r = call_new_pair(c, spec, &t->pkcs8, &spki);
    if (r != ERR_OK)
        return r;
    r = import_token_write(c->cx, vault_master_key(c->k->vault), t, &token);
    if (r != ERR_OK)
        return call_fail(c, r);
    call_put_blob(c, "ImportToken", buf_view(&token));
    call_put_text(c, "KeyId", span_str(c->key_arn));
    call_put_time(c, "ParametersValidTo", t->valid_to_s * 1000);
    call_put_blob(c, "PublicKey", buf_view(&spki));
    return ERR_OK;
}

enum err op_get_parameters_for_import(struct call *c)
{
    AUTO(import_token_clear) struct import_token t = { .key_id = "" };
    enum keypair_spec spec = KEYPAIR_SPECS;
    struct parameters in = { .key_id = SPAN_EMPTY };

    enum err r = take(c, &in);
    if (r != ERR_OK)
        return r;
    call_fact(c, SPAN_LIT("kms:WrappingAlgorithm"), in.algorithm);
    call_fact(c, SPAN_LIT("kms:WrappingKeySpec"), in.spec);
    r = call_named_key(c, "kms:GetParametersForImport", KEY_REF_KEY);
    if (r == ERR_OK)
        r = import_check_origin(c);
    if (r == ERR_OK)
        r = call_check_not_deleted(c);
    if (r == ERR_OK)
        r = supported(c, &in, &t.algorithm, &spec);
    return r == ERR_OK ? answer(c, &t, spec) : r;
}

/* ---- which material an id means ---- */

struct wanted {
    struct call *c;
    struct span id;
    uint32_t number;
};

static enum err compare(void *ctx, const struct material_row *row)
{
    struct wanted *w = ctx;
    char id[65];

    call_material_id(w->c, row->number, id);
    if (span_is(w->id, id))
        w->number = row->number;
    return ERR_OK;
}

enum err material_by_id(struct call *c, struct span id, uint32_t *number)
{
    const struct keystore *store = vault_store(c->k->vault);
    struct wanted w = { .c = c, .id = id };

    enum err r = store->list_materials(store->arg, c->key->row.id, 0, UINT32_MAX >> 1, compare, &w);
    *number = w.number;
    return call_fail_store(c, r, STORE_READ);
}

enum err material_id_take(struct call *c, struct span *out)
{
    AUTO(checks_clear) struct checks check = CHECKS_INIT;

    enum err r = input_string(&c->in, "KeyMaterialId", out, &c->fault);
    if (r != ERR_OK)
        return r;
    check_length(&check, "keyMaterialId", *out, 64, 64);
    return checks_end(&check, &c->fault);
}

static enum err forget(struct call *c, struct span id)
{
    uint32_t number = c->key->row.material;
    enum err r = id.ptr ? material_by_id(c, id, &number) : ERR_OK;

    if (r == ERR_OK && number == 0)
        r = fault_set(&c->fault, FAULT_NOT_FOUND, "Key material %.*s is not found.", (int)id.len,
                      (const char *)id.ptr);
    if (r == ERR_OK)
        r = call_fail_store(c, vault_forget(c->k->vault, c->key, number), STORE_WRITE);
    if (r != ERR_OK)
        return r;
    call_put_text(c, "KeyId", span_str(c->key_arn));
    if (c->key->row.spec == KEY_SYMMETRIC)
        call_put_material_id(c, "KeyMaterialId", number);
    return ERR_OK;
}

enum err op_delete_imported_key_material(struct call *c)
{
    struct span id = SPAN_EMPTY;

    enum err r = material_id_take(c, &id);
    if (r == ERR_OK)
        r = call_named_key(c, "kms:DeleteImportedKeyMaterial", KEY_REF_KEY);
    if (r == ERR_OK)
        r = import_check_origin(c);
    return r == ERR_OK ? forget(c, id) : r;
}
