/* presign.h - AWS Signature Version 4 in the query ("presigned"): sign, read, and verify for the
 * local KMS.
 *
 * Source: AWS signing test suite (the query-* files), sigv4 reference. What the Authorization
 * header holds in the other form stands in parameters here: X-Amz-Algorithm, X-Amz-Credential,
 * X-Amz-Date, X-Amz-Expires, X-Amz-SignedHeaders, X-Amz-Signature and, with temporary credentials,
 * X-Amz-Security-Token. All but the signature are in the canonical query. The body is signed by its
 * SHA-256 as everywhere but in S3.
 */
#ifndef SIGV4_PRESIGN_H
#define SIGV4_PRESIGN_H

#include "sigv4/sigv4.h"

enum {
    SIGV4_EXPIRES_MAX_S = 7 * 24 * 3600, /* AWS's own limit */
    SIGV4_QUERY_MAX_BYTES = 16384,
    SIGV4_PRESIGN_PARAMETERS = 7,
};

/* What a query claims. Zero is fine to clear. */
struct sigv4_presigned {
    struct sigv4_claim claim;             /* spans into `text` */
    struct span amz_date, security_token; /* the token absent: none was given */
    uint64_t expires_s;                   /* 1 to SIGV4_EXPIRES_MAX_S */
    struct buf text;                      /* the values, decoded */
};
void sigv4_presigned_clear(struct sigv4_presigned *p);

/* Does the query have one of the parameters that make a request a presigned one? */
bool sigv4_is_presigned(struct span query);

/* ERR_MALFORMED: why->what names the parameter that is missing, comes twice, or has a form that is
 * not allowed ("X-Amz-Date", ...). ERR_LIMIT, ERR_NOMEM. *out untouched on failure. */
MUST_USE enum err sigv4_presigned_parse(struct span query, struct sigv4_presigned *out,
                                        struct why *why);

/* As sigv4_verify(), for rq->query as it came. ERR_VERIFY: "signature", "signed headers" (host or
 * an x-amz-* header is not signed), "body hash". Scope, times and key are the caller's. */
MUST_USE enum err sigv4_presigned_verify(const struct sigv4_request *rq,
                                         const struct sigv4_presigned *p,
                                         struct span secret_access_key, struct why *why);

/* Append the whole signed query: rq->query (may be empty), then the parameters. A session token
 * goes in unless it is empty. ERR_LIMIT, ERR_MALFORMED (date, or expires_s out of range); nothing
 * is appended on failure. */
MUST_USE enum err sigv4_presign(const struct sigv4_request *rq, struct sigv4_scope scope,
                                struct span amz_date, uint64_t expires_s,
                                const struct sigv4_credentials *cred, struct buf *query);

#endif
