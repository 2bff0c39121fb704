/* keystore_rows.c - materials, aliases, tags and grants in SQLite. */
#include "localkms/keystore_in.h"

/* ---- materials ---- */

static enum err material_of(sqlite3_stmt *st, struct material_row *out)
{
    out->number = (uint32_t)sqlite3_column_int64(st, 0);
    out->how = (enum material_how)sqlite3_column_int(st, 1);
    out->created_ms = sqlite3_column_int64(st, 2);
    out->rotated_ms = sqlite3_column_int64(st, 3);
    out->valid_to_ms = sqlite3_column_int64(st, 4);
    enum err r = buf_append(&out->wrapped, store_column(st, 5));
    if (r == ERR_OK)
        r = buf_append(&out->digest, store_column(st, 6));
    return r == ERR_OK ? buf_append(&out->description, store_column(st, 7)) : r;
}

struct found_material {
    struct material_row *row;
    bool found;
};

static enum err take_material(sqlite3_stmt *st, void *ctx)
{
    struct found_material *f = ctx;

    f->found = true;
    return material_of(st, f->row);
}

enum err store_find_material(void *arg, const char *id, uint32_t number, struct material_row *out,
                             bool *found)
{
    struct keystore_sqlite *s = arg;
    struct found_material f = { .row = out };

    store_bind(s->st[SQL_FIND_MATERIAL], 1, span_str(id));
    sqlite3_bind_int64(s->st[SQL_FIND_MATERIAL], 2, number);
    enum err r = store_walk(s, SQL_FIND_MATERIAL, take_material, &f);
    *found = f.found;
    return r;
}

enum err store_insert_material(struct keystore_sqlite *s, const char *id,
                               const struct material_row *m)
{
    sqlite3_stmt *st = s->st[SQL_PUT_MATERIAL];

    store_bind(st, 1, span_str(id));
    sqlite3_bind_int64(st, 2, m->number);
    sqlite3_bind_int(st, 3, (int)m->how);
    sqlite3_bind_int64(st, 4, m->created_ms);
    sqlite3_bind_int64(st, 5, m->rotated_ms);
    sqlite3_bind_int64(st, 6, m->valid_to_ms);
    store_bind_blob(st, 7, buf_view(&m->wrapped));
    store_bind_blob(st, 8, buf_view(&m->digest));
    store_bind(st, 9, buf_view(&m->description));
    return store_done(s, SQL_PUT_MATERIAL);
}

enum err store_put_material(void *arg, const char *id, const struct material_row *m,
                            uint32_t current, const struct key_status *status)
{
    struct keystore_sqlite *s = arg;

    enum err r = store_begin(s);
    if (r != ERR_OK)
        return r;
    r = store_insert_material(s, id, m);
    if (r == ERR_OK) {
        store_bind(s->st[SQL_SET_MATERIAL], 1, span_str(id));
        sqlite3_bind_int64(s->st[SQL_SET_MATERIAL], 2, current);
        r = store_changed(s, SQL_SET_MATERIAL);
    }
    if (r == ERR_OK)
        r = store_set_status(s, id, status);
    return store_finish(s, r);
}

struct material_walk {
    material_visit *visit;
    void *ctx;
};

static enum err visit_material(sqlite3_stmt *st, void *ctx)
{
    AUTO(material_row_clear) struct material_row row = MATERIAL_ROW_INIT;
    const struct material_walk *w = ctx;

    enum err r = material_of(st, &row);
    return r == ERR_OK ? w->visit(w->ctx, &row) : r;
}

enum err store_list_materials(void *arg, const char *id, uint32_t after, unsigned max,
                              material_visit *visit, void *ctx)
{
    struct keystore_sqlite *s = arg;
    struct material_walk w = { visit, ctx };

    store_bind(s->st[SQL_LIST_MATERIALS], 1, span_str(id));
    sqlite3_bind_int64(s->st[SQL_LIST_MATERIALS], 2, after);
    sqlite3_bind_int64(s->st[SQL_LIST_MATERIALS], 3, max);
    return store_walk(s, SQL_LIST_MATERIALS, visit_material, &w);
}

/* ---- aliases ---- */

static enum err alias_of(sqlite3_stmt *st, struct alias_row *out)
{
    out->created_ms = sqlite3_column_int64(st, 1);
    out->updated_ms = sqlite3_column_int64(st, 2);
    return store_text(st, 0, out->key_id, KEY_ID_BYTES);
}

struct found_alias {
    struct alias_row *row;
    bool found;
};

static enum err take_alias(sqlite3_stmt *st, void *ctx)
{
    struct found_alias *f = ctx;

    f->found = true;
    return alias_of(st, f->row);
}

enum err store_find_alias(void *arg, struct span name, struct alias_row *out, bool *found)
{
    struct keystore_sqlite *s = arg;
    struct found_alias f = { .row = out };

    store_bind(s->st[SQL_FIND_ALIAS], 1, name);
    enum err r = store_walk(s, SQL_FIND_ALIAS, take_alias, &f);
    *found = f.found;
    return r;
}

enum err store_put_alias(void *arg, const struct alias_row *row)
{
    struct keystore_sqlite *s = arg;
    sqlite3_stmt *st = s->st[SQL_PUT_ALIAS];

    store_bind(st, 1, row->name);
    store_bind(st, 2, span_str(row->key_id));
    sqlite3_bind_int64(st, 3, row->created_ms);
    sqlite3_bind_int64(st, 4, row->updated_ms);
    return store_done(s, SQL_PUT_ALIAS);
}

enum err store_remove_alias(void *arg, struct span name)
{
    struct keystore_sqlite *s = arg;

    store_bind(s->st[SQL_REMOVE_ALIAS], 1, name);
    return store_changed(s, SQL_REMOVE_ALIAS);
}

struct alias_walk {
    alias_visit *visit;
    void *ctx;
};

static enum err visit_alias(sqlite3_stmt *st, void *ctx)
{
    const struct alias_walk *w = ctx;
    struct alias_row row = { .name = store_column(st, 3) };

    enum err r = alias_of(st, &row);
    return r == ERR_OK ? w->visit(w->ctx, &row) : r;
}

enum err store_list_aliases(void *arg, const char *key_id, struct span after, unsigned max,
                            alias_visit *visit, void *ctx)
{
    struct keystore_sqlite *s = arg;
    enum statement which = *key_id ? SQL_LIST_ALIASES_OF_KEY : SQL_LIST_ALIASES;
    sqlite3_stmt *st = s->st[which];
    struct alias_walk w = { visit, ctx };

    store_bind(st, 1, span_str(key_id));
    store_bind(st, 2, after);
    sqlite3_bind_int64(st, 3, max);
    return store_walk(s, which, visit_alias, &w);
}

/* ---- tags ---- */

enum err store_insert_tags(struct keystore_sqlite *s, const char *id, const struct tag_row *tags,
                           size_t n)
{
    sqlite3_stmt *st = s->st[SQL_PUT_TAG];
    enum err r = ERR_OK;

    for (size_t i = 0; i < n && r == ERR_OK; i++) {
        store_bind(st, 1, span_str(id));
        store_bind(st, 2, tags[i].name);
        store_bind(st, 3, tags[i].value);
        r = store_done(s, SQL_PUT_TAG);
    }
    return r;
}

enum err store_put_tags(void *arg, const char *id, const struct tag_row *tags, size_t n)
{
    struct keystore_sqlite *s = arg;
    enum err r = store_begin(s);

    return r == ERR_OK ? store_finish(s, store_insert_tags(s, id, tags, n)) : r;
}

enum err store_remove_tags(void *arg, const char *id, const struct span *names, size_t n)
{
    struct keystore_sqlite *s = arg;

    enum err r = store_begin(s);
    if (r != ERR_OK)
        return r;
    for (size_t i = 0; i < n && r == ERR_OK; i++) {
        store_bind(s->st[SQL_REMOVE_TAG], 1, span_str(id));
        store_bind(s->st[SQL_REMOVE_TAG], 2, names[i]);
        r = store_done(s, SQL_REMOVE_TAG);
    }
    return store_finish(s, r);
}

struct tag_walk {
    tag_visit *visit;
    void *ctx;
};

static enum err visit_tag(sqlite3_stmt *st, void *ctx)
{
    const struct tag_walk *w = ctx;
    const struct tag_row row = { store_column(st, 0), store_column(st, 1) };

    return w->visit(w->ctx, &row);
}

enum err store_list_tags(void *arg, const char *id, struct span after, unsigned max,
                         tag_visit *visit, void *ctx)
{
    struct keystore_sqlite *s = arg;
    sqlite3_stmt *st = s->st[SQL_LIST_TAGS];
    struct tag_walk w = { visit, ctx };

    store_bind(st, 1, span_str(id));
    store_bind(st, 2, after);
    sqlite3_bind_int64(st, 3, max);
    return store_walk(s, SQL_LIST_TAGS, visit_tag, &w);
}

/* ---- grants ---- */

enum err store_insert_grant(void *arg, const struct grant_row *row)
{
    struct keystore_sqlite *s = arg;
    sqlite3_stmt *st = s->st[SQL_INSERT_GRANT];

    store_bind(st, 1, span_str(row->id));
    store_bind(st, 2, span_str(row->token));
    store_bind(st, 3, span_str(row->key_id));
    sqlite3_bind_int64(st, 4, row->created_ms);
    sqlite3_bind_int64(st, 5, row->operations);
    store_bind(st, 6, row->name);
    store_bind(st, 7, row->grantee);
    store_bind(st, 8, row->retiring);
    store_bind(st, 9, row->issuing);
    store_bind(st, 10, row->constraints);
    return store_done(s, SQL_INSERT_GRANT);
}

struct grant_walk {
    grant_visit *visit;
    void *ctx;
};

static enum err visit_grant(sqlite3_stmt *st, void *ctx)
{
    const struct grant_walk *w = ctx;
    struct grant_row row = {
        .created_ms = sqlite3_column_int64(st, 3),
        .operations = (uint32_t)sqlite3_column_int64(st, 4),
        .name = store_column(st, 5),
        .grantee = store_column(st, 6),
        .retiring = store_column(st, 7),
        .issuing = store_column(st, 8),
        .constraints = store_column(st, 9),
    };

    enum err r = store_text(st, 0, row.id, GRANT_ID_BYTES);
    if (r == ERR_OK)
        r = store_text(st, 1, row.token, GRANT_TOKEN_BYTES);
    if (r == ERR_OK)
        r = store_text(st, 2, row.key_id, KEY_ID_BYTES);
    return r == ERR_OK ? w->visit(w->ctx, &row) : r;
}

enum err store_list_grants(void *arg, const struct grant_filter *filter, const char *after,
                           unsigned max, grant_visit *visit, void *ctx)
{
    struct keystore_sqlite *s = arg;
    enum statement which = filter->key_id.len ? SQL_LIST_GRANTS_OF_KEY : SQL_LIST_GRANTS;
    sqlite3_stmt *st = s->st[which];
    struct grant_walk w = { visit, ctx };

    store_bind(st, 1, filter->key_id);
    store_bind(st, 2, filter->grantee);
    store_bind(st, 3, filter->retiring);
    store_bind(st, 4, span_str(after));
    sqlite3_bind_int64(st, 5, max);
    return store_walk(s, which, visit_grant, &w);
}

enum err store_find_grant_token(void *arg, struct span token, grant_visit *visit, void *ctx)
{
    struct keystore_sqlite *s = arg;
    struct grant_walk w = { visit, ctx };

    store_bind(s->st[SQL_FIND_GRANT_TOKEN], 1, token);
    return store_walk(s, SQL_FIND_GRANT_TOKEN, visit_grant, &w);
}

enum err store_remove_grant(void *arg, const char *key_id, const char *grant_id, bool *found)
{
    struct keystore_sqlite *s = arg;
    sqlite3_stmt *st = s->st[SQL_REMOVE_GRANT];

    store_bind(st, 1, span_str(key_id));
    store_bind(st, 2, span_str(grant_id));
    enum err r = store_done(s, SQL_REMOVE_GRANT);
    *found = r == ERR_OK && sqlite3_changes(s->db) == 1;
    return r;
}
