#include "proto/proto.h"
#include "testing/t.h"

static void encrypt_answer(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf b = BUF_INIT(4096);
    struct json_str message = { SPAN_LIT("h\\u0069"), true };
    struct proto_answer a;

    assert_int_equal(proto_encrypt_answer_write(&b, message, SPAN_LIT("abc"), SPAN_LIT("de"),
                                                SPAN_LIT("Q0I="), SPAN_LIT("arn"), SPAN_LIT("r1")),
                     ERR_OK);
    t_assert_buf(&b, "{\"operation\":\"encrypt\",\"plaintext\":\"h\\u0069\",\"encrypted\":\"YWJj\","
                     "\"signature\":\"ZGU=\","
                     "\"ciphertext_blob\":\"Q0I=\",\"key_id\":\"arn\",\"request_id\":\"r1\"}");
    assert_int_equal(proto_answer_parse(buf_view(&b), PROTO_ENCRYPT, &a, NULL), ERR_OK);
    assert_true(json_str_is(a.plaintext, "hi"));
    assert_true(json_str_is(a.encrypted, "YWJj"));
    assert_int_equal(proto_answer_parse(buf_view(&b), PROTO_DECRYPT, &a, NULL), ERR_MALFORMED);
}

static void decrypt_answer(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf b = BUF_INIT(4096);
    struct proto_answer a;

    assert_int_equal(
        proto_decrypt_answer_write(&b, SPAN_LIT("\"q\"\n"), false, SPAN_EMPTY, SPAN_EMPTY), ERR_OK);
    t_assert_buf(
        &b, "{\"operation\":\"decrypt\",\"decrypted\":\"\\\"q\\\"\\n\",\"signature_valid\":false}");
    assert_int_equal(proto_answer_parse(buf_view(&b), PROTO_DECRYPT, &a, NULL), ERR_OK);
    assert_false(a.signature_valid);
    assert_true(json_str_is(a.decrypted, "\"q\"\n"));
}

static void attest_answer(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf b = BUF_INIT(4096);
    struct proto_answer a;

    assert_int_equal(proto_attest_answer_write(&b, SPAN_LIT("doc"), SPAN_LIT("r")), ERR_OK);
    assert_int_equal(proto_answer_parse(buf_view(&b), PROTO_ATTEST, &a, NULL), ERR_OK);
    assert_true(json_str_is(a.document, "ZG9j"));
}

static void error_answer(void **state)
{
    (void)state;
    struct proto_error e = {
        .error = "Failed to get data key from KMS",
        .code = "kms_refused",
        .kms_type = SPAN_LIT("AccessDeniedException"),
        .kms_message = SPAN_LIT("no"),
        .kms_request_id = SPAN_LIT("id"),
        .hint = "check",
    };
    AUTO(buf_clear) struct buf b = BUF_INIT(4096);
    struct proto_answer a;

    assert_int_equal(proto_error_write(&b, &e, SPAN_LIT("r")), ERR_OK);
    assert_int_equal(proto_answer_parse(buf_view(&b), PROTO_ENCRYPT, &a, NULL), ERR_OK);
    assert_true(json_str_is(a.error, "Failed to get data key from KMS"));
    assert_true(json_str_is(a.kms_type, "AccessDeniedException"));
    assert_true(json_str_is(a.hint, "check"));
    assert_false(json_str_is_set(a.detail));
}

/* What the original service answers, and what is no answer at all. */
static void strangers(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        enum proto_op op;
        enum err want;
    } rows[] = {
        { "{\"error\": \"Failed to decrypt text\"}", PROTO_DECRYPT, ERR_OK },
        { "{\"operation\": \"decrypt\", \"decrypted\": \"x\", \"signature_valid\": true}",
          PROTO_DECRYPT, ERR_OK },
        { "{\"operation\": \"decrypt\", \"decrypted\": \"x\"}", PROTO_DECRYPT, ERR_MALFORMED },
        { "{\"operation\": \"decrypt\", \"decrypted\": \"x\", \"signature_valid\": \"yes\"}",
          PROTO_DECRYPT, ERR_MALFORMED },
        { "{\"error\": 5}", PROTO_ENCRYPT, ERR_MALFORMED },
        { "", PROTO_ENCRYPT, ERR_MALFORMED },
        { "{}", PROTO_ATTEST, ERR_MALFORMED },
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct proto_answer a = { .document = { SPAN_LIT("untouched"), false } };
        struct span in = t_copy(span_str(rows[i].json));
        assert_int_equal(proto_answer_parse(in, rows[i].op, &a, NULL), rows[i].want);
        if (rows[i].want != ERR_OK)
            assert_true(json_str_is(a.document, "untouched"));
        t_free(in);
    }
}

static void full_buffer(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf b = BUF_INIT(20);
    assert_int_equal(proto_attest_answer_write(&b, SPAN_LIT("document"), SPAN_EMPTY), ERR_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encrypt_answer), cmocka_unit_test(decrypt_answer),
        cmocka_unit_test(attest_answer),  cmocka_unit_test(error_answer),
        cmocka_unit_test(strangers),      cmocka_unit_test(full_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
