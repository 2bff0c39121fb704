/* op_keys.c - DescribeKey, ListKeys, UpdateKeyDescription. */
#include <stdio.h>
#include <stdlib.h>

#include "localkms/page.h"

enum { LIST_DEFAULT = 100, LIST_MAX = 1000 };

enum err op_describe_key(struct call *c)
{
    enum err r = call_named_key(c, "kms:DescribeKey", KEY_REF_ANY);

    if (r == ERR_OK)
        call_put_metadata(c);
    return r;
}

static void put_entry(struct call *c, const char *id)
{
    char arn[KEY_ARN_BYTES];

    call_write_arn(c, id, arn);
    json_out_object(&c->out);
    call_put_text(c, "KeyArn", span_str(arn));
    call_put_text(c, "KeyId", span_str(id));
    json_out_object_end(&c->out);
}

struct ids {
    char (*all)[KEY_ID_BYTES + 1];
};

static void ids_free(struct ids *ids)
{
    free(ids->all);
}

static enum err put_list(struct call *c, struct page *p, const char *after)
{
    AUTO(ids_free) struct ids ids = { .all = calloc(p->limit + 1, sizeof *ids.all) };
    unsigned n = 0;
    bool fits;

    if (!ids.all)
        return call_fail(c, ERR_NOMEM);
    enum err r = vault_list(c->k->vault, after, p->limit + 1, ids.all, &n);
    if (r != ERR_OK)
        return call_fail_store(c, r, STORE_READ);
    json_out_key(&c->out, "Keys");
    json_out_array(&c->out);
    for (unsigned i = 0; i < n && r == ERR_OK; i++) {
        r = page_next(p, span_str(ids.all[i]), &fits);
        if (r == ERR_OK && fits)
            put_entry(c, ids.all[i]);
    }
    json_out_array_end(&c->out);
    return r == ERR_OK ? page_end(c, p) : call_fail(c, r);
}

enum err op_list_keys(struct call *c)
{
    AUTO(page_clear) struct page p = PAGE_INIT;
    char after[KEY_ID_BYTES + 1] = "";

    enum err r = page_take(c, LIST_DEFAULT, LIST_MAX, &p);
    if (r == ERR_OK)
        r = call_authorize(c, "kms:ListKeys");
    if (r != ERR_OK)
        return r;
    if (p.after.len && p.after.len != KEY_ID_BYTES)
        return fault_bare(&c->fault, FAULT_INVALID_MARKER);
    if (p.after.len)
        memcpy(after, p.after.ptr, KEY_ID_BYTES);
    return put_list(c, &p, after);
}

enum err op_update_key_description(struct call *c)
{
    AUTO(checks_clear) struct checks check = CHECKS_INIT;
    struct span key_id = SPAN_EMPTY, description = SPAN_EMPTY;

    enum err r = input_string(&c->in, "KeyId", &key_id, &c->fault);
    if (r == ERR_OK)
        r = input_string(&c->in, "Description", &description, &c->fault);
    if (r != ERR_OK)
        return r;
    call_check_key_id(&check, key_id);
    check_required(&check, "description", description.ptr != NULL);
    check_length(&check, "description", description, 0, KEY_DESCRIPTION_MAX_BYTES);
    r = checks_end(&check, &c->fault);
    if (r == ERR_OK)
        r = call_named_key(c, "kms:UpdateKeyDescription", KEY_REF_KEY);
    if (r == ERR_OK)
        r = call_check_not_deleted(c);
    if (r == ERR_OK)
        r = call_fail_store(c, vault_set_description(c->k->vault, c->key, description),
                            STORE_WRITE);
    return r;
}
