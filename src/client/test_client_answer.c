#include "client/client.h"
#include "testing/t.h"

#define OK     "HTTP/1.1 200 OK\r\n"
#define BINARY "content-type: application/octet-stream\r\n"

static struct client_reader reader;

static int make(void **state)
{
    (void)state;
    client_reader_init(&reader);
    return 0;
}

static int end(void **state)
{
    (void)state;
    client_reader_clear(&reader);
    return 0;
}

/* The verdict after `text`, of which `step` bytes more are there each time; in copies of their own.
 */
static enum err feed(const char *text, size_t step, size_t *used, struct why *why)
{
    struct span in = span_str(text);
    enum err r = ERR_MORE;
    size_t at = 0;

    for (size_t there = step; r == ERR_MORE; there += step) {
        struct span piece = t_copy(span_sub(in, at, there - at));
        size_t n = 0;
        r = client_reader_feed(&reader, piece, &n, why);
        assert_true(n <= piece.len);
        at += n;
        t_free(piece);
        if (there >= in.len)
            break;
    }
    *used = at;
    return r;
}

static const struct row {
    const char *name, *text;
    enum err want;
    unsigned status;
    const char *body, *what, *behind;
} rows[] = {
    { "length", OK "content-length: 3\r\n\r\nabc", ERR_OK, 200, "abc", NULL, "" },
    { "length, and bytes that are not its", OK "content-length: 3\r\n\r\nabcdef", ERR_OK, 200,
      "abc", NULL, "def" },
    { "empty", OK "content-length: 0\r\n\r\n", ERR_OK, 200, "", NULL, "" },
    { "no content", "HTTP/1.1 204 No Content\r\n\r\n", ERR_OK, 204, "", NULL, "" },
    { "chunks", OK "transfer-encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", ERR_OK, 200,
      "abc", NULL, "" },
    { "interim answers",
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nlink: x\r\n\r\n" OK
      "content-length: 1\r\n\r\nx",
      ERR_OK, 200, "x", NULL, "" },
    { "half a body", OK "content-length: 4\r\n\r\nabc", ERR_MORE, 200, "abc", NULL, NULL },
    { "half a head", OK "content-length: 4\r\n", ERR_MORE, 0, "", NULL, NULL },
    { "the seed protocol", "{\"error\":\"x\"}", ERR_MALFORMED, 0, "", "not an HTTP answer", NULL },
    { "a line that is no status line", "HTTP/2 200\r\n\r\n", ERR_MALFORMED, 0, "",
      "not an HTTP answer", NULL },
    { "empty lines before it", "\r\n\r\n" OK "content-length: 0\r\n\r\n", ERR_MALFORMED, 0, "",
      "not an HTTP answer", NULL },
    { "switching", "HTTP/1.1 101 Switching\r\n\r\n", ERR_MALFORMED, 0, "",
      "another protocol than was asked for", NULL },
    { "a chunk that is none", OK "transfer-encoding: chunked\r\n\r\nx\r\n", ERR_MALFORMED, 200, "",
      NULL, NULL },
    { "a body past the limit", OK "content-length: 268435457\r\n\r\nx", ERR_LIMIT, 200, "",
      "body too long", NULL },
};

static void read_row(void **state)
{
    const struct row *row = *state;
    size_t steps[] = { 1, 2, 3, 7, 1000 };

    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        struct why why = { 0 };
        size_t used = 0;
        client_reader_init(&reader);
        assert_int_equal(feed(row->text, steps[i], &used, &why), row->want);
        if (row->what)
            assert_string_equal(why.what, row->what);
        assert_int_equal(reader.has_head ? reader.head.status : 0, row->status);
        t_assert_buf(&reader.body, row->body);
        if (row->behind)
            assert_string_equal(row->text + used, row->behind);
        client_reader_clear(&reader);
    }
}

static void head_limit(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf text = BUF_INIT(CLIENT_HEAD_MAX_BYTES + 8);
    struct why why = { 0 };
    size_t used;
    uint8_t *room;

    assert_int_equal(buf_append_str(&text, OK "x: "), ERR_OK);
    size_t fill = CLIENT_HEAD_MAX_BYTES - text.len - 4;
    assert_int_equal(buf_reserve(&text, fill, &room), ERR_OK);
    memset(room, 'a', fill);
    buf_commit(&text, fill);
    assert_int_equal(buf_append_str(&text, "\r\n\r\n"), ERR_OK);
    assert_int_equal(client_reader_feed(&reader, buf_view(&text), &used, &why), ERR_MORE);
    assert_true(reader.has_head);
    client_reader_clear(&reader);
    text.ptr[text.len - 4] = 'a'; /* the end comes one byte later */
    memcpy(text.ptr + text.len - 3, "\r\n\r", 3);
    assert_int_equal(buf_append_byte(&text, '\n'), ERR_OK);
    assert_int_equal(client_reader_feed(&reader, buf_view(&text), &used, &why), ERR_LIMIT);
    assert_string_equal(why.what, "head of the answer is too long");
}

static void ends(void **state)
{
    (void)state;
    size_t used;

    assert_true(client_reader_is_empty(&reader));
    assert_int_equal(client_reader_eof(&reader), ERR_MALFORMED);
    assert_int_equal(feed(OK "\r\nuntil the end", 5, &used, NULL), ERR_MORE);
    assert_false(client_reader_is_empty(&reader));
    assert_int_equal(client_reader_eof(&reader), ERR_OK);
    t_assert_buf(&reader.body, "until the end");
    client_reader_clear(&reader);
    assert_int_equal(feed(OK "content-length: 2\r\n\r\nx", 100, &used, NULL), ERR_MORE);
    assert_int_equal(client_reader_eof(&reader), ERR_MALFORMED);
}

static void take(const char *text)
{
    size_t used;

    client_reader_clear(&reader);
    assert_int_equal(feed(text, 1000, &used, NULL), ERR_OK);
}

static void sealed(void **state)
{
    (void)state;
    struct client_sealed s = { .signature_b64 = SPAN_LIT("untouched") };
    struct why why = { 0 };

    take(OK BINARY
         "nitroseal-signature: c2ln\r\nnitroseal-ciphertext-blob: YmxvYg==\r\nnitroseal-key-id: "
         "arn\r\n"
         "nitroseal-request-id: 1-2\r\ncontent-length: 28\r\n\r\n0123456789012345678901234567");
    assert_int_equal(client_sealed_parse(&reader, &s, &why), ERR_OK);
    assert_int_equal(s.encrypted.len, 28);
    t_assert_span(s.signature_b64, SPAN_LIT("c2ln"));
    t_assert_span(s.ciphertext_blob_b64, SPAN_LIT("YmxvYg=="));
    t_assert_span(s.key_id, SPAN_LIT("arn"));
    t_assert_span(s.request_id, SPAN_LIT("1-2"));
    const struct {
        const char *text, *what;
    } bad[] = {
        { OK BINARY "nitroseal-signature: x\r\nnitroseal-ciphertext-blob: x\r\ncontent-length: "
                    "27\r\n\r\n012345678901234567890123456",
          "body of another length" },
        { OK BINARY
          "nitroseal-ciphertext-blob: x\r\ncontent-length: 28\r\n\r\n0123456789012345678901234567",
          "header Nitroseal-Signature is missing" },
        { OK BINARY
          "nitroseal-signature: x\r\ncontent-length: 28\r\n\r\n0123456789012345678901234567",
          "header Nitroseal-Ciphertext-Blob is missing" },
        { OK "content-type: text/html\r\ncontent-length: 28\r\n\r\n0123456789012345678901234567",
          "content type other than application/octet-stream" },
        { "HTTP/1.1 204 No Content\r\n\r\n", "status other than 200" },
    };
    s.signature_b64 = SPAN_LIT("untouched");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        take(bad[i].text);
        assert_int_equal(client_sealed_parse(&reader, &s, &why), ERR_MALFORMED);
        assert_string_equal(why.what, bad[i].what);
        t_assert_span(s.signature_b64, SPAN_LIT("untouched"));
    }
}

static void bytes(void **state)
{
    (void)state;
    struct client_bytes b = { .key_id = SPAN_LIT("untouched") };

    take(OK "content-type: Application/Octet-Stream; x=y\r\nnitroseal-key-id: "
            "\xff\r\ncontent-length: 4\r\n\r\nabcd");
    assert_int_equal(client_bytes_parse(&reader, 5, 9, &b, NULL), ERR_MALFORMED);
    assert_int_equal(client_bytes_parse(&reader, 0, 3, &b, NULL), ERR_MALFORMED);
    t_assert_span(b.key_id, SPAN_LIT("untouched"));
    assert_int_equal(client_bytes_parse(&reader, 4, 4, &b, NULL), ERR_OK);
    t_assert_span(b.bytes, SPAN_LIT("abcd"));
    assert_null(b.key_id.ptr); /* not UTF-8: not a text to hand on */
}

static void text(void **state)
{
    (void)state;
    struct proto_answer a = { .signature_valid = true };
    struct why why = { 0 };

    take(OK
         "content-length: "
         "61\r\n\r\n{\"encrypted\":\"e\",\"signature\":\"s\",\"ciphertext_blob\":\"b\",\"x\":1}");
    assert_int_equal(client_text_parse(&reader, PROTO_ENCRYPT, &a, &why), ERR_OK);
    t_assert_span(a.encrypted.raw, SPAN_LIT("e"));
    assert_int_equal(client_text_parse(&reader, PROTO_DECRYPT, &a, &why), ERR_MALFORMED);
    take(OK "content-length: 13\r\n\r\n{\"error\":\"x\"}");
    assert_int_equal(client_text_parse(&reader, PROTO_ENCRYPT, &a, &why), ERR_MALFORMED);
    assert_string_equal(why.what, "an error with status 200");
    take("HTTP/1.1 201 x\r\ncontent-length: 2\r\n\r\n{}");
    assert_int_equal(client_text_parse(&reader, PROTO_ENCRYPT, &a, &why), ERR_MALFORMED);
    assert_string_equal(why.what, "status other than 200");
}

#define PROBLEM "HTTP/1.1 503 Busy\r\ncontent-type: application/problem+json\r\nretry-after: 7\r\n"

static void problem_parse(struct client_problem *p)
{
    const struct client_refusal r = client_reader_refusal(&reader);

    client_problem_parse(&r, p);
}

static void problems(void **state)
{
    (void)state;
    struct client_problem p;

    take(PROBLEM "content-length: 63\r\n\r\n{\"code\":\"busy\",\"title\":\"Service is "
                 "busy\",\"hint\":\"w\",\"status\":1}");
    problem_parse(&p);
    assert_true(json_str_is(p.code, "busy") && json_str_is(p.title, "Service is busy"));
    assert_true(json_str_is(p.hint, "w") && !json_str_is_set(p.kms_type));
    assert_int_equal(p.status, 503); /* what was sent, not what the text says */
    assert_int_equal(p.retry_after_s, 7);
    const char *bare[] = {
        PROBLEM "content-length: 15\r\n\r\n{\"code\":\"busy\"]",
        "HTTP/1.1 503 Busy\r\ncontent-type: text/html\r\nretry-after: 7\r\ncontent-length: "
        "15\r\n\r\n{\"code\":\"busy\"}",
    };
    for (size_t i = 0; i < 2; i++) {
        take(bare[i]);
        problem_parse(&p);
        assert_false(json_str_is_set(p.code));
        assert_int_equal(p.status, 503);
        assert_int_equal(p.retry_after_s, 7);
    }
    take("HTTP/1.1 400 x\r\ncontent-type: application/problem+json\r\nretry-after: Sat, 28 Nov "
         "2026 09:00:00 GMT\r\n"
         "content-length: 10\r\n\r\n{\"code\":1}");
    problem_parse(&p);
    assert_false(json_str_is_set(p.code)); /* of the wrong type */
    assert_int_equal(p.retry_after_s, 0);
}

enum { N_ROWS = sizeof rows / sizeof rows[0], N_TESTS = 7 };

int main(void)
{
    const struct CMUnitTest others[N_TESTS] = {
        cmocka_unit_test_setup_teardown(head_limit, make, end),
        cmocka_unit_test_setup_teardown(ends, make, end),
        cmocka_unit_test_setup_teardown(sealed, make, end),
        cmocka_unit_test_setup_teardown(bytes, make, end),
        cmocka_unit_test_setup_teardown(text, make, end),
        cmocka_unit_test_setup_teardown(problems, make, end),
    };
    struct CMUnitTest tests[N_ROWS + N_TESTS - 1];
    size_t n = 0;

    n += T_ROWS(tests + n, rows, read_row);
    for (size_t i = 0; others[i].test_func; i++)
        tests[n++] = others[i];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
