#include "micro_esdk.h"

#include <stdio.h>
#include <stdlib.h>

#include "crypto/gcm.h"
#include "esdk/esdk.h"

enum { TEXT_BYTES = 8 << 20, OUT_MAX = TEXT_BYTES + TEXT_BYTES / 64 };

struct work {
    struct crypto *cx;
    unsigned suite;
    uint32_t frame_length;
    struct secret key;
    struct gcm *gcm;
    uint8_t *text, *frame;
    struct buf message;
};

static void sure(bool good)
{
    if (good)
        return;
    fprintf(stderr, "bench_micro: esdk\n");
    exit(1);
}

/* The least that a loop over frames can do: one key, an IV and a tag for each, into one buffer. */
static void bare(void *arg)
{
    struct work *w = arg;
    uint8_t iv[GCM_IV_BYTES] = { 0 }, tag[GCM_TAG_BYTES];

    for (size_t at = 0; at < TEXT_BYTES; at += w->frame_length) {
        iv[11]++;
        sure(gcm_begin(w->gcm, iv) == ERR_OK);
        sure(gcm_update(w->gcm, span_of(w->text + at, w->frame_length), w->frame) == ERR_OK);
        sure(gcm_tag(w->gcm, tag) == ERR_OK);
    }
}

/* Keeps the message in `keep`, or nothing of it. */
static void seal_to(struct work *w, struct buf *keep)
{
    static const struct esdk_key keys[] = { { SPAN_INIT("aws-kms"), SPAN_INIT("arn"),
                                              SPAN_INIT("blob") } };
    const struct esdk_encrypt_options o = { .suite = w->suite, .frame_length = w->frame_length };
    AUTO(esdk_encrypt_freep) struct esdk_encrypt *e = NULL;
    struct span in = span_of(w->text, TEXT_BYTES), out;
    enum err r;

    sure(esdk_encrypt_new(w->cx, &o, &e, NULL) == ERR_OK);
    sure(esdk_encrypt_start(e, w->cx, &w->key, keys, 1, &out, NULL) == ERR_OK);
    sure(!keep || buf_append(keep, out) == ERR_OK);
    while ((r = esdk_encrypt_step(e, &in, &out, NULL)) == ERR_OK)
        sure(!keep || buf_append(keep, out) == ERR_OK);
    sure(r == ERR_MORE && esdk_encrypt_end(e, &out, NULL) == ERR_OK);
    sure(!keep || buf_append(keep, out) == ERR_OK);
}

static void seal(void *arg)
{
    seal_to(arg, NULL);
}

static void open(void *arg)
{
    struct work *w = arg;
    AUTO(esdk_decrypt_freep) struct esdk_decrypt *d = NULL;
    struct span in = buf_view(&w->message), out;
    const struct esdk_header *h;
    size_t total = 0;
    enum err r;

    sure(esdk_decrypt_new(NULL, &d) == ERR_OK);
    sure(esdk_decrypt_header(d, w->cx, &in, &h, NULL) == ERR_OK);
    sure(esdk_decrypt_start(d, w->cx, &w->key, NULL, 0, NULL) == ERR_OK);
    while ((r = esdk_decrypt_step(d, &in, &out, NULL)) == ERR_OK)
        total += out.len;
    sure(r == ERR_MORE && total == TEXT_BYTES && esdk_decrypt_end(d, NULL) == ERR_OK);
}

void micro_esdk(struct crypto *cx, double (*median)(void (*call)(void *), void *arg))
{
    static const struct {
        uint32_t bytes;
        const char *name;
    } lengths[] = { { 4096, "4k" }, { 65536, "64k" }, { 1 << 20, "1m" } };
    struct work w = { .cx = cx, .message = BUF_INIT(OUT_MAX) };

    w.text = malloc(TEXT_BYTES);
    w.frame = malloc(1 << 20);
    sure(w.text && w.frame && secret_new(AES256_KEY_BYTES, &w.key) == ERR_OK);
    sure(gcm_new(cx, secret_view(&w.key), GCM_SEAL, &w.gcm) == ERR_OK);
    memset(w.text, 'x', TEXT_BYTES);
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        w.frame_length = lengths[i].bytes;
        printf("gcm.loop_%s_mb_s %.1f MB/s\n", lengths[i].name,
               TEXT_BYTES / 1e6 / median(bare, &w));
        for (int is_signed = 0; is_signed < 2; is_signed++) {
            const char *mark = is_signed ? "_signed" : "";
            w.suite = is_signed ? ESDK_SUITE_SIGNED : ESDK_SUITE_COMMITTING;
            buf_truncate(&w.message, 0);
            seal_to(&w, &w.message);
            printf("esdk.seal%s_%s_mb_s %.1f MB/s\n", mark, lengths[i].name,
                   TEXT_BYTES / 1e6 / median(seal, &w));
            printf("esdk.open%s_%s_mb_s %.1f MB/s\n", mark, lengths[i].name,
                   TEXT_BYTES / 1e6 / median(open, &w));
        }
    }
    gcm_free(w.gcm);
    secret_clear(&w.key);
    buf_clear(&w.message);
    free(w.frame);
    free(w.text);
}
