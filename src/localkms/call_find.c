/* call_find.c - which key a KeyId means: an id, an ARN, an alias or an alias's ARN. */
#include <stdio.h>

#include "localkms/call.h"

static bool is_hex(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!((s.ptr[i] >= '0' && s.ptr[i] <= '9') || (s.ptr[i] >= 'a' && s.ptr[i] <= 'f')))
            return false;
    return true;
}

/* 8-4-4-4-12 digits, or mrk- and 32. */
bool key_id_is_valid(struct span s)
{
    static const unsigned groups[] = { 8, 4, 4, 4, 12 };
    struct span rest = s;

    if (s.len != KEY_ID_BYTES)
        return false;
    if (span_starts(s, "mrk-"))
        return is_hex(span_from(s, 4));
    for (unsigned i = 0; i < 5; i++) {
        struct span group = span_cut(&rest, '-');
        if (group.len != groups[i] || !is_hex(group))
            return false;
    }
    return true;
}

static enum err not_found(struct call *c, const char *before, struct span what, const char *after)
{
    return fault_set(&c->fault, FAULT_NOT_FOUND, "%s%.*s%s", before, (int)what.len,
                     (const char *)what.ptr, after);
}

void call_write_arn(const struct call *c, const char *id, char out[static KEY_ARN_BYTES])
{
    snprintf(out, KEY_ARN_BYTES, "arn:%s:kms:%s:%s:key/%s", c->k->partition, c->k->region,
             c->k->account, id);
}

enum err call_alias_arn(struct call *c, struct span alias, struct buf *out)
{
    return call_fail(c, buf_printf(out, "arn:%s:kms:%s:%s:%.*s", c->k->partition, c->k->region,
                                   c->k->account, (int)alias.len, (const char *)alias.ptr));
}

enum err call_find_key_by_id(struct call *c, const char *id, bool *found)
{
    enum err r = vault_find(c->k->vault, id, &c->key);

    *found = c->key != NULL;
    if (r != ERR_OK)
        return call_fail_store(c, r, STORE_READ);
    call_write_arn(c, id, c->key_arn);
    if (*found)
        memcpy(c->note->key_id, c->key->row.id, KEY_ID_BYTES + 1);
    return ERR_OK;
}

/* arn:PARTITION:kms:REGION:ACCOUNT:key/ID or :alias/NAME. What is left in *resource is the last
 * part; another Region is told, another account looks like a key that is not there. */
static enum err split_arn(struct call *c, struct span arn, struct span *resource, bool *foreign)
{
    struct span rest = arn;

    (void)span_cut(&rest, ':');
    struct span partition = span_cut(&rest, ':');
    struct span service = span_cut(&rest, ':');
    struct span region = span_cut(&rest, ':');
    struct span account = span_cut(&rest, ':');
    if (!span_is(service, "kms") || !rest.ptr)
        return not_found(c, "Invalid keyId '", arn, "'");
    if (!span_is(region, c->k->region) || !span_is(partition, c->k->partition))
        return not_found(c, "Invalid arn ", region, "");
    *foreign = !span_is(account, c->k->account);
    *resource = rest;
    return ERR_OK;
}

static enum err no_alias(struct call *c, struct span alias)
{
    return fault_set(&c->fault, FAULT_NOT_FOUND, "Alias arn:%s:kms:%s:%s:%.*s is not found.",
                     c->k->partition, c->k->region, c->k->account, (int)alias.len,
                     (const char *)alias.ptr);
}

/* The last part of what names a key: "alias/NAME" or "ID". */
static enum err last_part(struct call *c, struct span key_id, struct span *name)
{
    bool foreign = false;

    *name = key_id;
    if (!span_starts(key_id, "arn:"))
        return ERR_OK;
    enum err r = split_arn(c, key_id, name, &foreign);
    if (r != ERR_OK)
        return r;
    if (foreign)
        return span_starts(*name, "alias/") ? not_found(c, "Alias ", key_id, " is not found.")
                                            : not_found(c, "Key '", key_id, "' does not exist");
    if (span_starts(*name, "alias/"))
        return ERR_OK;
    if (!span_starts(*name, "key/"))
        return fault_set(&c->fault, FAULT_INVALID_ARN, "Invalid arn %.*s", (int)key_id.len,
                         (const char *)key_id.ptr);
    *name = span_from(*name, 4);
    return ERR_OK;
}

static enum err id_of_alias(struct call *c, struct span alias, char id[static KEY_ID_BYTES + 1])
{
    const struct keystore *store = vault_store(c->k->vault);
    struct alias_row row;
    bool found = false;

    enum err r = store->find_alias(store->arg, alias, &row, &found);
    if (r != ERR_OK)
        return call_fail_store(c, r, STORE_READ);
    if (!found)
        return no_alias(c, alias);
    memcpy(id, row.key_id, KEY_ID_BYTES + 1);
    c->alias = alias;
    return ERR_OK;
}

static enum err find_named(struct call *c, struct span name)
{
    char id[KEY_ID_BYTES + 1] = "";
    bool found = false;
    enum err r = ERR_OK;

    c->alias = SPAN_EMPTY;
    if (span_starts(name, "alias/"))
        r = id_of_alias(c, name, id);
    else if (key_id_is_valid(name))
        memcpy(id, name.ptr, KEY_ID_BYTES);
    else
        r = not_found(c, "Invalid keyId '", name, "'");
    if (r == ERR_OK)
        r = call_find_key_by_id(c, id, &found);
    if (r != ERR_OK)
        return r;
    return found ? ERR_OK : not_found(c, "Key '", span_str(c->key_arn), "' does not exist");
}

enum err call_find_key(struct call *c, struct span key_id)
{
    struct span name;
    enum err r = last_part(c, key_id, &name);

    return r == ERR_OK ? find_named(c, name) : r;
}

enum err call_find_key_only(struct call *c, struct span key_id)
{
    struct span name;

    enum err r = last_part(c, key_id, &name);
    if (r != ERR_OK)
        return r;
    if (span_starts(name, "alias/"))
        return span_starts(key_id, "arn:")
                   ? fault_set(&c->fault, FAULT_INVALID_ARN, "Invalid arn %.*s", (int)key_id.len,
                               (const char *)key_id.ptr)
                   : not_found(c, "Invalid keyId '", key_id, "'");
    return find_named(c, name);
}

enum err call_named_key(struct call *c, const char *action, enum key_ref ref)
{
    AUTO(checks_clear) struct checks check = CHECKS_INIT;
    struct span key_id = SPAN_EMPTY;

    enum err r = input_string(&c->in, "KeyId", &key_id, &c->fault);
    if (r != ERR_OK)
        return r;
    call_check_key_id(&check, key_id);
    r = checks_end(&check, &c->fault);
    if (r == ERR_OK)
        r = call_take_grants(c);
    if (r == ERR_OK)
        r = ref == KEY_REF_ANY ? call_find_key(c, key_id) : call_find_key_only(c, key_id);
    if (r == ERR_OK)
        r = call_authorize(c, action);
    return r;
}
