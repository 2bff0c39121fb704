#include "localkms/keystore_sqlite.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

enum { REASON_BYTES = 192, BUSY_MS = 500, APPLICATION_ID = 0x4e534b4d /* "NSKM" */ };

enum statement { SQL_FIND, SQL_INSERT, SQL_INSERT_MATERIAL, SQL_SET_POLICY, SQL_LIST, STATEMENTS };

static const char *const texts[STATEMENTS] = {
    [SQL_FIND] = "SELECT k.created_ms, k.state, k.material, k.description, k.policy, "
                 "m.wrapped, k.spec "
                 "FROM keys k JOIN materials m ON m.key_id = k.id AND m.number = k.material "
                 "WHERE k.id = ?1",
    [SQL_INSERT] = "INSERT INTO keys (id, created_ms, state, material, description, policy, spec) "
                   "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    [SQL_INSERT_MATERIAL] = "INSERT INTO materials (key_id, number, created_ms, wrapped) "
                            "VALUES (?1, ?2, ?3, ?4)",
    [SQL_SET_POLICY] = "UPDATE keys SET policy = ?2 WHERE id = ?1",
    [SQL_LIST] = "SELECT id FROM keys WHERE id > ?1 ORDER BY id LIMIT ?2",
};

static const char schema[] =
    "BEGIN IMMEDIATE;"
    "CREATE TABLE keys (id TEXT PRIMARY KEY, created_ms INTEGER NOT NULL, state INTEGER NOT NULL,"
    " material INTEGER NOT NULL, description TEXT NOT NULL, policy TEXT NOT NULL,"
    " spec INTEGER NOT NULL DEFAULT 1)"
    " STRICT, WITHOUT ROWID;"
    "CREATE TABLE materials (key_id TEXT NOT NULL REFERENCES keys (id), number INTEGER NOT NULL,"
    " created_ms INTEGER NOT NULL, wrapped BLOB NOT NULL, PRIMARY KEY (key_id, number))"
    " STRICT, WITHOUT ROWID;"
    "PRAGMA user_version = 2;"
    "PRAGMA application_id = 1314081613;"
    "COMMIT;";

static const char to_schema_2[] = "BEGIN IMMEDIATE;"
                                  "ALTER TABLE keys ADD COLUMN spec INTEGER NOT NULL DEFAULT 1;"
                                  "PRAGMA user_version = 2;"
                                  "COMMIT;";

struct keystore_sqlite {
    sqlite3 *db;
    sqlite3_stmt *st[STATEMENTS];
    char reason[REASON_BYTES]; /* of the last failure: a rollback would make SQLite forget it */
};

static enum err run(sqlite3 *db, const char *sql)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK ? ERR_OK : ERR_IO;
}

static enum err pragma_int(sqlite3 *db, const char *sql, int *out)
{
    sqlite3_stmt *st = NULL;
    enum err r = ERR_IO;

    if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW) {
        *out = sqlite3_column_int(st, 0);
        r = ERR_OK;
    }
    sqlite3_finalize(st);
    return r;
}

/* A file without tables is new; one with tables has to be ours. */
static enum err check_schema(sqlite3 *db, struct why *why)
{
    int tables = 0, application = 0, version = 0;

    if (pragma_int(db, "SELECT count(*) FROM sqlite_master", &tables) != ERR_OK ||
        pragma_int(db, "PRAGMA application_id", &application) != ERR_OK ||
        pragma_int(db, "PRAGMA user_version", &version) != ERR_OK)
        return why_fail(why, ERR_MALFORMED, "not a database", 0);
    if (tables == 0)
        return run(db, schema) == ERR_OK ? ERR_OK
                                         : why_fail(why, ERR_IO, "schema cannot be made", 0);
    if (application != APPLICATION_ID || version < 1)
        return why_fail(why, ERR_MALFORMED, "database of another program", 0);
    if (version == 1 && run(db, to_schema_2) != ERR_OK)
        return why_fail(why, ERR_IO, "schema cannot be brought up to date", 0);
    return version <= KEYSTORE_SCHEMA
               ? ERR_OK
               : why_fail(why, ERR_UNSUPPORTED, "database of a newer version", 0);
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
    if (run(s->db, "PRAGMA locking_mode = EXCLUSIVE") != ERR_OK)
        return why_fail(why, ERR_IO, "database settings", 0);
    int rc = sqlite3_exec(s->db, "PRAGMA journal_mode = WAL", NULL, NULL, NULL);
    if (rc != SQLITE_OK)
        return (rc & 0xff) == SQLITE_BUSY
                   ? why_fail(why, ERR_IO, "database is in use by another process", 0)
                   : why_fail(why, ERR_MALFORMED, "not a database", 0);
    if (run(s->db, "PRAGMA synchronous = FULL") != ERR_OK ||
        run(s->db, "PRAGMA foreign_keys = ON") != ERR_OK ||
        run(s->db, "PRAGMA wal_autocheckpoint = 1000") != ERR_OK)
        return why_fail(why, ERR_IO, "database settings", 0);
    enum err r = check_schema(s->db, why);
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

static void bind_text(sqlite3_stmt *st, int at, struct span s)
{
    sqlite3_bind_text(st, at, s.ptr ? (const char *)s.ptr : "", (int)s.len, SQLITE_STATIC);
}

/* Keep SQLite's text and extended result code. */
static enum err failed(struct keystore_sqlite *s)
{
    snprintf(s->reason, sizeof s->reason, "%s (SQLite result %d)", sqlite3_errmsg(s->db),
             sqlite3_extended_errcode(s->db));
    return ERR_IO;
}

static enum err column_append(sqlite3_stmt *st, int at, struct buf *out)
{
    const void *bytes = sqlite3_column_blob(st, at);

    return buf_append(out, span_of(bytes, (size_t)sqlite3_column_bytes(st, at)));
}

static enum err take_row(sqlite3_stmt *st, const char *id, struct key_row *out)
{
    memcpy(out->id, id, KEY_ID_BYTES + 1);
    out->created_ms = sqlite3_column_int64(st, 0);
    out->state = (enum key_state)sqlite3_column_int(st, 1);
    out->material = (uint32_t)sqlite3_column_int64(st, 2);
    int spec = sqlite3_column_int(st, 6);
    if (spec < KEY_SYMMETRIC || spec > KEY_ECC_NIST_P521)
        return ERR_IO;
    out->spec = (enum key_spec)spec;
    enum err r = column_append(st, 3, &out->description);
    if (r == ERR_OK)
        r = column_append(st, 4, &out->policy);
    return r == ERR_OK ? column_append(st, 5, &out->wrapped) : r;
}

static enum err find(void *arg, const char *id, struct key_row *out, bool *found)
{
    struct keystore_sqlite *s = arg;
    sqlite3_stmt *st = s->st[SQL_FIND];
    enum err r = ERR_OK;

    if (strlen(id) != KEY_ID_BYTES)
        return ERR_INTERNAL;
    bind_text(st, 1, span_str(id));
    int step = sqlite3_step(st);
    *found = step == SQLITE_ROW;
    if (step == SQLITE_ROW)
        r = take_row(st, id, out);
    else if (step != SQLITE_DONE)
        r = failed(s);
    sqlite3_reset(st);
    return r;
}

static enum err step_done(struct keystore_sqlite *s, sqlite3_stmt *st)
{
    enum err r = sqlite3_step(st) == SQLITE_DONE ? ERR_OK : failed(s);

    sqlite3_reset(st);
    sqlite3_clear_bindings(st);
    return r;
}

static enum err insert_both(struct keystore_sqlite *s, const struct key_row *row)
{
    sqlite3_stmt *key = s->st[SQL_INSERT], *material = s->st[SQL_INSERT_MATERIAL];

    bind_text(key, 1, span_str(row->id));
    sqlite3_bind_int64(key, 2, row->created_ms);
    sqlite3_bind_int(key, 3, (int)row->state);
    sqlite3_bind_int64(key, 4, row->material);
    bind_text(key, 5, buf_view(&row->description));
    bind_text(key, 6, buf_view(&row->policy));
    sqlite3_bind_int(key, 7, (int)row->spec);
    enum err r = step_done(s, key);
    if (r != ERR_OK)
        return r;
    bind_text(material, 1, span_str(row->id));
    sqlite3_bind_int64(material, 2, row->material);
    sqlite3_bind_int64(material, 3, row->created_ms);
    sqlite3_bind_blob(material, 4, row->wrapped.ptr, (int)row->wrapped.len, SQLITE_STATIC);
    return step_done(s, material);
}

static enum err insert(void *arg, const struct key_row *row)
{
    struct keystore_sqlite *s = arg;

    if (run(s->db, "BEGIN IMMEDIATE") != ERR_OK)
        return failed(s);
    enum err r = insert_both(s, row);
    if (r == ERR_OK && run(s->db, "COMMIT") != ERR_OK)
        r = failed(s);
    if (r != ERR_OK)
        (void)run(s->db, "ROLLBACK");
    return r;
}

static enum err set_policy(void *arg, const char *id, struct span policy)
{
    struct keystore_sqlite *s = arg;
    sqlite3_stmt *st = s->st[SQL_SET_POLICY];

    bind_text(st, 1, span_str(id));
    bind_text(st, 2, policy);
    enum err r = step_done(s, st);
    return r == ERR_OK && sqlite3_changes(s->db) != 1 ? ERR_INTERNAL : r;
}

static enum err list(void *arg, const char *after, unsigned max, char (*ids)[KEY_ID_BYTES + 1],
                     unsigned *n)
{
    struct keystore_sqlite *s = arg;
    sqlite3_stmt *st = s->st[SQL_LIST];
    int step;

    *n = 0;
    bind_text(st, 1, span_str(after));
    sqlite3_bind_int64(st, 2, max);
    while ((step = sqlite3_step(st)) == SQLITE_ROW && *n < max) {
        if (sqlite3_column_bytes(st, 0) != KEY_ID_BYTES)
            break;
        memcpy(ids[(*n)++], sqlite3_column_text(st, 0), KEY_ID_BYTES + 1);
    }
    enum err r = step == SQLITE_DONE ? ERR_OK : failed(s);
    sqlite3_reset(st);
    return r;
}

static const char *reason(void *arg)
{
    const struct keystore_sqlite *s = arg;

    return s->reason;
}

struct keystore keystore_sqlite_interface(struct keystore_sqlite *s)
{
    return (struct keystore){ .arg = s,
                              .find = find,
                              .insert = insert,
                              .set_policy = set_policy,
                              .list = list,
                              .reason = reason };
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
