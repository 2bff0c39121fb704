#include "bin/nitroseal-kms/metrics.h"

#include "testing/t.h"

static struct metrics m;

static void written(void **state)
{
    AUTO(buf_clear) struct buf out = BUF_INIT(METRICS_TEXT_MAX_BYTES);
    const struct metrics_more more = { .connections = 7, .connections_open = 2, .healthy = true };

    (void)state;
    m = (struct metrics){ .started_s = 4711 };
    metrics_call(&m, "Decrypt", "", true, 99999);
    metrics_call(&m, "Decrypt", "", false, 100000);
    metrics_call(&m, "Decrypt", "AccessDeniedException", false, 100001);
    metrics_call(&m, "Encrypt", "", false, UINT64_C(5000000000));
    assert_int_equal(metrics_write(&m, &more, &out), ERR_OK);
    const char *text = buf_cstr(&out);
    static const char *const wanted[] = {
        "# TYPE nitroseal_kms_calls_total counter\n",
        "nitroseal_kms_calls_total{operation=\"Decrypt\",error=\"\"} 2\n",
        "nitroseal_kms_calls_total{operation=\"Decrypt\",error=\"AccessDeniedException\"} 1\n",
        "nitroseal_kms_calls_total{operation=\"Encrypt\",error=\"\"} 1\n",
        "nitroseal_kms_call_seconds_bucket{le=\"0.0001\"} 2\n",
        "nitroseal_kms_call_seconds_bucket{le=\"0.00025\"} 3\n",
        "nitroseal_kms_call_seconds_bucket{le=\"1\"} 3\n",
        "nitroseal_kms_call_seconds_bucket{le=\"+Inf\"} 4\n",
        "nitroseal_kms_call_seconds_sum 5.000300000\n",
        "nitroseal_kms_call_seconds_count 4\n",
        "nitroseal_kms_attested_calls_total 1\n",
        "nitroseal_kms_connections_total 7\n",
        "nitroseal_kms_connections_open 2\n",
        "nitroseal_kms_healthy 1\n",
        "process_start_time_seconds 4711\n",
    };
    for (unsigned i = 0; i < sizeof wanted / sizeof wanted[0]; i++)
        if (!strstr(text, wanted[i]))
            fail_msg("not there: %s", wanted[i]);
}

/* All of the page, to the byte. */
static const char *const whole[] = {
    "# HELP nitroseal_kms_calls_total Calls answered, by operation and error.",
    "# TYPE nitroseal_kms_calls_total counter",
    "nitroseal_kms_calls_total{operation=\"Decrypt\",error=\"\"} 1",
    "nitroseal_kms_calls_total{operation=\"Decrypt\",error=\"AccessDeniedException\"} 1",
    "nitroseal_kms_calls_total{operation=\"Encrypt\",error=\"\"} 1",
    "# HELP nitroseal_kms_call_seconds Time in the server for a call.",
    "# TYPE nitroseal_kms_call_seconds histogram",
    "nitroseal_kms_call_seconds_bucket{le=\"0.0001\"} 1",
    "nitroseal_kms_call_seconds_bucket{le=\"0.00025\"} 2",
    "nitroseal_kms_call_seconds_bucket{le=\"0.0005\"} 2",
    "nitroseal_kms_call_seconds_bucket{le=\"0.001\"} 2",
    "nitroseal_kms_call_seconds_bucket{le=\"0.0025\"} 2",
    "nitroseal_kms_call_seconds_bucket{le=\"0.005\"} 2",
    "nitroseal_kms_call_seconds_bucket{le=\"0.01\"} 2",
    "nitroseal_kms_call_seconds_bucket{le=\"0.05\"} 2",
    "nitroseal_kms_call_seconds_bucket{le=\"0.25\"} 2",
    "nitroseal_kms_call_seconds_bucket{le=\"1\"} 2",
    "nitroseal_kms_call_seconds_bucket{le=\"+Inf\"} 3",
    "nitroseal_kms_call_seconds_sum 5.000200000",
    "nitroseal_kms_call_seconds_count 3",
    "# HELP nitroseal_kms_attested_calls_total Calls with a document.",
    "# TYPE nitroseal_kms_attested_calls_total counter",
    "nitroseal_kms_attested_calls_total 7",
    "# HELP nitroseal_kms_unanswered_total Calls that could not be answered.",
    "# TYPE nitroseal_kms_unanswered_total counter",
    "nitroseal_kms_unanswered_total 7",
    "# HELP nitroseal_kms_documents_verified_total Attestation documents verified.",
    "# TYPE nitroseal_kms_documents_verified_total counter",
    "nitroseal_kms_documents_verified_total 3",
    ("# HELP nitroseal_kms_documents_kept_total Attestation documents found among those verified "
     "before."),
    "# TYPE nitroseal_kms_documents_kept_total counter",
    "nitroseal_kms_documents_kept_total 4",
    "# HELP nitroseal_kms_connections_total Connections accepted.",
    "# TYPE nitroseal_kms_connections_total counter",
    "nitroseal_kms_connections_total 1",
    "# HELP nitroseal_kms_connections_open Connections open now.",
    "# TYPE nitroseal_kms_connections_open gauge",
    "nitroseal_kms_connections_open 5",
    "# HELP nitroseal_kms_http_refused_total Messages that were no request to be answered.",
    "# TYPE nitroseal_kms_http_refused_total counter",
    "nitroseal_kms_http_refused_total 2",
    "# HELP nitroseal_kms_audit_records_total Records in the audit log.",
    "# TYPE nitroseal_kms_audit_records_total counter",
    "nitroseal_kms_audit_records_total 18446744073709551615",
    "# HELP nitroseal_kms_audit_failures_total Records that could not be written.",
    "# TYPE nitroseal_kms_audit_failures_total counter",
    "nitroseal_kms_audit_failures_total 8",
    "# HELP nitroseal_kms_healthy 1 if /healthz says so.",
    "# TYPE nitroseal_kms_healthy gauge",
    "nitroseal_kms_healthy 1",
    "# HELP process_start_time_seconds Start, in unix seconds.",
    "# TYPE process_start_time_seconds gauge",
    "process_start_time_seconds 4711",
};

static void whole_text(void **state)
{
    AUTO(buf_clear) struct buf out = BUF_INIT(METRICS_TEXT_MAX_BYTES);
    const struct metrics_more more = { 1, 2, 3, 4, 5, true };

    (void)state;
    m = (struct metrics){ .started_s = 4711,
                          .attested = 6,
                          .unanswered = 7,
                          .audit_records = UINT64_MAX,
                          .audit_failures = 8 };
    metrics_call(&m, "Decrypt", "", true, 99999);
    metrics_call(&m, "Decrypt", "AccessDeniedException", false, 100001);
    metrics_call(&m, "Encrypt", "", false, UINT64_C(5000000000));
    assert_int_equal(metrics_write(&m, &more, &out), ERR_OK);
    t_assert_lines(&out, whole, sizeof whole / sizeof whole[0]);
}

/* Names do not go on for ever. */
static void bounded(void **state)
{
    static char names[METRICS_CALLS_MAX + 2][8];
    uint64_t sum = 0;

    (void)state;
    m = (struct metrics){ .started_s = 0 };
    for (unsigned i = 0; i < METRICS_CALLS_MAX + 2; i++) {
        for (unsigned k = 0, n = i; k < 4; k++, n /= 10)
            names[i][k] = (char)('0' + n % 10);
        metrics_call(&m, names[i], "", false, 1);
    }
    assert_int_equal(m.n_calls, METRICS_CALLS_MAX);
    assert_string_equal(m.calls[METRICS_CALLS_MAX - 1].operation, "other");
    assert_int_equal(m.calls[METRICS_CALLS_MAX - 1].count, 3);
    for (size_t i = 0; i < m.n_calls; i++)
        sum += m.calls[i].count;
    assert_int_equal(sum, METRICS_CALLS_MAX + 2);
}

static void no_room(void **state)
{
    AUTO(buf_clear) struct buf out = BUF_INIT(500);
    const struct metrics_more more = { .healthy = false };

    (void)state;
    m = (struct metrics){ .started_s = 0 };
    assert_int_equal(metrics_write(&m, &more, &out), ERR_LIMIT);
    assert_int_equal(out.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(written),
        cmocka_unit_test(whole_text),
        cmocka_unit_test(bounded),
        cmocka_unit_test(no_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
