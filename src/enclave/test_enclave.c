#include "base/base64.h"
#include "enclave/test_world.h"

#include <stdio.h>
#include <stdlib.h>

struct bad_request {
    const char *name, *request, *code;
};

#define DECRYPT(e, s, b)                                                                           \
    "{\"operation\":\"decrypt\"," T_CREDENTIALS ",\"encrypted\":\"" e "\",\"signature\":\"" s      \
    "\",\"ciphertext_blob\":\"" b "\"}"
#define CRED(id, key)                                                                              \
    "{\"credentials\":{\"access_key_id\":\"" id "\",\"secret_access_key\":\"" key                  \
    "\"},\"message\":\"m\"}"

static const struct bad_request bad_requests[] = {
    { "request: empty", "", "invalid_json" },
    { "request: not JSON", "hello", "invalid_json" },
    { "request: JSON but no object", "[1]", "invalid_json" },
    { "request: cut off", "{\"operation\":\"encrypt\"", "invalid_json" },
    { "request: trailing bytes", T_ENCRYPT("\"m\"") "x", "invalid_json" },
    { "request: bad UTF-8", T_ENCRYPT("\"\xff\""), "invalid_utf8" },
    { "request: unknown operation", "{\"operation\":\"sign\"}", "unknown_operation" },
    { "request: operation is a number", "{\"operation\":1}", "wrong_type" },
    { "request: no credentials", "{\"operation\":\"encrypt\",\"message\":\"m\"}",
      "missing_member" },
    { "request: no message", "{\"operation\":\"encrypt\"," T_CREDENTIALS "}", "missing_member" },
    { "request: message is a number", T_ENCRYPT("7"), "wrong_type" },
    { "request: empty access key", CRED("", "k"), "invalid_credentials" },
    { "request: empty secret", CRED("AKID", ""), "invalid_credentials" },
    { "request: line break in access key", CRED("AK\\r\\nX-Evil: 1", "k"), "invalid_credentials" },
    { "request: not ASCII in secret", CRED("AKID", "\xc3\xa9"), "invalid_credentials" },
    { "request: encrypted is no base64", DECRYPT("A", "AAAA", "QUJD"), "invalid_base64" },
    { "request: signature is no base64", DECRYPT("AAAA", "AA=A", "QUJD"), "invalid_base64" },
    { "request: blob is no base64", DECRYPT("AAAA", "AAAA", "QUJ"), "invalid_base64" },
    { "request: blob is empty", DECRYPT("AAAA", "AAAA", ""), "invalid_base64" },
    { "request: nonce missing", "{\"operation\":\"attest\"}", "missing_member" },
    { "request: nonce empty", "{\"operation\":\"attest\",\"nonce\":\"\"}", "invalid_base64" },
    { "request: nonce no base64", "{\"operation\":\"attest\",\"nonce\":\"*\"}", "invalid_base64" },
};

static void bad_request_row(void **state)
{
    const struct bad_request *row = *state;
    struct world w = world_new(NULL);

    world_ask(&w, span_str(row->request));
    world_failed(&w, row->code);
    world_clear(&w);
}

struct kms_row {
    const char *name;
    unsigned status;
    const char *json, *code;
};

#define OK_BUT(blob, key, rest) "{" blob key rest "}"
#define BLOB                    "\"CiphertextBlob\":\"QUJD\","
#define KEY                     "\"KeyId\":\"" T_ARN "\","
#define SEALED                  "\"CiphertextForRecipient\":\"%s\""

/* Answers that end the request at once. */
static const struct kms_row final_answers[] = {
    { "kms: access denied", 400, "{\"__type\":\"AccessDeniedException\",\"Message\":\"no\"}",
      "kms_refused" },
    { "kms: bad signature", 400,
      "{\"__type\":\"com.amazon#InvalidSignatureException:x\",\"message\":\"no\"}", "kms_refused" },
    { "kms: no message", 400, "{\"__type\":\"InvalidCiphertextException\"}", "kms_refused" },
    { "kms: a gateway's page", 403, "<html>", "kms_refused" },
    { "kms: not JSON", 200, "hello", "kms_malformed_answer" },
    { "kms: Plaintext", 200, OK_BUT(BLOB, KEY "\"Plaintext\":\"QUJD\",", SEALED),
      "kms_not_attested" },
    { "kms: nothing for the recipient", 200,
      "{\"CiphertextBlob\":\"QUJD\",\"KeyId\":\"" T_ARN "\"}", "kms_not_attested" },
    { "kms: another key", 200,
      OK_BUT(BLOB, "\"KeyId\":\"arn:aws:kms:us-east-1:111122223333:key/other\",", SEALED),
      "key_mismatch" },
    { "kms: same id in another account", 200, OK_BUT(BLOB, "\"KeyId\":\"" T_ARN_2 "\",", SEALED),
      "key_mismatch" },
    { "kms: bare id", 200, OK_BUT(BLOB, "\"KeyId\":\"" T_KEY_ID "\",", SEALED), "key_mismatch" },
    { "kms: sealed text is garbage", 200, OK_BUT(BLOB, KEY, "\"CiphertextForRecipient\":\"QUJD\""),
      "data_key_not_opened" },
};

/* Without KMS's own words there is still its status. */
static void answer_of_no_type(void **state)
{
    (void)state;
    struct world w = world_new(NULL);

    world_ask(&w, span_str(T_ENCRYPT("\"m\"")));
    world_kms(&w, 403, "<html>");
    world_failed(&w, "kms_refused");
    world_answer_has(&w, "\"detail\":\"HTTP status 403\"");
    world_clear(&w);
}

static void final_row(void **state)
{
    const struct kms_row *row = *state;
    struct world w = world_new(NULL);

    world_ask(&w, span_str(T_ENCRYPT("\"m\"")));
    world_kms(&w, row->status, row->json);
    world_failed(&w, row->code);
    world_answer_has(&w, "\"error\":\"Failed to get data key from KMS\"");
    world_clear(&w);
}

/* Answers after which the same request goes out again, later. */
static const struct kms_row retry_answers[] = {
    { "retry: throttled", 400, "{\"__type\":\"ThrottlingException\",\"message\":\"slow\"}",
      "kms_unavailable" },
    { "retry: internal", 500, "{\"__type\":\"KMSInternalException\"}", "kms_unavailable" },
    { "retry: a gateway's page", 502, "<html>", "kms_unavailable" },
};

static void retry_row(void **state)
{
    const struct kms_row *row = *state;
    struct world w = world_new(NULL);

    world_ask(&w, span_str(T_ENCRYPT("\"m\"")));
    for (unsigned i = 0; i < 2; i++) {
        world_kms(&w, row->status, row->json);
        assert_int_equal(w.a.kind, ENCLAVE_CALL_KMS);
        assert_true(w.a.not_before_ns > w.now.mono_ns);
        assert_true(w.a.not_before_ns <=
                    w.now.mono_ns + ((uint64_t)ENCLAVE_BACKOFF_BASE_MS << i) * 1000000);
    }
    world_kms(&w, row->status, row->json); /* the third of three tries */
    world_failed(&w, row->code);

    world_ask(&w, span_str(T_ENCRYPT("\"m\"")));
    world_kms(&w, row->status, row->json);
    world_kms_good(&w);
    assert_null(w.a.code);
    world_clear(&w);
}

static void retry_ends_at_deadline(void **state)
{
    (void)state;
    struct world w = world_new(NULL);

    world_ask(&w, span_str(T_ENCRYPT("\"m\"")));
    assert_int_equal(w.a.deadline_ns, w.now.mono_ns + 3 * (uint64_t)T_SECOND);
    w.now.mono_ns += 6 * (uint64_t)T_SECOND;
    world_kms_broken(&w, ERR_TIMEOUT);
    assert_int_equal(w.a.kind, ENCLAVE_CALL_KMS);
    assert_int_equal(w.a.deadline_ns, w.now.mono_ns + 2 * (uint64_t)T_SECOND);
    w.now.mono_ns += 2 * (uint64_t)T_SECOND;
    world_kms_broken(&w, ERR_TIMEOUT);
    world_failed(&w, "kms_timeout");
    world_clear(&w);
}

static void broken_connections(void **state)
{
    (void)state;
    static const struct {
        enum err r;
        bool again;
        const char *code;
    } rows[] = {
        { ERR_IO, true, "kms_unreachable" },
        { ERR_TIMEOUT, true, "kms_timeout" },
        { ERR_MALFORMED, true, "kms_unreachable" },
        { ERR_VERIFY, false, "kms_tls_refused" },
        { ERR_LIMIT, false, "busy" },
    };
    struct world w = world_new(NULL);

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        world_ask(&w, span_str(T_ENCRYPT("\"m\"")));
        for (unsigned n = 1; rows[i].again && n < 3; n++)
            world_kms_broken(&w, rows[i].r);
        world_kms_broken(&w, rows[i].r);
        world_failed(&w, rows[i].code);
    }
    world_clear(&w);
}

static void refusal_is_passed_through(void **state)
{
    (void)state;
    struct world w = world_new(NULL);

    world_ask(&w, span_str(T_ENCRYPT("\"m\"")));
    world_kms(&w, 400, "{\"__type\":\"AccessDeniedException\",\"Message\":\"not you\"}");
    world_failed(&w, "kms_refused");
    world_answer_has(&w, "\"kms_type\":\"AccessDeniedException\"");
    world_answer_has(&w, "\"kms_message\":\"not you\"");
    world_answer_has(&w, "\"kms_request_id\":\"kms-request-7\"");
    world_answer_has(&w, "\"hint\":");

    struct span sealed = world_sealed(&w, SPAN_LIT("m"), true);
    world_ask(&w, sealed);
    world_kms(&w, 400, "{\"__type\":\"AccessDeniedException\",\"Message\":\"not you\"}");
    world_answer_has(&w, "\"error\":\"Failed to decrypt data key from KMS\"");
    struct enclave_summary sum = enclave_request_summary(w.rq);
    assert_string_equal(sum.op, "decrypt");
    t_assert_span(sum.kms_type, SPAN_LIT("AccessDeniedException"));
    assert_int_equal(sum.kms_tries, 1);
    t_free(sealed);
    world_clear(&w);
}

/* What encrypt answers opens under the data key to `want`. */
static void check_encrypted(struct world *w, struct span want)
{
    AUTO(buf_clear) struct buf sealed = BUF_INIT(T_REQUEST_MAX), sig = BUF_INIT(64);
    AUTO(buf_clear) struct buf text = BUF_INIT(T_REQUEST_MAX), again = BUF_INIT(T_REQUEST_MAX);
    AUTO(secret_clear) struct secret key = { 0 };
    bool valid = false;

    struct proto_answer a = world_answer(w, PROTO_ENCRYPT);
    assert_int_equal(base64_parse(a.encrypted.raw, &sealed, NULL), ERR_OK);
    assert_int_equal(base64_parse(a.signature.raw, &sig, NULL), ERR_OK);
    assert_int_equal(secret_copy(SPAN_ARRAY(w->data_key), &key), ERR_OK);
    assert_int_equal(
        envelope_open(w->cx, &key, buf_view(&sealed), buf_view(&sig), &text, &valid, NULL), ERR_OK);
    assert_true(valid);
    t_assert_span(buf_view(&text), want);
    assert_int_equal(json_str_decode(a.plaintext, &again), ERR_OK);
    t_assert_span(buf_view(&again), want);
    t_assert_span(a.ciphertext_blob.raw, SPAN_LIT("QUJD"));
    t_assert_span(a.key_id.raw, SPAN_LIT(T_ARN));
}

static void encrypts(void **state)
{
    (void)state;
    static const struct {
        const char *json, *text;
    } rows[] = {
        { "\"\"", "" },
        { "\"a\"", "a" },
        { "\"\xe4\xbd\xa0\xe5\xa5\xbd\"", "\xe4\xbd\xa0\xe5\xa5\xbd" },
        { "\"\\u4f60\\u597d \\ud83d\\ude00 \\n\\/\"",
          "\xe4\xbd\xa0\xe5\xa5\xbd \xf0\x9f\x98\x80 \n/" },
    };
    struct world w = world_new(NULL);

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char request[512];
        snprintf(request, sizeof request, "{" T_CREDENTIALS ",\"message\":%s}", rows[i].json);
        world_ask(&w, span_str(request));
        assert_int_equal(w.a.not_before_ns, 0);
        world_kms_good(&w);
        check_encrypted(&w, span_str(rows[i].text));
        assert_int_equal(w.works, 1);
    }
    world_clear(&w);
}

static void large_is_parsed_on_a_worker(void **state)
{
    (void)state;
    struct world w = world_new(NULL);
    AUTO(buf_clear) struct buf text = BUF_INIT(T_REQUEST_MAX), rq = BUF_INIT(T_REQUEST_MAX);

    for (size_t i = 0; i < ENCLAVE_PARSE_INLINE_MAX; i++)
        assert_int_equal(buf_append_byte(&text, (uint8_t)('a' + i % 26)), ERR_OK);
    assert_int_equal(buf_printf(&rq, "{" T_CREDENTIALS ",\"message\":\"%.*s\"}", (int)text.len,
                                (char *)text.ptr),
                     ERR_OK);
    world_ask(&w, buf_view(&rq));
    assert_int_equal(w.works, 1);
    world_kms_good(&w);
    assert_int_equal(w.works, 2);
    check_encrypted(&w, buf_view(&text));

    buf_truncate(&rq, rq.len - 1); /* and its fault is found there too */
    world_ask(&w, buf_view(&rq));
    world_failed(&w, "invalid_json");
    world_clear(&w);
}

static void size_limit(void **state)
{
    (void)state;
    struct world w = world_new(NULL);
    AUTO(buf_clear) struct buf rq = BUF_INIT(T_REQUEST_MAX + 1);
    const char tail[] = T_ENCRYPT("\"m\"");

    while (rq.len < T_REQUEST_MAX - strlen(tail))
        assert_int_equal(buf_append_byte(&rq, ' '), ERR_OK);
    assert_int_equal(buf_append_str(&rq, tail), ERR_OK);
    assert_int_equal(rq.len, T_REQUEST_MAX);
    world_ask(&w, buf_view(&rq));
    assert_int_equal(w.a.kind, ENCLAVE_CALL_KMS);
    assert_int_equal(buf_append_byte(&rq, ' '), ERR_OK);
    world_ask(&w, buf_view(&rq));
    world_failed(&w, "too_large");
    world_answer_has(&w, "at most 1048576 bytes");
    world_clear(&w);
}

/* What is sealed must open again: a text whose decrypt request would be too long is refused now. */
static void text_that_would_not_fit_back(void **state)
{
    (void)state;
    struct world w = world_new(NULL);
    AUTO(buf_clear) struct buf rq = BUF_INIT(T_REQUEST_MAX);
    /* A third more in base64, so three quarters less what stands around it. */
    const size_t longest = (T_REQUEST_MAX - 1024 - 64) / 4 * 3 - 28;

    for (int past = 0; past < 2; past++) {
        buf_reset(&rq);
        assert_int_equal(buf_append_str(&rq, "{" T_CREDENTIALS ",\"message\":\""), ERR_OK);
        for (size_t i = 0; i < longest + (past ? 200 : 0); i++)
            assert_int_equal(buf_append_byte(&rq, 'a'), ERR_OK);
        assert_int_equal(buf_append_str(&rq, "\"}"), ERR_OK);
        world_ask(&w, buf_view(&rq));
        if (past) {
            world_failed(&w, "too_large");
            world_answer_has(&w, "the request to decrypt it would be longer than 1048576 bytes");
        } else {
            assert_int_equal(w.a.kind, ENCLAVE_CALL_KMS);
        }
    }
    world_clear(&w);
}

static void decrypts(void **state)
{
    (void)state;
    struct world w = world_new(NULL);
    const struct span text = SPAN_LIT("\xe4\xbd\xa0 \"quoted\" \n");
    AUTO(buf_clear) struct buf got = BUF_INIT(100);

    for (int good = 0; good < 2; good++) {
        struct span rq = world_sealed(&w, text, good);
        world_ask(&w, rq);
        assert_non_null(memmem(w.a.bytes.ptr, w.a.bytes.len, T_ARN, strlen(T_ARN)));
        world_kms_good(&w);
        struct proto_answer a = world_answer(&w, PROTO_DECRYPT);
        assert_int_equal(a.signature_valid, good);
        buf_reset(&got);
        assert_int_equal(json_str_decode(a.decrypted, &got), ERR_OK);
        t_assert_span(buf_view(&got), text);
        t_free(rq);
    }
    world_clear(&w);
}

static void decrypt_failures(void **state)
{
    (void)state;
    struct world w = world_new(NULL);

    struct span rq = world_sealed(&w, SPAN_LIT("text"), true);
    world_ask(&w, rq);
    w.data_key[0] ^= 1; /* KMS hands out another key than the text was sealed with */
    world_kms_good(&w);
    world_failed(&w, "text_not_authentic");
    world_answer_has(&w, "\"error\":\"Failed to decrypt text\"");
    t_free(rq);

    world_ask(&w, SPAN_LIT(DECRYPT("QUJD", "QUJD", "QUJD")));
    world_kms_good(&w);
    world_failed(&w, "encrypted_too_short");

    rq = world_sealed(&w, SPAN_LIT("\xff\xfe"), true);
    world_ask(&w, rq);
    world_kms_good(&w);
    world_failed(&w, "invalid_utf8");
    t_free(rq);
    world_clear(&w);
}

static void nothing_stays(void **state)
{
    (void)state;
    struct world w = world_new(NULL);

    world_ask(&w, span_str(T_ENCRYPT("\"m\"")));
    world_kms_good(&w);
    assert_null(w.a.code);
    assert_int_equal(w.rq->in.len, 0);
    assert_int_equal(w.rq->scratch.len, 0);
    assert_null(w.rq->cred.secret_access_key.ptr);
    assert_null(w.rq->asked.message.raw.ptr);
    world_clear(&w);
}

static void add_rows(struct CMUnitTest *tests, size_t *n, CMUnitTestFunction fn, const void *rows,
                     size_t size, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        union {
            const void *view;
            void *state;
        } u = { .view = (const char *)rows + i * size };
        tests[(*n)++] =
            (struct CMUnitTest){ *(const char *const *)u.view, fn, NULL, NULL, u.state };
    }
}

#define ROWS(fn, rows) add_rows(tests, &n, fn, rows, sizeof rows[0], sizeof rows / sizeof rows[0])

int main(void)
{
    static struct CMUnitTest tests[64] = {
        cmocka_unit_test(retry_ends_at_deadline),
        cmocka_unit_test(broken_connections),
        cmocka_unit_test(refusal_is_passed_through),
        cmocka_unit_test(encrypts),
        cmocka_unit_test(large_is_parsed_on_a_worker),
        cmocka_unit_test(text_that_would_not_fit_back),
        cmocka_unit_test(size_limit),
        cmocka_unit_test(decrypts),
        cmocka_unit_test(decrypt_failures),
        cmocka_unit_test(nothing_stays),
        cmocka_unit_test(answer_of_no_type),
    };
    size_t n = 10;

    ROWS(bad_request_row, bad_requests);
    ROWS(final_row, final_answers);
    ROWS(retry_row, retry_answers);
    return _cmocka_run_group_tests("enclave", tests, n, world_setup, world_teardown);
}
