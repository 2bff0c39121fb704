#include <stdlib.h>

#include "base/cbor.h"
#include "base/fuzz_cbor_oracle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Write the next item again: what the cursor accepts has one form only. */
static void copy_item(struct cbor_in *c, struct cbor_out *w)
{
    uint64_t n;

    if (c->err != ERR_OK)
        return;
    switch (cbor_in_peek(c)) {
    case CBOR_UINT:
        cbor_out_uint(w, cbor_in_uint(c, UINT64_MAX));
        return;
    case CBOR_NINT:
        cbor_out_int(w, cbor_in_int(c));
        return;
    case CBOR_BSTR:
        cbor_out_bstr(w, cbor_in_bstr(c, SIZE_MAX));
        return;
    case CBOR_TSTR:
        cbor_out_tstr(w, cbor_in_tstr(c, SIZE_MAX));
        return;
    case CBOR_ARRAY:
        n = cbor_in_array_upto(c, UINT64_MAX);
        cbor_out_array(w, n);
        for (uint64_t i = 0; i < n && c->err == ERR_OK; i++)
            copy_item(c, w);
        return;
    case CBOR_MAP:
        n = cbor_in_map_upto(c, UINT64_MAX);
        cbor_out_map(w, n);
        for (uint64_t i = 0; i < n && c->err == ERR_OK; i++) {
            copy_item(c, w);
            copy_item(c, w);
        }
        return;
    case CBOR_BOOL:
        cbor_out_bool(w, cbor_in_bool(c));
        return;
    case CBOR_NULL:
        (void)cbor_in_null_opt(c);
        cbor_out_null(w);
        return;
    case CBOR_TAG:
    case CBOR_BREAK:
    case CBOR_OTHER:
    case CBOR_NONE:
        abort(); /* cbor_in_skip() took it for an item */
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span in = span_of(data, size);
    struct cbor_in c = cbor_in_init(in);
    AUTO(buf_clear) struct buf out = BUF_INIT(size);

    (void)cbor_in_skip(&c);
    if (cbor_in_end(&c) != ERR_OK) {
        if (!c.what || c.pos > size)
            abort();
        return 0;
    }
    if (!fuzz_cbor_oracle(in))
        abort();
    c = cbor_in_init(in);
    struct cbor_out w = cbor_out_init(&out);
    copy_item(&c, &w);
    if (cbor_in_end(&c) == ERR_LIMIT) /* an integer past 64 bits signed */
        return 0;
    if (c.err != ERR_OK || cbor_out_end(&w) != ERR_OK || !span_eq(buf_view(&out), in))
        abort();
    return 0;
}
