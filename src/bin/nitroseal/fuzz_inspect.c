/* Whole or in pieces the same walk; what it found can be written, and the JSON is JSON. */
#include <stdlib.h>

#include "bin/nitroseal/inspect.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum err walk(struct inspect *i, struct span in, size_t step, struct why *why)
{
    enum err r = ERR_OK;

    inspect_init(i);
    for (size_t at = 0; at < in.len && r == ERR_OK; at += step)
        r = inspect_take(i, span_sub(in, at, step), why);
    return r == ERR_OK ? inspect_end(i, why) : r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(inspect_clear) struct inspect a, b;
    AUTO(buf_clear) struct buf out = BUF_INIT(32 << 20);
    struct why why = { 0 };
    struct span in = span_of(data, size);

    enum err r = walk(&a, in, size + 1, &why);
    if (walk(&b, in, 1 + size % 13, NULL) != r || a.frames != b.frames || a.whole != b.whole ||
        a.plaintext_bytes != b.plaintext_bytes || a.header_read != b.header_read ||
        (r == ERR_OK && (!a.whole || a.bytes != size)))
        abort();
    const struct inspect_report how = { .fault = r == ERR_OK ? NULL : why.what };
    if (inspect_write_text(&a, &how, &out) != ERR_OK)
        abort();
    buf_reset(&out);
    if (inspect_write_json(&a, &how, &out) != ERR_OK)
        abort();
    struct json_in j = json_in_init(span_sub(buf_view(&out), 0, out.len - 1));
    (void)json_in_skip(&j);
    if (json_in_end(&j) != ERR_OK && j.err != ERR_LIMIT) /* more pairs than a reader takes */
        abort();
    return 0;
}
