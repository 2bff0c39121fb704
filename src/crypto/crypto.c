#include "crypto/internal.h"

#include <limits.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>

/* OpenSSL frees some buffers that held plaintext or key parts without overwriting them (the
 * decrypted block of an RSA operation, for one), and realloc() leaves the old block behind. */
static void *wiping_malloc(size_t n, const char *file, int line)
{
    (void)file;
    (void)line;
    return malloc(n);
}

static void wiping_free(void *p, const char *file, int line)
{
    (void)file;
    (void)line;
    if (!p)
        return;
    wipe(p, malloc_usable_size(p));
    free(p);
}

static void *wiping_realloc(void *p, size_t n, const char *file, int line)
{
    if (!p)
        return malloc(n);
    if (n == 0) {
        wiping_free(p, file, line);
        return NULL;
    }
    size_t had = malloc_usable_size(p);
    if (n <= had && n >= had / 2)
        return p; /* fits, and would not waste much */
    void *q = malloc(n);
    if (!q)
        return NULL;
    memcpy(q, p, n < had ? n : had);
    wiping_free(p, file, line);
    return q;
}

enum err crypto_process_init(void)
{
    static atomic_flag done = ATOMIC_FLAG_INIT;

    if (atomic_flag_test_and_set(&done))
        return ERR_OK;
    if (CRYPTO_set_mem_functions(wiping_malloc, wiping_realloc, wiping_free) != 1)
        return ERR_CRYPTO;
    /* OpenSSL 3.0 goes on with a default context that could not be made for want of memory, and
     * follows its locks, which are not there. Only this call says so. */
    if (!OSSL_LIB_CTX_get0_global_default())
        return ERR_NOMEM;
    /* Whoever initialises first decides: openssl.cnf, and OPENSSL_CONF with it, is never read. */
    uint64_t opts = OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_NO_LOAD_CRYPTO_STRINGS |
                    OPENSSL_INIT_NO_LOAD_SSL_STRINGS;
    if (OPENSSL_init_crypto(opts, NULL) != 1 || OPENSSL_init_ssl(opts, NULL) != 1)
        return ossl_fail();
    return ERR_OK;
}

/* Keyed from the start, so that later calls need not name the algorithm. */
static bool cipher_prepare(const char *name, EVP_CIPHER **cipher, EVP_CIPHER_CTX **ctx)
{
    static const uint8_t zero_key[32], zero_iv[16];

    *cipher = EVP_CIPHER_fetch(NULL, name, NULL);
    *ctx = EVP_CIPHER_CTX_new();
    return *cipher && *ctx && EVP_EncryptInit_ex2(*ctx, *cipher, zero_key, zero_iv, NULL) == 1 &&
           EVP_CIPHER_CTX_set_padding(*ctx, 0) == 1;
}

enum err crypto_new(struct crypto **out)
{
    AUTO(crypto_freep) struct crypto *cx = calloc(1, sizeof *cx);

    if (!cx)
        return ERR_NOMEM;
    if (!(cx->sha256 = EVP_MD_fetch(NULL, "SHA2-256", NULL)) ||
        !(cx->sha384 = EVP_MD_fetch(NULL, "SHA2-384", NULL)) ||
        !cipher_prepare("AES-256-GCM", &cx->gcm, &cx->gcm_ctx) ||
        !cipher_prepare("AES-256-CBC", &cx->cbc, &cx->cbc_ctx) ||
        !(cx->hmac = EVP_MAC_fetch(NULL, "HMAC", NULL)))
        return ossl_fail();
    *out = cx;
    cx = NULL;
    return ERR_OK;
}

void crypto_free(struct crypto *cx)
{
    if (!cx)
        return;
    EVP_MAC_free(cx->hmac);
    EVP_CIPHER_CTX_free(cx->cbc_ctx);
    EVP_CIPHER_CTX_free(cx->gcm_ctx);
    EVP_CIPHER_free(cx->cbc);
    EVP_CIPHER_free(cx->gcm);
    EVP_MD_free(cx->sha384);
    EVP_MD_free(cx->sha256);
    wipe(&cx->ahead, sizeof cx->ahead);
    free(cx);
}

void crypto_freep(struct crypto **cx)
{
    crypto_free(*cx);
    *cx = NULL;
}

/* The private generator of this thread: what comes out may become a key. */
enum err rng_bytes(struct crypto *cx, uint8_t *out, size_t len)
{
    (void)cx; /* OpenSSL keeps the generator per thread itself */
    for (size_t at = 0; at < len;) {
        size_t n = len - at < INT_MAX ? len - at : INT_MAX;
        if (RAND_priv_bytes_ex(NULL, out + at, n, 0) != 1) {
            wipe(out, len);
            return ossl_fail();
        }
        at += n;
    }
    return ERR_OK;
}

enum err rng_public(struct crypto *cx, uint8_t *out, size_t len)
{
    struct ahead *a = &cx->ahead;

    if (len > sizeof a->bytes)
        return rng_bytes(cx, out, len);
    if (len > a->left) {
        if (RAND_bytes_ex(NULL, a->bytes, sizeof a->bytes, 0) != 1) {
            a->left = 0;
            return ossl_fail();
        }
        a->left = sizeof a->bytes;
    }
    uint8_t *from = a->bytes + sizeof a->bytes - a->left;
    if (len > 0)
        memcpy(out, from, len);
    wipe(from, len); /* nothing is given out twice */
    a->left -= len;
    return ERR_OK;
}
