#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "localkms/keystore_sqlite.h"
#include "testing/t.h"

struct world {
    char dir[64], path[96];
    struct keystore_sqlite *db;
    struct keystore store;
};

static void reopen(struct world *w)
{
    keystore_sqlite_close(w->db);
    w->db = NULL;
    assert_int_equal(keystore_sqlite_open(w->path, &w->db, NULL), ERR_OK);
    w->store = keystore_sqlite_interface(w->db);
}

static int world_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);

    if (!w)
        return -1;
    snprintf(w->dir, sizeof w->dir, "/tmp/nitroseal-test-XXXXXX");
    if (!mkdtemp(w->dir))
        return -1;
    snprintf(w->path, sizeof w->path, "%s/keys.db", w->dir);
    reopen(w);
    *state = w;
    return 0;
}

static int world_down(void **state)
{
    static const char *const ends[] = { "", "-wal", "-shm", "-journal" };
    struct world *w = *state;
    char path[128];

    keystore_sqlite_close(w->db);
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        snprintf(path, sizeof path, "%s%s", w->path, ends[i]);
        (void)unlink(path);
    }
    int r = rmdir(w->dir);
    free(w);
    return r;
}

/* Row number `i`, ids in ascending order. */
static void fill(struct key_row *row, unsigned i)
{
    snprintf(row->id, sizeof row->id, "%08x-0000-4000-8000-000000000000", i);
    row->created_ms = 1700000000123 + i;
    row->status.state = KEY_ENABLED;
    row->material = 1;
    assert_int_equal(buf_append_str(&row->description, "caf\xc3\xa9 'x'; DROP TABLE keys"), ERR_OK);
    assert_int_equal(buf_append_str(&row->policy, "{\"a\":1}"), ERR_OK);
}

static void fill_material(struct material_row *m, unsigned i)
{
    m->number = 1;
    m->how = MATERIAL_FIRST;
    m->created_ms = 1700000000123 + i;
    for (uint8_t b = 0; b < 60; b++) /* NULs among them */
        assert_int_equal(buf_append_byte(&m->wrapped, (uint8_t)(b + i)), ERR_OK);
}

static enum err insert_row(struct world *w, const struct key_row *row, unsigned i)
{
    AUTO(material_row_clear) struct material_row m = MATERIAL_ROW_INIT;

    fill_material(&m, i);
    return w->store.insert(w->store.arg, row, &m, NULL, 0);
}

static void insert(struct world *w, unsigned i)
{
    AUTO(key_row_clear) struct key_row row = KEY_ROW_INIT;

    fill(&row, i);
    assert_int_equal(insert_row(w, &row, i), ERR_OK);
}

static void assert_row(struct world *w, unsigned i, const char *policy)
{
    AUTO(key_row_clear) struct key_row want = KEY_ROW_INIT;
    AUTO(key_row_clear) struct key_row got = KEY_ROW_INIT;
    bool found = false;

    fill(&want, i);
    assert_int_equal(w->store.find(w->store.arg, want.id, &got, &found), ERR_OK);
    assert_true(found);
    assert_string_equal(got.id, want.id);
    assert_int_equal(got.created_ms, want.created_ms);
    assert_int_equal(got.status.state, want.status.state);
    assert_int_equal(got.material, want.material);
    t_assert_span(buf_view(&got.description), buf_view(&want.description));
    t_assert_buf(&got.policy, policy);
    AUTO(material_row_clear) struct material_row m = MATERIAL_ROW_INIT;
    AUTO(material_row_clear) struct material_row n = MATERIAL_ROW_INIT;
    fill_material(&m, i);
    assert_int_equal(w->store.find_material(w->store.arg, want.id, 1, &n, &found), ERR_OK);
    assert_true(found);
    t_assert_span(buf_view(&n.wrapped), buf_view(&m.wrapped));
}

/* The kind of a key is kept. */
static void kinds(void **state)
{
    struct world *w = *state;

    for (unsigned i = KEY_SYMMETRIC; i <= KEY_SPEC_LAST; i++) {
        AUTO(key_row_clear) struct key_row row = KEY_ROW_INIT;
        AUTO(key_row_clear) struct key_row got = KEY_ROW_INIT;
        bool found = false;
        fill(&row, i);
        row.spec = (enum key_spec)i;
        while (!key_spec_allows(row.spec, row.usage))
            row.usage++;
        assert_int_equal(insert_row(w, &row, i), ERR_OK);
        assert_int_equal(w->store.find(w->store.arg, row.id, &got, &found), ERR_OK);
        assert_int_equal(got.spec, i);
        assert_int_equal(got.usage, row.usage);
    }
}

static void sql(struct world *w, const char *text)
{
    sqlite3 *db = NULL;

    keystore_sqlite_close(w->db);
    w->db = NULL;
    assert_int_equal(sqlite3_open(w->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

/* Files as earlier versions made them: version 1 had no kinds, version 2 no usages. */
static const char version_1[] =
    "CREATE TABLE keys (id TEXT PRIMARY KEY, created_ms INTEGER NOT NULL, state INTEGER NOT NULL,"
    " material INTEGER NOT NULL, description TEXT NOT NULL, policy TEXT NOT NULL)"
    " STRICT, WITHOUT ROWID;"
    "CREATE TABLE materials (key_id TEXT NOT NULL REFERENCES keys (id), number INTEGER NOT NULL,"
    " created_ms INTEGER NOT NULL, wrapped BLOB NOT NULL, PRIMARY KEY (key_id, number))"
    " STRICT, WITHOUT ROWID;"
    "PRAGMA user_version = 1; PRAGMA application_id = 1314081613;"
    "INSERT INTO keys VALUES ('00000001-0000-4000-8000-000000000000', 1700000000124, 1, 1,"
    " 'caf\xc3\xa9 ''x''; DROP TABLE keys', '{\"a\":1}');";
static const char version_2[] =
    "ALTER TABLE keys ADD COLUMN spec INTEGER NOT NULL DEFAULT 1;"
    "INSERT INTO keys VALUES ('00000002-0000-4000-8000-000000000000', 1700000000125, 2, 1,"
    " 'caf\xc3\xa9 ''x''; DROP TABLE keys', '{\"a\":1}', 3);"
    "PRAGMA user_version = 2;";

static void put_wrapped(struct world *w, unsigned i)
{
    AUTO(material_row_clear) struct material_row m = MATERIAL_ROW_INIT;
    sqlite3_stmt *st = NULL;
    sqlite3 *db = NULL;

    fill_material(&m, i);
    assert_int_equal(sqlite3_open(w->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db,
                                        "INSERT INTO materials VALUES (printf('%08x-0000-4000-8000-"
                                        "000000000000', ?1), 1, 1700000000123 + ?1, ?2)",
                                        -1, &st, NULL),
                     SQLITE_OK);
    sqlite3_bind_int(st, 1, (int)i);
    sqlite3_bind_blob(st, 2, m.wrapped.ptr, (int)m.wrapped.len, SQLITE_STATIC);
    assert_int_equal(sqlite3_step(st), SQLITE_DONE);
    sqlite3_finalize(st);
    sqlite3_close(db);
}

static void assert_kind(struct world *w, const char *id, enum key_spec spec, enum key_usage usage)
{
    AUTO(key_row_clear) struct key_row got = KEY_ROW_INIT;
    bool found = false;

    assert_int_equal(w->store.find(w->store.arg, id, &got, &found), ERR_OK);
    assert_true(found);
    assert_int_equal(got.spec, spec);
    assert_int_equal(got.usage, usage);
    assert_int_equal(got.origin, KEY_AWS_KMS);
    assert_false(got.multi_region);
    assert_int_equal(got.status.rotation_days, 0);
    assert_int_equal(got.status.deletion_ms, 0);
}

static void old_schema(struct world *w, bool second)
{
    char path[128];

    keystore_sqlite_close(w->db);
    w->db = NULL;
    snprintf(path, sizeof path, "%s", w->path);
    assert_int_equal(unlink(path), 0);
    sql(w, version_1);
    if (second)
        sql(w, version_2);
    put_wrapped(w, 1);
    if (second)
        put_wrapped(w, 2);
}

/* Everything is there after they were brought up to date, and after that nothing is done again. */
static void schema_1(void **state)
{
    struct world *w = *state;

    old_schema(w, false);
    for (int i = 0; i < 2; i++) {
        reopen(w);
        assert_row(w, 1, "{\"a\":1}");
        assert_kind(w, "00000001-0000-4000-8000-000000000000", KEY_SYMMETRIC, KEY_ENCRYPT_DECRYPT);
    }
}

static void schema_2(void **state)
{
    struct world *w = *state;

    old_schema(w, true);
    for (int i = 0; i < 2; i++) {
        reopen(w);
        assert_row(w, 1, "{\"a\":1}");
        assert_kind(w, "00000001-0000-4000-8000-000000000000", KEY_SYMMETRIC, KEY_ENCRYPT_DECRYPT);
        assert_kind(w, "00000002-0000-4000-8000-000000000000", KEY_ECC_NIST_P384,
                    KEY_KEY_AGREEMENT);
    }
    insert(w, 3);
    assert_row(w, 3, "{\"a\":1}");
}

/* One of the future is left alone, and so is a key of a kind that we do not know. */
static void schema_of_the_future(void **state)
{
    AUTO(key_row_clear) struct key_row row = KEY_ROW_INIT;
    struct world *w = *state;
    struct why why = { 0 };
    bool found = false;

    insert(w, 1);
    sql(w, "UPDATE keys SET spec = 14");
    reopen(w);
    assert_int_equal(
        w->store.find(w->store.arg, "00000001-0000-4000-8000-000000000000", &row, &found), ERR_IO);
    sql(w, "UPDATE keys SET spec = 1, usage = 2"); /* no symmetric key signs */
    reopen(w);
    assert_int_equal(
        w->store.find(w->store.arg, "00000001-0000-4000-8000-000000000000", &row, &found), ERR_IO);
    sql(w, "PRAGMA user_version = 4");
    assert_int_equal(keystore_sqlite_open(w->path, &w->db, &why), ERR_UNSUPPORTED);
    assert_string_equal(why.what, "database of a newer version");
    sql(w, "PRAGMA user_version = 3; PRAGMA application_id = 1");
    assert_int_equal(keystore_sqlite_open(w->path, &w->db, &why), ERR_MALFORMED);
    assert_string_equal(why.what, "database of another program");
}

static void rows(void **state)
{
    struct world *w = *state;
    AUTO(key_row_clear) struct key_row row = KEY_ROW_INIT;
    bool found = true;

    insert(w, 1);
    insert(w, 2);
    assert_row(w, 1, "{\"a\":1}");
    assert_row(w, 2, "{\"a\":1}");
    assert_int_equal(
        w->store.find(w->store.arg, "00000003-0000-4000-8000-000000000000", &row, &found), ERR_OK);
    assert_false(found);
    reopen(w);
    assert_row(w, 1, "{\"a\":1}");
}

static void same_id_twice(void **state)
{
    struct world *w = *state;
    AUTO(key_row_clear) struct key_row row = KEY_ROW_INIT;

    insert(w, 1);
    fill(&row, 1);
    assert_int_equal(insert_row(w, &row, 1), ERR_IO);
    assert_string_equal(w->store.reason(w->store.arg),
                        "UNIQUE constraint failed: keys.id (SQLite result 1555)");
    insert(w, 2); /* the failed one holds no transaction open */
    assert_row(w, 1, "{\"a\":1}");
}

static void policies(void **state)
{
    struct world *w = *state;

    insert(w, 1);
    insert(w, 2);
    assert_int_equal(w->store.set_policy(w->store.arg, "00000001-0000-4000-8000-000000000000",
                                         SPAN_LIT("{\"b\":2}")),
                     ERR_OK);
    reopen(w);
    assert_row(w, 1, "{\"b\":2}");
    assert_row(w, 2, "{\"a\":1}");
    assert_int_equal(
        w->store.set_policy(w->store.arg, "00000003-0000-4000-8000-000000000000", SPAN_LIT("{}")),
        ERR_INTERNAL);
}

static void listing(void **state)
{
    struct world *w = *state;
    char ids[4][KEY_ID_BYTES + 1];
    unsigned n = 9;

    assert_int_equal(w->store.list(w->store.arg, "", 4, ids, &n), ERR_OK);
    assert_int_equal(n, 0);
    for (unsigned i = 5; i > 0; i--)
        insert(w, i);
    assert_int_equal(w->store.list(w->store.arg, "", 4, ids, &n), ERR_OK);
    assert_int_equal(n, 4);
    assert_string_equal(ids[0], "00000001-0000-4000-8000-000000000000");
    assert_string_equal(ids[3], "00000004-0000-4000-8000-000000000000");
    assert_int_equal(w->store.list(w->store.arg, ids[3], 4, ids, &n), ERR_OK);
    assert_int_equal(n, 1);
    assert_string_equal(ids[0], "00000005-0000-4000-8000-000000000000");
}

/* A process that is killed right after its insert was acknowledged: the row is there. */
static void killed(void **state)
{
    struct world *w = *state;

    keystore_sqlite_close(w->db);
    w->db = NULL;
    for (unsigned i = 1; i <= 20; i++) {
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            reopen(w);
            insert(w, i);
            (void)raise(SIGKILL);
        }
        int status = 0;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    }
    reopen(w);
    for (unsigned i = 1; i <= 20; i++)
        assert_row(w, i, "{\"a\":1}");
}

static void second_user(void **state)
{
    struct world *w = *state;
    struct keystore_sqlite *second = NULL;
    struct why why = { 0 };

    insert(w, 1); /* the lock is taken with the first access */
    assert_int_equal(keystore_sqlite_open(w->path, &second, &why), ERR_IO);
    assert_string_equal(why.what, "database is in use by another process");
    assert_null(second);
}

/* No file may grow past the log's size of now: to SQLite that is a disk that takes no more. */
static enum err when_full(struct world *w, bool policy)
{
    AUTO(key_row_clear) struct key_row row = KEY_ROW_INIT;
    struct rlimit before, tight;
    struct stat wal;
    char path[128];

    snprintf(path, sizeof path, "%s-wal", w->path);
    fill(&row, 2);
    assert_int_equal(stat(path, &wal), 0);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    tight = (struct rlimit){ .rlim_cur = (rlim_t)wal.st_size, .rlim_max = before.rlim_max };
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
    enum err r = policy ? w->store.set_policy(w->store.arg, "00000001-0000-4000-8000-000000000000",
                                              SPAN_LIT("{\"b\":2}"))
                        : insert_row(w, &row, 2);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    return r;
}

static void full_disk(void **state)
{
    static const char said[] = "disk I/O error (SQLite result 778)"; /* SQLITE_IOERR_WRITE */
    struct world *w = *state;

    assert_true(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    insert(w, 1);
    assert_string_equal(w->store.reason(w->store.arg), "");
    assert_int_equal(when_full(w, false), ERR_IO);
    assert_string_equal(w->store.reason(w->store.arg), said); /* not the rollback's */
    insert(w, 2);                                             /* room again */
    assert_int_equal(when_full(w, true), ERR_IO);
    assert_string_equal(w->store.reason(w->store.arg), said);
    assert_row(w, 1, "{\"a\":1}");
    assert_row(w, 2, "{\"a\":1}");
}

static void other_files(void **state)
{
    struct world *w = *state;
    struct keystore_sqlite *db = NULL;
    struct why why = { 0 };
    char path[128];

    snprintf(path, sizeof path, "%s/x", w->dir);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs("this is not a database, but it is long enough to look like one: "
          "..................................................",
          f);
    fclose(f);
    assert_int_equal(keystore_sqlite_open(path, &db, &why), ERR_MALFORMED);
    assert_string_equal(why.what, "not a database");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(keystore_sqlite_open("/nonexistent/x", &db, &why), ERR_IO);
    assert_string_equal(why.what, "database cannot be opened");
    assert_null(db);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, world_up, world_down)
    const struct CMUnitTest tests[] = {
        CASE(rows),
        CASE(kinds),
        CASE(schema_1),
        CASE(schema_2),
        CASE(schema_of_the_future),
        CASE(same_id_twice),
        CASE(policies),
        CASE(listing),
        CASE(killed),
        CASE(second_user),
        CASE(full_disk),
        CASE(other_files),
    };

    return cmocka_run_group_tests_name("keystore_sqlite", tests, NULL, NULL);
}
