/* signing.h - what both forms of a signature share. Private to this folder. */
#ifndef SIGV4_SIGNING_H
#define SIGV4_SIGNING_H

#include "sigv4/canonical.h"

#define SIGNING_ALGORITHM  "AWS4-HMAC-SHA256"
#define SIGNING_TERMINATOR "aws4_request"

enum {
    SIGNING_DATE_BYTES = 8, /* YYYYMMDD */
    SIGNING_HEX_BYTES = 2 * HMAC_SHA256_BYTES,
    SIGNING_CANONICAL_MAX_BYTES = 1 << 18, /* headers of a request, and a little more */
    SIGNING_TEXT_MAX_BYTES = 1024,         /* of a string to sign */
};

/* Where and when a signing key is valid. */
struct key_scope {
    struct span date, region, service;
};

/* All or nothing. */
MUST_USE enum err signing_append(struct buf *out, const struct span *parts, size_t n);
MUST_USE enum err signing_text(struct span amz_date, struct key_scope scope, struct span canonical,
                               struct buf *out);
/* kDate, kRegion, kService, kSigning, each over the one before; none of them stays behind. */
MUST_USE enum err signing_mac(struct span secret, struct key_scope scope, struct span text,
                              uint8_t out[static HMAC_SHA256_BYTES]);
/* The signature in hexadecimal over the request with these headers; for both directions. */
MUST_USE enum err signing_hex(const struct sigv4_request *rq, const struct selection *sel,
                              struct span amz_date, struct key_scope scope, struct span secret,
                              char out[static SIGNING_HEX_BYTES + 1]);
/* "AKID/20260102/eu-west-1/kms/aws4_request" */
bool signing_credential(struct span s, struct sigv4_claim *out);
/* Pick the headers that the claim names; they must be what it says: lower case, sorted, each once,
 * host (and x-amz-date where `dated`) among them, and every x-amz-* header that came. */
MUST_USE enum err signing_select(const struct sigv4_request *rq, struct span names, bool dated,
                                 struct selection *sel);
/* x-amz-content-sha256, where it came, is the body's. */
MUST_USE enum err signing_check_body(const struct sigv4_request *rq);

#endif
