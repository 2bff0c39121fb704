#include "localkms/seed.h"

#include "base/base64.h"
#include "localkms/call.h"
#include "localkms/op_policy.h"
#include "localkms/yaml_in.h"

enum { MATERIAL_MAX_BYTES = 4096 };

struct reading {
    struct localkms *k;
    int64_t now_ms;
    bool make; /* else only check */
    struct seeded *made;
    struct why *why;
};

/* One key of the file. */
struct seed {
    char id[KEY_ID_BYTES + 1];
    struct key_new key;
    struct buf policy, material;
    struct tag_row tags[TAGS_MAX];
};

static void seed_clear(struct seed *s)
{
    buf_clear(&s->policy);
    buf_clear(&s->material);
}

static enum err fail(const struct reading *g, struct yaml_at at, enum err r, const char *what)
{
    return why_fail(g->why, r, what, yaml_line(at));
}

static enum err bad(const struct reading *g, struct yaml_at at, const char *what)
{
    return fail(g, at, ERR_MALFORMED, what);
}

static enum err take_id(const struct reading *g, struct yaml_at at, struct seed *s)
{
    struct span id;

    enum err r = yaml_text(at, &id, g->why);
    if (r == ERR_OK && !key_id_is_valid(id))
        r = bad(g, at, "an id is a UUID in small letters, or mrk- and 32 digits");
    if (r != ERR_OK)
        return r;
    memcpy(s->id, id.ptr, KEY_ID_BYTES);
    s->key.id = s->id;
    s->key.multi_region = span_starts(id, "mrk-");
    return ERR_OK;
}

static enum err take_kind(const struct reading *g, struct yaml_at spec, struct yaml_at usage,
                          struct seed *s)
{
    struct span text;
    enum err r = ERR_OK;

    s->key.spec = KEY_SYMMETRIC;
    s->key.usage = KEY_ENCRYPT_DECRYPT;
    s->key.origin = KEY_AWS_KMS;
    if (yaml_is_there(spec))
        r = yaml_text(spec, &text, g->why);
    if (r == ERR_OK && yaml_is_there(spec) && !key_spec_by_name(text, &s->key.spec))
        r = fail(g, spec, ERR_UNSUPPORTED, "a spec that is not here");
    if (r == ERR_OK && yaml_is_there(usage))
        r = yaml_text(usage, &text, g->why);
    if (r == ERR_OK && yaml_is_there(usage) && !key_usage_by_name(text, &s->key.usage))
        r = bad(g, usage, "not a usage");
    if (r == ERR_OK && !key_spec_allows(s->key.spec, s->key.usage))
        r = bad(g, yaml_is_there(usage) ? usage : spec, "the spec needs another usage");
    return r;
}

/* JSON text as it stands, or YAML as JSON. */
static enum err take_policy(const struct reading *g, struct yaml_at at, struct seed *s)
{
    AUTO(policy_freep) struct policy *compiled = NULL;
    struct span text = SPAN_EMPTY;
    enum err r;

    if (!yaml_is_there(at))
        r = policy_default(g->k, &s->policy);
    else if (yaml_text(at, &text, NULL) == ERR_OK)
        r = buf_append(&s->policy, text);
    else
        r = yaml_json(at, &s->policy, g->why);
    if (r == ERR_OK)
        r = policy_parse(buf_view(&s->policy), POLICY_OF_KEY, &compiled, g->why);
    if (r == ERR_OK)
        s->key.policy = buf_view(&s->policy);
    else if (g->why)
        g->why->at = yaml_line(at);
    return r;
}

static enum err take_tags(const struct reading *g, struct yaml_at list, struct seed *s)
{
    struct yaml_at one, name, value;
    const struct yaml_field fields[] = { { "key", &name, "key is missing" },
                                         { "value", &value, "value is missing" } };
    enum err r = ERR_OK;

    if (yaml_is_there(list) && !yaml_is_list(list))
        return bad(g, list, "tags is not a list");
    for (size_t i = 0; r == ERR_OK && yaml_element(list, i, &one); i++) {
        if (i == TAGS_MAX)
            return bad(g, one, "more than 50 tags");
        r = yaml_fields(one, fields, 2, g->why);
        if (r == ERR_OK)
            r = yaml_text(name, &s->tags[i].name, g->why);
        if (r == ERR_OK)
            r = yaml_text(value, &s->tags[i].value, g->why);
        s->key.n_tags = i + 1;
    }
    s->key.tags = s->tags;
    return r;
}

static bool is_pair_of(const struct reading *g, const struct seed *s)
{
    AUTO(akey_freep) struct akey *pair = NULL;

    return akey_parse(g->k->cx, buf_view(&s->material), &pair, NULL) == ERR_OK &&
           akey_spec(pair) == key_spec_pair(s->key.spec);
}

static enum err take_material(const struct reading *g, struct yaml_at at, struct seed *s)
{
    struct span text;

    if (!yaml_is_there(at))
        return ERR_OK;
    enum err r = yaml_text(at, &text, g->why);
    if (r != ERR_OK)
        return r;
    if (base64_parse(text, &s->material, NULL) != ERR_OK)
        return bad(g, at, "material is not base64");
    if (key_spec_is_pair(s->key.spec) ? !is_pair_of(g, s)
                                      : s->material.len != key_spec_secret_bytes(s->key.spec))
        return bad(g, at, "material does not go with the spec");
    s->key.material = buf_view(&s->material);
    return ERR_OK;
}

/* One that is there is not moved. */
static enum err make_alias(const struct reading *g, struct yaml_at at, const struct seed *s)
{
    const struct keystore *store = vault_store(g->k->vault);
    struct alias_row row = { .created_ms = g->now_ms, .updated_ms = g->now_ms };
    bool found = false;

    enum err r = yaml_text(at, &row.name, g->why);
    if (r == ERR_OK && !alias_name_is_valid(row.name))
        r = bad(g, at, "an alias begins with alias/, and goes on with letters, digits, :/_-");
    if (r != ERR_OK || !g->make)
        return r;
    struct span name = row.name;
    r = store->find_alias(store->arg, name, &row, &found);
    if (r != ERR_OK || found)
        return r == ERR_OK ? ERR_OK : fail(g, at, r, vault_store_reason(g->k->vault));
    memcpy(row.key_id, s->id, sizeof row.key_id);
    r = store->put_alias(store->arg, &row);
    g->made->aliases += r == ERR_OK;
    return r == ERR_OK ? ERR_OK : fail(g, at, r, vault_store_reason(g->k->vault));
}

static enum err make_key(const struct reading *g, struct yaml_at at, const struct seed *s)
{
    struct key *key = NULL;

    enum err r = vault_find(g->k->vault, s->id, &key);
    if (r == ERR_OK && !key) {
        r = vault_create(g->k->vault, &s->key, g->now_ms, &key);
        g->made->keys += r == ERR_OK;
    }
    return r == ERR_OK ? ERR_OK : fail(g, at, r, r == ERR_IO ? "key store" : err_name(r));
}

static enum err take_key(const struct reading *g, struct yaml_at at)
{
    AUTO(seed_clear)
    struct seed s = { .policy = BUF_INIT(POLICY_MAX_BYTES),
                      .material = BUF_INIT(MATERIAL_MAX_BYTES) };
    struct yaml_at id, spec, usage, description, policy, aliases, tags, material, one;
    const struct yaml_field fields[] = {
        { "id", &id, "id is missing" },
        { "spec", &spec, NULL },
        { "usage", &usage, NULL },
        { "policy", &policy, NULL },
        { "description", &description, NULL },
        { "aliases", &aliases, NULL },
        { "tags", &tags, NULL },
        { "material", &material, NULL },
    };

    enum err r = yaml_fields(at, fields, sizeof fields / sizeof fields[0], g->why);
    if (r == ERR_OK)
        r = take_id(g, id, &s);
    if (r == ERR_OK)
        r = take_kind(g, spec, usage, &s);
    if (r == ERR_OK && yaml_is_there(description))
        r = yaml_text(description, &s.key.description, g->why);
    if (r == ERR_OK)
        r = take_policy(g, policy, &s);
    if (r == ERR_OK)
        r = take_tags(g, tags, &s);
    if (r == ERR_OK)
        r = take_material(g, material, &s);
    if (r == ERR_OK && yaml_is_there(aliases) && !yaml_is_list(aliases))
        r = bad(g, aliases, "aliases is not a list");
    if (r == ERR_OK && g->make)
        r = make_key(g, at, &s);
    for (size_t i = 0; r == ERR_OK && yaml_element(aliases, i, &one); i++)
        r = make_alias(g, one, &s);
    return r;
}

static enum err take_all(const struct reading *g, struct yaml_at keys)
{
    struct yaml_at one;
    enum err r = ERR_OK;

    for (size_t i = 0; r == ERR_OK && yaml_element(keys, i, &one); i++)
        r = take_key(g, one);
    return r;
}

enum err localkms_seed(struct localkms *k, struct span yaml, int64_t now_ms, struct seeded *out,
                       struct why *why)
{
    AUTO(yaml_doc_freep) struct yaml_doc *doc = NULL;
    struct reading g = { .k = k, .now_ms = now_ms, .made = out, .why = why };
    struct yaml_at keys;
    const struct yaml_field fields[] = { { "keys", &keys, "keys is missing" } };

    *out = (struct seeded){ .keys = 0 };
    enum err r = yaml_parse(yaml, &doc, why);
    if (r == ERR_OK)
        r = yaml_fields(yaml_root(doc), fields, 1, why);
    if (r == ERR_OK && !yaml_is_list(keys))
        r = bad(&g, keys, "keys is not a list");
    if (r == ERR_OK)
        r = take_all(&g, keys);
    g.make = true;
    return r == ERR_OK ? take_all(&g, keys) : r;
}
