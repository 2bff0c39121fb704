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

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

static void other_hosts(void **state)
{
    static const struct {
        const char *service, *region;
        bool fips, dualstack;
        const char *host;
    } made[] = {
        { "kms", "us-east-1", true, false, "kms-fips.us-east-1.amazonaws.com" },
        { "kms", "us-east-1", false, true, "kms.us-east-1.api.aws" },
        { "kms", "us-east-1", true, true, "kms-fips.us-east-1.api.aws" },
        { "sts", "us-gov-west-1", true, true, "sts-fips.us-gov-west-1.api.aws" },
        { "sts", "eu-central-1", false, false, "sts.eu-central-1.amazonaws.com" },
        { "kms", "cn-north-1", false, true, "kms.cn-north-1.api.amazonwebservices.com.cn" },
        { "kms", "eusc-de-east-1", false, true, "kms.eusc-de-east-1.api.amazonwebservices.eu" },
        { "kms", "us-iso-east-1", false, true, "kms.us-iso-east-1.api.aws.ic.gov" },
        { "kms", "us-isob-east-1", false, true, "kms.us-isob-east-1.api.aws.scloud" },
        { "kms", "eu-isoe-west-1", false, true, "kms.eu-isoe-west-1.api.cloud-aws.adc-e.uk" },
        { "kms", "us-isof-south-1", false, true, "kms.us-isof-south-1.api.aws.hci.ic.gov" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(made); i++) {
        AUTO(buf_clear) struct buf out = BUF_INIT(256);
        assert_int_equal(aws_host_of_region(made[i].service, span_str(made[i].region), made[i].fips,
                                            made[i].dualstack, &out),
                         ERR_OK);
        t_assert_buf(&out, made[i].host);
    }
}

static const struct endpoint_row {
    const char *name, *url, *dns, *host; /* dns NULL: refused */
} endpoints[] = {
    { "endpoint: name", "https://kms.example", "kms.example", "kms.example" },
    { "endpoint: slash", "https://kms.example/", "kms.example", "kms.example" },
    { "endpoint: port", "https://localhost:8443", "localhost", "localhost:8443" },
    { "endpoint: port and slash", "https://localhost:8443/", "localhost", "localhost:8443" },
    { "endpoint: the usual port", "https://kms.example:443", "kms.example", "kms.example" },
    { "endpoint: largest port", "https://x:65535", "x", "x:65535" },
    { "endpoint: port too large", "https://x:65536", NULL, NULL },
    { "endpoint: no port after the colon", "https://x:", NULL, NULL },
    { "endpoint: port not a number", "https://x:1a", NULL, NULL },
    { "endpoint: no name", "https://", NULL, NULL },
    { "endpoint: only a port", "https://:443", NULL, NULL },
    { "endpoint: path", "https://x/kms", NULL, NULL },
    { "endpoint: two slashes", "https://x//", NULL, NULL },
    { "endpoint: user", "https://u@x", NULL, NULL },
    { "endpoint: not TLS", "http://x", NULL, NULL },
    { "endpoint: bare name", "x", NULL, NULL },
};

static void endpoint_row(void **state)
{
    const struct endpoint_row *row = *state;
    AUTO(buf_clear) struct buf dns = BUF_INIT(64), host = BUF_INIT(64);

    assert_int_equal(buf_append_str(&dns, "a"), ERR_OK);
    assert_int_equal(buf_append_str(&host, "b"), ERR_OK);
    assert_int_equal(kms_endpoint_parse(span_str(row->url), &dns, &host),
                     row->dns ? ERR_OK : ERR_MALFORMED);
    t_assert_span(span_from(buf_view(&dns), 1), span_str(row->dns));
    t_assert_span(span_from(buf_view(&host), 1), span_str(row->host));
}

static void endpoint_without_room(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf dns = BUF_INIT(8), host = BUF_INIT(4);

    assert_int_equal(kms_endpoint_parse(SPAN_LIT("https://a.b:80"), &dns, &host), ERR_LIMIT);
    assert_int_equal(dns.len, 0);
    assert_int_equal(host.len, 0);
}

static struct CMUnitTest row_test(const char *name, CMUnitTestFunction run, const void *row)
{
    union {
        const void *view;
        void *state;
    } u = { .view = row };

    return (struct CMUnitTest){ name, run, NULL, NULL, u.state };
}

int main(void)
{
    struct CMUnitTest tests[COUNT(arns) + COUNT(hosts) + COUNT(endpoints) + 5] = {
        cmocka_unit_test(endpoint_without_room),
        cmocka_unit_test(id_length),
        cmocka_unit_test(id_of),
        cmocka_unit_test(matches),
        cmocka_unit_test(other_hosts),
    };
    size_t n = 5;

    for (size_t i = 0; i < COUNT(arns); i++)
        tests[n++] = row_test(arns[i].name, arn_row, &arns[i]);
    for (size_t i = 0; i < COUNT(hosts); i++)
        tests[n++] = row_test(hosts[i].name, host_row, &hosts[i]);
    for (size_t i = 0; i < COUNT(endpoints); i++)
        tests[n++] = row_test(endpoints[i].name, endpoint_row, &endpoints[i]);
    return _cmocka_run_group_tests("kms_key", tests, n, NULL, NULL);
}
