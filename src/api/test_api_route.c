#include "api/api.h"
#include "testing/t.h"

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

static const struct route_row {
    const char *name, *head, *code; /* code NULL: routed */
    enum api_endpoint endpoint;
    bool is_binary, wants_binary;
} route_rows[] = {
    { "encrypt", "POST /v1/encrypt HTTP/1.1\r\nContent-Type: application/json\r\n", NULL,
      API_ENCRYPT, false, false },
    { "encrypt: no type", "POST /v1/encrypt HTTP/1.1\r\n", NULL, API_ENCRYPT, false, false },
    { "encrypt: charset",
      "POST /v1/encrypt HTTP/1.1\r\nContent-Type: Application/JSON; charset=utf-8\r\n", NULL,
      API_ENCRYPT, false, false },
    { "encrypt: bytes", "POST /v1/encrypt HTTP/1.1\r\nContent-Type: application/octet-stream\r\n",
      NULL, API_ENCRYPT, true, true },
    { "decrypt: bytes", "POST /v1/decrypt HTTP/1.1\r\nContent-Type: application/octet-stream\r\n",
      NULL, API_DECRYPT, true, true },
    { "encrypt: a form",
      "POST /v1/encrypt HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\n",
      "unsupported_media_type", 0, false, false },
    { "batch: bytes", "POST /v1/batch HTTP/1.1\r\nContent-Type: application/octet-stream\r\n",
      "unsupported_media_type", 0, false, false },
    { "random: bytes wanted",
      "POST /v1/random HTTP/1.1\r\nAccept: text/plain, application/octet-stream;q=0.5\r\n", NULL,
      API_RANDOM, false, true },
    { "attestation", "GET /v1/attestation?nonce=AA HTTP/1.1\r\nAccept: */*\r\n", NULL,
      API_ATTESTATION, false, false },
    { "credentials", "PUT /v1/credentials HTTP/1.1\r\n", NULL, API_CREDENTIALS, false, false },
    { "health", "GET /healthz HTTP/1.0\r\n", NULL, API_HEALTH, false, false },
    { "metrics", "GET /metrics? HTTP/1.1\r\n", NULL, API_METRICS, false, false },
    { "no path", "GET / HTTP/1.1\r\n", "not_found", 0, false, false },
    { "a longer path", "POST /v1/encrypt/ HTTP/1.1\r\n", "not_found", 0, false, false },
    { "a shorter path", "POST /v1 HTTP/1.1\r\n", "not_found", 0, false, false },
    { "whole address", "GET http://h/healthz HTTP/1.1\r\n", "not_found", 0, false, false },
    { "method", "GET /v1/encrypt HTTP/1.1\r\n", "method_not_allowed", 0, false, false },
    { "HEAD", "HEAD /healthz HTTP/1.1\r\n", "method_not_allowed", 0, false, false },
};

static void route_row(void **state)
{
    const struct route_row *row = *state;
    AUTO(buf_clear) struct buf text = BUF_INIT(1024);
    struct http1_head head;
    struct api_route r = { .endpoint = API_ENDPOINTS };
    struct api_fault fault = { 0 };
    size_t used;

    assert_int_equal(buf_printf(&text, "%s\r\n", row->head), ERR_OK);
    assert_int_equal(http1_request_parse(buf_view(&text), &head, &used, NULL), ERR_OK);
    assert_int_equal(api_route(&head, &r, &fault), row->code ? ERR_UNSUPPORTED : ERR_OK);
    if (row->code) {
        assert_string_equal(fault.code, row->code);
        assert_int_equal(r.endpoint, API_ENDPOINTS);
        return;
    }
    assert_int_equal(r.endpoint, row->endpoint);
    assert_int_equal(r.is_binary, row->is_binary);
    assert_int_equal(r.wants_binary, row->wants_binary);
}

static void allow_names_the_method(void **state)
{
    (void)state;
    struct http1_head head;
    struct api_route r;
    struct api_fault fault = { 0 };
    size_t used;
    struct span in = span_str("GET /v1/credentials HTTP/1.1\r\n\r\n");

    assert_int_equal(http1_request_parse(in, &head, &used, NULL), ERR_OK);
    assert_int_equal(api_route(&head, &r, &fault), ERR_UNSUPPORTED);
    t_assert_span(fault.allow, SPAN_LIT("PUT"));
}

static void problem(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf out = BUF_INIT(1024);
    const struct proto_error e = {
        .error = "Failed to get data key from KMS",
        .code = "kms_refused",
        .kms_type = SPAN_LIT("AccessDeniedException"),
        .kms_message = SPAN_LIT("no \"rights\""),
        .kms_request_id = SPAN_LIT("r-1"),
        .hint = "look at the key policy",
    };

    assert_int_equal(api_problem_write(&out, &e, SPAN_LIT("id-1")), ERR_OK);
    t_assert_buf(&out,
                 "{\"type\":\"urn:nitroseal:error:kms_refused\",\"title\":\"Failed to get data "
                 "key from KMS\",\"status\":403,\"code\":\"kms_refused\",\"hint\":\"look at the "
                 "key policy\",\"kms_type\":\"AccessDeniedException\",\"kms_message\":\"no "
                 "\\\"rights\\\"\",\"kms_request_id\":\"r-1\",\"request_id\":\"id-1\"}");
    assert_int_equal(api_status("no such code"), 500);
    assert_int_equal(api_status("busy"), 503);
}

int main(void)
{
    enum { N = COUNT(route_rows), FIXED = 2 };
    struct CMUnitTest tests[FIXED + N] = {
        cmocka_unit_test(allow_names_the_method),
        cmocka_unit_test(problem),
    };

    T_ROWS(tests + FIXED, route_rows, route_row);
    return cmocka_run_group_tests_name("api_route", tests, NULL, NULL);
}
