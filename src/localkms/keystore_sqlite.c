/* keystore_sqlite.c - the connection, and keys; materials, aliases, tags and grants are in
 * keystore_rows.c. */
#include "localkms/keystore_sqlite.h"

#include <stdio.h>
#include <stdlib.h>

#include "localkms/keystore_in.h"

enum { BUSY_MS = 500 };

#define MATERIAL_COLUMNS                                                                           \
    "number, how, created_ms, rotated_ms, valid_to_ms, wrapped, digest, description"
#define GRANT_COLUMNS                                                                              \
    "id, token, key_id, created_ms, operations, name, grantee, retiring, issuing, constraints"

static const char *const texts[STATEMENTS] = {
    [SQL_FIND] = "SELECT created_ms, state, material, description, policy, spec, usage, origin,"
                 " multi_region, deletion_ms, rotation_days, rotation_next_ms"
                 " FROM keys WHERE id = ?1",
    [SQL_INSERT] = "INSERT INTO keys (id, created_ms, state, material, description, policy, spec,"
                   " usage, origin, multi_region, deletion_ms, rotation_days, rotation_next_ms)"
                   " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
    [SQL_SET_POLICY] = "UPDATE keys SET policy = ?2 WHERE id = ?1",
    [SQL_SET_DESCRIPTION] = "UPDATE keys SET description = ?2 WHERE id = ?1",
    [SQL_SET_STATUS] = "UPDATE keys SET state = ?2, deletion_ms = ?3, rotation_days = ?4,"
                       " rotation_next_ms = ?5 WHERE id = ?1",
    [SQL_SET_MATERIAL] = "UPDATE keys SET material = ?2 WHERE id = ?1",
    [SQL_REMOVE] = "DELETE FROM keys WHERE id = ?1",
    [SQL_REMOVE_MATERIALS] = "DELETE FROM materials WHERE key_id = ?1",
    [SQL_REMOVE_ALIASES] = "DELETE FROM aliases WHERE key_id = ?1",
    [SQL_REMOVE_TAGS] = "DELETE FROM tags WHERE key_id = ?1",
    [SQL_REMOVE_GRANTS] = "DELETE FROM grants WHERE key_id = ?1",
    [SQL_LIST] = "SELECT id FROM keys WHERE id > ?1 ORDER BY id LIMIT ?2",
    /* Only enabled keys rotate; one that is overdue does so once it is enabled again. */
    [SQL_DUE] = "SELECT * FROM (SELECT 1, id, 0, deletion_ms AS due FROM keys"
                "  WHERE deletion_ms > 0 ORDER BY deletion_ms LIMIT 1)"
                " UNION ALL SELECT * FROM (SELECT 2, id, 0, rotation_next_ms FROM keys"
                "  WHERE rotation_next_ms > 0 AND state = 1 ORDER BY rotation_next_ms LIMIT 1)"
                " UNION ALL SELECT * FROM (SELECT 3, key_id, number, valid_to_ms FROM materials"
                "  WHERE valid_to_ms > 0 AND wrapped <> x'' ORDER BY valid_to_ms LIMIT 1)"
                " ORDER BY due LIMIT 1",
    [SQL_FIND_MATERIAL] =
        "SELECT " MATERIAL_COLUMNS " FROM materials WHERE key_id = ?1 AND number = ?2",
    [SQL_PUT_MATERIAL] = "INSERT OR REPLACE INTO materials (key_id, " MATERIAL_COLUMNS ")"
                         " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    [SQL_LIST_MATERIALS] = "SELECT " MATERIAL_COLUMNS " FROM materials"
                           " WHERE key_id = ?1 AND number > ?2 ORDER BY number LIMIT ?3",
    [SQL_FIND_ALIAS] = "SELECT key_id, created_ms, updated_ms FROM aliases WHERE name = ?1",
    [SQL_PUT_ALIAS] = "INSERT INTO aliases (name, key_id, created_ms, updated_ms)"
                      " VALUES (?1, ?2, ?3, ?4) ON CONFLICT (name)"
                      " DO UPDATE SET key_id = ?2, updated_ms = ?4",
    [SQL_REMOVE_ALIAS] = "DELETE FROM aliases WHERE name = ?1",
    [SQL_LIST_ALIASES] = "SELECT key_id, created_ms, updated_ms, name FROM aliases"
                         " WHERE ?1 = '' AND name > ?2 ORDER BY name LIMIT ?3",
    [SQL_LIST_ALIASES_OF_KEY] = "SELECT key_id, created_ms, updated_ms, name FROM aliases"
                                " WHERE key_id = ?1 AND name > ?2 ORDER BY name LIMIT ?3",
    [SQL_PUT_TAG] = "INSERT INTO tags (key_id, name, value) VALUES (?1, ?2, ?3)"
                    " ON CONFLICT (key_id, name) DO UPDATE SET value = ?3",
    [SQL_REMOVE_TAG] = "DELETE FROM tags WHERE key_id = ?1 AND name = ?2",
    [SQL_LIST_TAGS] = "SELECT name, value FROM tags WHERE key_id = ?1 AND name > ?2"
                      " ORDER BY name LIMIT ?3",
    [SQL_INSERT_GRANT] = "INSERT INTO grants (" GRANT_COLUMNS ")"
                         " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    [SQL_LIST_GRANTS_OF_KEY] = "SELECT " GRANT_COLUMNS " FROM grants WHERE key_id = ?1"
                               " AND (?2 = '' OR grantee = ?2) AND (?3 = '' OR retiring = ?3)"
                               " AND id > ?4 ORDER BY id LIMIT ?5",
    [SQL_LIST_GRANTS] = "SELECT " GRANT_COLUMNS " FROM grants WHERE ?1 = ''"
                        " AND (?2 = '' OR grantee = ?2) AND retiring = ?3"
                        " AND id > ?4 ORDER BY id LIMIT ?5",
    [SQL_FIND_GRANT_TOKEN] = "SELECT " GRANT_COLUMNS " FROM grants WHERE token = ?1",
    [SQL_REMOVE_GRANT] = "DELETE FROM grants WHERE key_id = ?1 AND id = ?2",
};

enum err store_run(sqlite3 *db, const char *sql)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK ? ERR_OK : ERR_IO;
}

void store_rollback(sqlite3 *db)
{
    sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
}

static enum err prepare_all(struct keystore_sqlite *s)
{
    for (unsigned i = 0; i < STATEMENTS; i++)
        if (sqlite3_prepare_v3(s->db, texts[i], -1, SQLITE_PREPARE_PERSISTENT, &s->st[i], NULL) !=
            SQLITE_OK)
            return ERR_IO;
    return ERR_OK;
}

static enum err open_into(const char *path, struct keystore_sqlite *s, struct why *why)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;

    if (sqlite3_open_v2(path, &s->db, flags, NULL) != SQLITE_OK)
        return why_fail(why, ERR_IO, "database cannot be opened", 0);
    sqlite3_extended_result_codes(s->db, 1);
    sqlite3_busy_timeout(s->db, BUSY_MS);
    /* Exclusive: a second server on the same folder stops here. */
    if (store_run(s->db, "PRAGMA locking_mode = EXCLUSIVE") != ERR_OK)
        return why_fail(why, ERR_IO, "database settings", 0);
    int rc = sqlite3_exec(s->db, "PRAGMA journal_mode = WAL", NULL, NULL, NULL);
    if (rc != SQLITE_OK)
        return (rc & 0xff) == SQLITE_BUSY
                   ? why_fail(why, ERR_IO, "database is in use by another process", 0)
                   : why_fail(why, ERR_MALFORMED, "not a database", 0);
    if (store_run(s->db, "PRAGMA synchronous = FULL") != ERR_OK ||
        store_run(s->db, "PRAGMA foreign_keys = ON") != ERR_OK ||
        store_run(s->db, "PRAGMA wal_autocheckpoint = 1000") != ERR_OK)
        return why_fail(why, ERR_IO, "database settings", 0);
    enum err r = keystore_schema(s->db, why);
    if (r != ERR_OK)
        return r;
    return prepare_all(s) == ERR_OK ? ERR_OK : why_fail(why, ERR_IO, "database statements", 0);
}

enum err keystore_sqlite_open(const char *path, struct keystore_sqlite **out, struct why *why)
{
    struct keystore_sqlite *s = calloc(1, sizeof *s);

    if (!s)
        return ERR_NOMEM;
    enum err r = open_into(path, s, why);
    if (r != ERR_OK) {
        keystore_sqlite_close(s);
        return r;
    }
    *out = s;
    return ERR_OK;
}

void keystore_sqlite_close(struct keystore_sqlite *s)
{
    if (!s)
        return;
    for (unsigned i = 0; i < STATEMENTS; i++)
        sqlite3_finalize(s->st[i]);
    sqlite3_close(s->db);
    free(s);
}

/* ---- what the files of the store share ---- */

void store_bind(sqlite3_stmt *st, int at, struct span text)
{
    sqlite3_bind_text(st, at, text.ptr ? (const char *)text.ptr : "", (int)text.len, SQLITE_STATIC);
}

void store_bind_blob(sqlite3_stmt *st, int at, struct span bytes)
{
    sqlite3_bind_blob(st, at, bytes.len ? (const void *)bytes.ptr : "", (int)bytes.len,
                      SQLITE_STATIC);
}

enum err store_failed(struct keystore_sqlite *s)
{
    snprintf(s->reason, sizeof s->reason, "%s (SQLite result %d)", sqlite3_errmsg(s->db),
             sqlite3_extended_errcode(s->db));
    return ERR_IO;
}

enum err store_begin(struct keystore_sqlite *s)
{
    return store_run(s->db, "BEGIN IMMEDIATE") == ERR_OK ? ERR_OK : store_failed(s);
}

enum err store_finish(struct keystore_sqlite *s, enum err r)
{
    if (r == ERR_OK && store_run(s->db, "COMMIT") != ERR_OK)
        r = store_failed(s);
    if (r != ERR_OK)
        store_rollback(s->db);
    return r;
}

enum err store_done(struct keystore_sqlite *s, enum statement which)
{
    sqlite3_stmt *st = s->st[which];
    enum err r = sqlite3_step(st) == SQLITE_DONE ? ERR_OK : store_failed(s);

    sqlite3_reset(st);
    sqlite3_clear_bindings(st);
    return r;
}

enum err store_changed(struct keystore_sqlite *s, enum statement which)
{
    enum err r = store_done(s, which);

    return r == ERR_OK && sqlite3_changes(s->db) != 1 ? ERR_INTERNAL : r;
}

struct span store_column(sqlite3_stmt *st, int at)
{
    const void *bytes = sqlite3_column_blob(st, at);
    size_t len = (size_t)sqlite3_column_bytes(st, at);

    return span_of(bytes ? bytes : "", len);
}

enum err store_text(sqlite3_stmt *st, int at, char *out, size_t len)
{
    struct span text = store_column(st, at);

    if (text.len != len)
        return ERR_IO;
    memcpy(out, text.ptr, len);
    out[len] = '\0';
    return ERR_OK;
}

enum err store_walk(struct keystore_sqlite *s, enum statement which, store_take *take, void *ctx)
{
    sqlite3_stmt *st = s->st[which];
    enum err r = ERR_OK;
    int step = SQLITE_DONE;

    while (r == ERR_OK && (step = sqlite3_step(st)) == SQLITE_ROW)
        r = take(st, ctx);
    if (r == ERR_OK && step != SQLITE_DONE)
        r = store_failed(s);
    sqlite3_reset(st);
    sqlite3_clear_bindings(st);
    return r;
}

/* ---- keys ---- */

struct found_key {
    struct key_row *row;
    bool found;
};

static enum err take_key(sqlite3_stmt *st, void *ctx)
{
    struct found_key *f = ctx;
    struct key_row *out = f->row;
    int spec = sqlite3_column_int(st, 5), usage = sqlite3_column_int(st, 6);

    if (spec < KEY_SYMMETRIC || spec > KEY_SPEC_LAST || usage < KEY_ENCRYPT_DECRYPT ||
        usage > KEY_KEY_AGREEMENT || !key_spec_allows((enum key_spec)spec, (enum key_usage)usage))
        return ERR_IO;
    out->created_ms = sqlite3_column_int64(st, 0);
    out->material = (uint32_t)sqlite3_column_int64(st, 2);
    out->spec = (enum key_spec)spec;
    out->usage = (enum key_usage)usage;
    out->origin = sqlite3_column_int(st, 7) == KEY_EXTERNAL ? KEY_EXTERNAL : KEY_AWS_KMS;
    out->multi_region = sqlite3_column_int(st, 8) != 0;
    out->status = (struct key_status){ .state = (enum key_state)sqlite3_column_int(st, 1),
                                       .deletion_ms = sqlite3_column_int64(st, 9),
                                       .rotation_days = (uint32_t)sqlite3_column_int64(st, 10),
                                       .rotation_next_ms = sqlite3_column_int64(st, 11) };
    f->found = true;
    enum err r = buf_append(&out->description, store_column(st, 3));
    return r == ERR_OK ? buf_append(&out->policy, store_column(st, 4)) : r;
}

static enum err find(void *arg, const char *id, struct key_row *out, bool *found)
{
    struct keystore_sqlite *s = arg;
    struct found_key f = { .row = out };

    if (strlen(id) != KEY_ID_BYTES)
        return ERR_INTERNAL;
    store_bind(s->st[SQL_FIND], 1, span_str(id));
    enum err r = store_walk(s, SQL_FIND, take_key, &f);
    if (f.found)
        memcpy(out->id, id, KEY_ID_BYTES + 1);
    *found = f.found;
    return r;
}

static void bind_key(sqlite3_stmt *st, const struct key_row *row)
{
    store_bind(st, 1, span_str(row->id));
    sqlite3_bind_int64(st, 2, row->created_ms);
    sqlite3_bind_int(st, 3, (int)row->status.state);
    sqlite3_bind_int64(st, 4, row->material);
    store_bind(st, 5, buf_view(&row->description));
    store_bind(st, 6, buf_view(&row->policy));
    sqlite3_bind_int(st, 7, (int)row->spec);
    sqlite3_bind_int(st, 8, (int)row->usage);
    sqlite3_bind_int(st, 9, (int)row->origin);
    sqlite3_bind_int(st, 10, row->multi_region);
    sqlite3_bind_int64(st, 11, row->status.deletion_ms);
    sqlite3_bind_int64(st, 12, row->status.rotation_days);
    sqlite3_bind_int64(st, 13, row->status.rotation_next_ms);
}

static enum err insert(void *arg, const struct key_row *row, const struct material_row *material,
                       const struct tag_row *tags, size_t n_tags)
{
    struct keystore_sqlite *s = arg;

    enum err r = store_begin(s);
    if (r != ERR_OK)
        return r;
    bind_key(s->st[SQL_INSERT], row);
    r = store_done(s, SQL_INSERT);
    if (r == ERR_OK && material)
        r = store_insert_material(s, row->id, material);
    if (r == ERR_OK)
        r = store_insert_tags(s, row->id, tags, n_tags);
    return store_finish(s, r);
}

static enum err set_text(struct keystore_sqlite *s, enum statement which, const char *id,
                         struct span text)
{
    store_bind(s->st[which], 1, span_str(id));
    store_bind(s->st[which], 2, text);
    return store_changed(s, which);
}

static enum err set_policy(void *arg, const char *id, struct span policy)
{
    return set_text(arg, SQL_SET_POLICY, id, policy);
}

static enum err set_description(void *arg, const char *id, struct span description)
{
    return set_text(arg, SQL_SET_DESCRIPTION, id, description);
}

enum err store_set_status(void *arg, const char *id, const struct key_status *status)
{
    struct keystore_sqlite *s = arg;
    sqlite3_stmt *st = s->st[SQL_SET_STATUS];

    store_bind(st, 1, span_str(id));
    sqlite3_bind_int(st, 2, (int)status->state);
    sqlite3_bind_int64(st, 3, status->deletion_ms);
    sqlite3_bind_int64(st, 4, status->rotation_days);
    sqlite3_bind_int64(st, 5, status->rotation_next_ms);
    return store_changed(s, SQL_SET_STATUS);
}

static enum err remove_key(void *arg, const char *id)
{
    static const enum statement all[] = { SQL_REMOVE_MATERIALS, SQL_REMOVE_ALIASES, SQL_REMOVE_TAGS,
                                          SQL_REMOVE_GRANTS, SQL_REMOVE };
    struct keystore_sqlite *s = arg;

    enum err r = store_begin(s);
    if (r != ERR_OK)
        return r;
    for (size_t i = 0; i < sizeof all / sizeof all[0] && r == ERR_OK; i++) {
        store_bind(s->st[all[i]], 1, span_str(id));
        r = store_done(s, all[i]);
    }
    return store_finish(s, r);
}

struct ids {
    char (*all)[KEY_ID_BYTES + 1];
    unsigned n, max;
};

static enum err take_id(sqlite3_stmt *st, void *ctx)
{
    struct ids *ids = ctx;

    return ids->n < ids->max ? store_text(st, 0, ids->all[ids->n++], KEY_ID_BYTES) : ERR_LIMIT;
}

static enum err list(void *arg, const char *after, unsigned max, char (*ids)[KEY_ID_BYTES + 1],
                     unsigned *n)
{
    struct keystore_sqlite *s = arg;
    struct ids found = { .all = ids, .max = max };

    store_bind(s->st[SQL_LIST], 1, span_str(after));
    sqlite3_bind_int64(s->st[SQL_LIST], 2, max);
    enum err r = store_walk(s, SQL_LIST, take_id, &found);
    *n = found.n;
    return r;
}

static enum err take_due(sqlite3_stmt *st, void *ctx)
{
    struct due *due = ctx;

    due->what = (enum due_what)sqlite3_column_int(st, 0);
    due->material = (uint32_t)sqlite3_column_int64(st, 2);
    due->at_ms = sqlite3_column_int64(st, 3);
    return store_text(st, 1, due->key_id, KEY_ID_BYTES);
}

static enum err next_due(void *arg, struct due *out)
{
    *out = (struct due){ .what = DUE_NOTHING };
    return store_walk(arg, SQL_DUE, take_due, out);
}

static const char *reason(void *arg)
{
    const struct keystore_sqlite *s = arg;

    return s->reason;
}

struct keystore keystore_sqlite_interface(struct keystore_sqlite *s)
{
    return (struct keystore){
        .arg = s,
        .find = find,
        .insert = insert,
        .set_policy = set_policy,
        .set_description = set_description,
        .set_status = store_set_status,
        .remove = remove_key,
        .list = list,
        .next_due = next_due,
        .find_material = store_find_material,
        .put_material = store_put_material,
        .list_materials = store_list_materials,
        .find_alias = store_find_alias,
        .put_alias = store_put_alias,
        .remove_alias = store_remove_alias,
        .list_aliases = store_list_aliases,
        .put_tags = store_put_tags,
        .remove_tags = store_remove_tags,
        .list_tags = store_list_tags,
        .insert_grant = store_insert_grant,
        .list_grants = store_list_grants,
        .find_grant_token = store_find_grant_token,
        .remove_grant = store_remove_grant,
        .reason = reason,
    };
}

enum err keystore_sqlite_backup(struct keystore_sqlite *s, const char *path, struct why *why)
{
    sqlite3 *to = NULL;
    int rc = sqlite3_open_v2(path, &to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);

    if (rc == SQLITE_OK) {
        sqlite3_backup *b = sqlite3_backup_init(to, "main", s->db, "main");
        rc = b ? sqlite3_backup_step(b, -1) : SQLITE_ERROR;
        int end = b ? sqlite3_backup_finish(b) : sqlite3_errcode(to);
        rc = rc == SQLITE_DONE ? end : rc;
    }
    if (sqlite3_close(to) != SQLITE_OK)
        rc = SQLITE_ERROR;
    return rc == SQLITE_OK ? ERR_OK : why_fail(why, ERR_IO, sqlite3_errstr(rc), 0);
}
