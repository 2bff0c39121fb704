#include "http1/http1.h"
#include "testing/t.h"

static struct http1_body body_of(enum http1_framing framing, uint64_t length, uint64_t max)
{
    struct http1_head *h = test_calloc(1, sizeof *h);

    h->framing = framing;
    h->content_length = length;
    struct http1_body b = http1_body_init(h, max);
    test_free(h);
    return b;
}

/* Feed `in` in pieces of at most `step` new bytes, as a connection would; *used: bytes taken. */
static enum err feed(struct http1_body *b, struct span in, size_t step, struct buf *content,
                     size_t *used, struct why *why)
{
    bool done = false;
    size_t there = 0;

    for (*used = 0; !done;) {
        struct span part = SPAN_LIT("untouched");
        size_t n = 12345;
        struct span piece = t_copy(span_sub(in, *used, there - *used));
        enum err r = http1_body_next(b, piece, &part, &n, &done, why);
        if (r != ERR_OK && r != ERR_MORE) {
            assert_true(span_is(part, "untouched"));
            assert_int_equal(n, 12345);
            t_free(piece);
            return r;
        }
        assert_int_equal(buf_append(content, part), ERR_OK);
        t_free(piece);
        *used += n;
        if (r == ERR_MORE && there == in.len)
            return ERR_MORE;
        if (r == ERR_MORE)
            there += step < in.len - there ? step : in.len - there;
    }
    return ERR_OK;
}

static struct row {
    const char *name, *text;
    enum err want;
    const char *content, *what;
    size_t left; /* bytes after the body */
} rows[] = {
    { "two chunks", "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", ERR_OK, "hello world", NULL, 0 },
    { "what follows stays", "1\r\na\r\n0\r\n\r\nGET /", ERR_OK, "a", NULL, 5 },
    { "hexadecimal both cases", "A\r\n0123456789\r\na\r\nabcdefghij\r\n000\r\n\r\n", ERR_OK,
      "0123456789abcdefghij", NULL, 0 },
    { "extensions", "1;a;b=c;d=\"e f\"\r\nx\r\n0;z\r\n\r\n", ERR_OK, "x", NULL, 0 },
    { "trailers", "1\r\nx\r\n0\r\nA: b\r\nC:\r\n\r\n", ERR_OK, "x", NULL, 0 },
    { "nothing", "0\r\n\r\n", ERR_OK, "", NULL, 0 },
    { "at the maximum", "10\r\n0123456789abcdef\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n", ERR_OK,
      "0123456789abcdef0123456789abcdef", NULL, 0 },
    { "past the maximum", "10\r\n0123456789abcdef\r\n11\r\n", ERR_LIMIT, NULL, "body too long", 0 },
    { "huge", "fffffffffffffff\r\n", ERR_LIMIT, NULL, "body too long", 0 },
    { "past 64 bits", "10000000000000000\r\n", ERR_LIMIT, NULL, "chunk size", 0 },
    { "cut in a size", "1", ERR_MORE, NULL, NULL, 0 },
    { "cut in data", "5\r\nhel", ERR_MORE, NULL, NULL, 0 },
    { "cut after data", "5\r\nhello\r", ERR_MORE, NULL, NULL, 0 },
    { "no last chunk", "5\r\nhello\r\n", ERR_MORE, NULL, NULL, 0 },
    { "no empty line", "0\r\n", ERR_MORE, NULL, NULL, 0 },
    { "no size", "\r\n", ERR_MALFORMED, NULL, "chunk size", 0 },
    { "sign", "+1\r\n", ERR_MALFORMED, NULL, "chunk size", 0 },
    { "prefix", "0x1\r\n", ERR_MALFORMED, NULL, "chunk size", 0 },
    { "space before", " 1\r\n", ERR_MALFORMED, NULL, "chunk size", 0 },
    { "space after", "1 \r\n", ERR_MALFORMED, NULL, "chunk size", 0 },
    { "extension of nothing", "1;\r\n", ERR_MALFORMED, NULL, "chunk extension", 0 },
    { "NUL-like byte in extension", "1;\x01\r\n", ERR_MALFORMED, NULL, "chunk extension", 0 },
    { "LF ends a size", "1\nx\r\n", ERR_MALFORMED, NULL, "chunk line end", 0 },
    { "CR in a size line", "1\r;\r\n", ERR_MALFORMED, NULL, "chunk line end", 0 },
    { "data too long", "1\r\nxy\r\n", ERR_MALFORMED, NULL, "chunk end", 0 },
    { "CR without LF after data", "1\r\nx\rx", ERR_MALFORMED, NULL, "chunk end", 0 },
    { "trailer without a colon", "0\r\nabc\r\n\r\n", ERR_MALFORMED, NULL, "trailer", 0 },
    { "trailer without a name", "0\r\n: b\r\n\r\n", ERR_MALFORMED, NULL, "trailer", 0 },
    { "folded trailer", "0\r\nA: b\r\n c: d\r\n\r\n", ERR_MALFORMED, NULL, "trailer", 0 },
    { "control character in trailer", "0\r\nA: \x01\r\n\r\n", ERR_MALFORMED, NULL, "trailer", 0 },
};

/* The same however the bytes are cut. */
static void chunked_row(void **state)
{
    const struct row *row = *state;
    struct span in = span_str(row->text);

    for (size_t step = 1; step <= in.len + 1; step++) {
        struct http1_body b = body_of(HTTP1_CHUNKED, 0, 32);
        AUTO(buf_clear) struct buf content = BUF_INIT(64);
        struct why why = { 0 };
        size_t used = 0;
        assert_int_equal(feed(&b, in, step, &content, &used, &why), row->want);
        assert_int_equal(http1_body_eof(&b), row->want == ERR_OK ? ERR_OK : ERR_MALFORMED);
        if (row->want == ERR_OK) {
            t_assert_buf(&content, row->content);
            assert_int_equal(in.len - used, row->left);
        } else if (row->want != ERR_MORE) {
            assert_string_equal(why.what, row->what);
        }
    }
}

static void of_a_length(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf content = BUF_INIT(64);
    struct http1_body b = body_of(HTTP1_LENGTH, 5, 5);
    struct why why = { 0 };
    size_t used;

    assert_int_equal(feed(&b, SPAN_LIT("helloGET"), 2, &content, &used, NULL), ERR_OK);
    t_assert_buf(&content, "hello");
    assert_int_equal(http1_body_eof(&b), ERR_OK);
    assert_int_equal(b.total, 5);

    buf_reset(&content);
    b = body_of(HTTP1_LENGTH, 5, 5);
    assert_int_equal(feed(&b, SPAN_LIT("hell"), 9, &content, &used, NULL), ERR_MORE);
    t_assert_buf(&content, "hell");
    assert_int_equal(http1_body_eof(&b), ERR_MALFORMED);

    b = body_of(HTTP1_LENGTH, 6, 5); /* refused before the first byte of it */
    assert_int_equal(feed(&b, SPAN_EMPTY, 1, &content, &used, &why), ERR_LIMIT);
    assert_string_equal(why.what, "body too long");

    b = body_of(HTTP1_LENGTH, 0, 0);
    assert_int_equal(feed(&b, SPAN_LIT("GET"), 1, &content, &used, NULL), ERR_OK);
    assert_int_equal(used, 0);
}

static void none_at_all(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf content = BUF_INIT(8);
    struct http1_body b = body_of(HTTP1_NO_BODY, 0, 0);
    size_t used;

    assert_int_equal(http1_body_eof(&b), ERR_OK);
    assert_int_equal(feed(&b, SPAN_LIT("GET"), 1, &content, &used, NULL), ERR_OK);
    assert_int_equal(used, 0);
    assert_int_equal(content.len, 0);
}

static void until_close(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf content = BUF_INIT(64);
    struct http1_body b = body_of(HTTP1_UNTIL_CLOSE, 0, 5);
    struct why why = { 0 };
    size_t used;

    assert_int_equal(feed(&b, SPAN_LIT("hello"), 2, &content, &used, NULL), ERR_MORE);
    t_assert_buf(&content, "hello");
    assert_int_equal(http1_body_eof(&b), ERR_OK);
    b = body_of(HTTP1_UNTIL_CLOSE, 0, 5);
    assert_int_equal(feed(&b, SPAN_LIT("hello!"), 6, &content, &used, &why), ERR_LIMIT);
    assert_string_equal(why.what, "body too long");
}

static void long_lines(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf in = BUF_INIT(1 << 16), content = BUF_INIT(8);
    struct http1_body b = body_of(HTTP1_CHUNKED, 0, 8);
    struct why why = { 0 };
    size_t used;

    assert_int_equal(buf_printf(&in, "1;%0600d", 0), ERR_OK); /* no end in sight */
    assert_int_equal(feed(&b, buf_view(&in), 1, &content, &used, &why), ERR_LIMIT);
    assert_string_equal(why.what, "chunk line too long");

    buf_reset(&in);
    b = body_of(HTTP1_CHUNKED, 0, 8);
    assert_int_equal(buf_append_str(&in, "0\r\n"), ERR_OK);
    for (int i = 0; i < 200; i++) /* each is short, all together are not */
        assert_int_equal(buf_printf(&in, "a: %050d\r\n", 0), ERR_OK);
    assert_int_equal(feed(&b, buf_view(&in), 64, &content, &used, &why), ERR_LIMIT);
    assert_string_equal(why.what, "chunk line too long");
}

/* One call's worth each: seen in the call that passes over it, and gone in the next. */
static void notes(void **state)
{
    (void)state;
    struct span in =
        SPAN_LIT("1;x-error=\"a b\"\r\nz\r\n2\r\nyy\r\n0;last\r\nResult:  ok \r\nEmpty:\r\n\r\n");
    static const struct {
        const char *content, *extension, *name, *value;
    } want[] = {
        { "", "x-error=\"a b\"", "", "" },
        { "z", "", "", "" },
        { "", "", "", "" }, /* the chunk's end */
        { "", "", "", "" }, /* a size without an extension */
        { "yy", "", "", "" },
        { "", "", "", "" },
        { "", "last", "", "" },
        { "", "", "Result", "ok" },
        { "", "", "Empty", "" },
        { "", "", "", "" },
    };
    struct http1_body b = body_of(HTTP1_CHUNKED, 0, 8);
    bool done = false;

    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        struct span content;
        size_t used;
        assert_false(done);
        assert_int_equal(http1_body_next(&b, in, &content, &used, &done, NULL), ERR_OK);
        t_assert_span(content, span_str(want[i].content));
        t_assert_span(b.extension, span_str(want[i].extension));
        t_assert_span(b.trailer.name, span_str(want[i].name));
        t_assert_span(b.trailer.value, span_str(want[i].value));
        in = span_from(in, used);
    }
    assert_true(done);
    assert_int_equal(in.len, 0);
}

enum { FIXED = 5, ROWS = sizeof rows / sizeof rows[0] };

int main(void)
{
    struct CMUnitTest tests[FIXED + ROWS] = {
        cmocka_unit_test(of_a_length), cmocka_unit_test(none_at_all), cmocka_unit_test(until_close),
        cmocka_unit_test(long_lines),  cmocka_unit_test(notes),
    };

    T_ROWS(tests + FIXED, rows, chunked_row);
    return cmocka_run_group_tests_name("http1_body", tests, NULL, NULL);
}
