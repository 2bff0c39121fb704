/* The first byte says which answer is expected. What is accepted is written as one that reads the
 * same. */
#include <stdlib.h>

#include "nsm/nsm.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(buf_clear) struct buf once = BUF_INIT(NSM_RESPONSE_MAX);
    AUTO(buf_clear) struct buf twice = BUF_INIT(NSM_RESPONSE_MAX);
    struct nsm_response rs, again;

    if (size == 0)
        return 0;
    enum nsm_op op = (enum nsm_op)(data[0] % (NSM_GET_RANDOM + 1));
    if (nsm_response_parse(span_of(data + 1, size - 1), op, &rs, NULL) != ERR_OK)
        return 0;
    if (nsm_response_write(&rs, &once) != ERR_OK ||
        nsm_response_parse(buf_view(&once), op, &again, NULL) != ERR_OK ||
        nsm_response_write(&again, &twice) != ERR_OK || !span_eq(buf_view(&once), buf_view(&twice)))
        abort();
    return 0;
}
