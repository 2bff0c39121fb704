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
        cmocka_unit_test(limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
