#include "kms/kms.h"

enum {
    ACCOUNT_DIGITS = 12,
    KEY_ID_MAX_BYTES = 128, /* a UUID has 36, a multi-Region id 36 with its "mrk-" */
    REGION_MAX_BYTES = 32,
    HTTPS_PORT = 443,
};

#define HTTPS "https://"

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static bool is_lower(uint8_t c)
{
    return c >= 'a' && c <= 'z';
}

/* Words of lower-case letters and digits joined by single hyphens, a letter first. */
static bool is_hyphenated(struct span s)
{
    if (s.len == 0 || s.len > REGION_MAX_BYTES || !is_lower(s.ptr[0]) || s.ptr[s.len - 1] == '-')
        return false;
    for (size_t i = 0; i < s.len; i++) {
        bool hyphen = s.ptr[i] == '-';
        if (!is_lower(s.ptr[i]) && !is_digit(s.ptr[i]) && !hyphen)
            return false;
        if (hyphen && s.ptr[i - 1] == '-')
            return false;
    }
    return true;
}

/* "eu-central-1": at least one hyphen, a digit last. */
static bool is_region(struct span s)
{
    return is_hyphenated(s) && is_digit(s.ptr[s.len - 1]) && span_find(s, '-') < s.len;
}

static bool is_account(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!is_digit(s.ptr[i]))
            return false;
    return s.len == ACCOUNT_DIGITS;
}

static bool is_key_id(struct span s)
{
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = s.ptr[i];
        if (!is_lower((uint8_t)(c | 0x20)) && !is_digit(c) && c != '-')
            return false;
    }
    return s.len > 0 && s.len <= KEY_ID_MAX_BYTES;
}

bool kms_is_key_arn(struct span s)
{
    struct span arn = span_cut(&s, ':'), partition = span_cut(&s, ':'), service = span_cut(&s, ':');
    struct span region = span_cut(&s, ':'), account = span_cut(&s, ':');

    return span_is(arn, "arn") && span_starts(partition, "aws") && is_hyphenated(partition) &&
           span_is(service, "kms") && is_region(region) && is_account(account) &&
           span_starts(s, "key/") && is_key_id(span_from(s, 4));
}

struct span kms_key_id_of(struct span arn_or_id)
{
    if (!kms_is_key_arn(arn_or_id))
        return arn_or_id;
    span_cut(&arn_or_id, '/');
    return arn_or_id;
}

bool kms_key_matches(struct span asked, struct span answered_arn)
{
    if (!kms_is_key_arn(answered_arn))
        return false;
    if (kms_is_key_arn(asked))
        return span_eq(asked, answered_arn);
    return is_key_id(asked) && span_eq(asked, kms_key_id_of(answered_arn));
}

enum err aws_host_of_region(const char *service, struct span region, bool fips, bool dualstack,
                            struct buf *out)
{
    static const struct {
        const char *prefix, *suffix, *dualstack;
    } partitions[] = {
        { "cn-", "amazonaws.com.cn", "api.amazonwebservices.com.cn" },
        { "eusc-", "amazonaws.eu", "api.amazonwebservices.eu" },
        { "us-iso-", "c2s.ic.gov", "api.aws.ic.gov" },
        { "us-isob-", "sc2s.sgov.gov", "api.aws.scloud" },
        { "eu-isoe-", "cloud.adc-e.uk", "api.cloud-aws.adc-e.uk" },
        { "us-isof-", "csp.hci.ic.gov", "api.aws.hci.ic.gov" },
        { "", "amazonaws.com", "api.aws" }, /* aws and aws-us-gov */
    };
    size_t i = 0;

    if (!is_region(region))
        return ERR_MALFORMED;
    while (!span_starts(region, partitions[i].prefix))
        i++;
    return buf_printf(out, "%s%s.%.*s.%s", service, fips ? "-fips" : "", (int)region.len,
                      (const char *)region.ptr,
                      dualstack ? partitions[i].dualstack : partitions[i].suffix);
}

enum err kms_host_of_region(struct span region, struct buf *out)
{
    return aws_host_of_region("kms", region, false, false, out);
}

enum err kms_endpoint_parse(struct span url, struct buf *name, struct buf *host)
{
    size_t name_before = name->len, host_before = host->len;
    uint64_t port = HTTPS_PORT;

    if (!span_starts(url, HTTPS))
        return ERR_MALFORMED;
    struct span rest = span_from(url, sizeof HTTPS - 1);
    if (rest.len > 0 && rest.ptr[rest.len - 1] == '/')
        rest.len--;
    if (span_find(rest, '/') != rest.len || span_find(rest, '@') != rest.len)
        return ERR_MALFORMED;
    struct span dns = span_cut(&rest, ':');
    if (dns.len == 0 || (rest.ptr && span_to_u64(rest, UINT16_MAX, &port) != ERR_OK))
        return ERR_MALFORMED;
    enum err r = buf_append(name, dns);
    if (r == ERR_OK)
        r = buf_append(host, dns);
    if (r == ERR_OK && port != HTTPS_PORT)
        r = buf_printf(host, ":%u", (unsigned)port);
    if (r != ERR_OK) {
        buf_truncate(name, name_before);
        buf_truncate(host, host_before);
    }
    return r;
}
