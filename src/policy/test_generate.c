/* test_generate.c - the text of a generated policy, and plans that are refused. What the policies
 * do, tests/e2e/test_policy.py asks a local KMS. */
#include "policy/generate.h"
#include "policy/policy.h"
#include "testing/t.h"

#define HEX16  "00112233445566778899aabbccddeeff"
#define HEX_A  HEX16 HEX16 HEX16
#define HEX16B "ffeeddccbbaa99887766554433221100"
#define HEX_B  HEX16B HEX16B HEX16B
#define USER   "arn:aws:iam::111122223333:role/parent"
#define ADMIN  "arn:aws:iam::111122223333:user/admin"
#define SEALER "arn:aws:iam::444455556666:role/apps/sealer"
#define KEY    "arn:aws:kms:us-east-1:111122223333:key/x"

static struct policy_plan plan;

static int fresh(void **state)
{
    (void)state;
    plan = (struct policy_plan){
        .users = { SPAN_LIT(USER) },
        .n_users = 1,
        .admins = { SPAN_LIT(ADMIN) },
        .n_admins = 1,
        .images = { { .pcr = { [0] = HEX_A } } },
        .n_images = 1,
        .operations = 1U << POLICY_DECRYPT,
        .key = SPAN_LIT(KEY),
    };
    return 0;
}

static void generated(enum policy_kind kind, struct buf *out)
{
    AUTO(policy_freep) struct policy *p = NULL;

    buf_reset(out);
    assert_int_equal(policy_generate(&plan, kind, out, NULL), ERR_OK);
    assert_int_equal(policy_parse(buf_view(out),
                                  kind == POLICY_FOR_KEY ? POLICY_OF_KEY : POLICY_OF_IDENTITY, &p,
                                  NULL),
                     ERR_OK);
}

static void assert_has(struct buf *text, const char *part)
{
    const char *all = buf_cstr(text);

    assert_non_null(all);
    if (!strstr(all, part))
        fail_msg("not there: %s\nin: %s", part, all);
}

static void key_policy(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf out = BUF_INIT(POLICY_MAX_BYTES);

    generated(POLICY_FOR_KEY, &out);
    assert_has(&out, "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Sid\":\"Administration without "
                     "use\",\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"" ADMIN "\"}");
    assert_has(&out, "{\"Sid\":\"Use by attested image 1\",\"Effect\":\"Allow\",\"Principal\":{"
                     "\"AWS\":\"" USER "\"},\"Action\":[\"kms:Decrypt\"],\"Resource\":\"*\","
                     "\"Condition\":{\"StringEqualsIgnoreCase\":{"
                     "\"kms:RecipientAttestation:PCR0\":\"" HEX_A "\"}}}");
    assert_has(&out, "\"Condition\":{\"StringNotEqualsIgnoreCase\":{"
                     "\"kms:RecipientAttestation:PCR0\":[\"" HEX_A "\"]}}}]}");
    assert_null(strstr(buf_cstr(&out), "CreateGrant\",\"kms:Des"));
}

static void two_images_and_several_principals(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf out = BUF_INIT(POLICY_MAX_BYTES);

    plan.users[1] = SPAN_LIT(ADMIN);
    plan.n_users = 2;
    plan.images[0].pcr[8] = HEX_B;
    plan.images[1] = (struct policy_image){ .pcr = { [0] = HEX_B, [8] = HEX_A } };
    plan.n_images = 2;
    generated(POLICY_FOR_KEY, &out);
    assert_has(&out, "\"Principal\":{\"AWS\":[\"" USER "\",\"" ADMIN "\"]}");
    assert_has(&out, "\"Sid\":\"Use by attested image 2\"");
    assert_has(&out, "PCR0\":[\"" HEX_A "\",\"" HEX_B "\"]");
    assert_has(&out, "PCR8\":[\"" HEX_B "\",\"" HEX_A "\"]");
    plan.no_belt = true;
    generated(POLICY_FOR_KEY, &out);
    assert_null(strstr(buf_cstr(&out), "Deny"));
}

static void sealers(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf out = BUF_INIT(POLICY_MAX_BYTES);

    plan.sealers[0] = SPAN_LIT(SEALER);
    plan.n_sealers = 1;
    generated(POLICY_FOR_KEY, &out);
    assert_has(&out, "{\"Sid\":\"Sealing for the images\",\"Effect\":\"Allow\",\"Principal\":{"
                     "\"AWS\":\"" SEALER "\"},\"Action\":\"kms:GenerateDataKey\","
                     "\"Resource\":\"*\"}");
    assert_has(&out, "No use outside the images (PCR0)\",\"Effect\":\"Deny\",\"Principal\":\"*\","
                     "\"Action\":[\"kms:Decrypt\",\"kms:GenerateDataKeyPair\",");
    assert_has(&out, "\"Action\":[\"kms:GenerateDataKey\"],\"Resource\":\"*\",\"Condition\":{"
                     "\"StringNotEqualsIgnoreCase\":{\"kms:RecipientAttestation:PCR0\":[\"" HEX_A
                     "\"]},\"ArnNotEquals\":{\"aws:PrincipalArn\":[\"" SEALER "\","
                     "\"arn:aws:iam::444455556666:role/sealer\"]}}}]}");
    plan.no_belt = true;
    plan.sealers[1] = SPAN_LIT(ADMIN);
    plan.n_sealers = 2;
    generated(POLICY_FOR_KEY, &out);
    assert_has(&out, "\"Principal\":{\"AWS\":[\"" SEALER "\",\"" ADMIN "\"]}");
    assert_null(strstr(buf_cstr(&out), "Deny"));
    plan.n_images = plan.n_users = plan.n_admins = 0; /* of no concern to sealers */
    generated(POLICY_FOR_SEALER, &out);
    t_assert_buf(&out,
                 "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Sid\":\"SealingForTheImages\","
                 "\"Effect\":\"Allow\",\"Action\":\"kms:GenerateDataKey\",\"Resource\":\"" KEY
                 "\"}]}");
}

static void identity_policies(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf out = BUF_INIT(POLICY_MAX_BYTES);

    plan.operations |= 1U << POLICY_GENERATE_RANDOM;
    generated(POLICY_FOR_USER, &out);
    assert_has(&out, "{\"Sid\":\"UseByAttestedImage1\",\"Effect\":\"Allow\",\"Action\":["
                     "\"kms:Decrypt\"],\"Resource\":\"" KEY "\",\"Condition\"");
    assert_has(&out, "{\"Sid\":\"RandomInAttestedImage1\",\"Effect\":\"Allow\",\"Action\":["
                     "\"kms:GenerateRandom\"],\"Resource\":\"*\",\"Condition\"");
    generated(POLICY_FOR_KEY, &out);
    assert_null(strstr(buf_cstr(&out), "GenerateRandom"));
    plan.n_images = 0; /* of no concern to administrators */
    generated(POLICY_FOR_ADMIN, &out);
    assert_has(&out, "\"Sid\":\"KeyAdministration\"");
    assert_null(strstr(buf_cstr(&out), "Decrypt"));
}

static void refused(enum policy_kind kind, const char *what)
{
    AUTO(buf_clear) struct buf out = BUF_INIT(POLICY_MAX_BYTES);
    struct why why = { 0 };

    assert_int_equal(policy_generate(&plan, kind, &out, &why), ERR_MALFORMED);
    if (!strstr(why.what, what))
        fail_msg("%s, not %s", why.what, what);
    assert_int_equal(out.len, 0);
    fresh(NULL);
}

static void refusals(void **state)
{
    (void)state;
    plan.n_admins = 0;
    refused(POLICY_FOR_KEY, "no administrator");
    plan.n_users = 0;
    refused(POLICY_FOR_KEY, "no user");
    plan.n_users = POLICY_PLAN_ROLES_MAX + 1;
    refused(POLICY_FOR_KEY, "more than 16");
    plan.n_images = 0;
    refused(POLICY_FOR_KEY, "no image");
    plan.n_images = POLICY_PLAN_IMAGES_MAX + 1;
    refused(POLICY_FOR_USER, "more than four");
    plan.operations = 0;
    refused(POLICY_FOR_USER, "no operation");
    plan.operations = 1U << POLICY_GENERATE_RANDOM;
    refused(POLICY_FOR_KEY, "no operation");
    plan.key = SPAN_EMPTY;
    refused(POLICY_FOR_ADMIN, "no key");
    plan.images[0].pcr[0] = NULL;
    plan.images[0].pcr[3] = plan.images[0].pcr[4] = HEX_A; /* */
    refused(POLICY_FOR_KEY, "without PCR0 and PCR8");
    plan.images[0].pcr[1] = HEX_A "0";
    refused(POLICY_FOR_KEY, "96 hexadecimal");
    plan.images[0].pcr[1] = "0x" HEX_A;
    refused(POLICY_FOR_KEY, "96 hexadecimal");
    plan.images[1] = (struct policy_image){ .pcr = { [8] = HEX_A } };
    plan.n_images = 2;
    refused(POLICY_FOR_KEY, "PCR8 only");
    plan.n_sealers = POLICY_PLAN_ROLES_MAX + 1;
    refused(POLICY_FOR_KEY, "more than 16 sealers");
    static const char *const others[] = {
        "arn:aws:iam::111122223333:root",
        "arn:aws:sts::111122223333:assumed-role/r/s",
        "arn:aws:sts::111122223333:federated-user/f",
        "111122223333",
        "*",
    };
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        plan.sealers[0] = span_str(others[i]);
        plan.n_sealers = 1;
        refused(POLICY_FOR_KEY, "not a role or a user");
    }
    plan.key = SPAN_EMPTY;
    refused(POLICY_FOR_SEALER, "no key");
}

static void limits(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf out = BUF_INIT(POLICY_MAX_BYTES);
    AUTO(buf_clear) struct buf narrow = BUF_INIT(200);

    for (unsigned i = 0; i < POLICY_PLAN_ROLES_MAX; i++)
        plan.users[i] = plan.admins[i] = plan.sealers[i] = SPAN_LIT(USER);
    plan.n_users = plan.n_admins = plan.n_sealers = POLICY_PLAN_ROLES_MAX;
    for (unsigned i = 0; i < POLICY_PLAN_IMAGES_MAX; i++)
        for (unsigned k = 0; k < POLICY_PCRS; k++)
            plan.images[i].pcr[k] = HEX_A;
    plan.n_images = POLICY_PLAN_IMAGES_MAX;
    plan.operations = (1U << POLICY_ATTESTED) - 1;
    generated(POLICY_FOR_KEY, &out); /* the largest plan fits into a key policy */
    assert_int_equal(policy_generate(&plan, POLICY_FOR_KEY, &narrow, NULL), ERR_LIMIT);
    assert_int_equal(narrow.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(key_policy, fresh),
        cmocka_unit_test_setup(two_images_and_several_principals, fresh),
        cmocka_unit_test_setup(sealers, fresh),
        cmocka_unit_test_setup(identity_policies, fresh),
        cmocka_unit_test_setup(refusals, fresh),
        cmocka_unit_test_setup(limits, fresh),
    };

    return cmocka_run_group_tests_name("policy_generate", tests, NULL, NULL);
}
