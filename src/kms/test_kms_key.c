#include "kms/kms.h"
#include "testing/t.h"

#define ID  "1234abcd-12ab-34cd-56ef-1234567890ab"
#define ARN "arn:aws:kms:us-east-1:123456789012:key/" ID

static const struct arn_row {
    const char *name, *text;
    bool is_arn;
} arns[] = {
    { "ARN", ARN, true },
    { "ARN: China", "arn:aws-cn:kms:cn-north-1:123456789012:key/" ID, true },
    { "ARN: GovCloud", "arn:aws-us-gov:kms:us-gov-west-1:123456789012:key/" ID, true },
    { "ARN: multi-Region key",
      "arn:aws:kms:us-east-1:123456789012:key/mrk-1234abcd12ab34cd56ef1234567890ab", true },
    { "ARN: alias", "arn:aws:kms:us-east-1:123456789012:alias/demo", false },
    { "ARN: bare id", ID, false },
    { "ARN: empty", "", false },
    { "ARN: empty id", "arn:aws:kms:us-east-1:123456789012:key/", false },
    { "ARN: other service", "arn:aws:s3:us-east-1:123456789012:key/" ID, false },
    { "ARN: other vendor", "arn:gcp:kms:us-east-1:123456789012:key/" ID, false },
    { "ARN: partition that only starts so", "arn:aws:aws:kms:us-east-1:123456789012:key/" ID,
      false },
    { "ARN: no region", "arn:aws:kms::123456789012:key/" ID, false },
    { "ARN: region of one word", "arn:aws:kms:useast1:123456789012:key/" ID, false },
    { "ARN: region with a wildcard", "arn:aws:kms:us-*-1:123456789012:key/" ID, false },
    { "ARN: region with two hyphens", "arn:aws:kms:us--east-1:123456789012:key/" ID, false },
    { "ARN: account of 11 digits", "arn:aws:kms:us-east-1:12345678901:key/" ID, false },
    { "ARN: account of 13 digits", "arn:aws:kms:us-east-1:1234567890123:key/" ID, false },
    { "ARN: account with a letter", "arn:aws:kms:us-east-1:12345678901a:key/" ID, false },
    { "ARN: wildcard id", "arn:aws:kms:us-east-1:123456789012:key/*", false },
    { "ARN: something after the id", ARN "/x", false },
    { "ARN: colon after the id", ARN ":x", false },
    { "ARN: upper case", "ARN:aws:kms:us-east-1:123456789012:key/" ID, false },
};

static void arn_row(void **state)
{
    const struct arn_row *row = *state;
    struct span s = t_copy(span_str(row->text));

    assert_int_equal(kms_is_key_arn(s), row->is_arn);
    if (!row->is_arn)
        t_assert_span(kms_key_id_of(s), s);
    t_free(s);
}

static void id_length(void **state)
{
    (void)state;
    char arn[256] = "arn:aws:kms:us-east-1:123456789012:key/";
    size_t n = strlen(arn);

    memset(arn + n, 'a', 129);
    assert_true(kms_is_key_arn(span_of(arn, n + 128)));
    assert_false(kms_is_key_arn(span_of(arn, n + 129)));
}

static void id_of(void **state)
{
    (void)state;
    t_assert_span(kms_key_id_of(SPAN_LIT(ARN)), SPAN_LIT(ID));
    t_assert_span(kms_key_id_of(SPAN_LIT(ID)), SPAN_LIT(ID));
}

static void matches(void **state)
{
    (void)state;
    struct span answered = SPAN_LIT(ARN);

    assert_true(kms_key_matches(SPAN_LIT(ARN), answered));
    assert_true(kms_key_matches(SPAN_LIT(ID), answered));
    assert_false(kms_key_matches(SPAN_LIT("arn:aws:kms:us-east-1:123456789013:key/" ID), answered));
    assert_false(kms_key_matches(SPAN_LIT("arn:aws:kms:us-west-1:123456789012:key/" ID), answered));
    assert_false(kms_key_matches(SPAN_LIT("1234abcd-12ab-34cd-56ef-1234567890ac"), answered));
    assert_false(kms_key_matches(SPAN_LIT("alias/demo"), answered));
    assert_false(kms_key_matches(SPAN_EMPTY, answered));
    assert_false(kms_key_matches(SPAN_LIT(ID), SPAN_LIT(ID)));
    assert_false(kms_key_matches(SPAN_EMPTY, SPAN_EMPTY));
}

static const struct host_row {
    const char *name, *region, *host; /* host NULL: refused */
} hosts[] = {
    { "host: aws", "eu-central-1", "kms.eu-central-1.amazonaws.com" },
    { "host: aws-us-gov", "us-gov-west-1", "kms.us-gov-west-1.amazonaws.com" },
    { "host: aws-cn", "cn-northwest-1", "kms.cn-northwest-1.amazonaws.com.cn" },
    { "host: aws-eusc", "eusc-de-east-1", "kms.eusc-de-east-1.amazonaws.eu" },
    { "host: aws-iso", "us-iso-east-1", "kms.us-iso-east-1.c2s.ic.gov" },
    { "host: aws-iso-b", "us-isob-east-1", "kms.us-isob-east-1.sc2s.sgov.gov" },
    { "host: aws-iso-e", "eu-isoe-west-1", "kms.eu-isoe-west-1.cloud.adc-e.uk" },
    { "host: aws-iso-f", "us-isof-south-1", "kms.us-isof-south-1.csp.hci.ic.gov" },
    { "host: empty region", "", NULL },
    { "host: dot", "eu-central-1.evil-1", NULL },
    { "host: slash", "eu/central-1", NULL },
    { "host: upper case", "EU-CENTRAL-1", NULL },
    { "host: starts with a hyphen", "-eu-central-1", NULL },
    { "host: ends with a letter", "eu-central", NULL },
    { "host: 32 characters", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-1",
      "kms.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-1.amazonaws.com" },
    { "host: 33 characters", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-11", NULL },
};

static void host_row(void **state)
{
    const struct host_row *row = *state;
    AUTO(buf_clear) struct buf out = BUF_INIT(256);

    assert_int_equal(kms_host_of_region(span_str(row->region), &out),
                     row->host ? ERR_OK : ERR_MALFORMED);
    t_assert_buf(&out, row->host ? row->host : "");
}

static struct CMUnitTest row_test(const char *name, CMUnitTestFunction run, const void *row)
{
    union {
        const void *view;
        void *state;
    } u = { .view = row };

    return (struct CMUnitTest){ name, run, NULL, NULL, u.state };
}

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

int main(void)
{
    struct CMUnitTest tests[COUNT(arns) + COUNT(hosts) + 3] = {
        cmocka_unit_test(id_length),
        cmocka_unit_test(id_of),
        cmocka_unit_test(matches),
    };
    size_t n = 3;

    for (size_t i = 0; i < COUNT(arns); i++)
        tests[n++] = row_test(arns[i].name, arn_row, &arns[i]);
    for (size_t i = 0; i < COUNT(hosts); i++)
        tests[n++] = row_test(hosts[i].name, host_row, &hosts[i]);
    return _cmocka_run_group_tests("kms_key", tests, n, NULL, NULL);
}
