/* test_attested_kms.c - documents of the software NSM shown to the local KMS: what it releases, to
 * whom, and every way in which it says no. The client's side (kms) is not used: answers are taken
 * apart here. */
#include <stdio.h>
#include <stdlib.h>

#include "attest/pcrs.h"
#include "base/base64.h"
#include "base/hex.h"
#include "localkms/test_api.h"
#include "nsm/nsm.h"
#include "softnsm/softnsm.h"

#define INSTANCE "i-0123456789abcdef0"
#define TYPE     "User: " API_APP " is not authorized to perform: "
#define NOBODY_ALLOWS(action)                                                                      \
    TYPE action " on resource: $ARN because no resource-based policy allows the " action " action"
#define FLIPS 64 /* of a document's bits, spread over it */

static struct api api;
static struct softnsm *image, *other_image, *debug_image, *stranger;
static struct rsa_key *rsa;
static char pcr0[2 * ATTEST_PCR_BYTES + 1], other_pcr0[2 * ATTEST_PCR_BYTES + 1];

static struct softnsm *nsm_new(struct softnsm_pki *pki, uint8_t measure, bool debug)
{
    struct softnsm_settings s = { .instance_id = SPAN_LIT(INSTANCE),
                                  .region = SPAN_LIT("us-east-1"),
                                  .debug_mode = debug };
    struct softnsm *n = NULL;

    s.pcrs.present = 7;
    for (unsigned i = 0; i < 3; i++)
        memset(s.pcrs.value[i], measure + (int)i, ATTEST_PCR_BYTES);
    assert_int_equal(softnsm_new(api.cx, &s, pki, API_NOW_MS, &n, NULL), ERR_OK);
    return n;
}

/* The same authorities for another NSM: they are handed over by copy. */
static struct softnsm_pki *pki_copy(const struct softnsm *of)
{
    AUTO(buf_clear) struct buf pem = BUF_INIT(SOFTNSM_PKI_MAX_BYTES);
    struct softnsm_pki *copy = NULL;

    assert_int_equal(softnsm_pki_write(softnsm_pki_of(of), &pem), ERR_OK);
    assert_int_equal(softnsm_pki_parse(api.cx, buf_view(&pem), &copy, NULL), ERR_OK);
    return copy;
}

static void document_of(struct softnsm *n, struct span public_key, int64_t now_ms, struct buf *out)
{
    AUTO(buf_clear) struct buf request = BUF_INIT(NSM_REQUEST_MAX);
    AUTO(buf_clear) struct buf response = BUF_INIT(NSM_RESPONSE_MAX);
    const struct nsm_request rq = { .op = NSM_ATTESTATION, .public_key = public_key };
    struct nsm_response rs;

    assert_int_equal(nsm_request_write(&rq, &request), ERR_OK);
    assert_int_equal(softnsm_ask(api.cx, n, buf_view(&request), now_ms, &response), ERR_OK);
    assert_int_equal(nsm_response_parse(buf_view(&response), NSM_ATTESTATION, &rs, NULL), ERR_OK);
    assert_int_equal(rs.error, NSM_SUCCESS);
    assert_int_equal(buf_append(out, rs.data), ERR_OK);
}

/* `body` with "Recipient" added as its last member. */
static void ask_with(enum api_who who, const char *operation, const char *body,
                     struct span document)
{
    AUTO(buf_clear) struct buf text = BUF_INIT(65536);

    assert_int_equal(buf_append(&text, span_of(body, strlen(body) - 1)), ERR_OK);
    assert_int_equal(buf_append_str(&text, ",\"Recipient\":{\"KeyEncryptionAlgorithm\":"
                                           "\"RSAES_OAEP_SHA_256\",\"AttestationDocument\":\""),
                     ERR_OK);
    assert_int_equal(base64_append(&text, document), ERR_OK);
    assert_int_equal(buf_append_str(&text, "\"}}"), ERR_OK);
    const char *all = buf_cstr(&text);
    assert_non_null(all);
    api_ask(&api, who, operation, all);
}

static void ask_from(struct softnsm *n, const char *operation, const char *body)
{
    AUTO(buf_clear) struct buf document = BUF_INIT(ATTEST_DOC_MAX);

    document_of(n, rsa_key_spki(rsa), api.now_ms, &document);
    ask_with(APP, operation, body, buf_view(&document));
}

/* What CiphertextForRecipient holds; Plaintext must not be there. */
static struct secret released(void)
{
    AUTO(buf_clear) struct buf sealed = BUF_INIT(CMS_MAX_BYTES);
    struct secret plain = { 0 };

    api_assert_ok(&api, "\"CiphertextForRecipient\":\"MIAGCSqGSIb3DQEHA6CAMIACAQIx");
    assert_false(api_has(&api, "Plaintext"));
    assert_true(api.note.attested);
    api_blob(&api, "CiphertextForRecipient", &sealed);
    assert_int_equal(cms_open(api.cx, buf_view(&sealed), rsa, &plain, NULL), ERR_OK);
    return plain;
}

/* Administration to ADMIN; use to APP, attested by `image` only. */
static void make_enclave_key(void)
{
    char policy[2048];

    snprintf(policy, sizeof policy,
             "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Sid\":\"admin\",\"Effect\":\"Allow\","
             "\"Principal\":{\"AWS\":\"" API_ADMIN "\"},\"Action\":[\"kms:PutKeyPolicy\","
             "\"kms:Encrypt\"],\"Resource\":\"*\"},{\"Sid\":\"the enclave\",\"Effect\":\"Allow\","
             "\"Principal\":{\"AWS\":\"arn:aws:iam::" API_ACCOUNT ":role/parent\"},\"Action\":["
             "\"kms:Decrypt\",\"kms:GenerateDataKey\"],\"Resource\":\"*\",\"Condition\":{"
             "\"StringEqualsIgnoreCase\":{\"kms:RecipientAttestation:PCR0\":\"%s\"}}}]}",
             pcr0);
    api_make_key(&api, policy);
}

/* The member as the last answer had it, for the next request. */
static void keep_blob(char out[static 4096])
{
    AUTO(buf_clear) struct buf scratch = BUF_INIT(65536);
    struct span blob = api_text(&api, "CiphertextBlob", &scratch);

    snprintf(out, 4096, "\"CiphertextBlob\":\"%.*s\"", (int)blob.len, (const char *)blob.ptr);
}

static void data_key_there_and_back(void **state)
{
    static char blob[4096], body[8192];
    (void)state;

    make_enclave_key();
    ask_from(image, "GenerateDataKey",
             "{\"KeyId\":\"$KEY\",\"KeySpec\":\"AES_256\",\"EncryptionContext\":{\"b\":\"2\",\"a\":"
             "\"1\"}}");
    AUTO(secret_clear) struct secret made = released();
    assert_int_equal(made.len, 32);
    keep_blob(blob);
    snprintf(body, sizeof body,
             "{\"KeyId\":\"$ARN\",%s,\"EncryptionContext\":{\"a\":\"1\",\"b\":\"2\"}}", blob);
    ask_from(image, "Decrypt", body);
    AUTO(secret_clear) struct secret opened = released();
    assert_true(ct_eq(secret_view(&made), secret_view(&opened)));
    api_assert_ok(&api, api.key_arn);
    assert_string_equal(api.note.caller, API_APP);
    assert_false(api.note.debug_enclave);
    assert_memory_equal(api.note.module_id, INSTANCE, strlen(INSTANCE));
}

static void form_b(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf sealed = BUF_INIT(CMS_MAX_BYTES);

    make_enclave_key();
    api.form = CMS_FORM_B;
    api_restart(&api);
    ask_from(image, "GenerateDataKey", "{\"KeyId\":\"$KEY\",\"NumberOfBytes\":1024}");
    AUTO(secret_clear) struct secret plain = released();
    assert_int_equal(plain.len, 1024);
    api_blob(&api, "CiphertextForRecipient", &sealed);
    /* kms-recipient section 3, offset 431: [0] primitive; 1,040 bytes of ciphertext. */
    const uint8_t want[] = { 0x80, 0x82, 0x04, 0x10 };
    assert_memory_equal(sealed.ptr + 431, want, sizeof want);
    api.form = CMS_FORM_A;
    api_restart(&api);
}

static void refusals_by_policy(void **state)
{
    static char blob[4096], body[8192], want[1024];
    (void)state;

    make_enclave_key();
    api_ask(&api, ADMIN, "Encrypt", "{\"KeyId\":\"$KEY\",\"Plaintext\":\"aGk=\"}");
    keep_blob(blob);
    snprintf(body, sizeof body, "{%s}", blob);
    ask_from(image, "Decrypt", body);
    AUTO(secret_clear) struct secret plain = released();
    assert_true(span_is(secret_view(&plain), "hi"));

    ask_from(other_image, "Decrypt", body);
    api_assert_fault(&api, "AccessDeniedException", NOBODY_ALLOWS("kms:Decrypt"));
    snprintf(
        want, sizeof want,
        "key policy: no statement allows it; nearest is statement 2 \"the enclave\", which fails "
        "on StringEqualsIgnoreCase kms:RecipientAttestation:PCR0: request has [\"%s\"], policy "
        "has [\"%s\"]",
        other_pcr0, pcr0);
    t_assert_buf(&api.note.explain, want);

    ask_from(debug_image, "Decrypt", body);
    api_assert_fault(&api, "AccessDeniedException", NOBODY_ALLOWS("kms:Decrypt"));
    assert_true(api.note.debug_enclave);

    api_ask(&api, APP, "Decrypt", body); /* without attestation */
    api_assert_fault(&api, "AccessDeniedException", NOBODY_ALLOWS("kms:Decrypt"));
    assert_false(api.note.attested);

    /* Encrypt is not attested: a document there gives nothing. */
    ask_from(image, "Encrypt", "{\"KeyId\":\"$KEY\",\"Plaintext\":\"aGk=\"}");
    api_assert_fault(&api, "AccessDeniedException", NOBODY_ALLOWS("kms:Encrypt"));
    /* Another principal with the right image. */
    AUTO(buf_clear) struct buf document = BUF_INIT(ATTEST_DOC_MAX);
    document_of(image, rsa_key_spki(rsa), api.now_ms, &document);
    ask_with(ADMIN, "Decrypt", body, buf_view(&document));
    assert_string_equal(api.note.error, "AccessDeniedException");
}

static void ciphertexts(void **state)
{
    static char blob[4096], body[8192];
    char other[KEY_ID_BYTES + 1];
    (void)state;

    api_make_key(&api, NULL);
    memcpy(other, api.key_id, sizeof other);
    api_make_key(&api, NULL);
    api_ask(&api, ADMIN, "Encrypt",
            "{\"KeyId\":\"$KEY\",\"Plaintext\":\"aGk=\",\"EncryptionContext\":{\"a\":\"1\"}}");
    keep_blob(blob);
    snprintf(body, sizeof body, "{%s,\"EncryptionContext\":{\"a\":\"1\"}}", blob);
    api_ask(&api, ADMIN, "Decrypt", body);
    api_assert_ok(&api, "\"Plaintext\":\"aGk=\",\"EncryptionAlgorithm\":\"SYMMETRIC_DEFAULT\"");
    snprintf(body, sizeof body, "{%s}", blob);
    api_ask(&api, ADMIN, "Decrypt", body);
    api_assert_fault(&api, "InvalidCiphertextException", NULL);
    snprintf(body, sizeof body, "{%s,\"EncryptionContext\":{\"A\":\"1\"}}", blob);
    api_ask(&api, ADMIN, "Decrypt", body);
    api_assert_fault(&api, "InvalidCiphertextException", NULL);
    snprintf(
        body, sizeof body,
        "{%s,\"EncryptionContext\":{\"a\":\"1\"},\"EncryptionAlgorithm\":\"RSAES_OAEP_SHA_1\"}",
        blob);
    api_ask(&api, ADMIN, "Decrypt", body);
    api_assert_fault(&api, "InvalidCiphertextException", NULL);
    snprintf(body, sizeof body, "{%s,\"EncryptionContext\":{\"a\":\"1\"},\"KeyId\":\"%s\"}", blob,
             other);
    api_ask(&api, ADMIN, "Decrypt", body);
    api_assert_fault(
        &api, "IncorrectKeyException",
        "The key ID in the request does not identify a CMK that can perform this operation.");
    /* The key is not in the store any more. */
    test_keystore_sql(api.store, "DELETE FROM materials WHERE key_id = ?", api.key_id);
    test_keystore_sql(api.store, "DELETE FROM keys WHERE id = ?", api.key_id);
    api_restart(&api);
    snprintf(body, sizeof body, "{%s,\"EncryptionContext\":{\"a\":\"1\"}}", blob);
    api_ask(&api, ADMIN, "Decrypt", body);
    api_assert_fault(&api, "AccessDeniedException",
                     "The ciphertext refers to a customer master key that does not exist, does not "
                     "exist in this region, or you are not allowed to access.");
}

static void random_bytes(void **state)
{
    AUTO(buf_clear) struct buf document = BUF_INIT(ATTEST_DOC_MAX);
    AUTO(buf_clear) struct buf plain = BUF_INIT(64);
    (void)state;

    document_of(image, rsa_key_spki(rsa), api.now_ms, &document);
    ask_with(ADMIN, "GenerateRandom", "{\"NumberOfBytes\":48}", buf_view(&document));
    AUTO(secret_clear) struct secret attested = released();
    assert_int_equal(attested.len, 48);
    api_ask(&api, ADMIN, "GenerateRandom", "{\"NumberOfBytes\":48}");
    api_blob(&api, "Plaintext", &plain);
    assert_int_equal(plain.len, 48);
    assert_false(api_has(&api, "CiphertextForRecipient"));
    assert_false(span_eq(buf_view(&plain), secret_view(&attested)));
}

static void assert_bad_document(struct span document)
{
    ask_with(ADMIN, "GenerateRandom", "{\"NumberOfBytes\":1}", document);
    assert_string_equal(api.note.error, "ValidationException");
    assert_true(
        span_starts(buf_view(&api.note.message), "The attestation document is not valid: "));
    assert_false(api.note.attested);
}

static void altered_documents(void **state)
{
    AUTO(buf_clear) struct buf document = BUF_INIT(ATTEST_DOC_MAX);
    (void)state;

    document_of(image, rsa_key_spki(rsa), api.now_ms, &document);
    for (size_t i = 0; i < FLIPS; i++) {
        size_t bit = i * (document.len * 8 - 1) / (FLIPS - 1);
        document.ptr[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_bad_document(buf_view(&document));
        document.ptr[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t n = 1; n < document.len; n += 97)
        assert_bad_document(span_sub(buf_view(&document), 0, n));
    ask_with(ADMIN, "GenerateRandom", "{\"NumberOfBytes\":1}", buf_view(&document));
    api_assert_ok(&api, "CiphertextForRecipient");
}

static void assert_says(const char *text)
{
    api_assert_fault(&api, "ValidationException", text);
}

static void other_documents(void **state)
{
    AUTO(buf_clear) struct buf document = BUF_INIT(ATTEST_DOC_MAX);
    (void)state;

    document_of(stranger, rsa_key_spki(rsa), api.now_ms, &document);
    ask_with(ADMIN, "GenerateRandom", "{\"NumberOfBytes\":1}", buf_view(&document));
    assert_says("The attestation document is not valid: root");
    buf_reset(&document);
    document_of(image, SPAN_EMPTY, api.now_ms, &document);
    ask_with(ADMIN, "GenerateRandom", "{\"NumberOfBytes\":1}", buf_view(&document));
    assert_says("The attestation document has no public key");
    buf_reset(&document);
    document_of(image, SPAN_LIT("not a key"), api.now_ms, &document);
    assert_bad_document(buf_view(&document));
    api_ask(&api, ADMIN, "GenerateRandom", "{\"NumberOfBytes\":1,\"Recipient\":{}}");
    assert_says(
        "2 validation errors detected: Value null at 'recipient.keyEncryptionAlgorithm' failed "
        "to satisfy constraint: Member must not be null; Value null at "
        "'recipient.attestationDocument' failed to satisfy constraint: Member must not be null");
    api_ask(&api, ADMIN, "GenerateRandom",
            "{\"NumberOfBytes\":1,\"Recipient\":{\"KeyEncryptionAlgorithm\":\"RSAES_OAEP_SHA_1\","
            "\"AttestationDocument\":\"AA==\"}}");
    assert_says(
        "1 validation error detected: Value 'RSAES_OAEP_SHA_1' at "
        "'recipient.keyEncryptionAlgorithm' failed to satisfy constraint: Member must satisfy "
        "enum value set: [RSAES_OAEP_SHA_256]");
    api_ask(&api, ADMIN, "GenerateRandom", "{\"NumberOfBytes\":1,\"Recipient\":\"x\"}");
    api_assert_fault(&api, "SerializationException",
                     "STRING_VALUE can not be converted to a structure");
}

/* A document is kept after it was verified, but never past the end of its certificate, nor before
 * its beginning. */
static void kept_documents(void **state)
{
    enum { MINUTE_MS = 60000, HOUR_MS = 60 * MINUTE_MS };
    AUTO(buf_clear) struct buf document = BUF_INIT(ATTEST_DOC_MAX);
    const int64_t start_ms = api.now_ms;
    (void)state;

    document_of(image, rsa_key_spki(rsa), api.now_ms, &document);
    for (int64_t at = 0; at < 2 * HOUR_MS; at += 4 * MINUTE_MS) {
        api.now_ms = start_ms + at;
        ask_with(ADMIN, "GenerateRandom", "{\"NumberOfBytes\":1}", buf_view(&document));
        api_assert_ok(&api, "CiphertextForRecipient");
    }
    api.now_ms = start_ms + 4 * HOUR_MS;
    ask_with(ADMIN, "GenerateRandom", "{\"NumberOfBytes\":1}", buf_view(&document));
    assert_says("The attestation document is not valid: certificate time");
    api.now_ms = start_ms - HOUR_MS;
    ask_with(ADMIN, "GenerateRandom", "{\"NumberOfBytes\":1}", buf_view(&document));
    assert_says("The attestation document is not valid: certificate time");
    api.now_ms = start_ms;
}

/* More documents than are kept: the oldest make room, and none is taken for another. */
static void many_documents(void **state)
{
    enum { DOCUMENTS = 70 };
    static struct buf documents[DOCUMENTS];
    (void)state;

    for (size_t round = 0; round < 2; round++) {
        for (int i = 0; i < DOCUMENTS; i++) {
            if (round == 0) {
                documents[i] = BUF_INIT(ATTEST_DOC_MAX);
                document_of(image, rsa_key_spki(rsa), api.now_ms + i, &documents[i]);
            }
            ask_with(ADMIN, "GenerateRandom", "{\"NumberOfBytes\":16}", buf_view(&documents[i]));
            AUTO(secret_clear) struct secret plain = released();
            assert_int_equal(plain.len, 16);
        }
    }
    for (int i = 0; i < DOCUMENTS; i++)
        buf_clear(&documents[i]);
}

static void hex_of_pcr0(struct softnsm *n, char out[static 2 * ATTEST_PCR_BYTES + 1])
{
    AUTO(buf_clear) struct buf document = BUF_INIT(ATTEST_DOC_MAX);
    struct attest_doc doc;

    document_of(n, rsa_key_spki(rsa), api.now_ms, &document);
    assert_int_equal(attest_doc_parse(buf_view(&document), &doc, NULL), ERR_OK);
    hex_write(SPAN_ARRAY(doc.pcrs.value[0]), out);
}

static int up(void **state)
{
    struct softnsm_pki *pki = NULL;
    (void)state;

    api_up(&api, SPAN_LIT("until the root is known"), CMS_FORM_A);
    assert_int_equal(softnsm_pki_new(api.cx, API_NOW_MS / 1000, &pki), ERR_OK);
    image = nsm_new(pki, 0x10, false);
    other_image = nsm_new(pki_copy(image), 0x20, false);
    debug_image = nsm_new(pki_copy(image), 0x10, true);
    assert_int_equal(softnsm_pki_new(api.cx, API_NOW_MS / 1000, &pki), ERR_OK);
    stranger = nsm_new(pki, 0x10, false);
    assert_int_equal(rsa_key_new(api.cx, RSA_BITS_DEFAULT, &rsa), ERR_OK);
    api.root = softnsm_pki_der(softnsm_pki_of(image), SOFTNSM_ROOT);
    api_restart(&api);
    hex_of_pcr0(image, pcr0);
    hex_of_pcr0(other_image, other_pcr0);
    return 0;
}

static int down(void **state)
{
    (void)state;
    softnsm_free(image);
    softnsm_free(other_image);
    softnsm_free(debug_image);
    softnsm_free(stranger);
    rsa_key_free(rsa);
    api_down(&api);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(data_key_there_and_back),
        cmocka_unit_test(form_b),
        cmocka_unit_test(refusals_by_policy),
        cmocka_unit_test(ciphertexts),
        cmocka_unit_test(random_bytes),
        cmocka_unit_test(altered_documents),
        cmocka_unit_test(other_documents),
        cmocka_unit_test(kept_documents),
        cmocka_unit_test(many_documents),
    };

    return cmocka_run_group_tests(tests, up, down);
}
