/* op_tag.c - TagResource, UntagResource, ListResourceTags, and the tags of CreateKey. */
#include "localkms/page.h"
#include "localkms/tags.h"

#include <stdio.h>

enum { NAME_MAX_BYTES = 128, VALUE_MAX_BYTES = 256, LIST_DEFAULT = 50, LIST_MAX = 50 };

void tags_clear(struct tags *t)
{
    buf_clear(&t->scratch);
}

static enum err wrong_type(struct call *c)
{
    return fault_set(&c->fault, FAULT_SERIALIZATION, "Tags is not a list of structures");
}

static enum err string_take(struct call *c, struct json_in *j, struct buf *scratch,
                            struct span *out)
{
    if (json_in_peek(j) != JSON_KIND_STRING)
        return wrong_type(c);
    return json_str_view(json_in_string(j), scratch, out) == ERR_OK
               ? ERR_OK
               : fault_bare(&c->fault, FAULT_SERIALIZATION);
}

static enum err one_tag(struct call *c, struct json_in *j, struct buf *scratch, struct tag_row *out)
{
    struct json_str name;
    enum err r = ERR_OK;

    *out = (struct tag_row){ SPAN_EMPTY, SPAN_EMPTY };
    if (json_in_peek(j) != JSON_KIND_OBJECT)
        return wrong_type(c);
    for (json_in_object(j); json_in_member(j, &name) && r == ERR_OK;) {
        if (json_str_is(name, "TagKey"))
            r = string_take(c, j, scratch, &out->name);
        else if (json_str_is(name, "TagValue"))
            r = string_take(c, j, scratch, &out->value);
        else
            json_in_skip(j);
    }
    return r;
}

static void check_tag(struct checks *check, size_t i, const struct tag_row *tag)
{
    char name[48], value[48];

    snprintf(name, sizeof name, "tags.%zu.member.tagKey", i + 1);
    snprintf(value, sizeof value, "tags.%zu.member.tagValue", i + 1);
    check_required(check, name, tag->name.ptr != NULL);
    check_length(check, name, tag->name, 1, NAME_MAX_BYTES);
    check_required(check, value, tag->value.ptr != NULL);
    check_length(check, value, tag->value, 0, VALUE_MAX_BYTES);
}

static enum err tags_rules(struct call *c, const struct tags *t)
{
    for (size_t i = 0; i < t->n; i++) {
        if (span_starts(t->all[i].name, "aws:"))
            return fault_set(&c->fault, FAULT_TAG, "Tags beginning with aws: are reserved");
        for (size_t k = 0; k < i; k++)
            if (span_eq(t->all[i].name, t->all[k].name))
                return fault_set(&c->fault, FAULT_TAG, "Duplicate tag keys");
    }
    return ERR_OK;
}

static enum err tags_facts(struct call *c, const struct tags *t)
{
    enum err r = ERR_OK;

    for (size_t i = 0; i < t->n && r == ERR_OK; i++) {
        c->tag_names[i] = t->all[i].name;
        r = call_fact_named(c, "aws:RequestTag/", t->all[i].name, t->all[i].value);
    }
    if (t->n)
        call_fact_list(c, SPAN_LIT("aws:TagKeys"), c->tag_names, t->n);
    return call_fail(c, r);
}

enum err tags_take(struct call *c, bool required, struct tags *t)
{
    AUTO(checks_clear) struct checks check = CHECKS_INIT;
    struct span list = SPAN_EMPTY;

    enum err r = input_list(&c->in, "Tags", &list, &c->fault);
    if (r == ERR_OK)
        r = call_reserve(c, list, &t->scratch);
    if (r != ERR_OK)
        return r;
    check_required(&check, "tags", list.ptr || !required);
    struct json_in j = json_in_init(list.ptr ? list : SPAN_LIT("[]"));
    for (json_in_array(&j); json_in_element(&j);) {
        if (t->n == TAGS_MAX)
            return fault_set(&c->fault, FAULT_TAG, "Too many tags");
        r = one_tag(c, &j, &t->scratch, &t->all[t->n]);
        if (r != ERR_OK)
            return r;
        check_tag(&check, t->n, &t->all[t->n]);
        t->n++;
    }
    r = checks_end(&check, &c->fault);
    if (r == ERR_OK)
        r = tags_rules(c, t);
    return r == ERR_OK ? tags_facts(c, t) : r;
}

/* Those of the key that the request does not replace, and the request's own. */
static enum err check_room(struct call *c, const struct tags *t)
{
    size_t n = t->n;

    enum err r = call_fail_store(c, vault_tags(c->k->vault, c->key), STORE_READ);
    for (size_t i = 0; r == ERR_OK && i < c->key->n_tags; i++) {
        bool replaced = false;
        for (size_t k = 0; k < t->n && !replaced; k++)
            replaced = span_is(t->all[k].name, c->key->tags[i].name);
        n += !replaced;
    }
    if (r == ERR_OK && n > TAGS_MAX)
        r = fault_set(&c->fault, FAULT_TAG, "Too many tags");
    return r;
}

enum err op_tag_resource(struct call *c)
{
    AUTO(tags_clear) struct tags t = TAGS_INIT;
    const struct keystore *store = vault_store(c->k->vault);

    enum err r = tags_take(c, true, &t);
    if (r == ERR_OK)
        r = call_named_key(c, "kms:TagResource", KEY_REF_KEY);
    if (r == ERR_OK)
        r = call_check_not_deleted(c);
    if (r == ERR_OK)
        r = check_room(c, &t);
    if (r != ERR_OK)
        return r;
    r = store->put_tags(store->arg, c->key->row.id, t.all, t.n);
    vault_tags_changed(c->key);
    return call_fail_store(c, r, STORE_WRITE);
}

struct names {
    struct span all[TAGS_MAX];
    size_t n;
    struct buf scratch;
};

static void names_clear(struct names *n)
{
    buf_clear(&n->scratch);
}

static enum err names_take(struct call *c, struct names *out)
{
    AUTO(checks_clear) struct checks check = CHECKS_INIT;
    struct span list = SPAN_EMPTY;
    char member[48];

    enum err r = input_list(&c->in, "TagKeys", &list, &c->fault);
    if (r == ERR_OK)
        r = call_reserve(c, list, &out->scratch);
    if (r != ERR_OK)
        return r;
    check_required(&check, "tagKeys", list.ptr != NULL);
    struct json_in j = json_in_init(list.ptr ? list : SPAN_LIT("[]"));
    for (json_in_array(&j); json_in_element(&j); out->n++) {
        if (out->n == TAGS_MAX)
            return fault_set(&c->fault, FAULT_TAG, "Too many tags");
        r = string_take(c, &j, &out->scratch, &out->all[out->n]);
        if (r != ERR_OK)
            return r;
        snprintf(member, sizeof member, "tagKeys.%zu.member", out->n + 1);
        check_length(&check, member, out->all[out->n], 1, NAME_MAX_BYTES);
    }
    return checks_end(&check, &c->fault);
}

enum err op_untag_resource(struct call *c)
{
    AUTO(names_clear) struct names names = { .scratch = BUF_INIT(INPUT_BODY_MAX_BYTES) };
    const struct keystore *store = vault_store(c->k->vault);

    enum err r = names_take(c, &names);
    if (r != ERR_OK)
        return r;
    if (names.n)
        call_fact_list(c, SPAN_LIT("aws:TagKeys"), names.all, names.n);
    r = call_named_key(c, "kms:UntagResource", KEY_REF_KEY);
    if (r == ERR_OK)
        r = call_check_not_deleted(c);
    if (r != ERR_OK)
        return r;
    r = store->remove_tags(store->arg, c->key->row.id, names.all, names.n);
    vault_tags_changed(c->key);
    return call_fail_store(c, r, STORE_WRITE);
}

struct listing {
    struct call *c;
    struct page *p;
};

static enum err put_tag(void *ctx, const struct tag_row *row)
{
    struct listing *l = ctx;
    bool fits;

    enum err r = page_next(l->p, row->name, &fits);
    if (r != ERR_OK || !fits)
        return r;
    json_out_object(&l->c->out);
    call_put_text(l->c, "TagKey", row->name);
    call_put_text(l->c, "TagValue", row->value);
    json_out_object_end(&l->c->out);
    return ERR_OK;
}

enum err op_list_resource_tags(struct call *c)
{
    AUTO(page_clear) struct page p = PAGE_INIT;
    const struct keystore *store = vault_store(c->k->vault);
    struct listing l = { c, &p };

    enum err r = page_take(c, LIST_DEFAULT, LIST_MAX, &p);
    if (r == ERR_OK)
        r = call_named_key(c, "kms:ListResourceTags", KEY_REF_KEY);
    if (r != ERR_OK)
        return r;
    json_out_key(&c->out, "Tags");
    json_out_array(&c->out);
    r = store->list_tags(store->arg, c->key->row.id, buf_view(&p.after), p.limit + 1, put_tag, &l);
    json_out_array_end(&c->out);
    return r == ERR_OK ? page_end(c, &p) : call_fail_store(c, r, STORE_READ);
}
