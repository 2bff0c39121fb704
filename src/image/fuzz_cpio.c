/* Entries lie inside the input, names cannot lead out of where they are unpacked. */
#include <stdlib.h>

#include "image/cpio.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void inside(struct span part, const uint8_t *data, size_t size)
{
    if (part.ptr < data || part.len > size || part.ptr > data + size - part.len)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cpio_in c = cpio_in_init(span_of(data, size));
    struct cpio_entry e;
    bool end = false;

    while (cpio_next(&c, &e, &end, NULL) == ERR_OK && !end) {
        AUTO(buf_clear) struct buf clean = BUF_INIT(CPIO_NAME_MAX);
        const char *what = NULL;
        inside(e.name, data, size);
        inside(e.data, data, size);
        if (tree_path_clean(e.name, &clean, &what) == ERR_MALFORMED)
            abort();
    }
    return 0;
}
