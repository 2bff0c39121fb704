#include "crypto/aead.h"

#include "crypto/internal.h"

enum { CHUNK_BYTES = 1 << 30 }; /* EVP counts in int */
/* NIST SP 800-38D section 5.2.1.1: 2^39 - 256 bits of plaintext. */
static const uint64_t GCM_TEXT_MAX_BYTES = (UINT64_C(1) << 36) - 32;

static const uint8_t zeros[AES256_KEY_BYTES];

/* Key and IV of the last operation out of the context: the new key schedule overwrites the old,
 * and GCM's whole state is cleared with it. */
static bool forget(EVP_CIPHER_CTX *ctx)
{
    return EVP_EncryptInit_ex2(ctx, NULL, zeros, zeros, NULL) == 1;
}

/* `out` NULL: additional data. */
static bool update(EVP_CIPHER_CTX *ctx, struct span in, uint8_t *out)
{
    for (size_t at = 0; at < in.len;) {
        size_t n = in.len - at < CHUNK_BYTES ? in.len - at : CHUNK_BYTES;
        int done = 0;
        if (EVP_CipherUpdate(ctx, out ? out + at : NULL, &done, in.ptr + at, (int)n) != 1)
            return false;
        at += n;
    }
    return true;
}

static bool gcm_arguments(struct span key, struct span iv, struct span text)
{
    return key.len == AES256_KEY_BYTES && iv.len == GCM_IV_BYTES && text.len <= GCM_TEXT_MAX_BYTES;
}

enum err aes256gcm_seal(struct crypto *cx, struct span key, struct span iv, struct span aad,
                        struct span plain, uint8_t *out, uint8_t tag[static GCM_TAG_BYTES])
{
    EVP_CIPHER_CTX *ctx = cx->gcm_ctx;
    uint8_t none[AES_BLOCK_BYTES], made[GCM_TAG_BYTES];
    int n = 0;

    if (!gcm_arguments(key, iv, plain))
        return ERR_INTERNAL;
    bool ok = EVP_EncryptInit_ex2(ctx, NULL, key.ptr, iv.ptr, NULL) == 1 &&
              update(ctx, aad, NULL) && update(ctx, plain, out) &&
              EVP_EncryptFinal_ex(ctx, none, &n) == 1 &&
              EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, GCM_TAG_BYTES, made) == 1;
    ok = forget(ctx) && ok;
    if (!ok)
        return ossl_fail();
    memcpy(tag, made, sizeof made);
    return ERR_OK;
}

enum err aes256gcm_open(struct crypto *cx, struct span key, struct span iv, struct span aad,
                        struct span ct, struct span tag, uint8_t *out)
{
    EVP_CIPHER_CTX *ctx = cx->gcm_ctx;
    uint8_t none[AES_BLOCK_BYTES], want[GCM_TAG_BYTES];
    int n = 0;

    if (!gcm_arguments(key, iv, ct))
        return ERR_INTERNAL;
    if (tag.len != GCM_TAG_BYTES) { /* a shorter one would be easier to forge */
        wipe(out, ct.len);
        return ERR_VERIFY;
    }
    memcpy(want, tag.ptr, sizeof want); /* EVP takes it from memory that is not const */
    bool ok = EVP_DecryptInit_ex2(ctx, NULL, key.ptr, iv.ptr, NULL) == 1 &&
              update(ctx, aad, NULL) && update(ctx, ct, out) &&
              EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, GCM_TAG_BYTES, want) == 1;
    bool holds = ok && EVP_DecryptFinal_ex(ctx, none, &n) == 1;
    ok = forget(ctx) && ok;
    if (ok && holds)
        return ERR_OK;
    wipe(out, ct.len);
    enum err r = ossl_fail();
    return ok ? ERR_VERIFY : r;
}

/* Padding is ours in both directions: EVP would keep the last block of plaintext in the context. */
enum err aes256cbc_seal(struct crypto *cx, struct span key, struct span iv, struct span plain,
                        struct buf *out)
{
    EVP_CIPHER_CTX *ctx = cx->cbc_ctx;
    size_t whole = plain.len / AES_BLOCK_BYTES * AES_BLOCK_BYTES, rest = plain.len - whole;
    uint8_t last[AES_BLOCK_BYTES], *ct = NULL;

    if (key.len != AES256_KEY_BYTES || iv.len != CBC_IV_BYTES)
        return ERR_INTERNAL;
    enum err r = buf_reserve(out, whole + AES_BLOCK_BYTES, &ct);
    if (r != ERR_OK)
        return r;
    memset(last, (int)(AES_BLOCK_BYTES - rest), sizeof last); /* PKCS#7 */
    if (rest)
        memcpy(last, plain.ptr + whole, rest);
    bool ok = EVP_EncryptInit_ex2(ctx, NULL, key.ptr, iv.ptr, NULL) == 1 &&
              update(ctx, span_sub(plain, 0, whole), ct) &&
              update(ctx, SPAN_ARRAY(last), ct + whole);
    ok = forget(ctx) && ok;
    wipe(last, sizeof last);
    if (!ok)
        return ossl_fail();
    buf_commit(out, whole + AES_BLOCK_BYTES);
    return ERR_OK;
}

/* 0xff if a < b, else 0; both below 256. */
static uint8_t ct_less(unsigned a, unsigned b)
{
    return (uint8_t)((a - b) >> 8);
}

/* The number of padding bytes, or 0 if they are wrong: the same steps for every content. */
static size_t pkcs7_padding(const uint8_t last[static AES_BLOCK_BYTES])
{
    unsigned n = last[AES_BLOCK_BYTES - 1];
    uint8_t bad = (uint8_t)(ct_less(n, 1) | ct_less(AES_BLOCK_BYTES, n));

    for (unsigned i = 0; i < AES_BLOCK_BYTES; i++)
        bad |= (uint8_t)(ct_less(i, n) & (last[AES_BLOCK_BYTES - 1 - i] ^ n));
    return n & ct_less(bad, 1);
}

enum err aes256cbc_open(struct crypto *cx, struct span key, struct span iv, struct span ct,
                        struct secret *out)
{
    AUTO(secret_clear) struct secret plain = { 0 };
    EVP_CIPHER_CTX *ctx = cx->cbc_ctx;

    if (key.len != AES256_KEY_BYTES || iv.len != CBC_IV_BYTES || ct.len == 0 ||
        ct.len % AES_BLOCK_BYTES != 0)
        return ERR_INTERNAL;
    enum err r = secret_new(ct.len, &plain);
    if (r != ERR_OK)
        return r;
    bool ok = EVP_DecryptInit_ex2(ctx, NULL, key.ptr, iv.ptr, NULL) == 1 &&
              EVP_CIPHER_CTX_set_padding(ctx, 0) == 1 && update(ctx, ct, plain.ptr);
    ok = forget(ctx) && ok;
    if (!ok)
        return ossl_fail();
    size_t padding = pkcs7_padding(plain.ptr + ct.len - AES_BLOCK_BYTES);
    if (padding == 0)
        return ERR_VERIFY;
    secret_shorten(&plain, ct.len - padding);
    *out = secret_take(&plain);
    return ERR_OK;
}
