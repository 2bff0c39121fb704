#include "sigv4/sigv4.h"

#include <stdlib.h>

static void inside(struct span s, struct span text)
{
    if (s.ptr < text.ptr || s.ptr + s.len > text.ptr + text.len)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* authorization LF path LF query LF value of a header LF body */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(buf_clear) struct buf made = BUF_INIT(8192);
    struct span rest = span_of(data, size);
    struct span text = span_cut(&rest, '\n');
    struct span secret = SPAN_LIT("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
    struct sigv4_header headers[] = {
        { SPAN_LIT("Host"), SPAN_LIT("kms.us-east-1.amazonaws.com") },
        { SPAN_LIT("X-Amz-Date"), SPAN_LIT("20150830T123600Z") },
        { SPAN_LIT("x-other"), SPAN_EMPTY },
    };
    struct sigv4_request rq = { .method = SPAN_LIT("POST"), .headers = headers, .n_headers = 3 };
    struct sigv4_claim claim;

    rq.path = span_cut(&rest, '\n');
    rq.query = span_cut(&rest, '\n');
    headers[2].value = span_cut(&rest, '\n');
    rq.body = rest;
    if (sigv4_claim_parse(text, &claim, NULL) == ERR_OK) {
        inside(claim.signed_headers, text);
        inside(claim.access_key_id, text);
        inside(claim.signature, text);
        if (sigv4_verify(&rq, &claim, secret, NULL) == ERR_OK)
            abort(); /* nobody who does not know the secret can have made this */
    }
    struct sigv4_credentials cred = { .access_key_id = SPAN_LIT("AKIDEXAMPLE"),
                                      .secret_access_key = secret };
    struct sigv4_scope scope = { SPAN_LIT("us-east-1"), SPAN_LIT("kms") };
    if (sigv4_sign(&rq, scope, headers[1].value, &cred, &made) != ERR_OK)
        return 0;
    if (sigv4_claim_parse(buf_view(&made), &claim, NULL) != ERR_OK ||
        sigv4_verify(&rq, &claim, secret, NULL) != ERR_OK)
        abort();
    return 0;
}
