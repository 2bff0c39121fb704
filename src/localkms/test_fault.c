/* test_fault.c - names, statuses and the exact bytes on the wire. */
#include "testing/t.h"
#include "localkms/fault.h"

static struct row {
    enum fault_kind kind;
    const char *name; /* also the test's */
} rows[] = {
    { FAULT_ACCESS_DENIED, "AccessDeniedException" },
    { FAULT_ALREADY_EXISTS, "AlreadyExistsException" },
    { FAULT_DISABLED, "DisabledException" },
    { FAULT_DRY_RUN, "DryRunOperationException" },
    { FAULT_EXPIRED_IMPORT_TOKEN, "ExpiredImportTokenException" },
    { FAULT_EXPIRED_TOKEN, "ExpiredTokenException" },
    { FAULT_INCOMPLETE_SIGNATURE, "IncompleteSignatureException" },
    { FAULT_INCORRECT_KEY, "IncorrectKeyException" },
    { FAULT_INCORRECT_KEY_MATERIAL, "IncorrectKeyMaterialException" },
    { FAULT_INTERNAL, "KMSInternalException" },
    { FAULT_INVALID_ALIAS_NAME, "InvalidAliasNameException" },
    { FAULT_INVALID_ARN, "InvalidArnException" },
    { FAULT_INVALID_CIPHERTEXT, "InvalidCiphertextException" },
    { FAULT_INVALID_GRANT_ID, "InvalidGrantIdException" },
    { FAULT_INVALID_GRANT_TOKEN, "InvalidGrantTokenException" },
    { FAULT_INVALID_IMPORT_TOKEN, "InvalidImportTokenException" },
    { FAULT_INVALID_KEY_USAGE, "InvalidKeyUsageException" },
    { FAULT_INVALID_MAC, "KMSInvalidMacException" },
    { FAULT_INVALID_MARKER, "InvalidMarkerException" },
    { FAULT_INVALID_SIGNATURE, "InvalidSignatureException" },
    { FAULT_INVALID_STATE, "KMSInvalidStateException" },
    { FAULT_KMS_INVALID_SIGNATURE, "KMSInvalidSignatureException" },
    { FAULT_LIMIT_EXCEEDED, "LimitExceededException" },
    { FAULT_MALFORMED_POLICY, "MalformedPolicyDocumentException" },
    { FAULT_MISSING_TOKEN, "MissingAuthenticationTokenException" },
    { FAULT_NOT_FOUND, "NotFoundException" },
    { FAULT_SERIALIZATION, "SerializationException" },
    { FAULT_TAG, "TagException" },
    { FAULT_THROTTLING, "ThrottlingException" },
    { FAULT_UNKNOWN_OPERATION, "UnknownOperationException" },
    { FAULT_UNRECOGNIZED_CLIENT, "UnrecognizedClientException" },
    { FAULT_UNSUPPORTED, "UnsupportedOperationException" },
    { FAULT_VALIDATION, "ValidationException" },
};
enum { N = sizeof rows / sizeof rows[0] };

static void write_check(const struct fault *f, const char *fmt, const char *name)
{
    AUTO(buf_clear) struct buf got = BUF_INIT(1024), want = BUF_INIT(1024);

    assert_int_equal(buf_append_str(&want, "before"), ERR_OK);
    for (; *fmt; fmt++)
        assert_int_equal(*fmt == '@' ? buf_append_str(&want, name)
                                     : buf_append_byte(&want, (uint8_t)*fmt),
                         ERR_OK);
    assert_int_equal(buf_append_str(&got, "before"), ERR_OK);
    assert_int_equal(fault_write(f, &got), ERR_OK);
    t_assert_span(buf_view(&got), buf_view(&want));
}

/* AccessDeniedException is the one with a capital, and 500 is for our own faults. */
static void kind(void **state)
{
    const struct row *row = *state;
    AUTO(fault_clear) struct fault f = FAULT_INIT;
    bool capital = row->kind == FAULT_ACCESS_DENIED;

    assert_string_equal(fault_name(row->kind), row->name);
    assert_int_equal(fault_status(row->kind), row->kind == FAULT_INTERNAL ? 500 : 400);
    assert_int_equal(fault_bare(&f, row->kind), ERR_DENIED);
    write_check(&f, "{\"__type\":\"@\"}", row->name);
    assert_int_equal(fault_set(&f, row->kind, "because of %d", 7), ERR_DENIED);
    assert_int_equal(f.kind, row->kind);
    write_check(&f,
                capital ? "{\"__type\":\"@\",\"Message\":\"because of 7\"}"
                        : "{\"__type\":\"@\",\"message\":\"because of 7\"}",
                row->name);
}

static void all_kinds_have_a_row(void **state)
{
    (void)state;
    assert_int_equal(N, FAULT_KINDS - 1);
    assert_string_equal(fault_name(FAULT_NONE), "");
    for (size_t i = 0; i < N; i++)
        assert_int_equal(rows[i].kind, i + 1);
}

static void escapes(void **state)
{
    (void)state;
    AUTO(fault_clear) struct fault f = FAULT_INIT;

    assert_int_equal(
        fault_set(&f, FAULT_NOT_FOUND, "Key '%s' does not exist", "\"\\\n\x01\xc3\xa9"),
        ERR_DENIED);
    write_check(
        &f, "{\"__type\":\"@\",\"message\":\"Key '\\\"\\\\\\n\\u0001\xc3\xa9' does not exist\"}",
        "NotFoundException");
}

static void replaced(void **state)
{
    (void)state;
    AUTO(fault_clear) struct fault f = FAULT_INIT;

    assert_int_equal(fault_set(&f, FAULT_NOT_FOUND, "a much longer text"), ERR_DENIED);
    assert_int_equal(fault_set(&f, FAULT_VALIDATION, "short"), ERR_DENIED);
    t_assert_buf(&f.text, "short");
    assert_int_equal(f.kind, FAULT_VALIDATION);
    assert_int_equal(fault_bare(&f, FAULT_INVALID_CIPHERTEXT), ERR_DENIED);
    assert_int_equal(f.text.len, 0);
    assert_int_equal(fault_set(&f, FAULT_UNKNOWN_OPERATION, "%s", ""), ERR_DENIED);
    write_check(&f, "{\"__type\":\"@\"}", "UnknownOperationException");
    fault_clear(&f);
    assert_int_equal(f.kind, FAULT_NONE);
}

static void text_limit(void **state)
{
    (void)state;
    AUTO(fault_clear) struct fault f = FAULT_INIT;

    assert_int_equal(fault_set(&f, FAULT_VALIDATION, "%*d", FAULT_TEXT_MAX_BYTES, 1), ERR_DENIED);
    assert_int_equal(f.text.len, FAULT_TEXT_MAX_BYTES);
    assert_int_equal(fault_set(&f, FAULT_DISABLED, "%*d", FAULT_TEXT_MAX_BYTES + 1, 1), ERR_DENIED);
    assert_int_equal(f.text.len, 0);
    assert_int_equal(f.kind, FAULT_DISABLED);
}

static void untouched_on_failure(void **state)
{
    (void)state;
    AUTO(fault_clear) struct fault f = FAULT_INIT;
    AUTO(buf_clear) struct buf wide = BUF_INIT(1024), narrow = BUF_INIT(32);

    assert_int_equal(buf_append_str(&wide, "before"), ERR_OK);
    assert_int_equal(buf_append_str(&narrow, "before"), ERR_OK);
    assert_int_equal(fault_set(&f, FAULT_NOT_FOUND, "half a letter: \xc3"), ERR_DENIED);
    assert_int_equal(fault_write(&f, &wide), ERR_MALFORMED);
    t_assert_buf(&wide, "before");
    assert_int_equal(fault_set(&f, FAULT_NOT_FOUND, "a letter: \xc3\xa9"), ERR_DENIED);
    assert_int_equal(fault_write(&f, &narrow), ERR_LIMIT);
    t_assert_buf(&narrow, "before");
}

int main(void)
{
    enum { OTHERS = 5 };
    static struct CMUnitTest tests[N + OTHERS] = {
        cmocka_unit_test(all_kinds_have_a_row),
        cmocka_unit_test(escapes),
        cmocka_unit_test(replaced),
        cmocka_unit_test(text_limit),
        cmocka_unit_test(untouched_on_failure),
    };

    T_ROWS(tests + OTHERS, rows, kind);
    return cmocka_run_group_tests_name("fault", tests, NULL, NULL);
}
