#include "localkms/auth_in.h"

enum { S_PER_MIN = 60 };

/* AWS's services name the parameter like this where one is missing. */
static enum err incomplete(const char *parameter, bool there, struct fault *f)
{
    return there ? fault_set(f, FAULT_INCOMPLETE_SIGNATURE,
                             "AWS query-string parameter '%s' is not of the form that is required. "
                             "Re-examine the query-string parameters.",
                             parameter)
                 : fault_set(f, FAULT_INCOMPLETE_SIGNATURE,
                             "AWS query-string parameters must include '%s'. Re-examine the "
                             "query-string parameters.",
                             parameter);
}

static bool query_has(struct span query, const char *parameter)
{
    while (query.len > 0) {
        struct span value = span_cut(&query, '&');
        if (span_is(span_cut(&value, '='), parameter) && value.len)
            return true;
    }
    return false;
}

enum err auth_query_parse(struct span query, struct claimed *out, struct fault *f)
{
    struct why why = { 0 };

    enum err r = sigv4_presigned_parse(query, &out->presigned, &why);
    if (r == ERR_NOMEM)
        return fault_bare(f, FAULT_INTERNAL);
    if (r == ERR_LIMIT)
        return fault_set(f, FAULT_INCOMPLETE_SIGNATURE, "The query string is too long.");
    if (r != ERR_OK)
        return incomplete(why.what, query_has(query, why.what), f);
    out->in_query = true;
    out->claim = out->presigned.claim;
    out->amz_date = out->presigned.amz_date;
    out->token = out->presigned.security_token;
    return sigv4_time_parse(out->amz_date, &out->signed_s) == ERR_OK
               ? ERR_OK
               : fault_bare(f, FAULT_INTERNAL); /* it was checked */
}

enum err auth_query_check_clock(const struct claimed *c, int64_t now_s, struct fault *f)
{
    char now[SIGV4_TIME_BYTES + 1], limit[SIGV4_TIME_BYTES + 1], at[SIGV4_TIME_BYTES + 1];
    int64_t expires_s = (int64_t)c->presigned.expires_s;
    bool minutes = expires_s % S_PER_MIN == 0;

    sigv4_time_write(now_s, now);
    sigv4_time_write(c->signed_s, at);
    if (c->signed_s > now_s + SIGV4_SKEW_S) {
        sigv4_time_write(now_s + SIGV4_SKEW_S, limit);
        return fault_set(f, FAULT_INVALID_SIGNATURE,
                         "Signature not yet current: %s is still later than %s (%s + %d min.)", at,
                         limit, now, SIGV4_SKEW_S / S_PER_MIN);
    }
    if (now_s > c->signed_s + expires_s) {
        sigv4_time_write(now_s - expires_s, limit);
        return fault_set(f, FAULT_INVALID_SIGNATURE,
                         "Signature expired: %s is now earlier than %s (%s - %lld %s.)", at, limit,
                         now, (long long)(minutes ? expires_s / S_PER_MIN : expires_s),
                         minutes ? "min" : "s");
    }
    return ERR_OK;
}
