#include "http1/http1.h"
#include "testing/t.h"

static const struct http1_header host = { SPAN_INIT("host"), SPAN_INIT("kms") };

static void requests(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf b = BUF_INIT(512);
    const struct http1_header own[] = { host,
                                        { SPAN_LIT("Content-Length"), SPAN_LIT("2") },
                                        { SPAN_LIT("x"), SPAN_LIT("a b\tc") } };

    assert_int_equal(http1_request_write(&b, SPAN_LIT("GET"), SPAN_LIT("/"), &host, 1, SPAN_EMPTY),
                     ERR_OK);
    t_assert_buf(&b, "GET / HTTP/1.1\r\nhost: kms\r\n\r\n");
    buf_reset(&b);
    assert_int_equal(http1_request_write(&b, SPAN_LIT("POST"), SPAN_LIT("/"), NULL, 0, SPAN_EMPTY),
                     ERR_OK);
    t_assert_buf(&b, "POST / HTTP/1.1\r\ncontent-length: 0\r\n\r\n");
    buf_reset(&b);
    assert_int_equal(
        http1_request_write(&b, SPAN_LIT("PUT"), SPAN_LIT("/"), own, 3, SPAN_LIT("{}")), ERR_OK);
    t_assert_buf(&b, "PUT / HTTP/1.1\r\nhost: kms\r\nContent-Length: 2\r\nx: a b\tc\r\n\r\n{}");
}

static void responses(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf b = BUF_INIT(512);

    assert_int_equal(http1_response_write(&b, 200, &host, 1, SPAN_LIT("{}")), ERR_OK);
    t_assert_buf(&b, "HTTP/1.1 200 OK\r\nhost: kms\r\ncontent-length: 2\r\n\r\n{}");
    buf_reset(&b);
    assert_int_equal(http1_response_write(&b, 204, NULL, 0, SPAN_EMPTY), ERR_OK);
    t_assert_buf(&b, "HTTP/1.1 204 No Content\r\n\r\n");
    buf_reset(&b);
    assert_int_equal(http1_response_write(&b, 418, NULL, 0, SPAN_EMPTY), ERR_OK);
    t_assert_buf(&b, "HTTP/1.1 418 \r\ncontent-length: 0\r\n\r\n");
}

/* What is written is read as the same. */
static void round_trips(void **state)
{
    (void)state;
    static const unsigned statuses[] = { 100, 200, 204, 304, 400, 403, 404, 405,
                                         408, 411, 413, 431, 500, 501, 503, 599 };
    struct http1_head *h = test_calloc(1, sizeof *h);

    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++) {
        AUTO(buf_clear) struct buf b = BUF_INIT(512);
        size_t used = 0;
        assert_int_equal(http1_response_write(&b, statuses[i], &host, 1, SPAN_EMPTY), ERR_OK);
        assert_int_equal(http1_response_parse(buf_view(&b), false, h, &used, NULL), ERR_OK);
        assert_int_equal(used, b.len);
        assert_int_equal(h->status, statuses[i]);
        assert_int_not_equal(h->framing, HTTP1_UNTIL_CLOSE);
        assert_true(span_is(http1_header_get(h, "host"), "kms"));
    }
    test_free(h);
}

static struct row {
    const char *name;
    struct span method, target, field, value;
} rows[] = {
    { "empty method", SPAN_INIT(""), SPAN_INIT("/"), SPAN_INIT("a"), SPAN_INIT("b") },
    { "space in method", SPAN_INIT("A B"), SPAN_INIT("/"), SPAN_INIT("a"), SPAN_INIT("b") },
    { "empty target", SPAN_INIT("GET"), SPAN_INIT(""), SPAN_INIT("a"), SPAN_INIT("b") },
    { "space in target", SPAN_INIT("GET"), SPAN_INIT("/ x"), SPAN_INIT("a"), SPAN_INIT("b") },
    { "CRLF in target", SPAN_INIT("GET"), SPAN_INIT("/\r\nx"), SPAN_INIT("a"), SPAN_INIT("b") },
    { "empty name", SPAN_INIT("GET"), SPAN_INIT("/"), SPAN_INIT(""), SPAN_INIT("b") },
    { "colon in name", SPAN_INIT("GET"), SPAN_INIT("/"), SPAN_INIT("a:"), SPAN_INIT("b") },
    { "NUL in name", SPAN_INIT("GET"), SPAN_INIT("/"), SPAN_INIT("a\0"), SPAN_INIT("b") },
    { "CR in value", SPAN_INIT("GET"), SPAN_INIT("/"), SPAN_INIT("a"), SPAN_INIT("b\rc") },
    { "LF in value", SPAN_INIT("GET"), SPAN_INIT("/"), SPAN_INIT("a"), SPAN_INIT("b\nc") },
    { "NUL in value", SPAN_INIT("GET"), SPAN_INIT("/"), SPAN_INIT("a"), SPAN_INIT("b\0") },
    { "DEL in value", SPAN_INIT("GET"), SPAN_INIT("/"), SPAN_INIT("a"), SPAN_INIT("\x7f") },
};

static void refused_row(void **state)
{
    const struct row *row = *state;
    const struct http1_header fields[] = { host, { row->field, row->value } };
    AUTO(buf_clear) struct buf b = BUF_INIT(512);

    assert_int_equal(buf_append_str(&b, ">"), ERR_OK);
    assert_int_equal(http1_request_write(&b, row->method, row->target, fields, 2, SPAN_EMPTY),
                     ERR_MALFORMED);
    t_assert_buf(&b, ">");
    if (!span_is(row->method, "GET") || !span_is(row->target, "/"))
        return;
    assert_int_equal(http1_response_write(&b, 200, fields, 2, SPAN_EMPTY), ERR_MALFORMED);
    t_assert_buf(&b, ">");
}

static void limits(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf b = BUF_INIT(40);

    assert_int_equal(http1_response_write(&b, 99, NULL, 0, SPAN_EMPTY), ERR_MALFORMED);
    assert_int_equal(http1_response_write(&b, 600, NULL, 0, SPAN_EMPTY), ERR_MALFORMED);
    assert_int_equal(http1_response_write(&b, 200, &host, 1, SPAN_LIT("{}")), ERR_LIMIT);
    assert_int_equal(b.len, 0);
}

enum { FIXED = 4, ROWS = sizeof rows / sizeof rows[0] };

int main(void)
{
    struct CMUnitTest tests[FIXED + ROWS] = {
        cmocka_unit_test(requests),
        cmocka_unit_test(responses),
        cmocka_unit_test(round_trips),
        cmocka_unit_test(limits),
    };

    T_ROWS(tests + FIXED, rows, refused_row);
    return cmocka_run_group_tests_name("http1_write", tests, NULL, NULL);
}
