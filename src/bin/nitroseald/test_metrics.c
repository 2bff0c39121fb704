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

/* All of the page, to the byte. */
static const char *const whole[] = {
    "# HELP nitroseal_build_info 1; the version is the label.",
    "# TYPE nitroseal_build_info gauge",
    "nitroseal_build_info{version=\"1.2\"} 1",
    "# HELP nitroseal_requests_total Requests answered, by operation and result.",
    "# TYPE nitroseal_requests_total counter",
    "nitroseal_requests_total{operation=\"encrypt\",result=\"ok\"} 1",
    "nitroseal_requests_total{operation=\"encrypt\",result=\"busy\"} 1",
    "nitroseal_requests_total{operation=\"random\",result=\"ok\"} 1",
    "# HELP nitroseal_request_seconds From the whole request to its answer, by operation.",
    "# TYPE nitroseal_request_seconds histogram",
    "nitroseal_request_seconds_bucket{operation=\"encrypt\",le=\"0.0001\"} 1",
    "nitroseal_request_seconds_bucket{operation=\"encrypt\",le=\"0.00025\"} 1",
    "nitroseal_request_seconds_bucket{operation=\"encrypt\",le=\"0.0005\"} 1",
    "nitroseal_request_seconds_bucket{operation=\"encrypt\",le=\"0.001\"} 1",
    "nitroseal_request_seconds_bucket{operation=\"encrypt\",le=\"0.0025\"} 1",
    "nitroseal_request_seconds_bucket{operation=\"encrypt\",le=\"0.005\"} 1",
    "nitroseal_request_seconds_bucket{operation=\"encrypt\",le=\"0.01\"} 1",
    "nitroseal_request_seconds_bucket{operation=\"encrypt\",le=\"0.025\"} 1",
    "nitroseal_request_seconds_bucket{operation=\"encrypt\",le=\"0.05\"} 1",
    "nitroseal_request_seconds_bucket{operation=\"encrypt\",le=\"0.1\"} 1",
    "nitroseal_request_seconds_bucket{operation=\"encrypt\",le=\"1\"} 1",
    "nitroseal_request_seconds_bucket{operation=\"encrypt\",le=\"10\"} 1",
    "nitroseal_request_seconds_bucket{operation=\"encrypt\",le=\"+Inf\"} 2",
    "nitroseal_request_seconds_sum{operation=\"encrypt\"} 20.000100",
    "nitroseal_request_seconds_count{operation=\"encrypt\"} 2",
    "nitroseal_request_seconds_bucket{operation=\"random\",le=\"0.0001\"} 0",
    "nitroseal_request_seconds_bucket{operation=\"random\",le=\"0.00025\"} 0",
    "nitroseal_request_seconds_bucket{operation=\"random\",le=\"0.0005\"} 1",
    "nitroseal_request_seconds_bucket{operation=\"random\",le=\"0.001\"} 1",
    "nitroseal_request_seconds_bucket{operation=\"random\",le=\"0.0025\"} 1",
    "nitroseal_request_seconds_bucket{operation=\"random\",le=\"0.005\"} 1",
    "nitroseal_request_seconds_bucket{operation=\"random\",le=\"0.01\"} 1",
    "nitroseal_request_seconds_bucket{operation=\"random\",le=\"0.025\"} 1",
    "nitroseal_request_seconds_bucket{operation=\"random\",le=\"0.05\"} 1",
    "nitroseal_request_seconds_bucket{operation=\"random\",le=\"0.1\"} 1",
    "nitroseal_request_seconds_bucket{operation=\"random\",le=\"1\"} 1",
    "nitroseal_request_seconds_bucket{operation=\"random\",le=\"10\"} 1",
    "nitroseal_request_seconds_bucket{operation=\"random\",le=\"+Inf\"} 1",
    "nitroseal_request_seconds_sum{operation=\"random\"} 0.000300",
    "nitroseal_request_seconds_count{operation=\"random\"} 1",
    "# HELP nitroseal_kms_calls_total Calls to KMS: ok, refused, or how the connection broke.",
    "# TYPE nitroseal_kms_calls_total counter",
    "nitroseal_kms_calls_total{result=\"ok\"} 1",
    "# HELP nitroseal_kms_retries_total Calls to KMS beyond a request's first.",
    "# TYPE nitroseal_kms_retries_total counter",
    "nitroseal_kms_retries_total 18",
    "# HELP nitroseal_kms_connections Connections to KMS.",
    "# TYPE nitroseal_kms_connections gauge",
    "nitroseal_kms_connections 3",
    "# HELP nitroseal_kms_waiting Calls that wait for a connection.",
    "# TYPE nitroseal_kms_waiting gauge",
    "nitroseal_kms_waiting 4",
    "# HELP nitroseal_attestation_document_age_seconds Age of the document in use.",
    "# TYPE nitroseal_attestation_document_age_seconds gauge",
    "nitroseal_attestation_document_age_seconds 1.500",
    "# HELP nitroseal_recipient_key_age_seconds Age of the RSA key in use.",
    "# TYPE nitroseal_recipient_key_age_seconds gauge",
    "nitroseal_recipient_key_age_seconds 2.250",
    "# HELP nitroseal_credentials_held 1 if the service holds AWS credentials.",
    "# TYPE nitroseal_credentials_held gauge",
    "nitroseal_credentials_held 1",
    "# HELP nitroseal_credentials_expire_seconds Until the held credentials expire.",
    "# TYPE nitroseal_credentials_expire_seconds gauge",
    "nitroseal_credentials_expire_seconds -10",
    "# HELP nitroseal_requests_running Requests between their last byte and their answer.",
    "# TYPE nitroseal_requests_running gauge",
    "nitroseal_requests_running 6",
    "# HELP nitroseal_work_queued Cryptographic work that waits for a core.",
    "# TYPE nitroseal_work_queued gauge",
    "nitroseal_work_queued 5",
    "# HELP nitroseal_connections Open connections of clients.",
    "# TYPE nitroseal_connections gauge",
    "nitroseal_connections 7",
    "# HELP nitroseal_connections_total Connections accepted.",
    "# TYPE nitroseal_connections_total counter",
    "nitroseal_connections_total 18446744073709551615",
    "# HELP nitroseal_connections_refused_total Connections beyond the limit.",
    "# TYPE nitroseal_connections_refused_total counter",
    "nitroseal_connections_refused_total 19",
    "# HELP nitroseal_buffered_bytes Requests and unread answers in memory.",
    "# TYPE nitroseal_buffered_bytes gauge",
    "nitroseal_buffered_bytes 8",
    "# HELP process_resident_memory_bytes Resident memory.",
    "# TYPE process_resident_memory_bytes gauge",
    "process_resident_memory_bytes 9",
    "# HELP nitroseal_data_keys_kept Data keys in the cache.",
    "# TYPE nitroseal_data_keys_kept gauge",
    "nitroseal_data_keys_kept 17",
    "# HELP nitroseal_data_key_cache_hits_total Messages whose data key was kept.",
    "# TYPE nitroseal_data_key_cache_hits_total counter",
    "nitroseal_data_key_cache_hits_total 11",
    "# HELP nitroseal_data_key_cache_misses_total Messages whose data key was not.",
    "# TYPE nitroseal_data_key_cache_misses_total counter",
    "nitroseal_data_key_cache_misses_total 12",
    "# HELP nitroseal_data_key_cache_evictions_total Data keys wiped, by reason.",
    "# TYPE nitroseal_data_key_cache_evictions_total counter",
    "nitroseal_data_key_cache_evictions_total{reason=\"age\"} 13",
    "nitroseal_data_key_cache_evictions_total{reason=\"use\"} 14",
    "nitroseal_data_key_cache_evictions_total{reason=\"room\"} 15",
    "nitroseal_data_key_cache_evictions_total{reason=\"change\"} 16",
};

static void whole_text(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf out = BUF_INIT(METRICS_TEXT_MAX_BYTES);
    const struct metrics_now now = {
        .version = "1.2",
        .has_document = true,
        .document_age_s = 1.5,
        .key_age_s = 2.25,
        .kms_connections = 3,
        .kms_waiting = 4,
        .work_queued = 5,
        .running = 6,
        .connections = 7,
        .buffered = 8,
        .resident_bytes = 9,
        .credentials_expire_s = -10,
        .has_credentials = true,
        .cache = { 11, 12, 13, 14, 15, 16, 17 },
    };

    memset(&m, 0, sizeof m);
    metrics_request(&m, "encrypt", "ok", 100000);
    metrics_request(&m, "encrypt", "busy", 20000000000);
    metrics_request(&m, "random", "ok", 300000);
    metrics_kms(&m, "ok");
    m.kms_retries = 18;
    m.connections = UINT64_MAX;
    m.refused = 19;
    assert_int_equal(metrics_write(&m, &now, &out), ERR_OK);
    t_assert_lines(&out, whole, sizeof whole / sizeof whole[0]);
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
        cmocka_unit_test(whole_text),
        cmocka_unit_test(tables_at_their_limits),
        cmocka_unit_test(no_room),
    };

    return cmocka_run_group_tests_name("nitroseald_metrics", tests, NULL, NULL);
}
