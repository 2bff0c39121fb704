#include "gateway/metrics.h"
#include "testing/t.h"

static void count(void **state)
{
    struct gateway_counts c = { .ns = 0 };
    (void)state;

    gateway_count_answer(&c, 200, 100000); /* a bound belongs to its bucket */
    gateway_count_answer(&c, 204, 100001);
    gateway_count_answer(&c, 503, 70000000000);
    gateway_count_answer(&c, 0, 5);
    assert_int_equal(c.answers[2], 2);
    assert_int_equal(c.answers[5], 1);
    assert_int_equal(c.answers[0], 1);
    assert_int_equal(c.buckets[0], 2);
    assert_int_equal(c.buckets[1], 1);
    assert_int_equal(c.buckets[GATEWAY_BUCKETS], 1);
    assert_int_equal(c.ns, 70000200006);
}

static bool has_line(const struct buf *out, const char *line)
{
    for (struct span rest = buf_view(out); rest.ptr;)
        if (span_is(span_cut(&rest, '\n'), line))
            return true;
    return false;
}

static void text(void **state)
{
    struct gateway_counts c[2] = { { .retries = 3, .connects = 4, .pushes_good = 2 }, { .ns = 0 } };
    uint64_t own[GATEWAY_CLASSES] = { 0, 0, 7, 0, 8, 9 };
    struct gateway_enclave_now e[2] = {
        { .name = "16:5000",
          .counts = &c[0],
          .in_flight = 5,
          .active = 6,
          .idle = 2,
          .usable = true,
          .has_credentials = true,
          .credentials_age_s = 11 },
        { .name = "17:5000", .counts = &c[1] },
    };
    struct gateway_now now = {
        .version = "1.2",
        .enclaves = e,
        .n_enclaves = 2,
        .own = own,
        .accepted = 12,
        .refused = 1,
        .connections = 3,
        .waiting = 2,
        .keeps_credentials = true,
        .fetches_bad = 6,
        .has_credentials = true,
        .credentials_expire_s = 1234,
        .resident_bytes = 4096,
    };
    AUTO(buf_clear) struct buf out = BUF_INIT(GATEWAY_METRICS_MAX_BYTES);
    (void)state;

    gateway_count_answer(&c[0], 200, 3000000);
    c[0].failures[GATEWAY_FAIL_TIMEOUT] = 1;
    assert_int_equal(gateway_metrics_write(&now, &out), ERR_OK);
    static const char *const lines[] = {
        "nitroseal_gateway_build_info{version=\"1.2\"} 1",
        "nitroseal_gateway_enclave_up{enclave=\"16:5000\"} 1",
        "nitroseal_gateway_enclave_up{enclave=\"17:5000\"} 0",
        "nitroseal_gateway_in_flight{enclave=\"16:5000\"} 5",
        "nitroseal_gateway_requests_total{enclave=\"16:5000\",code=\"2xx\"} 1",
        "nitroseal_gateway_requests_total{enclave=\"\",code=\"5xx\"} 9",
        "nitroseal_gateway_failures_total{enclave=\"16:5000\",reason=\"timeout\"} 1",
        "nitroseal_gateway_retries_total{enclave=\"16:5000\"} 3",
        "nitroseal_gateway_enclave_connections{enclave=\"16:5000\",state=\"active\"} 6",
        "nitroseal_gateway_enclave_connections{enclave=\"16:5000\",state=\"idle\"} 2",
        "nitroseal_gateway_request_seconds_bucket{enclave=\"16:5000\",le=\"0.0025\"} 0",
        "nitroseal_gateway_request_seconds_bucket{enclave=\"16:5000\",le=\"0.005\"} 1",
        "nitroseal_gateway_request_seconds_bucket{enclave=\"16:5000\",le=\"+Inf\"} 1",
        "nitroseal_gateway_request_seconds_sum{enclave=\"16:5000\"} 0.003000",
        "nitroseal_gateway_credential_pushes_total{enclave=\"16:5000\",result=\"ok\"} 2",
        "nitroseal_gateway_credentials_age_seconds{enclave=\"16:5000\"} 11",
        "nitroseal_gateway_credential_fetches_total{result=\"failed\"} 6",
        "nitroseal_gateway_credentials_expire_seconds 1234",
        "nitroseal_gateway_connections_total 12",
        "process_resident_memory_bytes 4096",
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        if (!has_line(&out, lines[i]))
            fail_msg("missing: %s", lines[i]);
    assert_false(
        has_line(&out, "nitroseal_gateway_credentials_age_seconds{enclave=\"17:5000\"} 0"));
    buf_reset(&out);
    now.keeps_credentials = false;
    assert_int_equal(gateway_metrics_write(&now, &out), ERR_OK);
    assert_false(has_line(&out, "nitroseal_gateway_credentials_held 1"));
}

/* All of the page, to the byte. */
static const char *const whole[] = {
    "# HELP nitroseal_gateway_build_info 1; the version is the label.",
    "# TYPE nitroseal_gateway_build_info gauge",
    "nitroseal_gateway_build_info{version=\"1.2\"} 1",
    "# HELP nitroseal_gateway_enclave_up 1 if requests are sent to it.",
    "# TYPE nitroseal_gateway_enclave_up gauge",
    "nitroseal_gateway_enclave_up{enclave=\"16:5000\"} 1",
    "# HELP nitroseal_gateway_in_flight Requests that it works on.",
    "# TYPE nitroseal_gateway_in_flight gauge",
    "nitroseal_gateway_in_flight{enclave=\"16:5000\"} 20",
    "# HELP nitroseal_gateway_requests_total Requests answered, by enclave and status; enclave "
    "\"\": by the gateway itself; code none: its client left first, or the answer was cut.",
    "# TYPE nitroseal_gateway_requests_total counter",
    "nitroseal_gateway_requests_total{enclave=\"16:5000\",code=\"none\"} 1",
    "nitroseal_gateway_requests_total{enclave=\"\",code=\"none\"} 0",
    "nitroseal_gateway_requests_total{enclave=\"16:5000\",code=\"2xx\"} 2",
    "nitroseal_gateway_requests_total{enclave=\"\",code=\"2xx\"} 17",
    "nitroseal_gateway_requests_total{enclave=\"16:5000\",code=\"3xx\"} 3",
    "nitroseal_gateway_requests_total{enclave=\"\",code=\"3xx\"} 18",
    "nitroseal_gateway_requests_total{enclave=\"16:5000\",code=\"4xx\"} 4",
    "nitroseal_gateway_requests_total{enclave=\"\",code=\"4xx\"} 19",
    "nitroseal_gateway_requests_total{enclave=\"16:5000\",code=\"5xx\"} 5",
    "nitroseal_gateway_requests_total{enclave=\"\",code=\"5xx\"} 18446744073709551615",
    "# HELP nitroseal_gateway_failures_total Times that an enclave could not be reached, broke "
    "off, or was silent for too long.",
    "# TYPE nitroseal_gateway_failures_total counter",
    "nitroseal_gateway_failures_total{enclave=\"16:5000\",reason=\"connect\"} 6",
    "nitroseal_gateway_failures_total{enclave=\"16:5000\",reason=\"broken\"} 7",
    "nitroseal_gateway_failures_total{enclave=\"16:5000\",reason=\"timeout\"} 8",
    "# HELP nitroseal_gateway_retries_total Requests that were sent again, after this enclave had "
    "not answered or was busy.",
    "# TYPE nitroseal_gateway_retries_total counter",
    "nitroseal_gateway_retries_total{enclave=\"16:5000\"} 9",
    "# HELP nitroseal_gateway_probes_failed_total Health checks that failed.",
    "# TYPE nitroseal_gateway_probes_failed_total counter",
    "nitroseal_gateway_probes_failed_total{enclave=\"16:5000\"} 10",
    "# HELP nitroseal_gateway_enclave_connections Connections to enclaves, by use.",
    "# TYPE nitroseal_gateway_enclave_connections gauge",
    "nitroseal_gateway_enclave_connections{enclave=\"16:5000\",state=\"active\"} 21",
    "nitroseal_gateway_enclave_connections{enclave=\"16:5000\",state=\"idle\"} 22",
    "# HELP nitroseal_gateway_enclave_connections_total Connections opened.",
    "# TYPE nitroseal_gateway_enclave_connections_total counter",
    "nitroseal_gateway_enclave_connections_total{enclave=\"16:5000\"} 13",
    "# HELP nitroseal_gateway_request_seconds From the head of a request to the last byte of its "
    "answer.",
    "# TYPE nitroseal_gateway_request_seconds histogram",
    "nitroseal_gateway_request_seconds_bucket{enclave=\"16:5000\",le=\"0.0001\"} 14",
    "nitroseal_gateway_request_seconds_bucket{enclave=\"16:5000\",le=\"0.00025\"} 29",
    "nitroseal_gateway_request_seconds_bucket{enclave=\"16:5000\",le=\"0.0005\"} 29",
    "nitroseal_gateway_request_seconds_bucket{enclave=\"16:5000\",le=\"0.001\"} 29",
    "nitroseal_gateway_request_seconds_bucket{enclave=\"16:5000\",le=\"0.0025\"} 29",
    "nitroseal_gateway_request_seconds_bucket{enclave=\"16:5000\",le=\"0.005\"} 29",
    "nitroseal_gateway_request_seconds_bucket{enclave=\"16:5000\",le=\"0.01\"} 29",
    "nitroseal_gateway_request_seconds_bucket{enclave=\"16:5000\",le=\"0.025\"} 29",
    "nitroseal_gateway_request_seconds_bucket{enclave=\"16:5000\",le=\"0.05\"} 29",
    "nitroseal_gateway_request_seconds_bucket{enclave=\"16:5000\",le=\"0.1\"} 29",
    "nitroseal_gateway_request_seconds_bucket{enclave=\"16:5000\",le=\"0.25\"} 29",
    "nitroseal_gateway_request_seconds_bucket{enclave=\"16:5000\",le=\"1\"} 29",
    "nitroseal_gateway_request_seconds_bucket{enclave=\"16:5000\",le=\"10\"} 29",
    "nitroseal_gateway_request_seconds_bucket{enclave=\"16:5000\",le=\"60\"} 29",
    "nitroseal_gateway_request_seconds_bucket{enclave=\"16:5000\",le=\"+Inf\"} 45",
    "nitroseal_gateway_request_seconds_sum{enclave=\"16:5000\"} 1.234568",
    "nitroseal_gateway_request_seconds_count{enclave=\"16:5000\"} 45",
    "# HELP nitroseal_gateway_credential_pushes_total Credentials given to enclaves.",
    "# TYPE nitroseal_gateway_credential_pushes_total counter",
    "nitroseal_gateway_credential_pushes_total{enclave=\"16:5000\",result=\"ok\"} 11",
    "nitroseal_gateway_credential_pushes_total{enclave=\"16:5000\",result=\"failed\"} 12",
    "# HELP nitroseal_gateway_credentials_age_seconds Since an enclave took its credentials.",
    "# TYPE nitroseal_gateway_credentials_age_seconds gauge",
    "nitroseal_gateway_credentials_age_seconds{enclave=\"16:5000\"} 23",
    "# HELP nitroseal_gateway_credential_fetches_total Times credentials were looked for.",
    "# TYPE nitroseal_gateway_credential_fetches_total counter",
    "nitroseal_gateway_credential_fetches_total{result=\"ok\"} 30",
    "nitroseal_gateway_credential_fetches_total{result=\"failed\"} 31",
    "# HELP nitroseal_gateway_credentials_held 1 if there are any.",
    "# TYPE nitroseal_gateway_credentials_held gauge",
    "nitroseal_gateway_credentials_held 1",
    "# HELP nitroseal_gateway_credentials_expire_seconds Until they end.",
    "# TYPE nitroseal_gateway_credentials_expire_seconds gauge",
    "nitroseal_gateway_credentials_expire_seconds -32",
    "# HELP nitroseal_gateway_connections Open connections of clients.",
    "# TYPE nitroseal_gateway_connections gauge",
    "nitroseal_gateway_connections 26",
    "# HELP nitroseal_gateway_connections_total Connections accepted.",
    "# TYPE nitroseal_gateway_connections_total counter",
    "nitroseal_gateway_connections_total 24",
    "# HELP nitroseal_gateway_connections_refused_total Connections beyond the limit.",
    "# TYPE nitroseal_gateway_connections_refused_total counter",
    "nitroseal_gateway_connections_refused_total 25",
    "# HELP nitroseal_gateway_waiting Requests that wait for an enclave.",
    "# TYPE nitroseal_gateway_waiting gauge",
    "nitroseal_gateway_waiting 27",
    "# HELP nitroseal_gateway_request_bytes_total Bytes of bodies sent to enclaves.",
    "# TYPE nitroseal_gateway_request_bytes_total counter",
    "nitroseal_gateway_request_bytes_total 28",
    "# HELP nitroseal_gateway_answer_bytes_total Bytes of bodies that came from them.",
    "# TYPE nitroseal_gateway_answer_bytes_total counter",
    "nitroseal_gateway_answer_bytes_total 29",
    "# HELP process_resident_memory_bytes Resident memory.",
    "# TYPE process_resident_memory_bytes gauge",
    "process_resident_memory_bytes 33",
};

static void whole_text(void **state)
{
    struct gateway_counts c = { .answers = { 1, 0, 2, 3, 4, 5 },
                                .failures = { 6, 7, 8 },
                                .retries = 9,
                                .probes_bad = 10,
                                .pushes_good = 11,
                                .pushes_bad = 12,
                                .connects = 13,
                                .buckets = { 14, 15, [GATEWAY_BUCKETS] = 16 },
                                .ns = 1234567891 };
    const uint64_t own[GATEWAY_CLASSES] = { 0, 0, 17, 18, 19, UINT64_MAX };
    const struct gateway_enclave_now e = { .name = "16:5000",
                                           .counts = &c,
                                           .in_flight = 20,
                                           .active = 21,
                                           .idle = 22,
                                           .usable = true,
                                           .has_credentials = true,
                                           .credentials_age_s = 23 };
    const struct gateway_now now = { .version = "1.2",
                                     .enclaves = &e,
                                     .n_enclaves = 1,
                                     .own = own,
                                     .accepted = 24,
                                     .refused = 25,
                                     .connections = 26,
                                     .waiting = 27,
                                     .bytes_in = 28,
                                     .bytes_out = 29,
                                     .keeps_credentials = true,
                                     .fetches_good = 30,
                                     .fetches_bad = 31,
                                     .credentials_expire_s = -32,
                                     .has_credentials = true,
                                     .resident_bytes = 33 };
    AUTO(buf_clear) struct buf out = BUF_INIT(GATEWAY_METRICS_MAX_BYTES);
    (void)state;

    assert_int_equal(gateway_metrics_write(&now, &out), ERR_OK);
    t_assert_lines(&out, whole, sizeof whole / sizeof whole[0]);
}

/* As many enclaves as there may be, with the longest names, fit the page; too little room is told
 * and leaves nothing. */
static void limits(void **state)
{
    struct gateway_enclave_now *e = test_calloc(GATEWAY_ENCLAVES_MAX, sizeof *e);
    struct gateway_counts *c = test_calloc(1, sizeof *c);
    uint64_t own[GATEWAY_CLASSES] = { UINT64_MAX };
    AUTO(buf_clear) struct buf out = BUF_INIT(GATEWAY_METRICS_MAX_BYTES), small = BUF_INIT(1000);
    (void)state;

    memset(c, 0xff, sizeof *c);
    for (size_t i = 0; i < GATEWAY_ENCLAVES_MAX; i++)
        e[i] = (struct gateway_enclave_now){ .name = "4294967295:4294967295",
                                             .counts = c,
                                             .in_flight = UINT32_MAX,
                                             .active = UINT32_MAX,
                                             .has_credentials = true,
                                             .credentials_age_s = UINT64_MAX };
    const struct gateway_now now = { .version = "1",
                                     .enclaves = e,
                                     .n_enclaves = GATEWAY_ENCLAVES_MAX,
                                     .own = own,
                                     .keeps_credentials = true };
    assert_int_equal(gateway_metrics_write(&now, &out), ERR_OK);
    assert_int_equal(gateway_metrics_write(&now, &small), ERR_LIMIT);
    assert_int_equal(small.len, 0);
    test_free(e);
    test_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(count),
        cmocka_unit_test(text),
        cmocka_unit_test(whole_text),
        cmocka_unit_test(limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
