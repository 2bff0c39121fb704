/* keystore_in.h - inside the SQLite store: the connection, its statements, and what its files
 * share.
 */
#ifndef LOCALKMS_KEYSTORE_IN_H
#define LOCALKMS_KEYSTORE_IN_H

#include <sqlite3.h>

#include "localkms/keystore.h"

enum { REASON_BYTES = 192 };

enum statement {
    SQL_FIND,
    SQL_INSERT,
    SQL_SET_POLICY,
    SQL_SET_DESCRIPTION,
    SQL_SET_STATUS,
    SQL_SET_MATERIAL,
    SQL_REMOVE,
    SQL_REMOVE_MATERIALS,
    SQL_REMOVE_ALIASES,
    SQL_REMOVE_TAGS,
    SQL_REMOVE_GRANTS,
    SQL_LIST,
    SQL_DUE,
    SQL_FIND_MATERIAL,
    SQL_PUT_MATERIAL,
    SQL_LIST_MATERIALS,
    SQL_FIND_ALIAS,
    SQL_PUT_ALIAS,
    SQL_REMOVE_ALIAS,
    SQL_LIST_ALIASES,
    SQL_LIST_ALIASES_OF_KEY,
    SQL_PUT_TAG,
    SQL_REMOVE_TAG,
    SQL_LIST_TAGS,
    SQL_INSERT_GRANT,
    SQL_LIST_GRANTS,
    SQL_LIST_GRANTS_OF_KEY,
    SQL_FIND_GRANT_TOKEN,
    SQL_REMOVE_GRANT,
    STATEMENTS
};

struct keystore_sqlite {
    sqlite3 *db;
    sqlite3_stmt *st[STATEMENTS];
    char reason[REASON_BYTES]; /* of the last failure: a rollback would make SQLite forget it */
};

/* Makes the tables of a new file, or brings those of an older version up to date.
 * (keystore_schema.c) */
MUST_USE enum err keystore_schema(sqlite3 *db, struct why *why);

MUST_USE enum err store_run(sqlite3 *db, const char *sql);
void store_rollback(sqlite3 *db);
/* Keep SQLite's text and extended result code; ERR_IO. */
MUST_USE enum err store_failed(struct keystore_sqlite *s);
MUST_USE enum err store_begin(struct keystore_sqlite *s);
/* Commit if `r` is ERR_OK, else roll back; returns what came of it. */
MUST_USE enum err store_finish(struct keystore_sqlite *s, enum err r);
void store_bind(sqlite3_stmt *st, int at, struct span text);
void store_bind_blob(sqlite3_stmt *st, int at, struct span bytes);
/* Step a statement that gives no rows, and reset it. */
MUST_USE enum err store_done(struct keystore_sqlite *s, enum statement which);
/* The same, and one row has to be changed by it. */
MUST_USE enum err store_changed(struct keystore_sqlite *s, enum statement which);
struct span store_column(sqlite3_stmt *st, int at);
/* A text of exactly `len` bytes, and a NUL. ERR_IO: another length. */
MUST_USE enum err store_text(sqlite3_stmt *st, int at, char *out, size_t len);
/* Each row to `take`, until one fails; resets the statement. */
typedef enum err store_take(sqlite3_stmt *st, void *ctx);
MUST_USE enum err store_walk(struct keystore_sqlite *s, enum statement which, store_take *take,
                             void *ctx);

/* Parts of the interface. */
enum err store_find_material(void *arg, const char *id, uint32_t number, struct material_row *out,
                             bool *found);
enum err store_put_material(void *arg, const char *id, const struct material_row *m,
                            uint32_t current, const struct key_status *status);
enum err store_insert_material(struct keystore_sqlite *s, const char *id,
                               const struct material_row *m);
enum err store_set_status(void *arg, const char *id, const struct key_status *status);
enum err store_list_materials(void *arg, const char *id, uint32_t after, unsigned max,
                              material_visit *visit, void *ctx);
enum err store_find_alias(void *arg, struct span name, struct alias_row *out, bool *found);
enum err store_put_alias(void *arg, const struct alias_row *row);
enum err store_remove_alias(void *arg, struct span name);
enum err store_list_aliases(void *arg, const char *key_id, struct span after, unsigned max,
                            alias_visit *visit, void *ctx);
enum err store_insert_tags(struct keystore_sqlite *s, const char *id, const struct tag_row *tags,
                           size_t n);
enum err store_put_tags(void *arg, const char *id, const struct tag_row *tags, size_t n);
enum err store_remove_tags(void *arg, const char *id, const struct span *names, size_t n);
enum err store_list_tags(void *arg, const char *id, struct span after, unsigned max,
                         tag_visit *visit, void *ctx);
enum err store_insert_grant(void *arg, const struct grant_row *row);
enum err store_list_grants(void *arg, const struct grant_filter *filter, const char *after,
                           unsigned max, grant_visit *visit, void *ctx);
enum err store_find_grant_token(void *arg, struct span token, grant_visit *visit, void *ctx);
enum err store_remove_grant(void *arg, const char *key_id, const char *grant_id, bool *found);

#endif
