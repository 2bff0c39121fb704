#include "testing/t.h"
#include "base/base64.h"
#include "kms/kms.h"

static struct crypto *cx;

#define ARN "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
#define RECIPIENT                                                                                  \
    "\"Recipient\":{\"KeyEncryptionAlgorithm\":\"RSAES_OAEP_SHA_256\",\"AttestationDocument\":"    \
    "\"hEQ=\"}}"
#define SECRET "wJalrXUtnFEMI/K7MDENG/kmsEXAMPLEKEY00001"

enum { NOW_S = 1767323045 /* 2026-01-02T03:04:05Z */ };

static const struct kms_endpoint endpoint = { SPAN_INIT("kms.eu-west-1.amazonaws.com"),
                                              SPAN_INIT("eu-west-1") };
static const struct sigv4_credentials long_term = { SPAN_INIT("AKIDEXAMPLE"),
                                                    SPAN_INIT(SECRET),
                                                    { NULL, 0 } };
static const struct sigv4_credentials session = { SPAN_INIT("ASIAEXAMPLE"), SPAN_INIT(SECRET),
                                                  SPAN_INIT("TOKEN//abc==") };

static const struct request_row {
    const char *name;
    struct kms_call call;
    const char *target, *body; /* body NULL: refused as our own fault */
} rows[] = {
    { "GenerateDataKey",
      { .op = KMS_GENERATE_DATA_KEY, .key_id = SPAN_INIT(ARN), .document = SPAN_INIT("\x84\x44") },
      "TrentService.GenerateDataKey",
      "{\"KeyId\":\"" ARN "\",\"KeySpec\":\"AES_256\"," RECIPIENT },
    { "Decrypt",
      { .op = KMS_DECRYPT,
        .key_id = SPAN_INIT(ARN),
        .ciphertext_blob_b64 = SPAN_INIT("AQICAHg="),
        .document = SPAN_INIT("\x84\x44") },
      "TrentService.Decrypt",
      "{\"KeyId\":\"" ARN "\",\"CiphertextBlob\":\"AQICAHg=\"," RECIPIENT },
    { "Decrypt without key id",
      { .op = KMS_DECRYPT,
        .ciphertext_blob_b64 = SPAN_INIT("AQICAHg="),
        .document = SPAN_INIT("\x84\x44") },
      "TrentService.Decrypt",
      "{\"CiphertextBlob\":\"AQICAHg=\"," RECIPIENT },
    { "GenerateRandom",
      { .op = KMS_GENERATE_RANDOM, .number_of_bytes = 1024, .document = SPAN_INIT("\x84\x44") },
      "TrentService.GenerateRandom",
      "{\"NumberOfBytes\":1024," RECIPIENT },
    { "GenerateRandom has no key",
      { .op = KMS_GENERATE_RANDOM,
        .key_id = SPAN_INIT(ARN),
        .number_of_bytes = 1,
        .document = SPAN_INIT("\x84\x44") },
      "TrentService.GenerateRandom",
      "{\"NumberOfBytes\":1," RECIPIENT },
    { "a quote in a key id is escaped",
      { .op = KMS_GENERATE_DATA_KEY,
        .key_id = SPAN_INIT("\"x"),
        .document = SPAN_INIT("\x84\x44") },
      "TrentService.GenerateDataKey",
      "{\"KeyId\":\"\\\"x\",\"KeySpec\":\"AES_256\"," RECIPIENT },
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
    assert_int_equal(sigv4_verify(cx, &rq, &claim, SPAN_LIT(SECRET), NULL), ERR_OK);
}

static void request_row(void **state)
{
    const struct request_row *row = *state;
    AUTO(buf_clear) struct buf out = BUF_INIT(65536);

    if (!row->body) {
        assert_int_equal(kms_request_write(cx, &row->call, &endpoint, &session, NOW_S, &out),
                         ERR_INTERNAL);
        assert_int_equal(out.len, 0);
        return;
    }
    assert_int_equal(kms_request_write(cx, &row->call, &endpoint, &session, NOW_S, &out), ERR_OK);
    assert_request(buf_view(&out), row->target, row->body, &session);
    assert_null(memmem(out.ptr, out.len, SECRET, sizeof SECRET - 1));
    buf_reset(&out);
    assert_int_equal(kms_request_write(cx, &row->call, &endpoint, &long_term, NOW_S, &out), ERR_OK);
    assert_request(buf_view(&out), row->target, row->body, &long_term);
    assert_null(memmem(out.ptr, out.len, "security-token", 14));
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
    assert_int_equal(kms_request_write(cx, &call, &endpoint, &session, NOW_S, &out), ERR_OK);
    buf_reset(&out);
    call.document = span_of(p, 262145);
    assert_int_equal(kms_request_write(cx, &call, &endpoint, &session, NOW_S, &out), ERR_INTERNAL);
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
    assert_int_equal(kms_request_write(cx, &data_key, &endpoint, &session, NOW_S, &out), ERR_OK);
    decrypt.ciphertext_blob_b64 = span_of(text, 8192);
    assert_int_equal(kms_request_write(cx, &decrypt, &endpoint, &session, NOW_S, &out), ERR_OK);
    buf_reset(&out);
    data_key.key_id = span_of(text, 2049);
    assert_int_equal(kms_request_write(cx, &data_key, &endpoint, &session, NOW_S, &out),
                     ERR_INTERNAL);
    decrypt.ciphertext_blob_b64 = span_of(text, 8193);
    assert_int_equal(kms_request_write(cx, &decrypt, &endpoint, &session, NOW_S, &out),
                     ERR_INTERNAL);
    assert_int_equal(out.len, 0);
}

/* What would end a header line cannot get into one. */
static void header_injection(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf out = BUF_INIT(65536);
    struct sigv4_credentials bad = session;

    bad.session_token = SPAN_LIT("x\r\nx-evil: 1");
    assert_int_equal(kms_request_write(cx, &rows[0].call, &endpoint, &bad, NOW_S, &out),
                     ERR_MALFORMED);
    bad = session;
    bad.access_key_id = SPAN_LIT("x\ny");
    assert_int_equal(kms_request_write(cx, &rows[0].call, &endpoint, &bad, NOW_S, &out),
                     ERR_MALFORMED);
    assert_int_equal(out.len, 0);
}

static void no_room(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf full = BUF_INIT(65536);

    assert_int_equal(kms_request_write(cx, &rows[0].call, &endpoint, &session, NOW_S, &full),
                     ERR_OK);
    for (size_t room = 0; room < full.len; room++) {
        AUTO(buf_clear) struct buf out = BUF_INIT(room);
        assert_int_equal(kms_request_write(cx, &rows[0].call, &endpoint, &session, NOW_S, &out),
                         ERR_LIMIT);
        assert_int_equal(out.len, 0);
    }
}

static int setup(void **state)
{
    (void)state;
    return crypto_process_init() == ERR_OK && crypto_new(&cx) == ERR_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    crypto_free(cx);
    return 0;
}

int main(void)
{
    enum { N = sizeof rows / sizeof rows[0] };
    struct CMUnitTest tests[N + 4] = {
        cmocka_unit_test(large_document),
        cmocka_unit_test(long_members),
        cmocka_unit_test(header_injection),
        cmocka_unit_test(no_room),
    };

    for (size_t i = 0; i < N; i++) {
        union {
            const struct request_row *view;
            void *state;
        } u = { .view = &rows[i] };
        tests[4 + i] = (struct CMUnitTest){ rows[i].name, request_row, NULL, NULL, u.state };
    }
    return _cmocka_run_group_tests("kms_request", tests, N + 4, setup, teardown);
}
