#include "localkms/call.h"

#include <stdio.h>

#include "base/hex.h"

enum { CMS_OUT_MAX_BYTES = CMS_MAX_BYTES };

enum err call_fail(struct call *c, enum err r)
{
    if (r == ERR_OK || (r == ERR_DENIED && c->fault.kind != FAULT_NONE))
        return r;
    return fault_bare(&c->fault, FAULT_INTERNAL);
}

enum err call_fail_store(struct call *c, enum err r, enum store_use use)
{
    if (r != ERR_IO)
        return call_fail(c, r);
    c->note->store_reason = vault_store_reason(c->k->vault);
    return fault_set(&c->fault, FAULT_INTERNAL, "The key store could not be %s.",
                     use == STORE_WRITE ? "written" : "read");
}

enum err call_take_context(struct call *c)
{
    struct span object = SPAN_EMPTY;

    enum err r = input_object(&c->in, "EncryptionContext", &object, &c->fault);
    if (r == ERR_OK)
        r = context_parse(object, &c->context, &c->fault);
    if (r == ERR_OK)
        r = call_fail(c, context_canonical(&c->context, &c->context_bytes));
    return r;
}

enum err call_take_recipient(struct call *c)
{
    struct span object = SPAN_EMPTY;

    enum err r = input_object(&c->in, "Recipient", &object, &c->fault);
    if (r == ERR_OK)
        r = recipient_take(c->cx, c->k->recipients, object, c->now_ms / 1000, &c->recipient,
                           &c->fault);
    if (r != ERR_OK || !c->recipient)
        return r;
    c->note->attested = true;
    c->note->debug_enclave = c->recipient->is_debug;
    c->note->unsigned_document = c->recipient->is_unsigned;
    c->note->module_id = c->recipient->module_id;
    for (size_t i = 0; i < c->recipient->n_facts; i++)
        c->facts[c->n_facts++] = c->recipient->facts[i];
    return ERR_OK;
}

enum err call_take_grants(struct call *c)
{
    struct span list = SPAN_EMPTY;

    enum err r = input_list(&c->in, "GrantTokens", &list, &c->fault);
    if (r != ERR_OK || !list.ptr)
        return r;
    struct json_in j = json_in_init(list);
    json_in_array(&j);
    return json_in_element(&j) ? fault_bare(&c->fault, FAULT_INVALID_GRANT_TOKEN) : ERR_OK;
}

enum err call_take_dry_run(struct call *c)
{
    return input_bool(&c->in, "DryRun", &c->dry_run, &c->fault);
}

static bool is_hex(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!((s.ptr[i] >= '0' && s.ptr[i] <= '9') || (s.ptr[i] >= 'a' && s.ptr[i] <= 'f')))
            return false;
    return true;
}

/* 8-4-4-4-12 digits, or mrk- and 32. */
static bool is_key_id(struct span s)
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

static void write_arn(struct call *c, const char *id)
{
    snprintf(c->key_arn, sizeof c->key_arn, "arn:%s:kms:%s:%s:key/%s", c->k->partition,
             c->k->region, c->k->account, id);
}

enum err call_find_key_by_id(struct call *c, const char *id, bool *found)
{
    enum err r = vault_find(c->k->vault, id, &c->key);

    *found = c->key != NULL;
    if (r != ERR_OK)
        return call_fail_store(c, r, STORE_READ);
    write_arn(c, id);
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

enum err call_find_key(struct call *c, struct span key_id)
{
    char id[KEY_ID_BYTES + 1] = "";
    struct span name = key_id;
    bool found = false, foreign = false;

    if (span_starts(key_id, "arn:")) {
        enum err r = split_arn(c, key_id, &name, &foreign);
        if (r != ERR_OK)
            return r;
        if (foreign)
            return span_starts(name, "alias/") ? not_found(c, "Alias ", key_id, " is not found.")
                                               : not_found(c, "Key '", key_id, "' does not exist");
        if (!span_starts(name, "alias/")) {
            if (!span_starts(name, "key/"))
                return not_found(c, "Invalid keyId '", key_id, "'");
            name = span_from(name, 4);
        }
    }
    if (span_starts(name, "alias/"))
        return no_alias(c, name);
    if (!is_key_id(name))
        return not_found(c, "Invalid keyId '", name, "'");
    memcpy(id, name.ptr, KEY_ID_BYTES);
    enum err r = call_find_key_by_id(c, id, &found);
    if (r != ERR_OK)
        return r;
    return found ? ERR_OK : not_found(c, "Key '", span_str(c->key_arn), "' does not exist");
}

void call_put_key_material_id(struct call *c, const char *member)
{
    char id[2 * SHA256_BYTES + 1];
    uint8_t digest[SHA256_BYTES], number[4];

    for (unsigned i = 0; i < 4; i++)
        number[i] = (uint8_t)(c->key->row.material >> (24 - 8 * i));
    const struct span parts[] = { span_str(c->key->row.id), SPAN_ARRAY(number) };
    if (sha256_parts(c->cx, parts, 2, digest) != ERR_OK)
        return; /* an optional member */
    hex_write(SPAN_ARRAY(digest), id);
    json_out_key(&c->out, member);
    json_out_string(&c->out, span_str(id));
}

enum err call_put_secret(struct call *c, const char *member, const struct secret *plain)
{
    AUTO(buf_clear) struct buf sealed = BUF_INIT(CMS_OUT_MAX_BYTES);

    if (!c->recipient) {
        json_out_key(&c->out, member);
        json_out_base64(&c->out, secret_view(plain));
        return ERR_OK;
    }
    enum err r =
        cms_seal_to(c->cx, secret_view(plain), &c->recipient->to, c->k->form, &sealed, NULL);
    if (r != ERR_OK)
        return call_fail(c, r);
    json_out_key(&c->out, "CiphertextForRecipient");
    json_out_base64(&c->out, buf_view(&sealed));
    return ERR_OK;
}
