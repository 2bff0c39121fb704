/* What is accepted lies inside the input, is written back to the same bytes, and can be described.
 */
#include <stdlib.h>

#include "eif/describe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Refused by the writer alone: it is stricter about the kernel and the command line. */
static void round_trip(const struct eif *e, struct span in)
{
    AUTO(buf_clear) struct buf out = BUF_INIT(in.len);
    struct span crc;

    if (eif_write(e, &out, NULL) != ERR_OK)
        return;
    crc = span_from(buf_view(&out), EIF_HEADER_BYTES - 4);
    if (out.len != in.len || memcmp(out.ptr, in.ptr, EIF_HEADER_BYTES - 4) != 0 ||
        !span_eq(span_from(crc, 4), span_from(in, EIF_HEADER_BYTES)))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(eif_report_clear) struct eif_report r = EIF_REPORT_NONE;
    AUTO(buf_clear) struct buf out = BUF_INIT(1 << 20);
    struct json_out w = json_out_init(&out);
    struct span in = span_of(data, size);
    struct eif e;

    if (crypto_process_init() != ERR_OK)
        abort();
    if (eif_split(in, &e, NULL) != ERR_OK)
        return 0;
    for (unsigned i = 0; i < e.n_sections; i++)
        if (e.sections[i].data.ptr < data || e.sections[i].data.len > size ||
            e.sections[i].data.ptr > data + size - e.sections[i].data.len)
            abort();
    round_trip(&e, in);
    if (eif_report_make(in, &r, NULL) != ERR_OK)
        return 0;
    eif_report_write(&w, true, &r);
    struct json_in j = json_in_init(buf_view(&out));
    json_in_skip(&j);
    if (json_out_end(&w) == ERR_OK && json_in_end(&j) == ERR_MALFORMED)
        abort();
    return 0;
}
