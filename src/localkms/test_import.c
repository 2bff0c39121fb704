/* test_import.c - imported key material: wrapped as a client does it, expired, deleted, imported
 * again, rotated. */
#include <stdio.h>

#include "base/json.h"
#include "crypto/rsa.h"
#include "localkms/test_ops.h"

#define DAY_MS   INT64_C(86400000)
#define FOR_EVER ",\"ExpirationModel\":\"KEY_MATERIAL_DOES_NOT_EXPIRE\""
#define PARAMETERS                                                                                 \
    "{\"KeyId\":\"$KEY\",\"WrappingAlgorithm\":\"RSAES_OAEP_SHA_256\",\"WrappingKeySpec\":"        \
    "\"RSA_2048\"}"

static const uint8_t one[32] = { 1 }, two[32] = { 2 };

static void make_external(void)
{
    api_create(&api, "{\"Origin\":\"EXTERNAL\"}");
    api_assert_ok(&api, "\"KeyState\":\"PendingImport\"");
    api_assert_ok(&api, "\"Origin\":\"EXTERNAL\"");
    assert_null(memmem(api.body.ptr, api.body.len, "CurrentKeyMaterialId", 20));
}

/* The request of an import of `material`; `more` are members with a comma before each. */
static void import_body(struct span material, const char *more, struct buf *out)
{
    AUTO(buf_clear) struct buf token = BUF_INIT(8192), spki = BUF_INIT(1024), ct = BUF_INIT(512);
    AUTO(rsa_pub_freep) struct rsa_pub *pub = NULL;
    struct json_out w = json_out_init(out);

    does("GetParametersForImport", PARAMETERS, "ParametersValidTo");
    api_blob(&api, "ImportToken", &token);
    api_blob(&api, "PublicKey", &spki);
    assert_int_equal(rsa_pub_parse(api.cx, buf_view(&spki), &pub, NULL), ERR_OK);
    assert_int_equal(rsa_oaep_seal(api.cx, pub, material, &ct), ERR_OK);
    json_out_object(&w);
    json_out_key(&w, "KeyId");
    json_out_string(&w, span_str(api.key_id));
    json_out_key(&w, "ImportToken");
    json_out_base64(&w, buf_view(&token));
    json_out_key(&w, "EncryptedKeyMaterial");
    json_out_base64(&w, buf_view(&ct));
    assert_int_equal(w.err, ERR_OK);
    assert_int_equal(buf_append_str(out, more), ERR_OK);
    assert_int_equal(buf_append_byte(out, '}'), ERR_OK);
    assert_non_null(buf_cstr(out));
}

static void import(struct span material, const char *more)
{
    AUTO(buf_clear) struct buf body = BUF_INIT(16384);

    import_body(material, more, &body);
    api_ask(&api, ADMIN, "ImportKeyMaterial", (const char *)body.ptr);
}

static void encrypt(void)
{
    does("Encrypt", "{\"KeyId\":\"$KEY\",\"Plaintext\":\"aGVsbG8=\"}", "CiphertextBlob");
    api_keep(&api, "CiphertextBlob");
}

static void assert_decrypts(void)
{
    does("Decrypt", "{\"CiphertextBlob\":\"$KEPT\"}", "\"Plaintext\":\"aGVsbG8=\"");
}

/* In, out, and in again: only the same. */
static void comes_and_goes(void **state)
{
    (void)state;
    make_external();
    refuses("Encrypt", "{\"KeyId\":\"$KEY\",\"Plaintext\":\"AA==\"}", "KMSInvalidStateException",
            "$ARN is pending import.");
    refuses("EnableKey", THE_KEY, "KMSInvalidStateException", "$ARN is pending import.");
    import(SPAN_ARRAY(one), FOR_EVER);
    api_assert_ok(&api, "\"KeyMaterialId\":\"");
    does("DescribeKey", THE_KEY, "\"ExpirationModel\":\"KEY_MATERIAL_DOES_NOT_EXPIRE\"");
    api_assert_ok(&api, "\"KeyState\":\"Enabled\"");
    encrypt();
    api_restart(&api);
    assert_decrypts();
    import(SPAN_ARRAY(two), FOR_EVER);
    api_assert_fault(&api, "IncorrectKeyMaterialException",
                     "The key material is not the one that was imported before.");
    does("DeleteImportedKeyMaterial", THE_KEY, "\"KeyMaterialId\":\"");
    refuses("Decrypt", "{\"CiphertextBlob\":\"$KEPT\"}", "KMSInvalidStateException",
            "$ARN is pending import.");
    api_restart(&api);
    does("DescribeKey", THE_KEY, "PendingImport");
    import(SPAN_ARRAY(two), FOR_EVER);
    api_assert_fault(&api, "IncorrectKeyMaterialException",
                     "The key material is not the one that was imported before.");
    import(SPAN_ARRAY(one), FOR_EVER);
    api_assert_ok(&api, "KeyMaterialId");
    assert_decrypts();
}

static void expires(void **state)
{
    (void)state;
    make_external();
    import(SPAN_ARRAY(one), "");
    api_assert_fault(&api, "ValidationException",
                     "A validTo date must be set if the ExpirationModel is KEY_MATERIAL_EXPIRES");
    import(SPAN_ARRAY(one), FOR_EVER ",\"ValidTo\":1700086400");
    api_assert_fault(&api, "ValidationException",
                     "A validTo date must not be set if the ExpirationModel is "
                     "KEY_MATERIAL_DOES_NOT_EXPIRE");
    import(SPAN_ARRAY(one), ",\"ValidTo\":1700000000");
    api_assert_fault(&api, "ValidationException",
                     "The validTo date must be in the future, and at most 365 days from now.");
    import(SPAN_ARRAY(one), ",\"ValidTo\":\"tomorrow\"");
    api_assert_fault(&api, "SerializationException",
                     "STRING_VALUE can not be converted to a Timestamp");
    import(SPAN_ARRAY(one), ",\"ValidTo\":1700086400.5");
    api_assert_ok(&api, "KeyMaterialId");
    does("DescribeKey", THE_KEY,
         "\"ExpirationModel\":\"KEY_MATERIAL_EXPIRES\",\"ValidTo\":1700086400.500");
    encrypt();
    api.now_ms += DAY_MS + 499;
    assert_decrypts();
    api.now_ms += 1;
    refuses("Decrypt", "{\"CiphertextBlob\":\"$KEPT\"}", "KMSInvalidStateException",
            "$ARN is pending import.");
    import(SPAN_ARRAY(one), FOR_EVER);
    api_assert_ok(&api, "KeyMaterialId");
    assert_decrypts();
    api.now_ms = API_NOW_MS;
}

/* A second material waits for its rotation; what the first encrypted stays readable. */
static void rotated(void **state)
{
    char first[1024];
    (void)state;

    make_external();
    import(SPAN_ARRAY(one), FOR_EVER);
    encrypt();
    snprintf(first, sizeof first, "%.1023s", api.kept);
    refuses("RotateKeyOnDemand", THE_KEY, "KMSInvalidStateException",
            "$ARN has no key material that is pending rotation.");
    import(SPAN_ARRAY(one), FOR_EVER ",\"ImportType\":\"NEW_KEY_MATERIAL\"");
    api_assert_fault(&api, "IncorrectKeyMaterialException",
                     "The key material was imported before.");
    import(SPAN_ARRAY(two), FOR_EVER ",\"ImportType\":\"NEW_KEY_MATERIAL\","
                                     "\"KeyMaterialDescription\":\"the second\"");
    api_assert_ok(&api, "KeyMaterialId");
    does("ListKeyRotations", "{\"KeyId\":\"$KEY\",\"IncludeKeyMaterial\":\"ALL_KEY_MATERIAL\"}",
         "\"KeyMaterialDescription\":\"the second\",\"ImportState\":\"IMPORTED\"");
    api_assert_ok(&api, "\"KeyMaterialState\":\"PENDING_ROTATION\"");
    does("RotateKeyOnDemand", THE_KEY, "KeyId");
    api_restart(&api);
    assert_decrypts();
    encrypt();
    assert_decrypts();
    does("ListKeyRotations", THE_KEY, "\"KeyMaterialState\":\"CURRENT\"");
    /* Without the older one the key is of no use. */
    does("ListKeyRotations",
         "{\"KeyId\":\"$KEY\",\"IncludeKeyMaterial\":\"ALL_KEY_MATERIAL\",\"Limit\":1}",
         "\"KeyMaterialId\":\"");
    char id[65], body[256];
    const char *at = memmem(api.body.ptr, api.body.len, "\"KeyMaterialId\":\"", 17);
    assert_non_null(at);
    snprintf(id, sizeof id, "%.64s", at + 17);
    snprintf(body, sizeof body, "{\"KeyId\":\"$KEY\",\"KeyMaterialId\":\"%s\"}", id);
    does("DeleteImportedKeyMaterial", body, id);
    does("DescribeKey", THE_KEY, "PendingImport");
    import(SPAN_ARRAY(one), FOR_EVER);
    api_assert_ok(&api, id);
    snprintf(api.kept, sizeof api.kept, "%s", first);
    assert_decrypts();
    snprintf(body, sizeof body, "{\"KeyId\":\"$KEY\",\"KeyMaterialId\":\"%064d\"}", 0);
    api_ask(&api, ADMIN, "DeleteImportedKeyMaterial", body);
    assert_string_equal(api.note.error, "NotFoundException");
}

static void wrong_ones(void **state)
{
    AUTO(buf_clear) struct buf body = BUF_INIT(16384), other = BUF_INIT(16384);
    (void)state;

    make_external();
    import(span_sub(SPAN_ARRAY(one), 0, 31), FOR_EVER);
    api_assert_fault(&api, "IncorrectKeyMaterialException",
                     "The key material is not of the length of the key spec.");
    import_body(SPAN_ARRAY(one), FOR_EVER, &body);
    make_external();
    memcpy(strstr((char *)body.ptr, "\"KeyId\":\"") + 9, api.key_id, KEY_ID_BYTES);
    refuses("ImportKeyMaterial", (const char *)body.ptr, "InvalidImportTokenException", NULL);
    import_body(SPAN_ARRAY(one), FOR_EVER, &other);
    api.now_ms += DAY_MS;
    refuses("ImportKeyMaterial", (const char *)other.ptr, "ExpiredImportTokenException", NULL);
    api.now_ms = API_NOW_MS;
    char *ct = strstr((char *)other.ptr, "\"EncryptedKeyMaterial\":\"") + 24;
    ct[10] = ct[10] == 'A' ? 'B' : 'A';
    refuses("ImportKeyMaterial", (const char *)other.ptr, "InvalidCiphertextException", NULL);
    char *token = strstr((char *)other.ptr, "\"ImportToken\":\"") + 15;
    token[30] = token[30] == 'A' ? 'B' : 'A';
    refuses("ImportKeyMaterial", (const char *)other.ptr, "InvalidImportTokenException", NULL);
    refuses(
        "GetParametersForImport",
        "{\"KeyId\":\"$KEY\",\"WrappingAlgorithm\":\"RSAES_PKCS1_V1_5\",\"WrappingKeySpec\":"
        "\"RSA_2048\"}",
        "UnsupportedOperationException",
        "Wrapping algorithm RSAES_PKCS1_V1_5 with wrapping key spec RSA_2048 is not supported.");
    refuses("EnableKeyRotation", THE_KEY, "UnsupportedOperationException",
            "$ARN origin is EXTERNAL which is not valid for this operation.");
}

static void not_for_others(void **state)
{
    (void)state;
    api_make_key(&api, NULL);
    refuses("GetParametersForImport", PARAMETERS, "UnsupportedOperationException",
            "$ARN origin is AWS_KMS which is not valid for this operation.");
    refuses("DeleteImportedKeyMaterial", THE_KEY, "UnsupportedOperationException",
            "$ARN origin is AWS_KMS which is not valid for this operation.");
    refuses("ImportKeyMaterial",
            "{\"KeyId\":\"$KEY\",\"ImportToken\":\"AA==\",\"EncryptedKeyMaterial\":\"AA==\"}",
            "UnsupportedOperationException",
            "$ARN origin is AWS_KMS which is not valid for this operation.");
}

/* Ed25519 keys are short enough for OAEP alone. */
static void private_key(void **state)
{
    AUTO(secret_clear) struct secret pkcs8 = { 0 };
    AUTO(buf_clear) struct buf spki = BUF_INIT(1024), got = BUF_INIT(1024);
    (void)state;

    api_create(&api, "{\"Origin\":\"EXTERNAL\",\"KeySpec\":\"ECC_NIST_EDWARDS25519\",\"KeyUsage\":"
                     "\"SIGN_VERIFY\"}");
    assert_int_equal(keypair_new(api.cx, KEYPAIR_ECC_NIST_P256, &pkcs8, &spki), ERR_OK);
    import(secret_view(&pkcs8), FOR_EVER);
    api_assert_fault(&api, "IncorrectKeyMaterialException",
                     "The key material is not a private key of the key spec.");
    secret_clear(&pkcs8);
    buf_reset(&spki);
    assert_int_equal(keypair_new(api.cx, KEYPAIR_ECC_NIST_EDWARDS25519, &pkcs8, &spki), ERR_OK);
    import(secret_view(&pkcs8), FOR_EVER);
    api_assert_ok(&api, "{\"KeyId\":\"arn");
    assert_false(api_has(&api, "KeyMaterialId"));
    does("GetPublicKey", THE_KEY, "ED25519_SHA_512");
    api_blob(&api, "PublicKey", &got);
    t_assert_span(buf_view(&got), buf_view(&spki));
    does("Sign",
         "{\"KeyId\":\"$KEY\",\"Message\":\"AA==\",\"SigningAlgorithm\":\"ED25519_SHA_512\"}",
         "Signature");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_and_goes), cmocka_unit_test(expires),
        cmocka_unit_test(rotated),        cmocka_unit_test(wrong_ones),
        cmocka_unit_test(not_for_others), cmocka_unit_test(private_key),
    };

    return cmocka_run_group_tests_name("import", tests, ops_up, ops_down);
}
