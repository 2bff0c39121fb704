#include "bin/nitroseald/metrics.h"
#include "testing/t.h"

#include <stdio.h>

static struct metrics m;

static bool has(const struct buf *b, const char *text)
{
    return memmem(b->ptr, b->len, text, strlen(text)) != NULL;
}

static void text(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf out = BUF_INIT(METRICS_TEXT_MAX_BYTES);
    const struct metrics_now now = {
        .version = "1.2",
        .has_document = true,
        .document_age_s = 1.5,
        .running = 3,
        .credentials_expire_s = -4,
    };

    memset(&m, 0, sizeof m);
    metrics_request(&m, "encrypt", "ok", 100000);        /* the first bound itself */
    metrics_request(&m, "encrypt", "ok", 100001);        /* the second bucket */
    metrics_request(&m, "encrypt", "busy", 99999999999); /* past the last */
    metrics_kms(&m, "ok");
    metrics_kms(&m, "ok");
    assert_int_equal(metrics_write(&m, &now, &out), ERR_OK);
    assert_true(has(&out, "nitroseal_build_info{version=\"1.2\"} 1\n"));
    assert_true(has(&out, "nitroseal_requests_total{operation=\"encrypt\",result=\"ok\"} 2\n"));
    assert_true(has(&out, "nitroseal_requests_total{operation=\"encrypt\",result=\"busy\"} 1\n"));
    assert_true(has(&out, "_bucket{operation=\"encrypt\",le=\"0.0001\"} 1\n"));
    assert_true(has(&out, "_bucket{operation=\"encrypt\",le=\"0.00025\"} 2\n"));
    assert_true(has(&out, "_bucket{operation=\"encrypt\",le=\"10\"} 2\n"));
    assert_true(has(&out, "_bucket{operation=\"encrypt\",le=\"+Inf\"} 3\n"));
    assert_true(has(&out, "nitroseal_kms_calls_total{result=\"ok\"} 2\n"));
    assert_true(has(&out, "nitroseal_attestation_document_age_seconds 1.500\n"));
    assert_true(has(&out, "nitroseal_credentials_expire_seconds -4\n"));
    assert_true(has(&out, "nitroseal_requests_running 3\n"));
    assert_false(has(&out, "process_resident")); /* not known */
}

static void tables_at_their_limits(void **state)
{
    (void)state;
    static char names[METRICS_RESULTS_MAX + 8][8];
    AUTO(buf_clear) struct buf out = BUF_INIT(METRICS_TEXT_MAX_BYTES);
    const struct metrics_now now = { .version = "1" };
    uint64_t sum = 0;

    memset(&m, 0, sizeof m);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(names[i], sizeof names[i], "r%zu", i);
        metrics_request(&m, names[i], names[i], 1);
        metrics_kms(&m, names[i]);
    }
    assert_int_equal(m.n_results, METRICS_RESULTS_MAX);
    assert_int_equal(m.n_times, METRICS_OPERATIONS_MAX);
    assert_int_equal(m.n_kms, METRICS_KMS_MAX);
    for (size_t i = 0; i < m.n_results; i++)
        sum += m.results[i].count;
    assert_int_equal(sum, sizeof names / sizeof names[0]);
    assert_string_equal(m.results[METRICS_RESULTS_MAX - 1].result, "other");
    assert_int_equal(metrics_write(&m, &now, &out), ERR_OK);
}

static void no_room(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf out = BUF_INIT(64);
    const struct metrics_now now = { .version = "1" };

    assert_int_equal(metrics_write(&m, &now, &out), ERR_LIMIT);
    assert_int_equal(out.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text),
        cmocka_unit_test(tables_at_their_limits),
        cmocka_unit_test(no_room),
    };

    return cmocka_run_group_tests_name("nitroseald_metrics", tests, NULL, NULL);
}
