/* test_audit.c - the record of a call, member by member, and what is never in one. */
#include "localkms/audit.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "localkms/test_api.h"

static struct api api;

static int setup(void **state)
{
    static const uint8_t root[] = { 0x30, 0 };

    (void)state;
    api_up(&api, SPAN_ARRAY(root), CMS_FORM_A);
    api_make_key(&api, NULL);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    api_down(&api);
    return 0;
}

/* The record of the last call, one object on one line. */
static json_t *record(void)
{
    struct span text = buf_view(&api.note.audit);

    assert_true(text.len > 0 && span_find(text, '\n') == text.len);
    json_t *j = json_loadb((const char *)text.ptr, text.len, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(j);
    return j;
}

/* A member as compact JSON; "a.b" is a member of a member. */
static char *member(json_t *j, const char *path)
{
    char name[64];

    while (j && *path) {
        size_t n = strcspn(path, ".");
        snprintf(name, sizeof name, "%.*s", (int)n, path);
        j = json_object_get(j, name);
        path += path[n] ? n + 1 : n;
    }
    return j ? json_dumps(j, JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS) : NULL;
}

static void assert_member(json_t *j, const char *path, const char *want)
{
    char *got = member(j, path);

    if (!want) {
        if (got)
            fail_msg("%s is there: %s", path, got);
        return;
    }
    if (!got || strcmp(got, want) != 0)
        fail_msg("%s is %s, not %s", path, got ? got : "not there", want);
    free(got);
}

static void plain_call(void **state)
{
    char arn[192];
    (void)state;

    api_ask(&api, ADMIN, "DescribeKey", "{\"KeyId\":\"$KEY\",\"GrantTokens\":[]}");
    json_t *j = record();
    assert_member(j, "eventVersion", "\"1.08\"");
    assert_member(j, "eventTime", "\"2023-11-14T22:13:20Z\"");
    assert_member(j, "eventSource", "\"kms.amazonaws.com\"");
    assert_member(j, "eventName", "\"DescribeKey\"");
    assert_member(j, "awsRegion", "\"us-east-1\"");
    assert_member(j, "sourceIPAddress", "\"127.0.0.1\"");
    assert_member(j, "userIdentity.type", "\"IAMUser\"");
    assert_member(j, "userIdentity.arn", "\"" API_ADMIN "\"");
    assert_member(j, "userIdentity.userName", "\"admin\"");
    assert_member(j, "responseElements", "null");
    assert_member(j, "readOnly", "true");
    assert_member(j, "errorCode", NULL);
    assert_member(j, "additionalEventData", NULL);
    snprintf(arn, sizeof arn, "{\"keyId\":\"%s\"}", api.key_id);
    assert_member(j, "requestParameters", arn);
    snprintf(arn, sizeof arn,
             "[{\"ARN\":\"%s\",\"accountId\":\"" API_ACCOUNT "\",\"type\":\"AWS::KMS::Key\"}]",
             api.key_arn);
    assert_member(j, "resources", arn);
    json_decref(j);
}

static void session_and_denial(void **state)
{
    (void)state;
    api_ask(&api, APP, "DescribeKey", "{\"KeyId\":\"$KEY\"}");
    json_t *j = record();
    assert_member(j, "errorCode", "\"AccessDenied\"");
    assert_member(j, "userIdentity.type", "\"AssumedRole\"");
    assert_member(j, "userIdentity.sessionContext.sessionIssuer.userName", "\"parent\"");
    assert_member(j, "userIdentity.sessionContext.sessionIssuer.arn",
                  "\"arn:aws:iam::" API_ACCOUNT ":role/parent\"");
    char *message = member(j, "errorMessage");
    assert_non_null(strstr(message, "is not authorized to perform: kms:DescribeKey"));
    free(message);
    json_decref(j);
}

static void a_change(void **state)
{
    char want[192];
    (void)state;

    api_ask(&api, ADMIN, "CreateKey", "{\"Description\" : \"two\\nlines\"}");
    json_t *j = record();
    assert_member(j, "readOnly", "false");
    assert_member(j, "requestParameters", "{\"description\":\"two\\nlines\"}");
    snprintf(want, sizeof want, "\"arn:aws:kms:us-east-1:" API_ACCOUNT ":key/%s\"",
             api.note.key_id);
    assert_member(j, "responseElements.keyId", want);
    json_decref(j);
}

/* Whoever is not known has no say in what is written. */
static void nobody(void **state)
{
    (void)state;
    api_ask(&api, NOBODY, "DescribeKey", "{\"KeyId\":\"$KEY\"}");
    json_t *j = record();
    assert_member(j, "userIdentity", "{\"type\":\"Unknown\"}");
    assert_member(j, "requestParameters", "null");
    assert_member(j, "resources", "[]");
    assert_member(j, "errorCode", "\"UnrecognizedClientException\"");
    json_decref(j);
}

static void unknown_operation(void **state)
{
    (void)state;
    api_ask(&api, ADMIN, "NoSuch", "{}");
    json_t *j = record();
    assert_member(j, "eventName", "\"Unknown\"");
    assert_member(j, "errorCode", "\"UnknownOperationException\"");
    json_decref(j);
}

/* Spread over lines, nested, and of every kind: one line, nothing changed. */
static void context_as_sent(void **state)
{
    (void)state;
    api_ask(
        &api, ADMIN, "Encrypt",
        "{\"KeyId\":\"$KEY\",\"Plaintext\":\"c2VjcmV0\",\n \"EncryptionContext\" :\n{ \"b\\\"\" : "
        "\"\\u00e4\",\n\"a\":\"\" } }");
    json_t *j = record();
    assert_member(j, "requestParameters.encryptionContext", "{\"a\":\"\",\"b\\\"\":\"\xc3\xa4\"}");
    assert_member(j, "requestParameters.plaintext", NULL);
    json_decref(j);
}

static void never_told(void **state)
{
    static const char *const secret[] = {
        "Plaintext",
        "CiphertextBlob",
        "Message",
        "Signature",
        "Mac",
        "PublicKey",
        "ImportToken",
        "GrantTokens",
        "GrantToken",
        "Recipient",
        "plaintext",
        "Plaintext ",
        "EncryptedKeyMaterial",
        "",
        "KeyId\n",
    };
    (void)state;
    for (unsigned i = 0; i < sizeof secret / sizeof secret[0]; i++)
        assert_false(audit_tells(span_str(secret[i])));
    assert_true(audit_tells(SPAN_LIT("KeyId")));
    assert_true(audit_tells(SPAN_LIT("EncryptionContext")));
}

static void described(unsigned n, const char *want)
{
    AUTO(buf_clear) struct buf body = BUF_INIT(1 << 18);

    assert_int_equal(buf_append_str(&body, "{\"Description\":\""), ERR_OK);
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(buf_append_byte(&body, 'x'), ERR_OK);
    assert_int_equal(buf_append_str(&body, "\"}"), ERR_OK);
    const char *text = buf_cstr(&body);
    api_ask(&api, ADMIN, "CreateKey", text);
    json_t *j = record();
    if (want)
        assert_member(j, "requestParameters", want);
    else
        assert_member(j, "requestParameters.omitted", NULL);
    json_decref(j);
}

static void limit(void **state)
{
    enum { AROUND = sizeof "{\"description\":\"\"}" - 1 };

    (void)state;
    described(AUDIT_PARAMETERS_MAX_BYTES - AROUND, NULL);
    described(AUDIT_PARAMETERS_MAX_BYTES - AROUND + 1, "{\"omitted\":\"too long\"}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_call),        cmocka_unit_test(session_and_denial),
        cmocka_unit_test(a_change),          cmocka_unit_test(nobody),
        cmocka_unit_test(unknown_operation), cmocka_unit_test(context_as_sent),
        cmocka_unit_test(never_told),        cmocka_unit_test(limit),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
