#include "localkms/import_token.h"

#include "crypto/aead.h"

/* version, key id, algorithm, 8 bytes of time, PKCS#8; sealed: IV before, tag after it. */
enum {
    VERSION = 1,
    HEAD_BYTES = 1 + KEY_ID_BYTES + 1 + 8,
    SEAL_BYTES = GCM_IV_BYTES + GCM_TAG_BYTES,
    TOKEN_MAX_BYTES = 6144,
};

#define LABEL SPAN_LIT("nitroseal import token")

void import_token_clear(struct import_token *t)
{
    secret_clear(&t->pkcs8);
}

enum err import_token_write(struct crypto *cx, struct span master_key, const struct import_token *t,
                            struct buf *out)
{
    AUTO(secret_clear) struct secret plain = { 0 };
    uint8_t *room = NULL;

    enum err r = secret_new(HEAD_BYTES + t->pkcs8.len, &plain);
    if (r == ERR_OK)
        r = buf_reserve(out, SEAL_BYTES + plain.len, &room);
    if (r == ERR_OK)
        r = rng_bytes(cx, room, GCM_IV_BYTES);
    if (r != ERR_OK)
        return r;
    plain.ptr[0] = VERSION;
    memcpy(plain.ptr + 1, t->key_id, KEY_ID_BYTES);
    plain.ptr[1 + KEY_ID_BYTES] = (uint8_t)t->algorithm;
    for (unsigned i = 0; i < 8; i++)
        plain.ptr[HEAD_BYTES - 8 + i] = (uint8_t)((uint64_t)t->valid_to_s >> (56 - 8 * i));
    memcpy(plain.ptr + HEAD_BYTES, t->pkcs8.ptr, t->pkcs8.len);
    r = aes256gcm_seal(cx, master_key, span_of(room, GCM_IV_BYTES), LABEL, secret_view(&plain),
                       room + GCM_IV_BYTES, room + GCM_IV_BYTES + plain.len);
    if (r == ERR_OK)
        buf_commit(out, SEAL_BYTES + plain.len);
    return r;
}

static enum err take_apart(const struct secret *plain, struct import_token *out)
{
    struct import_token t = { .key_id = "" };
    const uint8_t *p = plain->ptr;
    uint64_t time = 0;

    if (p[0] != VERSION || p[1 + KEY_ID_BYTES] < IMPORT_OAEP_SHA1 ||
        p[1 + KEY_ID_BYTES] > IMPORT_AES_WRAP_SHA256)
        return ERR_VERIFY;
    memcpy(t.key_id, p + 1, KEY_ID_BYTES);
    t.algorithm = (enum import_algorithm)p[1 + KEY_ID_BYTES];
    for (unsigned i = 0; i < 8; i++)
        time = time << 8 | p[HEAD_BYTES - 8 + i];
    t.valid_to_s = (int64_t)time;
    enum err r = secret_copy(span_from(secret_view(plain), HEAD_BYTES), &t.pkcs8);
    if (r == ERR_OK)
        *out = t;
    return r;
}

enum err import_token_open(struct crypto *cx, struct span master_key, struct span in,
                           struct import_token *out)
{
    AUTO(secret_clear) struct secret plain = { 0 };

    if (in.len <= SEAL_BYTES + HEAD_BYTES || in.len > TOKEN_MAX_BYTES)
        return ERR_VERIFY;
    enum err r = secret_new(in.len - SEAL_BYTES, &plain);
    if (r == ERR_OK)
        r = aes256gcm_open(cx, master_key, span_sub(in, 0, GCM_IV_BYTES), LABEL,
                           span_sub(in, GCM_IV_BYTES, plain.len),
                           span_from(in, GCM_IV_BYTES + plain.len), plain.ptr);
    return r == ERR_OK ? take_apart(&plain, out) : r;
}

static enum err unwrap_two(struct crypto *cx, const struct akey *key, enum akey_oaep_hash hash,
                           struct span wrapped, struct secret *out)
{
    AUTO(secret_clear) struct secret aes = { 0 };
    size_t rsa_bytes = akey_oaep_max_bytes(key, AKEY_OAEP_SHA256) + 2 * SHA256_BYTES + 2;

    enum err r = akey_oaep_open(cx, key, hash, span_sub(wrapped, 0, rsa_bytes), &aes);
    if (r != ERR_OK)
        return r;
    return aes.len == AES_KWP_KEY_BYTES
               ? aes_kwp_open(cx, secret_view(&aes), span_from(wrapped, rsa_bytes), out)
               : ERR_VERIFY;
}

enum err import_unwrap(struct crypto *cx, const struct import_token *t, struct span wrapped,
                       struct secret *out)
{
    AUTO(akey_freep) struct akey *key = NULL;
    bool two = t->algorithm == IMPORT_AES_WRAP_SHA1 || t->algorithm == IMPORT_AES_WRAP_SHA256;
    enum akey_oaep_hash hash =
        t->algorithm == IMPORT_OAEP_SHA1 || t->algorithm == IMPORT_AES_WRAP_SHA1 ? AKEY_OAEP_SHA1
                                                                                 : AKEY_OAEP_SHA256;

    enum err r = akey_parse(cx, secret_view(&t->pkcs8), &key, NULL);
    if (r != ERR_OK)
        return ERR_VERIFY;
    return two ? unwrap_two(cx, key, hash, wrapped, out)
               : akey_oaep_open(cx, key, hash, wrapped, out);
}
