/* kms_call.h - one plain, unattested call to KMS over HTTPS: for what an administrator of the local
 * KMS does, create a key, put a policy; and to show what an unattested use is answered. Blocking.
 */
#ifndef BIN_NITROSEAL_KMS_CALL_H
#define BIN_NITROSEAL_KMS_CALL_H

#include "bin/nitroseal/http_call.h"
#include "sigv4/sigv4.h"

struct kms_server {
    struct addr at;
    struct span ca_pem;
    struct span host; /* of the Host header: "localhost:PORT" */
    struct span region;
};

/* The whole signed request, appended; `operation` as in "CreateKey", `body` is JSON. */
MUST_USE enum err kms_plain_request(struct span host, struct span region,
                                    const struct sigv4_credentials *cred, const char *operation,
                                    struct span body, struct buf *out);

/* To the local KMS. `operation` as in "CreateKey"; `body` is JSON. ERR_OK: a response of any
 * status. ERR_IO, ERR_TIMEOUT, ERR_VERIFY (TLS), ERR_MALFORMED; why says what. */
MUST_USE enum err kms_call(const struct kms_server *server, const struct sigv4_credentials *cred,
                           const char *operation, struct span body, uint64_t deadline_ns,
                           struct http_reply *out, struct why *why);

#endif
