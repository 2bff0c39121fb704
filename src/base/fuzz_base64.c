#include <stdlib.h>

#include "base/base64.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span in = span_of(data, size);
    AUTO(buf_clear) struct buf out = BUF_INIT(2 * size + 4), back = BUF_INIT(2 * size + 4);
    struct why why = { 0 };

    /* A text that is accepted is the only text of its value. */
    if (base64_parse(in, &out, &why) == ERR_OK) {
        if (base64_append(&back, buf_view(&out)) != ERR_OK || !span_eq(buf_view(&back), in))
            abort();
    } else if (out.len || !why.what || why.at > size) {
        abort();
    }
    /* Any bytes survive the way out and back. */
    buf_reset(&out);
    buf_reset(&back);
    if (base64_append(&out, in) != ERR_OK || base64_parse(buf_view(&out), &back, NULL) != ERR_OK ||
        !span_eq(buf_view(&back), in))
        abort();
    return 0;
}
