#include "crypto/mac.h"

#include "crypto/internal.h"

enum { SEMIBLOCK_BYTES = 8, WRAPPED_MIN_BYTES = 16, WRAPPED_MAX_BYTES = 8192 };

static const struct {
    char hash[8]; /* an array, as OpenSSL's parameters take no const text */
    size_t bytes;
} algs[MAC_ALGS] = {
    [MAC_SHA224] = { "SHA224", 28 },
    [MAC_SHA256] = { "SHA256", 32 },
    [MAC_SHA384] = { "SHA384", 48 },
    [MAC_SHA512] = { "SHA512", 64 },
};

size_t mac_bytes(enum mac_alg alg)
{
    return algs[alg].bytes;
}

enum err mac_compute(struct crypto *cx, enum mac_alg alg, struct span key, struct span msg,
                     uint8_t out[static MAC_MAX_BYTES])
{
    uint8_t tag[MAC_MAX_BYTES];
    size_t len = 0;

    (void)cx;
    if (key.len == 0)
        return ERR_INTERNAL;
    const uint8_t *in = msg.len ? msg.ptr : (const uint8_t *)"";
    bool ok = EVP_Q_mac(NULL, "HMAC", NULL, algs[alg].hash, NULL, key.ptr, key.len, in, msg.len,
                        tag, sizeof tag, &len) != NULL &&
              len == algs[alg].bytes;
    if (ok)
        memcpy(out, tag, len);
    wipe(tag, sizeof tag); /* for a key derivation it is a key */
    return ok ? ERR_OK : ossl_fail();
}

OSSL_CLEANER(EVP_CIPHER, EVP_CIPHER_free)
OSSL_CLEANER(EVP_CIPHER_CTX, EVP_CIPHER_CTX_free)

enum err aes_kwp_open(struct crypto *cx, struct span key, struct span wrapped, struct secret *out)
{
    AUTO(secret_clear) struct secret plain = { 0 };
    int len = 0;

    (void)cx;
    if (key.len != AES_KWP_KEY_BYTES)
        return ERR_INTERNAL;
    if (wrapped.len < WRAPPED_MIN_BYTES || wrapped.len > WRAPPED_MAX_BYTES ||
        wrapped.len % SEMIBLOCK_BYTES)
        return ERR_VERIFY;
    enum err r = secret_new(wrapped.len, &plain);
    if (r != ERR_OK)
        return r;
    AUTO(EVP_CIPHER_free_p)
    EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, "AES-256-WRAP-PAD", NULL);
    AUTO(EVP_CIPHER_CTX_free_p) EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    if (!cipher || !ctx)
        return ossl_fail();
    EVP_CIPHER_CTX_set_flags(ctx, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
    if (EVP_DecryptInit_ex2(ctx, cipher, key.ptr, NULL, NULL) != 1)
        return ossl_fail();
    int ok = EVP_DecryptUpdate(ctx, plain.ptr, &len, wrapped.ptr, (int)wrapped.len);
    ERR_clear_error();
    if (ok != 1 || len <= 0)
        return ERR_VERIFY;
    secret_shorten(&plain, (size_t)len);
    *out = secret_take(&plain);
    return ERR_OK;
}
