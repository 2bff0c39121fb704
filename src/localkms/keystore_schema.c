/* keystore_schema.c - the tables, one version after another. A new file goes through every step, so
 * that it has exactly the tables of one that was brought up to date. */
#include <stdio.h>

#include "localkms/keystore_in.h"
#include "localkms/keystore_sqlite.h"

enum { APPLICATION_ID = 0x4e534b4d /* "NSKM" */ };

static const char to_1[] =
    "CREATE TABLE keys (id TEXT PRIMARY KEY, created_ms INTEGER NOT NULL, state INTEGER NOT NULL,"
    " material INTEGER NOT NULL, description TEXT NOT NULL, policy TEXT NOT NULL)"
    " STRICT, WITHOUT ROWID;"
    "CREATE TABLE materials (key_id TEXT NOT NULL REFERENCES keys (id), number INTEGER NOT NULL,"
    " created_ms INTEGER NOT NULL, wrapped BLOB NOT NULL, PRIMARY KEY (key_id, number))"
    " STRICT, WITHOUT ROWID;"
    "PRAGMA application_id = 1314081613;";

static const char to_2[] = "ALTER TABLE keys ADD COLUMN spec INTEGER NOT NULL DEFAULT 1;";

/* Every elliptic curve key of version 2 was for key agreement. */
static const char to_3[] =
    "ALTER TABLE keys ADD COLUMN usage INTEGER NOT NULL DEFAULT 1;"
    "ALTER TABLE keys ADD COLUMN origin INTEGER NOT NULL DEFAULT 1;"
    "ALTER TABLE keys ADD COLUMN multi_region INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE keys ADD COLUMN deletion_ms INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE keys ADD COLUMN rotation_days INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE keys ADD COLUMN rotation_next_ms INTEGER NOT NULL DEFAULT 0;"
    "UPDATE keys SET usage = 4 WHERE spec <> 1;"
    "ALTER TABLE materials ADD COLUMN how INTEGER NOT NULL DEFAULT 1;"
    "ALTER TABLE materials ADD COLUMN rotated_ms INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE materials ADD COLUMN valid_to_ms INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE materials ADD COLUMN digest BLOB NOT NULL DEFAULT x'';"
    "ALTER TABLE materials ADD COLUMN description TEXT NOT NULL DEFAULT '';"
    "CREATE TABLE aliases (name TEXT PRIMARY KEY, key_id TEXT NOT NULL REFERENCES keys (id),"
    " created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE INDEX aliases_of_key ON aliases (key_id, name);"
    "CREATE TABLE tags (key_id TEXT NOT NULL REFERENCES keys (id), name TEXT NOT NULL,"
    " value TEXT NOT NULL, PRIMARY KEY (key_id, name)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE grants (id TEXT PRIMARY KEY, token TEXT NOT NULL UNIQUE,"
    " key_id TEXT NOT NULL REFERENCES keys (id), created_ms INTEGER NOT NULL,"
    " operations INTEGER NOT NULL, name TEXT NOT NULL, grantee TEXT NOT NULL,"
    " retiring TEXT NOT NULL, issuing TEXT NOT NULL, constraints TEXT NOT NULL)"
    " STRICT, WITHOUT ROWID;"
    "CREATE INDEX grants_of_key ON grants (key_id, id);"
    "CREATE INDEX grants_retiring ON grants (retiring, id);"
    "CREATE INDEX keys_deletion ON keys (deletion_ms) WHERE deletion_ms > 0;"
    "CREATE INDEX keys_rotation ON keys (rotation_next_ms) WHERE rotation_next_ms > 0;"
    "CREATE INDEX materials_expiry ON materials (valid_to_ms) WHERE valid_to_ms > 0;";

static const char *const steps[KEYSTORE_SCHEMA] = { to_1, to_2, to_3 };

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

/* All that is missing, or nothing. */
static enum err advance(sqlite3 *db, int from)
{
    char version[64];

    enum err r = store_run(db, "BEGIN IMMEDIATE");
    for (int i = from; i < KEYSTORE_SCHEMA && r == ERR_OK; i++)
        r = store_run(db, steps[i]);
    snprintf(version, sizeof version, "PRAGMA user_version = %d", KEYSTORE_SCHEMA);
    if (r == ERR_OK)
        r = store_run(db, version);
    if (r == ERR_OK)
        r = store_run(db, "COMMIT");
    if (r != ERR_OK)
        store_rollback(db);
    return r;
}

/* A file without tables is new; one with tables has to be ours. */
enum err keystore_schema(sqlite3 *db, struct why *why)
{
    int tables = 0, application = 0, version = 0;

    if (pragma_int(db, "SELECT count(*) FROM sqlite_master", &tables) != ERR_OK ||
        pragma_int(db, "PRAGMA application_id", &application) != ERR_OK ||
        pragma_int(db, "PRAGMA user_version", &version) != ERR_OK)
        return why_fail(why, ERR_MALFORMED, "not a database", 0);
    if (tables == 0)
        return advance(db, 0) == ERR_OK ? ERR_OK
                                        : why_fail(why, ERR_IO, "schema cannot be made", 0);
    if (application != APPLICATION_ID || version < 1)
        return why_fail(why, ERR_MALFORMED, "database of another program", 0);
    if (version > KEYSTORE_SCHEMA)
        return why_fail(why, ERR_UNSUPPORTED, "database of a newer version", 0);
    if (version < KEYSTORE_SCHEMA && advance(db, version) != ERR_OK)
        return why_fail(why, ERR_IO, "schema cannot be brought up to date", 0);
    return ERR_OK;
}
