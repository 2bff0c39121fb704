#include <stdlib.h>

#include "proto/proto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool inside(struct json_str s, struct span in)
{
    return !json_str_is_set(s) || (s.raw.ptr >= in.ptr && s.raw.ptr + s.raw.len <= in.ptr + in.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span in = span_of(data, size);
    struct proto_request rq;
    struct proto_answer a;
    struct why why = { 0 };

    if (proto_request_parse(in, &rq, &why) == ERR_OK) {
        if (!inside(rq.message, in) || !inside(rq.secret_access_key, in) || !inside(rq.nonce, in))
            abort();
    } else if (!why.what) {
        abort();
    }
    for (enum proto_op op = PROTO_ENCRYPT; op <= PROTO_ATTEST; op++)
        if (proto_answer_parse(in, op, &a, &why) == ERR_OK && !inside(a.decrypted, in))
            abort();
    return 0;
}
