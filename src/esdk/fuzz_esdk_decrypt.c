/* Any bytes as a message, in any pieces, under the key of the seeds. The same bytes in one piece
 * give the same verdict and the same plaintext, also where it goes straight into the caller's
 * buffer, and plaintext comes out only after header and key
 * were taken. First byte: how the input is cut. */
#include <stdlib.h>

#include "esdk/esdk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OUT_MAX = 1 << 20 };

static struct crypto *cx;

/* One step into `out`, by one way or the other. */
static enum err step(struct esdk_decrypt *d, bool to, struct span *piece, struct buf *out)
{
    size_t before = out->len;
    struct span got = SPAN_EMPTY;
    enum err r =
        to ? esdk_decrypt_step_to(d, piece, out, NULL) : esdk_decrypt_step(d, piece, &got, NULL);

    if (!to && buf_append(out, got) != ERR_OK)
        abort();
    if ((out->len > before) != (r == ERR_OK))
        abort();
    return r;
}

static enum err decrypt(struct span in, size_t cut, bool to, struct buf *out)
{
    const struct esdk_decrypt_options options = {
        .policy = ESDK_REQUIRE_ENCRYPT_ALLOW_DECRYPT,
    };
    AUTO(esdk_decrypt_freep) struct esdk_decrypt *d = NULL;
    AUTO(secret_clear) struct secret key = { 0 };
    const struct esdk_header *h = NULL;
    enum err r = ERR_MORE;
    struct span piece = SPAN_EMPTY;

    if (esdk_decrypt_new(&options, &d) != ERR_OK)
        abort();
    while (r == ERR_MORE && in.len) {
        piece = span_sub(in, 0, cut);
        in = span_from(in, piece.len);
        r = esdk_decrypt_header(d, cx, &piece, &h, NULL);
    }
    if (r != ERR_OK)
        return r == ERR_MORE ? esdk_decrypt_end(d, NULL) : r;
    if (secret_new(h->suite->key_bytes, &key) != ERR_OK)
        abort();
    for (size_t i = 0; i < key.len; i++)
        key.ptr[i] = (uint8_t)i;
    r = esdk_decrypt_start(d, cx, &key, NULL, 0, NULL);
    while (r == ERR_OK) {
        while ((r = step(d, to, &piece, out)) == ERR_OK)
            ;
        if (r != ERR_MORE || in.len == 0)
            break;
        piece = span_sub(in, 0, cut);
        in = span_from(in, piece.len);
        r = ERR_OK;
    }
    return r == ERR_MORE ? esdk_decrypt_end(d, NULL) : r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(buf_clear) struct buf whole = BUF_INIT(OUT_MAX), cut = BUF_INIT(OUT_MAX);
    AUTO(buf_clear) struct buf to = BUF_INIT(OUT_MAX);

    if (!cx && (crypto_process_init() != ERR_OK || crypto_new(&cx) != ERR_OK))
        abort();
    if (size < 1)
        return 0;
    struct span in = span_of(data + 1, size - 1);
    enum err r = decrypt(in, SIZE_MAX, false, &whole);
    if (decrypt(in, (size_t)data[0] + 1, false, &cut) != r ||
        !span_eq(buf_view(&whole), buf_view(&cut)))
        abort();
    if (decrypt(in, data[0] & 1 ? SIZE_MAX : (size_t)data[0] + 1, true, &to) != r ||
        !span_eq(buf_view(&whole), buf_view(&to)))
        abort();
    return 0;
}
