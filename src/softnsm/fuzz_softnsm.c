/* One NSM answers everything that comes: each response parses, as the answer to its request or as
 * an error, and no request that was refused by the parser gets another answer. */
#include <stdlib.h>

#include "softnsm/softnsm.h"

#define NOW_MS INT64_C(1700000000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct crypto *cx;
static struct softnsm *nsm;

static void start(void)
{
    const struct softnsm_settings s = { .instance_id = SPAN_LIT("i-1"), .region = SPAN_LIT("r") };
    struct softnsm_pki *pki;

    if (crypto_new(&cx) != ERR_OK || softnsm_pki_new(cx, NOW_MS / 1000, &pki) != ERR_OK ||
        softnsm_new(cx, &s, pki, NOW_MS, &nsm, NULL) != ERR_OK)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(buf_clear) struct buf response = BUF_INIT(NSM_RESPONSE_MAX);
    struct nsm_request rq;
    struct nsm_response rs;

    if (!nsm)
        start();
    if (softnsm_ask(cx, nsm, span_of(data, size), NOW_MS, &response) != ERR_OK)
        abort();
    bool good = nsm_request_parse(span_of(data, size), &rq, NULL) == ERR_OK;
    if (nsm_response_parse(buf_view(&response), good ? rq.op : NSM_GET_RANDOM, &rs, NULL) != ERR_OK)
        abort();
    if (!good && rs.error != NSM_INVALID_OPERATION && rs.error != NSM_INPUT_TOO_LARGE)
        abort();
    return 0;
}
