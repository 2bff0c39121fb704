/* test_pairs.c - data key pairs and keys of usage KEY_AGREEMENT, without attestation. */
#include <stdio.h>

#include "base/json.h"
#include "crypto/ecdh.h"
#include "localkms/test_api.h"

static struct api api;

#define MUST   " failed to satisfy constraint: Member must "
#define ONE(m) "1 validation error detected: " m
#define AGREE(spec)                                                                                \
    "{\"KeyUsage\":\"KEY_AGREEMENT\",\"KeySpec\":\"" spec "\",\"Description\":\"" spec "\"}"

static int up(void **state)
{
    (void)state;
    if (crypto_process_init() != ERR_OK)
        return -1;
    api_up(&api, SPAN_LIT("no root is asked for here"), CMS_FORM_A);
    api_make_key(&api, NULL);
    return 0;
}

static int down(void **state)
{
    (void)state;
    api_down(&api);
    return 0;
}

/* A text with $2 where the id of another key stands: the API's helper knows one key only. */
static void with_id(const char *body, const char *id, struct buf *out)
{
    const char *at = strstr(body, "$2");

    assert_non_null(at);
    assert_int_equal(buf_printf(out, "%.*s%s%s", (int)(at - body), body, id, at + 2), ERR_OK);
    assert_non_null(buf_cstr(out));
}

static void ask_of(const char *operation, const char *body, const char *id)
{
    AUTO(buf_clear) struct buf text = BUF_INIT(65536);

    with_id(body, id, &text);
    api_ask(&api, ADMIN, operation, (const char *)text.ptr);
}

static void make_agreement_key(const char *body, char id[static KEY_ID_BYTES + 1])
{
    api_ask(&api, ADMIN, "CreateKey", body);
    api_assert_ok(&api, "\"KeyUsage\":\"KEY_AGREEMENT\"");
    struct json_in j = json_in_init(api.body);
    struct json_str name;
    json_in_object(&j);
    assert_true(json_in_member(&j, &name)); /* KeyMetadata */
    for (json_in_object(&j); json_in_member(&j, &name);) {
        if (!json_str_is(name, "KeyId")) {
            json_in_skip(&j);
            continue;
        }
        struct json_str value = json_in_string(&j);
        assert_int_equal(value.raw.len, KEY_ID_BYTES);
        memcpy(id, value.raw.ptr, KEY_ID_BYTES);
        id[KEY_ID_BYTES] = '\0';
        return;
    }
    fail_msg("no KeyId");
}

static void metadata(void **state)
{
    (void)state;
    char id[KEY_ID_BYTES + 1];

    make_agreement_key(AGREE("ECC_NIST_P384"), id);
    ask_of("DescribeKey", "{\"KeyId\":\"$2\"}", id);
    api_assert_ok(&api, "\"CustomerMasterKeySpec\":\"ECC_NIST_P384\"");
    api_assert_ok(&api, "\"KeySpec\":\"ECC_NIST_P384\"");
    api_assert_ok(&api, "\"KeyAgreementAlgorithms\":[\"ECDH\"]");
    assert_null(memmem(api.body.ptr, api.body.len, "EncryptionAlgorithms", 20));
    assert_null(memmem(api.body.ptr, api.body.len, "CurrentKeyMaterialId", 20));
    api_ask(&api, ADMIN, "DescribeKey", "{\"KeyId\":\"$KEY\"}");
    api_assert_ok(&api, "\"EncryptionAlgorithms\":[\"SYMMETRIC_DEFAULT\"]");
    assert_null(memmem(api.body.ptr, api.body.len, "KeyAgreementAlgorithms", 22));
}

/* What we derive with the public key of KMS is what KMS derives with ours; also of a new process.
 */
static void both_sides_agree(void **state)
{
    static const struct {
        const char *create;
        enum ecdh_curve curve;
        size_t bytes;
    } kinds[] = {
        { AGREE("ECC_NIST_P256"), ECDH_P256, 32 },
        { AGREE("ECC_NIST_P384"), ECDH_P384, 48 },
        { AGREE("ECC_NIST_P521"), ECDH_P521, 66 },
    };
    static const uint8_t seed[ECDH_SEED_BYTES] = { 42 };
    (void)state;

    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        AUTO(ecdh_key_freep) struct ecdh_key *ours = NULL;
        AUTO(buf_clear) struct buf spki = BUF_INIT(256), theirs = BUF_INIT(256);
        AUTO(buf_clear) struct buf body = BUF_INIT(1024), got = BUF_INIT(256);
        AUTO(secret_clear) struct secret want = { 0 };
        char id[KEY_ID_BYTES + 1];

        make_agreement_key(kinds[i].create, id);
        assert_int_equal(ecdh_key_from_seed(api.cx, kinds[i].curve, SPAN_ARRAY(seed), &ours),
                         ERR_OK);
        assert_int_equal(ecdh_key_public(ours, &spki), ERR_OK);
        ask_of("GetPublicKey", "{\"KeyId\":\"$2\"}", id);
        api_blob(&api, "PublicKey", &theirs);
        assert_int_equal(ecdh_derive(api.cx, ours, buf_view(&theirs), &want, NULL), ERR_OK);
        struct json_out w = json_out_init(&body);
        json_out_object(&w);
        json_out_key(&w, "KeyId");
        json_out_string(&w, span_str(id));
        json_out_key(&w, "KeyAgreementAlgorithm");
        json_out_string(&w, SPAN_LIT("ECDH"));
        json_out_key(&w, "PublicKey");
        json_out_base64(&w, buf_view(&spki));
        json_out_object_end(&w);
        assert_int_equal(json_out_end(&w), ERR_OK);
        if (i == 1)
            api_restart(&api);
        api_ask(&api, ADMIN, "DeriveSharedSecret", buf_cstr(&body));
        api_assert_ok(&api, "\"KeyAgreementAlgorithm\":\"ECDH\",\"KeyOrigin\":\"AWS_KMS\"");
        api_blob(&api, "SharedSecret", &got);
        assert_int_equal(got.len, kinds[i].bytes);
        t_assert_span(buf_view(&got), secret_view(&want));
    }
}

static void pairs(void **state)
{
    static const char *const specs[] = {
        "RSA_2048",      "ECC_NIST_P256",   "ECC_NIST_P384",
        "ECC_NIST_P521", "ECC_SECG_P256K1", "ECC_NIST_EDWARDS25519"
    };
    (void)state;

    for (size_t i = 0; i < sizeof specs / sizeof specs[0]; i++) {
        AUTO(buf_clear) struct buf body = BUF_INIT(8192), plain = BUF_INIT(4096);
        AUTO(buf_clear) struct buf again = BUF_INIT(4096), blob = BUF_INIT(8192);

        assert_int_equal(buf_printf(&body,
                                    "{\"KeyId\":\"$KEY\",\"KeyPairSpec\":\"%s\","
                                    "\"EncryptionContext\":{\"a\":\"b\"}}",
                                    specs[i]),
                         ERR_OK);
        api_ask(&api, ADMIN, "GenerateDataKeyPair", buf_cstr(&body));
        api_assert_ok(&api, specs[i]);
        assert_true(api_has(&api, "PublicKey") && api_has(&api, "KeyMaterialId"));
        assert_false(api_has(&api, "CiphertextForRecipient"));
        api_blob(&api, "PrivateKeyPlaintext", &plain);
        struct span sealed = api_text(&api, "PrivateKeyCiphertextBlob", &blob);
        buf_reset(&body);
        assert_int_equal(buf_printf(&body,
                                    "{\"CiphertextBlob\":\"%.*s\",\"EncryptionContext\":"
                                    "{\"a\":\"b\"}}",
                                    (int)sealed.len, (const char *)sealed.ptr),
                         ERR_OK);
        api_ask(&api, ADMIN, "Decrypt", buf_cstr(&body));
        api_blob(&api, "Plaintext", &again);
        t_assert_span(buf_view(&again), buf_view(&plain));
    }
}

struct refusal {
    const char *name, *operation, *body, *type, *message; /* $2: an agreement key's id */
};

static struct refusal refusals[] = {
    { "pair: no members", "GenerateDataKeyPair", "{}", "ValidationException",
      "2 validation errors detected: Value null at 'keyId'" MUST
      "not be null; Value null at 'keyPairSpec'" MUST "not be null" },
    { "pair: a data key's spec", "GenerateDataKeyPair",
      "{\"KeyId\":\"$KEY\",\"KeyPairSpec\":\"AES_256\"}", "ValidationException",
      ONE("Value 'AES_256' at 'keyPairSpec'" MUST
          "satisfy enum value set: [RSA_2048, RSA_3072, RSA_4096, ECC_NIST_P256, ECC_NIST_P384, "
          "ECC_NIST_P521, ECC_SECG_P256K1, ECC_NIST_EDWARDS25519, SM2]") },
    { "pair: SM2 outside China", "GenerateDataKeyPair",
      "{\"KeyId\":\"$KEY\",\"KeyPairSpec\":\"SM2\"}", "UnsupportedOperationException",
      "KeyPairSpec SM2 is not supported in this region." },
    { "pair: grant token", "GenerateDataKeyPair",
      "{\"KeyId\":\"$KEY\",\"KeyPairSpec\":\"RSA_2048\",\"GrantTokens\":[\"x\"]}",
      "InvalidGrantTokenException", NULL },
    { "pair: dry run", "GenerateDataKeyPair",
      "{\"KeyId\":\"$KEY\",\"KeyPairSpec\":\"RSA_2048\",\"DryRun\":true}",
      "DryRunOperationException",
      "The request would have succeeded, but the DryRun option is set." },
    { "derive: no members", "DeriveSharedSecret", "{}", "ValidationException",
      "3 validation errors detected: Value null at 'keyId'" MUST
      "not be null; Value null at 'keyAgreementAlgorithm'" MUST
      "not be null; Value null at 'publicKey'" MUST "not be null" },
    { "derive: another algorithm", "DeriveSharedSecret",
      "{\"KeyId\":\"$KEY\",\"KeyAgreementAlgorithm\":\"X25519\",\"PublicKey\":\"AA==\"}",
      "ValidationException",
      ONE("Value 'X25519' at 'keyAgreementAlgorithm'" MUST "satisfy enum value set: [ECDH]") },
    { "derive: empty public key", "DeriveSharedSecret",
      "{\"KeyId\":\"$KEY\",\"KeyAgreementAlgorithm\":\"ECDH\",\"PublicKey\":\"\"}",
      "ValidationException",
      ONE("Value at 'publicKey'" MUST "have length greater than or equal to 1") },
    { "derive: not a public key", "DeriveSharedSecret",
      "{\"KeyId\":\"$2\",\"KeyAgreementAlgorithm\":\"ECDH\",\"PublicKey\":\"AA==\"}",
      "ValidationException",
      "The public key is not a valid ECC_NIST_P256 key (not a SubjectPublicKeyInfo)." },
    { "create: no usage", "CreateKey", "{\"KeySpec\":\"ECC_NIST_P256\"}", "ValidationException",
      "You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys." },
    { "create: encryption with a curve", "CreateKey",
      "{\"KeySpec\":\"ECC_NIST_P256\",\"KeyUsage\":\"ENCRYPT_DECRYPT\"}", "ValidationException",
      "KeyUsage ENCRYPT_DECRYPT is not compatible with KeySpec ECC_NIST_P256" },
    { "create: agreement without a curve", "CreateKey", "{\"KeyUsage\":\"KEY_AGREEMENT\"}",
      "ValidationException",
      "KeyUsage KEY_AGREEMENT is not compatible with KeySpec SYMMETRIC_DEFAULT" },
    { "create: agreement on a curve that has none", "CreateKey",
      "{\"KeySpec\":\"ECC_SECG_P256K1\",\"KeyUsage\":\"KEY_AGREEMENT\"}", "ValidationException",
      "KeyUsage KEY_AGREEMENT is not compatible with KeySpec ECC_SECG_P256K1" },
    { "public key of a symmetric key", "GetPublicKey", "{\"KeyId\":\"$KEY\"}",
      "UnsupportedOperationException", NULL },
};

static void is_refused(void **state)
{
    const struct refusal *row = *state;
    char id[KEY_ID_BYTES + 1];

    if (strstr(row->body, "$2")) {
        make_agreement_key(AGREE("ECC_NIST_P256"), id);
        ask_of(row->operation, row->body, id);
    } else {
        api_ask(&api, ADMIN, row->operation, row->body);
    }
    api_assert_fault(&api, row->type, row->message);
}

static void wrong_usage(void **state)
{
    static const struct {
        const char *operation, *body;
    } calls[] = {
        { "Encrypt", "{\"KeyId\":\"$2\",\"Plaintext\":\"AA==\"}" },
        { "GenerateDataKey", "{\"KeyId\":\"$2\",\"KeySpec\":\"AES_256\"}" },
        { "GenerateDataKeyPair", "{\"KeyId\":\"$2\",\"KeyPairSpec\":\"RSA_2048\"}" },
    };
    char id[KEY_ID_BYTES + 1], text[256];
    (void)state;

    make_agreement_key(AGREE("ECC_NIST_P256"), id);
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        ask_of(calls[i].operation, calls[i].body, id);
        snprintf(text, sizeof text,
                 "arn:aws:kms:us-east-1:" API_ACCOUNT
                 ":key/%s key usage is KEY_AGREEMENT which is not valid for %s.",
                 id, calls[i].operation);
        api_assert_fault(&api, "InvalidKeyUsageException", text);
    }
    api_ask(&api, ADMIN, "DeriveSharedSecret",
            "{\"KeyId\":\"$KEY\",\"KeyAgreementAlgorithm\":\"ECDH\",\"PublicKey\":\"AA==\"}");
    snprintf(text, sizeof text,
             "arn:aws:kms:us-east-1:" API_ACCOUNT
             ":key/%s key usage is ENCRYPT_DECRYPT which is not valid for DeriveSharedSecret.",
             api.key_id);
    api_assert_fault(&api, "InvalidKeyUsageException", text);
}

int main(void)
{
    enum { N = sizeof refusals / sizeof refusals[0], OTHERS = 4 };
    static struct CMUnitTest tests[N + OTHERS];
    const struct CMUnitTest others[OTHERS] = {
        cmocka_unit_test(metadata),
        cmocka_unit_test(both_sides_agree),
        cmocka_unit_test(pairs),
        cmocka_unit_test(wrong_usage),
    };

    T_ROWS(tests, refusals, is_refused);
    memcpy(tests + N, others, sizeof others);
    return cmocka_run_group_tests(tests, up, down);
}
