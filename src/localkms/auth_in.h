/* auth_in.h - inside localkms: what a request claims about its signer, in either form. */
#ifndef LOCALKMS_AUTH_IN_H
#define LOCALKMS_AUTH_IN_H

#include "localkms/auth.h"
#include "sigv4/presign.h"

struct claimed {
    struct sigv4_claim claim;
    struct span amz_date, authorization, token;
    int64_t signed_s;
    bool in_query;
    struct sigv4_presigned presigned; /* owns what the spans point into where in_query */
};

/* Steps 1 and 2 of a request that is signed in its query. */
MUST_USE enum err auth_query_parse(struct span query, struct claimed *out, struct fault *f);
/* Step 4 of the same: not before its date (less the skew), not after its expiry. */
MUST_USE enum err auth_query_check_clock(const struct claimed *c, int64_t now_s, struct fault *f);

#endif
