#include "base/secret.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "testing/t.h"

static void holds_bytes(void **state)
{
    (void)state;
    AUTO(secret_clear) struct secret s = { 0 };

    assert_int_equal(secret_copy(SPAN_LIT("key material"), &s), ERR_OK);
    assert_true(span_is(secret_view(&s), "key material"));
    secret_shorten(&s, 20); /* more than there is: nothing */
    assert_int_equal(s.len, 12);
    secret_shorten(&s, 3);
    assert_true(span_is(secret_view(&s), "key"));
    assert_memory_equal(s.ptr, "key\0\0\0\0\0\0\0\0", 12);
    AUTO(secret_clear) struct secret t = secret_take(&s);
    assert_null(s.ptr);
    assert_int_equal(secret_view(&s).len, 0);
    assert_true(span_is(secret_view(&t), "key"));
    secret_clear(&t);
    assert_null(t.ptr);
    secret_clear(&t); /* the zero value is fine */
}

static void limits(void **state)
{
    (void)state;
    struct secret out = { .len = 77 };
    AUTO(secret_clear) struct secret s = { 0 }, none = { 0 };

    assert_int_equal(secret_new(SECRET_MAX_BYTES + 1, &out), ERR_LIMIT);
    assert_int_equal(out.len, 77);
    assert_int_equal(secret_new(SECRET_MAX_BYTES, &s), ERR_OK);
    for (size_t i = 0; i < SECRET_MAX_BYTES; i++)
        assert_int_equal(s.ptr[i], 0);
    assert_int_equal(secret_copy(SPAN_EMPTY, &none), ERR_OK);
    assert_int_equal(none.len, 0);
    assert_non_null(none.ptr);
}

/* The VmFlags of the mapping that holds `p`. */
static bool mapping_has(const void *p, const char *flag)
{
    FILE *f = fopen("/proc/self/smaps", "r");
    char line[512];
    unsigned long low, high, want = (unsigned long)(uintptr_t)p;
    bool ours = false, has = false;

    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        char *dash;
        low = strtoul(line, &dash, 16);
        if (dash != line && *dash == '-') {
            high = strtoul(dash + 1, NULL, 16);
            ours = low <= want && want < high;
        }
        if (ours && strncmp(line, "VmFlags:", 8) == 0)
            has = strstr(line, flag) != NULL;
    }
    (void)fclose(f);
    return has;
}

static void not_dumped_and_wiped_on_fork(void **state)
{
    (void)state;
    AUTO(secret_clear) struct secret s = { 0 };
    int status = -1;

    assert_int_equal(secret_copy(SPAN_LIT("inherit me"), &s), ERR_OK);
    assert_true(mapping_has(s.ptr, " dd"));
    assert_true(mapping_has(s.ptr, " wf"));
    pid_t child = fork();
    if (child == 0) {
        for (size_t i = 0; i < s.len; i++)
            if (s.ptr[i] != 0)
                _exit(1);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_true(span_is(secret_view(&s), "inherit me"));
}

/* More than are kept for reuse; each is wiped, zero when new, and nobody else's. */
static void reused_pages_are_clean(void **state)
{
    (void)state;
    enum { N = 40 };
    struct secret all[N];

    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < N; i++) {
            assert_int_equal(secret_new(4096, &all[i]), ERR_OK);
            for (size_t k = 0; k < 4096; k++)
                assert_int_equal(all[i].ptr[k], 0);
            memset(all[i].ptr, (int)i + 1, 4096);
            assert_true(mapping_has(all[i].ptr, " dd"));
        }
        for (size_t i = 0; i < N; i++) {
            assert_int_equal(all[i].ptr[0], i + 1);
            secret_clear(&all[i]);
        }
    }
}

/* Single pages are kept for the next secret, larger ones go back at once. */
static void pages_come_back_empty(void **state)
{
    (void)state;
    enum { MORE_THAN_ARE_KEPT = 40 };
    struct secret many[MORE_THAN_ARE_KEPT], large = { 0 };

    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < MORE_THAN_ARE_KEPT; i++) {
            assert_int_equal(secret_new(4096, &many[i]), ERR_OK);
            for (size_t k = 0; k < 4096; k++)
                assert_int_equal(many[i].ptr[k], 0);
            assert_true(mapping_has(many[i].ptr, " dd"));
            memset(many[i].ptr, 0xa5, 4096);
        }
        for (size_t i = 0; i < MORE_THAN_ARE_KEPT; i++)
            secret_clear(&many[i]);
    }
    assert_int_equal(secret_new(SECRET_MAX_BYTES, &large), ERR_OK);
    const uint8_t *was = large.ptr;
    assert_true(mapping_has(was, " dd"));
    secret_clear(&large);
    assert_false(mapping_has(was, " dd"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reused_pages_are_clean),
        cmocka_unit_test(holds_bytes),
        cmocka_unit_test(limits),
        cmocka_unit_test(not_dumped_and_wiped_on_fork),
        cmocka_unit_test(pages_come_back_empty),
    };

    return cmocka_run_group_tests_name("secret", tests, NULL, NULL);
}
