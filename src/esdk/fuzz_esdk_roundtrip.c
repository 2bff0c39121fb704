/* Whatever is encrypted comes back, in whatever pieces; and after one byte of the message was
 * changed or the message cut it does not, and what did come out is a beginning of it, in whole
 * frames. Input: flags, frame length, cut of the plaintext, cut of the message, where to change
 * (2), how, then the plaintext. */
#include <stdlib.h>

#include "esdk/esdk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEAD_BYTES = 7, OUT_MAX = 1 << 20 };

static struct crypto *cx;
static struct secret key;
static struct esig_key *signing; /* making one takes longer than all the rest */

static void sure(bool good)
{
    if (!good)
        abort();
}

static void encrypt(const struct esdk_encrypt_options *o, struct span plain, size_t cut,
                    struct buf *out)
{
    static const struct esdk_key keys[] = { { SPAN_INIT("aws-kms"), SPAN_INIT("arn"),
                                              SPAN_INIT("blob") } };
    AUTO(esdk_encrypt_freep) struct esdk_encrypt *e = NULL;
    struct span got;
    enum err r;

    sure(esdk_encrypt_new(cx, o, &e, NULL) == ERR_OK);
    sure(esdk_encrypt_start(e, cx, &key, keys, 1, &got, NULL) == ERR_OK);
    sure(buf_append(out, got) == ERR_OK);
    while (plain.len) {
        struct span piece = span_sub(plain, 0, cut);
        plain = span_from(plain, piece.len);
        while ((r = esdk_encrypt_step(e, &piece, &got, NULL)) == ERR_OK)
            sure(buf_append(out, got) == ERR_OK);
        sure(r == ERR_MORE);
    }
    sure(esdk_encrypt_end(e, &got, NULL) == ERR_OK);
    sure(buf_append(out, got) == ERR_OK);
}

static enum err decrypt(struct span in, size_t cut, struct buf *out)
{
    AUTO(esdk_decrypt_freep) struct esdk_decrypt *d = NULL;
    const struct esdk_header *h = NULL;
    enum err r = ERR_MORE;
    size_t at = 0;

    sure(esdk_decrypt_new(NULL, &d) == ERR_OK);
    while (r == ERR_MORE && at < in.len) {
        struct span piece = span_sub(in, at, cut);
        at += piece.len;
        r = esdk_decrypt_header(d, cx, &piece, &h, NULL);
        at -= piece.len;
    }
    if (r == ERR_OK)
        r = esdk_decrypt_start(d, cx, &key, NULL, 0, NULL);
    if (r == ERR_OK)
        r = ERR_MORE;
    while (r == ERR_MORE && at < in.len) {
        struct span piece = span_sub(in, at, cut), got;
        at += piece.len;
        while ((r = esdk_decrypt_step(d, &piece, &got, NULL)) == ERR_OK)
            sure(buf_append(out, got) == ERR_OK);
    }
    return r == ERR_MORE ? esdk_decrypt_end(d, NULL) : r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(buf_clear) struct buf message = BUF_INIT(OUT_MAX), out = BUF_INIT(OUT_MAX);

    if (!cx) {
        sure(crypto_process_init() == ERR_OK && crypto_new(&cx) == ERR_OK);
        sure(secret_new(32, &key) == ERR_OK);
        sure(esig_key_new(cx, ESIG_P384, &signing) == ERR_OK);
    }
    if (size < HEAD_BYTES)
        return 0;
    struct span plain = span_of(data + HEAD_BYTES, size - HEAD_BYTES);
    struct esdk_pair pairs[] = { { SPAN_LIT("a"), SPAN_LIT("1") }, { SPAN_LIT("b"), SPAN_EMPTY } };
    struct esdk_encrypt_options o = {
        .suite = data[0] & 1 ? ESDK_SUITE_SIGNED : ESDK_SUITE_COMMITTING,
        .signing_key = data[0] & 1 ? signing : NULL,
        .frame_length = (uint32_t)data[1] + 1,
        .context = pairs,
        .n_pairs = data[0] >> 1 & 1 ? 2 : 0,
    };
    encrypt(&o, plain, (size_t)data[2] + 1, &message);
    sure(decrypt(buf_view(&message), (size_t)data[3] + 1, &out) == ERR_OK);
    sure(span_eq(buf_view(&out), plain));

    size_t at = (size_t)(data[4] << 8 | data[5]) % message.len;
    struct span changed = buf_view(&message);
    if (data[6])
        message.ptr[at] ^= data[6];
    else
        changed = span_sub(changed, 0, at);
    buf_reset(&out);
    sure(decrypt(changed, (size_t)data[3] + 1, &out) != ERR_OK);
    sure(span_eq(buf_view(&out), span_sub(plain, 0, out.len)));
    sure(out.len == plain.len || out.len % o.frame_length == 0);
    return 0;
}
