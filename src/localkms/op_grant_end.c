/* op_grant_end.c - RetireGrant, RevokeGrant. */
#include "localkms/grants.h"

enum { GRANT_ID_MAX_BYTES = 128, TOKEN_MAX_BYTES = 8192 };

struct ending {
    struct span key_id, grant_id, token;
};

static enum err members(struct call *c, struct ending *in)
{
    enum err r = input_string(&c->in, "KeyId", &in->key_id, &c->fault);

    if (r == ERR_OK)
        r = input_string(&c->in, "GrantId", &in->grant_id, &c->fault);
    return r == ERR_OK ? call_take_dry_run(c) : r;
}

static enum err no_grant(struct call *c, struct span id)
{
    if (id.len != GRANT_ID_BYTES)
        return fault_bare(&c->fault, FAULT_INVALID_GRANT_ID);
    return fault_set(&c->fault, FAULT_NOT_FOUND, "Grant ID %.*s not found", (int)id.len,
                     (const char *)id.ptr);
}

static enum err remove_grant(struct call *c, const char *key_id, const char *grant_id)
{
    const struct keystore *store = vault_store(c->k->vault);
    bool found = false;

    enum err r = call_check_dry_run(c);
    if (r == ERR_OK)
        r = call_fail_store(c, store->remove_grant(store->arg, key_id, grant_id, &found),
                            STORE_WRITE);
    return r == ERR_OK && !found ? no_grant(c, span_str(grant_id)) : r;
}

/* The one grant, and what decides who may retire it. */
struct target {
    struct call *c;
    struct span id; /* wanted; absent: any */
    char grant_id[GRANT_ID_BYTES + 1], key_id[KEY_ID_BYTES + 1];
    bool found, may_retire;
};

static enum err take(void *ctx, const struct grant_row *row)
{
    struct target *t = ctx;
    unsigned bit = 0;

    if (t->id.ptr && !span_is(t->id, row->id))
        return ERR_OK;
    bool known = grant_operation_by_name(SPAN_LIT("RetireGrant"), &bit);
    t->found = true;
    t->may_retire =
        policy_caller_is(&t->c->who->caller, row->retiring) ||
        (known && row->operations >> bit & 1 && policy_caller_is(&t->c->who->caller, row->grantee));
    memcpy(t->grant_id, row->id, sizeof t->grant_id);
    memcpy(t->key_id, row->key_id, sizeof t->key_id);
    return ERR_OK;
}

static enum err find_by_id(struct call *c, const struct ending *in, struct target *t)
{
    const struct keystore *store = vault_store(c->k->vault);

    enum err r = call_find_key_only(c, in->key_id);
    if (r != ERR_OK)
        return r;
    const struct grant_filter filter = { .key_id = span_str(c->key->row.id) };
    t->id = in->grant_id;
    r = call_fail_store(c, store->list_grants(store->arg, &filter, "", UINT32_MAX >> 1, take, t),
                        STORE_READ);
    return r == ERR_OK && !t->found ? no_grant(c, in->grant_id) : r;
}

static enum err find_by_token(struct call *c, const struct ending *in, struct target *t)
{
    const struct keystore *store = vault_store(c->k->vault);
    bool found = false;

    enum err r =
        call_fail_store(c, store->find_grant_token(store->arg, in->token, take, t), STORE_READ);
    if (r == ERR_OK && !t->found)
        r = fault_bare(&c->fault, FAULT_INVALID_GRANT_TOKEN);
    return r == ERR_OK ? call_find_key_by_id(c, t->key_id, &found) : r;
}

static enum err retire_members(struct call *c, struct ending *in)
{
    AUTO(checks_clear) struct checks check = CHECKS_INIT;

    enum err r = members(c, in);
    if (r == ERR_OK)
        r = input_string(&c->in, "GrantToken", &in->token, &c->fault);
    if (r != ERR_OK)
        return r;
    check_length(&check, "grantToken", in->token, 1, TOKEN_MAX_BYTES);
    check_length(&check, "keyId", in->key_id, 1, KEY_REF_MAX_BYTES);
    check_length(&check, "grantId", in->grant_id, 1, GRANT_ID_MAX_BYTES);
    r = checks_end(&check, &c->fault);
    if (r != ERR_OK)
        return r;
    bool by_id = in->key_id.ptr && in->grant_id.ptr;
    bool any_id = in->key_id.ptr || in->grant_id.ptr;
    return in->token.ptr ? any_id
           : !by_id      ? fault_set(&c->fault, FAULT_VALIDATION,
                                     "Please specify either a grant token, or a key ID and a grant ID.")
                         : ERR_OK;
}

/* The retiring principal and a grantee with RetireGrant may without asking a policy. */
enum err op_retire_grant(struct call *c)
{
    struct ending in = { .token = SPAN_EMPTY };
    struct target t = { .c = c };

    enum err r = retire_members(c, &in);
    if (r == ERR_OK)
        r = in.token.ptr ? find_by_token(c, &in, &t) : find_by_id(c, &in, &t);
    if (r == ERR_OK && !t.may_retire)
        r = call_authorize(c, "kms:RetireGrant");
    return r == ERR_OK ? remove_grant(c, t.key_id, t.grant_id) : r;
}

enum err op_revoke_grant(struct call *c)
{
    AUTO(checks_clear) struct checks check = CHECKS_INIT;
    struct ending in = { .token = SPAN_EMPTY };
    char id[GRANT_ID_BYTES + 1] = "";

    enum err r = members(c, &in);
    if (r != ERR_OK)
        return r;
    call_check_key_id(&check, in.key_id);
    check_required(&check, "grantId", in.grant_id.ptr != NULL);
    check_length(&check, "grantId", in.grant_id, 1, GRANT_ID_MAX_BYTES);
    r = checks_end(&check, &c->fault);
    if (r == ERR_OK)
        r = call_named_key(c, "kms:RevokeGrant", KEY_REF_KEY);
    if (r == ERR_OK && in.grant_id.len != GRANT_ID_BYTES)
        r = no_grant(c, in.grant_id);
    if (r != ERR_OK)
        return r;
    memcpy(id, in.grant_id.ptr, GRANT_ID_BYTES);
    return remove_grant(c, c->key->row.id, id);
}
