#include "client/stream.h"

#include "testing/t.h"

#define HEAD                                                                                       \
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nnitroseal-suite: "                           \
    "0x0478\r\nnitroseal-key-id: arn:k\r\nnitroseal-request-id: r-1\r\n\r\n"
#define GOOD   "nitroseal-result: ok\r\n\r\n"
#define REFUSE "HTTP/1.1 403 Forbidden\r\ncontent-type: application/problem+json\r\n"

/* ---- pairs and requests ---- */

static void pairs(void **state)
{
    (void)state;
    static const struct {
        const char *text, *key, *value, *what;
    } rows[] = {
        { "a=b", "a", "b", NULL },
        { "a=", "a", "", NULL },
        { "a=b=c", "a", "b=c", NULL },
        { "\xe4\xb8\x96=\xc3\xbc", "\xe4\xb8\x96", "\xc3\xbc", NULL },
        { "ab", NULL, NULL, "no '=' between name and value" },
        { "", NULL, NULL, "no '=' between name and value" },
        { "=b", NULL, NULL, "no name before the '='" },
        { "a=\xff", NULL, NULL, "not UTF-8" },
        { "aws-crypto-public-key=x", NULL, NULL, "names that begin with aws-crypto- are reserved" },
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct client_pair p = { .name = SPAN_LIT("untouched") };
        struct why why = { 0 };
        enum err r = client_pair_parse(span_str(rows[i].text), &p, &why);
        assert_int_equal(r, rows[i].what ? ERR_MALFORMED : ERR_OK);
        if (rows[i].what) {
            assert_string_equal(why.what, rows[i].what);
            t_assert_span(p.name, SPAN_LIT("untouched"));
        } else {
            t_assert_span(p.name, span_str(rows[i].key));
            t_assert_span(p.value, span_str(rows[i].value));
        }
    }
}

static void requests(void **state)
{
    (void)state;
    static const struct client_pair some[] = { { SPAN_INIT("tenant"), SPAN_INIT("a b\r\n") },
                                               { SPAN_INIT("\xc3\xbc"), SPAN_INIT("=") } };
    struct client_question q = { .op = CLIENT_STREAM_ENCRYPT,
                                 .context = some,
                                 .n_context = 2,
                                 .suite = "0x0578",
                                 .frame_length = 1048576,
                                 .key_id = "arn:k",
                                 .has_length = true,
                                 .length = UINT64_C(10000000000) };
    AUTO(buf_clear) struct buf out = BUF_INIT(1 << 12);

    assert_int_equal(client_stream_write(&q, &out), ERR_OK);
    t_assert_buf(&out, "POST /v1/messages/encrypt HTTP/1.1\r\nhost: nitroseal\r\ncontent-type: "
                       "application/octet-stream\r\nte: trailers\r\ncontent-length: 10000000000\r\n"
                       "nitroseal-suite: 0x0578\r\nnitroseal-frame-length: 1048576\r\n"
                       "nitroseal-key-id: arn:k\r\n"
                       "nitroseal-encryption-context: tenant=a%20b%0D%0A\r\n"
                       "nitroseal-encryption-context: %C3%BC=%3D\r\n\r\n");
    buf_reset(&out);
    q = (struct client_question){ .op = CLIENT_STREAM_DECRYPT, .required = some, .n_required = 1 };
    assert_int_equal(client_stream_write(&q, &out), ERR_OK);
    t_assert_buf(&out, "POST /v1/messages/decrypt HTTP/1.1\r\nhost: nitroseal\r\ncontent-type: "
                       "application/octet-stream\r\nte: trailers\r\ntransfer-encoding: chunked\r\n"
                       "nitroseal-require-context: tenant=a%20b%0D%0A\r\n\r\n");
    buf_reset(&out);
    q = (struct client_question){ .op = CLIENT_STREAM_REWRAP, .key_id = "arn:k\r\nx: y" };
    assert_int_equal(client_stream_write(&q, &out), ERR_MALFORMED);
    q = (struct client_question){ .context = some, .n_context = CLIENT_STREAM_PAIRS_MAX + 1 };
    assert_int_equal(client_stream_write(&q, &out), ERR_LIMIT);
    assert_int_equal(out.len, 0);
}

/* ---- answers ---- */

/* In pieces of `step`; what came as the stream is appended. */
static enum err read_all(struct client_stream *a, struct span in, size_t step, struct buf *out,
                         struct why *why)
{
    enum err r = ERR_OK;

    client_stream_init(a);
    for (size_t at = 0; at < in.len; at += step) {
        struct span piece = t_copy(span_sub(in, at, step)), rest = piece;
        do {
            struct span content = SPAN_LIT("untouched");
            r = client_stream_take(a, &rest, &content, why);
            if (r == ERR_OK || r == ERR_MORE)
                assert_int_equal(buf_append(out, content), ERR_OK);
        } while (r == ERR_OK && (rest.len || !a->is_over));
        t_free(piece);
        if (r != ERR_OK && r != ERR_MORE)
            return r;
    }
    return r;
}

static struct row {
    const char *name, *text;
    enum err want;
    bool over, good;
    unsigned status;
    const char *stream, *code, *what;
} rows[] = {
    { "whole", HEAD "5\r\nhello\r\n0\r\n" GOOD, ERR_OK, true, true, 200, "hello", "", NULL },
    { "nothing inside", HEAD "0\r\n" GOOD, ERR_OK, true, true, 200, "", "", NULL },
    { "after an interim answer", "HTTP/1.1 100 Continue\r\n\r\n" HEAD "1\r\nx\r\n0\r\n" GOOD,
      ERR_OK, true, true, 200, "x", "", NULL },
    { "trailer in other letters", HEAD "1\r\nx\r\n0\r\nNitroSeal-Result: ok\r\n\r\n", ERR_OK, true,
      true, 200, "x", "", NULL },
    { "no trailer", HEAD "1\r\nx\r\n0\r\n\r\n", ERR_OK, true, false, 200, "x", "", NULL },
    { "another result", HEAD "1\r\nx\r\n0\r\nnitroseal-result: no\r\n\r\n", ERR_OK, true, false,
      200, "x", "", NULL },
    { "another trailer", HEAD "1\r\nx\r\n0\r\nresult: ok\r\n\r\n", ERR_OK, true, false, 200, "x",
      "", NULL },
    { "the result as a header is none",
      "HTTP/1.1 200 OK\r\nnitroseal-result: ok\r\ncontent-length: 1\r\n\r\nx", ERR_OK, true, false,
      200, "x", "", NULL },
    { "broken off", HEAD "5\r\nhello\r\n1;nitroseal-error=\"message_not_authentic\"\r\n", ERR_MORE,
      false, false, 200, "hello", "message_not_authentic", NULL },
    { "broken off, and a byte all the same", HEAD "1;nitroseal-error=\"busy\"\r\nx\r\n0\r\n" GOOD,
      ERR_OK, true, true, 200, "", "busy", NULL },
    { "a code that is none", HEAD "1;nitroseal-error=\"\tB-\"\r\n", ERR_MORE, false, false, 200, "",
      "???", NULL },
    { "another extension", HEAD "1;a=\"b\"\r\nx\r\n", ERR_MORE, false, false, 200, "x", "", NULL },
    { "a problem", REFUSE "content-length: 2\r\n\r\n{}", ERR_OK, true, false, 403, "", "", NULL },
    { "a problem in chunks", REFUSE "transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n" GOOD,
      ERR_OK, true, false, 403, "", "", NULL },
    { "no body", "HTTP/1.1 204 No Content\r\n\r\n", ERR_OK, true, false, 204, "", "", NULL },
    { "bytes after the end", HEAD "0\r\n" GOOD "x", ERR_MALFORMED, true, false, 200, "", "",
      "bytes after the answer's end" },
    { "a chunk that lies", HEAD "1\r\nxy\r\n", ERR_MALFORMED, false, false, 200, "x", "",
      "chunk end" },
    { "a problem that is too long", REFUSE "content-length: 65537\r\n\r\n", ERR_LIMIT, false, false,
      403, "", "", "body too long" },
};

static void row(void **state)
{
    const struct row *w = *state;
    struct span in = span_str(w->text);

    for (size_t step = 1; step <= in.len; step = step * 2 + 1) {
        AUTO(client_stream_clear) struct client_stream a;
        AUTO(buf_clear) struct buf out = BUF_INIT(1 << 10);
        struct why why = { 0 };
        assert_int_equal(read_all(&a, in, step, &out, &why), w->want);
        t_assert_buf(&out, w->stream);
        assert_int_equal(a.status, w->status);
        assert_int_equal(a.is_over, w->over);
        assert_string_equal(a.code, w->code);
        if (w->want == ERR_OK)
            assert_int_equal(client_stream_is_good(&a), w->good);
        if (w->what)
            assert_string_equal(why.what, w->what);
        if (w->status == 200 && span_starts(in, "HTTP/1.1 200 OK\r\ntransfer")) {
            t_assert_span(a.suite, SPAN_LIT("0x0478"));
            t_assert_span(a.key_id, SPAN_LIT("arn:k"));
            t_assert_span(a.request_id, SPAN_LIT("r-1"));
        }
    }
}

static void no_cut_is_good(void **state)
{
    (void)state;
    struct span in = SPAN_LIT(HEAD "5\r\nhello\r\n3\r\nabc\r\n0\r\n" GOOD);

    for (size_t n = 0; n < in.len; n++) {
        AUTO(client_stream_clear) struct client_stream a;
        AUTO(buf_clear) struct buf out = BUF_INIT(1 << 10);
        client_stream_init(&a);
        enum err r = n ? read_all(&a, span_sub(in, 0, n), 7, &out, NULL) : ERR_MORE;
        assert_int_equal(r, ERR_MORE);
        assert_false(client_stream_is_good(&a));
    }
}

static void head_without_end(void **state)
{
    (void)state;
    AUTO(client_stream_clear) struct client_stream a;
    AUTO(buf_clear) struct buf in = BUF_INIT(1 << 20), out = BUF_INIT(16);
    struct why why = { 0 };

    assert_int_equal(buf_append_str(&in, "HTTP/1.1 200 OK\r\n"), ERR_OK);
    for (int i = 0; i < 2000; i++)
        assert_int_equal(buf_printf(&in, "a%d: %060d\r\n", i, 0), ERR_OK);
    assert_int_equal(read_all(&a, buf_view(&in), 1 << 20, &out, &why), ERR_LIMIT);
    assert_non_null(why.what);
}

static void problems(void **state)
{
    (void)state;
    const struct client_refusal good = {
        403, SPAN_LIT("application/problem+json"), SPAN_LIT("7"),
        SPAN_LIT("{\"type\":\"urn:x\",\"title\":\"T\",\"status\":400,\"code\":\"kms_refused\","
                 "\"kms_type\":\"AccessDeniedException\",\"kms_message\":\"no\",\"hint\":5,"
                 "\"request_id\":\"r\"}")
    };
    struct client_problem p;

    client_problem_parse(&good, &p);
    assert_true(json_str_is(p.title, "T") && json_str_is(p.code, "kms_refused"));
    assert_true(json_str_is(p.kms_type, "AccessDeniedException") &&
                json_str_is(p.kms_message, "no"));
    assert_true(json_str_is(p.request_id, "r"));
    assert_false(json_str_is_set(p.hint) || json_str_is_set(p.detail));
    assert_int_equal(p.status, 403);
    assert_int_equal(p.retry_after_s, 7);
    static const char *const bad[] = { "", "<html>", "[]", "{\"title\":\"T\"}x",
                                       "{\"title\":\"T\"" };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const struct client_refusal r = { 502, SPAN_LIT("application/problem+json"), SPAN_EMPTY,
                                          span_str(bad[i]) };
        client_problem_parse(&r, &p);
        assert_false(json_str_is_set(p.title));
        assert_int_equal(p.status, 502);
    }
}

enum { FIXED = 5, ROWS = sizeof rows / sizeof rows[0] };

int main(void)
{
    struct CMUnitTest tests[FIXED + ROWS] = {
        cmocka_unit_test(pairs),          cmocka_unit_test(requests),
        cmocka_unit_test(no_cut_is_good), cmocka_unit_test(head_without_end),
        cmocka_unit_test(problems),
    };

    T_ROWS(tests + FIXED, rows, row);
    return cmocka_run_group_tests_name("stream", tests, NULL, NULL);
}
