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

void sha256_parts(const struct span *parts, size_t n, uint8_t out[static SHA256_BYTES])
{
    struct sha256_state s;

    sha256_begin(&s);
    for (size_t i = 0; i < n; i++)
        sha256_more(&s, parts[i]);
    sha256_end(&s, out);
}

void sha256(struct span in, uint8_t out[static SHA256_BYTES])
{
    sha256_parts(&in, 1, out);
}

/* SHA-384 is SHA-512 from another start, cut (FIPS 180-4 section 6.5). */
static void long_parts(SHA512_CTX *s, const struct span *parts, size_t n, uint8_t *out)
{
    for (size_t i = 0; i < n; i++)
        if (parts[i].len)
            SHA512_Update(s, parts[i].ptr, parts[i].len);
    SHA512_Final(out, s);
    wipe(s, sizeof *s);
}

void sha384_parts(const struct span *parts, size_t n, uint8_t out[static SHA384_BYTES])
{
    SHA512_CTX s;

    SHA384_Init(&s);
    long_parts(&s, parts, n, out);
}

void sha384(struct span in, uint8_t out[static SHA384_BYTES])
{
    sha384_parts(&in, 1, out);
}

static void sha512_parts(const struct span *parts, size_t n, uint8_t *out)
{
    SHA512_CTX s;

    SHA512_Init(&s);
    long_parts(&s, parts, n, out);
}

/* What HMAC has to know of a hash. */
struct plain_hash {
    void (*of)(const struct span *parts, size_t n, uint8_t *out);
    size_t block_bytes, bytes;
};

/* FIPS 198-1 section 4, by hand: EVP_MAC keeps a copy of the key until the next one, and costs
 * more for a short input because it copies contexts. */
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

void hmac_sha256(struct span key, struct span in, uint8_t out[static HMAC_SHA256_BYTES])
{
    static const struct plain_hash h = { sha256_parts, SHA256_BLOCK_BYTES, SHA256_BYTES };

    hmac(&h, key, in, out);
}

void hmac_sha512(struct span key, struct span in, uint8_t out[static HMAC_SHA512_BYTES])
{
    static const struct plain_hash h = { sha512_parts, SHA512_BLOCK_BYTES, HMAC_SHA512_BYTES };

    hmac(&h, key, in, out);
}
