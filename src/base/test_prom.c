#include "base/prom.h"
#include "testing/t.h"

static void samples(void **state)
{
    AUTO(buf_clear) struct buf out = BUF_INIT(4096);
    static const char *const lines[] = {
        "before",
        "# HELP x_a_total Of a.",
        "# TYPE x_a_total counter",
        "x_a_total 18446744073709551615",
        "x_b{one=\"\"} 1",
        "x_b{one=\"1\",two=\"2\"} -9223372036854775808",
        "x_b{one=\"a\\\\b\\\"c\\nd\\\\\"} 0",
        "x_c 1.500",
        "x_c{one=\"1\"} 2",
        "# HELP process_z Of z.",
        "# TYPE process_z gauge",
        "process_z 3",
        "x_d 4",
    };
    (void)state;

    assert_int_equal(buf_append_str(&out, "before\n"), ERR_OK);
    struct prom p = prom_begin(&out, "x_");
    prom_single(&p, "a_total", "counter", "Of a.", UINT64_MAX);
    prom_u64(&p, "b", PROM_LABELS({ "one", "" }), 1);
    prom_i64(&p, "b", PROM_LABELS({ "one", "1" }, { "two", "2" }), INT64_MIN);
    prom_u64(&p, "b", PROM_LABELS({ "one", "a\\b\"c\nd\\" }), 0);
    prom_fixed(&p, "c", NULL, 3, 1.5);
    prom_fixed(&p, "c", PROM_LABELS({ "one", "1" }), 0, 2.25);
    prom_process(&p, "z", "gauge", "Of z.", 3);
    prom_u64(&p, "d", NULL, 4);
    assert_int_equal(prom_end(&p), ERR_OK);
    t_assert_lines(&out, lines, sizeof lines / sizeof lines[0]);
}

static const struct prom_bound bounds[] = { { 1000, "0.000001" }, { 2000, "0.000002" } };

static void histogram(void **state)
{
    AUTO(buf_clear) struct buf out = BUF_INIT(4096);
    static const uint64_t counts[] = { 1, 0, 5 };
    static const char *const lines[] = {
        "x_h_bucket{le=\"0.000001\"} 1",
        "x_h_bucket{le=\"0.000002\"} 1",
        "x_h_bucket{le=\"+Inf\"} 6",
        "x_h_sum 1.234568",
        "x_h_count 6",
        "x_h_bucket{of=\"a\",le=\"0.000001\"} 1",
        "x_h_bucket{of=\"a\",le=\"0.000002\"} 1",
        "x_h_bucket{of=\"a\",le=\"+Inf\"} 6",
        "x_h_sum{of=\"a\"} 0.0",
        "x_h_count{of=\"a\"} 6",
    };
    (void)state;

    struct prom p = prom_begin(&out, "x_");
    prom_histogram(&p, "h", NULL, bounds, 2, counts, 6, 1234567891);
    prom_histogram(&p, "h", PROM_LABELS({ "of", "a" }), bounds, 2, counts, 1, 0);
    assert_int_equal(prom_end(&p), ERR_OK);
    t_assert_lines(&out, lines, sizeof lines / sizeof lines[0]);
}

static void bucket(void **state)
{
    (void)state;
    assert_int_equal(prom_bucket(bounds, 2, 0), 0);
    assert_int_equal(prom_bucket(bounds, 2, 1000), 0);
    assert_int_equal(prom_bucket(bounds, 2, 1001), 1);
    assert_int_equal(prom_bucket(bounds, 2, 2000), 1);
    assert_int_equal(prom_bucket(bounds, 2, 2001), 2);
    assert_int_equal(prom_bucket(bounds, 2, UINT64_MAX), 2);
    assert_int_equal(prom_bucket(bounds, 0, 0), 0);
}

/* A page that just fits, and one byte less: nothing of it then, and what was there stays. */
static void room(void **state)
{
    (void)state;
    for (size_t max = 19; max <= 20; max++) {
        AUTO(buf_clear) struct buf out = BUF_INIT(max);
        assert_int_equal(buf_append_str(&out, "before\n"), ERR_OK);
        struct prom p = prom_begin(&out, "x_");
        prom_u64(&p, "b_total", NULL, 1); /* twelve bytes, and room for a NUL */
        if (max == 20) {
            assert_int_equal(prom_end(&p), ERR_OK);
            t_assert_buf(&out, "before\nx_b_total 1\n");
            continue;
        }
        prom_u64(&p, "c", NULL, 1); /* nothing comes after a failure */
        assert_int_equal(prom_end(&p), ERR_LIMIT);
        t_assert_buf(&out, "before\n");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(samples),
        cmocka_unit_test(histogram),
        cmocka_unit_test(bucket),
        cmocka_unit_test(room),
    };

    return cmocka_run_group_tests_name("prom", tests, NULL, NULL);
}
