/* test_grants.c - grants: made, listed, ended, and what they allow. */
#include <stdio.h>

#include "base/json.h"
#include "localkms/test_ops.h"

#define APP_ROLE "arn:aws:iam::" API_ACCOUNT ":role/parent"
#define GRANT(to, operations, more)                                                                \
    "{\"KeyId\":\"$KEY\",\"GranteePrincipal\":\"" to "\",\"Operations\":[" operations "]" more "}"
#define ENCRYPTS "{\"KeyId\":\"$KEY\",\"Plaintext\":\"AA==\"}"
#define ENCRYPTS_IN(context)                                                                       \
    "{\"KeyId\":\"$KEY\",\"Plaintext\":\"AA==\",\"EncryptionContext\":{" context "}}"

static void app(const char *operation, const char *body, const char *error)
{
    api_ask(&api, APP, operation, body);
    if (strcmp(api.note.error, error) != 0)
        fail_msg("%s: %.*s", operation, (int)api.body.len, (const char *)api.body.ptr);
}

/* Only what it names, only to whom it names, only until it ends; a restart ends nothing. */
static void allows(void **state)
{
    (void)state;
    api_make_key(&api, NULL);
    app("Encrypt", ENCRYPTS, "AccessDeniedException");
    does("CreateGrant", GRANT(API_APP, "\"Encrypt\",\"DescribeKey\"", ""), "\"GrantId\":\"");
    api_keep(&api, "GrantId");
    app("Encrypt", ENCRYPTS, "");
    app("DescribeKey", THE_KEY, "");
    app("GenerateDataKey", "{\"KeyId\":\"$KEY\",\"KeySpec\":\"AES_256\"}", "AccessDeniedException");
    app("GetKeyPolicy", THE_KEY, "AccessDeniedException");
    api_restart(&api);
    app("Encrypt", ENCRYPTS, "");
    app("RevokeGrant", "{\"KeyId\":\"$KEY\",\"GrantId\":\"$KEPT\"}", "AccessDeniedException");
    does("RevokeGrant", "{\"KeyId\":\"$KEY\",\"GrantId\":\"$KEPT\"}", "");
    assert_int_equal(api.body.len, 0);
    app("Encrypt", ENCRYPTS, "AccessDeniedException");
    refuses("RevokeGrant", "{\"KeyId\":\"$KEY\",\"GrantId\":\"$KEPT\"}", "NotFoundException",
            "Grant ID $KEPT not found");
    does("CreateGrant", GRANT(APP_ROLE, "\"Encrypt\"", ""), "GrantToken"); /* the session's role */
    app("Encrypt", ENCRYPTS, "");
    api_make_key(&api, NULL);
    app("Encrypt", ENCRYPTS, "AccessDeniedException");
}

/* A denial is stronger than any grant. */
static void denied_all_the_same(void **state)
{
    (void)state;
    api_make_key(&api, "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\","
                       "\"Principal\":{\"AWS\":\"" API_ADMIN "\"},\"Action\":\"kms:*\","
                       "\"Resource\":\"*\"},{\"Effect\":\"Deny\",\"Principal\":{\"AWS\":\"" API_APP
                       "\"},\"Action\":\"kms:Encrypt\",\"Resource\":\"*\"}]}");
    does("CreateGrant", GRANT(API_APP, "\"Encrypt\",\"DescribeKey\"", ""), "GrantId");
    app("DescribeKey", THE_KEY, "");
    app("Encrypt", ENCRYPTS, "AccessDeniedException");
}

static void constraints(void **state)
{
    (void)state;
    api_make_key(&api, NULL);
    does("CreateGrant",
         GRANT(API_APP, "\"Encrypt\",\"DescribeKey\"",
               ",\"Constraints\":{\"EncryptionContextSubset\":{\"a\":\"b\"}}"),
         "GrantId");
    app("Encrypt", ENCRYPTS, "AccessDeniedException");
    app("Encrypt", ENCRYPTS_IN("\"a\":\"c\""), "AccessDeniedException");
    app("Encrypt", ENCRYPTS_IN("\"A\":\"b\""), "AccessDeniedException");
    app("Encrypt", ENCRYPTS_IN("\"a\":\"b\""), "");
    app("Encrypt", ENCRYPTS_IN("\"a\":\"b\",\"c\":\"d\""), "");
    app("DescribeKey", THE_KEY, ""); /* has no context */
    api_make_key(&api, NULL);
    does("CreateGrant",
         GRANT(API_APP, "\"Encrypt\"",
               ",\"Constraints\":{\"EncryptionContextEquals\":{\"a\":\"b\"}}"),
         "GrantId");
    app("Encrypt", ENCRYPTS_IN("\"a\":\"b\""), "");
    app("Encrypt", ENCRYPTS_IN("\"a\":\"b\",\"c\":\"d\""), "AccessDeniedException");
    does("ListGrants", THE_KEY, "\"Constraints\":{\"EncryptionContextEquals\":{\"a\":\"b\"}}");
}

static void tokens(void **state)
{
    (void)state;
    api_make_key(&api, NULL);
    does("CreateGrant", GRANT(API_APP, "\"Encrypt\"", ""), "GrantToken");
    api_keep(&api, "GrantToken");
    app("Encrypt", "{\"KeyId\":\"$KEY\",\"Plaintext\":\"AA==\",\"GrantTokens\":[\"$KEPT\"]}", "");
    app("Encrypt", "{\"KeyId\":\"$KEY\",\"Plaintext\":\"AA==\",\"GrantTokens\":[\"$KEPT\",\"x\"]}",
        "InvalidGrantTokenException");
    app("Encrypt", "{\"KeyId\":\"$KEY\",\"Plaintext\":\"AA==\",\"GrantTokens\":[1]}",
        "SerializationException");
    refuses("Encrypt",
            "{\"KeyId\":\"$KEY\",\"Plaintext\":\"AA==\",\"GrantTokens\":[\"1\",\"2\",\"3\",\"4\","
            "\"5\",\"6\",\"7\",\"8\",\"9\",\"10\",\"11\"]}",
            "ValidationException",
            ONE("Value at 'grantTokens'" MUST "have length less than or equal to 10"));
}

/* The retiring principal may end it, the grantee only with RetireGrant, others by policy. */
static void retired(void **state)
{
    (void)state;
    api_make_key(&api, NULL);
    does("CreateGrant", GRANT(API_APP, "\"Encrypt\"", ""), "GrantToken");
    api_keep(&api, "GrantToken");
    app("RetireGrant", "{\"GrantToken\":\"$KEPT\"}", "AccessDeniedException");
    does("RetireGrant", "{\"GrantToken\":\"$KEPT\"}", "");
    refuses("RetireGrant", "{\"GrantToken\":\"$KEPT\"}", "InvalidGrantTokenException", NULL);
    does("CreateGrant", GRANT(API_APP, "\"Encrypt\",\"RetireGrant\"", ""), "GrantToken");
    api_keep(&api, "GrantToken");
    app("RetireGrant", "{\"GrantToken\":\"$KEPT\",\"DryRun\":true}", "DryRunOperationException");
    app("RetireGrant", "{\"GrantToken\":\"$KEPT\"}", "");
    app("Encrypt", ENCRYPTS, "AccessDeniedException");
    does("CreateGrant", GRANT(API_ADMIN, "\"Encrypt\"", ",\"RetiringPrincipal\":\"" API_APP "\""),
         "GrantId");
    api_keep(&api, "GrantId");
    does("ListRetirableGrants", "{\"RetiringPrincipal\":\"" API_APP "\"}",
         "\"RetiringPrincipal\":\"" API_APP "\"");
    api_assert_ok(&api, api.kept);
    app("RetireGrant", "{\"KeyId\":\"$ARN\",\"GrantId\":\"$KEPT\"}", "");
    does("ListRetirableGrants", "{\"RetiringPrincipal\":\"" API_APP "\"}",
         "{\"Grants\":[],\"Truncated\":false}");
    refuses("RetireGrant", "{}", "ValidationException",
            "Please specify either a grant token, or a key ID and a grant ID.");
    refuses("RetireGrant", "{\"KeyId\":\"$KEY\",\"GrantId\":\"x\"}", "InvalidGrantIdException",
            NULL);
    refuses("RetireGrant", "{\"KeyId\":\"$KEY\",\"GrantId\":\"$KEPT\"}", "NotFoundException",
            "Grant ID $KEPT not found");
}

/* A grantee that makes grants gives no more than it has. */
static void handed_on(void **state)
{
    (void)state;
    api_make_key(&api, NULL);
    does("CreateGrant", GRANT(API_APP, "\"Encrypt\",\"CreateGrant\"", ""), "GrantId");
    app("CreateGrant", GRANT(API_ADMIN, "\"Encrypt\"", ""), "");
    app("CreateGrant", GRANT(API_ADMIN, "\"Decrypt\"", ""), "AccessDeniedException");
}

static void named_once(void **state)
{
    AUTO(buf_clear) struct buf scratch = BUF_INIT(4096);
    (void)state;

    api_make_key(&api, NULL);
    does("CreateGrant", GRANT(API_APP, "\"Encrypt\"", ",\"Name\":\"mine\""), "GrantId");
    api_keep(&api, "GrantId");
    does("CreateGrant", GRANT(API_APP, "\"Encrypt\"", ",\"Name\":\"mine\""), api.kept);
    does("CreateGrant", GRANT(API_APP, "\"Encrypt\",\"Decrypt\"", ",\"Name\":\"mine\""), "GrantId");
    struct span other = api_text(&api, "GrantId", &scratch);
    assert_false(span_is(other, api.kept));
    does("ListGrants", "{\"KeyId\":\"$KEY\",\"Limit\":1}", "\"Name\":\"mine\"");
    api_assert_ok(&api, "\"IssuingAccount\":\"arn:aws:iam::" API_ACCOUNT ":root\",\"KeyId\":\"arn");
    api_assert_ok(&api, "\"Truncated\":true");
    api_keep(&api, "NextMarker");
    does("ListGrants", "{\"KeyId\":\"$KEY\",\"Marker\":\"$KEPT\"}", "\"Truncated\":false");
}

static void filters(void **state)
{
    (void)state;
    api_make_key(&api, NULL);
    does("CreateGrant", GRANT(API_APP, "\"Encrypt\"", ""), "GrantId");
    does("CreateGrant", GRANT(API_ADMIN, "\"Decrypt\"", ""), "GrantId");
    api_keep(&api, "GrantId");
    does("ListGrants", "{\"KeyId\":\"$KEY\",\"GranteePrincipal\":\"" API_APP "\"}",
         "\"Operations\":[\"Encrypt\"]");
    assert_null(memmem(api.body.ptr, api.body.len, API_ADMIN, strlen(API_ADMIN)));
    does("ListGrants", "{\"KeyId\":\"$KEY\",\"GrantId\":\"$KEPT\"}",
         "\"Operations\":[\"Decrypt\"]");
    assert_null(memmem(api.body.ptr, api.body.len, API_APP, strlen(API_APP)));
    refuses("ListGrants", "{\"KeyId\":\"$KEY\",\"GrantId\":\"x\"}", "InvalidGrantIdException",
            NULL);
    refuses("ListGrants", "{\"KeyId\":\"$KEY\",\"Marker\":\"AAAA\"}", "InvalidMarkerException",
            NULL);
}

static struct refusal {
    const char *name, *body, *type, *message;
} refusals[] = {
    { "nothing", "{}", "ValidationException",
      "3 validation errors detected: Value null at 'keyId'" MUST
      "not be null; Value null at 'granteePrincipal'" MUST
      "not be null; Value null at 'operations'" MUST "not be null" },
    { "grantee that is no principal", GRANT("someone", "\"Encrypt\"", ""), "InvalidArnException",
      "ARN does not refer to a valid principal: someone" },
    { "retiring principal that is none",
      GRANT(API_APP, "\"Encrypt\"", ",\"RetiringPrincipal\":\"arn:aws:s3:::b\""),
      "InvalidArnException", "ARN does not refer to a valid principal: arn:aws:s3:::b" },
    { "name with a blank", GRANT(API_APP, "\"Encrypt\"", ",\"Name\":\"a b\""),
      "ValidationException",
      ONE("Value 'a b' at 'name'" MUST "satisfy regular expression pattern: ^[a-zA-Z0-9:/_-]+$") },
    { "operation of another kind of key", GRANT(API_APP, "\"Sign\"", ""), "ValidationException",
      "The operations of the grant are not supported by KMS keys with key spec SYMMETRIC_DEFAULT "
      "and key usage ENCRYPT_DECRYPT." },
    { "constraint that is no map",
      GRANT(API_APP, "\"Encrypt\"", ",\"Constraints\":{\"EncryptionContextEquals\":{\"a\":1}}"),
      "SerializationException", "A grant constraint is not a map of Strings" },
    { "service", "{\"KeyId\":\"$KEY\",\"GranteeServicePrincipal\":\"x\"}",
      "UnsupportedOperationException", "GranteeServicePrincipal is not supported here." },
    { "dry run", GRANT(API_APP, "\"Encrypt\"", ",\"DryRun\":true"), "DryRunOperationException",
      "The request would have succeeded, but the DryRun option is set." },
    { "operations is text", "{\"KeyId\":\"$KEY\",\"Operations\":\"Encrypt\"}",
      "SerializationException", "STRING_VALUE can not be converted to a list" },
    { "operations of numbers", GRANT(API_APP, "1", ""), "SerializationException",
      "Operations is not a list of Strings" },
};
enum { REFUSALS = sizeof refusals / sizeof refusals[0] };

static void is_refused(void **state)
{
    const struct refusal *r = *state;

    api_make_key(&api, NULL);
    refuses("CreateGrant", r->body, r->type, r->message);
    does("ListGrants", THE_KEY, "{\"Grants\":[],");
}

int main(void)
{
    static const struct CMUnitTest others[] = {
        cmocka_unit_test(allows),     cmocka_unit_test(denied_all_the_same),
        cmocka_unit_test(tokens),     cmocka_unit_test(constraints),
        cmocka_unit_test(retired),    cmocka_unit_test(handed_on),
        cmocka_unit_test(named_once), cmocka_unit_test(filters),
    };
    struct CMUnitTest tests[REFUSALS + sizeof others / sizeof others[0]];

    T_ROWS(tests, refusals, is_refused);
    memcpy(tests + REFUSALS, others, sizeof others);
    return cmocka_run_group_tests_name("grants", tests, ops_up, ops_down);
}
