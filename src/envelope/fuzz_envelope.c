#include "envelope/envelope.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* 32 bytes of signature, then the encrypted text; key 000102..1f as in the corpus. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct crypto *cx;
    static struct secret key;
    AUTO(buf_clear) struct buf plain = BUF_INIT(65536), sealed = BUF_INIT(65536);
    struct span in = span_of(data, size);
    struct span signature = span_sub(in, 0, HMAC_SHA256_BYTES);
    struct span encrypted = span_from(in, HMAC_SHA256_BYTES);
    uint8_t mac[HMAC_SHA256_BYTES];
    bool valid = false;

    if (!cx) {
        if (crypto_process_init() != ERR_OK || crypto_new(&cx) != ERR_OK ||
            secret_new(AES256_KEY_BYTES, &key) != ERR_OK)
            abort();
        for (uint8_t i = 0; i < AES256_KEY_BYTES; i++)
            key.ptr[i] = i;
    }
    if (envelope_open(cx, &key, encrypted, signature, &plain, &valid, NULL) != ERR_OK) {
        if (plain.len)
            abort();
    } else if (plain.len + ENVELOPE_OVERHEAD_BYTES != encrypted.len) {
        abort();
    }
    buf_reset(&plain);
    if (envelope_seal(cx, &key, in, &sealed, mac) != ERR_OK)
        return 0;
    if (envelope_open(cx, &key, buf_view(&sealed), SPAN_ARRAY(mac), &plain, &valid, NULL) !=
            ERR_OK ||
        !valid || !span_eq(buf_view(&plain), in))
        abort();
    return 0;
}
