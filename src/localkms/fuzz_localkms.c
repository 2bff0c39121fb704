/* Any body of a signed request: the first byte chooses the operation, $KEY stands for the id of a
 * key that there is. The answer is always HTTP and JSON, and never a fault of ours; an answer to a
 * request that is not attested never pretends to be one. */
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "localkms/localkms.h"
#include "localkms/test_keystore.h"
#include "sigv4/sigv4.h"

#define DATE "20231114T221320Z"
#define PRINCIPALS                                                                                 \
    "[{\"access_key_id\":\"AKID\",\"secret_access_key\":\"not-a-secret\",\"arn\":"                 \
    "\"arn:aws:iam::111122223333:user/admin\",\"policies\":[{\"Statement\":{\"Effect\":"           \
    "\"Allow\",\"Action\":\"kms:*\",\"Resource\":\"*\"}}]}]"

enum { NOW_S = 1700000000, MESSAGE_MAX_BYTES = 1 << 20, RESPONSE_BYTES = 1 << 20 };

/* The first ten are as they were when the first seeds were made. */
static const char *const operations[] = {
    "CreateKey",
    "DescribeKey",
    "ListKeys",
    "GetKeyPolicy",
    "PutKeyPolicy",
    "Encrypt",
    "Decrypt",
    "GenerateDataKey",
    "GenerateRandom",
    "ScheduleKeyDeletion",
    "CancelKeyDeletion",
    "CreateAlias",
    "CreateGrant",
    "DeleteAlias",
    "DeleteImportedKeyMaterial",
    "DeriveSharedSecret",
    "DisableKey",
    "DisableKeyRotation",
    "EnableKey",
    "EnableKeyRotation",
    "GenerateDataKeyPair",
    "GenerateDataKeyPairWithoutPlaintext",
    "GenerateDataKeyWithoutPlaintext",
    "GenerateMac",
    "GetKeyRotationStatus",
    "GetParametersForImport",
    "GetPublicKey",
    "ImportKeyMaterial",
    "ListAliases",
    "ListGrants",
    "ListKeyPolicies",
    "ListKeyRotations",
    "ListResourceTags",
    "ListRetirableGrants",
    "ReEncrypt",
    "RetireGrant",
    "RevokeGrant",
    "RotateKeyOnDemand",
    "Sign",
    "TagResource",
    "UntagResource",
    "UpdateAlias",
    "UpdateKeyDescription",
    "Verify",
    "VerifyMac",
    "Unknown",
};
enum { OPERATIONS = sizeof operations / sizeof operations[0] };

static struct crypto *cx;
static struct test_keystore store;
static struct localkms *kms;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

/* The answer is left in *response; returns its body. */
static struct span ask(const char *operation, struct span body, struct buf *response,
                       unsigned *status)
{
    AUTO(buf_clear) struct buf authorization = BUF_INIT(4096);
    AUTO(localkms_note_clear) struct localkms_note note = LOCALKMS_NOTE_INIT;
    char target[64];
    struct http1_head head = { .method = SPAN_LIT("POST"),
                               .target = SPAN_LIT("/"),
                               .minor = 1,
                               .keep_alive = true,
                               .n_headers = 3 };
    struct sigv4_header headers[3];
    size_t used = 0;

    snprintf(target, sizeof target, "TrentService.%s", operation);
    head.headers[0] = (struct http1_header){ SPAN_LIT("host"), SPAN_LIT("localhost") };
    head.headers[1] = (struct http1_header){ SPAN_LIT("x-amz-date"), SPAN_LIT(DATE) };
    head.headers[2] = (struct http1_header){ SPAN_LIT("x-amz-target"), span_str(target) };
    for (size_t i = 0; i < 3; i++)
        headers[i] = (struct sigv4_header){ head.headers[i].name, head.headers[i].value };
    const struct sigv4_request rq = {
        .method = head.method, .path = head.target, .headers = headers, .n_headers = 3, .body = body
    };
    const struct sigv4_scope scope = { SPAN_LIT("us-east-1"), SPAN_LIT("kms") };
    const struct sigv4_credentials cred = { .access_key_id = SPAN_LIT("AKID"),
                                            .secret_access_key = SPAN_LIT("not-a-secret") };
    must(sigv4_sign(cx, &rq, scope, SPAN_LIT(DATE), &cred, &authorization) == ERR_OK);
    head.headers[head.n_headers++] =
        (struct http1_header){ SPAN_LIT("authorization"), buf_view(&authorization) };
    must(localkms_handle(kms, &head, body, INT64_C(1000) * NOW_S, response, &note) == ERR_OK);
    must(http1_response_parse(buf_view(response), false, &head, &used, NULL) == ERR_OK);
    must(head.status == note.status && !note.attested);
    must(head.content_length == response->len - used);
    *status = head.status;
    return span_from(buf_view(response), used);
}

/* A new service with one key. */
static void start(void)
{
    static const uint8_t master[32] = { 7 };
    const struct span root = SPAN_LIT("no root");
    const struct keystore interface = test_keystore_interface(&store);
    const struct localkms_settings s = {
        .region = SPAN_LIT("us-east-1"),
        .account = SPAN_LIT("111122223333"),
        .partition = SPAN_LIT("aws"),
        .roots = &root,
        .n_roots = 1,
        .master_key = SPAN_ARRAY(master),
        .form = CMS_FORM_A,
        .store = &interface,
    };
    AUTO(buf_clear) struct buf response = BUF_INIT(RESPONSE_BYTES);
    unsigned status;

    localkms_free(kms);
    test_keystore_clear(&store);
    must(cx || crypto_new(&cx) == ERR_OK);
    must(localkms_new(cx, &s, &kms, NULL) == ERR_OK);
    must(localkms_set_principals(kms, SPAN_LIT(PRINCIPALS), NULL) == ERR_OK);
    ask("CreateKey", SPAN_LIT("{}"), &response, &status);
    must(status == 200 && store.n == 1);
}

static void substitute(struct span in, struct buf *out)
{
    while (in.len) {
        bool id = span_starts(in, "$KEY");
        must((id ? buf_append_str(out, store.rows[0].id) : buf_append_byte(out, in.ptr[0])) ==
             ERR_OK);
        in = span_from(in, id ? 4 : 1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(buf_clear) struct buf body = BUF_INIT(MESSAGE_MAX_BYTES);
    AUTO(buf_clear) struct buf response = BUF_INIT(RESPONSE_BYTES);
    unsigned status;

    if (size == 0 || size > LOCALKMS_BODY_MAX_BYTES / 16)
        return 0;
    if (!kms)
        start();
    const char *operation = operations[data[0] % OPERATIONS];
    substitute(span_of(data + 1, size - 1), &body);
    struct span answer = ask(operation, buf_view(&body), &response, &status);
    must(status == 200 || status == 400);
    struct json_in j = json_in_init(answer);
    json_in_skip(&j);
    must(answer.len == 0 ? status == 200 : json_in_end(&j) == ERR_OK);
    bool changes = data[0] % OPERATIONS == 0 || data[0] % OPERATIONS == 4;
    if (changes && status == 200)
        start();
    return 0;
}
