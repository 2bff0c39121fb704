/* A request head (first byte 0) or a body of one of the small endpoints. */
#include "api/api.h"

#include <stdlib.h>

static void fuzz_route(struct span in)
{
    struct http1_head head;
    struct api_route route;
    struct api_fault fault = { 0 };
    AUTO(buf_clear) struct buf nonce = BUF_INIT(API_NONCE_MAX_BYTES);
    static struct api_message m;
    size_t used;

    if (http1_request_parse(in, &head, &used, NULL) != ERR_OK)
        return;
    if (api_message_parse(&head, &m, &fault) == ERR_MALFORMED && !fault.code)
        abort();
    buf_clear(&m.text);
    if (api_route(&head, &route, &fault) != ERR_OK) {
        if (!fault.code || !fault.title || api_status(fault.code) == 500)
            abort();
        return;
    }
    if (api_nonce_parse(route.query, &nonce, &fault) == ERR_OK &&
        (nonce.len == 0 || nonce.len > API_NONCE_MAX_BYTES))
        abort();
}

static void fuzz_body(uint8_t which, struct span in)
{
    static struct span items[API_BATCH_MAX_ITEMS];
    AUTO(buf_clear) struct buf room = BUF_INIT(32768);
    struct api_credentials cred;
    struct api_batch batch;
    struct api_fault fault = { 0 };
    size_t n = 0;
    enum err r;

    if (which == 1) {
        r = api_random_parse(in, &n, &fault);
        if (r == ERR_OK && (n < 1 || n > API_RANDOM_MAX_BYTES))
            abort();
    } else if (which == 2) {
        r = api_credentials_parse(in, &room, &cred, &fault);
    } else {
        r = api_batch_parse(in, items, &room, &batch, &fault);
        for (size_t i = 0; r == ERR_OK && i < batch.n; i++)
            if (items[i].len == 0 || items[i].ptr < in.ptr ||
                items[i].ptr + items[i].len > in.ptr + in.len)
                abort();
    }
    if (r == ERR_MALFORMED && (!fault.code || api_status(fault.code) != 400))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    struct span in = span_of(data + 1, size - 1);
    if (data[0] == 0)
        fuzz_route(in);
    else
        fuzz_body(data[0], in);
    return 0;
}
