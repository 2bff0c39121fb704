/* test_keystore_rows.c - what belongs to keys, in a file that is opened again: materials, aliases,
 * tags, grants, what is due, and that removing a key removes all of it. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "localkms/keystore_sqlite.h"
#include "testing/t.h"

#define ID(n) "0000000" #n "-0000-4000-8000-000000000000"

static char path[64];
static struct keystore_sqlite *db;
static struct keystore store;

static void reopen(void)
{
    keystore_sqlite_close(db);
    db = NULL;
    assert_int_equal(keystore_sqlite_open(path, &db, NULL), ERR_OK);
    store = keystore_sqlite_interface(db);
}

static void insert(const char *id, const struct tag_row *tags, size_t n)
{
    AUTO(key_row_clear) struct key_row row = KEY_ROW_INIT;
    AUTO(material_row_clear) struct material_row m = MATERIAL_ROW_INIT;

    memcpy(row.id, id, sizeof row.id);
    row.status.state = KEY_ENABLED;
    row.material = m.number = 1;
    m.how = MATERIAL_FIRST;
    assert_int_equal(buf_append_str(&m.wrapped, "wrapped"), ERR_OK);
    assert_int_equal(store.insert(store.arg, &row, &m, tags, n), ERR_OK);
}

static int up(void **state)
{
    (void)state;
    snprintf(path, sizeof path, "/tmp/nitroseal-test-XXXXXX");
    int fd = mkstemp(path);
    if (fd < 0)
        return -1;
    close(fd);
    reopen();
    insert(ID(1), NULL, 0);
    insert(ID(2), NULL, 0);
    return 0;
}

static int down(void **state)
{
    static const char *const ends[] = { "", "-wal", "-shm" };
    char name[96];

    (void)state;
    keystore_sqlite_close(db);
    db = NULL;
    for (size_t i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "%s%s", path, ends[i]);
        (void)unlink(name);
    }
    return 0;
}

struct seen {
    struct buf text;
    unsigned n, stop_at;
};

#define SEEN_INIT                                                                                  \
    {                                                                                              \
        .text = BUF_INIT(4096)                                                                     \
    }

static void seen_clear(struct seen *s)
{
    buf_clear(&s->text);
}

static enum err see(struct seen *s, struct span text)
{
    enum err r = buf_append(&s->text, text);

    if (r == ERR_OK)
        r = buf_append_byte(&s->text, ' ');
    return ++s->n == s->stop_at ? ERR_DENIED : r;
}

static enum err see_material(void *ctx, const struct material_row *row)
{
    char text[64];

    snprintf(text, sizeof text, "%u/%d/%lld", row->number, (int)row->how,
             (long long)row->valid_to_ms);
    return see(ctx, span_str(text));
}

static enum err see_alias(void *ctx, const struct alias_row *row)
{
    return see(ctx, row->name);
}

static enum err see_tag(void *ctx, const struct tag_row *row)
{
    enum err r = see(ctx, row->name);

    return r == ERR_OK ? see(ctx, row->value) : r;
}

static enum err see_grant(void *ctx, const struct grant_row *row)
{
    return see(ctx, span_sub(span_str(row->id), 0, 2));
}

static void materials(void **state)
{
    AUTO(seen_clear) struct seen seen = SEEN_INIT;
    AUTO(material_row_clear) struct material_row m = MATERIAL_ROW_INIT;
    AUTO(material_row_clear) struct material_row got = MATERIAL_ROW_INIT;
    AUTO(key_row_clear) struct key_row key = KEY_ROW_INIT;
    const struct key_status status = { KEY_DISABLED, 0, 90, 12345 };
    bool found = false;
    (void)state;

    m.number = 2;
    m.how = MATERIAL_ON_DEMAND;
    m.created_ms = 7;
    m.rotated_ms = 8;
    m.valid_to_ms = 9;
    assert_int_equal(buf_append(&m.wrapped, SPAN_LIT("\0two")), ERR_OK);
    assert_int_equal(buf_append_str(&m.digest, "digest"), ERR_OK);
    assert_int_equal(buf_append_str(&m.description, "d"), ERR_OK);
    assert_int_equal(store.put_material(store.arg, ID(1), &m, 2, &status), ERR_OK);
    reopen();
    assert_int_equal(store.find(store.arg, ID(1), &key, &found), ERR_OK);
    assert_int_equal(key.material, 2);
    assert_memory_equal(&key.status, &status, sizeof status);
    assert_int_equal(store.find_material(store.arg, ID(1), 2, &got, &found), ERR_OK);
    assert_true(found && got.rotated_ms == 8 && got.created_ms == 7);
    t_assert_span(buf_view(&got.wrapped), SPAN_LIT("\0two"));
    t_assert_buf(&got.digest, "digest");
    t_assert_buf(&got.description, "d");
    assert_int_equal(store.list_materials(store.arg, ID(1), 0, 10, see_material, &seen), ERR_OK);
    t_assert_buf(&seen.text, "1/1/0 2/3/9 ");
    assert_int_equal(store.find_material(store.arg, ID(1), 3, &got, &found), ERR_OK);
    assert_false(found);
    /* Of a key that is not there nothing is kept. */
    assert_int_equal(store.put_material(store.arg, ID(9), &m, 2, &status), ERR_IO);
    assert_int_equal(store.find_material(store.arg, ID(9), 2, &got, &found), ERR_OK);
    assert_false(found);
}

static void put_alias(const char *name, const char *id, int64_t created_ms, int64_t updated_ms)
{
    struct alias_row row = { .name = span_str(name),
                             .created_ms = created_ms,
                             .updated_ms = updated_ms };

    memcpy(row.key_id, id, sizeof row.key_id);
    assert_int_equal(store.put_alias(store.arg, &row), ERR_OK);
}

static void aliases(void **state)
{
    AUTO(seen_clear) struct seen all = SEEN_INIT, of_one = SEEN_INIT, cut = SEEN_INIT;
    struct alias_row row;
    bool found = false;
    (void)state;

    put_alias("alias/b", ID(1), 1, 1);
    put_alias("alias/a", ID(2), 2, 2);
    put_alias("alias/c", ID(1), 3, 3);
    put_alias("alias/b", ID(2), 99, 4);
    reopen();
    assert_int_equal(store.find_alias(store.arg, SPAN_LIT("alias/b"), &row, &found), ERR_OK);
    assert_true(found && row.created_ms == 1 && row.updated_ms == 4);
    assert_string_equal(row.key_id, ID(2));
    assert_int_equal(store.list_aliases(store.arg, "", SPAN_EMPTY, 10, see_alias, &all), ERR_OK);
    t_assert_buf(&all.text, "alias/a alias/b alias/c ");
    assert_int_equal(
        store.list_aliases(store.arg, ID(2), SPAN_LIT("alias/a"), 10, see_alias, &of_one), ERR_OK);
    t_assert_buf(&of_one.text, "alias/b ");
    cut.stop_at = 2; /* a visitor that has enough */
    assert_int_equal(store.list_aliases(store.arg, "", SPAN_EMPTY, 10, see_alias, &cut),
                     ERR_DENIED);
    assert_int_equal(cut.n, 2);
    assert_int_equal(store.remove_alias(store.arg, SPAN_LIT("alias/b")), ERR_OK);
    assert_int_equal(store.remove_alias(store.arg, SPAN_LIT("alias/b")), ERR_INTERNAL);
}

static void tags(void **state)
{
    const struct tag_row first[] = { { SPAN_LIT("b"), SPAN_LIT("1") },
                                     { SPAN_LIT("a"), SPAN_LIT("") } };
    const struct tag_row more[] = { { SPAN_LIT("b"), SPAN_LIT("2") },
                                    { SPAN_LIT("c"), SPAN_LIT("3") } };
    const struct span gone[] = { SPAN_LIT("a"), SPAN_LIT("none") };
    AUTO(seen_clear) struct seen seen = SEEN_INIT;
    (void)state;

    insert(ID(3), first, 2);
    assert_int_equal(store.put_tags(store.arg, ID(3), more, 2), ERR_OK);
    assert_int_equal(store.remove_tags(store.arg, ID(3), gone, 2), ERR_OK);
    reopen();
    assert_int_equal(store.list_tags(store.arg, ID(3), SPAN_EMPTY, 10, see_tag, &seen), ERR_OK);
    t_assert_buf(&seen.text, "b 2 c 3 ");
    assert_int_equal(store.put_tags(store.arg, ID(9), more, 2), ERR_IO);
}

static void insert_grant(char n, const char *key_id, const char *grantee, const char *retiring)
{
    struct grant_row row = { .operations = 3,
                             .grantee = span_str(grantee),
                             .retiring = span_str(retiring),
                             .issuing = SPAN_LIT("i") };

    memset(row.id, n, GRANT_ID_BYTES);
    memset(row.token, n, GRANT_TOKEN_BYTES);
    memcpy(row.key_id, key_id, sizeof row.key_id);
    assert_int_equal(store.insert_grant(store.arg, &row), ERR_OK);
}

static void assert_grants(const struct grant_filter *filter, const char *want)
{
    AUTO(seen_clear) struct seen seen = SEEN_INIT;

    assert_int_equal(store.list_grants(store.arg, filter, "", 10, see_grant, &seen), ERR_OK);
    assert_int_equal(seen.text.len, strlen(want));
    if (*want)
        t_assert_buf(&seen.text, want);
}

static void grants(void **state)
{
    AUTO(seen_clear) struct seen seen = SEEN_INIT;
    char id[GRANT_ID_BYTES + 1] = "";
    bool found = false;
    (void)state;

    insert_grant('b', ID(1), "x", "r");
    insert_grant('a', ID(1), "y", "");
    insert_grant('c', ID(2), "x", "r");
    reopen();
    assert_grants(&(struct grant_filter){ .key_id = SPAN_LIT(ID(1)) }, "aa bb ");
    assert_grants(&(struct grant_filter){ .key_id = SPAN_LIT(ID(1)), .grantee = SPAN_LIT("x") },
                  "bb ");
    assert_grants(&(struct grant_filter){ .retiring = SPAN_LIT("r") }, "bb cc ");
    memset(id, 'b', GRANT_ID_BYTES);
    assert_int_equal(store.find_grant_token(store.arg, span_str(id), see_grant, &seen), ERR_OK);
    assert_int_equal(seen.n, 1);
    assert_int_equal(store.find_grant_token(store.arg, SPAN_LIT("none"), see_grant, &seen), ERR_OK);
    assert_int_equal(seen.n, 1);
    assert_int_equal(store.remove_grant(store.arg, ID(2), id, &found), ERR_OK);
    assert_false(found); /* on another key */
    assert_int_equal(store.remove_grant(store.arg, ID(1), id, &found), ERR_OK);
    assert_true(found);
    assert_grants(&(struct grant_filter){ .key_id = SPAN_LIT(ID(1)) }, "aa ");
}

static void assert_due(enum due_what what, const char *id, int64_t at_ms)
{
    struct due due;

    assert_int_equal(store.next_due(store.arg, &due), ERR_OK);
    assert_int_equal(due.what, what);
    if (what != DUE_NOTHING) {
        assert_string_equal(due.key_id, id);
        assert_int_equal(due.at_ms, at_ms);
    }
}

/* The earliest first; a key that is not enabled does not rotate. */
static void due(void **state)
{
    AUTO(material_row_clear) struct material_row m = MATERIAL_ROW_INIT;
    struct key_status s = { KEY_ENABLED, 0, 90, 500 };
    (void)state;

    assert_due(DUE_NOTHING, NULL, 0);
    assert_int_equal(store.set_status(store.arg, ID(1), &s), ERR_OK);
    assert_due(DUE_ROTATION, ID(1), 500);
    s.state = KEY_DISABLED;
    assert_int_equal(store.set_status(store.arg, ID(1), &s), ERR_OK);
    assert_due(DUE_NOTHING, NULL, 0);
    s = (struct key_status){ KEY_PENDING_DELETION, 400, 0, 0 };
    assert_int_equal(store.set_status(store.arg, ID(2), &s), ERR_OK);
    m.number = 1;
    m.how = MATERIAL_FIRST;
    m.valid_to_ms = 300;
    s = (struct key_status){ KEY_ENABLED, 0, 0, 0 };
    assert_int_equal(buf_append_str(&m.wrapped, "w"), ERR_OK);
    assert_int_equal(store.put_material(store.arg, ID(1), &m, 1, &s), ERR_OK);
    reopen();
    assert_due(DUE_EXPIRY, ID(1), 300);
    buf_reset(&m.wrapped); /* gone already */
    assert_int_equal(store.put_material(store.arg, ID(1), &m, 1, &s), ERR_OK);
    assert_due(DUE_DELETION, ID(2), 400);
    assert_int_equal(store.set_status(store.arg, ID(9), &s), ERR_INTERNAL);
}

static void removed(void **state)
{
    const struct tag_row tag = { SPAN_LIT("t"), SPAN_LIT("") };
    AUTO(seen_clear) struct seen seen = SEEN_INIT;
    AUTO(key_row_clear) struct key_row key = KEY_ROW_INIT;
    bool found = true;
    (void)state;

    put_alias("alias/a", ID(1), 1, 1);
    put_alias("alias/z", ID(2), 1, 1);
    insert_grant('a', ID(1), "x", "r");
    assert_int_equal(store.put_tags(store.arg, ID(1), &tag, 1), ERR_OK);
    assert_int_equal(store.remove(store.arg, ID(1)), ERR_OK);
    reopen();
    assert_int_equal(store.find(store.arg, ID(1), &key, &found), ERR_OK);
    assert_false(found);
    assert_int_equal(store.list_aliases(store.arg, "", SPAN_EMPTY, 10, see_alias, &seen), ERR_OK);
    assert_int_equal(store.list_tags(store.arg, ID(1), SPAN_EMPTY, 10, see_tag, &seen), ERR_OK);
    assert_int_equal(store.list_materials(store.arg, ID(1), 0, 10, see_material, &seen), ERR_OK);
    assert_grants(&(struct grant_filter){ .retiring = SPAN_LIT("r") }, "");
    t_assert_buf(&seen.text, "alias/z ");
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, up, down)
    const struct CMUnitTest tests[] = { CASE(materials), CASE(aliases), CASE(tags),
                                        CASE(grants),    CASE(due),     CASE(removed) };

    return cmocka_run_group_tests_name("keystore_rows", tests, NULL, NULL);
}
