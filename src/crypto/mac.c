#include "crypto/mac.h"

#include "crypto/hash.h"
#include "crypto/internal.h"

#include <openssl/core_names.h>

enum { SEMIBLOCK_BYTES = 8, WRAPPED_MIN_BYTES = 16, WRAPPED_MAX_BYTES = 8192 };

static const struct {
    char hash[8];
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

OSSL_CLEANER(EVP_MAC_CTX, EVP_MAC_CTX_free)

enum err mac_compute(struct crypto *cx, enum mac_alg alg, struct span key, struct span msg,
                     uint8_t out[static MAC_MAX_BYTES])
{
    char hash[sizeof algs[0].hash];
    uint8_t tag[MAC_MAX_BYTES];
    size_t len = 0;

    if (key.len == 0)
        return ERR_INTERNAL;
    if (alg == MAC_SHA512) { /* three times for the keys of a message */
        hmac_sha512(key, msg, out);
        return ERR_OK;
    }
    memcpy(hash, algs[alg].hash, sizeof hash); /* OpenSSL's parameters take no const text */
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, hash, 0),
        OSSL_PARAM_construct_end(),
    };
    AUTO(EVP_MAC_CTX_free_p) EVP_MAC_CTX *ctx = EVP_MAC_CTX_new(cx->hmac);
    bool ok = ctx && EVP_MAC_init(ctx, key.ptr, key.len, params) == 1 &&
              (msg.len == 0 || EVP_MAC_update(ctx, msg.ptr, msg.len) == 1) &&
              EVP_MAC_final(ctx, tag, &len, sizeof tag) == 1 && len == algs[alg].bytes;
    if (ok)
        memcpy(out, tag, len);
    wipe(tag, sizeof tag); /* for a key derivation it is a key */
    return ok ? ERR_OK : ossl_no_room();
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
