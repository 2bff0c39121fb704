#include "base/base64.h"
#include "kms/kms.h"
#include "testing/t.h"

#include <stdio.h>
#include <stdlib.h>

#define ARN  "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
#define PAIR GOOD ",\"PrivateKeyCiphertextBlob\":\"AQI=\",\"PublicKey\":\"MFk=\""
#define GOOD "\"KeyId\":\"" ARN "\",\"CiphertextForRecipient\":\"MIA=\""

static const struct answer_row {
    const char *name;
    enum kms_op op;
    unsigned status;
    const char *body;
    enum err want;
    const char *what; /* failure: why.what; else the error type, "" for a success */
    const char *message;
    enum kms_verdict verdict;
} rows[] = {
    { "Decrypt", KMS_DECRYPT, 200, "{" GOOD "}", ERR_OK, "", "", KMS_VERDICT_OK },
    { "GenerateDataKey", KMS_GENERATE_DATA_KEY, 200, "{" GOOD ",\"CiphertextBlob\":\"AQI=\"}",
      ERR_OK, "", "", KMS_VERDICT_OK },
    { "GenerateRandom", KMS_GENERATE_RANDOM, 200, "{\"CiphertextForRecipient\":\"MIA=\"}", ERR_OK,
      "", "", KMS_VERDICT_OK },
    { "Plaintext null", KMS_DECRYPT, 200, "{" GOOD ",\"Plaintext\":null}", ERR_OK, "", "",
      KMS_VERDICT_OK },
    { "Plaintext empty", KMS_DECRYPT, 200, "{" GOOD ",\"Plaintext\":\"\"}", ERR_OK, "", "",
      KMS_VERDICT_OK },
    { "unknown members", KMS_DECRYPT, 200, "{" GOOD ",\"Future\":{\"a\":[1,2]},\"x\":null}", ERR_OK,
      "", "", KMS_VERDICT_OK },
    { "escapes", KMS_GENERATE_DATA_KEY, 200,
      "{\"KeyId\":\"arn:aws:kms:us-east-1:123456789012:key\\/"
      "1234abcd-12ab-34cd-56ef-1234567890a\\u0062\",\"CiphertextForRecipient\":"
      "\"\\u004d\\u0049A=\",\"CiphertextBlob\":\"A\\u0051I=\"}",
      ERR_OK, "", "", KMS_VERDICT_OK },
    { "Plaintext beside it", KMS_DECRYPT, 200, "{" GOOD ",\"Plaintext\":\"aGVsbG8=\"}", ERR_VERIFY,
      "Plaintext in the answer to an attested call", NULL, 0 },
    { "Plaintext that is no base64", KMS_DECRYPT, 200, "{" GOOD ",\"Plaintext\":\"?\"}", ERR_VERIFY,
      "Plaintext in the answer to an attested call", NULL, 0 },
    { "Plaintext only", KMS_GENERATE_RANDOM, 200, "{\"Plaintext\":\"aGVsbG8=\"}", ERR_VERIFY,
      "Plaintext in the answer to an attested call", NULL, 0 },
    { "Plaintext a number", KMS_DECRYPT, 200, "{" GOOD ",\"Plaintext\":5}", ERR_MALFORMED, "type",
      NULL, 0 },
    { "Plaintext twice", KMS_DECRYPT, 200, "{" GOOD ",\"Plaintext\":null,\"Plaintext\":null}",
      ERR_MALFORMED, "duplicate member", NULL, 0 },
    { "nothing for the recipient", KMS_DECRYPT, 200, "{\"KeyId\":\"" ARN "\"}", ERR_VERIFY,
      "no CiphertextForRecipient", NULL, 0 },
    { "null for the recipient", KMS_DECRYPT, 200,
      "{\"KeyId\":\"" ARN "\",\"CiphertextForRecipient\":null}", ERR_VERIFY,
      "no CiphertextForRecipient", NULL, 0 },
    { "empty for the recipient", KMS_DECRYPT, 200,
      "{\"KeyId\":\"" ARN "\",\"CiphertextForRecipient\":\"\"}", ERR_MALFORMED,
      "CiphertextForRecipient", NULL, 0 },
    { "stray bits for the recipient", KMS_DECRYPT, 200,
      "{\"KeyId\":\"" ARN "\",\"CiphertextForRecipient\":\"MIB=\"}", ERR_MALFORMED,
      "CiphertextForRecipient", NULL, 0 },
    { "no key id", KMS_DECRYPT, 200, "{\"CiphertextForRecipient\":\"MIA=\"}", ERR_MALFORMED,
      "no KeyId", NULL, 0 },
    { "no blob", KMS_GENERATE_DATA_KEY, 200, "{" GOOD "}", ERR_MALFORMED, "no CiphertextBlob", NULL,
      0 },
    { "bad blob", KMS_GENERATE_DATA_KEY, 200, "{" GOOD ",\"CiphertextBlob\":\"AQI\"}",
      ERR_MALFORMED, "CiphertextBlob", NULL, 0 },
    { "empty blob", KMS_GENERATE_DATA_KEY, 200, "{" GOOD ",\"CiphertextBlob\":\"\"}", ERR_MALFORMED,
      "CiphertextBlob", NULL, 0 },
    { "GenerateDataKeyPair", KMS_GENERATE_DATA_KEY_PAIR, 200,
      "{" PAIR ",\"KeyPairSpec\":\"ECC_NIST_P256\"}", ERR_OK, "", "", KMS_VERDICT_OK },
    { "DeriveSharedSecret", KMS_DERIVE_SHARED_SECRET, 200,
      "{" GOOD ",\"KeyAgreementAlgorithm\":\"ECDH\",\"KeyOrigin\":\"AWS_KMS\"}", ERR_OK, "", "",
      KMS_VERDICT_OK },
    { "PrivateKeyPlaintext null", KMS_GENERATE_DATA_KEY_PAIR, 200,
      "{" PAIR ",\"PrivateKeyPlaintext\":null}", ERR_OK, "", "", KMS_VERDICT_OK },
    { "PrivateKeyPlaintext beside it", KMS_GENERATE_DATA_KEY_PAIR, 200,
      "{" PAIR ",\"PrivateKeyPlaintext\":\"MIA=\"}", ERR_VERIFY,
      "PrivateKeyPlaintext in the answer to an attested call", NULL, 0 },
    { "SharedSecret beside it", KMS_DERIVE_SHARED_SECRET, 200,
      "{" GOOD ",\"SharedSecret\":\"MIA=\"}", ERR_VERIFY,
      "SharedSecret in the answer to an attested call", NULL, 0 },
    { "SharedSecret only", KMS_DERIVE_SHARED_SECRET, 200,
      "{\"KeyId\":\"" ARN "\",\"SharedSecret\":\"MIA=\"}", ERR_VERIFY,
      "SharedSecret in the answer to an attested call", NULL, 0 },
    { "shared secret without key id", KMS_DERIVE_SHARED_SECRET, 200,
      "{\"CiphertextForRecipient\":\"MIA=\"}", ERR_MALFORMED, "no KeyId", NULL, 0 },
    { "pair without private blob", KMS_GENERATE_DATA_KEY_PAIR, 200,
      "{" GOOD ",\"PublicKey\":\"MFk=\"}", ERR_MALFORMED, "no PrivateKeyCiphertextBlob", NULL, 0 },
    { "pair with a data key's blob", KMS_GENERATE_DATA_KEY_PAIR, 200,
      "{" GOOD ",\"CiphertextBlob\":\"AQI=\",\"PublicKey\":\"MFk=\"}", ERR_MALFORMED,
      "no PrivateKeyCiphertextBlob", NULL, 0 },
    { "pair without public key", KMS_GENERATE_DATA_KEY_PAIR, 200,
      "{" GOOD ",\"PrivateKeyCiphertextBlob\":\"AQI=\"}", ERR_MALFORMED, "no PublicKey", NULL, 0 },
    { "pair with a bad private blob", KMS_GENERATE_DATA_KEY_PAIR, 200,
      "{" GOOD ",\"PublicKey\":\"MFk=\",\"PrivateKeyCiphertextBlob\":\"AQI\"}", ERR_MALFORMED,
      "PrivateKeyCiphertextBlob", NULL, 0 },
    { "pair with a bad public key", KMS_GENERATE_DATA_KEY_PAIR, 200,
      "{" GOOD ",\"PublicKey\":\"MF==\",\"PrivateKeyCiphertextBlob\":\"AQI=\"}", ERR_MALFORMED,
      "PublicKey", NULL, 0 },
    { "trailing bytes", KMS_DECRYPT, 200, "{" GOOD "}x", ERR_MALFORMED, "trailing bytes", NULL, 0 },
    { "empty body", KMS_DECRYPT, 200, "", ERR_MALFORMED, "end of input", NULL, 0 },
    { "an array", KMS_DECRYPT, 200, "[]", ERR_MALFORMED, "type", NULL, 0 },

    { "refusal", KMS_DECRYPT, 400, "{\"__type\":\"AccessDeniedException\",\"Message\":\"User: x\"}",
      ERR_OK, "AccessDeniedException", "User: x", KMS_VERDICT_FINAL },
    { "both spellings of message", KMS_DECRYPT, 400,
      "{\"__type\":\"A\",\"Message\":\"capital\",\"message\":\"lower\"}", ERR_OK, "A", "lower",
      KMS_VERDICT_FINAL },
    { "no message", KMS_DECRYPT, 400, "{\"__type\":\"InvalidCiphertextException\"}", ERR_OK,
      "InvalidCiphertextException", "", KMS_VERDICT_FINAL },
    { "namespace and suffix", KMS_DECRYPT, 400,
      "{\"__type\":\"com.amazonaws.kms#NotFoundException:http://x/#y\",\"message\":null}", ERR_OK,
      "NotFoundException", "", KMS_VERDICT_FINAL },
    { "a type that is no name", KMS_DECRYPT, 400, "{\"__type\":\"a b\\n\"}", ERR_OK, "", "",
      KMS_VERDICT_FINAL },
    { "a type that is a number", KMS_DECRYPT, 400, "{\"__type\":1}", ERR_OK, "", "",
      KMS_VERDICT_FINAL },
    { "throttled", KMS_DECRYPT, 400, "{\"__type\":\"ThrottlingException\"}", ERR_OK,
      "ThrottlingException", "", KMS_VERDICT_RETRY },
    { "throttled, the last name of the list", KMS_DECRYPT, 400,
      "{\"__type\":\"RequestTimeoutException\"}", ERR_OK, "RequestTimeoutException", "",
      KMS_VERDICT_RETRY },
    { "too many requests", KMS_DECRYPT, 429, "", ERR_OK, "", "", KMS_VERDICT_RETRY },
    { "internal failure", KMS_DECRYPT, 500, "{\"__type\":\"KMSInternalException\"}", ERR_OK,
      "KMSInternalException", "", KMS_VERDICT_RETRY },
    { "a gateway's page", KMS_DECRYPT, 503, "<html><body>Service Unavailable</body></html>", ERR_OK,
      "", "", KMS_VERDICT_RETRY },
    { "failure without a body", KMS_DECRYPT, 500, "", ERR_OK, "", "", KMS_VERDICT_RETRY },
    { "refusal without a body", KMS_DECRYPT, 400, "", ERR_OK, "", "", KMS_VERDICT_FINAL },
    { "redirection", KMS_DECRYPT, 302, "", ERR_OK, "", "", KMS_VERDICT_FINAL },
    { "document refused", KMS_DECRYPT, 400,
      "{\"__type\":\"ValidationException\",\"message\":\"Attestation document is expired\"}",
      ERR_OK, "ValidationException", "Attestation document is expired",
      KMS_VERDICT_FRESH_DOCUMENT },
    { "document refused, constraint form", KMS_DECRYPT, 400,
      "{\"__type\":\"ValidationException\",\"message\":\"Value at "
      "'recipient.attestationDocument' failed\"}",
      ERR_OK, "ValidationException", "Value at 'recipient.attestationDocument' failed",
      KMS_VERDICT_FRESH_DOCUMENT },
    { "something else refused", KMS_DECRYPT, 400,
      "{\"__type\":\"ValidationException\",\"message\":\"Value at 'keyId'\"}", ERR_OK,
      "ValidationException", "Value at 'keyId'", KMS_VERDICT_FINAL },
    { "a denial that names attestation is final", KMS_DECRYPT, 400,
      "{\"__type\":\"AccessDeniedException\",\"Message\":\"kms:RecipientAttestation\"}", ERR_OK,
      "AccessDeniedException", "kms:RecipientAttestation", KMS_VERDICT_FINAL },
};

static struct http1_head *head_of(unsigned status)
{
    struct http1_head *head = calloc(1, sizeof *head);

    assert_non_null(head);
    head->status = status;
    head->headers[0] = (struct http1_header){ SPAN_LIT("x-amzn-RequestId"), SPAN_LIT("6b1f2c34") };
    head->n_headers = 1;
    return head;
}

static void answer_row(void **state)
{
    const struct answer_row *row = *state;
    struct span body = t_copy(span_str(row->body));
    struct http1_head *head = head_of(row->status);
    struct kms_answer a = { .key_id = SPAN_LIT("untouched") };
    struct why why = { 0 };

    assert_int_equal(kms_answer_parse(row->op, head, body, &a, &why), row->want);
    if (row->want != ERR_OK) {
        assert_string_equal(why.what, row->what);
        t_assert_span(a.key_id, SPAN_LIT("untouched"));
        assert_null(a.text.ptr);
    } else {
        assert_int_equal(a.status, row->status);
        t_assert_span(a.request_id, SPAN_LIT("6b1f2c34"));
        t_assert_span(a.error_type, span_str(row->what));
        t_assert_span(a.error_message, span_str(row->message));
        assert_int_equal(kms_verdict_of(&a), row->verdict);
        if (row->status == 200)
            t_assert_span(a.ciphertext_for_recipient, SPAN_LIT("\x30\x80"));
        if (row->status == 200 && row->op != KMS_GENERATE_RANDOM)
            t_assert_span(a.key_id, SPAN_LIT(ARN));
        if (row->status == 200 &&
            (row->op == KMS_GENERATE_DATA_KEY || row->op == KMS_GENERATE_DATA_KEY_PAIR))
            t_assert_span(a.ciphertext_blob_b64, SPAN_LIT("AQI="));
        t_assert_span(a.public_key_b64,
                      row->op == KMS_GENERATE_DATA_KEY_PAIR ? SPAN_LIT("MFk=") : SPAN_EMPTY);
        kms_answer_clear(&a);
    }
    free(head);
    t_free(body);
}

/* Where the body says nothing, the header that some services of this protocol send does. */
static void type_in_header(void **state)
{
    (void)state;
    struct http1_head *head = head_of(400);
    struct kms_answer a = { 0 };

    head->headers[head->n_headers++] =
        (struct http1_header){ SPAN_LIT("x-amzn-ErrorType"),
                               SPAN_LIT("UnrecognizedClientException:http://x/") };
    assert_int_equal(kms_answer_parse(KMS_DECRYPT, head, SPAN_LIT("{}"), &a, NULL), ERR_OK);
    t_assert_span(a.error_type, SPAN_LIT("UnrecognizedClientException"));
    kms_answer_clear(&a);
    free(head);
}

/* A body of KMS_ANSWER_MAX bytes is read, one more is not; a blob of 6,144 bytes is, 6,147 is not.
 */
static void limits(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf body = BUF_INIT(KMS_ANSWER_MAX + 1);
    struct http1_head *head = head_of(200);
    struct kms_answer a = { 0 };
    struct why why = { 0 };

    assert_int_equal(buf_append(&body, SPAN_LIT("{" GOOD "}")), ERR_OK);
    while (body.len < KMS_ANSWER_MAX)
        assert_int_equal(buf_append_byte(&body, ' '), ERR_OK);
    assert_int_equal(kms_answer_parse(KMS_DECRYPT, head, buf_view(&body), &a, &why), ERR_OK);
    kms_answer_clear(&a);
    assert_int_equal(buf_append_byte(&body, ' '), ERR_OK);
    assert_int_equal(kms_answer_parse(KMS_DECRYPT, head, buf_view(&body), &a, &why), ERR_LIMIT);
    assert_string_equal(why.what, "answer length");
    for (size_t n = 8192; n <= 8196; n += 4) {
        buf_reset(&body);
        assert_int_equal(buf_append(&body, SPAN_LIT("{" GOOD ",\"CiphertextBlob\":\"")), ERR_OK);
        for (size_t i = 0; i < n; i++)
            assert_int_equal(buf_append_byte(&body, 'A'), ERR_OK);
        assert_int_equal(buf_append(&body, SPAN_LIT("\"}")), ERR_OK);
        assert_int_equal(kms_answer_parse(KMS_GENERATE_DATA_KEY, head, buf_view(&body), &a, &why),
                         n == 8192 ? ERR_OK : ERR_MALFORMED);
        if (n == 8192)
            kms_answer_clear(&a);
    }
    assert_string_equal(why.what, "CiphertextBlob");
    free(head);
}

static void public_key_limit(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf body = BUF_INIT(KMS_ANSWER_MAX);
    struct http1_head *head = head_of(200);
    struct kms_answer a = { 0 };
    struct why why = { 0 };

    for (size_t n = 8192; n <= 8193; n++) {
        AUTO(buf_clear) struct buf key = BUF_INIT(8193);
        uint8_t *p;
        assert_int_equal(buf_reserve(&key, n, &p), ERR_OK);
        memset(p, 1, n);
        buf_commit(&key, n);
        buf_reset(&body);
        assert_int_equal(buf_append_str(&body,
                                        "{" GOOD
                                        ",\"PrivateKeyCiphertextBlob\":\"AQI=\",\"PublicKey\":\""),
                         ERR_OK);
        assert_int_equal(base64_append(&body, buf_view(&key)), ERR_OK);
        assert_int_equal(buf_append_str(&body, "\"}"), ERR_OK);
        assert_int_equal(
            kms_answer_parse(KMS_GENERATE_DATA_KEY_PAIR, head, buf_view(&body), &a, &why),
            n == 8192 ? ERR_OK : ERR_MALFORMED);
        if (n == 8192)
            kms_answer_clear(&a);
    }
    assert_string_equal(why.what, "PublicKey");
    free(head);
}

/* A long base64 text with an escape in it: undone and decoded in one buffer, which must not move.
 */
static void escaped_blobs(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf body = BUF_INIT(KMS_ANSWER_MAX);
    struct http1_head *head = head_of(200);
    struct kms_answer a = { 0 };

    assert_int_equal(buf_append(&body, SPAN_LIT("{\"KeyId\":\"" ARN "\"")), ERR_OK);
    for (int blob = 0; blob < 2; blob++) {
        assert_int_equal(buf_append_str(&body, blob ? ",\"CiphertextBlob\":\"\\u0041"
                                                    : ",\"CiphertextForRecipient\":\"\\u0041"),
                         ERR_OK);
        for (int i = 0; i < 8191; i++)
            assert_int_equal(buf_append_byte(&body, 'A'), ERR_OK);
        assert_int_equal(buf_append_str(&body, "\""), ERR_OK);
    }
    assert_int_equal(buf_append_str(&body, "}"), ERR_OK);
    assert_int_equal(kms_answer_parse(KMS_GENERATE_DATA_KEY, head, buf_view(&body), &a, NULL),
                     ERR_OK);
    assert_int_equal(a.ciphertext_for_recipient.len, 6144);
    assert_int_equal(a.ciphertext_blob_b64.len, 8192);
    for (size_t i = 0; i < 6144; i++)
        assert_int_equal(a.ciphertext_for_recipient.ptr[i], 0);
    for (size_t i = 0; i < 8192; i++)
        assert_int_equal(a.ciphertext_blob_b64.ptr[i], 'A');
    kms_answer_clear(&a);
    free(head);
}

static void truncated(void **state)
{
    (void)state;
    struct span good = SPAN_LIT("{" GOOD ",\"CiphertextBlob\":\"AQI=\"}");
    struct http1_head *head = head_of(200);
    struct kms_answer a = { 0 };

    for (size_t n = 0; n < good.len; n++) {
        struct span cut = t_copy(span_sub(good, 0, n));
        assert_int_equal(kms_answer_parse(KMS_GENERATE_DATA_KEY, head, cut, &a, NULL),
                         ERR_MALFORMED);
        t_free(cut);
    }
    free(head);
}

/* Each exception that an operator meets has something to say, on one line. */
static void hints(void **state)
{
    static const struct {
        const char *type, *message, *part;
    } want[] = {
        { "AccessDeniedException", "", "PCRs" },
        { "AccessDeniedException", "because no identity-based policy allows", "IAM" },
        { "AccessDeniedException", "with an explicit deny in a resource-based policy", "Deny" },
        { "AccessDeniedException", "The ciphertext refers to a customer master key", "account" },
        { "ValidationException", "Attestation document", "clock" },
        { "InvalidSignatureException", "The request signature we calculated", "secret" },
        { "InvalidSignatureException", "Signature expired: 1", "slow" },
        { "InvalidSignatureException", "Signature not yet current", "fast" },
        { "InvalidSignatureException", "Credential should be scoped to a valid region.",
          "AWS_REGION" },
        { "UnrecognizedClientException", "", "access_key_id" },
        { "ExpiredTokenException", "", "expired" },
        { "IncorrectKeyException", "", "KMS_KEY_ID" },
        { "NotFoundException", "", "KMS_KEY_ID" },
        { "InvalidCiphertextException", "", "ciphertext_blob" },
        { "ThrottlingException", "", "quota" },
        { "DisabledException", "", "disabled" },
        { "KMSInvalidStateException", "", "deletion" },
    };
    (void)state;

    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        const char *hint = kms_hint(span_str(want[i].type), span_str(want[i].message));
        assert_non_null(hint);
        assert_non_null(strstr(hint, want[i].part));
        assert_null(strchr(hint, '\n'));
    }
    assert_null(kms_hint(SPAN_LIT("ValidationException"), SPAN_LIT("Value at 'keyId'")));
    assert_null(kms_hint(SPAN_LIT("SomethingNew"), SPAN_EMPTY));
    assert_null(kms_hint(SPAN_EMPTY, SPAN_EMPTY));
}

int main(void)
{
    enum { N = sizeof rows / sizeof rows[0], OTHERS = 6 };
    struct CMUnitTest tests[N + OTHERS] = {
        cmocka_unit_test(type_in_header), cmocka_unit_test(limits),
        cmocka_unit_test(escaped_blobs),  cmocka_unit_test(public_key_limit),
        cmocka_unit_test(truncated),      cmocka_unit_test(hints),
    };

    T_ROWS(tests + OTHERS, rows, answer_row);
    return _cmocka_run_group_tests("kms_answer", tests, N + OTHERS, NULL, NULL);
}
