#include <stdlib.h>

#include "localkms/vault.h"

#include "localkms/test_keystore.h"
#include "testing/t.h"

static struct crypto *cx;

#define MASTER SPAN_LIT("0123456789abcdef0123456789abcdef")
#define POLICY(sid)                                                                                \
    "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Sid\":\"" sid "\",\"Effect\":\"Allow\","        \
    "\"Principal\":{\"AWS\":\"arn:aws:iam::111122223333:root\"},\"Action\":\"kms:*\","             \
    "\"Resource\":\"*\"}]}"

struct world {
    struct test_keystore rows;
    struct keystore store;
    struct vault *vault;
};

static int world_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);

    if (!w)
        return -1;
    test_keystore_open(&w->rows);
    w->store = test_keystore_interface(&w->rows);
    *state = w;
    return vault_new(cx, &w->store, MASTER, &w->vault) == ERR_OK ? 0 : -1;
}

static int world_down(void **state)
{
    struct world *w = *state;

    vault_free(w->vault);
    test_keystore_close(&w->rows);
    free(w);
    return 0;
}

static const struct key_new symmetric = {
    .spec = KEY_SYMMETRIC,
    .usage = KEY_ENCRYPT_DECRYPT,
    .origin = KEY_AWS_KMS,
    .description = SPAN_INIT("for tests"),
    .policy = SPAN_INIT(POLICY("a")),
};

static struct key *create(struct world *w)
{
    struct key *key = NULL;

    assert_int_equal(vault_create(w->vault, &symmetric, 1234567, &key), ERR_OK);
    return key;
}

/* As after a restart. */
static void forget(struct world *w, struct span master)
{
    vault_free(w->vault);
    w->vault = NULL;
    assert_int_equal(vault_new(cx, &w->store, master, &w->vault), ERR_OK);
}

static void new_key(void **state)
{
    struct world *w = *state;
    struct key *key = create(w);

    assert_int_equal(strlen(key->row.id), KEY_ID_BYTES);
    assert_int_equal(key->row.created_ms, 1234567);
    assert_int_equal(key->row.status.state, KEY_ENABLED);
    assert_int_equal(key->row.material, 1);
    assert_int_equal(key->material.len, KEY_MATERIAL_BYTES);
    t_assert_buf(&key->row.description, "for tests");
    t_assert_buf(&key->row.policy, POLICY("a"));
    assert_non_null(key->policy);
    /* In the store the material is wrapped. */
    AUTO(material_row_clear) struct material_row m = MATERIAL_ROW_INIT;
    bool found = false;
    assert_int_equal(test_keystore_keys(&w->rows), 1);
    assert_int_equal(w->store.find_material(w->store.arg, key->row.id, 1, &m, &found), ERR_OK);
    assert_true(found);
    assert_int_equal(m.wrapped.len, KEY_WRAP_BYTES + KEY_MATERIAL_BYTES);
    struct span wrapped = buf_view(&m.wrapped), plain = secret_view(&key->material);
    assert_null(memmem(wrapped.ptr, wrapped.len, plain.ptr, 8));
}

static void found_again(void **state)
{
    struct world *w = *state;
    struct key *key = create(w), *again = NULL;
    uint8_t material[KEY_MATERIAL_BYTES];
    char id[KEY_ID_BYTES + 1];

    memcpy(material, key->material.ptr, sizeof material);
    memcpy(id, key->row.id, sizeof id);
    assert_int_equal(vault_find(w->vault, id, &again), ERR_OK);
    assert_ptr_equal(again, key);
    assert_int_equal(w->rows.finds, 0); /* kept */
    forget(w, MASTER);
    assert_int_equal(vault_find(w->vault, id, &again), ERR_OK);
    assert_int_equal(w->rows.finds, 1);
    t_assert_span(secret_view(&again->material), SPAN_ARRAY(material));
    t_assert_buf(&again->row.policy, POLICY("a"));
}

static void not_there(void **state)
{
    struct world *w = *state;
    struct key *key = NULL;

    create(w);
    assert_int_equal(vault_find(w->vault, "1234abcd-12ab-34cd-56ef-1234567890ab", &key), ERR_OK);
    assert_null(key);
    assert_int_equal(vault_find(w->vault, "short", &key), ERR_OK);
    assert_null(key);
}

static void other_master_key(void **state)
{
    struct world *w = *state;
    struct key *key = create(w);
    char id[KEY_ID_BYTES + 1];

    memcpy(id, key->row.id, sizeof id);
    forget(w, SPAN_LIT("0123456789abcdef0123456789abcdeF"));
    assert_int_equal(vault_find(w->vault, id, &key), ERR_VERIFY);
    assert_null(key);
}

/* Material of one key in the row of another, or under another number, does not unwrap. */
static void swapped_rows(void **state)
{
    struct world *w = *state;
    char first[KEY_ID_BYTES + 1], second[KEY_ID_BYTES + 1];
    struct key *key;

    memcpy(first, create(w)->row.id, sizeof first);
    memcpy(second, create(w)->row.id, sizeof second);
    test_keystore_sql(&w->rows, "UPDATE materials SET number = 2 WHERE key_id = ?", first);
    test_keystore_sql(&w->rows, "UPDATE keys SET material = 2 WHERE id = ?", first);
    forget(w, MASTER);
    assert_int_equal(vault_find(w->vault, first, &key), ERR_VERIFY);
    test_keystore_sql(&w->rows, "UPDATE materials SET number = 1 WHERE key_id = ?", first);
    test_keystore_sql(&w->rows, "UPDATE keys SET material = 1 WHERE id = ?", first);
    assert_int_equal(vault_find(w->vault, first, &key), ERR_OK);
    test_keystore_sql(&w->rows,
                      "UPDATE materials SET wrapped = (SELECT wrapped FROM materials WHERE key_id "
                      "= ?) WHERE number = 1",
                      first);
    forget(w, MASTER);
    assert_int_equal(vault_find(w->vault, second, &key), ERR_VERIFY);
    assert_int_equal(vault_find(w->vault, first, &key), ERR_OK);
    test_keystore_sql(&w->rows, "UPDATE keys SET spec = 11, usage = 3 WHERE id = ?", first);
    forget(w, MASTER);
    assert_int_equal(vault_find(w->vault, first, &key), ERR_VERIFY); /* of another kind */
}

static void damaged_row(void **state)
{
    AUTO(material_row_clear) struct material_row m = MATERIAL_ROW_INIT;
    struct world *w = *state;
    struct key *key = create(w);
    struct key_status status = key->row.status;
    char id[KEY_ID_BYTES + 1];
    bool found = false;

    memcpy(id, key->row.id, sizeof id);
    assert_int_equal(w->store.find_material(w->store.arg, id, 1, &m, &found), ERR_OK);
    forget(w, MASTER);
    for (size_t bit = 0; bit < 8 * m.wrapped.len; bit++) {
        m.wrapped.ptr[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(w->store.put_material(w->store.arg, id, &m, 1, &status), ERR_OK);
        assert_int_equal(vault_find(w->vault, id, &key), ERR_VERIFY);
        assert_null(key);
        m.wrapped.ptr[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    m.wrapped.len--;
    assert_int_equal(w->store.put_material(w->store.arg, id, &m, 1, &status), ERR_OK);
    assert_int_equal(vault_find(w->vault, id, &key), ERR_VERIFY);
    m.wrapped.len++;
    assert_int_equal(w->store.put_material(w->store.arg, id, &m, 1, &status), ERR_OK);
    assert_int_equal(vault_find(w->vault, id, &key), ERR_OK);
}

static void new_policy(void **state)
{
    struct world *w = *state;
    struct key *key = create(w);
    const struct policy *before = key->policy;

    assert_int_equal(vault_set_policy(w->vault, key, SPAN_LIT("{}")), ERR_MALFORMED);
    t_assert_buf(&key->row.policy, POLICY("a"));
    assert_ptr_equal(key->policy, before);
    test_keystore_break(&w->rows, true);
    assert_int_equal(vault_set_policy(w->vault, key, SPAN_LIT(POLICY("b"))), ERR_IO);
    t_assert_buf(&key->row.policy, POLICY("a"));
    test_keystore_break(&w->rows, false);
    assert_int_equal(vault_set_policy(w->vault, key, SPAN_LIT(POLICY("b"))), ERR_OK);
    t_assert_buf(&key->row.policy, POLICY("b"));
    AUTO(key_row_clear) struct key_row row = KEY_ROW_INIT;
    bool found = false;
    assert_int_equal(w->store.find(w->store.arg, key->row.id, &row, &found), ERR_OK);
    t_assert_buf(&row.policy, POLICY("b"));
}

static void store_fails(void **state)
{
    struct world *w = *state;
    struct key *key = NULL;

    test_keystore_break(&w->rows, true);
    assert_int_equal(vault_create(w->vault, &symmetric, 0, &key), ERR_IO);
    assert_int_equal(vault_find(w->vault, "1234abcd-12ab-34cd-56ef-1234567890ab", &key), ERR_IO);
    assert_null(key);
    assert_string_equal(vault_store_reason(w->vault), TEST_KEYSTORE_FAILS);
    test_keystore_break(&w->rows, false);
    struct key_new bad = symmetric;
    bad.policy = SPAN_LIT("{}");
    assert_int_equal(vault_create(w->vault, &bad, 0, &key), ERR_MALFORMED);
    assert_int_equal(test_keystore_keys(&w->rows), 0);
}

/* One more key than are kept: the one used longest ago is read again, the others are not. */
static void more_than_are_kept(void **state)
{
    struct world *w = *state;
    char first[KEY_ID_BYTES + 1], second[KEY_ID_BYTES + 1];
    struct key *key;

    memcpy(first, create(w)->row.id, sizeof first);
    memcpy(second, create(w)->row.id, sizeof second);
    for (int i = 2; i < VAULT_KEPT_MAX; i++)
        create(w);
    assert_int_equal(vault_find(w->vault, first, &key), ERR_OK);
    assert_int_equal(w->rows.finds, 0);
    create(w);
    assert_int_equal(vault_find(w->vault, first, &key), ERR_OK);
    assert_int_equal(w->rows.finds, 0);
    assert_int_equal(vault_find(w->vault, second, &key), ERR_OK);
    assert_int_equal(w->rows.finds, 1);
    assert_string_equal(key->row.id, second);
}

/* What is due and cannot be done is not tried with each request. */
static void due_that_fails(void **state)
{
    struct world *w = *state;
    struct key *key = create(w);
    struct key_status status = key->row.status;
    char id[KEY_ID_BYTES + 1];

    memcpy(id, key->row.id, sizeof id);
    status.rotation_days = 90;
    status.rotation_next_ms = 1000;
    assert_int_equal(vault_set_status(w->vault, key, &status), ERR_OK);
    test_keystore_sql(&w->rows, "UPDATE materials SET wrapped = x'00' WHERE key_id = ?", id);
    forget(w, MASTER);
    assert_int_equal(vault_do_due(w->vault, 999), ERR_OK);
    assert_int_equal(vault_do_due(w->vault, 1000), ERR_VERIFY);
    assert_int_equal(vault_do_due(w->vault, 1001), ERR_OK); /* left alone */
    assert_int_equal(vault_do_due(w->vault, 60999), ERR_OK);
    assert_int_equal(vault_do_due(w->vault, 61000), ERR_VERIFY);
    test_keystore_break(&w->rows, true);
    assert_int_equal(vault_do_due(w->vault, 200000), ERR_IO);
    test_keystore_break(&w->rows, false);
}

static void uuids(void **state)
{
    (void)state;
    char a[KEY_ID_BYTES + 1], b[KEY_ID_BYTES + 1];

    for (int i = 0; i < 64; i++) {
        assert_int_equal(uuid_new(cx, a), ERR_OK);
        assert_int_equal(uuid_new(cx, b), ERR_OK);
        assert_string_not_equal(a, b);
        assert_int_equal(strlen(a), KEY_ID_BYTES);
        for (int at = 0; at < KEY_ID_BYTES; at++)
            assert_int_equal(a[at] == '-', at == 8 || at == 13 || at == 18 || at == 23);
        assert_int_equal(a[14], '4');
        assert_non_null(strchr("89ab", a[19]));
    }
}

static void bad_master_key(void **state)
{
    struct world *w = *state;
    struct vault *v = NULL;

    assert_int_equal(vault_new(cx, &w->store, SPAN_LIT("short"), &v), ERR_INTERNAL);
    assert_null(v);
}

static int setup(void **state)
{
    (void)state;
    return crypto_process_init() == ERR_OK && crypto_new(&cx) == ERR_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    crypto_free(cx);
    return 0;
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, world_up, world_down)
    const struct CMUnitTest tests[] = {
        CASE(new_key),          CASE(found_again),    CASE(not_there),
        CASE(other_master_key), CASE(swapped_rows),   CASE(damaged_row),
        CASE(new_policy),       CASE(store_fails),    CASE(more_than_are_kept),
        CASE(bad_master_key),   CASE(due_that_fails), cmocka_unit_test(uuids),
    };

    return cmocka_run_group_tests_name("vault", tests, setup, teardown);
}
