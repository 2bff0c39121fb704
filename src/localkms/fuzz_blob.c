#include <stdlib.h>

#include "localkms/blob.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct crypto *cx;
    AUTO(secret_clear) struct secret out = { 0 };
    struct span in = span_of(data, size);
    struct blob b;

    if (!cx && (crypto_process_init() != ERR_OK || crypto_new(&cx) != ERR_OK))
        abort();
    if (blob_parse(in, &b) != ERR_OK)
        return 0;
    if (b.head.ptr != data || b.tag.ptr + b.tag.len != data + size || b.ct.len == 0 ||
        b.head.len + b.iv.len + b.ct.len + b.tag.len != size || b.key_id.len != BLOB_KEY_ID_BYTES)
        abort();
    /* Nobody who does not know the key makes one that opens. */
    if (blob_open(cx, &b, SPAN_LIT("a key that is nowhere but in her"), in, &out) == ERR_OK)
        abort();
    return 0;
}
