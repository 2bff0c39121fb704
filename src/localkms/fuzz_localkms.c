/* Any body of a signed request: the first byte chooses the operation, $KEY, $SIGN, $MAC, $RSA,
 * $AGREE and $EXT stand for the ids of keys that there are. The answer is always HTTP and JSON, and
 * never a fault of ours; an answer to a request that is not attested never pretends to be one. */
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "crypto/keypair.h"
#include "localkms/localkms.h"
#include "localkms/test_keystore.h"
#include "sigv4/sigv4.h"

#define DATE "20231114T221320Z"
#define PRINCIPALS                                                                                 \
    "[{\"access_key_id\":\"AKID\",\"secret_access_key\":\"not-a-secret\",\"arn\":"                 \
    "\"arn:aws:iam::111122223333:user/admin\",\"policies\":[{\"Statement\":{\"Effect\":"           \
    "\"Allow\",\"Action\":\"kms:*\",\"Resource\":\"*\"}}]}]"

enum { NOW_S = 1700000000, MESSAGE_MAX_BYTES = 1 << 20, RESPONSE_BYTES = 1 << 20 };

/* Append only: seeds begin with 46, plus the place in this list. */
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

/* The keys of every run. */
static const struct {
    const char *name, *body;
} made[] = {
    { "$KEY", "{}" },
    { "$SIGN", "{\"KeySpec\":\"ECC_NIST_P256\",\"KeyUsage\":\"SIGN_VERIFY\"}" },
    { "$MAC", "{\"KeySpec\":\"HMAC_256\",\"KeyUsage\":\"GENERATE_VERIFY_MAC\"}" },
    { "$RSA", "{\"KeySpec\":\"RSA_2048\",\"KeyUsage\":\"ENCRYPT_DECRYPT\"}" },
    { "$AGREE", "{\"KeySpec\":\"ECC_NIST_P384\",\"KeyUsage\":\"KEY_AGREEMENT\"}" },
    { "$EXT", "{\"Origin\":\"EXTERNAL\"}" },
};
enum { MADE = sizeof made / sizeof made[0] };

static struct crypto *cx;
static struct test_keystore store;
static struct localkms *kms;
static char ids[MADE][KEY_ID_BYTES + 1];
static struct secret rsa; /* made once: it takes long */
static struct buf rsa_public = { .max = 1024 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

/* Only the smallest ones: the others are left unanswered. */
static bool give_pair(void)
{
    AUTO(secret_clear) struct secret copy = { 0 };

    if (localkms_wanted(kms) != KEYPAIR_RSA_2048)
        return false;
    if (!rsa.ptr)
        must(keypair_new(cx, KEYPAIR_RSA_2048, &rsa, &rsa_public) == ERR_OK);
    must(secret_copy(secret_view(&rsa), &copy) == ERR_OK);
    must(localkms_give(kms, &copy, buf_view(&rsa_public)) == ERR_OK);
    return true;
}

/* The answer is left in *response; returns its body. *status 0: there is none. */
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
    must(sigv4_sign(&rq, scope, SPAN_LIT(DATE), &cred, &authorization) == ERR_OK);
    head.headers[head.n_headers++] =
        (struct http1_header){ SPAN_LIT("authorization"), buf_view(&authorization) };
    enum err r = localkms_handle(kms, &head, body, INT64_C(1000) * NOW_S, response, &note);
    *status = 0;
    if (r == ERR_MORE && !give_pair())
        return SPAN_EMPTY;
    if (r == ERR_MORE)
        r = localkms_handle(kms, &head, body, INT64_C(1000) * NOW_S, response, &note);
    must(r == ERR_OK);
    must(http1_response_parse(buf_view(response), false, &head, &used, NULL) == ERR_OK);
    must(head.status == note.status && !note.attested);
    must(head.content_length == response->len - used);
    *status = head.status;
    return span_from(buf_view(response), used);
}

/* "KeyId":"..." of an answer. */
static void take_id(struct span answer, char id[static KEY_ID_BYTES + 1])
{
    const char *at = memmem(answer.ptr, answer.len, "\"KeyId\":\"", 9);

    must(at != NULL);
    memcpy(id, at + 9, KEY_ID_BYTES);
    id[KEY_ID_BYTES] = '\0';
}

/* A new service with one key of each kind. */
static void start(void)
{
    static const uint8_t master[32] = { 7 };
    const struct span root = SPAN_LIT("no root");
    localkms_free(kms);
    test_keystore_close(&store);
    test_keystore_open(&store);
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

    must(cx || crypto_new(&cx) == ERR_OK);
    must(localkms_new(cx, &s, &kms, NULL) == ERR_OK);
    must(localkms_set_principals(kms, SPAN_LIT(PRINCIPALS), NULL) == ERR_OK);
    for (size_t i = 0; i < MADE; i++) {
        struct span answer = ask("CreateKey", span_str(made[i].body), &response, &status);
        must(status == 200);
        take_id(answer, ids[i]);
        buf_reset(&response);
    }
}

static void substitute(struct span in, struct buf *out)
{
    while (in.len) {
        size_t i = 0;
        while (i < MADE && !span_starts(in, made[i].name))
            i++;
        must((i < MADE ? buf_append_str(out, ids[i]) : buf_append_byte(out, in.ptr[0])) == ERR_OK);
        in = span_from(in, i < MADE ? strlen(made[i].name) : 1);
    }
}

/* Does it change what there is? Then the next input begins anew. */
static bool changes(const char *operation)
{
    static const char *const readers[] = { "Decrypt", "Derive", "Describe",  "Encrypt", "Generate",
                                           "Get",     "List",   "ReEncrypt", "Sign",    "Verify" };

    for (size_t i = 0; i < sizeof readers / sizeof readers[0]; i++)
        if (span_starts(span_str(operation), readers[i]))
            return false;
    return true;
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
    if (status == 0)
        return 0;
    must(status == 200 || status == 400);
    struct json_in j = json_in_init(answer);
    json_in_skip(&j);
    must(answer.len == 0 ? status == 200 : json_in_end(&j) == ERR_OK);
    if (changes(operation) && status == 200)
        start();
    return 0;
}
