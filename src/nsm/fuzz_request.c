/* A request that is accepted is written as one that reads the same. */
#include <stdlib.h>

#include "nsm/nsm.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(buf_clear) struct buf once = BUF_INIT(NSM_REQUEST_MAX + 64);
    AUTO(buf_clear) struct buf twice = BUF_INIT(NSM_REQUEST_MAX + 64);
    struct nsm_request rq, again;

    if (nsm_request_parse(span_of(data, size), &rq, NULL) != ERR_OK)
        return 0;
    enum err r = nsm_request_write(&rq, &once);
    if (r == ERR_LIMIT) /* missing optionals become nulls, which may not fit any more */
        return 0;
    if (r != ERR_OK || nsm_request_parse(buf_view(&once), &again, NULL) != ERR_OK ||
        nsm_request_write(&again, &twice) != ERR_OK || !span_eq(buf_view(&once), buf_view(&twice)))
        abort();
    return 0;
}
