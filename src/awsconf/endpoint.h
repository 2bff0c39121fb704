/* endpoint.h - which endpoint of a service is meant: what environment and profile say, in AWS's
 * order.
 *
 * Source: credentials reference section 5 (order, what is ignored, what does not go together) and
 * section 6 (flags). Pure: the caller reads environment and files.
 */
#ifndef AWSCONF_ENDPOINT_H
#define AWSCONF_ENDPOINT_H

#include "awsconf/awsconf.h"

/* Empty: not set. */
struct awsconf_endpoint_in {
    struct span env_service, env_any; /* AWS_ENDPOINT_URL_KMS, AWS_ENDPOINT_URL */
    struct span service_url, any_url; /* of the [services] section, of the profile */
    struct span env_ignore, ignore;   /* AWS_IGNORE_CONFIGURED_ENDPOINT_URLS, and the profile's */
    struct span env_fips, fips;       /* AWS_USE_FIPS_ENDPOINT, use_fips_endpoint */
    struct span env_dualstack, dualstack;
};

struct awsconf_endpoint {
    struct span url; /* empty: the region's own, of the kind that the flags say */
    bool fips, dualstack;
};

/* ERR_MALFORMED: a flag is neither true nor false; ERR_UNSUPPORTED: a URL together with a flag,
 * which cannot be done for it. why->what names the setting; *out is untouched on failure. */
MUST_USE enum err awsconf_endpoint_choose(const struct awsconf_endpoint_in *in,
                                          struct awsconf_endpoint *out, struct why *why);

#endif
