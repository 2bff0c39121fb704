#include "base/fuzz_cbor_oracle.h"

#if __has_include(<cbor.h>)
#include <cbor.h>

bool fuzz_cbor_oracle(struct span in)
{
    struct cbor_load_result result;
    cbor_item_t *item = cbor_load(in.ptr, in.len, &result);
    bool whole = item && result.read == in.len;

    if (item)
        cbor_decref(&item);
    return whole;
}

#else

bool fuzz_cbor_oracle(struct span in)
{
    (void)in;
    return true;
}

#endif
