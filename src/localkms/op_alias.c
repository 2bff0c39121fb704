/* op_alias.c - CreateAlias, UpdateAlias, DeleteAlias, ListAliases. */
#include "localkms/page.h"

enum { LIST_DEFAULT = 50, LIST_MAX = 100, ALIASES_PER_KEY_MAX = 50 };

#define NO_PREFIX                                                                                  \
    "Alias must start with the prefix \"alias/\". Please see "                                     \
    "https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html"

struct named {
    struct span name, target;
    struct buf arn; /* the alias's */
};

static void named_clear(struct named *in)
{
    buf_clear(&in->arn);
}

bool alias_name_is_valid(struct span name)
{
    AUTO(checks_clear) struct checks check = CHECKS_INIT;

    check_length(&check, "aliasName", name, sizeof "alias/", ALIAS_MAX_BYTES);
    check_characters(&check, "aliasName", name, ":/_-", "");
    return check.n == 0 && span_starts(name, "alias/") && !span_starts(name, "alias/aws/");
}

static enum err check_name(struct call *c, struct span name)
{
    if (!span_starts(name, "alias/"))
        return fault_set(&c->fault, FAULT_VALIDATION, NO_PREFIX);
    if (span_starts(name, "alias/aws/"))
        return fault_set(&c->fault, FAULT_INVALID_ALIAS_NAME,
                         "Alias names that begin with alias/aws/ are reserved.");
    return name.len > sizeof "alias/" - 1 ? ERR_OK
                                          : fault_bare(&c->fault, FAULT_INVALID_ALIAS_NAME);
}

static enum err take(struct call *c, bool with_target, struct named *in)
{
    AUTO(checks_clear) struct checks check = CHECKS_INIT;

    enum err r = input_string(&c->in, "AliasName", &in->name, &c->fault);
    if (r == ERR_OK && with_target)
        r = input_string(&c->in, "TargetKeyId", &in->target, &c->fault);
    if (r != ERR_OK)
        return r;
    check_required(&check, "aliasName", in->name.ptr != NULL);
    check_length(&check, "aliasName", in->name, 1, ALIAS_MAX_BYTES);
    check_characters(&check, "aliasName", in->name, ":/_-", "^[a-zA-Z0-9:/_-]+$");
    if (with_target) {
        check_required(&check, "targetKeyId", in->target.ptr != NULL);
        check_length(&check, "targetKeyId", in->target, 1, KEY_REF_MAX_BYTES);
    }
    r = checks_end(&check, &c->fault);
    if (r == ERR_OK)
        r = check_name(c, in->name);
    return r == ERR_OK ? call_alias_arn(c, in->name, &in->arn) : r;
}

static enum err find(struct call *c, struct span name, struct alias_row *row, bool *found)
{
    const struct keystore *store = vault_store(c->k->vault);

    return call_fail_store(c, store->find_alias(store->arg, name, row, found), STORE_READ);
}

/* Permission on the alias, by identity policies, and on the key. */
static enum err authorize_both(struct call *c, const struct named *in, const char *action)
{
    enum err r = call_authorize(c, action);

    return r == ERR_OK ? call_authorize_on(c, action, buf_view(&in->arn)) : r;
}

static enum err count(void *ctx, const struct alias_row *row)
{
    (void)row;
    ++*(unsigned *)ctx;
    return ERR_OK;
}

static enum err check_room(struct call *c)
{
    const struct keystore *store = vault_store(c->k->vault);
    unsigned n = 0;

    enum err r =
        store->list_aliases(store->arg, c->key->row.id, SPAN_EMPTY, ALIASES_PER_KEY_MAX, count, &n);
    if (r != ERR_OK)
        return call_fail_store(c, r, STORE_READ);
    return n < ALIASES_PER_KEY_MAX
               ? ERR_OK
               : fault_set(&c->fault, FAULT_LIMIT_EXCEEDED, "%s has %d aliases already.",
                           c->key_arn, ALIASES_PER_KEY_MAX);
}

static enum err put(struct call *c, struct span name, int64_t created_ms)
{
    const struct keystore *store = vault_store(c->k->vault);
    struct alias_row row = { .name = name, .created_ms = created_ms, .updated_ms = c->now_ms };

    memcpy(row.key_id, c->key->row.id, sizeof row.key_id);
    return call_fail_store(c, store->put_alias(store->arg, &row), STORE_WRITE);
}

enum err op_create_alias(struct call *c)
{
    AUTO(named_clear) struct named in = { .arn = BUF_INIT(1024) };
    struct alias_row row;
    bool found = false;

    enum err r = take(c, true, &in);
    if (r == ERR_OK)
        r = call_find_key_only(c, in.target);
    if (r == ERR_OK)
        r = authorize_both(c, &in, "kms:CreateAlias");
    if (r == ERR_OK)
        r = find(c, in.name, &row, &found);
    if (r == ERR_OK && found)
        r = fault_set(&c->fault, FAULT_ALREADY_EXISTS, "An alias with the name %.*s already exists",
                      (int)in.arn.len, (const char *)in.arn.ptr);
    if (r == ERR_OK)
        r = call_check_not_deleted(c);
    if (r == ERR_OK)
        r = check_room(c);
    return r == ERR_OK ? put(c, in.name, c->now_ms) : r;
}

static enum err no_alias(struct call *c, const struct named *in)
{
    return fault_set(&c->fault, FAULT_NOT_FOUND, "Alias %.*s is not found.", (int)in->arn.len,
                     (const char *)in->arn.ptr);
}

/* An alias goes to a key of the same type and usage only (the service's documentation). */
static enum err check_same_kind(struct call *c, const struct key_row *before)
{
    const struct key_row *after = &c->key->row;
    bool same = key_spec_is_pair(before->spec) == key_spec_is_pair(after->spec) &&
                key_spec_is_mac(before->spec) == key_spec_is_mac(after->spec) &&
                before->usage == after->usage;

    return same ? ERR_OK
                : fault_set(&c->fault, FAULT_VALIDATION,
                            "The current and the new target of an alias must be KMS keys of the "
                            "same type and key usage.");
}

/* Permission on the alias and on both keys. */
enum err op_update_alias(struct call *c)
{
    AUTO(named_clear) struct named in = { .arn = BUF_INIT(1024) };
    struct key_row before = { .spec = KEY_SYMMETRIC };
    struct alias_row row = { .created_ms = 0 };
    bool found = false;

    enum err r = take(c, true, &in);
    if (r == ERR_OK)
        r = find(c, in.name, &row, &found);
    if (r == ERR_OK && !found)
        r = no_alias(c, &in);
    if (r == ERR_OK)
        r = call_find_key_by_id(c, row.key_id, &found);
    if (r == ERR_OK)
        r = call_authorize(c, "kms:UpdateAlias");
    if (r != ERR_OK)
        return r;
    before.spec = c->key->row.spec;
    before.usage = c->key->row.usage;
    r = call_find_key_only(c, in.target);
    if (r == ERR_OK)
        r = authorize_both(c, &in, "kms:UpdateAlias");
    if (r == ERR_OK)
        r = call_check_not_deleted(c);
    if (r == ERR_OK)
        r = check_same_kind(c, &before);
    if (r == ERR_OK && strcmp(row.key_id, c->key->row.id) != 0)
        r = check_room(c);
    return r == ERR_OK ? put(c, in.name, row.created_ms) : r;
}

enum err op_delete_alias(struct call *c)
{
    AUTO(named_clear) struct named in = { .arn = BUF_INIT(1024) };
    const struct keystore *store = vault_store(c->k->vault);
    struct alias_row row;
    bool found = false;

    enum err r = take(c, false, &in);
    if (r == ERR_OK)
        r = find(c, in.name, &row, &found);
    if (r == ERR_OK && !found)
        r = no_alias(c, &in);
    if (r == ERR_OK)
        r = call_find_key_by_id(c, row.key_id, &found);
    if (r == ERR_OK)
        r = authorize_both(c, &in, "kms:DeleteAlias");
    return r == ERR_OK ? call_fail_store(c, store->remove_alias(store->arg, in.name), STORE_WRITE)
                       : r;
}

struct listing {
    struct call *c;
    struct page *p;
};

static enum err put_alias(void *ctx, const struct alias_row *row)
{
    AUTO(buf_clear) struct buf arn = BUF_INIT(1024);
    struct listing *l = ctx;
    bool fits;

    enum err r = page_next(l->p, row->name, &fits);
    if (r != ERR_OK || !fits)
        return r;
    r = call_alias_arn(l->c, row->name, &arn);
    if (r != ERR_OK)
        return r;
    json_out_object(&l->c->out);
    call_put_text(l->c, "AliasArn", buf_view(&arn));
    call_put_text(l->c, "AliasName", row->name);
    call_put_time(l->c, "CreationDate", row->created_ms);
    call_put_time(l->c, "LastUpdatedDate", row->updated_ms);
    call_put_text(l->c, "TargetKeyId", span_str(row->key_id));
    json_out_object_end(&l->c->out);
    return ERR_OK;
}

/* Decided by identity policies alone, also where a key is named. */
static enum err whose(struct call *c, char id[static KEY_ID_BYTES + 1])
{
    AUTO(checks_clear) struct checks check = CHECKS_INIT;
    struct span key_id = SPAN_EMPTY;

    id[0] = '\0';
    enum err r = input_string(&c->in, "KeyId", &key_id, &c->fault);
    if (r != ERR_OK)
        return r;
    check_length(&check, "keyId", key_id, 1, KEY_REF_MAX_BYTES);
    r = checks_end(&check, &c->fault);
    if (r == ERR_OK)
        r = call_authorize(c, "kms:ListAliases");
    if (r != ERR_OK || !key_id.ptr)
        return r;
    r = call_find_key_only(c, key_id);
    if (r == ERR_OK)
        memcpy(id, c->key->row.id, KEY_ID_BYTES + 1);
    return r;
}

enum err op_list_aliases(struct call *c)
{
    AUTO(page_clear) struct page p = PAGE_INIT;
    const struct keystore *store = vault_store(c->k->vault);
    struct listing l = { c, &p };
    char id[KEY_ID_BYTES + 1];

    enum err r = page_take(c, LIST_DEFAULT, LIST_MAX, &p);
    if (r == ERR_OK)
        r = whose(c, id);
    if (r != ERR_OK)
        return r;
    json_out_key(&c->out, "Aliases");
    json_out_array(&c->out);
    r = store->list_aliases(store->arg, id, buf_view(&p.after), p.limit + 1, put_alias, &l);
    json_out_array_end(&c->out);
    return r == ERR_OK ? page_end(c, &p) : call_fail_store(c, r, STORE_READ);
}
