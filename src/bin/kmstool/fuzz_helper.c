/* First byte: a request or an answer. */
#include <stdlib.h>

#include "bin/kmstool/helper.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void request(struct span json)
{
    AUTO(helper_request_clear) struct helper_request rq = { .argc = 0 };
    AUTO(args_clear) struct args a = { .text = BUF_INIT(0) };
    AUTO(buf_clear) struct buf err = BUF_INIT(KMSTOOL_ERR_MAX_BYTES);
    struct why why = { 0 };

    if (helper_request_parse(json, &rq, &why) != ERR_OK) {
        if (!why.what || rq.cred.secret_access_key.ptr)
            abort();
        return;
    }
    if (rq.argc < 1 || rq.argc > HELPER_WORDS_MAX || rq.cred.secret_access_key.len == 0)
        abort();
    int status = args_parse(rq.argc, rq.argv, NULL, &a, &err);
    if (status == KMSTOOL_GO)
        status = args_check(&a, &err);
    if (status != KMSTOOL_GO && err.len == 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(outcome_clear) struct outcome o = OUTCOME_INIT;

    if (size == 0)
        return 0;
    struct span json = span_of(data + 1, size - 1);
    if (data[0] % 2 == 0)
        request(json);
    else if (helper_answer_parse(json, &o, NULL) == ERR_OK && (o.status == 0) != (o.out.len > 0))
        abort();
    return 0;
}
