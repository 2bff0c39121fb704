/* A signature section from a stranger: parsed, and never taken for a signature of this PCR0. */
#include <stdlib.h>

#include "eif/signature.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t pcr0[ATTEST_PCR_BYTES] = "nobody has signed this";
    AUTO(eif_signature_clear) struct eif_signature s = EIF_SIGNATURE_NONE;

    if (eif_signature_parse(span_of(data, size), &s, NULL) != ERR_OK)
        return 0;
    if (!s.cert || eif_signature_verify(&s, pcr0, NULL) == ERR_OK)
        abort();
    return 0;
}
