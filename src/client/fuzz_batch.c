/* Results of a batch stand inside the answer, and what one of them is read as is one thing. The
 * first byte is how many were asked for. */
#include <stdlib.h>

#include "client/batch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct span results[UINT8_MAX];
    AUTO(client_reader_clear) struct client_reader r;

    client_reader_init(&r);
    if (size < 2)
        return 0;
    r.head.status = 200;
    if (buf_append(&r.body, span_of(data + 1, size - 1)) != ERR_OK)
        abort();
    if (client_batch_parse(&r, results, data[0], NULL) != ERR_OK)
        return 0;
    for (size_t i = 0; i < data[0]; i++) {
        if (results[i].ptr < r.body.ptr ||
            results[i].ptr + results[i].len > r.body.ptr + r.body.len)
            abort();
        for (enum proto_op op = PROTO_ENCRYPT; op <= PROTO_DECRYPT; op++) {
            struct client_result one;
            if (client_result_parse(results[i], op, &one, NULL) == ERR_OK && !one.is_problem &&
                json_str_is_set(one.answer.error))
                abort();
        }
    }
    return 0;
}
