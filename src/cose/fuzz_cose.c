/* What is accepted lies inside the input and has the lengths of the profile. */
#include <stdlib.h>

#include "cose/cose.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void inside(struct span part, const uint8_t *data, size_t size)
{
    if (part.ptr < data || part.len > size || part.ptr > data + size - part.len)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cose_sign1 msg;

    if (cose_sign1_parse(span_of(data, size), &msg, NULL) != ERR_OK)
        return 0;
    inside(msg.phdr, data, size);
    inside(msg.payload, data, size);
    inside(msg.sig, data, size);
    if (msg.sig.len != COSE_SIG_BYTES || msg.phdr.len != 4)
        abort();
    return 0;
}
