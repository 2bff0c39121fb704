#include "bin/common/allocator.h"
#include "testing/t.h"

struct row {
    const char *name, *text;
    uint64_t memory_mib, cpu_count;
    const char *what; /* NULL: accepted */
    size_t at;
};

static const struct row rows[] = {
    { "count", "---\nmemory_mib: 512\ncpu_count: 2\n", 512, 2, NULL, 0 },
    { "pool", "---\ncpu_pool: 2,3,6-9\nmemory_mib: 64\n", 64, 6, NULL, 0 },
    { "a CPU twice counts once", "---\ncpu_pool: 2,2-3\nmemory_mib: 64\n", 64, 2, NULL, 0 },
    { "last CPU", "---\ncpu_pool: 1023\nmemory_mib: 64\n", 64, 1, NULL, 0 },
    { "comments, and text before", "# a\nx: y\n---\n# b\nmemory_mib: 1\n # c\ncpu_count: 1", 1, 1,
      NULL, 0 },
    { "no beginning", "memory_mib: 512\ncpu_count: 2\n", 0, 0, "no line `---` before the settings",
      29 },
    { "empty", "", 0, 0, "no line `---` before the settings", 0 },
    { "no memory", "---\ncpu_count: 2\n", 0, 0, "no memory_mib", 17 },
    { "no CPUs", "---\nmemory_mib: 2\n", 0, 0, "neither cpu_count nor cpu_pool", 18 },
    { "both", "---\ncpu_count: 2\ncpu_pool: 2\n", 0, 0, "cpu_count or cpu_pool: one of them, once",
      17 },
    { "memory twice", "---\nmemory_mib: 2\nmemory_mib: 2\n", 0, 0, "memory_mib twice", 18 },
    { "unknown name", "---\nmemory: 2\n", 0, 0, "neither memory_mib, cpu_count nor cpu_pool", 4 },
    { "empty line", "---\n\nmemory_mib: 2\n", 0, 0, "a line without `name: value`", 4 },
    { "empty value", "---\nmemory_mib:\n", 0, 0, "a line without `name: value`", 4 },
    { "no number", "---\nmemory_mib: 2 GiB\n", 0, 0, "memory_mib is not a number of MiB", 4 },
    { "most memory", "---\nmemory_mib: 16777216\ncpu_count: 1", 16777216, 1, NULL, 0 },
    { "too much memory", "---\nmemory_mib: 16777217\n", 0, 0, "memory_mib is not a number of MiB",
      4 },
    { "most CPUs", "---\nmemory_mib: 1\ncpu_count: 1024", 1, 1024, NULL, 0 },
    { "too many CPUs", "---\ncpu_count: 1025\n", 0, 0, "cpu_count is not a number of CPUs", 4 },
    { "a CPU too high", "---\ncpu_pool: 1024\n", 0, 0, "cpu_pool is not like 2,3,6-9", 4 },
    { "backwards", "---\ncpu_pool: 3-2\n", 0, 0, "cpu_pool is not like 2,3,6-9", 4 },
    { "a hole in the list", "---\ncpu_pool: 3,,4\n", 0, 0, "cpu_pool is not like 2,3,6-9", 4 },
};

static void parse_row(void **state)
{
    const struct row *r = *state;
    struct span text = t_copy(span_str(r->text));
    struct allocator a = { .memory_mib = 77 };
    struct why why = { 0 };
    enum err e = allocator_parse(text, &a, &why);

    if (r->what) {
        assert_true(e == ERR_MALFORMED || e == ERR_LIMIT);
        assert_string_equal(why.what, r->what);
        assert_int_equal(why.at, r->at);
        assert_int_equal(a.memory_mib, 77);
    } else {
        assert_int_equal(e, ERR_OK);
        assert_int_equal(a.memory_mib, r->memory_mib);
        assert_int_equal(a.cpu_count, r->cpu_count);
    }
    t_free(text);
}

static void pool_bits(void **state)
{
    struct allocator a;

    (void)state;
    assert_int_equal(allocator_parse(SPAN_LIT("---\nmemory_mib: 1\ncpu_pool: 0, 63-64"), &a, NULL),
                     ERR_OK);
    assert_true(a.has_pool);
    assert_true(allocator_has_cpu(&a, 0) && allocator_has_cpu(&a, 63) && allocator_has_cpu(&a, 64));
    assert_false(allocator_has_cpu(&a, 1) || allocator_has_cpu(&a, 65) ||
                 allocator_has_cpu(&a, ALLOCATOR_CPUS_MAX));
}

int main(void)
{
    enum { N = sizeof rows / sizeof rows[0] };
    struct CMUnitTest tests[N + 1];

    T_ROWS(tests, rows, parse_row);
    tests[N] = (struct CMUnitTest)cmocka_unit_test(pool_bits);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
