#include "crypto/hkdf.h"

enum err hkdf_extract(struct crypto *cx, enum mac_alg alg, struct span salt, struct span key,
                      struct secret *prk)
{
    static const uint8_t zeros[MAC_MAX_BYTES];
    AUTO(secret_clear) struct secret made = { 0 };

    if (key.len == 0)
        return ERR_INTERNAL;
    if (salt.len == 0)
        salt = span_of(zeros, mac_bytes(alg));
    enum err r = secret_new(MAC_MAX_BYTES, &made);
    if (r == ERR_OK)
        r = mac_compute(cx, alg, salt, key, made.ptr);
    if (r != ERR_OK)
        return r;
    secret_shorten(&made, mac_bytes(alg));
    *prk = secret_take(&made);
    return ERR_OK;
}

enum err hkdf_expand(struct crypto *cx, enum mac_alg alg, const struct secret *prk,
                     struct span info, uint8_t *out, size_t len)
{
    uint8_t block[MAC_MAX_BYTES + HKDF_INFO_MAX_BYTES + 1];
    size_t hash = mac_bytes(alg), had = 0;
    enum err r = ERR_OK;

    if (info.len > HKDF_INFO_MAX_BYTES || len > 255 * hash)
        return ERR_INTERNAL;
    uint8_t t[MAC_MAX_BYTES];
    for (size_t at = 0; r == ERR_OK && at < len; at += hash) {
        if (info.len)
            memcpy(block + had, info.ptr, info.len);
        block[had + info.len] = (uint8_t)(at / hash + 1);
        r = mac_compute(cx, alg, secret_view(prk), span_of(block, had + info.len + 1), t);
        if (r != ERR_OK)
            break;
        memcpy(out + at, t, len - at < hash ? len - at : hash);
        memcpy(block, t, hash);
        had = hash;
    }
    wipe(t, sizeof t);
    wipe(block, sizeof block);
    if (r != ERR_OK)
        wipe(out, len);
    return r;
}
