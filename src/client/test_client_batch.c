#include "client/batch.h"

#include "testing/t.h"

static struct buf out = { .max = CLIENT_REQUEST_MAX_BYTES };
static struct client_reader reader;

static int end(void **state)
{
    (void)state;
    buf_clear(&out);
    client_reader_clear(&reader);
    return 0;
}

static const struct client_item some[] = {
    { .op = PROTO_ENCRYPT, .text = SPAN_INIT("a\"") },
    { .op = PROTO_DECRYPT,
      .encrypted = SPAN_INIT("e"),
      .signature = SPAN_INIT("s"),
      .ciphertext_blob = SPAN_INIT("b") },
};

static void requests(void **state)
{
    (void)state;
    const struct proto_credentials mine = { SPAN_LIT("AKID"), SPAN_LIT("secret"), SPAN_EMPTY };
    const struct client_item bad = { .op = PROTO_ENCRYPT, .text = SPAN_LIT("\xff") };
    static struct client_item many[CLIENT_BATCH_MAX_ITEMS + 1];

    assert_int_equal(client_batch_write(&out, NULL, some, 2), ERR_OK);
    t_assert_buf(&out,
                 "POST /v1/batch HTTP/1.1\r\nhost: nitroseal\r\ncontent-type: application/json\r\n"
                 "content-length: 129\r\n\r\n{\"items\":[{\"operation\":\"encrypt\",\"message\":"
                 "\"a\\\"\"},{\"operation\":\"decrypt\",\"encrypted\":\"e\",\"signature\":\"s\","
                 "\"ciphertext_blob\":\"b\"}]}");
    buf_reset(&out);
    assert_int_equal(client_batch_write(&out, &mine, some, 1), ERR_OK);
    const struct span rest = SPAN_LIT("],\"credentials\":{\"access_key_id\":\"AKID\","
                                      "\"secret_access_key\":\"secret\"}}");
    t_assert_span(span_from(buf_view(&out), out.len - rest.len), rest);
    buf_reset(&out);
    assert_int_equal(client_batch_write(&out, NULL, many, CLIENT_BATCH_MAX_ITEMS), ERR_OK);
    buf_reset(&out);
    assert_int_equal(client_batch_write(&out, NULL, many, CLIENT_BATCH_MAX_ITEMS + 1), ERR_LIMIT);
    assert_int_equal(client_batch_write(&out, NULL, many, 0), ERR_LIMIT);
    assert_int_equal(client_batch_write(&out, NULL, &bad, 1), ERR_MALFORMED);
    assert_int_equal(out.len, 0);
}

#define OK(length) "HTTP/1.1 200 x\r\ncontent-length: " length "\r\n\r\n"

static struct row {
    const char *name, *text;
    enum err want;
    const char *what;
} rows[] = {
    { "two results", OK("32") "{\"results\":[{},{\"a\":[1]}],\"x\":1}", ERR_OK, NULL },
    { "one is missing", OK("16") "{\"results\":[{}]}", ERR_MALFORMED,
      "another number of results than of items" },
    { "one too many", OK("22") "{\"results\":[{},{},{}]}", ERR_MALFORMED,
      "another number of results than of items" },
    { "no results", OK("2") "{}", ERR_MALFORMED, "another number of results than of items" },
    { "results twice", OK("41") "{\"results\":[{},{}],\"results\":[{},{}]}    ", ERR_MALFORMED,
      "duplicate member" },
    { "not closed", OK("18") "{\"results\":[{},{}]", ERR_MALFORMED, "end of input" },
    { "another status", "HTTP/1.1 201 x\r\ncontent-length: 19\r\n\r\n{\"results\":[{},{}]}",
      ERR_MALFORMED, "status other than 200" },
};

static void answer(void **state)
{
    const struct row *w = *state;
    struct span results[3] = { [2] = SPAN_LIT("untouched") };
    struct why why = { 0 };
    size_t used;

    client_reader_init(&reader);
    assert_int_equal(client_reader_feed(&reader, span_str(w->text), &used, NULL), ERR_OK);
    assert_int_equal(client_batch_parse(&reader, results, 2, &why), w->want);
    t_assert_span(results[2], SPAN_LIT("untouched"));
    if (w->what)
        assert_string_equal(why.what, w->what);
    else
        t_assert_span(results[1], SPAN_LIT("{\"a\":[1]}"));
}

static void results(void **state)
{
    (void)state;
    struct client_result r = { .is_problem = true };
    struct why why = { 0 };
    static const char *const bad[] = {
        "[]", "7", "{}", "{\"encrypted\":\"e\"}", "{\"error\":\"x\"}", "{\"code\":\"busy\"}", ""
    };

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(client_result_parse(span_str(bad[i]), PROTO_ENCRYPT, &r, &why),
                         ERR_MALFORMED);
    assert_true(r.is_problem && why.what);
    assert_int_equal(client_result_parse(SPAN_LIT("{\"encrypted\":\"e\",\"signature\":\"s\","
                                                  "\"ciphertext_blob\":\"b\"}"),
                                         PROTO_ENCRYPT, &r, NULL),
                     ERR_OK);
    assert_true(!r.is_problem && json_str_is(r.answer.signature, "s"));
    assert_int_equal(client_result_parse(SPAN_LIT("{\"decrypted\":\"d\",\"signature_valid\":true}"),
                                         PROTO_DECRYPT, &r, NULL),
                     ERR_OK);
    assert_true(r.answer.signature_valid);
    assert_int_equal(
        client_result_parse(SPAN_LIT("{\"code\":\"kms_refused\",\"title\":\"T\",\"status\":403,"
                                     "\"encrypted\":\"e\",\"signature\":\"s\","
                                     "\"ciphertext_blob\":\"b\"}"),
                            PROTO_ENCRYPT, &r, NULL),
        ERR_OK);
    assert_true(r.is_problem && json_str_is(r.problem.code, "kms_refused"));
    assert_int_equal(r.problem.status, 403);
    for (size_t i = 0; i < 3; i++) {
        static const char *const numbers[] = { "600", "4.5", "1e2" };
        AUTO(buf_clear) struct buf text = BUF_INIT(100);
        assert_int_equal(
            buf_printf(&text, "{\"code\":\"a\",\"title\":\"T\",\"status\":%s}", numbers[i]),
            ERR_OK);
        assert_int_equal(client_result_parse(buf_view(&text), PROTO_ENCRYPT, &r, NULL), ERR_OK);
        assert_int_equal(r.problem.status, 0);
    }
}

enum { FIXED = 2, ROWS = sizeof rows / sizeof rows[0] };

int main(void)
{
    struct CMUnitTest tests[FIXED + ROWS] = {
        cmocka_unit_test_setup_teardown(requests, end, end),
        cmocka_unit_test(results),
    };

    T_ROWS_WITH(tests + FIXED, rows, answer, NULL, end);
    return cmocka_run_group_tests_name("client_batch", tests, NULL, NULL);
}
