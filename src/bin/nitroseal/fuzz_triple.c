#include "bin/nitroseal/triple.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(buf_clear) struct buf scratch = BUF_INIT(1 << 20);
    AUTO(buf_clear) struct buf again = BUF_INIT(1 << 20);
    struct triple t = { 0 };
    struct why why = { 0 };

    if (triple_parse(span_of(data, size), &scratch, &t, &why) != ERR_OK) {
        if (!why.what)
            abort();
        return 0;
    }
    enum err r = triple_write(&again, &t);
    if (r != ERR_OK && (r != ERR_MALFORMED || again.len != 0))
        abort();
    return 0;
}
