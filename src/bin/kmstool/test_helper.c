/* What command and helper say to each other, credentials in JSON, and what is printed. */
#include "bin/kmstool/helper.h"
#include "bin/kmstool/refusal.h"
#include "bin/kmstool/result.h"
#include "testing/t.h"

#define CREDENTIALS                                                                                \
    "\"credentials\":{\"access_key_id\":\"AK\",\"secret_access_key\":\"S\\u004b\","                \
    "\"session_token\":\"\"}"

static void round_trip(void **state)
{
    (void)state;
    char words[][24] = { "tool", "decrypt", "-c", "a \"b\"\n\xc3\xa4", "" };
    char *argv[] = { words[0], words[1], words[2], words[3], words[4], NULL };
    AUTO(credentials_clear) struct credentials cred = { 0 };
    AUTO(helper_request_clear) struct helper_request rq = { .argc = 0 };
    AUTO(buf_clear) struct buf json = BUF_INIT(4096);

    assert_int_equal(credentials_parse(SPAN_LIT("{" CREDENTIALS "}"), &cred, NULL), ERR_OK);
    assert_int_equal(helper_request_write(5, argv, &cred, &json), ERR_OK);
    assert_int_equal(helper_request_parse(buf_view(&json), &rq, NULL), ERR_OK);
    assert_int_equal(rq.argc, 5);
    for (int i = 1; i < 5; i++)
        assert_string_equal(rq.argv[i], words[i]);
    assert_null(rq.argv[5]);
    t_assert_span(secret_view(&rq.cred.access_key_id), SPAN_LIT("AK"));
    t_assert_span(secret_view(&rq.cred.secret_access_key), SPAN_LIT("SK"));
    assert_int_equal(rq.cred.session_token.len, 0);
}

static void word_limits(void **state)
{
    (void)state;
    static char word[] = "x";
    char *argv[HELPER_WORDS_MAX + 2];
    AUTO(credentials_clear) struct credentials cred = { 0 };

    assert_int_equal(credentials_parse(SPAN_LIT("{" CREDENTIALS "}"), &cred, NULL), ERR_OK);
    for (int i = 0; i < HELPER_WORDS_MAX + 2; i++)
        argv[i] = word;
    for (int n = HELPER_WORDS_MAX; n <= HELPER_WORDS_MAX + 1; n++) {
        AUTO(buf_clear) struct buf json = BUF_INIT(4096);
        AUTO(helper_request_clear) struct helper_request rq = { .argc = 0 };
        bool fits = n == HELPER_WORDS_MAX;
        assert_int_equal(helper_request_write(n, argv, &cred, &json), fits ? ERR_OK : ERR_LIMIT);
        assert_int_equal(helper_request_parse(buf_view(&json), &rq, NULL),
                         fits ? ERR_OK : ERR_MALFORMED);
    }
    char bad[] = "\xff";
    char *not_utf8[] = { word, bad, NULL };
    AUTO(buf_clear) struct buf json = BUF_INIT(4096);
    assert_int_equal(helper_request_write(2, not_utf8, &cred, &json), ERR_MALFORMED);
}

static const struct request_row {
    const char *name, *json;
    enum err want;
    const char *what;
} requests[] = {
    { "request: empty", "", ERR_MALFORMED, "end of input" },
    { "request: no words", "{" CREDENTIALS "}", ERR_MALFORMED, "argv" },
    { "request: words not a list", "{\"argv\":{}," CREDENTIALS "}", ERR_MALFORMED, "type" },
    { "request: word not a text", "{\"argv\":[1]," CREDENTIALS "}", ERR_MALFORMED, "type" },
    { "request: NUL in a word", "{\"argv\":[\"a\\u0000\"]," CREDENTIALS "}", ERR_MALFORMED,
      "argv" },
    { "request: words twice", "{\"argv\":[],\"argv\":[]," CREDENTIALS "}", ERR_MALFORMED,
      "duplicate member" },
    { "request: more after it", "{\"argv\":[]," CREDENTIALS "}x", ERR_MALFORMED, "trailing bytes" },
    { "request: no credentials", "{\"argv\":[]}", ERR_MALFORMED,
      "member 'access_key_id' is missing" },
    { "request: no secret", "{\"argv\":[],\"credentials\":{\"access_key_id\":\"x\"}}",
      ERR_MALFORMED, "member 'secret_access_key' is missing" },
    { "request: empty secret",
      "{\"argv\":[],\"credentials\":{\"access_key_id\":\"x\",\"secret_access_key\":\"\"}}",
      ERR_MALFORMED, "member 'secret_access_key' is missing" },
    { "request: credentials not an object", "{\"argv\":[],\"credentials\":[]}", ERR_MALFORMED,
      "not a JSON object with credentials" },
    { "request: credentials within credentials", "{\"argv\":[],\"credentials\":{" CREDENTIALS "}}",
      ERR_MALFORMED, "member 'access_key_id' is missing" },
};

static void request_refused(void **state)
{
    const struct request_row *row = *state;
    AUTO(helper_request_clear) struct helper_request rq = { .argc = 0 };
    struct span json = t_copy(span_str(row->json));
    struct why why = { 0 };

    assert_int_equal(helper_request_parse(json, &rq, &why), row->want);
    assert_string_equal(why.what, row->what);
    assert_null(rq.cred.secret_access_key.ptr);
    t_free(json);
}

static void session_token_null(void **state)
{
    (void)state;
    AUTO(credentials_clear) struct credentials cred = { 0 };

    assert_int_equal(credentials_parse(SPAN_LIT("{\"access_key_id\":\"a\",\"secret_access_key\":"
                                                "\"b\",\"session_token\":null,\"more\":[{}]}"),
                                       &cred, NULL),
                     ERR_OK);
    assert_int_equal(cred.session_token.len, 0);
}

static const struct answer_row {
    const char *name, *json;
    enum err want;
    const char *what;
} answers[] = {
    { "answer", "{\"status\":0,\"stdout\":\"a\\n\",\"stderr\":\"\"}", ERR_OK, NULL },
    { "answer: failure", "{\"status\":255,\"stdout\":\"\",\"stderr\":\"x\"}", ERR_OK, NULL },
    { "answer: failure with output", "{\"status\":255,\"stdout\":\"x\",\"stderr\":\"\"}",
      ERR_MALFORMED, "status and stdout do not agree" },
    { "answer: success without", "{\"status\":0,\"stdout\":\"\",\"stderr\":\"\"}", ERR_MALFORMED,
      "status and stdout do not agree" },
    { "answer: no status", "{\"stdout\":\"\",\"stderr\":\"\"}", ERR_MALFORMED,
      "a member is missing" },
    { "answer: no output", "{\"status\":255,\"stderr\":\"\"}", ERR_MALFORMED,
      "a member is missing" },
    { "answer: status past 255", "{\"status\":256,\"stdout\":\"\",\"stderr\":\"\"}", ERR_MALFORMED,
      NULL },
    { "answer: empty", "", ERR_MALFORMED, "end of input" },
};

static void answer_row(void **state)
{
    const struct answer_row *row = *state;
    AUTO(outcome_clear) struct outcome o = OUTCOME_INIT;
    AUTO(buf_clear) struct buf again = BUF_INIT(4096);
    struct why why = { 0 };

    assert_int_equal(helper_answer_parse(span_str(row->json), &o, &why), row->want);
    if (row->want != ERR_OK) {
        if (row->what)
            assert_string_equal(why.what, row->what);
        assert_int_equal(o.out.len, 0);
        return;
    }
    assert_int_equal(helper_answer_write(&o, &again), ERR_OK);
    t_assert_buf(&again, row->json);
}

/* What KMS says cannot drive a terminal, and is cut. */
static void refusals(void **state)
{
    (void)state;
    static char text[8192];
    AUTO(buf_clear) struct buf err = BUF_INIT(65536);
    struct kms_answer a = { .status = 400,
                            .request_id = SPAN_LIT("id\x1b[2J"),
                            .error_type = SPAN_LIT("AccessDeniedException"),
                            .error_message = SPAN_LIT("User:\n\x07 x") };

    refusal_write(KMS_DECRYPT, &a, &err);
    t_assert_buf(&err, "kmstool_enclave_cli: KMS refused Decrypt: HTTP status 400, "
                       "AccessDeniedException\n"
                       "kmstool_enclave_cli: message: User:?? x\n"
                       "kmstool_enclave_cli: request id: id?[2J\n"
                       "kmstool_enclave_cli: check: compare the PCRs in the key policy with this "
                       "image's, and its principal with the role whose credentials were sent; a "
                       "debug enclave has zero PCRs and is refused\n");
    buf_reset(&err);
    memset(text, 'm', sizeof text);
    a = (struct kms_answer){ .status = 503, .error_message = span_of(text, sizeof text) };
    refusal_write(KMS_GENERATE_RANDOM, &a, &err);
    assert_true(err.len < 1500);
    assert_non_null(memmem(err.ptr, err.len, "HTTP status 503, no error type", 30));
}

static void plausible_lengths(void **state)
{
    static const struct {
        struct kms_call call;
        size_t right; /* 0: any but none */
    } cases[] = {
        { { .op = KMS_GENERATE_RANDOM, .number_of_bytes = 5 }, 5 },
        { { .op = KMS_GENERATE_DATA_KEY, .number_of_bytes = 7 }, 7 },
        { { .op = KMS_GENERATE_DATA_KEY, .key_spec = SPAN_INIT("AES_128") }, 16 },
        { { .op = KMS_GENERATE_DATA_KEY, .key_spec = SPAN_INIT("AES_256") }, 32 },
        { { .op = KMS_DECRYPT }, 0 },
    };
    static const uint8_t bytes[64];
    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (size_t n = 0; n <= sizeof bytes; n++)
            assert_int_equal(result_is_plausible(&cases[i].call, span_of(bytes, n)),
                             cases[i].right ? n == cases[i].right : n > 0);
}

static void no_room_for_a_result(void **state)
{
    (void)state;
    const struct args a = { .command = KMSTOOL_GENKEY };
    const struct kms_answer answer = { .ciphertext_blob_b64 = SPAN_LIT("QUJD") };
    const char want[] = "CIPHERTEXT: QUJD\nPLAINTEXT: eA==\n";

    for (size_t room = 0; room <= sizeof want; room++) {
        AUTO(buf_clear) struct buf out = BUF_INIT(room);
        enum err r = result_write(&a, &answer, SPAN_LIT("x"), &out);
        assert_int_equal(r == ERR_OK, out.len > 0);
        if (r == ERR_OK)
            t_assert_buf(&out, want);
    }
}

static struct CMUnitTest row_test(const char *name, CMUnitTestFunction run, const void *row)
{
    union {
        const void *view;
        void *state;
    } u = { .view = row };

    return (struct CMUnitTest){ name, run, NULL, NULL, u.state };
}

int main(void)
{
    enum {
        N = sizeof requests / sizeof requests[0],
        M = sizeof answers / sizeof answers[0],
        OTHERS = 6
    };
    struct CMUnitTest tests[N + M + OTHERS] = {
        cmocka_unit_test(round_trip),         cmocka_unit_test(word_limits),
        cmocka_unit_test(session_token_null), cmocka_unit_test(refusals),
        cmocka_unit_test(plausible_lengths),  cmocka_unit_test(no_room_for_a_result),
    };
    size_t n = OTHERS;

    for (size_t i = 0; i < N; i++)
        tests[n++] = row_test(requests[i].name, request_refused, &requests[i]);
    for (size_t i = 0; i < M; i++)
        tests[n++] = row_test(answers[i].name, answer_row, &answers[i]);
    return _cmocka_run_group_tests("kmstool_helper", tests, n, NULL, NULL);
}
