/* test_use.c - what keys of each kind do: signatures, MACs, RSA, ReEncrypt, data keys. */
#include <stdio.h>

#include "base/json.h"
#include "localkms/test_ops.h"

static void make(const char *spec, const char *usage)
{
    char body[128];

    snprintf(body, sizeof body, "{\"KeySpec\":\"%s\",\"KeyUsage\":\"%s\"}", spec, usage);
    api_create(&api, body);
    api_assert_ok(&api, spec);
    api_assert_ok(&api, usage);
}

/* 32, 48 or 64 bytes of base64, as many as the algorithm's digest has. */
static const char *digest_of(const char *algorithm)
{
    if (strstr(algorithm, "384"))
        return "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    if (strstr(algorithm, "512"))
        return "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
               "AAAAAAAAAAAAAAAAAAAAAA==";
    return "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
}

static void sign_and_verify(const char *algorithm, const char *message, const char *type)
{
    static char body[512], verify[2048];

    snprintf(body, sizeof body,
             "{\"KeyId\":\"$KEY\",\"Message\":\"%s\",\"SigningAlgorithm\":\"%s\"%s%s%s}", message,
             algorithm, *type ? ",\"MessageType\":\"" : "", type, *type ? "\"" : "");
    does("Sign", body, algorithm);
    api_keep(&api, "Signature");
    snprintf(verify, sizeof verify, "%.*s,\"Signature\":\"$KEPT\"}", (int)strlen(body) - 1, body);
    does("Verify", verify, "\"SignatureValid\":true");
    api_restart(&api);
    does("Verify", verify, "\"SignatureValid\":true");
    char *at = strstr(verify, message);
    at[0] = 'B';
    refuses("Verify", verify, "KMSInvalidSignatureException", NULL);
}

static struct pair {
    const char *name;
    const char *algorithms[7];
} pairs[] = {
    { "RSA_2048",
      { "RSASSA_PKCS1_V1_5_SHA_256", "RSASSA_PKCS1_V1_5_SHA_384", "RSASSA_PKCS1_V1_5_SHA_512",
        "RSASSA_PSS_SHA_256", "RSASSA_PSS_SHA_384", "RSASSA_PSS_SHA_512" } },
    { "ECC_NIST_P256", { "ECDSA_SHA_256" } },
    { "ECC_NIST_P384", { "ECDSA_SHA_384" } },
    { "ECC_NIST_P521", { "ECDSA_SHA_512" } },
    { "ECC_SECG_P256K1", { "ECDSA_SHA_256" } },
    { "ECC_NIST_EDWARDS25519", { "ED25519_SHA_512" } },
};
enum { PAIRS = sizeof pairs / sizeof pairs[0] };

static void signatures(void **state)
{
    const struct pair *p = *state;
    char text[256];

    make(p->name, "SIGN_VERIFY");
    does("GetPublicKey", "{\"KeyId\":\"$KEY\"}", "\"SigningAlgorithms\":[\"");
    for (size_t i = 0; p->algorithms[i]; i++) {
        const char *a = p->algorithms[i];
        sign_and_verify(a, "QQ==", "");
        sign_and_verify(a, "QQ==", "RAW");
        bool pure = strcmp(a, "ED25519_SHA_512") == 0;
        if (!pure)
            sign_and_verify(a, digest_of(a), "DIGEST");
        snprintf(text, sizeof text,
                 "{\"KeyId\":\"$KEY\",\"Message\":\"QQ==\",\"SigningAlgorithm\":\"%s\","
                 "\"MessageType\":\"DIGEST\"}",
                 a);
        char want[128];
        snprintf(want, sizeof want,
                 pure ? "MessageType DIGEST is not valid for algorithm %s."
                      : "Digest is invalid length for algorithm %s.",
                 a);
        refuses("Sign", text, "ValidationException", want);
    }
    char bad[128];
    snprintf(bad, sizeof bad, "Algorithm SM2DSA is incompatible with key spec %s.", p->name);
    refuses("Sign", "{\"KeyId\":\"$KEY\",\"Message\":\"QQ==\",\"SigningAlgorithm\":\"SM2DSA\"}",
            "InvalidKeyUsageException", bad);
    refuses("Encrypt", "{\"KeyId\":\"$KEY\",\"Plaintext\":\"QQ==\"}", "InvalidKeyUsageException",
            "$ARN key usage is SIGN_VERIFY which is not valid for Encrypt.");
}

static void other_keys_do_not_sign(void **state)
{
    (void)state;
    api_make_key(&api, NULL);
    refuses("Sign",
            "{\"KeyId\":\"$KEY\",\"Message\":\"QQ==\",\"SigningAlgorithm\":\"ECDSA_SHA_256\"}",
            "InvalidKeyUsageException",
            "$ARN key usage is ENCRYPT_DECRYPT which is not valid for Sign.");
    refuses("Sign", "{\"KeyId\":\"$KEY\"}", "ValidationException",
            "2 validation errors detected: Value null at 'message'" MUST
            "not be null; Value null at 'signingAlgorithm'" MUST "not be null");
    refuses("Verify",
            "{\"KeyId\":\"$KEY\",\"Message\":\"QQ==\",\"SigningAlgorithm\":\"ECDSA_SHA_256\"}",
            "ValidationException", ONE("Value null at 'signature'" MUST "not be null"));
    make("ECC_NIST_P256", "SIGN_VERIFY");
    refuses("Sign",
            "{\"KeyId\":\"$KEY\",\"Message\":\"QQ==\",\"SigningAlgorithm\":\"ECDSA_SHA_256\","
            "\"DryRun\":true}",
            "DryRunOperationException",
            "The request would have succeeded, but the DryRun option is set.");
}

static void macs(void **state)
{
    static const struct {
        const char *spec, *algorithm;
        size_t digits; /* of base64 */
    } kinds[] = {
        { "HMAC_224", "HMAC_SHA_224", 40 },
        { "HMAC_256", "HMAC_SHA_256", 44 },
        { "HMAC_384", "HMAC_SHA_384", 64 },
        { "HMAC_512", "HMAC_SHA_512", 88 },
    };
    char body[512], want[128];
    (void)state;

    for (size_t i = 0; i < 4; i++) {
        make(kinds[i].spec, "GENERATE_VERIFY_MAC");
        snprintf(body, sizeof body,
                 "{\"KeyId\":\"$KEY\",\"Message\":\"aGVsbG8=\",\"MacAlgorithm\":\"%s\"}",
                 kinds[i].algorithm);
        does("GenerateMac", body, kinds[i].algorithm);
        api_keep(&api, "Mac");
        assert_int_equal(strlen(api.kept), kinds[i].digits);
        api_restart(&api);
        body[strlen(body) - 1] = '\0';
        strcat(body, ",\"Mac\":\"$KEPT\"}");
        does("VerifyMac", body, "\"MacValid\":true");
        api.kept[0] = api.kept[0] == 'A' ? 'B' : 'A';
        refuses("VerifyMac", body, "KMSInvalidMacException", NULL);
        const char *other = kinds[(i + 1) % 4].algorithm;
        snprintf(body, sizeof body,
                 "{\"KeyId\":\"$KEY\",\"Message\":\"aGVsbG8=\",\"MacAlgorithm\":\"%s\"}", other);
        snprintf(want, sizeof want, "Algorithm %s is incompatible with key spec %s.", other,
                 kinds[i].spec);
        refuses("GenerateMac", body, "InvalidKeyUsageException", want);
        refuses("GetPublicKey", "{\"KeyId\":\"$KEY\"}", "UnsupportedOperationException", NULL);
    }
}

/* The longest that each algorithm takes, and one byte more. */
static void rsa(void **state)
{
    static const struct {
        const char *algorithm;
        size_t max;
        const char *message;
    } kinds[] = {
        { "RSAES_OAEP_SHA_1", 214,
          "Algorithm RSAES_OAEP_SHA_1 and key spec RSA_2048 cannot encrypt data larger than 214 "
          "bytes." },
        { "RSAES_OAEP_SHA_256", 190,
          "Algorithm RSAES_OAEP_SHA_256 and key spec RSA_2048 cannot encrypt data larger than 190 "
          "bytes." },
    };
    static const uint8_t plain[215];
    (void)state;

    make("RSA_2048", "ENCRYPT_DECRYPT");
    does("GetPublicKey", "{\"KeyId\":\"$KEY\"}",
         "\"EncryptionAlgorithms\":[\"RSAES_OAEP_SHA_1\",\"RSAES_OAEP_SHA_256\"]");
    for (size_t i = 0; i < 2; i++)
        for (size_t extra = 0; extra < 2; extra++) {
            AUTO(buf_clear) struct buf body = BUF_INIT(4096);
            struct json_out w = json_out_init(&body);
            json_out_object(&w);
            json_out_key(&w, "KeyId");
            json_out_string(&w, span_str(api.key_id));
            json_out_key(&w, "EncryptionAlgorithm");
            json_out_string(&w, span_str(kinds[i].algorithm));
            json_out_key(&w, "Plaintext");
            json_out_base64(&w, span_of(plain, kinds[i].max + extra));
            json_out_object_end(&w);
            assert_int_equal(json_out_end(&w), ERR_OK);
            const char *text = buf_cstr(&body);
            if (extra) {
                refuses("Encrypt", text, "ValidationException", kinds[i].message);
                continue;
            }
            does("Encrypt", text, kinds[i].algorithm);
            api_keep(&api, "CiphertextBlob");
            char open[1024];
            snprintf(open, sizeof open,
                     "{\"KeyId\":\"$KEY\",\"CiphertextBlob\":\"$KEPT\",\"EncryptionAlgorithm\":"
                     "\"%s\"}",
                     kinds[i].algorithm);
            does("Decrypt", open, "\"Plaintext\":\"AAAA");
            assert_false(api_has(&api, "KeyMaterialId"));
            snprintf(open, sizeof open,
                     "{\"KeyId\":\"$KEY\",\"CiphertextBlob\":\"$KEPT\",\"EncryptionAlgorithm\":"
                     "\"%s\"}",
                     kinds[1 - i].algorithm);
            refuses("Decrypt", open, "InvalidCiphertextException", NULL);
        }
    refuses(
        "Decrypt", "{\"CiphertextBlob\":\"$KEPT\",\"EncryptionAlgorithm\":\"RSAES_OAEP_SHA_1\"}",
        "ValidationException", "A KeyId is required with EncryptionAlgorithm RSAES_OAEP_SHA_1.");
    refuses("Encrypt", "{\"KeyId\":\"$KEY\",\"Plaintext\":\"AA==\"}", "InvalidKeyUsageException",
            "Algorithm SYMMETRIC_DEFAULT is incompatible with key spec RSA_2048.");
    refuses("Encrypt",
            "{\"KeyId\":\"$KEY\",\"Plaintext\":\"AA==\",\"EncryptionContext\":{\"a\":\"b\"},"
            "\"EncryptionAlgorithm\":\"RSAES_OAEP_SHA_1\"}",
            "ValidationException",
            "EncryptionContext is supported by symmetric encryption keys only.");
    refuses("GenerateDataKey", "{\"KeyId\":\"$KEY\",\"KeySpec\":\"AES_256\"}",
            "InvalidKeyUsageException",
            "$ARN key spec is RSA_2048 which is not valid for GenerateDataKey.");
}

static void reencrypt(void **state)
{
    char first[KEY_ID_BYTES + 1], body[512];
    (void)state;

    api_make_key(&api, NULL);
    memcpy(first, api.key_id, sizeof first);
    does("Encrypt",
         "{\"KeyId\":\"$KEY\",\"Plaintext\":\"aGVsbG8=\",\"EncryptionContext\":{\"a\":\"b\"}}",
         "CiphertextBlob");
    api_keep(&api, "CiphertextBlob");
    api_make_key(&api, NULL);
    refuses("ReEncrypt", "{\"CiphertextBlob\":\"$KEPT\",\"DestinationKeyId\":\"$KEY\"}",
            "InvalidCiphertextException", NULL);
    refuses("ReEncrypt",
            "{\"CiphertextBlob\":\"$KEPT\",\"DestinationKeyId\":\"$KEY\",\"SourceKeyId\":\"$KEY\"}",
            "IncorrectKeyException",
            "The key ID in the request does not identify a CMK that can perform this operation.");
    snprintf(body, sizeof body,
             "{\"CiphertextBlob\":\"$KEPT\",\"DestinationKeyId\":\"$KEY\",\"SourceKeyId\":\"%s\","
             "\"SourceEncryptionContext\":{\"a\":\"b\"},\"DestinationEncryptionContext\":{\"c\":"
             "\"d\"},\"DryRun\":true}",
             first);
    refuses("ReEncrypt", body, "DryRunOperationException",
            "The request would have succeeded, but the DryRun option is set.");
    strcpy(strstr(body, ",\"DryRun\""), "}");
    does("ReEncrypt", body, "\"SourceEncryptionAlgorithm\":\"SYMMETRIC_DEFAULT\"");
    api_assert_ok(&api, first);
    assert_true(api_has(&api, "SourceKeyMaterialId") && api_has(&api, "DestinationKeyMaterialId"));
    api_keep(&api, "CiphertextBlob");
    refuses("Decrypt", "{\"CiphertextBlob\":\"$KEPT\",\"EncryptionContext\":{\"a\":\"b\"}}",
            "InvalidCiphertextException", NULL);
    does("Decrypt",
         "{\"KeyId\":\"$KEY\",\"CiphertextBlob\":\"$KEPT\",\"EncryptionContext\":{\"c\":\"d\"}}",
         "\"Plaintext\":\"aGVsbG8=\"");
    /* From a symmetric key to an RSA one, whose ciphertext names nobody. */
    make("RSA_2048", "ENCRYPT_DECRYPT");
    does("ReEncrypt",
         "{\"CiphertextBlob\":\"$KEPT\",\"SourceEncryptionContext\":{\"c\":\"d\"},"
         "\"DestinationKeyId\":\"$KEY\",\"DestinationEncryptionAlgorithm\":\"RSAES_OAEP_SHA_256\"}",
         "\"DestinationEncryptionAlgorithm\":\"RSAES_OAEP_SHA_256\"");
    api_keep(&api, "CiphertextBlob");
    does(
        "Decrypt",
        "{\"KeyId\":\"$KEY\",\"CiphertextBlob\":\"$KEPT\",\"EncryptionAlgorithm\":\"RSAES_OAEP_SHA_"
        "256\"}",
        "\"Plaintext\":\"aGVsbG8=\"");
}

/* Both permissions are asked for, each of its own key. */
static void reencrypt_permissions(void **state)
{
    (void)state;
#define ALLOW(who, action)                                                                         \
    "{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"" who "\"},\"Action\":\"" action               \
    "\",\"Resource\":\"*\"}"
#define KEY_POLICY(action)                                                                         \
    "{\"Version\":\"2012-10-17\",\"Statement\":[" ALLOW(API_ADMIN, "kms:*") "," ALLOW(API_APP,     \
                                                                                      action) "]}"

    api_make_key(&api, KEY_POLICY("kms:ReEncryptFrom"));
    does("Encrypt", "{\"KeyId\":\"$KEY\",\"Plaintext\":\"aGVsbG8=\"}", "CiphertextBlob");
    api_keep(&api, "CiphertextBlob");
    api_ask(&api, APP, "ReEncrypt", "{\"CiphertextBlob\":\"$KEPT\",\"DestinationKeyId\":\"$KEY\"}");
    api_assert_fault(&api, "AccessDeniedException",
                     "User: " API_APP " is not authorized to perform: kms:ReEncryptTo on resource: "
                     "$ARN because no resource-based policy allows the kms:ReEncryptTo action");
    api_make_key(&api, KEY_POLICY("kms:ReEncryptTo"));
    api_ask(&api, APP, "ReEncrypt", "{\"CiphertextBlob\":\"$KEPT\",\"DestinationKeyId\":\"$KEY\"}");
    api_assert_ok(&api, "CiphertextBlob");
    api_keep(&api, "CiphertextBlob");
    api_ask(&api, APP, "ReEncrypt", "{\"CiphertextBlob\":\"$KEPT\",\"DestinationKeyId\":\"$KEY\"}");
    assert_string_equal(api.note.error, "AccessDeniedException");
}

/* A dry run without a ciphertext. */
static void modifiers(void **state)
{
    (void)state;
    api_make_key(&api, NULL);
    refuses("Decrypt",
            "{\"KeyId\":\"$KEY\",\"DryRun\":true,\"DryRunModifiers\":[\"IGNORE_CIPHERTEXT\"]}",
            "DryRunOperationException",
            "The request would have succeeded, but the DryRun option is set.");
    refuses("Decrypt", "{\"KeyId\":\"$KEY\",\"DryRunModifiers\":[\"IGNORE_CIPHERTEXT\"]}",
            "ValidationException", "DryRunModifiers can be used with DryRun only.");
    refuses("Decrypt", "{\"DryRun\":true,\"DryRunModifiers\":[\"IGNORE_CIPHERTEXT\"]}",
            "ValidationException", "IGNORE_CIPHERTEXT needs a key ID and no ciphertext.");
    refuses("Decrypt", "{\"KeyId\":\"$KEY\",\"DryRun\":true,\"DryRunModifiers\":[\"X\"]}",
            "ValidationException",
            "1 validation error detected: Value 'X' at 'dryRunModifiers'" MUST
            "satisfy enum value set: [IGNORE_CIPHERTEXT]");
    refuses("ReEncrypt",
            "{\"SourceKeyId\":\"$KEY\",\"DestinationKeyId\":\"$KEY\",\"DryRun\":true,"
            "\"DryRunModifiers\":[\"IGNORE_CIPHERTEXT\"]}",
            "DryRunOperationException",
            "The request would have succeeded, but the DryRun option is set.");
}

/* Too many wait for RSA keys: this one is told, the next one is not. */
static void declined(void **state)
{
    (void)state;
    localkms_decline(api.k);
    refuses("CreateKey", "{\"KeySpec\":\"RSA_2048\",\"KeyUsage\":\"SIGN_VERIFY\"}",
            "ThrottlingException",
            "You have exceeded the rate at which you may call KMS. Reduce the frequency of your "
            "calls.");
    make("RSA_2048", "SIGN_VERIFY");
}

static void without_plaintext(void **state)
{
    (void)state;
    api_make_key(&api, NULL);
    does("GenerateDataKeyWithoutPlaintext", "{\"KeyId\":\"$KEY\",\"NumberOfBytes\":64}",
         "KeyMaterialId");
    assert_false(api_has(&api, "Plaintext"));
    api_keep(&api, "CiphertextBlob");
    does("Decrypt", "{\"CiphertextBlob\":\"$KEPT\"}", "==\"");
    does("GenerateDataKeyPairWithoutPlaintext",
         "{\"KeyId\":\"$KEY\",\"KeyPairSpec\":\"RSA_2048\",\"EncryptionContext\":{\"a\":\"b\"}}",
         "\"KeyPairSpec\":\"RSA_2048\"");
    assert_false(api_has(&api, "PrivateKeyPlaintext"));
    api_keep(&api, "PrivateKeyCiphertextBlob");
    does("Decrypt", "{\"CiphertextBlob\":\"$KEPT\",\"EncryptionContext\":{\"a\":\"b\"}}",
         "\"Plaintext\":\"MIIE");
    does("GenerateDataKeyPair", "{\"KeyId\":\"$KEY\",\"KeyPairSpec\":\"RSA_2048\"}",
         "\"PrivateKeyPlaintext\":\"MIIE");
}

int main(void)
{
    static const struct CMUnitTest others[] = {
        cmocka_unit_test(other_keys_do_not_sign),
        cmocka_unit_test(macs),
        cmocka_unit_test(rsa),
        cmocka_unit_test(reencrypt),
        cmocka_unit_test(reencrypt_permissions),
        cmocka_unit_test(modifiers),
        cmocka_unit_test(without_plaintext),
        cmocka_unit_test(declined),
    };
    struct CMUnitTest tests[PAIRS + sizeof others / sizeof others[0]];

    T_ROWS(tests, pairs, signatures);
    memcpy(tests + PAIRS, others, sizeof others);
    return cmocka_run_group_tests_name("use", tests, ops_up, ops_down);
}
