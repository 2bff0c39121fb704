/* test_localkms.c - operations without attestation, and every refusal's exact answer. */
#include <stdio.h>

#include "localkms/test_api.h"

static struct api api;

#define DENIED(who, action, resource)                                                              \
    "User: " who " is not authorized to perform: " action " on resource: " resource " because no "
#define ONE(m)     "1 validation error detected: " m
#define MUST       " failed to satisfy constraint: Member must "
#define POLICY(st) "{\"Version\":\"2012-10-17\",\"Statement\":[" st "]}"
#define OWN                                                                                        \
    "{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"" API_ADMIN                                    \
    "\"},\"Action\":\"kms:*\",\"Resource\":\"*\"}"

/* Refusals that need nothing but a key with the default policy. */
struct refusal {
    const char *name;
    enum api_who who;
    const char *operation, *body, *type, *message;
};

static struct refusal refusals[] = {
    { "unknown operation", ADMIN, "ReplicateKey", "{}", "UnknownOperationException", NULL },
    { "operation in lower case", ADMIN, "decrypt", "{}", "UnknownOperationException", NULL },
    { "unknown operation, unknown caller", NOBODY, "X", "{}", "UnknownOperationException", NULL },
    { "body is no JSON", ADMIN, "ListKeys", "{", "SerializationException", NULL },
    { "body is a list", ADMIN, "ListKeys", "[]", "SerializationException", NULL },
    { "member twice", ADMIN, "ListKeys", "{\"Limit\":1,\"Limit\":1}", "SerializationException",
      NULL },
    { "number for text", ADMIN, "DescribeKey", "{\"KeyId\":1}", "SerializationException",
      "NUMBER_VALUE can not be converted to a String" },
    { "text for a number", ADMIN, "ListKeys", "{\"Limit\":\"1\"}", "SerializationException",
      "STRING_VALUE can not be converted to an Integer" },
    { "text for a truth value", ADMIN, "Encrypt", "{\"KeyId\":\"$KEY\",\"DryRun\":\"true\"}",
      "SerializationException", "STRING_VALUE can not be converted to a Boolean" },
    { "bad base64", ADMIN, "Encrypt", "{\"KeyId\":\"$KEY\",\"Plaintext\":\"AA=A\"}",
      "SerializationException", "Plaintext is not valid Base64" },
    { "context value is an object", ADMIN, "Encrypt",
      "{\"KeyId\":\"$KEY\",\"Plaintext\":\"AA==\",\"EncryptionContext\":{\"a\":{}}}",
      "SerializationException", "EncryptionContext is not a map of Strings" },
    { "no KeyId", ADMIN, "DescribeKey", "{}", "ValidationException",
      ONE("Value null at 'keyId'" MUST "not be null") },
    { "null is none", ADMIN, "DescribeKey", "{\"KeyId\":null}", "ValidationException",
      ONE("Value null at 'keyId'" MUST "not be null") },
    { "empty KeyId", ADMIN, "DescribeKey", "{\"KeyId\":\"\"}", "ValidationException",
      ONE("Value '' at 'keyId'" MUST "have length greater than or equal to 1") },
    { "two faults at once", ADMIN, "Encrypt", "{}", "ValidationException",
      "2 validation errors detected: Value null at 'keyId'" MUST
      "not be null; Value null at 'plaintext'" MUST "not be null" },
    { "empty plaintext", ADMIN, "Encrypt", "{\"KeyId\":\"$KEY\",\"Plaintext\":\"\"}",
      "ValidationException",
      ONE("Value at 'plaintext'" MUST "have length greater than or equal to 1") },
    { "no ciphertext", ADMIN, "Decrypt", "{}", "ValidationException",
      ONE("Value null at 'ciphertextBlob'" MUST "not be null") },
    { "unknown algorithm", ADMIN, "Encrypt",
      "{\"KeyId\":\"$KEY\",\"Plaintext\":\"AA==\",\"EncryptionAlgorithm\":\"ROT13\"}",
      "ValidationException",
      ONE("Value 'ROT13' at 'encryptionAlgorithm'" MUST
          "satisfy enum value set: [SYMMETRIC_DEFAULT, RSAES_OAEP_SHA_1, RSAES_OAEP_SHA_256, "
          "SM2PKE]") },
    { "algorithm of another key", ADMIN, "Encrypt",
      "{\"KeyId\":\"$KEY\",\"Plaintext\":\"AA==\",\"EncryptionAlgorithm\":\"SM2PKE\"}",
      "InvalidKeyUsageException",
      "Algorithm SM2PKE is incompatible with key spec SYMMETRIC_DEFAULT." },
    { "neither size", ADMIN, "GenerateDataKey", "{\"KeyId\":\"$KEY\"}", "ValidationException",
      "Please specify either number of bytes or key spec." },
    { "both sizes", ADMIN, "GenerateDataKey",
      "{\"KeyId\":\"$KEY\",\"KeySpec\":\"AES_256\",\"NumberOfBytes\":32}", "ValidationException",
      "Please specify either number of bytes or key spec." },
    { "unknown key spec", ADMIN, "GenerateDataKey", "{\"KeyId\":\"$KEY\",\"KeySpec\":\"AES_512\"}",
      "ValidationException",
      ONE("Value 'AES_512' at 'keySpec'" MUST "satisfy enum value set: [AES_256, AES_128]") },
    { "1025 bytes", ADMIN, "GenerateDataKey", "{\"KeyId\":\"$KEY\",\"NumberOfBytes\":1025}",
      "ValidationException",
      ONE("Value '1025' at 'numberOfBytes'" MUST "have value less than or equal to 1024") },
    { "0 bytes", ADMIN, "GenerateRandom", "{\"NumberOfBytes\":0}", "ValidationException",
      ONE("Value '0' at 'numberOfBytes'" MUST "have value greater than or equal to 1") },
    { "-1 bytes", ADMIN, "GenerateRandom", "{\"NumberOfBytes\":-1}", "ValidationException",
      ONE("Value '-1' at 'numberOfBytes'" MUST "have value greater than or equal to 1") },
    { "no number of bytes", ADMIN, "GenerateRandom", "{}", "ValidationException",
      "NumberOfBytes is required." },
    { "custom key store", ADMIN, "GenerateRandom",
      "{\"NumberOfBytes\":1,\"CustomKeyStoreId\":\"cks-1\"}", "UnsupportedOperationException",
      "Custom key stores are not supported here." },
    { "limit 1001", ADMIN, "ListKeys", "{\"Limit\":1001}", "ValidationException",
      ONE("Value '1001' at 'limit'" MUST "have value less than or equal to 1000") },
    { "marker of nobody", ADMIN, "ListKeys", "{\"Marker\":\"x\"}", "InvalidMarkerException", NULL },
    { "key id that is none", ADMIN, "DescribeKey", "{\"KeyId\":\"mykey\"}", "NotFoundException",
      "Invalid keyId 'mykey'" },
    { "key id in upper case", ADMIN, "DescribeKey",
      "{\"KeyId\":\"12345678-1234-1234-1234-123456789ABC\"}", "NotFoundException",
      "Invalid keyId '12345678-1234-1234-1234-123456789ABC'" },
    { "key that does not exist", ADMIN, "DescribeKey",
      "{\"KeyId\":\"12345678-1234-1234-1234-123456789abc\"}", "NotFoundException",
      "Key 'arn:aws:kms:us-east-1:" API_ACCOUNT
      ":key/12345678-1234-1234-1234-123456789abc' does not exist" },
    { "key of another Region", ADMIN, "DescribeKey",
      "{\"KeyId\":\"arn:aws:kms:eu-west-1:" API_ACCOUNT ":key/$KEY\"}", "NotFoundException",
      "Invalid arn eu-west-1" },
    { "key of another account", ADMIN, "DescribeKey",
      "{\"KeyId\":\"arn:aws:kms:us-east-1:444455556666:key/$KEY\"}", "NotFoundException",
      "Key 'arn:aws:kms:us-east-1:444455556666:key/$KEY' does not exist" },
    { "ARN of something else", ADMIN, "DescribeKey", "{\"KeyId\":\"arn:aws:s3:::b\"}",
      "NotFoundException", "Invalid keyId 'arn:aws:s3:::b'" },
    { "alias", ADMIN, "DescribeKey", "{\"KeyId\":\"alias/a\"}", "NotFoundException",
      "Alias arn:aws:kms:us-east-1:" API_ACCOUNT ":alias/a is not found." },
    { "alias by ARN", ADMIN, "DescribeKey",
      "{\"KeyId\":\"arn:aws:kms:us-east-1:" API_ACCOUNT ":alias/a\"}", "NotFoundException",
      "Alias arn:aws:kms:us-east-1:" API_ACCOUNT ":alias/a is not found." },
    { "grant token", ADMIN, "Encrypt",
      "{\"KeyId\":\"$KEY\",\"Plaintext\":\"AA==\",\"GrantTokens\":[\"x\"]}",
      "InvalidGrantTokenException", NULL },
    { "dry run", ADMIN, "Encrypt", "{\"KeyId\":\"$KEY\",\"Plaintext\":\"AA==\",\"DryRun\":true}",
      "DryRunOperationException",
      "The request would have succeeded, but the DryRun option is set." },
    { "dry run of what is denied", APP, "Encrypt",
      "{\"KeyId\":\"$KEY\",\"Plaintext\":\"AA==\",\"DryRun\":true}", "AccessDeniedException",
      DENIED(API_APP, "kms:Encrypt",
             "$ARN") "identity-based policy allows the kms:Encrypt action" },
    { "account may, caller may not", APP, "GenerateDataKey",
      "{\"KeyId\":\"$KEY\",\"KeySpec\":\"AES_256\"}", "AccessDeniedException",
      DENIED(API_APP, "kms:GenerateDataKey",
             "$ARN") "identity-based policy allows the kms:GenerateDataKey action" },
    { "another account", FOREIGN, "DescribeKey", "{\"KeyId\":\"$ARN\"}", "AccessDeniedException",
      DENIED("arn:aws:iam::444455556666:user/x", "kms:DescribeKey",
             "$ARN") "resource-based policy allows the kms:DescribeKey action" },
    { "no identity policy for CreateKey", APP, "CreateKey", "{}", "AccessDeniedException",
      DENIED(API_APP, "kms:CreateKey",
             "*") "identity-based policy allows the kms:CreateKey action" },
    { "no identity policy for GenerateRandom", APP, "GenerateRandom", "{\"NumberOfBytes\":1}",
      "AccessDeniedException",
      DENIED(API_APP, "kms:GenerateRandom",
             "*") "identity-based policy allows the kms:GenerateRandom action" },
    { "ciphertext of nobody", ADMIN, "Decrypt", "{\"CiphertextBlob\":\"AQICAHg=\"}",
      "InvalidCiphertextException", NULL },
    { "policy of another name", ADMIN, "GetKeyPolicy",
      "{\"KeyId\":\"$KEY\",\"PolicyName\":\"other\"}", "NotFoundException",
      "No such policy exists" },
    { "put a policy of another name", ADMIN, "PutKeyPolicy",
      "{\"KeyId\":\"$KEY\",\"PolicyName\":\"other\",\"Policy\":\"{}\"}", "NotFoundException",
      "No such policy exists" },
    { "no policy", ADMIN, "PutKeyPolicy", "{\"KeyId\":\"$KEY\"}", "ValidationException",
      ONE("Value null at 'policy'" MUST "not be null") },
    { "policy with a character past U+00FF", ADMIN, "PutKeyPolicy",
      "{\"KeyId\":\"$KEY\",\"Policy\":\"\\u0100\"}", "ValidationException",
      ONE("Value '\xc4\x80' at 'policy'" MUST
          "satisfy regular expression pattern: [\\u0009\\u000A\\u000D\\u0020-\\u00FF]+") },
    { "policy that is no JSON", ADMIN, "PutKeyPolicy", "{\"KeyId\":\"$KEY\",\"Policy\":\"x\"}",
      "MalformedPolicyDocumentException", "Policy is not JSON (byte 0)" },
    { "policy that is no policy", ADMIN, "CreateKey", "{\"Policy\":\"{}\"}",
      "MalformedPolicyDocumentException", "Policy without Statement (byte 0)" },
    { "policy with an operator that we do not know", ADMIN, "PutKeyPolicy",
      "{\"KeyId\":\"$KEY\",\"Policy\":\"{\\\"Statement\\\":{\\\"Effect\\\":\\\"Deny\\\","
      "\\\"Principal\\\":\\\"*\\\",\\\"Condition\\\":{\\\"NumericLike\\\":{\\\"a:b\\\":1}}}}\"}",
      "MalformedPolicyDocumentException", "Unsupported condition operator (statement 1, byte 59)" },
    { "policy that locks out", ADMIN, "PutKeyPolicy",
      "{\"KeyId\":\"$KEY\",\"Policy\":\"{\\\"Statement\\\":{\\\"Effect\\\":\\\"Allow\\\","
      "\\\"Principal\\\":\\\"*\\\",\\\"Action\\\":\\\"kms:Decrypt\\\",\\\"Resource\\\":\\\"*\\\"}}"
      "\"}",
      "MalformedPolicyDocumentException",
      "The new key policy will not allow you to update the key policy in the future." },
    { "PutKeyPolicy under a condition locks out", ADMIN, "CreateKey",
      "{\"Policy\":\"{\\\"Statement\\\":{\\\"Effect\\\":\\\"Allow\\\",\\\"Principal\\\":\\\"*\\\","
      "\\\"Action\\\":\\\"kms:*\\\",\\\"Resource\\\":\\\"*\\\",\\\"Condition\\\":{\\\"Bool\\\":{"
      "\\\"aws:SecureTransport\\\":\\\"true\\\"}}}}\"}",
      "MalformedPolicyDocumentException",
      "The new key policy will not allow you to update the key policy in the future." },
    { "RSA key without a usage", ADMIN, "CreateKey", "{\"KeySpec\":\"RSA_2048\"}",
      "ValidationException",
      "You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys." },
    { "SM2 key", ADMIN, "CreateKey", "{\"KeySpec\":\"SM2\",\"KeyUsage\":\"SIGN_VERIFY\"}",
      "UnsupportedOperationException", "KeySpec SM2 is not supported here." },
    { "unknown spec", ADMIN, "CreateKey", "{\"Origin\":\"MARS\"}", "ValidationException",
      ONE("Value 'MARS' at 'origin'" MUST
          "satisfy enum value set: [AWS_KMS, EXTERNAL, AWS_CLOUDHSM, EXTERNAL_KEY_STORE]") },
    { "usage of another key", ADMIN, "CreateKey", "{\"KeyUsage\":\"SIGN_VERIFY\"}",
      "ValidationException",
      "KeyUsage SIGN_VERIFY is not compatible with KeySpec SYMMETRIC_DEFAULT" },
    { "key of a CloudHSM", ADMIN, "CreateKey", "{\"Origin\":\"AWS_CLOUDHSM\"}",
      "UnsupportedOperationException", "Origin AWS_CLOUDHSM is not supported here." },
};

static void is_refused(void **state)
{
    const struct refusal *row = *state;

    api_ask(&api, row->who, row->operation, row->body);
    api_assert_fault(&api, row->type, row->message);
}

static void key_life(void **state)
{
    (void)state;
    char want[256];

    api_ask(&api, ADMIN, "CreateKey", "{\"Description\":\"caf\xc3\xa9\"}");
    api_assert_ok(&api, "\"Description\":\"caf\xc3\xa9\",\"Enabled\":true,");
    api_assert_ok(&api, "\"CreationDate\":1700000000.000,");
    api_make_key(&api, NULL);
    snprintf(want, sizeof want, "\"Arn\":\"%s\"", api.key_arn);
    api_ask(&api, ADMIN, "DescribeKey", "{\"KeyId\":\"$ARN\"}");
    api_assert_ok(&api, want);
    api_ask(&api, ADMIN, "DescribeKey", "{\"KeyId\":\"$KEY\"}");
    api_assert_ok(&api, want);
    api_ask(&api, ADMIN, "GetKeyPolicy", "{\"KeyId\":\"$KEY\"}");
    api_assert_ok(&api, "\\\"Sid\\\":\\\"Enable IAM User Permissions\\\"");
    /* The root user needs no identity policy where the account is named. */
    api_ask(&api, ROOT_USER, "DescribeKey", "{\"KeyId\":\"$KEY\"}");
    api_assert_ok(&api, want);
}

static void headers(void **state)
{
    (void)state;
    const struct api_tweak close = { .close = true };

    api_ask(&api, ADMIN, "ListKeys", "");
    api_assert_ok(&api, "\"Truncated\":false");
    assert_true(span_is(http1_header_get(&api.head, "content-type"), "application/x-amz-json-1.1"));
    assert_true(span_is(http1_header_get(&api.head, "date"), "Tue, 14 Nov 2023 22:13:20 GMT"));
    assert_true(span_is(http1_header_get(&api.head, "x-amzn-requestid"), api.note.request_id));
    assert_int_equal(strlen(api.note.request_id), 36);
    assert_true(api.head.keep_alive);
    api_ask_tweaked(&api, ADMIN, "ListKeys", "{}", &close);
    assert_false(api.head.keep_alive);
}

static void lists_in_pages(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf scratch = BUF_INIT(256);
    char body[128], last[64] = "";
    unsigned seen = 0, pages = 0;

    for (unsigned i = 0; i < 7; i++)
        api_make_key(&api, NULL);
    do {
        snprintf(body, sizeof body, "{\"Limit\":3%s%s%s}", *last ? ",\"Marker\":\"" : "", last,
                 *last ? "\"" : "");
        api_ask(&api, ADMIN, "ListKeys", body);
        api_assert_ok(&api, "\"Keys\":[");
        for (size_t at = 0; at + 8 < api.body.len; at++)
            seen += memcmp(api.body.ptr + at, "\"KeyArn\"", 8) == 0;
        bool more = api_has(&api, "NextMarker");
        api_assert_ok(&api, more ? "\"Truncated\":true" : "\"Truncated\":false");
        snprintf(last, sizeof last, "%s", "");
        if (more) {
            struct span marker = api_text(&api, "NextMarker", &scratch);
            snprintf(last, sizeof last, "%.*s", (int)marker.len, (const char *)marker.ptr);
        }
        pages++;
    } while (*last);
    assert_int_equal(seen, test_keystore_keys(api.store));
    assert_int_equal(pages, (seen + 2) / 3);
}

static void policies_are_put(void **state)
{
    (void)state;

    api_make_key(&api, POLICY(OWN));
    api_ask(&api, APP, "DescribeKey", "{\"KeyId\":\"$KEY\"}");
    api_assert_fault(&api, "AccessDeniedException",
                     DENIED(API_APP, "kms:DescribeKey",
                            "$ARN") "resource-based policy allows the kms:DescribeKey action");
    t_assert_buf(&api.note.explain, "key policy: no statement allows it; nearest is statement 1, "
                                    "which is not for this principal");
    api_ask(
        &api, ADMIN, "PutKeyPolicy",
        "{\"KeyId\":\"$KEY\",\"PolicyName\":\"default\",\"BypassPolicyLockoutSafetyCheck\":true,"
        "\"Policy\":\"{\\\"Statement\\\":{\\\"Effect\\\":\\\"Deny\\\",\\\"Principal\\\":\\\"*\\\","
        "\\\"Action\\\":\\\"kms:*\\\",\\\"Resource\\\":\\\"*\\\"}}\"}");
    assert_int_equal(api.status, 200);
    assert_int_equal(api.body.len, 0); /* no output shape */
    api_ask(&api, ADMIN, "GetKeyPolicy", "{\"KeyId\":\"$KEY\"}");
    api_assert_fault(&api, "AccessDeniedException",
                     "User: " API_ADMIN " is not authorized to perform: kms:GetKeyPolicy on "
                     "resource: $ARN with an explicit deny in a resource-based policy");
}

/* Both at the limit and one past it. */
static void policy_quota(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf body = BUF_INIT(1 << 20);
    static const char own[] = "{\\\"Statement\\\":{\\\"Effect\\\":\\\"Allow\\\",\\\"Principal\\\":"
                              "\\\"*\\\",\\\"Action\\\":"
                              "\\\"kms:*\\\",\\\"Resource\\\":\\\"*\\\"}}";
    size_t text = strlen(own);

    for (const char *c = own; *c; c++)
        text -= *c == '\\';
    for (size_t size = 32768; size <= 32769; size++) {
        buf_reset(&body);
        assert_int_equal(buf_printf(&body, "{\"Policy\":\"%s%*s\"}", own, (int)(size - text), ""),
                         ERR_OK);
        const char *all = buf_cstr(&body);
        assert_non_null(all);
        api_ask(&api, ADMIN, "CreateKey", all);
        if (size == 32768)
            api_assert_ok(&api, "KeyMetadata");
        else
            api_assert_fault(&api, "LimitExceededException",
                             "The key policy is longer than the quota of 32768 bytes.");
    }
}

static void store_fails(void **state)
{
    (void)state;

    static const struct {
        const char *operation, *body, *message;
    } cases[] = {
        { "CreateKey", "{}", "The key store could not be written." },
        { "PutKeyPolicy",
          "{\"KeyId\":\"$KEY\",\"Policy\":\"{\\\"Version\\\":\\\"2012-10-17\\\",\\\"Statement\\\":["
          "{\\\"Effect\\\":\\\"Allow\\\",\\\"Principal\\\":\\\"*\\\","
          "\\\"Action\\\":\\\"kms:*\\\",\\\"Resource\\\":\\\"*\\\"}]}\"}",
          "The key store could not be written." },
        { "ListKeys", "{}", "The key store could not be read." },
        { "DescribeKey", "{\"KeyId\":\"01234567-0123-4123-8123-0123456789ab\"}",
          "The key store could not be read." },
    };

    api_make_key(&api, NULL);
    api_ask(&api, ADMIN, "DescribeKey", "{\"KeyId\":\"$KEY\"}"); /* it and its tags are kept */
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        test_keystore_break(api.store, true);
        api_ask(&api, ADMIN, cases[i].operation, cases[i].body);
        test_keystore_break(api.store, false);
        api_assert_fault(&api, "KMSInternalException", cases[i].message);
        assert_string_equal(api.note.store_reason, TEST_KEYSTORE_FAILS);
    }
    api_ask(&api, ADMIN, "ListKeys", "{}");
    api_assert_ok(&api, api.key_id);
    assert_string_equal(api.note.store_reason, "");
}

static void states(void **state)
{
    (void)state;
    static const struct {
        const char *sql, *name, *type, *message;
    } cases[] = {
        { "UPDATE keys SET state = 2 WHERE id = ?", "\"KeyState\":\"Disabled\"",
          "DisabledException", "$ARN is disabled." },
        { "UPDATE keys SET state = 3 WHERE id = ?", "\"KeyState\":\"PendingDeletion\"",
          "KMSInvalidStateException", "$ARN is pending deletion." },
        { "UPDATE keys SET state = 4 WHERE id = ?", "\"KeyState\":\"PendingImport\"",
          "KMSInvalidStateException", "$ARN is pending import." },
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        api_make_key(&api, NULL);
        test_keystore_sql(api.store, cases[i].sql, api.key_id);
        api_restart(&api);
        api_ask(&api, ADMIN, "DescribeKey", "{\"KeyId\":\"$KEY\"}");
        api_assert_ok(&api, cases[i].name);
        api_assert_ok(&api, "\"Enabled\":false");
        api_ask(&api, ADMIN, "GenerateDataKey", "{\"KeyId\":\"$KEY\",\"KeySpec\":\"AES_128\"}");
        api_assert_fault(&api, cases[i].type, cases[i].message);
        /* Who may not use it does not learn of its state. */
        api_ask(&api, APP, "GenerateDataKey", "{\"KeyId\":\"$KEY\",\"KeySpec\":\"AES_128\"}");
        assert_string_equal(api.note.error, "AccessDeniedException");
    }
}

static struct signing {
    const char *name;
    enum api_who who;
    struct api_tweak tweak;
    const char *type, *message; /* NULL: any */
} signings[] = {
    { "not signed",
      ADMIN,
      { .no_authorization = true },
      "MissingAuthenticationTokenException",
      "Missing Authentication Token" },
    { "another method", ADMIN, { .get = true }, "UnknownOperationException", NULL },
    { "another scheme",
      ADMIN,
      { .authorization = "Basic eDp5" },
      "IncompleteSignatureException",
      NULL },
    { "no date", ADMIN, { .no_date = true }, "IncompleteSignatureException", NULL },
    { "another Region",
      ADMIN,
      { .region = "eu-west-1" },
      "InvalidSignatureException",
      "Credential should be scoped to a valid region." },
    { "another service",
      ADMIN,
      { .service = "s3" },
      "InvalidSignatureException",
      "Credential should be scoped to correct service: 'kms'." },
    { "five minutes ago and a second",
      ADMIN,
      { .skew_s = -301 },
      "InvalidSignatureException",
      "Signature expired: 20231114T220819Z is now earlier than 20231114T220820Z "
      "(20231114T221320Z - 5 min.)" },
    { "five minutes ahead and a second",
      ADMIN,
      { .skew_s = 301 },
      "InvalidSignatureException",
      "Signature not yet current: 20231114T221821Z is still later than 20231114T221820Z "
      "(20231114T221320Z + 5 min.)" },
    { "unknown key",
      NOBODY,
      { .region = NULL },
      "UnrecognizedClientException",
      "The security token included in the request is invalid." },
    { "another token",
      TEMPORARY,
      { .token = "tokeN" },
      "UnrecognizedClientException",
      "The security token included in the request is invalid." },
    { "a token where there is none",
      ADMIN,
      { .token = "token" },
      "UnrecognizedClientException",
      "The security token included in the request is invalid." },
    { "credentials that ended this second",
      OLD,
      { .region = NULL },
      "ExpiredTokenException",
      "The security token included in the request is expired" },
    { "another secret", ADMIN, { .wrong_secret = true }, "InvalidSignatureException", NULL },
    { "another body", ADMIN, { .changed_body = true }, "InvalidSignatureException", NULL },
    { "target not signed", ADMIN, { .unsigned_target = true }, "InvalidSignatureException", NULL },
};

static void is_not_signed(void **state)
{
    const struct signing *row = *state;

    api_ask_tweaked(&api, row->who, "ListKeys", "{}", &row->tweak);
    assert_string_equal(api.note.error, row->type);
    assert_string_equal(api.note.caller, "");
    if (row->message)
        api_assert_fault(&api, row->type, row->message);
}

/* The last second that counts, and a session's token. */
static void is_signed(void **state)
{
    (void)state;
    const struct api_tweak early = { .skew_s = -300 }, late = { .skew_s = 300 };

    api_ask_tweaked(&api, ADMIN, "ListKeys", "{}", &early);
    api_assert_ok(&api, "Keys");
    api_ask_tweaked(&api, ADMIN, "ListKeys", "{}", &late);
    api_assert_ok(&api, "Keys");
    api_ask(&api, TEMPORARY, "ListKeys", "{}");
    assert_string_equal(api.note.caller, API_APP);
}

static int up(void **state)
{
    (void)state;
    api_up(&api, SPAN_LIT("no root at all"), CMS_FORM_A);
    api_make_key(&api, NULL);
    return 0;
}

static int down(void **state)
{
    (void)state;
    api_down(&api);
    return 0;
}

static void calls_past_the_quota(void **state)
{
    (void)state;
    api.quota = 2;
    api_restart(&api);
    api_ask(&api, ADMIN, "ListKeys", "{}");
    api_assert_ok(&api, "Keys");
    api_ask(&api, NOBODY, "ListKeys", "{}"); /* refused before it counts */
    assert_int_equal(api.status, 400);
    api_ask(&api, ADMIN, "ListKeys", "{}");
    api_assert_ok(&api, "Keys");
    api_ask(&api, ADMIN, "ListKeys", "{}");
    api_assert_fault(&api, "ThrottlingException",
                     "You have exceeded the rate at which you may call KMS. Reduce the frequency "
                     "of your calls.");
    api.quota = 0;
    api_restart(&api);
    api_ask(&api, ADMIN, "ListKeys", "{}");
    api_assert_ok(&api, "Keys");
}

int main(void)
{
    enum {
        N = sizeof refusals / sizeof refusals[0],
        M = sizeof signings / sizeof signings[0],
        OTHERS = 9
    };
    static struct CMUnitTest tests[N + M + OTHERS];
    const struct CMUnitTest others[OTHERS] = {
        cmocka_unit_test(calls_past_the_quota),
        cmocka_unit_test(key_life),
        cmocka_unit_test(headers),
        cmocka_unit_test(lists_in_pages),
        cmocka_unit_test(policies_are_put),
        cmocka_unit_test(policy_quota),
        cmocka_unit_test(store_fails),
        cmocka_unit_test(states),
        cmocka_unit_test(is_signed),
    };

    T_ROWS(tests, refusals, is_refused);
    T_ROWS(tests + N, signings, is_not_signed);
    memcpy(tests + N + M, others, sizeof others);
    return cmocka_run_group_tests(tests, up, down);
}
