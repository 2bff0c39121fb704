/* auth.h - who signed this request? The eight steps of the sigv4 reference, section 3, each with
 * its own error, for a signature in the Authorization header or in the query; both at once are
 * refused, and so is a Date header in place of x-amz-date. */
#ifndef LOCALKMS_AUTH_H
#define LOCALKMS_AUTH_H

#include "crypto/crypto.h"
#include "http1/http1.h"
#include "localkms/fault.h"
#include "localkms/principals.h"

struct auth_request {
    const struct http1_head *head;
    struct span body;
    struct span region; /* ours */
    int64_t now_s;      /* unix */
    /* Development mode: who signs with an access key that is not known; nothing but the form of a
     * signature is checked then, of known keys neither. NULL: everything is checked. */
    const struct principal *anybody;
};

/* ERR_OK: *out signed it. ERR_DENIED: *f says why not. */
MUST_USE enum err auth_check(const struct auth_request *rq, const struct principals *known,
                             const struct principal **out, struct fault *f);

#endif
