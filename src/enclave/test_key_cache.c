#include "crypto/test_scan.h"
#include "enclave/key_cache.h"
#include "testing/t.h"

#define ARN   "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
#define ARN_2 "arn:aws:kms:us-east-1:111122223333:key/ffffabcd-12ab-34cd-56ef-1234567890ab"

static uint8_t masked[N];

static int setup(void **state)
{
    (void)state;
    for (size_t i = 0; i < N; i++)
        masked[i] = (uint8_t)(i * 37 + 11);
    return 0;
}

static const struct key_cache_limits limits = {
    .age_ns = 1000, .messages = 3, .bytes = 100, .entries = 4
};

static struct key_cache_use use_of(bool is_new)
{
    return (struct key_cache_use){
        .is_new = is_new,
        .suite = esdk_suite_find(ESDK_SUITE_COMMITTING),
        .arn = SPAN_LIT(ARN),
        .pairs = SPAN_LIT("\0\1a\0\1b"),
        .ciphertext = is_new ? SPAN_EMPTY : SPAN_LIT("blob"),
        .epoch = 7,
    };
}

static struct key_cache_id id_of(const struct key_cache_use *use)
{
    struct key_cache_id id;

    assert_int_equal(key_cache_id(use, &id), ERR_OK);
    return id;
}

static void put(struct key_cache *c, const struct key_cache_use *use, uint64_t bytes, uint64_t now)
{
    const struct key_cache_id id = id_of(use);
    AUTO(secret_clear) struct secret key = { 0 };

    unmask(masked, &key);
    key_cache_put(c, &id, &key, SPAN_LIT("sealed"), bytes, now);
}

static bool get(struct key_cache *c, const struct key_cache_use *use, uint64_t bytes, uint64_t now)
{
    const struct key_cache_id id = id_of(use);
    AUTO(secret_clear) struct secret key = { 0 };
    struct span blob = SPAN_EMPTY;
    bool found = key_cache_get(c, &id, bytes, now, &key, &blob);

    if (found) {
        assert_int_equal(key.len, N);
        assert_int_equal(key.ptr[5], masked[5] ^ MASK);
        t_assert_span(blob, SPAN_LIT("sealed"));
    }
    return found;
}

static struct key_cache *cache_new(void)
{
    struct key_cache *c;

    assert_int_equal(key_cache_new(&limits, &c), ERR_OK);
    return c;
}

/* One field differs: never the same key. */
static void another_use(void **state)
{
    (void)state;
    enum { USES = 10 };
    struct key_cache_use u[USES];
    struct key_cache *c = cache_new();

    for (int is_new = 0; is_new < 2; is_new++) {
        for (size_t i = 0; i < USES; i++)
            u[i] = use_of(is_new);
        u[1].is_new = !is_new;
        u[2].suite = esdk_suite_find(0x0178);
        u[3].policy = ESDK_REQUIRE_ENCRYPT_ALLOW_DECRYPT;
        u[4].arn = SPAN_LIT(ARN_2);
        u[5].pairs = SPAN_LIT("\0\1a\0\1c");
        u[6].pairs = SPAN_EMPTY;
        u[7].epoch = 8;
        u[8].ciphertext = SPAN_LIT("blo");
        /* The same bytes, cut elsewhere. */
        u[9].arn = SPAN_LIT(ARN "\0");
        u[9].pairs = SPAN_LIT("\1a\0\1b");
        key_cache_clear(c);
        put(c, &u[0], 1, 1);
        assert_true(get(c, &u[0], 1, 2));
        for (size_t i = 1; i < USES; i++)
            assert_false(get(c, &u[i], 1, 2));
    }
    key_cache_free(c);
}

static void not_kept(void **state)
{
    (void)state;
    struct key_cache_use u = use_of(true);
    struct key_cache_id id;

    u.suite = esdk_suite_find(ESDK_SUITE_SIGNED);
    assert_int_equal(key_cache_id(&u, &id), ERR_UNSUPPORTED);
    u.is_new = false;
    assert_int_equal(key_cache_id(&u, &id), ERR_OK);
    for (int is_new = 0; is_new < 2; is_new++) {
        u = use_of(is_new);
        u.suite = esdk_suite_find(0x0078); /* no derivation: IVs would come twice */
        assert_int_equal(key_cache_id(&u, &id), ERR_UNSUPPORTED);
    }
}

static void ages(void **state)
{
    (void)state;
    struct key_cache *c = cache_new();
    struct key_cache_use u = use_of(true), d = use_of(false);
    uint64_t next;

    put(c, &u, 1, 100);
    put(c, &d, 1, 200);
    assert_true(get(c, &u, 1, 1099));
    key_cache_expire(c, 1099, &next);
    assert_int_equal(next, 1100);
    assert_false(get(c, &u, 1, 1100));
    assert_int_equal(key_cache_counts(c).aged, 1);
    key_cache_expire(c, 1199, &next);
    assert_int_equal(next, 1200);
    key_cache_expire(c, 1200, &next);
    assert_int_equal(next, 0);
    assert_int_equal(key_cache_counts(c).entries, 0);
    key_cache_free(c);
}

/* The first message counts; opening is not limited. */
static void is_used_up(void **state)
{
    (void)state;
    struct key_cache *c = cache_new();
    struct key_cache_use u = use_of(true), d = use_of(false);

    put(c, &u, 1, 1);
    assert_true(get(c, &u, 1, 1));
    assert_true(get(c, &u, 1, 1)); /* the third */
    assert_false(get(c, &u, 1, 1));
    put(c, &u, 40, 1);
    assert_true(get(c, &u, 60, 1)); /* 100 in all */
    put(c, &u, 40, 1);
    assert_false(get(c, &u, 61, 1));
    put(c, &u, 101, 1);
    assert_false(get(c, &u, 0, 1));
    put(c, &u, 1, 1);
    assert_false(get(c, &u, UINT64_MAX, 1));
    put(c, &d, UINT64_MAX, 1);
    for (int i = 0; i < 20; i++)
        assert_true(get(c, &d, UINT64_MAX, 1));
    assert_int_equal(key_cache_counts(c).used_up, 3);
    key_cache_free(c);
}

static void room(void **state)
{
    (void)state;
    struct key_cache *c = cache_new();
    struct key_cache_use u[5];

    for (uint64_t i = 0; i < 5; i++) {
        u[i] = use_of(false);
        u[i].epoch = i;
        put(c, &u[i], 1, 10 + i);
        if (i == 3)
            assert_true(get(c, &u[0], 1, 20)); /* used last: it stays */
    }
    assert_true(get(c, &u[0], 1, 30));
    assert_false(get(c, &u[1], 1, 30));
    for (size_t i = 2; i < 5; i++)
        assert_true(get(c, &u[i], 1, 30));
    assert_int_equal(key_cache_counts(c).pushed_out, 1);
    assert_int_equal(key_cache_counts(c).entries, 4);
    put(c, &u[4], 1, 40); /* again: one entry */
    assert_int_equal(key_cache_counts(c).entries, 4);
    key_cache_free(c);
}

static void limits_of_its_own(void **state)
{
    (void)state;
    struct key_cache_limits l = limits;
    struct key_cache *c;

    l.entries = 0;
    assert_int_equal(key_cache_new(&l, &c), ERR_LIMIT);
    l.entries = KEY_CACHE_ENTRIES_MAX + 1;
    assert_int_equal(key_cache_new(&l, &c), ERR_LIMIT);
    l.entries = KEY_CACHE_ENTRIES_MAX;
    l.age_ns = 0; /* off */
    assert_int_equal(key_cache_new(&l, &c), ERR_OK);
    struct key_cache_use u = use_of(false);
    put(c, &u, 1, 1);
    assert_false(get(c, &u, 1, 1));
    key_cache_free(c);
}

/* After every way out the key is nowhere in this process. */
static void nothing_stays(void **state)
{
    (void)state;
    if (ASAN || t_under_valgrind())
        return; /* they keep copies of their own: there is nothing to be learnt */
    struct key_cache *c = cache_new();
    struct key_cache_use u = use_of(true);
    uint64_t next;

    put(c, &u, 1, 1);
    assert_int_equal(scan(masked), 2); /* both halves of the one copy */
    key_cache_expire(c, 1001, &next);
    assert_int_equal(scan(masked), 0);
    put(c, &u, 1, 1);
    key_cache_clear(c);
    assert_int_equal(scan(masked), 0);
    put(c, &u, 100, 1);
    assert_false(get(c, &u, 1, 1)); /* used up */
    assert_int_equal(scan(masked), 0);
    put(c, &u, 1, 1);
    assert_true(get(c, &u, 1, 1));
    key_cache_free(c);
    assert_int_equal(scan(masked), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(another_use),   cmocka_unit_test(not_kept),
        cmocka_unit_test(ages),          cmocka_unit_test(is_used_up),
        cmocka_unit_test(room),          cmocka_unit_test(limits_of_its_own),
        cmocka_unit_test(nothing_stays),
    };

    return cmocka_run_group_tests_name("key_cache", tests, setup, NULL);
}
