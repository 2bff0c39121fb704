/* awsconf.h - AWS's shared files (~/.aws/credentials and ~/.aws/config): text in, one profile out.
 *
 * Source: credentials reference section 1; botocore configloader.py, aws-c-auth
 * aws_profile_tests.c. Sections `[name]` in the credentials file, `[default]` and `[profile name]`
 * in the config file (names may be quoted); a section that comes twice counts as one, the later
 * value wins. Comments: lines that start with # or ;, and what follows a blank and # or ;. A line
 * that is indented deeper than the setting before it is a nested value and skipped. Names of
 * settings in any case. Pure: no file, no environment; values are views into the text and may be
 * secrets.
 */
#ifndef AWSCONF_AWSCONF_H
#define AWSCONF_AWSCONF_H

#include "base/span.h"

enum awsconf_kind { AWSCONF_CREDENTIALS, AWSCONF_CONFIG };

struct awsconf_profile {
    bool found; /* there is a section of that name */
    struct span access_key_id, secret_access_key, session_token; /* empty: not given */
    struct span region;
    struct span process; /* credential_process: a command line */
    struct span role_arn, source_profile, credential_source, external_id, role_session_name,
        duration_seconds, web_identity_token_file;
    struct span services, endpoint_url, ignore_endpoint_urls, use_fips, use_dualstack;
    struct span elsewhere; /* name of a setting that says that the credentials come from another
                              place that we do not ask: sso_session, mfa_serial, ... */
};

/* Read the whole text, refuse what is not of this form even in other sections. ERR_MALFORMED:
 * why->at is the offset of the faulty line. *out is untouched on failure. */
MUST_USE enum err awsconf_profile_read(struct span text, enum awsconf_kind kind,
                                       struct span profile, struct awsconf_profile *out,
                                       struct why *why);

/* endpoint_url of `service` ("kms") in `[services NAME]` of the config file, where it stands as a
 * nested value; empty: there is none. ERR_MALFORMED as above; *out is untouched then. */
MUST_USE enum err awsconf_service_url(struct span text, struct span name, const char *service,
                                      struct span *out, struct why *why);

/* The number of the line (from 1) in which offset `at` lies: for messages. */
size_t awsconf_line_of(struct span text, size_t at);

#endif
