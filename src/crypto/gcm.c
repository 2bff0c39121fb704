#include "crypto/gcm.h"

#include <stdlib.h>

#include "crypto/internal.h"

enum { PIECE_BYTES = 1 << 30 }; /* EVP counts in int */

struct gcm {
    EVP_CIPHER_CTX *ctx;
};

OSSL_CLEANER(EVP_CIPHER, EVP_CIPHER_free)

void gcm_free(struct gcm *g)
{
    if (!g)
        return;
    EVP_CIPHER_CTX_free(g->ctx); /* clears the key schedule */
    free(g);
}

void gcm_freep(struct gcm **g)
{
    gcm_free(*g);
    *g = NULL;
}

enum err gcm_new(struct crypto *cx, struct span key, enum gcm_direction way, struct gcm **out)
{
    const char *name = key.len == 16   ? "AES-128-GCM"
                       : key.len == 24 ? "AES-192-GCM"
                       : key.len == 32 ? "AES-256-GCM"
                                       : NULL;
    AUTO(EVP_CIPHER_free_p) EVP_CIPHER *fetched = NULL;
    EVP_CIPHER *cipher = cx->gcm;

    if (!name)
        return ERR_INTERNAL;
    if (key.len != AES256_KEY_BYTES)
        cipher = fetched = EVP_CIPHER_fetch(NULL, name, NULL);
    if (!cipher)
        return ossl_fail();
    AUTO(gcm_freep) struct gcm *g = calloc(1, sizeof *g);
    if (!g)
        return ERR_NOMEM;
    g->ctx = EVP_CIPHER_CTX_new();
    if (!g->ctx || EVP_CipherInit_ex2(g->ctx, cipher, key.ptr, NULL, way == GCM_SEAL, NULL) != 1)
        return ossl_no_room();
    *out = g;
    g = NULL;
    return ERR_OK;
}

enum err gcm_begin(struct gcm *g, const uint8_t iv[static GCM_IV_BYTES])
{
    return EVP_CipherInit_ex2(g->ctx, NULL, NULL, iv, -1, NULL) == 1 ? ERR_OK : ossl_fail();
}

/* `out` NULL: additional data. */
static enum err update(struct gcm *g, struct span in, uint8_t *out)
{
    for (size_t at = 0; at < in.len;) {
        size_t n = in.len - at < PIECE_BYTES ? in.len - at : PIECE_BYTES;
        int done = 0;
        if (EVP_CipherUpdate(g->ctx, out ? out + at : NULL, &done, in.ptr + at, (int)n) != 1)
            return ossl_fail();
        at += n;
    }
    return ERR_OK;
}

enum err gcm_aad(struct gcm *g, struct span aad)
{
    return update(g, aad, NULL);
}

enum err gcm_update(struct gcm *g, struct span in, uint8_t *out)
{
    return out || in.len == 0 ? update(g, in, out) : ERR_INTERNAL;
}

enum err gcm_tag(struct gcm *g, uint8_t tag[static GCM_TAG_BYTES])
{
    uint8_t none[AES_BLOCK_BYTES], made[GCM_TAG_BYTES];
    int n = 0;

    if (EVP_CipherFinal_ex(g->ctx, none, &n) != 1 ||
        EVP_CIPHER_CTX_ctrl(g->ctx, EVP_CTRL_AEAD_GET_TAG, GCM_TAG_BYTES, made) != 1)
        return ossl_fail();
    memcpy(tag, made, sizeof made);
    return ERR_OK;
}

enum err gcm_check(struct gcm *g, const uint8_t tag[static GCM_TAG_BYTES])
{
    uint8_t none[AES_BLOCK_BYTES], want[GCM_TAG_BYTES];
    int n = 0;

    memcpy(want, tag, sizeof want); /* EVP takes it from memory that is not const */
    if (EVP_CIPHER_CTX_ctrl(g->ctx, EVP_CTRL_AEAD_SET_TAG, GCM_TAG_BYTES, want) != 1)
        return ossl_fail();
    if (EVP_CipherFinal_ex(g->ctx, none, &n) == 1)
        return ERR_OK;
    enum err r = ossl_fail();
    return r == ERR_NOMEM ? r : ERR_VERIFY;
}
