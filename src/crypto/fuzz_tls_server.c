/* A server engine fed by a stranger: it must never open, and never say anything but ERR_MALFORMED
 * once it refuses. The first byte says in which pieces the rest comes. */
#include "crypto/test_pki.h"
#include "crypto/tls.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct tls_ctx *make_ctx(void)
{
    AUTO(crypto_freep) struct crypto *cx = NULL;
    struct tls_ctx *ctx = NULL;

    test_pki_sure(crypto_process_init());
    test_pki_sure(crypto_new(&cx));
    AUTO(test_pki_clear)
    struct test_pki pki = test_pki_new(cx, -TEST_PKI_HOUR, TEST_PKI_HOUR);
    test_pki_sure(tls_ctx_server(buf_view(&pki.cert), buf_view(&pki.key), &ctx, NULL));
    return ctx;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct tls_ctx *ctx;
    AUTO(tls_freep) struct tls *t = NULL;
    AUTO(buf_clear) struct buf out = BUF_INIT(1 << 20), plain = BUF_INIT(1 << 16);
    struct span in = span_of(data, size);
    enum err r = ERR_OK;

    if (!ctx)
        ctx = make_ctx();
    test_pki_sure(tls_new(ctx, NULL, &t));
    size_t piece = in.len ? in.ptr[0] + 1u : 1;
    for (in = span_from(in, 1); in.len > 0 && r == ERR_OK; in = span_from(in, piece)) {
        r = tls_feed(t, span_sub(in, 0, piece), NULL);
        if ((r != ERR_OK && r != ERR_MALFORMED) || tls_is_open(t))
            abort();
        if (r == ERR_OK && (tls_read(t, &plain, NULL) != ERR_OK || plain.len > 0))
            abort();
        test_pki_sure(tls_drain(t, &out));
    }
    return 0;
}
