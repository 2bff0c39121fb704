#include "testing/t.h"
#include "base/base64.h"
#include "kms/kms.h"

#define ARN "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
#define RECIPIENT                                                                                  \
    "{\"Recipient\":{\"KeyEncryptionAlgorithm\":\"RSAES_OAEP_SHA_256\",\"AttestationDocument\":"   \
    "\"hEQ=\"},"
#define SECRET "wJalrXUtnFEMI/K7MDENG/kmsEXAMPLEKEY00001"

enum { NOW_S = 1767323045 /* 2026-01-02T03:04:05Z */ };

static const struct kms_endpoint endpoint = { SPAN_INIT("kms.eu-west-1.amazonaws.com"),
                                              SPAN_INIT("eu-west-1") };
static const struct sigv4_credentials long_term = { SPAN_INIT("AKIDEXAMPLE"),
                                                    SPAN_INIT(SECRET),
                                                    { NULL, 0 } };
static const struct sigv4_credentials session = { SPAN_INIT("ASIAEXAMPLE"), SPAN_INIT(SECRET),
                                                  SPAN_INIT("TOKEN//abc==") };

#define DOC .document = SPAN_INIT("\x84\x44")
static const struct kms_context_pair context[] = {
    { SPAN_INIT("purpose"), SPAN_INIT("test") },
    { SPAN_INIT("a \"quoted\" name"), SPAN_INIT("\xe5\x80\xbc\n") },
    { SPAN_INIT("empty"), SPAN_INIT("") },
};
static const struct span grants[] = { SPAN_INIT("token-1"), SPAN_INIT("token\"2") };
#define CONTEXT                                                                                    \
    ",\"EncryptionContext\":{\"purpose\":\"test\",\"a \\\"quoted\\\" name\":"                      \
    "\"\xe5\x80\xbc\\n\",\"empty\":\"\"}"
#define GRANTS ",\"GrantTokens\":[\"token-1\",\"token\\\"2\"]"

static const struct request_row {
    const char *name;
    struct kms_call call;
    const char *target, *body; /* body NULL: refused as our own fault */
} rows[] = {
    { "GenerateDataKey",
      { .op = KMS_GENERATE_DATA_KEY, .key_id = SPAN_INIT(ARN), .document = SPAN_INIT("\x84\x44") },
      "TrentService.GenerateDataKey",
      RECIPIENT "\"KeyId\":\"" ARN "\",\"KeySpec\":\"AES_256\"}" },
    { "Decrypt",
      { .op = KMS_DECRYPT,
        .key_id = SPAN_INIT(ARN),
        .ciphertext_blob_b64 = SPAN_INIT("AQICAHg="),
        .document = SPAN_INIT("\x84\x44") },
      "TrentService.Decrypt",
      RECIPIENT "\"KeyId\":\"" ARN "\",\"CiphertextBlob\":\"AQICAHg=\"}" },
    { "Decrypt without key id",
      { .op = KMS_DECRYPT,
        .ciphertext_blob_b64 = SPAN_INIT("AQICAHg="),
        .document = SPAN_INIT("\x84\x44") },
      "TrentService.Decrypt",
      RECIPIENT "\"CiphertextBlob\":\"AQICAHg=\"}" },
    { "GenerateRandom",
      { .op = KMS_GENERATE_RANDOM, .number_of_bytes = 1024, .document = SPAN_INIT("\x84\x44") },
      "TrentService.GenerateRandom",
      RECIPIENT "\"NumberOfBytes\":1024}" },
    { "GenerateRandom has no key",
      { .op = KMS_GENERATE_RANDOM,
        .key_id = SPAN_INIT(ARN),
        .number_of_bytes = 1,
        .document = SPAN_INIT("\x84\x44") },
      "TrentService.GenerateRandom",
      RECIPIENT "\"NumberOfBytes\":1}" },
    { "a quote in a key id is escaped",
      { .op = KMS_GENERATE_DATA_KEY,
        .key_id = SPAN_INIT("\"x"),
        .document = SPAN_INIT("\x84\x44") },
      "TrentService.GenerateDataKey",
      RECIPIENT "\"KeyId\":\"\\\"x\",\"KeySpec\":\"AES_256\"}" },
    { "GenerateDataKey of AES_128",
      { .op = KMS_GENERATE_DATA_KEY,
        .key_id = SPAN_INIT("k"),
        .key_spec = SPAN_INIT("AES_128"),
        DOC },
      "TrentService.GenerateDataKey",
      RECIPIENT "\"KeyId\":\"k\",\"KeySpec\":\"AES_128\"}" },
    { "GenerateDataKey of 1,024 bytes",
      { .op = KMS_GENERATE_DATA_KEY, .key_id = SPAN_INIT("k"), .number_of_bytes = 1024, DOC },
      "TrentService.GenerateDataKey",
      RECIPIENT "\"KeyId\":\"k\",\"NumberOfBytes\":1024}" },
    { "GenerateDataKey with context and grants",
      { .op = KMS_GENERATE_DATA_KEY,
        .key_id = SPAN_INIT("k"),
        .context = context,
        .n_context = 3,
        .grant_tokens = grants,
        .n_grant_tokens = 2,
        DOC },
      "TrentService.GenerateDataKey",
      RECIPIENT "\"KeyId\":\"k\",\"KeySpec\":\"AES_256\"" CONTEXT GRANTS "}" },
    { "Decrypt with context and algorithm",
      { .op = KMS_DECRYPT,
        .key_id = SPAN_INIT("k"),
        .ciphertext_blob_b64 = SPAN_INIT("AQI="),
        .encryption_algorithm = SPAN_INIT("RSAES_OAEP_SHA_256"),
        .context = context,
        .n_context = 3,
        DOC },
      "TrentService.Decrypt",
      RECIPIENT "\"KeyId\":\"k\",\"CiphertextBlob\":\"AQI=\",\"EncryptionAlgorithm\":"
                "\"RSAES_OAEP_SHA_256\"" CONTEXT "}" },
    { "GenerateDataKeyPair",
      { .op = KMS_GENERATE_DATA_KEY_PAIR,
        .key_id = SPAN_INIT("k"),
        .key_spec = SPAN_INIT("ECC_NIST_P384"),
        .context = context,
        .n_context = 3,
        .grant_tokens = grants,
        .n_grant_tokens = 2,
        DOC },
      "TrentService.GenerateDataKeyPair",
      RECIPIENT "\"KeyId\":\"k\",\"KeyPairSpec\":\"ECC_NIST_P384\"" CONTEXT GRANTS "}" },
    { "DeriveSharedSecret",
      { .op = KMS_DERIVE_SHARED_SECRET,
        .key_id = SPAN_INIT("k"),
        .public_key_b64 = SPAN_INIT("MFk="),
        .grant_tokens = grants,
        .n_grant_tokens = 2,
        DOC },
      "TrentService.DeriveSharedSecret",
      RECIPIENT "\"KeyId\":\"k\",\"KeyAgreementAlgorithm\":\"ECDH\",\"PublicKey\":\"MFk=\"" GRANTS
                "}" },
    { "GenerateDataKey of 1,025 bytes",
      { .op = KMS_GENERATE_DATA_KEY, .key_id = SPAN_INIT("k"), .number_of_bytes = 1025, DOC },
      NULL,
      NULL },
    { "GenerateDataKey of both sizes",
      { .op = KMS_GENERATE_DATA_KEY,
        .key_id = SPAN_INIT("k"),
        .key_spec = SPAN_INIT("AES_256"),
        .number_of_bytes = 32,
        DOC },
      NULL,
      NULL },
    { "GenerateDataKeyPair without spec",
      { .op = KMS_GENERATE_DATA_KEY_PAIR, .key_id = SPAN_INIT("k"), DOC },
      NULL,
      NULL },
    { "GenerateDataKeyPair without key",
      { .op = KMS_GENERATE_DATA_KEY_PAIR, .key_spec = SPAN_INIT("RSA_2048"), DOC },
      NULL,
      NULL },
    { "DeriveSharedSecret without key",
      { .op = KMS_DERIVE_SHARED_SECRET, .public_key_b64 = SPAN_INIT("MFk="), DOC },
      NULL,
      NULL },
    { "DeriveSharedSecret without public key",
      { .op = KMS_DERIVE_SHARED_SECRET, .key_id = SPAN_INIT("k"), DOC },
      NULL,
      NULL },
    { "DeriveSharedSecret has no context",
      { .op = KMS_DERIVE_SHARED_SECRET,
        .key_id = SPAN_INIT("k"),
        .public_key_b64 = SPAN_INIT("MFk="),
        .context = context,
        .n_context = 1,
        DOC },
      NULL,
      NULL },
    { "GenerateRandom has no context",
      { .op = KMS_GENERATE_RANDOM, .number_of_bytes = 1, .context = context, .n_context = 1, DOC },
      NULL,
      NULL },
    { "GenerateRandom has no grants",
      { .op = KMS_GENERATE_RANDOM,
        .number_of_bytes = 1,
        .grant_tokens = grants,
        .n_grant_tokens = 1,
        DOC },
      NULL,
      NULL },
    { "DeriveSharedSecret without a document",
      { .op = KMS_DERIVE_SHARED_SECRET,
        .key_id = SPAN_INIT("k"),
        .public_key_b64 = SPAN_INIT("MFk=") },
      NULL,
      NULL },
    { "never without a document",
      { .op = KMS_GENERATE_DATA_KEY, .key_id = SPAN_INIT(ARN) },
      NULL,
      NULL },
    { "GenerateDataKey without key",
      { .op = KMS_GENERATE_DATA_KEY, .document = SPAN_INIT("\x84") },
      NULL,
      NULL },
    { "Decrypt without blob",
      { .op = KMS_DECRYPT, .key_id = SPAN_INIT(ARN), .document = SPAN_INIT("\x84") },
      NULL,
      NULL },
    { "GenerateRandom of nothing",
      { .op = KMS_GENERATE_RANDOM, .document = SPAN_INIT("\x84") },
      NULL,
      NULL },
    { "GenerateRandom of 1,025 bytes",
      { .op = KMS_GENERATE_RANDOM, .number_of_bytes = 1025, .document = SPAN_INIT("\x84") },
      NULL,
      NULL },
};

/* What the far end sees: parse it, verify it with the secret, compare the body. */
static void assert_request(struct span text, const char *target, const char *body,
                           const struct sigv4_credentials *cred)
{
    static struct http1_head head;
    struct sigv4_header headers[HTTP1_HEADERS_MAX];
    struct sigv4_claim claim;
    size_t used;

    assert_int_equal(http1_request_parse(text, &head, &used, NULL), ERR_OK);
    t_assert_span(head.method, SPAN_LIT("POST"));
    t_assert_span(head.target, SPAN_LIT("/"));
    t_assert_span(http1_header_get(&head, "x-amz-target"), span_str(target));
    t_assert_span(http1_header_get(&head, "content-type"), SPAN_LIT("application/x-amz-json-1.1"));
    t_assert_span(http1_header_get(&head, "x-amz-date"), SPAN_LIT("20260102T030405Z"));
    t_assert_span(http1_header_get(&head, "host"), endpoint.host);
    t_assert_span(http1_header_get(&head, "x-amz-security-token"), cred->session_token);
    t_assert_span(http1_header_get(&head, "user-agent"), SPAN_LIT("nitroseal/" NITROSEAL_VERSION));
    assert_true(head.keep_alive);
    t_assert_span(span_from(text, used), span_str(body));
    assert_int_equal(head.content_length, strlen(body));
    for (size_t i = 0; i < head.n_headers; i++)
        headers[i] = (struct sigv4_header){ head.headers[i].name, head.headers[i].value };
    struct sigv4_request rq = { .method = head.method,
                                .path = head.target,
                                .headers = headers,
                                .n_headers = head.n_headers,
                                .body = span_from(text, used) };
    assert_int_equal(sigv4_claim_parse(http1_header_get(&head, "authorization"), &claim, NULL),
                     ERR_OK);
    t_assert_span(claim.access_key_id, cred->access_key_id);
    t_assert_span(claim.date, SPAN_LIT("20260102"));
    t_assert_span(claim.region, SPAN_LIT("eu-west-1"));
    t_assert_span(claim.service, SPAN_LIT("kms"));
    assert_int_equal(sigv4_verify(&rq, &claim, SPAN_LIT(SECRET), NULL), ERR_OK);
}

static void request_row(void **state)
{
    const struct request_row *row = *state;
    AUTO(buf_clear) struct buf out = BUF_INIT(65536);

    if (!row->body) {
        assert_int_equal(kms_request_write(&row->call, &endpoint, &session, NOW_S, &out),
                         ERR_INTERNAL);
        assert_int_equal(out.len, 0);
        return;
    }
    assert_int_equal(kms_request_write(&row->call, &endpoint, &session, NOW_S, &out), ERR_OK);
    assert_request(buf_view(&out), row->target, row->body, &session);
    assert_null(memmem(out.ptr, out.len, SECRET, sizeof SECRET - 1));
    buf_reset(&out);
    assert_int_equal(kms_request_write(&row->call, &endpoint, &long_term, NOW_S, &out), ERR_OK);
    assert_request(buf_view(&out), row->target, row->body, &long_term);
    assert_null(memmem(out.ptr, out.len, "security-token", 14));
}

/* Made once for many calls, it gives what the document itself gives. */
static void prepared(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf want = BUF_INIT(65536), got = BUF_INIT(65536);
    AUTO(kms_recipient_clear) struct kms_recipient r = { 0 };

    assert_int_equal(kms_recipient_set(&r, SPAN_LIT("another")), ERR_OK);
    assert_int_equal(kms_recipient_set(&r, SPAN_LIT("\x84\x44")), ERR_OK);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct kms_call call = rows[i].call;
        call.document = SPAN_LIT("\x84\x44");
        enum err e = kms_request_write(&call, &endpoint, &session, NOW_S, &want);
        call.document = SPAN_EMPTY;
        call.recipient = &r;
        assert_int_equal(kms_request_write(&call, &endpoint, &session, NOW_S, &got), e);
        t_assert_span(buf_view(&got), buf_view(&want));
        buf_reset(&want);
        buf_reset(&got);
    }
    struct kms_call call = rows[0].call;
    call.recipient = &r;
    assert_int_equal(kms_recipient_set(&r, SPAN_EMPTY), ERR_INTERNAL); /* and holds nothing now */
    assert_int_equal(kms_request_write(&call, &endpoint, &session, NOW_S, &got), ERR_INTERNAL);
    assert_int_equal(got.len, 0);
}

static void large_document(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf document = BUF_INIT(262145), out = BUF_INIT(1 << 20);
    struct kms_call call = rows[0].call;
    uint8_t *p;

    assert_int_equal(buf_reserve(&document, 262145, &p), ERR_OK);
    memset(p, 'd', 262145);
    call.document = span_of(p, 262144);
    assert_int_equal(kms_request_write(&call, &endpoint, &session, NOW_S, &out), ERR_OK);
    buf_reset(&out);
    call.document = span_of(p, 262145);
    assert_int_equal(kms_request_write(&call, &endpoint, &session, NOW_S, &out), ERR_INTERNAL);
    assert_int_equal(out.len, 0);
}

static void long_members(void **state)
{
    (void)state;
    static char text[8193];
    AUTO(buf_clear) struct buf out = BUF_INIT(65536);
    struct kms_call data_key = rows[0].call, decrypt = rows[1].call;

    memset(text, 'A', sizeof text);
    data_key.key_id = span_of(text, 2048);
    assert_int_equal(kms_request_write(&data_key, &endpoint, &session, NOW_S, &out), ERR_OK);
    decrypt.ciphertext_blob_b64 = span_of(text, 8192);
    assert_int_equal(kms_request_write(&decrypt, &endpoint, &session, NOW_S, &out), ERR_OK);
    buf_reset(&out);
    data_key.key_id = span_of(text, 2049);
    assert_int_equal(kms_request_write(&data_key, &endpoint, &session, NOW_S, &out), ERR_INTERNAL);
    decrypt.ciphertext_blob_b64 = span_of(text, 8193);
    assert_int_equal(kms_request_write(&decrypt, &endpoint, &session, NOW_S, &out), ERR_INTERNAL);
    assert_int_equal(out.len, 0);
}

/* Each limit of the members that a caller chooses: at it, and one past it. */
static void caller_limits(void **state)
{
    (void)state;
    static char text[16385];
    static struct span tokens[11];
    static struct kms_context_pair pairs[65];
    AUTO(buf_clear) struct buf out = BUF_INIT(1 << 20);
    const struct kms_call base = { .op = KMS_GENERATE_DATA_KEY, .key_id = SPAN_LIT("k"), DOC };

    memset(text, 'A', sizeof text);
    for (size_t i = 0; i < 11; i++)
        tokens[i] = span_of(text, 8192);
    const struct {
        struct kms_call call;
        enum err want;
    } cases[] = {
        { { .grant_tokens = tokens, .n_grant_tokens = 10 }, ERR_OK },
        { { .grant_tokens = tokens, .n_grant_tokens = 11 }, ERR_INTERNAL },
        { { .grant_tokens = &(struct span){ (const uint8_t *)text, 8193 }, .n_grant_tokens = 1 },
          ERR_INTERNAL },
        { { .grant_tokens = &(struct span){ (const uint8_t *)text, 0 }, .n_grant_tokens = 1 },
          ERR_INTERNAL },
        { { .context = pairs, .n_context = 64 }, ERR_OK },
        { { .context = pairs, .n_context = 65 }, ERR_INTERNAL },
        { { .context = &(struct kms_context_pair){ span_of(text, 16380), span_of(text, 4) },
            .n_context = 1 },
          ERR_OK },
        { { .context = &(struct kms_context_pair){ span_of(text, 16380), span_of(text, 5) },
            .n_context = 1 },
          ERR_INTERNAL },
        { { .context = &(struct kms_context_pair){ SPAN_LIT("\xff"), SPAN_LIT("x") },
            .n_context = 1 },
          ERR_MALFORMED },
        { { .context = &(struct kms_context_pair){ SPAN_LIT("x"), SPAN_LIT("\xff") },
            .n_context = 1 },
          ERR_MALFORMED },
        { { .key_spec = span_of(text, 64) }, ERR_OK },
        { { .key_spec = span_of(text, 65) }, ERR_INTERNAL },
        { { .encryption_algorithm = span_of(text, 65) }, ERR_INTERNAL },
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct kms_call call = cases[i].call;
        call.op = base.op;
        call.key_id = base.key_id;
        call.document = base.document;
        assert_int_equal(kms_request_write(&call, &endpoint, &session, NOW_S, &out), cases[i].want);
        assert_int_equal(out.len > 0, cases[i].want == ERR_OK);
        buf_reset(&out);
    }
    struct kms_call derive = { .op = KMS_DERIVE_SHARED_SECRET, .key_id = SPAN_LIT("k"), DOC };
    derive.public_key_b64 = span_of(text, 10924);
    assert_int_equal(kms_request_write(&derive, &endpoint, &session, NOW_S, &out), ERR_OK);
    derive.public_key_b64 = span_of(text, 10925);
    assert_int_equal(kms_request_write(&derive, &endpoint, &session, NOW_S, &out), ERR_INTERNAL);
}

/* What would end a header line cannot get into one. */
static void header_injection(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf out = BUF_INIT(65536);
    struct sigv4_credentials bad = session;

    bad.session_token = SPAN_LIT("x\r\nx-evil: 1");
    assert_int_equal(kms_request_write(&rows[0].call, &endpoint, &bad, NOW_S, &out), ERR_MALFORMED);
    bad = session;
    bad.access_key_id = SPAN_LIT("x\ny");
    assert_int_equal(kms_request_write(&rows[0].call, &endpoint, &bad, NOW_S, &out), ERR_MALFORMED);
    assert_int_equal(out.len, 0);
}

static void no_room(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf full = BUF_INIT(65536);

    assert_int_equal(kms_request_write(&rows[0].call, &endpoint, &session, NOW_S, &full), ERR_OK);
    for (size_t room = 0; room < full.len; room++) {
        AUTO(buf_clear) struct buf out = BUF_INIT(room);
        assert_int_equal(kms_request_write(&rows[0].call, &endpoint, &session, NOW_S, &out),
                         ERR_LIMIT);
        assert_int_equal(out.len, 0);
    }
}

int main(void)
{
    enum { N = sizeof rows / sizeof rows[0] };
    struct CMUnitTest tests[N + 6] = {
        cmocka_unit_test(prepared),         cmocka_unit_test(caller_limits),
        cmocka_unit_test(large_document),   cmocka_unit_test(long_members),
        cmocka_unit_test(header_injection), cmocka_unit_test(no_room),
    };

    T_ROWS(tests + 6, rows, request_row);
    return _cmocka_run_group_tests("kms_request", tests, N + 6, NULL, NULL);
}
