/* sigv4.h - AWS Signature Version 4 with the Authorization header: sign, and verify for the local
 * KMS.
 *
 * Source: sigv4 reference; AWS signing test suite. The form in the query: presign.h. Not here:
 * streaming payloads, SigV4A.
 */
#ifndef SIGV4_SIGV4_H
#define SIGV4_SIGV4_H

#include "base/buf.h"
#include "base/secret.h"
#include "crypto/hash.h"

enum {
    SIGV4_HEADERS_MAX = 64, /* that are signed */
    SIGV4_SKEW_S = 300,
    SIGV4_TIME_BYTES = 16, /* YYYYMMDDTHHMMSSZ */
    SIGV4_SECRET_MAX_BYTES = 256,
};

struct sigv4_header {
    struct span name, value;
};

struct sigv4_request {
    struct span method, path, query; /* as sent; path empty counts as "/" */
    const struct sigv4_header
        *headers; /* all that are to be signed; must include host and x-amz-date */
    size_t n_headers;
    struct span body;
    const uint8_t *body_sha256; /* of SHA256_BYTES, where it is known; then `body` is not read */
    bool keep_path;             /* do not normalise dot segments (S3 style); false for KMS */
};

struct sigv4_scope {
    struct span region, service;
};

struct sigv4_credentials {
    struct span access_key_id;
    struct span secret_access_key; /* secret_view() of the caller's */
    struct span
        session_token; /* empty: none. The caller puts x-amz-security-token among the headers */
};

/* "20260102T030405Z" from unix seconds, and back. */
void sigv4_time_write(int64_t unix_s, char out[static SIGV4_TIME_BYTES + 1]);
MUST_USE enum err sigv4_time_parse(struct span text, int64_t *unix_s);

/* The pieces, also for tests. ERR_LIMIT: too many headers. */
MUST_USE enum err sigv4_canonical_request(const struct sigv4_request *rq, struct buf *out);
MUST_USE enum err sigv4_string_to_sign(struct span amz_date, struct sigv4_scope scope,
                                       struct span canonical, struct buf *out);

/* Append the value of the Authorization header. `amz_date` is the value of x-amz-date. */
MUST_USE enum err sigv4_sign(const struct sigv4_request *rq, struct sigv4_scope scope,
                             struct span amz_date, const struct sigv4_credentials *cred,
                             struct buf *authorization);

/* What an Authorization header claims; spans into it. */
struct sigv4_claim {
    struct span access_key_id, date, region, service, signed_headers, signature;
};
/* ERR_MALFORMED: why->what names what is missing. */
MUST_USE enum err sigv4_claim_parse(struct span authorization, struct sigv4_claim *out,
                                    struct why *why);
/* `rq->headers` are all headers received; those in claim->signed_headers count. ERR_VERIFY with
 * why->what: "signature", "signed headers" (host, x-amz-date or another x-amz-* is not signed),
 * "body hash" (x-amz-content-sha256 differs). Scope, clock and key are the caller's (see reference
 * section 3). */
MUST_USE enum err sigv4_verify(const struct sigv4_request *rq, const struct sigv4_claim *claim,
                               struct span secret_access_key, struct why *why);

#endif
