/* test_common.c - what follows from caller, time and key. */
#include "policy/common.h"
#include "policy/test_rows.h"
#include "testing/t.h"

static struct policy_common common;

static const char *value_of(const char *key)
{
    static char text[POLICY_ARN_MAX_BYTES];

    for (size_t i = 0; i < common.n; i++)
        if (span_is(common.facts[i].key, key)) {
            assert_int_equal(common.facts[i].n_values, 1);
            struct span s = common.facts[i].values[0];
            memcpy(text, s.ptr, s.len);
            text[s.len] = '\0';
            return text;
        }
    return "(absent)";
}

static void ask(const char *caller, int64_t now_s)
{
    static struct policy_caller who; /* facts point into it */

    rows_caller(caller, &who);
    const struct policy_circumstances c = { .caller = &who,
                                            .now_s = now_s,
                                            .region = SPAN_LIT("us-east-1"),
                                            .key_account = SPAN_LIT(OTHER) };
    policy_common_facts(&c, &common);
    assert_in_range(common.n, 1, POLICY_COMMON_MAX);
}

static void callers(void **state)
{
    (void)state;
    static const struct {
        const char *caller, *arn, *account, *name, *type, *service;
    } cases[] = {
        { ALICE, ALICE, ACCOUNT, "alice", "User", "false" },
        { "arn:aws:iam::" ACCOUNT ":user/team/x/alice",
          "arn:aws:iam::" ACCOUNT ":user/team/x/alice", ACCOUNT, "alice", "User", "false" },
        { SESSION, ROLE, ACCOUNT, "(absent)", "AssumedRole", "false" },
        { ROOT, ROOT, ACCOUNT, "(absent)", "Account", "false" },
        { "arn:aws:sts::" ACCOUNT ":federated-user/fred",
          "arn:aws:sts::" ACCOUNT ":federated-user/fred", ACCOUNT, "(absent)", "FederatedUser",
          "false" },
        { EC2, "(absent)", "(absent)", "(absent)", "Service", "true" },
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ask(cases[i].caller, 0);
        assert_string_equal(value_of("aws:PrincipalArn"), cases[i].arn);
        assert_string_equal(value_of("aws:PrincipalAccount"), cases[i].account);
        assert_string_equal(value_of("kms:CallerAccount"), cases[i].account);
        assert_string_equal(value_of("aws:username"), cases[i].name);
        assert_string_equal(value_of("aws:PrincipalType"), cases[i].type);
        assert_string_equal(value_of("aws:PrincipalIsAWSService"), cases[i].service);
    }
    assert_string_equal(value_of("aws:PrincipalServiceName"), EC2);
    assert_string_equal(value_of("aws:RequestedRegion"), "us-east-1");
    assert_string_equal(value_of("aws:ResourceAccount"), OTHER);
}

static void times(void **state)
{
    (void)state;
    static const struct {
        int64_t s;
        const char *text;
    } cases[] = {
        { 0, "1970-01-01T00:00:00Z" },          { 86399, "1970-01-01T23:59:59Z" },
        { 951827400, "2000-02-29T12:30:00Z" },  { 951868800, "2000-03-01T00:00:00Z" },
        { 1767323045, "2026-01-02T03:04:05Z" }, { 4107542399, "2100-02-28T23:59:59Z" },
        { 4107542400, "2100-03-01T00:00:00Z" }, { 253402300799, "9999-12-31T23:59:59Z" },
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ask(ALICE, cases[i].s);
        assert_string_equal(value_of("aws:CurrentTime"), cases[i].text);
    }
    ask(ALICE, 1767323045);
    assert_string_equal(value_of("aws:EpochTime"), "1767323045");
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(callers), cmocka_unit_test(times) };

    return cmocka_run_group_tests_name("policy_common", tests, NULL, NULL);
}
