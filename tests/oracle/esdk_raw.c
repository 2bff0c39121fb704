/* esdk_raw.c - the message format with a raw AES key, as a program: what the test beside AWS's own
 * Encryption SDK drives. Data key wrapping as framework/raw-aes-keyring.md says it.
 *
 *   esdk_raw seal KEY SUITE FRAME CUT [NAME=VALUE]...   plaintext on stdin, message on stdout
 *   esdk_raw open KEY CUT [NAME=VALUE]...               the other way; the pairs are required
 *
 * KEY: 64 hexadecimal digits. CUT: bytes of input that are handed over at once. Statuses: 0; 1
 * refused, why on stderr; 2 usage. Plaintext is written when the verdict is known. */
#include <stdio.h>
#include <stdlib.h>

#include "base/hex.h"
#include "crypto/gcm.h"
#include "esdk/esdk.h"

#define NAMESPACE "test-ns"
#define KEY_NAME  "k"
enum { INFO_BYTES = sizeof KEY_NAME - 1 + 20, PAIRS_MAX = 16, DATA_MAX = 64 << 20 };

static struct crypto *cx;

static _Noreturn void die(enum err r, const struct why *why)
{
    fprintf(stderr, "esdk_raw: %s: %s\n", err_name(r), why && why->what ? why->what : "");
    exit(1);
}

static void sure(enum err r, const struct why *why)
{
    if (r != ERR_OK)
        die(r, why);
}

static void read_all(struct buf *in)
{
    uint8_t *at;
    size_t n = 1;

    while (n) {
        sure(buf_reserve(in, 65536, &at), NULL);
        n = fread(at, 1, 65536, stdin);
        buf_commit(in, n);
    }
}

static size_t pairs_of(char **argv, int n, struct esdk_pair pairs[static PAIRS_MAX])
{
    for (int i = 0; i < n && i < PAIRS_MAX; i++) {
        pairs[i].value = span_str(argv[i]);
        pairs[i].key = span_cut(&pairs[i].value, '=');
    }
    return (size_t)n;
}

/* Provider info: name, lengths of tag (bits) and IV (bytes), IV. Additional data: the context. */
static void wrap(struct span key, struct span context, const struct secret *data_key,
                 uint8_t info[static INFO_BYTES], uint8_t ct[static AES256_KEY_BYTES + 16])
{
    static const uint8_t lengths[] = { 0, 0, 0, 128, 0, 0, 0, 12 };
    AUTO(gcm_freep) struct gcm *g = NULL;
    uint8_t *iv = info + INFO_BYTES - GCM_IV_BYTES;

    memcpy(info, KEY_NAME, sizeof KEY_NAME - 1);
    memcpy(iv - sizeof lengths, lengths, sizeof lengths);
    sure(rng_bytes(cx, iv, GCM_IV_BYTES), NULL);
    sure(gcm_new(cx, key, GCM_SEAL, &g), NULL);
    sure(gcm_begin(g, iv), NULL);
    sure(gcm_aad(g, context), NULL);
    sure(gcm_update(g, secret_view(data_key), ct), NULL);
    sure(gcm_tag(g, ct + data_key->len), NULL);
}

static void unwrap(struct span key, struct span context, const struct esdk_header *h,
                   struct secret *out)
{
    struct span rest = h->keys;
    struct esdk_key k;

    while (esdk_key_next(&rest, &k)) {
        AUTO(gcm_freep) struct gcm *g = NULL;
        if (!span_is(k.provider, NAMESPACE) || k.info.len != INFO_BYTES ||
            k.ciphertext.len != h->suite->key_bytes + (size_t)GCM_TAG_BYTES)
            continue;
        sure(secret_new(h->suite->key_bytes, out), NULL);
        sure(gcm_new(cx, key, GCM_OPEN, &g), NULL);
        sure(gcm_begin(g, k.info.ptr + INFO_BYTES - GCM_IV_BYTES), NULL);
        sure(gcm_aad(g, context), NULL);
        sure(gcm_update(g, span_sub(k.ciphertext, 0, out->len), out->ptr), NULL);
        sure(gcm_check(g, k.ciphertext.ptr + out->len), &(struct why){ "data key", 0 });
        return;
    }
    die(ERR_VERIFY, &(struct why){ "no data key of ours", 0 });
}

static void seal(struct span key, char **argv, int n_pairs)
{
    AUTO(esdk_encrypt_freep) struct esdk_encrypt *e = NULL;
    AUTO(buf_clear) struct buf in = BUF_INIT(DATA_MAX);
    AUTO(secret_clear) struct secret data_key = { 0 };
    uint8_t info[INFO_BYTES], ct[AES256_KEY_BYTES + 16];
    struct esdk_pair pairs[PAIRS_MAX];
    struct why why = { 0 };
    struct span out;
    size_t cut = strtoul(argv[2], NULL, 10);
    enum err r;

    struct esdk_encrypt_options o = { .suite = (unsigned)strtoul(argv[0], NULL, 16),
                                      .frame_length = (uint32_t)strtoul(argv[1], NULL, 10),
                                      .context = pairs,
                                      .n_pairs = pairs_of(argv + 3, n_pairs, pairs) };
    read_all(&in);
    sure(esdk_encrypt_new(cx, &o, &e, &why), &why);
    sure(secret_new(AES256_KEY_BYTES, &data_key), NULL);
    sure(rng_bytes(cx, data_key.ptr, data_key.len), NULL);
    wrap(key, esdk_encrypt_context(e), &data_key, info, ct);
    const struct esdk_key k = { SPAN_LIT(NAMESPACE), SPAN_ARRAY(info), SPAN_ARRAY(ct) };
    sure(esdk_encrypt_start(e, cx, &data_key, &k, 1, &out, &why), &why);
    fwrite(out.ptr, 1, out.len, stdout);
    for (struct span rest = buf_view(&in); rest.len;) {
        struct span piece = span_sub(rest, 0, cut);
        rest = span_from(rest, piece.len);
        while ((r = esdk_encrypt_step(e, &piece, &out, &why)) == ERR_OK)
            fwrite(out.ptr, 1, out.len, stdout);
        if (r != ERR_MORE)
            die(r, &why);
    }
    sure(esdk_encrypt_end(e, &out, &why), &why);
    fwrite(out.ptr, 1, out.len, stdout);
}

static void open_message(struct span key, size_t cut, char **argv, int n_pairs)
{
    const struct esdk_decrypt_options o = { .policy = ESDK_REQUIRE_ENCRYPT_ALLOW_DECRYPT };
    AUTO(esdk_decrypt_freep) struct esdk_decrypt *d = NULL;
    AUTO(buf_clear) struct buf in = BUF_INIT(DATA_MAX), plain = BUF_INIT(DATA_MAX);
    AUTO(buf_clear) struct buf context = BUF_INIT(65536);
    AUTO(secret_clear) struct secret data_key = { 0 };
    const struct esdk_header *h = NULL;
    struct esdk_pair pairs[PAIRS_MAX];
    size_t n = pairs_of(argv, n_pairs, pairs), at = 0;
    struct why why = { 0 };
    struct span out;
    enum err r = ERR_MORE;

    read_all(&in);
    sure(esdk_decrypt_new(&o, &d), NULL);
    while (r == ERR_MORE && at < in.len) {
        struct span piece = span_sub(buf_view(&in), at, cut);
        at += piece.len;
        r = esdk_decrypt_header(d, cx, &piece, &h, &why);
        at -= piece.len;
    }
    sure(r, &why);
    sure(esdk_context_full(h, pairs, n, &context, &why), &why);
    unwrap(key, buf_view(&context), h, &data_key);
    sure(esdk_decrypt_start(d, cx, &data_key, pairs, n, &why), &why);
    while (at < in.len) {
        struct span piece = span_sub(buf_view(&in), at, cut);
        at += piece.len;
        while ((r = esdk_decrypt_step(d, &piece, &out, &why)) == ERR_OK)
            sure(buf_append(&plain, out), NULL);
        if (r != ERR_MORE)
            die(r, &why);
    }
    sure(esdk_decrypt_end(d, &why), &why);
    fwrite(plain.ptr, 1, plain.len, stdout);
}

int main(int argc, char **argv)
{
    AUTO(buf_clear) struct buf key = BUF_INIT(AES256_KEY_BYTES);
    bool seals = argc >= 6 && strcmp(argv[1], "seal") == 0;

    if (!(seals || (argc >= 4 && strcmp(argv[1], "open") == 0)) || argc > 6 + PAIRS_MAX ||
        hex_parse(span_str(argv[2]), &key) != ERR_OK || key.len != AES256_KEY_BYTES) {
        fprintf(stderr, "usage: esdk_raw seal KEY SUITE FRAME CUT [NAME=VALUE]...\n"
                        "       esdk_raw open KEY CUT [NAME=VALUE]...\n");
        return 2;
    }
    sure(crypto_process_init(), NULL);
    sure(crypto_new(&cx), NULL);
    if (seals)
        seal(buf_view(&key), argv + 3, argc - 6);
    else
        open_message(buf_view(&key), strtoul(argv[3], NULL, 10), argv + 4, argc - 4);
    crypto_free(cx);
    return fflush(stdout) == 0 ? 0 : 1;
}
