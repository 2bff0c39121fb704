#include "awsconf/endpoint.h"

/* The environment goes before the profile. */
static enum err flag_read(struct span env, struct span profile, const char *name, bool *out,
                          struct why *why)
{
    struct span s = env.len ? env : profile;

    if (s.len == 0 || span_eq_nocase(s, SPAN_LIT("false"))) {
        *out = false;
        return ERR_OK;
    }
    if (!span_eq_nocase(s, SPAN_LIT("true")))
        return why_fail(why, ERR_MALFORMED, name, 0);
    *out = true;
    return ERR_OK;
}

static struct span url_of(const struct awsconf_endpoint_in *in)
{
    const struct span in_order[] = { in->env_service, in->env_any, in->service_url, in->any_url };

    for (size_t i = 0; i < sizeof in_order / sizeof in_order[0]; i++)
        if (in_order[i].len)
            return in_order[i];
    return SPAN_EMPTY;
}

enum err awsconf_endpoint_choose(const struct awsconf_endpoint_in *in, struct awsconf_endpoint *out,
                                 struct why *why)
{
    struct awsconf_endpoint e = { .url = SPAN_EMPTY };
    bool ignore = false;

    enum err r =
        flag_read(in->env_ignore, in->ignore,
                  "ignore_configured_endpoint_urls is neither true nor false", &ignore, why);
    if (r == ERR_OK)
        r = flag_read(in->env_fips, in->fips, "use_fips_endpoint is neither true nor false",
                      &e.fips, why);
    if (r == ERR_OK)
        r = flag_read(in->env_dualstack, in->dualstack,
                      "use_dualstack_endpoint is neither true nor false", &e.dualstack, why);
    if (r != ERR_OK)
        return r;
    if (!ignore)
        e.url = url_of(in);
    if (e.url.len && e.fips)
        return why_fail(why, ERR_UNSUPPORTED, "use_fips_endpoint together with an endpoint URL", 0);
    if (e.url.len && e.dualstack)
        return why_fail(why, ERR_UNSUPPORTED,
                        "use_dualstack_endpoint together with an endpoint URL", 0);
    *out = e;
    return ERR_OK;
}
