/* test_names.c - aliases and tags. */
#include <stdio.h>

#include "base/json.h"
#include "localkms/test_ops.h"

#define ALIAS_ARN  "arn:aws:kms:us-east-1:" API_ACCOUNT ":alias/"
#define TO(name)   "{\"AliasName\":\"alias/" name "\",\"TargetKeyId\":\"$KEY\"}"
#define ALIAS(n)   "{\"KeyId\":\"alias/" n "\"}"
#define TAG(k, v)  "{\"TagKey\":\"" k "\",\"TagValue\":\"" v "\"}"
#define TAGS(tags) "{\"KeyId\":\"$KEY\",\"Tags\":[" tags "]}"

/* An alias stands for the key wherever a key is used, and not where it is managed. */
static void aliases(void **state)
{
    char second[KEY_ID_BYTES + 1], body[256];
    (void)state;

    api_make_key(&api, NULL);
    does("CreateAlias", TO("one"), "");
    assert_int_equal(api.body.len, 0);
    does("DescribeKey", ALIAS("one"), api.key_id);
    does("DescribeKey", "{\"KeyId\":\"" ALIAS_ARN "one\"}", api.key_id);
    does("Encrypt", "{\"KeyId\":\"alias/one\",\"Plaintext\":\"AA==\"}", api.key_id);
    api_keep(&api, "CiphertextBlob");
    does("Decrypt", "{\"KeyId\":\"alias/one\",\"CiphertextBlob\":\"$KEPT\"}", "AA==");
    refuses("EnableKey", ALIAS("one"), "NotFoundException", "Invalid keyId 'alias/one'");
    refuses("GetKeyPolicy", "{\"KeyId\":\"" ALIAS_ARN "one\"}", "InvalidArnException",
            "Invalid arn " ALIAS_ARN "one");
    refuses("CreateAlias", TO("one"), "AlreadyExistsException",
            "An alias with the name " ALIAS_ARN "one already exists");
    api_make_key(&api, NULL);
    memcpy(second, api.key_id, sizeof second);
    refuses("Decrypt", "{\"KeyId\":\"$KEY\",\"CiphertextBlob\":\"$KEPT\"}", "IncorrectKeyException",
            "The key ID in the request does not identify a CMK that can perform this operation.");
    api.now_ms += 5000;
    does("UpdateAlias", TO("one"), "");
    api_restart(&api);
    does("DescribeKey", ALIAS("one"), second);
    does("ListAliases", THE_KEY,
         "{\"Aliases\":[{\"AliasArn\":\"" ALIAS_ARN "one\",\"AliasName\":\"alias/one\","
         "\"CreationDate\":1700000000.000,\"LastUpdatedDate\":1700000005.000,\"TargetKeyId\":\"");
    snprintf(body, sizeof body, "\"TargetKeyId\":\"%s\"}],\"Truncated\":false}", second);
    api_assert_ok(&api, body);
    does("DeleteAlias", "{\"AliasName\":\"alias/one\"}", "");
    refuses("DeleteAlias", "{\"AliasName\":\"alias/one\"}", "NotFoundException",
            "Alias " ALIAS_ARN "one is not found.");
    refuses("UpdateAlias", TO("one"), "NotFoundException", "Alias " ALIAS_ARN "one is not found.");
    refuses("DescribeKey", ALIAS("one"), "NotFoundException",
            "Alias " ALIAS_ARN "one is not found.");
    api.now_ms = API_NOW_MS;
}

static void alias_names(void **state)
{
    (void)state;
    api_make_key(&api, NULL);
    refuses("CreateAlias", "{\"AliasName\":\"x\",\"TargetKeyId\":\"$KEY\"}", "ValidationException",
            "Alias must start with the prefix \"alias/\". Please see "
            "https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html");
    refuses("CreateAlias", TO(""), "InvalidAliasNameException", NULL);
    refuses("CreateAlias", TO("aws/x"), "InvalidAliasNameException",
            "Alias names that begin with alias/aws/ are reserved.");
    refuses("CreateAlias", TO("a b"), "ValidationException",
            ONE("Value 'alias/a b' at 'aliasName'" MUST
                "satisfy regular expression pattern: ^[a-zA-Z0-9:/_-]+$"));
    char body[512], name[300];
    memset(name, 'n', sizeof name);
    snprintf(body, sizeof body, "{\"AliasName\":\"alias/%.250s\",\"TargetKeyId\":\"$KEY\"}", name);
    does("CreateAlias", body, "");
    snprintf(body, sizeof body, "{\"AliasName\":\"alias/%.251s\",\"TargetKeyId\":\"$KEY\"}", name);
    api_ask(&api, ADMIN, "CreateAlias", body);
    assert_string_equal(api.note.error, "ValidationException");
    refuses("CreateAlias", "{\"AliasName\":\"alias/k\",\"TargetKeyId\":\"alias/k\"}",
            "NotFoundException", "Invalid keyId 'alias/k'");
    refuses("CreateAlias", "{}", "ValidationException",
            "2 validation errors detected: Value null at 'aliasName'" MUST
            "not be null; Value null at 'targetKeyId'" MUST "not be null");
}

static void alias_of_another_kind(void **state)
{
    (void)state;
    api_make_key(&api, NULL);
    does("CreateAlias", TO("kind"), "");
    api_create(&api, "{\"KeySpec\":\"ECC_NIST_P256\",\"KeyUsage\":\"SIGN_VERIFY\"}");
    refuses("UpdateAlias", TO("kind"), "ValidationException",
            "The current and the new target of an alias must be KMS keys of the same type and key "
            "usage.");
}

/* Fifty to a key, and not one more; also not by moving one. */
static void alias_quota(void **state)
{
    char body[256];
    (void)state;

    api_make_key(&api, NULL);
    does("CreateAlias", TO("elsewhere"), "");
    api_make_key(&api, NULL);
    for (int i = 0; i < 50; i++) {
        snprintf(body, sizeof body, "{\"AliasName\":\"alias/q%02d\",\"TargetKeyId\":\"$KEY\"}", i);
        does("CreateAlias", body, "");
    }
    refuses("CreateAlias", TO("q50"), "LimitExceededException", "$ARN has 50 aliases already.");
    refuses("UpdateAlias", TO("elsewhere"), "LimitExceededException",
            "$ARN has 50 aliases already.");
    does("UpdateAlias", TO("q00"), "");
    unsigned seen = 0;
    snprintf(body, sizeof body, "{\"KeyId\":\"$KEY\",\"Limit\":7}");
    for (int page = 0; page < 8; page++) {
        does("ListAliases", body, page < 7 ? "\"Truncated\":true" : "\"Truncated\":false");
        seen += count("AliasArn");
        if (page == 7)
            break;
        api_keep(&api, "NextMarker");
        snprintf(body, sizeof body, "{\"KeyId\":\"$KEY\",\"Limit\":7,\"Marker\":\"$KEPT\"}");
    }
    assert_int_equal(seen, 50);
    refuses("ListAliases", "{\"Limit\":101}", "ValidationException",
            ONE("Value '101' at 'limit'" MUST "have value less than or equal to 100"));
    refuses("ListAliases", "{\"Marker\":\"!\"}", "InvalidMarkerException", NULL);
}

/* The alias itself is a resource of its own, for identity policies. */
static void alias_permissions(void **state)
{
    (void)state;
    api_make_key(&api, "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\","
                       "\"Principal\":{\"AWS\":[\"" API_ADMIN "\",\"" API_APP
                       "\"]},\"Action\":\"kms:*\",\"Resource\":\"*\"}]}");
    api_ask(&api, APP, "CreateAlias", TO("mine"));
    api_assert_fault(&api, "AccessDeniedException",
                     "User: " API_APP
                     " is not authorized to perform: kms:CreateAlias on resource: " ALIAS_ARN
                     "mine because no identity-based policy allows the kms:CreateAlias "
                     "action");
    api_make_key(&api, NULL);
    api_ask(&api, APP, "CreateAlias", TO("mine"));
    assert_string_equal(api.note.error, "AccessDeniedException");
}

static void tags(void **state)
{
    (void)state;
    api_create(&api, "{\"Tags\":[" TAG("a", "1") "," TAG("caf\xc3\xa9 \\\"x\\\"", "") "]}");
    does("ListResourceTags", THE_KEY,
         "{\"Tags\":[" TAG("a", "1") "," TAG("caf\xc3\xa9 \\\"x\\\"", "") "],\"Truncated\":false}");
    does("TagResource", TAGS(TAG("a", "2") "," TAG("b", "3")), "");
    api_restart(&api);
    does("ListResourceTags", THE_KEY, TAG("a", "2") "," TAG("b", "3"));
    does("UntagResource",
         "{\"KeyId\":\"$KEY\",\"TagKeys\":[\"a\",\"caf\\u00e9 \\\"x\\\"\",\"no\"]}", "");
    does("ListResourceTags", THE_KEY, "{\"Tags\":[" TAG("b", "3") "],\"Truncated\":false}");
}

static void tag_refusals(void **state)
{
    (void)state;
    api_make_key(&api, NULL);
    refuses("TagResource", TAGS(TAG("a", "1") "," TAG("a", "2")), "TagException",
            "Duplicate tag keys");
    refuses("TagResource", TAGS(TAG("aws:a", "1")), "TagException",
            "Tags beginning with aws: are reserved");
    refuses("TagResource", TAGS("{\"TagValue\":\"x\"}"), "ValidationException",
            ONE("Value null at 'tags.1.member.tagKey'" MUST "not be null"));
    refuses(
        "TagResource", TAGS(TAG("a", "x") "," TAG("", "y")), "ValidationException",
        ONE("Value '' at 'tags.2.member.tagKey'" MUST "have length greater than or equal to 1"));
    refuses("TagResource", THE_KEY, "ValidationException",
            ONE("Value null at 'tags'" MUST "not be null"));
    refuses("TagResource", TAGS("1"), "SerializationException", "Tags is not a list of structures");
    refuses("UntagResource", THE_KEY, "ValidationException",
            ONE("Value null at 'tagKeys'" MUST "not be null"));
    refuses("CreateKey", "{\"Tags\":[" TAG("aws:", "1") "]}", "TagException",
            "Tags beginning with aws: are reserved");
}

/* Fifty to a key; what a request replaces does not count twice. */
static void tag_quota(void **state)
{
    AUTO(buf_clear) struct buf body = BUF_INIT(65536);
    (void)state;

    api_make_key(&api, NULL);
    assert_int_equal(buf_append_str(&body, "{\"KeyId\":\"$KEY\",\"Tags\":["), ERR_OK);
    for (int i = 0; i < 50; i++)
        assert_int_equal(
            buf_printf(&body, "%s{\"TagKey\":\"t%02d\",\"TagValue\":\"v\"}", i ? "," : "", i),
            ERR_OK);
    assert_int_equal(buf_append_str(&body, "]}"), ERR_OK);
    const char *text = buf_cstr(&body);
    does("TagResource", text, "");
    does("TagResource", text, "");
    refuses("TagResource", TAGS(TAG("one more", "")), "TagException", "Too many tags");
    does("TagResource", TAGS(TAG("t07", "new")), "");
    does("ListResourceTags", "{\"KeyId\":\"$KEY\",\"Limit\":49}", "\"Truncated\":true");
    assert_int_equal(count("TagKey"), 49);
    api_keep(&api, "NextMarker");
    does("ListResourceTags", "{\"KeyId\":\"$KEY\",\"Marker\":\"$KEPT\"}",
         "{\"Tags\":[" TAG("t49", "v") "],\"Truncated\":false}");
    buf_truncate(&body, body.len - 2);
    assert_int_equal(buf_append_str(&body, "," TAG("x", "") "]}"), ERR_OK);
    refuses("TagResource", buf_cstr(&body), "TagException", "Too many tags");
}

/* Policies see the tags of the key and those of the request. */
static void tags_in_policies(void **state)
{
    static const char policy[] =
        "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":"
        "\"" API_ADMIN "\"},\"Action\":\"kms:*\",\"Resource\":\"*\"},{\"Effect\":\"Allow\","
        "\"Principal\":{\"AWS\":\"" API_APP "\"},\"Action\":\"kms:DescribeKey\",\"Resource\":\"*\","
        "\"Condition\":{\"StringEquals\":{\"aws:ResourceTag/team\":\"blue\"}}},{\"Effect\":"
        "\"Allow\",\"Principal\":{\"AWS\":\"" API_APP "\"},\"Action\":\"kms:TagResource\","
        "\"Resource\":\"*\",\"Condition\":{\"StringEquals\":{\"aws:RequestTag/team\":\"blue\"}}}]}";
    (void)state;

    api_make_key(&api, policy);
    api_ask(&api, APP, "DescribeKey", THE_KEY);
    assert_string_equal(api.note.error, "AccessDeniedException");
    api_ask(&api, APP, "TagResource", TAGS(TAG("team", "red")));
    assert_string_equal(api.note.error, "AccessDeniedException");
    api_ask(&api, APP, "TagResource", TAGS(TAG("team", "blue")));
    assert_string_equal(api.note.error, "");
    api_ask(&api, APP, "DescribeKey", THE_KEY);
    api_assert_ok(&api, api.key_id);
    does("UntagResource", "{\"KeyId\":\"$KEY\",\"TagKeys\":[\"team\"]}", "");
    api_ask(&api, APP, "DescribeKey", THE_KEY);
    assert_string_equal(api.note.error, "AccessDeniedException");
}

static void policy_names(void **state)
{
    (void)state;
    api_make_key(&api, NULL);
    api_ask(&api, ADMIN, "ListKeyPolicies", THE_KEY);
    t_assert_span(api.body, SPAN_LIT("{\"PolicyNames\":[\"default\"],\"Truncated\":false}"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(aliases),      cmocka_unit_test(alias_names),
        cmocka_unit_test(alias_quota),  cmocka_unit_test(alias_of_another_kind),
        cmocka_unit_test(tags),         cmocka_unit_test(alias_permissions),
        cmocka_unit_test(tag_refusals), cmocka_unit_test(tag_quota),
        cmocka_unit_test(policy_names), cmocka_unit_test(tags_in_policies),
    };

    return cmocka_run_group_tests_name("names", tests, ops_up, ops_down);
}
