/* metadata.c - KeyMetadata. */
#include <stdio.h>

#include "localkms/call.h"

static const char *state_name(enum key_state state)
{
    switch (state) {
    case KEY_ENABLED:
        return "Enabled";
    case KEY_DISABLED:
        return "Disabled";
    case KEY_PENDING_DELETION:
        return "PendingDeletion";
    case KEY_PENDING_IMPORT:
        return "PendingImport";
    }
    return "Unavailable";
}

struct expiry {
    int64_t earliest_ms;
};

static enum err find_expiry(void *ctx, const struct material_row *row)
{
    struct expiry *e = ctx;

    if (row->wrapped.len && row->valid_to_ms &&
        (e->earliest_ms == 0 || row->valid_to_ms < e->earliest_ms))
        e->earliest_ms = row->valid_to_ms;
    return ERR_OK;
}

/* Only while there is material. */
static void put_expiry(struct call *c)
{
    const struct keystore *store = vault_store(c->k->vault);
    struct expiry e = { 0 };

    if (c->key->row.origin != KEY_EXTERNAL || !c->key->material.len)
        return;
    if (store->list_materials(store->arg, c->key->row.id, 0, UINT32_MAX >> 1, find_expiry, &e) !=
        ERR_OK)
        return; /* optional members */
    call_put_text(c, "ExpirationModel",
                  e.earliest_ms ? SPAN_LIT("KEY_MATERIAL_EXPIRES")
                                : SPAN_LIT("KEY_MATERIAL_DOES_NOT_EXPIRE"));
    if (e.earliest_ms)
        call_put_time(c, "ValidTo", e.earliest_ms);
}

/* No replicas here: each multi-Region key is the primary one. */
static void put_multi_region(struct call *c)
{
    if (!c->key->row.multi_region)
        return;
    json_out_key(&c->out, "MultiRegionConfiguration");
    json_out_object(&c->out);
    call_put_text(c, "MultiRegionKeyType", SPAN_LIT("PRIMARY"));
    json_out_key(&c->out, "PrimaryKey");
    json_out_object(&c->out);
    call_put_text(c, "Arn", span_str(c->key_arn));
    call_put_text(c, "Region", span_str(c->k->region));
    json_out_object_end(&c->out);
    json_out_key(&c->out, "ReplicaKeys");
    json_out_array(&c->out);
    json_out_array_end(&c->out);
    json_out_object_end(&c->out);
}

/* The member set of a fresh key (kms-recipient section 4, of a symmetric one). */
void call_put_metadata(struct call *c)
{
    const struct key_row *row = &c->key->row;
    struct span spec = span_str(key_spec_name(row->spec));

    json_out_key(&c->out, "KeyMetadata");
    json_out_object(&c->out);
    call_put_text(c, "AWSAccountId", span_str(c->k->account));
    call_put_text(c, "Arn", span_str(c->key_arn));
    call_put_time(c, "CreationDate", row->created_ms);
    if (row->spec == KEY_SYMMETRIC && c->key->material.len)
        call_put_material_id(c, "CurrentKeyMaterialId", row->material);
    call_put_text(c, "CustomerMasterKeySpec", spec);
    if (row->status.state == KEY_PENDING_DELETION)
        call_put_time(c, "DeletionDate", row->status.deletion_ms);
    call_put_text(c, "Description", buf_view(&row->description));
    call_put_bool(c, "Enabled", row->status.state == KEY_ENABLED);
    put_expiry(c);
    call_put_list(c, key_algorithms_member(row->usage), key_algorithms(row->spec, row->usage));
    call_put_text(c, "KeyId", span_str(row->id));
    call_put_text(c, "KeyManager", SPAN_LIT("CUSTOMER"));
    call_put_text(c, "KeySpec", spec);
    call_put_text(c, "KeyState", span_str(state_name(row->status.state)));
    call_put_text(c, "KeyUsage", span_str(key_usage_name(row->usage)));
    call_put_bool(c, "MultiRegion", row->multi_region);
    put_multi_region(c);
    call_put_text(c, "Origin", span_str(key_origin_name(row->origin)));
    json_out_object_end(&c->out);
}
