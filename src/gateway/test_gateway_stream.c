#include "gateway/gateway.h"
#include "testing/t.h"

static struct row {
    const char *name;
    enum http1_framing from;
    uint64_t length;
    enum http1_framing to;
    const char *in;
    enum err want;
    const char *content, *trailers;
    size_t left;
} rows[] = {
    { "length", HTTP1_LENGTH, 5, HTTP1_LENGTH, "helloGET ", ERR_OK, "hello", "", 4 },
    { "length 0", HTTP1_LENGTH, 0, HTTP1_LENGTH, "GET ", ERR_OK, "", "", 4 },
    { "no body", HTTP1_NO_BODY, 0, HTTP1_NO_BODY, "GET ", ERR_OK, "", "", 4 },
    { "length, cut", HTTP1_LENGTH, 5, HTTP1_LENGTH, "hell", ERR_MALFORMED, "hell", "", 0 },
    { "chunks", HTTP1_CHUNKED, 0, HTTP1_CHUNKED, "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\nGET ", ERR_OK,
      "abcde", "", 4 },
    { "chunks to 1.0", HTTP1_CHUNKED, 0, HTTP1_UNTIL_CLOSE, "3\r\nabc\r\n0\r\nA: b\r\n\r\nX",
      ERR_OK, "abc", "", 1 },
    { "no chunk", HTTP1_CHUNKED, 0, HTTP1_CHUNKED, "0\r\n\r\n", ERR_OK, "", "", 0 },
    { "trailers", HTTP1_CHUNKED, 0, HTTP1_CHUNKED,
      "1\r\na\r\n0\r\nNitroseal-Signature: x\r\nB: c\r\n\r\n", ERR_OK, "a",
      "Nitroseal-Signature: x\r\nB: c\r\n", 0 },
    { "trailers about framing", HTTP1_CHUNKED, 0, HTTP1_CHUNKED,
      "0\r\nContent-Length: 3\r\nTransfer-Encoding: x\r\nHost: b\r\nX: y\r\nbad name: z\r\n\r\n",
      ERR_OK, "", "X: y\r\n", 0 },
    { "chunks, cut in the data", HTTP1_CHUNKED, 0, HTTP1_CHUNKED, "5\r\nab", ERR_MALFORMED, "ab",
      "", 0 },
    { "chunks, cut before the last line", HTTP1_CHUNKED, 0, HTTP1_CHUNKED, "1\r\na\r\n0\r\n",
      ERR_MALFORMED, "a", "", 0 },
    { "chunk size", HTTP1_CHUNKED, 0, HTTP1_CHUNKED, "x\r\n", ERR_MALFORMED, "", "", 0 },
    { "chunk end", HTTP1_CHUNKED, 0, HTTP1_CHUNKED, "1\r\nabc", ERR_MALFORMED, "a", "", 0 },
    { "until the end", HTTP1_UNTIL_CLOSE, 0, HTTP1_UNTIL_CLOSE, "hello", ERR_OK, "hello", "", 0 },
    { "until the end, for 1.1", HTTP1_UNTIL_CLOSE, 0, HTTP1_CHUNKED, "hello", ERR_OK, "hello", "",
      0 },
    { "nothing until the end, for 1.1", HTTP1_UNTIL_CLOSE, 0, HTTP1_CHUNKED, "", ERR_OK, "", "",
      0 },
    { "a request is not taken back", HTTP1_CHUNKED, 0, HTTP1_CHUNKED,
      "1;nitroseal-error=\"busy\"\r\nx\r\n0\r\n\r\n", ERR_OK, "x", "", 0 },
};

/* Read in pieces of `step` bytes, as connections bring it; `room` bytes leave at a time. `status`
 * 0: the body of a request. */
static enum err relay(const struct row *row, unsigned status, size_t step, size_t room,
                      struct buf *all, size_t *used)
{
    struct span in = span_str(row->in);
    struct http1_head *head = test_calloc(1, sizeof *head);
    size_t there = 0;
    enum err r = ERR_OK;

    head->framing = row->from;
    head->content_length = row->length;
    head->status = status;
    struct gateway_stream s = gateway_stream_init(head, row->to);
    test_free(head);
    for (*used = 0; !s.done;) {
        AUTO(buf_clear) struct buf out = BUF_INIT(room);
        struct span piece = t_copy(span_sub(in, *used, there - *used));
        size_t n = 0;
        r = gateway_stream_next(&s, piece, &out, &n, NULL);
        assert_true(n <= piece.len);
        t_free(piece);
        *used += n;
        assert_int_equal(buf_append(all, buf_view(&out)), ERR_OK);
        if (r != ERR_OK && r != ERR_MORE)
            return r;
        if (r == ERR_MORE && there == in.len) {
            AUTO(buf_clear) struct buf last = BUF_INIT(64);
            r = gateway_stream_eof(&s, &last);
            return r == ERR_OK ? buf_append(all, buf_view(&last)) : r;
        }
        if (r == ERR_MORE)
            there += step < in.len - there ? step : in.len - there;
    }
    return ERR_OK;
}

/* Chunks as another reader sees them: content, and the trailer lines. */
static void dechunk(struct span in, struct buf *content, struct buf *trailers)
{
    for (;;) {
        struct span rest = in;
        struct span line = span_cut(&rest, '\r');
        size_t size = 0;
        for (size_t i = 0; i < line.len; i++)
            size = size * 16 + (size_t)strchr("0123456789abcdef", line.ptr[i])[0] -
                   (line.ptr[i] <= '9' ? '0' : 'a' - 10);
        in = span_from(rest, 1);
        if (size == 0)
            break;
        assert_int_equal(buf_append(content, span_sub(in, 0, size)), ERR_OK);
        t_assert_span(span_sub(in, size, 2), SPAN_LIT("\r\n"));
        in = span_from(in, size + 2);
    }
    assert_true(in.len >= 2);
    t_assert_span(span_from(in, in.len - 2), SPAN_LIT("\r\n"));
    assert_int_equal(buf_append(trailers, span_sub(in, 0, in.len - 2)), ERR_OK);
}

static void stream(void **state)
{
    const struct row *row = *state;
    static const size_t steps[] = { 1, 2, 3, 7, 1000 }, rooms[] = { 8300, 65536 };

    for (size_t k = 0; k < 10; k++) {
        AUTO(buf_clear)
        struct buf all = BUF_INIT(4096), content = BUF_INIT(4096), trailers = BUF_INIT(4096);
        size_t used = 0;
        enum err r = relay(row, 0, steps[k / 2], rooms[k % 2], &all, &used);
        assert_int_equal(r, row->want);
        if (r != ERR_OK)
            continue;
        assert_int_equal(strlen(row->in) - used, row->left);
        if (row->to == HTTP1_CHUNKED)
            dechunk(buf_view(&all), &content, &trailers);
        else
            assert_int_equal(buf_append(&content, buf_view(&all)), ERR_OK);
        t_assert_buf(&content, row->content);
        t_assert_buf(&trailers, row->trailers);
    }
}

#define BACK "1;nitroseal-error=\"message_not_authentic\"\r\n"

static struct back_row {
    const char *name;
    enum http1_framing to;
    const char *in, *out; /* out: what leaves in one piece */
    size_t used;
} backs[] = {
    { "taken back", HTTP1_CHUNKED, "3\r\nabc\r\n" BACK, "3\r\nabc\r\n" BACK, 8 + sizeof BACK - 1 },
    { "taken back at once", HTTP1_CHUNKED, BACK, BACK, sizeof BACK - 1 },
    { "taken back, and the chunk all the same", HTTP1_CHUNKED, BACK "x\r\n0\r\n\r\n", BACK,
      sizeof BACK - 1 },
    { "taken back in the last chunk", HTTP1_CHUNKED, "0;nitroseal-error=\"busy\"; a\r\n\r\n",
      "0;nitroseal-error=\"busy\"; a\r\n", 29 },
    { "taken back, to 1.0", HTTP1_UNTIL_CLOSE, "3\r\nabc\r\n" BACK, "abc", 8 + sizeof BACK - 1 },
};

/* The line goes on as it came, and nothing goes behind it, however the bytes come. */
static void taken_back(void **state)
{
    const struct back_row *b = *state;
    const struct row row = { .from = HTTP1_CHUNKED, .to = b->to, .in = b->in };
    static const size_t steps[] = { 1, 2, 3, 7, 1000 };

    for (size_t k = 0; k < 5; k++) {
        AUTO(buf_clear) struct buf all = BUF_INIT(4096);
        struct span want = span_str(b->out);
        size_t used = 0;
        assert_int_equal(relay(&row, 200, steps[k], 65536, &all, &used), ERR_DENIED);
        assert_int_equal(used, b->used);
        if (steps[k] < 1000 && b->to == HTTP1_CHUNKED && want.len > sizeof BACK - 1) {
            /* the chunks before it are smaller ones */
            want = span_from(want, want.len - (sizeof BACK - 1));
            assert_true(all.len > want.len);
        }
        t_assert_span(span_from(buf_view(&all), all.len - want.len), want);
    }
}

/* The longest line that the reader takes finds its room, in the next piece if not in this one. */
static void taken_back_at_length(void **state)
{
    (void)state;
    for (size_t more = 0; more <= 1; more++) {
        AUTO(buf_clear) struct buf in = BUF_INIT(2048), all = BUF_INIT(4096);
        size_t used = 0;
        assert_int_equal(buf_append_str(&in, "190\r\n"), ERR_OK);
        while (in.len < 5 + 0x190)
            assert_int_equal(buf_append_byte(&in, 'x'), ERR_OK);
        assert_int_equal(buf_append_str(&in, "\r\n1;nitroseal-error=\""), ERR_OK);
        while (in.len < 5 + 0x190 + 2 + 510 + more)
            assert_int_equal(buf_append_byte(&in, 'a'), ERR_OK);
        assert_int_equal(buf_append_str(&in, "\"\r\n"), ERR_OK);
        const struct row row = { .from = HTTP1_CHUNKED, .to = HTTP1_CHUNKED, .in = buf_cstr(&in) };
        assert_int_equal(relay(&row, 200, 1000, 600, &all, &used), more ? ERR_LIMIT : ERR_DENIED);
        if (!more)
            t_assert_buf(&all, buf_cstr(&in));
    }
}

/* Only that one, and nothing that begins like it. */
static void other_extensions(void **state)
{
    const struct row row = { .from = HTTP1_CHUNKED,
                             .to = HTTP1_CHUNKED,
                             .in = "1;nitroseal-errors=\"busy\"\r\nx\r\n"
                                   "1;a;nitroseal-error=\"busy\"\r\ny\r\n0\r\n\r\n" };
    AUTO(buf_clear) struct buf all = BUF_INIT(4096);
    size_t used = 0;
    (void)state;

    assert_int_equal(relay(&row, 200, 1000, 65536, &all, &used), ERR_OK);
    t_assert_buf(&all, "1\r\nx\r\n1\r\ny\r\n0\r\n\r\n");
}

/* Content that does not fit `out` waits. */
static void little_room(void **state)
{
    struct http1_head *head = test_calloc(1, sizeof *head);
    AUTO(buf_clear) struct buf out = BUF_INIT(30);
    size_t n = 0;
    (void)state;

    head->framing = HTTP1_CHUNKED;
    struct gateway_stream s = gateway_stream_init(head, HTTP1_CHUNKED);
    assert_int_equal(gateway_stream_next(&s, SPAN_LIT("a\r\n0123456789\r\n"), &out, &n, NULL),
                     ERR_OK);
    assert_int_equal(n, 3 + 6); /* six bytes: the frame of a chunk may take 24 */
    t_assert_buf(&out, "6\r\n012345\r\n");
    assert_int_equal(s.bytes, 6);
    test_free(head);
}

static void plain(void **state)
{
    struct http1_head *head = test_calloc(1, sizeof *head);
    (void)state;

    head->framing = HTTP1_LENGTH;
    head->content_length = 5;
    struct gateway_stream s = gateway_stream_init(head, HTTP1_LENGTH);
    assert_int_equal(gateway_stream_plain(&s, SPAN_LIT("hel")), 3);
    gateway_stream_skip(&s, 3);
    assert_false(s.done);
    assert_int_equal(gateway_stream_plain(&s, SPAN_LIT("loGET")), 2);
    gateway_stream_skip(&s, 2);
    assert_true(s.done);
    assert_int_equal(s.bytes, 5);
    assert_int_equal(gateway_stream_plain(&s, SPAN_LIT("GET")), 0);
    s = gateway_stream_init(head, HTTP1_CHUNKED);
    assert_int_equal(gateway_stream_plain(&s, SPAN_LIT("hello")), 0);
    head->framing = HTTP1_CHUNKED;
    s = gateway_stream_init(head, HTTP1_CHUNKED);
    assert_int_equal(gateway_stream_plain(&s, SPAN_LIT("hello")), 0);
    head->framing = HTTP1_UNTIL_CLOSE;
    s = gateway_stream_init(head, HTTP1_UNTIL_CLOSE);
    assert_int_equal(gateway_stream_plain(&s, SPAN_LIT("hello")), 5);
    test_free(head);
}

/* A trailer line of 8 KiB passes, a longer one is refused, however little there is at a time. */
static void long_trailers(void **state)
{
    (void)state;
    for (size_t more = 0; more <= 2; more += 2) {
        AUTO(buf_clear) struct buf in = BUF_INIT(16384), all = BUF_INIT(16384);
        size_t used = 0;
        assert_int_equal(buf_append_str(&in, "0\r\nX: "), ERR_OK);
        while (in.len < 3 + 8192 - 2 + more)
            assert_int_equal(buf_append_byte(&in, 'a'), ERR_OK);
        assert_int_equal(buf_append_str(&in, "\r\n"), ERR_OK);
        const struct row row = { .from = HTTP1_CHUNKED, .to = HTTP1_CHUNKED, .in = buf_cstr(&in) };
        enum err r = relay(&row, 0, 500, 65536, &all, &used);
        /* The line itself has room; that no byte is left for the empty one is what is told. */
        assert_int_equal(r, more ? ERR_LIMIT : ERR_MALFORMED);
    }
}

int main(void)
{
    enum { N = sizeof rows / sizeof rows[0], BACKS = sizeof backs / sizeof backs[0] };
    struct CMUnitTest tests[N + 5 + BACKS];

    T_ROWS(tests, rows, stream);
    tests[N] = (struct CMUnitTest)cmocka_unit_test(little_room);
    tests[N + 1] = (struct CMUnitTest)cmocka_unit_test(plain);
    tests[N + 2] = (struct CMUnitTest)cmocka_unit_test(long_trailers);
    tests[N + 3] = (struct CMUnitTest)cmocka_unit_test(taken_back_at_length);
    tests[N + 4] = (struct CMUnitTest)cmocka_unit_test(other_extensions);
    T_ROWS(tests + N + 5, backs, taken_back);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
