/* What an enclave may have. */
#include <stdio.h>
#include <stdlib.h>

#include "bin/nitro-local/run.h"
#include "io/sys.h"
#include "testing/t.h"

struct world {
    struct allocator pool;
    struct enclaves running;
    struct run_request q;
    struct enclave e;
    struct fault f;
};

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);

    w->pool = (struct allocator){ .memory_mib = 1024, .cpu_count = 4 };
    w->q = (struct run_request){ .memory_mib = 128, .cpu_count = 2 };
    (void)snprintf(w->q.eif_path, sizeof w->q.eif_path, "/images/app.eif");
    w->f = FAULT_INIT;
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    fault_clear(&w->f);
    free(w);
    return 0;
}

static void said(struct world *w, int status, enum code want, const char *text)
{
    assert_int_equal(status, want);
    assert_int_equal(w->f.code, want);
    assert_non_null(strstr(buf_cstr(&w->f.text), text));
    fault_clear(&w->f);
}

static int reserve(struct world *w)
{
    w->e = (struct enclave){ .cid = 0 };
    return limit_reserve(&w->pool, &w->running, &w->q, LIMIT_MEMORY_MIN_MIB, &w->e, &w->f);
}

/* It runs from now on. */
static void admit(struct world *w)
{
    assert_int_equal(reserve(w), STATUS_OK);
    w->running.list[w->running.n++] = w->e;
}

static void cpus_of_the_pool(void **state)
{
    struct world *w = *state;

    w->q.cpu_count = 4;
    assert_int_equal(limit_cpus(&w->pool, &w->q, &w->f), STATUS_OK);
    w->q.cpu_count = 5;
    said(w, limit_cpus(&w->pool, &w->q, &w->f), E22_NOT_ENOUGH_CPUS, "the pool has 4");
    w->q = (struct run_request){ .n_cpus = 2, .cpus = { 1, 4 } };
    assert_int_equal(limit_cpus(&w->pool, &w->q, &w->f), STATUS_OK);
    w->q.cpus[1] = 0; /* stays with the parent */
    said(w, limit_cpus(&w->pool, &w->q, &w->f), E21_CPU_NOT_IN_POOL, "CPU 0");
    w->q.cpus[1] = 5;
    said(w, limit_cpus(&w->pool, &w->q, &w->f), E21_CPU_NOT_IN_POOL, "CPU 5");
    w->q.cpus[1] = 1;
    said(w, limit_cpus(&w->pool, &w->q, &w->f), E20_DUPLICATE_CPU, "CPU 1");
    assert_int_equal(
        allocator_parse(SPAN_LIT("---\nmemory_mib: 64\ncpu_pool: 2,6-7\n"), &w->pool, NULL),
        ERR_OK);
    w->q.cpus[0] = 2;
    w->q.cpus[1] = 7;
    assert_int_equal(limit_cpus(&w->pool, &w->q, &w->f), STATUS_OK);
    w->q.cpus[1] = 3;
    said(w, limit_cpus(&w->pool, &w->q, &w->f), E21_CPU_NOT_IN_POOL, "CPU 3");
}

static void four_times_the_image(void **state)
{
    struct world *w = *state;
    const uint64_t mib = 1 << 20;

    assert_int_equal(limit_memory(&w->q, 32 * mib, &w->f), STATUS_OK);
    said(w, limit_memory(&w->q, 32 * mib + 1, &w->f), E26_MEMORY_TOO_SMALL, "At least 129 MiB");
}

static void memory_over_all(void **state)
{
    struct world *w = *state;

    w->q.memory_mib = 63;
    said(w, reserve(w), E29_IOCTL, "at least 64");
    w->q.memory_mib = 1023; /* whole huge pages of 2 MiB */
    admit(w);
    assert_int_equal(w->e.memory_mib, 1024);
    w->q.memory_mib = 64;
    said(w, reserve(w), E27_NOT_ENOUGH_MEMORY, "0 are left");
    w->running.list[0].memory_mib = 960;
    admit(w);
    said(w, reserve(w), E27_NOT_ENOUGH_MEMORY, "1024 MiB reserved");
    w->pool.memory_mib = 10; /* made smaller while they run */
    said(w, reserve(w), E27_NOT_ENOUGH_MEMORY, "0 are left");
}

static void cpus_over_all(void **state)
{
    struct world *w = *state;

    w->q = (struct run_request){ .memory_mib = 64, .n_cpus = 1, .cpus = { 2 } };
    admit(w);
    said(w, reserve(w), E29_IOCTL, "CPU 2");
    w->q = (struct run_request){ .memory_mib = 64, .cpu_count = 2 };
    admit(w);
    assert_int_equal(w->e.n_cpus, 2);
    assert_int_equal(w->e.cpus[0], 1);
    assert_int_equal(w->e.cpus[1], 3);
    said(w, reserve(w), E29_IOCTL, "has 1 CPUs left");
}

static void four_enclaves(void **state)
{
    struct world *w = *state;

    w->q.cpu_count = 1;
    for (unsigned i = 0; i < ENCLAVES_MAX; i++)
        admit(w);
    w->pool.cpu_count = 64;
    said(w, reserve(w), E29_IOCTL, "at most 4");
}

static void cids_and_names(void **state)
{
    struct world *w = *state;

    w->q.cpu_count = 1;
    admit(w);
    assert_int_equal(w->e.cid, 16);
    assert_string_equal(w->e.name, "app");
    admit(w);
    assert_int_equal(w->e.cid, 17);
    assert_string_equal(w->e.name, "app_1");
    w->q.cid = 17;
    said(w, reserve(w), E29_IOCTL, "CID 17");
    w->running.list[0].cid = 99; /* 16 is free again */
    w->q.cid = 0;
    (void)snprintf(w->q.name, sizeof w->q.name, "app_1");
    admit(w);
    assert_int_equal(w->e.cid, 16);
    assert_string_equal(w->e.name, "app_1_1");
    memset(w->q.name, 'n', sizeof w->q.name - 1);
    admit(w);
    w->running.n--;
    w->running.list[0] = w->e;
    said(w, reserve(w), E58_NAME, "too long");
    w->q.name[0] = '\0';
    (void)snprintf(w->q.eif_path, sizeof w->q.eif_path, ".eif");
    assert_int_equal(reserve(w), STATUS_OK);
    assert_string_equal(w->e.name, ".eif"); /* nothing would be left of it */
}

static void sizes_of_memory(void **state)
{
    static const struct {
        const char *text;
        uint64_t mib; /* 0: refused */
    } rows[] = { { "512", 512 },
                 { "512M", 512 },
                 { "512m", 512 },
                 { "1G", 1024 },
                 { "2g", 2048 },
                 { "1T", 1048576 },
                 { "1t", 1048576 },
                 { "16T", 16777216 },
                 { "17T", 0 },
                 { "512K", 0 },
                 { "", 0 },
                 { "M", 0 },
                 { "-1", 0 },
                 { "1.5G", 0 },
                 { "512MB", 0 },
                 { " 512", 0 },
                 { "0x10", 0 },
                 { "16777217M", 0 },
                 { "18446744073709551616", 0 } };
    (void)state;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t mib = 0;
        assert_int_equal(limit_parse_memory(rows[i].text, &mib), rows[i].mib != 0);
        assert_int_equal(mib, rows[i].mib);
    }
}

static void context_ids(void **state)
{
    struct world *w = *state;
    uint32_t cid = 7;

    assert_int_equal(limit_parse_cid("4", &cid, &w->f), STATUS_OK);
    assert_int_equal(cid, 4);
    assert_int_equal(limit_parse_cid("4294967294", &cid, &w->f), STATUS_OK);
    assert_int_equal(limit_parse_cid("0", &cid, &w->f), STATUS_OK);
    assert_int_equal(cid, 0);
    said(w, limit_parse_cid("3", &cid, &w->f), E03_INVALID_ARGUMENT, "reserved");
    said(w, limit_parse_cid("4294967295", &cid, &w->f), E03_INVALID_ARGUMENT, "reserved");
    said(w, limit_parse_cid("4294967296", &cid, &w->f), E03_INVALID_ARGUMENT, "not a number");
}

static void time_for_the_heartbeat(void **state)
{
    const uint64_t gib = UINT64_C(1) << 30;
    (void)state;

    assert_int_equal(limit_boot_ns(1, 64, NULL), 180 * NS_PER_S);
    assert_int_equal(limit_boot_ns(6 * gib, 102400, NULL), 180 * NS_PER_S);
    assert_int_equal(limit_boot_ns(6 * gib + 1, 102401, NULL), 360 * NS_PER_S);
    assert_int_equal(limit_boot_ns(1, 64, "5"), 5 * NS_PER_S);
    assert_int_equal(limit_boot_ns(1, 64, "x"), 180 * NS_PER_S);
}

static void ids_spread(void **state)
{
    char *argv[] = { (char[]){ "run" }, (char[]){ "--cpu-ids" }, (char[]){ "1" },
                     (char[]){ "5" },   (char[]){ "--memory" },  (char[]){ "64" } };
    static const char *const want[] = {
        "run", "--cpu-ids", "1", "--cpu-ids", "5", "--memory", "64"
    };
    static char *out[RUN_WORDS_MAX], *many[RUN_WORDS_MAX];
    int n = 0;
    (void)state;

    assert_int_equal(run_spread_cpu_ids(6, argv, out, &n), ERR_OK);
    assert_int_equal(n, 7);
    for (int i = 0; i < n; i++)
        assert_string_equal(out[i], want[i]);
    assert_null(out[n]);
    for (int i = 0; i < RUN_WORDS_MAX; i++)
        many[i] = argv[i == 0 ? 1 : 2];
    assert_int_equal(run_spread_cpu_ids(RUN_WORDS_MAX, many, out, &n), ERR_LIMIT);
    assert_int_equal(run_spread_cpu_ids(100, many, out, &n), ERR_OK);
    assert_int_equal(n, 198);
}

static void a_configuration(void **state)
{
    struct world *w = *state;
    struct run_request q = { .cid = 0 };

    assert_int_equal(
        run_config_parse(SPAN_LIT("{\"eif_path\":\"a\\u0062.eif\",\"memory_mib\":512,"
                                  "\"cpu_ids\":[1,5],\"cpu_count\":null,\"enclave_cid\":2,"
                                  "\"enclave_name\":\"n\",\"debug_mode\":true,"
                                  "\"attach_console\":false}"),
                         &q, &w->f),
        STATUS_OK);
    assert_string_equal(q.eif_path, "ab.eif");
    assert_string_equal(q.name, "n");
    assert_int_equal(q.memory_mib, 512);
    assert_int_equal(q.n_cpus, 2);
    assert_int_equal(q.cpus[1], 5);
    assert_int_equal(q.cid, 2); /* not looked at here: the driver does */
    assert_true(q.debug);
    assert_false(q.attach);
}

static void bad_configurations(void **state)
{
    static const struct {
        const char *text;
        enum code want;
    } rows[] = {
        { "", E03_INVALID_ARGUMENT },
        { "[]", E03_INVALID_ARGUMENT },
        { "{}", E01_MISSING_ARGUMENT },
        { "{\"eif_path\":\"x\",\"cpu_count\":1}", E01_MISSING_ARGUMENT },
        { "{\"memory_mib\":1,\"cpu_count\":1}", E01_MISSING_ARGUMENT },
        { "{\"eif_path\":\"x\",\"memory_mib\":1,\"cpu_count\":1,\"cpu_ids\":[1]}",
          E02_CONFLICTING_ARGUMENTS },
        { "{\"eif_path\":\"x\",\"memory_mib\":1,\"cpu_count\":0}", E03_INVALID_ARGUMENT },
        { "{\"eif_path\":\"x\",\"memory_mib\":1,\"cpu_ids\":[]}", E03_INVALID_ARGUMENT },
        { "{\"eif_path\":\"x\\u0000\",\"memory_mib\":1,\"cpu_count\":1}", E03_INVALID_ARGUMENT },
        { "{\"eif_path\":1,\"memory_mib\":1,\"cpu_count\":1}", E03_INVALID_ARGUMENT },
        { "{\"eif_path\":\"x\",\"memory_mib\":-1,\"cpu_count\":1}", E03_INVALID_ARGUMENT },
        { "{\"eif_path\":\"x\",\"memory_mib\":1,\"cpu_ids\":[4294967297]}", E03_INVALID_ARGUMENT },
        { "{\"eif_path\":\"x\",\"memory_mib\":1,\"cpu_count\":1,\"debug_mode\":1}",
          E03_INVALID_ARGUMENT },
        { "{\"eif_path\":\"x\",\"memory_mib\":1,\"cpu_count\":1} x", E03_INVALID_ARGUMENT },
    };
    struct world *w = *state;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct run_request q = { .cid = 0 };
        said(w, run_config_parse(span_str(rows[i].text), &q, &w->f), rows[i].want, "configuration");
    }
}

static void codes_are_explained(void **state)
{
    enum code c = E_NONE;
    char text[8];
    (void)state;

    for (int i = 0; i < CODES; i++) {
        (void)snprintf(text, sizeof text, "E%02d", i);
        assert_true(code_parse(text, &c));
        assert_int_equal(c, i);
        assert_non_null(code_meaning(c));
    }
    assert_false(code_parse("E61", &c) || code_parse("E1", &c) || code_parse("26", &c) ||
                 code_parse("e26", &c) || code_parse("E026", &c) || code_parse("", &c));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(cpus_of_the_pool, setup, teardown),
        cmocka_unit_test_setup_teardown(four_times_the_image, setup, teardown),
        cmocka_unit_test_setup_teardown(memory_over_all, setup, teardown),
        cmocka_unit_test_setup_teardown(cpus_over_all, setup, teardown),
        cmocka_unit_test_setup_teardown(four_enclaves, setup, teardown),
        cmocka_unit_test_setup_teardown(cids_and_names, setup, teardown),
        cmocka_unit_test(sizes_of_memory),
        cmocka_unit_test_setup_teardown(context_ids, setup, teardown),
        cmocka_unit_test(time_for_the_heartbeat),
        cmocka_unit_test(ids_spread),
        cmocka_unit_test_setup_teardown(a_configuration, setup, teardown),
        cmocka_unit_test_setup_teardown(bad_configurations, setup, teardown),
        cmocka_unit_test(codes_are_explained),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
