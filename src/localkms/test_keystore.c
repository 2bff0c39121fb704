#include "localkms/test_keystore.h"

#include <stdlib.h>

static void must(bool holds)
{
    if (!holds)
        abort();
}

void test_keystore_open(struct test_keystore *s)
{
    *s = (struct test_keystore){ .db = NULL };
    must(keystore_sqlite_open(":memory:", &s->db, NULL) == ERR_OK);
    s->inner = keystore_sqlite_interface(s->db);
}

void test_keystore_close(struct test_keystore *s)
{
    keystore_sqlite_close(s->db);
    s->db = NULL;
}

static enum err find(void *arg, const char *id, struct key_row *out, bool *found)
{
    struct test_keystore *s = arg;

    s->finds++;
    return s->inner.find(s->inner.arg, id, out, found);
}

/* Everything but `find`, which is counted, goes to the store itself, so its argument does too. */
static struct test_keystore *current;

static enum err find_current(void *arg, const char *id, struct key_row *out, bool *found)
{
    (void)arg;
    return find(current, id, out, found);
}

struct keystore test_keystore_interface(struct test_keystore *s)
{
    struct keystore interface = s->inner;

    current = s;
    interface.find = find_current;
    return interface;
}

static int stop(void *arg)
{
    (void)arg;
    return 1;
}

void test_keystore_break(struct test_keystore *s, bool broken)
{
    sqlite3_progress_handler(s->db->db, 1, broken ? stop : NULL, NULL);
}

void test_keystore_sql(struct test_keystore *s, const char *sql, const char *key_id)
{
    sqlite3_stmt *st = NULL;

    must(sqlite3_prepare_v2(s->db->db, sql, -1, &st, NULL) == SQLITE_OK);
    if (sqlite3_bind_parameter_count(st))
        must(sqlite3_bind_text(st, 1, key_id, -1, SQLITE_STATIC) == SQLITE_OK);
    must(sqlite3_step(st) == SQLITE_DONE);
    sqlite3_finalize(st);
}

unsigned test_keystore_keys(struct test_keystore *s)
{
    sqlite3_stmt *st = NULL;

    must(sqlite3_prepare_v2(s->db->db, "SELECT count(*) FROM keys", -1, &st, NULL) == SQLITE_OK);
    must(sqlite3_step(st) == SQLITE_ROW);
    int n = sqlite3_column_int(st, 0);
    sqlite3_finalize(st);
    return (unsigned)n;
}
