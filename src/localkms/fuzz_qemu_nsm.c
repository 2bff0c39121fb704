/* Any bytes as a document of QEMU's: what is accepted has the one encoding that there is of it, is
 * of QEMU's algorithm, and is refused by the parser of signed documents, as those are by this one.
 */
#include <stdlib.h>

#include "localkms/qemu_nsm.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct attest_doc doc, real;
    AUTO(buf_clear) struct buf again = BUF_INIT(ATTEST_DOC_MAX);
    struct span in = span_of(data, size);
    struct why why = { 0 };
    bool is_real = attest_doc_parse(in, &real, NULL) == ERR_OK;

    if (is_real && qemu_nsm_is(in))
        abort();
    if (qemu_nsm_parse(in, &doc, &why) != ERR_OK) {
        if (!why.what || why.at > size)
            abort();
        return 0;
    }
    if (is_real || !qemu_nsm_is(in) || doc.timestamp_ms % 1000 != 0)
        abort();
    if (qemu_nsm_write(&doc, &again) != ERR_OK || !span_eq(in, buf_view(&again)))
        abort();
    return 0;
}
