/* test_life.c - a key from its making to its end: states, deletion, rotation; time is the test's.
 */
#include <stdio.h>

#include "localkms/test_ops.h"

#define DAY_MS   INT64_C(86400000)
#define DECRYPTS "{\"CiphertextBlob\":\"$KEPT\"}"

static void encrypt(void)
{
    does("Encrypt", "{\"KeyId\":\"$KEY\",\"Plaintext\":\"aGVsbG8=\"}", "CiphertextBlob");
    api_keep(&api, "CiphertextBlob");
}

static void enable_and_disable(void **state)
{
    (void)state;
    api_make_key(&api, NULL);
    encrypt();
    does("DisableKey", THE_KEY, "");
    assert_int_equal(api.body.len, 0);
    does("DisableKey", THE_KEY, "");
    does("DescribeKey", THE_KEY, "\"KeyState\":\"Disabled\"");
    refuses("Decrypt", DECRYPTS, "DisabledException", "$ARN is disabled.");
    refuses("EnableKeyRotation", THE_KEY, "DisabledException", "$ARN is disabled.");
    refuses("RotateKeyOnDemand", THE_KEY, "DisabledException", "$ARN is disabled.");
    api_restart(&api);
    does("DescribeKey", THE_KEY, "\"Enabled\":false");
    does("EnableKey", THE_KEY, "");
    does("Decrypt", DECRYPTS, "\"Plaintext\":\"aGVsbG8=\"");
}

static void description(void **state)
{
    (void)state;
    api_make_key(&api, NULL);
    does("UpdateKeyDescription", "{\"KeyId\":\"$KEY\",\"Description\":\"for \\\"tests\\\"\"}", "");
    api_restart(&api);
    does("DescribeKey", THE_KEY, "\"Description\":\"for \\\"tests\\\"\"");
    does("UpdateKeyDescription", "{\"KeyId\":\"$ARN\",\"Description\":\"\"}", "");
    does("DescribeKey", THE_KEY, "\"Description\":\"\"");
    refuses("UpdateKeyDescription", THE_KEY, "ValidationException",
            ONE("Value null at 'description'" MUST "not be null"));
}

/* 7 to 30 days; while it waits nothing can be done with it, and then it is gone with all it has. */
static void deletion(void **state)
{
    (void)state;
    api_make_key(&api, NULL);
    does("CreateAlias", "{\"AliasName\":\"alias/doomed\",\"TargetKeyId\":\"$KEY\"}", "");
    encrypt();
    refuses("ScheduleKeyDeletion", "{\"KeyId\":\"$KEY\",\"PendingWindowInDays\":6}",
            "ValidationException",
            ONE("Value '6' at 'pendingWindowInDays'" MUST "have value greater than or equal to 7"));
    refuses("ScheduleKeyDeletion", "{\"KeyId\":\"$KEY\",\"PendingWindowInDays\":31}",
            "ValidationException",
            ONE("Value '31' at 'pendingWindowInDays'" MUST "have value less than or equal to 30"));
    refuses("CancelKeyDeletion", THE_KEY, "KMSInvalidStateException",
            "$ARN is not pending deletion.");
    does("ScheduleKeyDeletion", "{\"KeyId\":\"$KEY\",\"PendingWindowInDays\":7}",
         "\"DeletionDate\":1700604800.000,\"KeyId\":\"arn:aws:kms:");
    api_assert_ok(&api, "\"KeyState\":\"PendingDeletion\",\"PendingWindowInDays\":7");
    does("DescribeKey", THE_KEY, "\"DeletionDate\":1700604800.000");
    static const char *const refused[] = { "EnableKey", "DisableKey", "ScheduleKeyDeletion" };
    for (size_t i = 0; i < 3; i++)
        refuses(refused[i], THE_KEY, "KMSInvalidStateException", "$ARN is pending deletion.");
    refuses("Decrypt", DECRYPTS, "KMSInvalidStateException", "$ARN is pending deletion.");
    refuses("TagResource", "{\"KeyId\":\"$KEY\",\"Tags\":[]}", "KMSInvalidStateException",
            "$ARN is pending deletion.");
    refuses("UpdateKeyDescription", "{\"KeyId\":\"$KEY\",\"Description\":\"x\"}",
            "KMSInvalidStateException", "$ARN is pending deletion.");
    does("GetKeyPolicy", THE_KEY, "Policy");
    api.now_ms += 7 * DAY_MS - 1;
    does("DescribeKey", THE_KEY, "PendingDeletion");
    api.now_ms += 1;
    refuses("DescribeKey", THE_KEY, "NotFoundException", "Key '$ARN' does not exist");
    refuses("DescribeKey", "{\"KeyId\":\"alias/doomed\"}", "NotFoundException",
            "Alias arn:aws:kms:us-east-1:" API_ACCOUNT ":alias/doomed is not found.");
    refuses("Decrypt", DECRYPTS, "AccessDeniedException",
            "The ciphertext refers to a customer master key that does not exist, does not exist in "
            "this region, or you are not allowed to access.");
    api_restart(&api);
    refuses("DescribeKey", THE_KEY, "NotFoundException", "Key '$ARN' does not exist");
    api.now_ms = API_NOW_MS;
}

static void deletion_cancelled(void **state)
{
    (void)state;
    api_make_key(&api, NULL);
    encrypt();
    does("ScheduleKeyDeletion", THE_KEY, "\"PendingWindowInDays\":30");
    api_restart(&api);
    does("CancelKeyDeletion", THE_KEY, "{\"KeyId\":\"arn:aws:kms:us-east-1:");
    does("DescribeKey", THE_KEY, "\"KeyState\":\"Disabled\"");
    api.now_ms += 31 * DAY_MS;
    does("EnableKey", THE_KEY, "");
    does("Decrypt", DECRYPTS, "aGVsbG8=");
    api.now_ms = API_NOW_MS;
}

/* Of several only those whose time has come go. */
static void several_deletions(void **state)
{
    char ids[3][KEY_ID_BYTES + 1], body[128];
    (void)state;

    for (int i = 0; i < 3; i++) {
        api_make_key(&api, NULL);
        memcpy(ids[i], api.key_id, sizeof ids[i]);
        snprintf(body, sizeof body, "{\"KeyId\":\"$KEY\",\"PendingWindowInDays\":%d}", 9 - i);
        does("ScheduleKeyDeletion", body, "DeletionDate");
    }
    api.now_ms += 8 * DAY_MS;
    for (int i = 0; i < 3; i++) {
        snprintf(body, sizeof body, "{\"KeyId\":\"%s\"}", ids[i]);
        api_ask(&api, ADMIN, "DescribeKey", body);
        assert_int_equal(api.status, i == 0 ? 200 : 400);
    }
    api.now_ms = API_NOW_MS;
}

static void rotation_status(void **state)
{
    (void)state;
    api_make_key(&api, NULL);
    api_ask(&api, ADMIN, "GetKeyRotationStatus", THE_KEY);
    char want[256];
    snprintf(want, sizeof want, "{\"KeyId\":\"%s\",\"KeyRotationEnabled\":false}", api.key_id);
    t_assert_span(api.body, span_str(want));
    refuses(
        "EnableKeyRotation", "{\"KeyId\":\"$KEY\",\"RotationPeriodInDays\":89}",
        "ValidationException",
        ONE("Value '89' at 'rotationPeriodInDays'" MUST "have value greater than or equal to 90"));
    refuses(
        "EnableKeyRotation", "{\"KeyId\":\"$KEY\",\"RotationPeriodInDays\":2561}",
        "ValidationException",
        ONE("Value '2561' at 'rotationPeriodInDays'" MUST "have value less than or equal to 2560"));
    does("EnableKeyRotation", THE_KEY, "");
    does("GetKeyRotationStatus", THE_KEY,
         "\"KeyRotationEnabled\":true,\"NextRotationDate\":1731536000.000,"
         "\"RotationPeriodInDays\":365");
    does("EnableKeyRotation", "{\"KeyId\":\"$KEY\",\"RotationPeriodInDays\":90}", "");
    does("GetKeyRotationStatus", THE_KEY, "\"RotationPeriodInDays\":90");
    does("DisableKeyRotation", THE_KEY, "");
    does("GetKeyRotationStatus", THE_KEY, "\"KeyRotationEnabled\":false");
    api_create(&api, "{\"KeySpec\":\"ECC_NIST_P256\",\"KeyUsage\":\"SIGN_VERIFY\"}");
    static const char *const none[] = { "EnableKeyRotation", "DisableKeyRotation",
                                        "GetKeyRotationStatus", "RotateKeyOnDemand",
                                        "ListKeyRotations" };
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++)
        refuses(none[i], THE_KEY, "UnsupportedOperationException", NULL);
}

/* What was encrypted before stays readable, by the right context only, and says which material. */
static void rotated_on_demand(void **state)
{
    static char blobs[26][512], body[1024];
    char first[65];
    AUTO(buf_clear) struct buf scratch = BUF_INIT(65536);
    (void)state;

    api_make_key(&api, NULL);
    for (unsigned i = 0; i <= 25; i++) {
        does("Encrypt",
             "{\"KeyId\":\"$KEY\",\"Plaintext\":\"aGVsbG8=\",\"EncryptionContext\":{\"a\":\"b\"}}",
             "CiphertextBlob");
        api_keep(&api, "CiphertextBlob");
        snprintf(blobs[i], sizeof blobs[i], "%.511s", api.kept);
        if (i < 25)
            does("RotateKeyOnDemand", THE_KEY, "{\"KeyId\":\"");
    }
    refuses("RotateKeyOnDemand", THE_KEY, "LimitExceededException",
            "The on-demand rotations limit has been reached for the given keyId. No more on-demand "
            "rotations can be performed for this key: $ARN");
    for (int restarted = 0; restarted < 2; restarted++) {
        for (unsigned i = 0; i <= 25; i++) {
            snprintf(body, sizeof body,
                     "{\"CiphertextBlob\":\"%.511s\",\"EncryptionContext\":{\"a\":\"b\"}}",
                     blobs[i]);
            does("Decrypt", body, "\"Plaintext\":\"aGVsbG8=\"");
            struct span id = api_text(&api, "KeyMaterialId", &scratch);
            assert_int_equal(id.len, 64);
            if (i == 0)
                memcpy(first, id.ptr, 64);
            else
                assert_memory_not_equal(first, id.ptr, 64);
            snprintf(body, sizeof body, "{\"CiphertextBlob\":\"%.511s\"}", blobs[i]);
            refuses("Decrypt", body, "InvalidCiphertextException", NULL);
        }
        api_restart(&api);
    }
    does("ListKeyRotations", "{\"KeyId\":\"$KEY\",\"Limit\":20}", "\"Truncated\":true");
    assert_int_equal(count("\"RotationType\":\"ON_DEMAND\""), 20);
    api_keep(&api, "NextMarker");
    does("ListKeyRotations", "{\"KeyId\":\"$KEY\",\"Limit\":20,\"Marker\":\"$KEPT\"}",
         "\"Truncated\":false");
    assert_int_equal(count("\"RotationType\":\"ON_DEMAND\""), 5);
    assert_int_equal(count("\"KeyMaterialState\":\"CURRENT\""), 1);
    does("ListKeyRotations", "{\"KeyId\":\"$KEY\",\"IncludeKeyMaterial\":\"ALL_KEY_MATERIAL\"}",
         "\"KeyMaterialState\":\"NON_CURRENT\"");
    assert_int_equal(count("KeyMaterialState"), 26);
    assert_int_equal(count("RotationType"), 25);
    refuses("ListKeyRotations", "{\"KeyId\":\"$KEY\",\"Marker\":\"AA\"}", "InvalidMarkerException",
            NULL);
    refuses("ListKeyRotations", "{\"KeyId\":\"$KEY\",\"Marker\":\"eHg=\"}",
            "InvalidMarkerException", NULL);
}

/* Once each period, and once only when several have gone by; a disabled key waits. */
static void rotated_by_time(void **state)
{
    (void)state;
    api_make_key(&api, NULL);
    encrypt();
    does("EnableKeyRotation", "{\"KeyId\":\"$KEY\",\"RotationPeriodInDays\":90}", "");
    api.now_ms += 90 * DAY_MS - 1;
    does("ListKeyRotations", THE_KEY, "\"Rotations\":[]");
    api.now_ms += 1;
    does("ListKeyRotations", THE_KEY, "\"RotationDate\":1707776000.000");
    api_assert_ok(&api, "\"RotationType\":\"AUTOMATIC\"");
    does("Decrypt", DECRYPTS, "aGVsbG8=");
    api.now_ms += 500 * DAY_MS;
    does("ListKeyRotations", THE_KEY, "AUTOMATIC");
    assert_int_equal(count("AUTOMATIC"), 2);
    does("GetKeyRotationStatus", THE_KEY, "\"NextRotationDate\":1758752000.000");
    does("DisableKey", THE_KEY, "");
    api.now_ms += 200 * DAY_MS;
    does("ListKeyRotations", THE_KEY, "AUTOMATIC");
    assert_int_equal(count("AUTOMATIC"), 2);
    does("EnableKey", THE_KEY, "");
    does("ListKeyRotations", THE_KEY, "AUTOMATIC");
    assert_int_equal(count("AUTOMATIC"), 3);
    api_restart(&api);
    does("Decrypt", DECRYPTS, "aGVsbG8=");
    api.now_ms = API_NOW_MS;
}

static void multi_region(void **state)
{
    (void)state;
    api_create(&api, "{\"MultiRegion\":true}");
    assert_memory_equal(api.key_id, "mrk-", 4);
    does("DescribeKey", THE_KEY,
         "\"MultiRegion\":true,\"MultiRegionConfiguration\":{"
         "\"MultiRegionKeyType\":\"PRIMARY\",\"PrimaryKey\":{\"Arn\":\"arn");
    encrypt();
    api_restart(&api);
    does("Decrypt", DECRYPTS, "aGVsbG8=");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(enable_and_disable), cmocka_unit_test(description),
        cmocka_unit_test(deletion),           cmocka_unit_test(deletion_cancelled),
        cmocka_unit_test(several_deletions),  cmocka_unit_test(rotation_status),
        cmocka_unit_test(rotated_on_demand),  cmocka_unit_test(rotated_by_time),
        cmocka_unit_test(multi_region),
    };

    return cmocka_run_group_tests_name("life", tests, ops_up, ops_down);
}
