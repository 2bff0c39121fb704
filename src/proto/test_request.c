#include "testing/t.h"
#include "proto/proto.h"

#include <stdlib.h>

#define CRED                                                                                       \
    "\"credentials\":{\"access_key_id\":\"AK\",\"secret_access_key\":\"SK\",\"session_token\":"    \
    "\"\"}"

struct row {
    const char *name, *json;
    enum err want;
    const char *what; /* of a failure; of a success: the operation's main member, decoded */
};

static const struct row rows[] = {
    { "encrypt", "{\"operation\":\"encrypt\"," CRED ",\"message\":\"hi\"}", ERR_OK, "hi" },
    { "operation missing means encrypt", "{" CRED ",\"message\":\"hi\"}", ERR_OK, "hi" },
    { "escaped operation", "{\"operation\":\"\\u0065ncrypt\"," CRED ",\"message\":\"\"}", ERR_OK,
      "" },
    { "escaped text", "{" CRED ",\"message\":\"\\u4f60\\u597d \\ud83d\\ude00\"}", ERR_OK,
      "\xe4\xbd\xa0\xe5\xa5\xbd \xf0\x9f\x98\x80" },
    { "raw UTF-8", "{" CRED ",\"message\":\"\xe4\xbd\xa0\"}", ERR_OK, "\xe4\xbd\xa0" },
    { "unknown members", "{\"x\":[{\"message\":1}]," CRED ",\"message\":\"m\",\"y\":null}", ERR_OK,
      "m" },
    { "token null",
      "{\"credentials\":{\"access_key_id\":\"a\",\"secret_access_key\":\"s\",\"session_token\":"
      "null},\"message\":\"m\"}",
      ERR_OK, "m" },
    { "token left out",
      "{\"credentials\":{\"access_key_id\":\"a\",\"secret_access_key\":\"s\"},\"message\":\"m\"}",
      ERR_OK, "m" },
    { "decrypt",
      "{\"operation\":\"decrypt\"," CRED
      ",\"encrypted\":\"e\",\"signature\":\"s\",\"ciphertext_blob\":\"c\"}",
      ERR_OK, "e" },
    { "attest needs no credentials", "{\"operation\":\"attest\",\"nonce\":\"bm8=\"}", ERR_OK,
      "bm8=" },
    { "empty input", "", ERR_MALFORMED, "invalid JSON" },
    { "not an object", "[1]", ERR_MALFORMED, "invalid JSON: not an object" },
    { "cut off", "{\"operation\":\"enc", ERR_MALFORMED, "invalid JSON" },
    { "trailing bytes", "{" CRED ",\"message\":\"m\"}x", ERR_MALFORMED, "invalid JSON" },
    { "name twice", "{\"message\":\"a\",\"message\":\"b\"}", ERR_MALFORMED,
      "invalid JSON: a name comes twice" },
    { "lone surrogate", "{" CRED ",\"message\":\"\\ud800\"}", ERR_MALFORMED, "invalid JSON" },
    { "bad UTF-8", "{" CRED ",\"message\":\"\xff\"}", ERR_MALFORMED, "invalid UTF-8" },
    { "unknown operation", "{\"operation\":\"sign\"}", ERR_UNSUPPORTED,
      "unknown operation: 'encrypt', 'decrypt' and 'attest' are known" },
    { "operation is a number", "{\"operation\":1}", ERR_MALFORMED,
      "member 'operation' is not a string" },
    { "message missing", "{" CRED "}", ERR_MALFORMED, "member 'message' is missing" },
    { "message is null", "{" CRED ",\"message\":null}", ERR_MALFORMED,
      "member 'message' is not a string" },
    { "credentials missing", "{\"message\":\"m\"}", ERR_MALFORMED,
      "member 'credentials' is missing" },
    { "credentials are text", "{\"credentials\":\"x\",\"message\":\"m\"}", ERR_MALFORMED,
      "member 'credentials' is not an object" },
    { "secret missing", "{\"credentials\":{\"access_key_id\":\"a\"},\"message\":\"m\"}",
      ERR_MALFORMED, "member 'secret_access_key' is missing" },
    { "signature missing",
      "{\"operation\":\"decrypt\"," CRED ",\"encrypted\":\"e\",\"ciphertext_blob\":\"c\"}",
      ERR_MALFORMED, "member 'signature' is missing" },
    { "nonce missing", "{\"operation\":\"attest\"}", ERR_MALFORMED, "member 'nonce' is missing" },
};

static struct json_str main_member(const struct proto_request *rq)
{
    switch (rq->op) {
    case PROTO_ENCRYPT:
        return rq->message;
    case PROTO_DECRYPT:
        return rq->encrypted;
    case PROTO_ATTEST:
        return rq->nonce;
    }
    return JSON_STR_NONE;
}

static void parse_row(void **state)
{
    const struct row *r = *state;
    struct span in = t_copy(span_str(r->json));
    struct proto_request rq = { .op = PROTO_ATTEST, .nonce = { SPAN_LIT("untouched"), false } };
    struct why why = { 0 };

    assert_int_equal(proto_request_parse(in, &rq, &why), r->want);
    if (r->want == ERR_OK) {
        assert_true(json_str_is(main_member(&rq), r->what));
    } else {
        assert_string_equal(why.what, r->what);
        assert_true(json_str_is(rq.nonce, "untouched"));
    }
    t_free(in);
}

/* What the transport says need not be said again, and must not be contradicted. */
static void given(void **state)
{
    (void)state;
    static const struct {
        const char *json, *what; /* NULL: good */
        bool has_op, has_credentials;
    } rows_given[] = {
        { "{\"message\":\"m\"}", NULL, true, true },
        { "{\"message\":\"m\",\"operation\":\"encrypt\"}", NULL, true, true },
        { "{\"message\":\"m\",\"operation\":\"attest\"}",
          "member 'operation' names another one than the path", true, true },
        { "{\"message\":\"m\"}", "member 'credentials' is missing", true, false },
        { "{\"message\":\"m\",\"credentials\":{\"access_key_id\":\"a\"}}",
          "member 'secret_access_key' is missing", true, true },
        { "{}", "member 'message' is missing", true, true },
        { "{\"operation\":\"attest\",\"nonce\":\"AA==\"}", NULL, false, true },
    };

    for (size_t i = 0; i < sizeof rows_given / sizeof rows_given[0]; i++) {
        const struct proto_given g = { rows_given[i].has_op, PROTO_ENCRYPT,
                                       rows_given[i].has_credentials };
        struct span in = t_copy(span_str(rows_given[i].json));
        struct proto_request rq;
        struct why why = { 0 };
        enum err r = proto_request_parse_given(in, &g, &rq, &why);
        if (rows_given[i].what)
            assert_string_equal(why.what, rows_given[i].what);
        assert_int_equal(r, rows_given[i].what ? ERR_MALFORMED : ERR_OK);
        t_free(in);
    }
}

/* No beginning of a good request is a request. */
static void truncations(void **state)
{
    (void)state;
    struct span whole = span_str(rows[0].json);
    struct proto_request rq;

    for (size_t n = 0; n < whole.len; n++) {
        struct span in = t_copy(span_sub(whole, 0, n));
        assert_int_equal(proto_request_parse(in, &rq, NULL), ERR_MALFORMED);
        t_free(in);
    }
}

static void round_trips(void **state)
{
    (void)state;
    struct proto_credentials cred = { SPAN_LIT("AK"), SPAN_LIT("S\"K"), SPAN_LIT("tok") };
    AUTO(buf_clear) struct buf b = BUF_INIT(4096);
    struct proto_request rq;

    assert_int_equal(proto_encrypt_write(&b, &cred, SPAN_LIT("a\nb")), ERR_OK);
    assert_int_equal(proto_request_parse(buf_view(&b), &rq, NULL), ERR_OK);
    assert_int_equal(rq.op, PROTO_ENCRYPT);
    assert_true(json_str_is(rq.message, "a\nb"));
    assert_true(json_str_is(rq.secret_access_key, "S\"K"));
    assert_true(json_str_is(rq.session_token, "tok"));

    buf_reset(&b);
    assert_int_equal(proto_decrypt_write(&b, &cred, SPAN_LIT("e"), SPAN_LIT("s"), SPAN_LIT("c")),
                     ERR_OK);
    assert_int_equal(proto_request_parse(buf_view(&b), &rq, NULL), ERR_OK);
    assert_int_equal(rq.op, PROTO_DECRYPT);
    assert_true(json_str_is(rq.ciphertext_blob, "c"));

    buf_reset(&b);
    assert_int_equal(proto_attest_write(&b, SPAN_LIT("no")), ERR_OK);
    t_assert_buf(&b, "{\"operation\":\"attest\",\"nonce\":\"bm8=\"}");

    buf_reset(&b);
    assert_int_equal(proto_encrypt_write(&b, &cred, SPAN_LIT("\xff")), ERR_MALFORMED);
}

int main(void)
{
    enum { N = sizeof rows / sizeof rows[0] };
    struct CMUnitTest tests[N + 3];

    T_ROWS(tests, rows, parse_row);
    tests[N] = (struct CMUnitTest){ "truncations", truncations, NULL, NULL, NULL };
    tests[N + 1] = (struct CMUnitTest){ "round trips", round_trips, NULL, NULL, NULL };
    tests[N + 2] = (struct CMUnitTest){ "given", given, NULL, NULL, NULL };
    return _cmocka_run_group_tests("proto_request", tests, N + 3, NULL, NULL);
}
