#include "cms/cms.h"
#include "crypto/hash.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct crypto *cx;
static struct rsa_key *key;

static void inside(struct span s, struct span in)
{
    if (s.len && (s.ptr < in.ptr || s.ptr + s.len > in.ptr + in.len))
        abort();
}

/* Give a well-formed message our key identifier, so that it gets as far as the private key. Nobody
 * but the holder of the content key can have made one that opens. */
static void try_open(struct span in, const struct cms_envelope *env)
{
    AUTO(buf_clear) struct buf copy = BUF_INIT(CMS_MAX_BYTES);
    AUTO(secret_clear) struct secret out = { 0 };
    uint8_t ski[SHA256_BYTES];
    struct why why = { 0 };

    if (buf_append(&copy, in) != ERR_OK)
        abort();
    sha256(rsa_key_spki(key), ski);
    memcpy(copy.ptr + (env->ski.ptr - in.ptr), ski, sizeof ski);
    if (cms_open(cx, buf_view(&copy), key, &out, &why) != ERR_VERIFY || out.ptr || why.at)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span in = span_of(data, size);
    struct cms_envelope env;
    struct why why = { 0 };
    size_t total = 0;

    if (!cx && (crypto_process_init() != ERR_OK || crypto_new(&cx) != ERR_OK ||
                rsa_key_new(cx, RSA_BITS_DEFAULT, &key) != ERR_OK))
        abort();
    if (cms_parse(in, &env, &why) != ERR_OK) {
        if (!why.what || why.at > size)
            abort();
        return 0;
    }
    inside(env.ski, in);
    inside(env.encrypted_key, in);
    inside(env.iv, in);
    for (size_t i = 0; i < env.n_chunks; i++) {
        inside(env.chunks[i], in);
        total += env.chunks[i].len;
    }
    if (env.ski.len != CMS_SKI_BYTES || env.iv.len != 16 || total == 0 || total % 16)
        abort();
    try_open(in, &env);
    return 0;
}
