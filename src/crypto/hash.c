/* OpenSSL deprecates its plain functions for the sake of other providers, of which there is none
 * here. A short text costs half as much with them, they allocate nothing, and a state can be copied
 * and wiped. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "crypto/hash.h"

#include <openssl/sha.h>

#include "crypto/internal.h"

enum { SHA256_BLOCK_BYTES = 64, SHA512_BLOCK_BYTES = 128 };

_Static_assert(sizeof(SHA256_CTX) == sizeof(struct sha256_state), "the state is SHA256_CTX");

static SHA256_CTX *ctx_of(struct sha256_state *s)
{
    return (SHA256_CTX *)(void *)s;
}

void sha256_begin(struct sha256_state *s)
{
    SHA256_Init(ctx_of(s));
}

void sha256_more(struct sha256_state *s, struct span in)
{
    if (in.len)
        SHA256_Update(ctx_of(s), in.ptr, in.len);
}

void sha256_end(struct sha256_state *s, uint8_t out[static SHA256_BYTES])
{
    SHA256_Final(out, ctx_of(s));
    wipe(s, sizeof *s);
}

/* Back to the initial state: neither the chaining value nor a rest of the input stays. OpenSSL 3.0
 * allocates the state anew for that; without memory there is simply none until the next call. */
static void forget(struct hash *h)
{
    h->fresh = EVP_DigestInit_ex2(h->ctx, NULL, NULL) == 1;
    if (!h->fresh)
        EVP_MD_CTX_reset(h->ctx);
}

static enum err digest(struct hash *h, const struct span *parts, size_t n, uint8_t *out,
                       size_t out_len)
{
    uint8_t md[SHA384_BYTES];
    bool ok = h->fresh || EVP_DigestInit_ex2(h->ctx, h->md, NULL) == 1;

    for (size_t i = 0; i < n; i++)
        ok = ok && EVP_DigestUpdate(h->ctx, parts[i].ptr, parts[i].len) == 1;
    ok = ok && EVP_DigestFinal_ex(h->ctx, md, NULL) == 1;
    forget(h);
    if (ok)
        memcpy(out, md, out_len);
    wipe(md, sizeof md);
    return ok ? ERR_OK : ossl_fail();
}

static void sha256_of(const struct span *parts, size_t n, uint8_t *out)
{
    struct sha256_state s;

    sha256_begin(&s);
    for (size_t i = 0; i < n; i++)
        sha256_more(&s, parts[i]);
    sha256_end(&s, out);
}

enum err sha256(struct crypto *cx, struct span in, uint8_t out[static SHA256_BYTES])
{
    return sha256_parts(cx, &in, 1, out);
}

enum err sha384(struct crypto *cx, struct span in, uint8_t out[static SHA384_BYTES])
{
    return digest(&cx->sha384, &in, 1, out, SHA384_BYTES);
}

enum err sha256_parts(struct crypto *cx, const struct span *parts, size_t n,
                      uint8_t out[static SHA256_BYTES])
{
    (void)cx;
    sha256_of(parts, n, out);
    return ERR_OK;
}

enum err sha384_parts(struct crypto *cx, const struct span *parts, size_t n,
                      uint8_t out[static SHA384_BYTES])
{
    return digest(&cx->sha384, parts, n, out, SHA384_BYTES);
}

/* A hash of parts that cannot fail, and what HMAC has to know of it. */
struct plain_hash {
    void (*of)(const struct span *parts, size_t n, uint8_t *out);
    size_t block_bytes, bytes;
};

static void sha512_of(const struct span *parts, size_t n, uint8_t *out)
{
    SHA512_CTX s;

    SHA512_Init(&s);
    for (size_t i = 0; i < n; i++)
        if (parts[i].len)
            SHA512_Update(&s, parts[i].ptr, parts[i].len);
    SHA512_Final(out, &s);
    wipe(&s, sizeof s);
}

/* FIPS 198-1 section 4, by hand: EVP_MAC keeps a copy of the key until the next one, and costs
 * more for a short input because it copies contexts. `out` may be where `key` or `in` is. */
static void hmac(const struct plain_hash *h, struct span key, struct span in, uint8_t *out)
{
    uint8_t pad[SHA512_BLOCK_BYTES] = { 0 }, mac[HMAC_SHA512_BYTES];
    const struct span block = span_of(pad, h->block_bytes), inner = span_of(mac, h->bytes);

    if (key.len > block.len)
        h->of(&key, 1, pad);
    else if (key.len)
        memcpy(pad, key.ptr, key.len);
    for (size_t i = 0; i < block.len; i++)
        pad[i] ^= 0x36;
    h->of((struct span[]){ block, in }, 2, mac);
    for (size_t i = 0; i < block.len; i++)
        pad[i] ^= 0x36 ^ 0x5c;
    h->of((struct span[]){ block, inner }, 2, mac);
    memcpy(out, mac, h->bytes);
    wipe(pad, sizeof pad);
    wipe(mac, sizeof mac);
}

enum err hmac_sha256(struct crypto *cx, struct span key, struct span in,
                     uint8_t out[static HMAC_SHA256_BYTES])
{
    static const struct plain_hash h = { sha256_of, SHA256_BLOCK_BYTES, SHA256_BYTES };

    (void)cx;
    hmac(&h, key, in, out);
    return ERR_OK;
}

void hmac_sha512(struct span key, struct span in, uint8_t out[static HMAC_SHA512_BYTES])
{
    static const struct plain_hash h = { sha512_of, SHA512_BLOCK_BYTES, HMAC_SHA512_BYTES };

    hmac(&h, key, in, out);
}
