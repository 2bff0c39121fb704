#include "sigv4/presign.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* query LF body */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(buf_clear) struct buf made = BUF_INIT(2 * SIGV4_QUERY_MAX_BYTES);
    struct span rest = span_of(data, size);
    struct span query = span_cut(&rest, '\n');
    struct span secret = SPAN_LIT("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
    const struct sigv4_header headers[] = { { SPAN_LIT("Host"), SPAN_LIT("localhost:8000") } };
    struct sigv4_request rq = { .method = SPAN_LIT("POST"),
                                .path = SPAN_LIT("/"),
                                .query = query,
                                .headers = headers,
                                .n_headers = 1,
                                .body = rest };
    struct sigv4_presigned p = { .expires_s = 0 };

    if (sigv4_presigned_parse(query, &p, NULL) == ERR_OK) {
        if (!sigv4_is_presigned(query) || p.expires_s == 0 ||
            sigv4_presigned_verify(&rq, &p, secret, NULL) == ERR_OK)
            abort(); /* nobody who does not know the secret can have made this */
        sigv4_presigned_clear(&p);
    }
    struct sigv4_credentials cred = { SPAN_LIT("AKIDEXAMPLE"), secret, SPAN_EMPTY };
    struct sigv4_scope scope = { SPAN_LIT("us-east-1"), SPAN_LIT("kms") };
    if (sigv4_is_presigned(query) ||
        sigv4_presign(&rq, scope, SPAN_LIT("20260102T030405Z"), 60, &cred, &made) != ERR_OK)
        return 0;
    rq.query = buf_view(&made);
    enum err r = sigv4_presigned_parse(rq.query, &p, NULL);
    if (r == ERR_OK && sigv4_presigned_verify(&rq, &p, secret, NULL) != ERR_OK)
        abort();
    sigv4_presigned_clear(&p);
    return 0;
}
