#include "envelope/envelope.h"

enum err envelope_seal(struct crypto *cx, const struct secret *key, struct span plain,
                       struct buf *encrypted, uint8_t signature[static HMAC_SHA256_BYTES])
{
    struct span k = secret_view(key);
    uint8_t *at;

    if (k.len != AES256_KEY_BYTES)
        return ERR_INTERNAL;
    if (plain.len > SIZE_MAX - ENVELOPE_OVERHEAD_BYTES)
        return ERR_LIMIT;
    enum err r = buf_reserve(encrypted, ENVELOPE_OVERHEAD_BYTES + plain.len, &at);
    if (r != ERR_OK)
        return r;
    uint8_t *tag = at + GCM_IV_BYTES, *ct = at + ENVELOPE_OVERHEAD_BYTES;
    r = rng_public(cx, at, GCM_IV_BYTES);
    if (r == ERR_OK)
        r = aes256gcm_seal(cx, k, span_of(at, GCM_IV_BYTES), SPAN_EMPTY, plain, ct, tag);
    if (r != ERR_OK)
        return r;
    buf_commit(encrypted, ENVELOPE_OVERHEAD_BYTES + plain.len);
    hmac_sha256(k, plain, signature);
    return ERR_OK;
}

enum err envelope_open(struct crypto *cx, const struct secret *key, struct span encrypted,
                       struct span signature, struct buf *plain, bool *signature_valid,
                       struct why *why)
{
    struct span k = secret_view(key);
    struct span iv = span_sub(encrypted, 0, GCM_IV_BYTES);
    struct span tag = span_sub(encrypted, GCM_IV_BYTES, GCM_TAG_BYTES);
    struct span ct = span_from(encrypted, ENVELOPE_OVERHEAD_BYTES);
    uint8_t mac[HMAC_SHA256_BYTES];
    uint8_t *at;

    if (k.len != AES256_KEY_BYTES)
        return why_fail(why, ERR_INTERNAL, "data key length", 0);
    if (encrypted.len < ENVELOPE_OVERHEAD_BYTES)
        return why_fail(why, ERR_MALFORMED, "encrypted text is too short", encrypted.len);
    enum err r = buf_reserve(plain, ct.len, &at);
    if (r != ERR_OK)
        return why_fail(why, r, "plaintext buffer", 0);
    r = aes256gcm_open(cx, k, iv, SPAN_EMPTY, ct, tag, at);
    if (r != ERR_OK)
        return why_fail(why, r, "authentication tag", 0);
    hmac_sha256(k, span_of(at, ct.len), mac);
    *signature_valid = ct_eq(signature, SPAN_ARRAY(mac));
    buf_commit(plain, ct.len);
    wipe(mac, sizeof mac);
    return ERR_OK;
}
