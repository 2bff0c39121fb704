#include "localkms/auth.h"

#include <stdio.h>

#include "base/base64.h"
#include "localkms/auth_in.h"

#define NOT_MATCHING                                                                               \
    "The request signature we calculated does not match the signature you provided. Check your "   \
    "AWS Secret Access Key and signing method. Consult the service documentation for details."

enum { DATE_BYTES = 8, SKEW_MIN = SIGV4_SKEW_S / 60 };

#define BOTH_FORMS                                                                                 \
    "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query "  \
    "string parameter or the Authorization header should be specified"

/* The header itself is not repeated to whoever asks: a hash of it is. */
static enum err incomplete(struct span authorization, const char *text, struct fault *f)
{
    AUTO(buf_clear) struct buf hash = BUF_INIT(BASE64_TEXT_BYTES(SHA256_BYTES));
    uint8_t digest[SHA256_BYTES];

    sha256(authorization, digest);
    if (base64_append(&hash, SPAN_ARRAY(digest)) != ERR_OK)
        return fault_bare(f, FAULT_INTERNAL);
    return fault_set(f, FAULT_INCOMPLETE_SIGNATURE,
                     "%s (Hashed with SHA-256 and encoded with Base64) Authorization=%.*s", text,
                     (int)hash.len, (const char *)hash.ptr);
}

/* Steps 1 and 2 of a request that is signed in its header. */
static enum err parse_header(const struct auth_request *rq, struct claimed *out, struct fault *f)
{
    char text[128];
    struct why why = { 0 };

    out->authorization = http1_header_get(rq->head, "authorization");
    out->amz_date = http1_header_get(rq->head, "x-amz-date");
    out->token = http1_header_get(rq->head, "x-amz-security-token");
    if (!out->authorization.ptr)
        return fault_set(f, FAULT_MISSING_TOKEN, "Missing Authentication Token");
    if (sigv4_claim_parse(out->authorization, &out->claim, &why) != ERR_OK) {
        if (strcmp(why.what, "algorithm") == 0)
            snprintf(text, sizeof text,
                     "Authorization header requires algorithm AWS4-HMAC-SHA256.");
        else
            snprintf(text, sizeof text, "Authorization header requires '%s' parameter.", why.what);
        return incomplete(out->authorization, text, f);
    }
    if (sigv4_time_parse(out->amz_date, &out->signed_s) != ERR_OK)
        return incomplete(
            out->authorization,
            out->amz_date.ptr
                ? "Date must be in ISO-8601 'basic format'."
                : "Authorization header requires existence of an 'X-Amz-Date' header.",
            f);
    return ERR_OK;
}

static enum err parse(const struct auth_request *rq, struct claimed *out, struct fault *f)
{
    struct span query = rq->head->target;

    (void)span_cut(&query, '?');
    if (!sigv4_is_presigned(query))
        return parse_header(rq, out, f);
    if (http1_header_get(rq->head, "authorization").ptr)
        return fault_set(f, FAULT_INVALID_SIGNATURE, BOTH_FORMS);
    return auth_query_parse(query, out, f);
}

/* Step 3. */
static enum err check_scope(const struct claimed *c, struct span region, struct fault *f)
{
    if (!span_eq(c->claim.date, span_sub(c->amz_date, 0, DATE_BYTES)))
        return fault_set(f, FAULT_INVALID_SIGNATURE,
                         "Date in Credential scope does not match YYYYMMDD from ISO-8601 version "
                         "of date from HTTP");
    if (!span_eq(c->claim.region, region))
        return fault_set(f, FAULT_INVALID_SIGNATURE,
                         "Credential should be scoped to a valid region.");
    if (!span_is(c->claim.service, "kms"))
        return fault_set(f, FAULT_INVALID_SIGNATURE,
                         "Credential should be scoped to correct service: 'kms'.");
    return ERR_OK;
}

/* Step 4. */
static enum err check_clock(const struct claimed *c, int64_t now_s, struct fault *f)
{
    char now[SIGV4_TIME_BYTES + 1], limit[SIGV4_TIME_BYTES + 1], at[SIGV4_TIME_BYTES + 1];

    sigv4_time_write(now_s, now);
    sigv4_time_write(c->signed_s, at);
    if (c->signed_s < now_s - SIGV4_SKEW_S) {
        sigv4_time_write(now_s - SIGV4_SKEW_S, limit);
        return fault_set(f, FAULT_INVALID_SIGNATURE,
                         "Signature expired: %s is now earlier than %s (%s - %d min.)", at, limit,
                         now, SKEW_MIN);
    }
    if (c->signed_s > now_s + SIGV4_SKEW_S) {
        sigv4_time_write(now_s + SIGV4_SKEW_S, limit);
        return fault_set(f, FAULT_INVALID_SIGNATURE,
                         "Signature not yet current: %s is still later than %s (%s + %d min.)", at,
                         limit, now, SKEW_MIN);
    }
    return ERR_OK;
}

/* Steps 5 and 6. */
static enum err find_principal(const struct auth_request *rq, const struct claimed *c,
                               const struct principals *known, const struct principal **out,
                               struct fault *f)
{
    const struct principal *who = principals_find(known, c->claim.access_key_id);

    if (!who || !ct_eq(c->token, secret_view(&who->session_token)))
        return fault_set(f, FAULT_UNRECOGNIZED_CLIENT,
                         "The security token included in the request is invalid.");
    if (who->expires_s && who->expires_s <= rq->now_s)
        return fault_set(f, FAULT_EXPIRED_TOKEN,
                         "The security token included in the request is expired");
    *out = who;
    return ERR_OK;
}

/* Steps 7 and 8. */
static enum err check_signature(const struct auth_request *rq, const struct claimed *c,
                                const struct principal *who, struct fault *f)
{
    struct sigv4_header headers[HTTP1_HEADERS_MAX];
    struct span query = rq->head->target;
    struct span path = span_cut(&query, '?');
    const struct sigv4_request signed_rq = {
        .method = rq->head->method,
        .path = path,
        .query = query,
        .headers = headers,
        .n_headers = rq->head->n_headers,
        .body = rq->body,
    };

    for (size_t i = 0; i < rq->head->n_headers; i++)
        headers[i] = (struct sigv4_header){ rq->head->headers[i].name, rq->head->headers[i].value };
    struct span secret = secret_view(&who->secret_access_key);
    enum err r = c->in_query ? sigv4_presigned_verify(&signed_rq, &c->presigned, secret, NULL)
                             : sigv4_verify(&signed_rq, &c->claim, secret, NULL);
    if (r == ERR_OK)
        return ERR_OK;
    return r == ERR_VERIFY || r == ERR_LIMIT ? fault_set(f, FAULT_INVALID_SIGNATURE, NOT_MATCHING)
                                             : fault_bare(f, FAULT_INTERNAL);
}

static enum err check(const struct auth_request *rq, const struct principals *known,
                      struct claimed *c, const struct principal **who, struct fault *f)
{
    enum err r = parse(rq, c, f);

    if (r == ERR_OK && rq->anybody) {
        *who = principals_find(known, c->claim.access_key_id);
        *who = *who ? *who : rq->anybody;
        return ERR_OK;
    }
    if (r == ERR_OK)
        r = check_scope(c, rq->region, f);
    if (r == ERR_OK)
        r = c->in_query ? auth_query_check_clock(c, rq->now_s, f) : check_clock(c, rq->now_s, f);
    if (r == ERR_OK)
        r = find_principal(rq, c, known, who, f);
    return r == ERR_OK ? check_signature(rq, c, *who, f) : r;
}

enum err auth_check(const struct auth_request *rq, const struct principals *known,
                    const struct principal **out, struct fault *f)
{
    struct claimed c = { .signed_s = 0 };
    const struct principal *who = NULL;

    enum err r = check(rq, known, &c, &who, f);
    sigv4_presigned_clear(&c.presigned);
    if (r == ERR_OK)
        *out = who;
    return r;
}
