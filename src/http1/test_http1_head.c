#include "http1/http1.h"
#include "testing/t.h"

#define OK_HEAD  "GET / HTTP/1.1\r\n"
#define OK_REPLY "HTTP/1.1 200 OK\r\n"

static struct row {
    const char *name, *text;
    enum err want;
    const char *what;
    size_t at;
} request_rows[] = {
    { "no headers", OK_HEAD "\r\n", ERR_OK, NULL, 0 },
    { "HTTP/1.0", "GET / HTTP/1.0\r\n\r\n", ERR_OK, NULL, 0 },
    { "absolute target", "GET http://h:1/?q=\"x\" HTTP/1.1\r\n\r\n", ERR_OK, NULL, 0 },
    { "empty lines before", "\r\n\r\n" OK_HEAD "\r\n", ERR_OK, NULL, 0 },
    { "empty value", OK_HEAD "A:\r\nB: \t \r\n\r\n", ERR_OK, NULL, 0 },
    { "bytes past ASCII in a value", OK_HEAD "A: D\xfcsseldorf\r\n\r\n", ERR_OK, NULL, 0 },
    { "leading zeros in a length", OK_HEAD "Content-Length: 003\r\n\r\n", ERR_OK, NULL, 0 },
    { "largest length", OK_HEAD "Content-Length: 9223372036854775807\r\n\r\n", ERR_OK, NULL, 0 },
    { "nothing yet", "", ERR_MORE, NULL, 0 },
    { "first line cut", "GET / HTTP/1.1", ERR_MORE, NULL, 0 },
    { "CR may be followed by LF", "GET / HTTP/1.1\r", ERR_MORE, NULL, 0 },
    { "no empty line", OK_HEAD "A: b\r\n", ERR_MORE, NULL, 0 },
    { "too many empty lines", "\r\n\r\n\r\n\r\n\r\n" OK_HEAD "\r\n", ERR_MALFORMED,
      "empty lines before the message", 10 },
    { "unknown method", "MKCOLA / HTTP/1.1\r\n\r\n", ERR_MALFORMED, "method", 0 },
    { "lower-case method", "get / HTTP/1.1\r\n\r\n", ERR_MALFORMED, "method", 0 },
    { "HTTP/2 greeting", "PRI * HTTP/2.0\r\n\r\n", ERR_MALFORMED, "method", 0 },
    { "space first", " GET / HTTP/1.1\r\n\r\n", ERR_MALFORMED, "method", 0 },
    { "no target", "GET  HTTP/1.1\r\n\r\n", ERR_MALFORMED, "request target", 0 },
    { "control character in target", "GET /\x01 HTTP/1.1\r\n\r\n", ERR_MALFORMED, "request target",
      0 },
    { "UTF-8 in target", "GET /\xc3\xa9 HTTP/1.1\r\n\r\n", ERR_MALFORMED, "request target", 0 },
    { "space in target", "GET /a b HTTP/1.1\r\n\r\n", ERR_MALFORMED, "HTTP version", 0 },
    { "no version", "GET /\r\n\r\n", ERR_MALFORMED, "HTTP version", 0 },
    { "HTTP/1.2", "GET / HTTP/1.2\r\n\r\n", ERR_MALFORMED, "HTTP version", 0 },
    { "HTTP/2.0", "GET / HTTP/2.0\r\n\r\n", ERR_MALFORMED, "HTTP version", 0 },
    { "lower-case version", "GET / http/1.1\r\n\r\n", ERR_MALFORMED, "HTTP version", 0 },
    { "space after version", "GET / HTTP/1.1 \r\n\r\n", ERR_MALFORMED, "HTTP version", 0 },
    { "another protocol", "GET / RTSP/1.0\r\n\r\n", ERR_MALFORMED, "HTTP version", 0 },
    { "LF only", "GET / HTTP/1.1\n\n", ERR_MALFORMED, "line feed without carriage return", 14 },
    { "LF after a header", OK_HEAD "A: b\n\r\n", ERR_MALFORMED, "line feed without carriage return",
      20 },
    { "CR inside a line", OK_HEAD "A: b\rc\r\n\r\n", ERR_MALFORMED, "bare carriage return", 16 },
    { "CR inside an open line", OK_HEAD "A: b\rc", ERR_MALFORMED, "bare carriage return", 16 },
    { "two CRs", OK_HEAD "A: b\r\r\n\r\n", ERR_MALFORMED, "bare carriage return", 16 },
    { "space after the first line", OK_HEAD " A: b\r\n\r\n", ERR_MALFORMED, "folded header line",
      16 },
    { "folded", OK_HEAD "A: b\r\n\tc\r\n\r\n", ERR_MALFORMED, "folded header line", 22 },
    { "space before the colon", OK_HEAD "A : b\r\n\r\n", ERR_MALFORMED, "header name", 16 },
    { "no colon", OK_HEAD "A\r\n\r\n", ERR_MALFORMED, "header name", 16 },
    { "no name", OK_HEAD ": b\r\n\r\n", ERR_MALFORMED, "header name", 16 },
    { "at sign in a name", OK_HEAD "A@: b\r\n\r\n", ERR_MALFORMED, "header name", 16 },
    { "DEL in a value", OK_HEAD "A: \x7f\r\n\r\n", ERR_MALFORMED, "header value", 16 },
    { "form feed in a value", OK_HEAD "A: \f\r\n\r\n", ERR_MALFORMED, "header value", 16 },
    { "two lengths", OK_HEAD "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", ERR_MALFORMED,
      "more than one Content-Length", 0 },
    { "two equal lengths", OK_HEAD "Content-Length: 1\r\ncontent-length: 1\r\n\r\n", ERR_MALFORMED,
      "more than one Content-Length", 0 },
    { "list of lengths", OK_HEAD "Content-Length: 1, 1\r\n\r\n", ERR_MALFORMED, "Content-Length",
      0 },
    { "sign in a length", OK_HEAD "Content-Length: +1\r\n\r\n", ERR_MALFORMED, "Content-Length",
      0 },
    { "hexadecimal length", OK_HEAD "Content-Length: 0x1\r\n\r\n", ERR_MALFORMED, "Content-Length",
      0 },
    { "empty length", OK_HEAD "Content-Length:\r\n\r\n", ERR_MALFORMED, "Content-Length", 0 },
    { "length past 63 bits", OK_HEAD "Content-Length: 9223372036854775808\r\n\r\n", ERR_MALFORMED,
      "Content-Length", 0 },
    { "length and coding", OK_HEAD "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
      ERR_MALFORMED, "Content-Length and Transfer-Encoding", 0 },
    { "coding and length", OK_HEAD "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
      ERR_MALFORMED, "Content-Length and Transfer-Encoding", 0 },
    { "another coding", OK_HEAD "Transfer-Encoding: gzip\r\n\r\n", ERR_MALFORMED,
      "Transfer-Encoding other than chunked", 0 },
    { "chunked twice", OK_HEAD "Transfer-Encoding: chunked, chunked\r\n\r\n", ERR_MALFORMED,
      "Transfer-Encoding other than chunked", 0 },
    { "two lines of codings",
      OK_HEAD "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", ERR_MALFORMED,
      "Transfer-Encoding other than chunked", 0 },
    { "chunked behind another byte",
      OK_HEAD "Transfer-Encoding: \xa0"
              "chunked\r\n\r\n",
      ERR_MALFORMED, "Transfer-Encoding other than chunked", 0 },
    { "coding in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", ERR_MALFORMED,
      "Transfer-Encoding other than chunked", 0 },
    { "two hosts", OK_HEAD "Host: a\r\nHost: b\r\n\r\n", ERR_MALFORMED, "more than one Host", 0 },
};

static struct row response_rows[] = {
    { "reply", OK_REPLY "\r\n", ERR_OK, NULL, 0 },
    { "reply: no reason", "HTTP/1.1 204\r\n\r\n", ERR_OK, NULL, 0 },
    { "reply: reason of any bytes", "HTTP/1.0 500 Ori\xebntatie  x\r\n\r\n", ERR_OK, NULL, 0 },
    { "reply: cut", "HTTP/1.1 200", ERR_MORE, NULL, 0 },
    { "reply: request", OK_HEAD "\r\n", ERR_MALFORMED, "HTTP version", 0 },
    { "reply: HTTP/0.9", "HTTP/0.9 200 OK\r\n\r\n", ERR_MALFORMED, "HTTP version", 0 },
    { "reply: HTTP/1.01", "HTTP/1.01 200 OK\r\n\r\n", ERR_MALFORMED, "HTTP version", 0 },
    { "reply: tab after version", "HTTP/1.1\t200 OK\r\n\r\n", ERR_MALFORMED, "HTTP version", 0 },
    { "reply: one digit", "HTTP/1.1 2 OK\r\n\r\n", ERR_MALFORMED, "status code", 0 },
    { "reply: four digits", "HTTP/1.1 2000 OK\r\n\r\n", ERR_MALFORMED, "status code", 0 },
    { "reply: below 100", "HTTP/1.1 099 OK\r\n\r\n", ERR_MALFORMED, "status code", 0 },
    { "reply: above 599", "HTTP/1.1 600 OK\r\n\r\n", ERR_MALFORMED, "status code", 0 },
    { "reply: control character in reason", "HTTP/1.1 200 O\x01K\r\n\r\n", ERR_MALFORMED,
      "reason phrase", 0 },
    { "reply: coding that is not chunked", OK_REPLY "Transfer-Encoding: gzip\r\n\r\n",
      ERR_MALFORMED, "Transfer-Encoding other than chunked", 0 },
};

/* A head with nothing in it, on the heap: it is large. */
static struct http1_head *new_head(void)
{
    struct http1_head *h = test_calloc(1, sizeof *h);

    h->status = 777;
    return h;
}

static void check_row(const struct row *row, bool response)
{
    struct span in = t_copy(span_str(row->text));
    struct http1_head *h = new_head();
    struct why why = { 0 };
    size_t used = 99;

    enum err r = response ? http1_response_parse(in, false, h, &used, &why)
                          : http1_request_parse(in, h, &used, &why);
    assert_int_equal(r, row->want);
    if (r == ERR_OK) {
        assert_int_equal(used, in.len);
    } else {
        assert_int_equal(used, 99);
        assert_int_equal(h->status, 777);
    }
    if (r != ERR_OK && r != ERR_MORE) {
        assert_string_equal(why.what, row->what);
        assert_int_equal(why.at, row->at);
    }
    test_free(h);
    t_free(in);
}

static void request_row(void **state)
{
    check_row(*state, false);
}

static void response_row(void **state)
{
    check_row(*state, true);
}

static void request_values(void **state)
{
    (void)state;
    struct span in = SPAN_LIT("POST /x?y HTTP/1.1\r\nHost: \t kms \r\nX-A: 1\r\nx-a: 2\r\n"
                              "Expect: 100-Continue\r\nContent-Length: 5\r\n\r\nhelloGET");
    struct http1_head *h = new_head();
    size_t used = 0;

    assert_int_equal(http1_request_parse(in, h, &used, NULL), ERR_OK);
    assert_true(span_is(span_from(in, used), "helloGET"));
    assert_true(span_is(h->method, "POST"));
    assert_true(span_is(h->target, "/x?y"));
    assert_int_equal(h->minor, 1);
    assert_int_equal(h->n_headers, 5);
    assert_true(span_is(http1_header_get(h, "host"), "kms"));
    assert_true(span_is(http1_header_get(h, "X-a"), "1")); /* the first of two */
    assert_null(http1_header_get(h, "absent").ptr);
    assert_int_equal(h->framing, HTTP1_LENGTH);
    assert_int_equal(h->content_length, 5);
    assert_true(h->keep_alive);
    assert_true(h->expect_continue);
    assert_false(h->upgrade);
    test_free(h);
}

static struct meaning_row {
    const char *name, *text;
    bool head_request;
    enum http1_framing framing;
    bool keep_alive, upgrade;
} meaning_rows[] = {
    { "request without a body", OK_HEAD "\r\n", false, HTTP1_NO_BODY, true, false },
    { "chunked request", OK_HEAD "transfer-encoding: CHUNKED\r\n\r\n", false, HTTP1_CHUNKED, true,
      false },
    { "close", OK_HEAD "Connection: x, Close\r\n\r\n", false, HTTP1_NO_BODY, false, false },
    { "close in a second line", OK_HEAD "Connection: keep-alive\r\nConnection: close\r\n\r\n",
      false, HTTP1_NO_BODY, false, false },
    { "closed is not close", OK_HEAD "Connection: closed\r\n\r\n", false, HTTP1_NO_BODY, true,
      false },
    { "HTTP/1.0 closes", "GET / HTTP/1.0\r\n\r\n", false, HTTP1_NO_BODY, false, false },
    { "HTTP/1.0 stays", "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", false, HTTP1_NO_BODY,
      true, false },
    { "HTTP/1.0 says both", "GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", false,
      HTTP1_NO_BODY, false, false },
    { "upgrade", OK_HEAD "Connection: upgrade\r\nUpgrade: h2c\r\n\r\n", false, HTTP1_NO_BODY, true,
      true },
    { "upgrade of no protocol", OK_HEAD "Connection: upgrade\r\n\r\n", false, HTTP1_NO_BODY, true,
      false },
    { "tunnel", "CONNECT h:1 HTTP/1.1\r\n\r\n", false, HTTP1_NO_BODY, true, true },
    { "reply to the end", OK_REPLY "\r\n", false, HTTP1_UNTIL_CLOSE, false, false },
    { "reply of a length", OK_REPLY "Content-Length: 0\r\n\r\n", false, HTTP1_LENGTH, true, false },
    { "chunked reply", OK_REPLY "Transfer-Encoding: chunked\r\n\r\n", false, HTTP1_CHUNKED, true,
      false },
    { "reply to HEAD", OK_REPLY "Content-Length: 9\r\n\r\n", true, HTTP1_NO_BODY, true, false },
    { "no content", "HTTP/1.1 204 No\r\nContent-Length: 9\r\n\r\n", false, HTTP1_NO_BODY, true,
      false },
    { "not modified", "HTTP/1.1 304 No\r\nContent-Length: 9\r\n\r\n", false, HTTP1_NO_BODY, true,
      false },
    { "continue", "HTTP/1.1 100 Continue\r\n\r\n", false, HTTP1_NO_BODY, true, false },
    { "switching protocols", "HTTP/1.1 101 Switch\r\nUpgrade: h2c\r\n\r\n", false, HTTP1_NO_BODY,
      true, true },
};

static void meaning_row(void **state)
{
    const struct meaning_row *row = *state;
    struct span in = span_str(row->text);
    struct http1_head *h = new_head();
    size_t used;

    enum err r = span_starts(in, "HTTP/")
                     ? http1_response_parse(in, row->head_request, h, &used, NULL)
                     : http1_request_parse(in, h, &used, NULL);
    assert_int_equal(r, ERR_OK);
    assert_int_equal(h->framing, row->framing);
    assert_int_equal(h->keep_alive, row->keep_alive);
    assert_int_equal(h->upgrade, row->upgrade);
    test_free(h);
}

static void limits(void **state)
{
    (void)state;
    struct http1_head *h = new_head();
    AUTO(buf_clear) struct buf b = BUF_INIT(2 * HTTP1_HEAD_MAX);
    struct why why = { 0 };
    size_t used;

    for (int n = HTTP1_HEADERS_MAX; n <= HTTP1_HEADERS_MAX + 1; n++) {
        buf_reset(&b);
        assert_int_equal(buf_append_str(&b, OK_HEAD), ERR_OK);
        for (int i = 0; i < n; i++)
            assert_int_equal(buf_printf(&b, "h%d: v\r\n", i), ERR_OK);
        assert_int_equal(buf_append_str(&b, "\r\n"), ERR_OK);
        assert_int_equal(http1_request_parse(buf_view(&b), h, &used, &why),
                         n == HTTP1_HEADERS_MAX ? ERR_OK : ERR_LIMIT);
    }
    assert_string_equal(why.what, "too many headers");

    for (size_t total = HTTP1_HEAD_MAX; total <= HTTP1_HEAD_MAX + 1; total++) {
        buf_reset(&b);
        assert_int_equal(buf_append_str(&b, OK_HEAD), ERR_OK);
        while (b.len + 600 < total)
            assert_int_equal(buf_printf(&b, "a: %0500d\r\n", 0), ERR_OK);
        assert_int_equal(buf_printf(&b, "b: %0*d\r\n\r\n", (int)(total - b.len - 7), 0), ERR_OK);
        assert_int_equal(b.len, total);
        assert_int_equal(http1_request_parse(buf_view(&b), h, &used, &why),
                         total == HTTP1_HEAD_MAX ? ERR_OK : ERR_LIMIT);
    }
    test_free(h);
}

static void head_that_never_ends(void **state)
{
    (void)state;
    struct http1_head *h = new_head();
    AUTO(buf_clear) struct buf b = BUF_INIT(HTTP1_HEAD_MAX + 1000);
    struct why why = { 0 };
    size_t used = 99;

    assert_int_equal(buf_append_str(&b, OK_HEAD), ERR_OK);
    while (b.len + 1000 < HTTP1_HEAD_MAX)
        assert_int_equal(buf_printf(&b, "a: %0500d\r\n", 0), ERR_OK);
    assert_int_equal(http1_request_parse(buf_view(&b), h, &used, &why), ERR_MORE);
    while (b.len < HTTP1_HEAD_MAX)
        assert_int_equal(buf_append_str(&b, "a"), ERR_OK);
    assert_int_equal(http1_request_parse(buf_view(&b), h, &used, &why), ERR_LIMIT);
    assert_string_equal(why.what, "head too long");
    assert_int_equal(used, 99);
    test_free(h);
}

/* A prefix is never taken for the whole, and never for wrong. */
static void truncations(void **state)
{
    (void)state;
    static const char good[] = "\r\nPOST / HTTP/1.1\r\nHost: kms\r\nContent-Length: 3\r\n\r\n";
    struct http1_head *h = new_head();
    size_t used;

    for (size_t n = 0; n < sizeof good - 1; n++) {
        struct span cut = t_copy(span_of(good, n));
        assert_int_equal(http1_request_parse(cut, h, &used, NULL), ERR_MORE);
        t_free(cut);
    }
    assert_int_equal(http1_request_parse(span_of(good, sizeof good - 1), h, &used, NULL), ERR_OK);
    test_free(h);
}

/* Whatever one flipped bit makes of a message, its body does not grow: a length stays a length. */
static void flips(void **state)
{
    (void)state;
    static const char good[] = "POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc";
    struct http1_head *h = new_head();
    size_t used;

    for (size_t bit = 0; bit < 8 * (sizeof good - 1); bit++) {
        char bad[sizeof good];
        memcpy(bad, good, sizeof good);
        bad[bit / 8] = (char)(bad[bit / 8] ^ (1 << bit % 8));
        struct span in = t_copy(span_of(bad, sizeof good - 1));
        if (http1_request_parse(in, h, &used, NULL) == ERR_OK) {
            assert_int_equal(used, sizeof good - 4);
            assert_int_not_equal(h->framing, HTTP1_CHUNKED);
            assert_int_not_equal(h->framing, HTTP1_UNTIL_CLOSE);
        }
        t_free(in);
    }
    test_free(h);
}

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))
enum {
    FIXED = 5,
    REQUESTS = COUNT(request_rows),
    RESPONSES = COUNT(response_rows),
    MEANINGS = COUNT(meaning_rows),
};

int main(void)
{
    struct CMUnitTest tests[FIXED + REQUESTS + RESPONSES + MEANINGS] = {
        cmocka_unit_test(request_values),
        cmocka_unit_test(limits),
        cmocka_unit_test(head_that_never_ends),
        cmocka_unit_test(truncations),
        cmocka_unit_test(flips),
    };
    struct CMUnitTest *next = tests + FIXED;

    next += T_ROWS(next, request_rows, request_row);
    next += T_ROWS(next, response_rows, response_row);
    next += T_ROWS(next, meaning_rows, meaning_row);
    return cmocka_run_group_tests_name("http1_head", tests, NULL, NULL);
}
