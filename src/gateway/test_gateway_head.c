#include "gateway/gateway.h"
#include "testing/t.h"

#define VIA "via: 1.1 nitroseal-gateway\r\n"
#define H   "Host: a\r\n"

static struct http1_head parse_request(const char *text)
{
    struct http1_head head;
    size_t used = 0;

    assert_int_equal(http1_request_parse(span_str(text), &head, &used, NULL), ERR_OK);
    assert_int_equal(used, strlen(text));
    return head;
}

/* --- requests --- */

static struct request_row {
    const char *name, *in, *out;
} requests[] = {
    { "as it is",
      "POST /v1/encrypt HTTP/1.1\r\n" H "Content-Type: a/b\r\nContent-Length: 5\r\n\r\n",
      "POST /v1/encrypt HTTP/1.1\r\n" H "Content-Type: a/b\r\ncontent-length: 5\r\n" VIA "\r\n" },
    { "hop by hop",
      "GET /x HTTP/1.1\r\n" H "Keep-Alive: 5\r\nTE: trailers\r\nProxy-Connection: close\r\n"
      "Proxy-Authorization: Basic eA==\r\nProxy-Authenticate: x\r\nUpgrade: h2c\r\n"
      "HTTP2-Settings: x\r\nAccept: */*\r\n\r\n",
      "GET /x HTTP/1.1\r\n" H "Accept: */*\r\n" VIA "\r\n" },
    { "named by Connection",
      "GET /x HTTP/1.1\r\n" H "Connection: close, X-Mine\r\nX-Mine: 1\r\nx-other: 2\r\n\r\n",
      "GET /x HTTP/1.1\r\n" H "x-other: 2\r\n" VIA "\r\n" },
    { "Host stays, whoever names it", "GET /x HTTP/1.1\r\n" H "Connection: Host\r\n\r\n",
      "GET /x HTTP/1.1\r\n" H VIA "\r\n" },
    { "chunked", "POST /x HTTP/1.1\r\n" H "Transfer-Encoding: CHUNKED\r\nTrailer: a\r\n\r\n",
      "POST /x HTTP/1.1\r\n" H "Trailer: a\r\ntransfer-encoding: chunked\r\n" VIA "\r\n" },
    { "a length named by Connection stays one length",
      "POST /x HTTP/1.1\r\n" H "Connection: Content-Length\r\nContent-Length: 007\r\n\r\n",
      "POST /x HTTP/1.1\r\n" H "content-length: 7\r\n" VIA "\r\n" },
    { "HTTP/1.0 without Host", "GET /x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
      "GET /x HTTP/1.1\r\nhost: enclave\r\n" VIA "\r\n" },
    { "expectation and another Via are handed on",
      "POST /x HTTP/1.1\r\n" H
      "Expect: 100-continue\r\nVia: 1.1 first\r\nContent-Length: 1\r\n\r\n",
      "POST /x HTTP/1.1\r\n" H "Expect: 100-continue\r\nVia: 1.1 first\r\ncontent-length: 1\r\n" VIA
      "\r\n" },
};

static void request(void **state)
{
    const struct request_row *row = *state;
    struct http1_head head = parse_request(row->in);
    AUTO(buf_clear) struct buf out = BUF_INIT(4096), tight = BUF_INIT(strlen(row->out) - 1);

    assert_int_equal(gateway_request_write(&head, head.target, &out), ERR_OK);
    t_assert_buf(&out, row->out);
    assert_int_equal(gateway_request_write(&head, head.target, &tight), ERR_LIMIT);
    assert_int_equal(tight.len, 0);
}

/* --- answers --- */

static struct answer_row {
    const char *name, *in;
    struct gateway_client to;
    const char *out;
    enum http1_framing framing;
} answers[] = {
    { "as it is",
      "HTTP/1.1 200 Fine\r\nContent-Length: 2\r\nA: b\r\n\r\n",
      { 1, false, true },
      "HTTP/1.1 200 Fine\r\nA: b\r\ncontent-length: 2\r\n" VIA "\r\n",
      HTTP1_LENGTH },
    { "the enclave closes, the client's connection stays",
      "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n",
      { 1, false, true },
      "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n" VIA "\r\n",
      HTTP1_LENGTH },
    { "the client's connection ends",
      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n",
      { 1, false, false },
      "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n" VIA "\r\n",
      HTTP1_LENGTH },
    { "1.0 and keep-alive",
      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n",
      { 0, false, true },
      "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: keep-alive\r\n" VIA "\r\n",
      HTTP1_LENGTH },
    { "chunked",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
      { 1, false, true },
      "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n" VIA "\r\n",
      HTTP1_CHUNKED },
    { "chunked for 1.0",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
      { 0, false, true },
      "HTTP/1.1 200 OK\r\nconnection: close\r\n" VIA "\r\n",
      HTTP1_UNTIL_CLOSE },
    { "until the end, for 1.1",
      "HTTP/1.0 200 OK\r\n\r\n",
      { 1, false, true },
      "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n" VIA "\r\n",
      HTTP1_CHUNKED },
    { "no content",
      "HTTP/1.1 204 No Content\r\n\r\n",
      { 1, false, true },
      "HTTP/1.1 204 No Content\r\n" VIA "\r\n",
      HTTP1_NO_BODY },
    { "to HEAD",
      "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n",
      { 1, true, true },
      "HTTP/1.1 200 OK\r\ncontent-length: 20\r\n" VIA "\r\n",
      HTTP1_NO_BODY },
    { "go on",
      "HTTP/1.1 100 Continue\r\n\r\n",
      { 1, false, false },
      "HTTP/1.1 100 Continue\r\n" VIA "\r\n",
      HTTP1_NO_BODY },
    { "fields of the connection",
      "HTTP/1.1 200 OK\r\nKeep-Alive: 5\r\nConnection: keep-alive, x\r\nX: 1\r\nContent-Length: "
      "0\r\n\r\n",
      { 1, false, true },
      "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n" VIA "\r\n",
      HTTP1_LENGTH },
};

static void answer(void **state)
{
    const struct answer_row *row = *state;
    AUTO(buf_clear) struct buf out = BUF_INIT(4096), tight = BUF_INIT(strlen(row->out) - 1);
    struct http1_head head;
    size_t used = 0;

    assert_int_equal(http1_response_parse(span_str(row->in), row->to.head_only, &head, &used, NULL),
                     ERR_OK);
    assert_int_equal(gateway_answer_framing(&head, &row->to), row->framing);
    assert_int_equal(gateway_answer_write(&head, &row->to, &out), ERR_OK);
    t_assert_buf(&out, row->out);
    assert_int_equal(gateway_answer_write(&head, &row->to, &tight), ERR_LIMIT);
    assert_int_equal(tight.len, 0);
}

/* --- what a request is for --- */

static struct route_row {
    const char *name, *in;
    unsigned status; /* 0: passes */
    const char *code;
    enum gateway_place place;
    const char *target;
    uint32_t cid, port;
} routes[] = {
    { "any enclave", "POST /v1/encrypt?a=b HTTP/1.1\r\n" H "\r\n", 0, NULL, GATEWAY_FORWARD,
      "/v1/encrypt?a=b", 0, 0 },
    { "an escape in the query", "GET /v1/attestation?nonce=%2B HTTP/1.1\r\n" H "\r\n", 0, NULL,
      GATEWAY_FORWARD, "/v1/attestation?nonce=%2B", 0, 0 },
    { "own health", "GET /healthz HTTP/1.1\r\n" H "\r\n", 0, NULL, GATEWAY_HEALTH, "/healthz", 0,
      0 },
    { "own metrics", "HEAD /metrics?x HTTP/1.1\r\n" H "\r\n", 0, NULL, GATEWAY_METRICS,
      "/metrics?x", 0, 0 },
    { "own health, POST", "POST /healthz HTTP/1.1\r\n" H "\r\n", 405, "method_not_allowed", 0, NULL,
      0, 0 },
    { "an enclave's metrics", "GET /enclaves/16/metrics HTTP/1.1\r\n" H "\r\n", 0, NULL,
      GATEWAY_ENCLAVE, "/metrics", 16, 0 },
    { "with a port", "GET /enclaves/16:5001/healthz HTTP/1.1\r\n" H "\r\n", 0, NULL,
      GATEWAY_ENCLAVE, "/healthz", 16, 5001 },
    { "an enclave's other pages", "GET /enclaves/16/v1/random HTTP/1.1\r\n" H "\r\n", 404,
      "not_found", 0, NULL, 0, 0 },
    { "no CID", "GET /enclaves/x/metrics HTTP/1.1\r\n" H "\r\n", 404, "not_found", 0, NULL, 0, 0 },
    { "no port", "GET /enclaves/16:/metrics HTTP/1.1\r\n" H "\r\n", 404, "not_found", 0, NULL, 0,
      0 },
    { "largest CID", "GET /enclaves/4294967295/metrics HTTP/1.1\r\n" H "\r\n", 0, NULL,
      GATEWAY_ENCLAVE, "/metrics", UINT32_MAX, 0 },
    { "one past it", "GET /enclaves/4294967296/metrics HTTP/1.1\r\n" H "\r\n", 404, "not_found", 0,
      NULL, 0, 0 },
    { "an enclave's metrics, POST", "POST /enclaves/16/metrics HTTP/1.1\r\n" H "\r\n", 405,
      "method_not_allowed", 0, NULL, 0, 0 },
    { "credentials", "PUT /v1/credentials HTTP/1.1\r\n" H "\r\n", 403, "credentials_refused", 0,
      NULL, 0, 0 },
    { "credentials with a query", "PUT /v1/credentials?x HTTP/1.1\r\n" H "\r\n", 403,
      "credentials_refused", 0, NULL, 0, 0 },
    { "credentials with an escape", "PUT /v1/%63redentials HTTP/1.1\r\n" H "\r\n", 404, "not_found",
      0, NULL, 0, 0 },
    { "another spelling", "PUT /V1/Credentials HTTP/1.1\r\n" H "\r\n", 403, "credentials_refused",
      0, NULL, 0, 0 },
    { "whole URL", "GET http://a/v1/credentials HTTP/1.1\r\n" H "\r\n", 400, "invalid_request", 0,
      NULL, 0, 0 },
    { "asterisk", "OPTIONS * HTTP/1.1\r\n" H "\r\n", 400, "invalid_request", 0, NULL, 0, 0 },
    { "CONNECT", "CONNECT a:1 HTTP/1.1\r\n" H "\r\n", 501, "not_implemented", 0, NULL, 0, 0 },
    { "another protocol",
      "GET /x HTTP/1.1\r\n" H "Connection: upgrade\r\nUpgrade: websocket\r\n\r\n", 501,
      "not_implemented", 0, NULL, 0, 0 },
    { "no Host", "GET /x HTTP/1.1\r\n\r\n", 400, "invalid_request", 0, NULL, 0, 0 },
    { "a message in 1.0", "POST /v1/messages/decrypt HTTP/1.0\r\n\r\n", 400, "invalid_request", 0,
      NULL, 0, 0 },
    { "no Host in 1.0", "GET /x HTTP/1.0\r\n\r\n", 0, NULL, GATEWAY_FORWARD, "/x", 0, 0 },
    { "another expectation", "GET /x HTTP/1.1\r\n" H "Expect: 200-ok\r\n\r\n", 417,
      "invalid_request", 0, NULL, 0, 0 },
};

static void route(void **state)
{
    const struct route_row *row = *state;
    struct http1_head head = parse_request(row->in);
    struct gateway_route out = { .cid = 7 };
    struct gateway_fault fault = { .status = 0 };

    enum err r = gateway_route(&head, &out, &fault);
    assert_int_equal(r, row->status ? ERR_DENIED : ERR_OK);
    assert_int_equal(fault.status, row->status);
    if (row->status) {
        assert_string_equal(fault.code, row->code);
        assert_int_equal(out.cid, 7);
        assert_true((row->status == 405) == (fault.allow != NULL));
        return;
    }
    assert_int_equal(out.place, row->place);
    t_assert_span(out.target, span_str(row->target));
    assert_int_equal(out.cid, row->cid);
    assert_int_equal(out.port, row->port);
}

/* --- answers of our own --- */

static void problem(void **state)
{
    const struct gateway_fault f = { 503, "busy", "Gateway is busy", "too many", NULL };
    const struct gateway_fault g = { 405, "x", "T", NULL, "GET" };
    const struct gateway_client keep = { 1, false, true }, head = { 1, true, false },
                                old = { 0, false, true };
    AUTO(buf_clear) struct buf out = BUF_INIT(4096);
    (void)state;

#define BODY                                                                                       \
    "{\"type\":\"urn:nitroseal:error:busy\",\"title\":\"Gateway is busy\",\"status\":503,"         \
    "\"detail\":\"too many\",\"code\":\"busy\"}"
    assert_int_equal(gateway_problem_write(&f, &keep, &out), ERR_OK);
    t_assert_buf(&out, "HTTP/1.1 503 Service Unavailable\r\ncontent-type: "
                       "application/problem+json\r\nretry-after: 1\r\ncontent-length: "
                       "108\r\n\r\n" BODY);
    assert_int_equal(gateway_refusal_parse(SPAN_LIT(BODY)), GATEWAY_REFUSAL_BUSY);
    buf_reset(&out);
    assert_int_equal(gateway_problem_write(&f, &head, &out), ERR_OK);
    t_assert_buf(&out, "HTTP/1.1 503 Service Unavailable\r\ncontent-type: "
                       "application/problem+json\r\nretry-after: 1\r\ncontent-length: "
                       "108\r\nconnection: close\r\n\r\n");
    buf_reset(&out);
    assert_int_equal(gateway_problem_write(&g, &old, &out), ERR_OK);
    t_assert_buf(&out, "HTTP/1.1 405 Method Not Allowed\r\ncontent-type: "
                       "application/problem+json\r\nallow: GET\r\ncontent-length: "
                       "68\r\nconnection: keep-alive\r\n\r\n"
                       "{\"type\":\"urn:nitroseal:error:x\",\"title\":\"T\",\"status\":405,"
                       "\"code\":\"x\"}");
}

static void refusals(void **state)
{
    AUTO(buf_clear) struct buf b = BUF_INIT(GATEWAY_REFUSAL_MAX_BYTES + 1);
    (void)state;

    assert_int_equal(gateway_refusal_parse(SPAN_LIT("{\"a\":[1],\"code\":\"stopping\"}")),
                     GATEWAY_REFUSAL_STOPPING);
    assert_int_equal(gateway_refusal_parse(SPAN_LIT("{\"code\":\"no_credentials\"}")),
                     GATEWAY_REFUSAL_NO_CREDENTIALS);
    assert_int_equal(gateway_refusal_parse(SPAN_LIT("{\"code\":\"nsm_failed\"}")),
                     GATEWAY_REFUSAL_NO_DOCUMENT);
    assert_int_equal(gateway_refusal_parse(SPAN_LIT("{\"code\":\"kms_unavailable\"}")),
                     GATEWAY_REFUSAL_OTHER);
    assert_int_equal(gateway_refusal_parse(SPAN_LIT("{\"a\":{\"code\":\"busy\"}}")),
                     GATEWAY_REFUSAL_OTHER);
    assert_int_equal(gateway_refusal_parse(SPAN_LIT("{\"code\":\"busy\"} x")),
                     GATEWAY_REFUSAL_OTHER);
    assert_int_equal(gateway_refusal_parse(SPAN_EMPTY), GATEWAY_REFUSAL_OTHER);
    /* The longest that is looked into, and one byte more. */
    assert_int_equal(buf_append_str(&b, "{\"code\":\"busy\"}"), ERR_OK);
    while (b.len < GATEWAY_REFUSAL_MAX_BYTES)
        assert_int_equal(buf_append_byte(&b, ' '), ERR_OK);
    assert_int_equal(gateway_refusal_parse(buf_view(&b)), GATEWAY_REFUSAL_BUSY);
    assert_int_equal(buf_append_byte(&b, ' '), ERR_OK);
    assert_int_equal(gateway_refusal_parse(buf_view(&b)), GATEWAY_REFUSAL_OTHER);
}

#define ROWS(a) (sizeof(a) / sizeof(a)[0])

int main(void)
{
    struct CMUnitTest tests[ROWS(requests) + ROWS(answers) + ROWS(routes) + 2];
    size_t n = 0;

    n += T_ROWS(tests + n, requests, request);
    n += T_ROWS(tests + n, answers, answer);
    n += T_ROWS(tests + n, routes, route);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(problem);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(refusals);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
