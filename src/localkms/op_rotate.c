/* op_rotate.c - EnableKeyRotation, DisableKeyRotation, GetKeyRotationStatus, RotateKeyOnDemand,
 * ListKeyRotations. A rotation is done when its answer is given, so no on-demand rotation is ever
 * in progress (OnDemandRotationStartDate, ConflictException). */
#include <stdio.h>

#include "localkms/page.h"

enum {
    PERIOD_MIN_DAYS = 90,
    PERIOD_MAX_DAYS = 2560,
    PERIOD_DEFAULT_DAYS = 365,
    ON_DEMAND_MAX = 25,
    LIST_DEFAULT = 100,
    LIST_MAX = 1000
};

#define DAY_MS INT64_C(86400000)

/* Symmetric keys only; imported material is rotated on demand only. */
static enum err check_rotates(struct call *c, bool automatic)
{
    if (c->key->row.spec != KEY_SYMMETRIC)
        return fault_bare(&c->fault, FAULT_UNSUPPORTED);
    if (automatic && c->key->row.origin != KEY_AWS_KMS)
        return fault_set(&c->fault, FAULT_UNSUPPORTED,
                         "%s origin is %s which is not valid for this operation.", c->key_arn,
                         key_origin_name(c->key->row.origin));
    return ERR_OK;
}

static enum err take_period(struct call *c, int64_t *days)
{
    AUTO(checks_clear) struct checks check = CHECKS_INIT;
    struct span key_id = SPAN_EMPTY;
    bool given;

    *days = PERIOD_DEFAULT_DAYS;
    enum err r = input_string(&c->in, "KeyId", &key_id, &c->fault);
    if (r == ERR_OK)
        r = input_int(&c->in, "RotationPeriodInDays", days, &given, &c->fault);
    if (r != ERR_OK)
        return r;
    call_check_key_id(&check, key_id);
    check_range(&check, "rotationPeriodInDays", *days, PERIOD_MIN_DAYS, PERIOD_MAX_DAYS);
    return checks_end(&check, &c->fault);
}

static enum err set_rotation(struct call *c, uint32_t days)
{
    struct key_status status = c->key->row.status;

    status.rotation_days = days;
    status.rotation_next_ms = days ? c->now_ms + days * DAY_MS : 0;
    return call_fail_store(c, vault_set_status(c->k->vault, c->key, &status), STORE_WRITE);
}

enum err op_enable_key_rotation(struct call *c)
{
    char shown[24];
    int64_t days;

    enum err r = take_period(c, &days);
    if (r != ERR_OK)
        return r;
    snprintf(shown, sizeof shown, "%lld", (long long)days);
    call_fact(c, SPAN_LIT("kms:RotationPeriodInDays"), span_str(shown));
    r = call_named_key(c, "kms:EnableKeyRotation", KEY_REF_KEY);
    if (r == ERR_OK)
        r = check_rotates(c, true);
    if (r == ERR_OK)
        r = call_check_state(c);
    return r == ERR_OK ? set_rotation(c, (uint32_t)days) : r;
}

enum err op_disable_key_rotation(struct call *c)
{
    enum err r = call_named_key(c, "kms:DisableKeyRotation", KEY_REF_KEY);

    if (r == ERR_OK)
        r = check_rotates(c, true);
    if (r == ERR_OK)
        r = call_check_state(c);
    return r == ERR_OK ? set_rotation(c, 0) : r;
}

enum err op_get_key_rotation_status(struct call *c)
{
    enum err r = call_named_key(c, "kms:GetKeyRotationStatus", KEY_REF_KEY);

    if (r == ERR_OK)
        r = check_rotates(c, false);
    if (r != ERR_OK)
        return r;
    const struct key_status *s = &c->key->row.status;
    bool on = s->rotation_days > 0 && s->state != KEY_PENDING_DELETION;
    call_put_text(c, "KeyId", span_str(c->key->row.id));
    call_put_bool(c, "KeyRotationEnabled", on);
    if (!on)
        return ERR_OK;
    call_put_time(c, "NextRotationDate", s->rotation_next_ms);
    json_out_key(&c->out, "RotationPeriodInDays");
    json_out_uint(&c->out, s->rotation_days);
    return ERR_OK;
}

static enum err count_on_demand(void *ctx, const struct material_row *row)
{
    *(unsigned *)ctx += row->how == MATERIAL_ON_DEMAND;
    return ERR_OK;
}

static enum err check_on_demand_left(struct call *c)
{
    const struct keystore *store = vault_store(c->k->vault);
    unsigned n = 0;

    enum err r =
        store->list_materials(store->arg, c->key->row.id, 0, UINT32_MAX >> 1, count_on_demand, &n);
    if (r != ERR_OK)
        return call_fail_store(c, r, STORE_READ);
    return n < ON_DEMAND_MAX
               ? ERR_OK
               : fault_set(&c->fault, FAULT_LIMIT_EXCEEDED,
                           "The on-demand rotations limit has been reached for the given keyId. "
                           "No more on-demand rotations can be performed for this key: %s",
                           c->key_arn);
}

static enum err rotate(struct call *c)
{
    bool found = true;
    enum err r;

    if (c->key->row.origin == KEY_EXTERNAL)
        r = vault_rotate_waiting(c->k->vault, c->key, c->now_ms, &found);
    else
        r = vault_rotate(c->k->vault, c->key, MATERIAL_ON_DEMAND, c->now_ms);
    if (r != ERR_OK)
        return call_fail_store(c, r, STORE_WRITE);
    return found ? ERR_OK
                 : fault_set(&c->fault, FAULT_INVALID_STATE,
                             "%s has no key material that is pending rotation.", c->key_arn);
}

enum err op_rotate_key_on_demand(struct call *c)
{
    enum err r = call_named_key(c, "kms:RotateKeyOnDemand", KEY_REF_KEY);

    if (r == ERR_OK)
        r = check_rotates(c, false);
    if (r == ERR_OK)
        r = call_check_state(c);
    if (r == ERR_OK)
        r = check_on_demand_left(c);
    if (r == ERR_OK)
        r = rotate(c);
    if (r == ERR_OK)
        call_put_text(c, "KeyId", span_str(c->key->row.id));
    return r;
}

/* ---- ListKeyRotations ---- */

struct listing {
    struct call *c;
    struct page *p;
    bool all;
};

static const char *material_state(const struct call *c, const struct material_row *row)
{
    if (row->how == MATERIAL_WAITING)
        return "PENDING_ROTATION";
    return row->number == c->key->row.material ? "CURRENT" : "NON_CURRENT";
}

static void put_import(struct call *c, const struct material_row *row)
{
    bool there = row->wrapped.len > 0;

    if (row->description.len)
        call_put_text(c, "KeyMaterialDescription", buf_view(&row->description));
    call_put_text(c, "ImportState", there ? SPAN_LIT("IMPORTED") : SPAN_LIT("PENDING_IMPORT"));
    if (!there)
        return;
    call_put_text(c, "ExpirationModel",
                  row->valid_to_ms ? SPAN_LIT("KEY_MATERIAL_EXPIRES")
                                   : SPAN_LIT("KEY_MATERIAL_DOES_NOT_EXPIRE"));
    if (row->valid_to_ms)
        call_put_time(c, "ValidTo", row->valid_to_ms);
}

static enum err put_rotation(void *ctx, const struct material_row *row)
{
    struct listing *l = ctx;
    struct call *c = l->c;
    char name[16];
    bool fits, rotated = row->how == MATERIAL_AUTOMATIC || row->how == MATERIAL_ON_DEMAND;

    if (!rotated && !l->all)
        return ERR_OK;
    snprintf(name, sizeof name, "%u", row->number);
    enum err r = page_next(l->p, span_str(name), &fits);
    if (r != ERR_OK || !fits)
        return r;
    json_out_object(&c->out);
    call_put_text(c, "KeyId", span_str(c->key->row.id));
    call_put_material_id(c, "KeyMaterialId", row->number);
    if (c->key->row.origin == KEY_EXTERNAL)
        put_import(c, row);
    call_put_text(c, "KeyMaterialState", span_str(material_state(c, row)));
    if (rotated) {
        call_put_time(c, "RotationDate", row->rotated_ms);
        call_put_text(c, "RotationType",
                      row->how == MATERIAL_AUTOMATIC ? SPAN_LIT("AUTOMATIC")
                                                     : SPAN_LIT("ON_DEMAND"));
    }
    json_out_object_end(&c->out);
    return ERR_OK;
}

static enum err take_include(struct call *c, bool *all)
{
    static const char *const values[] = { "ALL_KEY_MATERIAL", "ROTATIONS_ONLY", NULL };
    AUTO(checks_clear) struct checks check = CHECKS_INIT;
    struct span include = SPAN_EMPTY;

    enum err r = input_string(&c->in, "IncludeKeyMaterial", &include, &c->fault);
    if (r != ERR_OK)
        return r;
    check_enum(&check, "includeKeyMaterial", include, values);
    *all = span_is(include, "ALL_KEY_MATERIAL");
    return checks_end(&check, &c->fault);
}

enum err op_list_key_rotations(struct call *c)
{
    AUTO(page_clear) struct page p = PAGE_INIT;
    const struct keystore *store = vault_store(c->k->vault);
    struct listing l = { .c = c, .p = &p };
    uint64_t after = 0;

    enum err r = page_take(c, LIST_DEFAULT, LIST_MAX, &p);
    if (r == ERR_OK)
        r = take_include(c, &l.all);
    if (r == ERR_OK)
        r = call_named_key(c, "kms:ListKeyRotations", KEY_REF_KEY);
    if (r == ERR_OK)
        r = check_rotates(c, false);
    if (r != ERR_OK)
        return r;
    if (p.after.len && span_to_u64(buf_view(&p.after), UINT32_MAX >> 1, &after) != ERR_OK)
        return fault_bare(&c->fault, FAULT_INVALID_MARKER);
    json_out_key(&c->out, "Rotations");
    json_out_array(&c->out);
    r = store->list_materials(store->arg, c->key->row.id, (uint32_t)after, UINT32_MAX >> 1,
                              put_rotation, &l);
    json_out_array_end(&c->out);
    return r == ERR_OK ? page_end(c, &p) : call_fail_store(c, r, STORE_READ);
}
