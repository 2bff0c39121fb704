/* call.c - members and answer members that several operations have. */
#include "localkms/call.h"

#include <stdio.h>

#include "base/hex.h"

enum { CMS_OUT_MAX_BYTES = CMS_MAX_BYTES, TOKENS_MAX = 10, TOKEN_MAX_BYTES = 8192 };

enum err call_fail(struct call *c, enum err r)
{
    if (r == ERR_OK || r == ERR_MORE || (r == ERR_DENIED && c->fault.kind != FAULT_NONE))
        return r;
    return fault_bare(&c->fault, FAULT_INTERNAL);
}

enum err call_throttled(struct call *c)
{
    return fault_set(&c->fault, FAULT_THROTTLING,
                     "You have exceeded the rate at which you may call KMS. Reduce the frequency "
                     "of your calls.");
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
    return call_take_context_of(c, "EncryptionContext");
}

enum err call_take_context_of(struct call *c, const char *member)
{
    struct span object = SPAN_EMPTY;

    context_clear(&c->context);
    buf_reset(&c->context_bytes);
    enum err r = input_object(&c->in, member, &object, &c->fault);
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

static enum err seen(void *ctx, const struct grant_row *row)
{
    (void)row;
    *(bool *)ctx = true;
    return ERR_OK;
}

static enum err check_token(struct call *c, struct span token)
{
    const struct keystore *store = vault_store(c->k->vault);
    bool found = false;

    enum err r = store->find_grant_token(store->arg, token, seen, &found);
    if (r != ERR_OK)
        return call_fail_store(c, r, STORE_READ);
    return found ? ERR_OK : fault_bare(&c->fault, FAULT_INVALID_GRANT_TOKEN);
}

/* A grant counts from the moment it is made, so a token adds nothing; one of no grant is refused.
 */
enum err call_take_grants(struct call *c)
{
    AUTO(checks_clear) struct checks check = CHECKS_INIT;
    AUTO(buf_clear) struct buf scratch = BUF_INIT(INPUT_BODY_MAX_BYTES);
    struct span list = SPAN_EMPTY, token = SPAN_EMPTY;
    size_t n = 0;

    enum err r = input_list(&c->in, "GrantTokens", &list, &c->fault);
    if (r != ERR_OK || !list.ptr)
        return r;
    struct json_in j = json_in_init(list);
    for (json_in_array(&j); json_in_element(&j); n++)
        json_in_skip(&j);
    check_list_length(&check, "grantTokens", n, 0, TOKENS_MAX);
    r = checks_end(&check, &c->fault);
    j = json_in_init(list);
    for (json_in_array(&j); r == ERR_OK && json_in_element(&j);) {
        if (json_in_peek(&j) != JSON_KIND_STRING)
            return fault_set(&c->fault, FAULT_SERIALIZATION,
                             "GrantTokens is not a list of Strings");
        if (json_str_view(json_in_string(&j), &scratch, &token) != ERR_OK)
            return fault_bare(&c->fault, FAULT_SERIALIZATION);
        r = token.len && token.len <= TOKEN_MAX_BYTES
                ? check_token(c, token)
                : fault_bare(&c->fault, FAULT_INVALID_GRANT_TOKEN);
    }
    return r;
}

enum err call_take_dry_run(struct call *c)
{
    return input_bool(&c->in, "DryRun", &c->dry_run, &c->fault);
}

enum err call_reserve(struct call *c, struct span raw, struct buf *scratch)
{
    uint8_t *unused;

    return raw.len && span_find(raw, '\\') < raw.len
               ? call_fail(c, buf_reserve(scratch, raw.len, &unused))
               : ERR_OK;
}

void call_check_key_id(struct checks *check, struct span key_id)
{
    check_required(check, "keyId", key_id.ptr != NULL);
    check_length(check, "keyId", key_id, 1, KEY_REF_MAX_BYTES);
}

enum err call_new_pair(struct call *c, enum keypair_spec spec, struct secret *pkcs8,
                       struct buf *spki)
{
    struct localkms *k = c->k;

    if (spec > KEYPAIR_RSA_4096)
        return call_fail(c, keypair_new(c->cx, spec, pkcs8, spki));
    if (k->made_pkcs8.ptr && k->wanted == spec) {
        *pkcs8 = secret_take(&k->made_pkcs8);
        enum err r = buf_append(spki, buf_view(&k->made_spki));
        k->wanted = KEYPAIR_SPECS;
        return call_fail(c, r);
    }
    if (k->declined)
        return call_throttled(c);
    k->wanted = spec;
    return ERR_MORE;
}

void call_put_text(struct call *c, const char *name, struct span value)
{
    json_out_key(&c->out, name);
    json_out_string(&c->out, value);
}

void call_put_bool(struct call *c, const char *name, bool value)
{
    json_out_key(&c->out, name);
    json_out_bool(&c->out, value);
}

void call_put_blob(struct call *c, const char *name, struct span bytes)
{
    json_out_key(&c->out, name);
    json_out_base64(&c->out, bytes);
}

void call_put_time(struct call *c, const char *name, int64_t ms)
{
    char text[40];
    int n = snprintf(text, sizeof text, "%lld.%03u", (long long)(ms / 1000), (unsigned)(ms % 1000));

    json_out_key(&c->out, name);
    json_out_raw(&c->out, span_of(text, (size_t)n));
}

void call_put_list(struct call *c, const char *name, const char *const *items)
{
    json_out_key(&c->out, name);
    json_out_array(&c->out);
    for (size_t i = 0; items[i]; i++)
        json_out_string(&c->out, span_str(items[i]));
    json_out_array_end(&c->out);
}

void call_material_id(struct call *c, uint32_t material, char out[static 65])
{
    uint8_t digest[SHA256_BYTES], number[4];

    for (unsigned i = 0; i < 4; i++)
        number[i] = (uint8_t)(material >> (24 - 8 * i));
    const struct span parts[] = { span_str(c->key->row.id), SPAN_ARRAY(number) };
    sha256_parts(parts, 2, digest);
    hex_write(SPAN_ARRAY(digest), out);
}

void call_put_material_id(struct call *c, const char *member, uint32_t number)
{
    char id[65];

    call_material_id(c, number, id);
    call_put_text(c, member, span_str(id));
}

enum err call_put_secret(struct call *c, const char *member, const struct secret *plain)
{
    AUTO(buf_clear) struct buf sealed = BUF_INIT(CMS_OUT_MAX_BYTES);

    if (!c->recipient) {
        call_put_blob(c, member, secret_view(plain));
        return ERR_OK;
    }
    enum err r =
        cms_seal_to(c->cx, secret_view(plain), &c->recipient->to, c->k->form, &sealed, NULL);
    if (r != ERR_OK)
        return call_fail(c, r);
    call_put_blob(c, "CiphertextForRecipient", buf_view(&sealed));
    return ERR_OK;
}
