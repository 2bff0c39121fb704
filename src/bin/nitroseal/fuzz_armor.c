/* Whole or in pieces the same bytes; what is taken is written again and read the same. */
#include <stdlib.h>

#include "bin/nitroseal/armor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TEXT_MAX = 1 << 16 };

static enum err read_all(struct span text, size_t step, struct buf *out)
{
    struct armor_in a = { .state = 0 };
    enum err r = ERR_OK;

    for (size_t i = 0; i < text.len && r == ERR_OK; i += step)
        r = armor_take(&a, span_sub(text, i, step), out, NULL);
    return r == ERR_OK ? armor_end(&a, NULL) : r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(buf_clear) struct buf whole = BUF_INIT(TEXT_MAX), pieces = BUF_INIT(TEXT_MAX);
    AUTO(buf_clear) struct buf again = BUF_INIT(2 * TEXT_MAX);
    struct armor_out w = { .n = 0 };
    struct span text = span_of(data, size);

    (void)input_kind_of(text);
    if (size == 0 || size > TEXT_MAX)
        return 0;
    enum err r = read_all(text, size, &whole);
    if (read_all(text, 1 + size % 7, &pieces) != r)
        abort();
    if (r != ERR_OK)
        return 0;
    if (!span_eq(buf_view(&whole), buf_view(&pieces)))
        abort();
    if (armor_put(&w, buf_view(&whole), &again) != ERR_OK || armor_finish(&w, &again) != ERR_OK)
        abort();
    buf_reset(&pieces);
    if (read_all(buf_view(&again), 100, &pieces) != ERR_OK ||
        !span_eq(buf_view(&whole), buf_view(&pieces)))
        abort();
    return 0;
}
