#include "crypto/rsa.h"

#include <stdatomic.h>
#include <stdlib.h>

#include <openssl/core_names.h>
#include <openssl/rsa.h>

#include "crypto/der.h"
#include "crypto/hash.h"
#include "crypto/internal.h"
#include "crypto/pem.h"
#include "crypto/rsa_gen.h"

enum {
    RSA_MIN_BYTES = 256,
    RSA_MAX_BYTES = 512,
    EXPONENT_MAX_BYTES = 8,
    EXPONENT_MIN = 65537,
    OAEP_OVERHEAD_BYTES = 2 * SHA256_BYTES + 2, /* RFC 8017 section 7.1.1 */
};

struct rsa_key {
    EVP_PKEY *pkey;
    EVP_PKEY_CTX *open; /* set up for OAEP; never used itself, each operation takes a copy */
    uint8_t *spki;
    size_t spki_len, bytes;
    uint8_t spki_sha256[SHA256_BYTES];
    atomic_uint refs;
};

struct rsa_pub {
    EVP_PKEY *pkey;
    size_t bytes;
};

/* rsaEncryption with its NULL (RFC 3279 section 2.3.1). */
static const uint8_t alg_rsa[] = { 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7,
                                   0x0d, 0x01, 0x01, 0x01, 0x05, 0x00 };

static bool set_oaep(EVP_PKEY_CTX *ctx)
{
    return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) == 1 &&
           EVP_PKEY_CTX_set_rsa_oaep_md_name(ctx, "SHA2-256", NULL) == 1 &&
           EVP_PKEY_CTX_set_rsa_mgf1_md_name(ctx, "SHA2-256", NULL) == 1;
}

static void key_destroy(struct rsa_key *key)
{
    EVP_PKEY_CTX_free(key->open);
    EVP_PKEY_free(key->pkey);
    OPENSSL_free(key->spki);
    free(key);
}

/* Takes over `pkey`, also on failure. */
static enum err key_wrap(EVP_PKEY *pkey, struct rsa_key **out)
{
    struct rsa_key *key = calloc(1, sizeof *key);

    if (!key) {
        EVP_PKEY_free(pkey);
        return ERR_NOMEM;
    }
    key->pkey = pkey;
    int bytes = EVP_PKEY_get_size(pkey); /* 0 where there was no memory to ask for it */
    key->bytes = bytes > 0 ? (size_t)bytes : 0;
    atomic_init(&key->refs, 1);
    int n = i2d_PUBKEY(pkey, &key->spki);
    key->spki_len = n > 0 ? (size_t)n : 0;
    key->open = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);
    if (n <= 0 || bytes <= 0 || !key->open || EVP_PKEY_decrypt_init(key->open) != 1 ||
        !set_oaep(key->open)) {
        key_destroy(key);
        return ossl_fail();
    }
    sha256(rsa_key_spki(key), key->spki_sha256);
    *out = key;
    return ERR_OK;
}

enum err rsa_key_new(struct crypto *cx, unsigned bits, struct rsa_key **out)
{
    EVP_PKEY *pkey = NULL;

    (void)cx;
    enum err r = rsa_generate(bits, &pkey);
    if (r != ERR_OK)
        return r;
    return key_wrap(pkey, out);
}

enum err rsa_key_parse_pem(struct crypto *cx, struct span pem, struct rsa_key **out,
                           struct why *why)
{
    EVP_PKEY *pkey = NULL;

    (void)cx;
    enum err r = pem_private_key(pem, "RSA", &pkey, why);
    if (r != ERR_OK)
        return r;
    int bytes = EVP_PKEY_get_size(pkey);
    if (bytes < RSA_MIN_BYTES || bytes > RSA_MAX_BYTES) {
        EVP_PKEY_free(pkey);
        return why_fail(why, ERR_UNSUPPORTED, "RSA key size", 0);
    }
    r = key_wrap(pkey, out);
    return r == ERR_OK ? r : why_fail(why, r, "private key", 0);
}

struct rsa_key *rsa_key_ref(struct rsa_key *key)
{
    atomic_fetch_add_explicit(&key->refs, 1, memory_order_relaxed);
    return key;
}

void rsa_key_free(struct rsa_key *key)
{
    if (key && atomic_fetch_sub_explicit(&key->refs, 1, memory_order_acq_rel) == 1)
        key_destroy(key);
}

void rsa_key_freep(struct rsa_key **key)
{
    rsa_key_free(*key);
    *key = NULL;
}

struct span rsa_key_spki(const struct rsa_key *key)
{
    return span_of(key->spki, key->spki_len);
}

struct span rsa_key_spki_sha256(const struct rsa_key *key)
{
    return SPAN_ARRAY(key->spki_sha256);
}

size_t rsa_key_bytes(const struct rsa_key *key)
{
    return key->bytes;
}

/* Of a decryption that failed; empties the queue. What is wrong with a ciphertext is written there,
 * what was missing to find out (nothing but memory) is not always. */
static enum err why_not_opened(void)
{
    enum err r = ERR_NOMEM;

    for (unsigned long e = ERR_get_error(); e != 0; e = ERR_get_error()) {
        int reason = ERR_GET_REASON(e);
        if (ERR_GET_LIB(e) == ERR_LIB_RSA &&
            (reason == RSA_R_OAEP_DECODING_ERROR || reason == RSA_R_DATA_TOO_LARGE_FOR_MODULUS))
            r = ERR_VERIFY;
    }
    return r;
}

/* The library's reasons are not told apart: whether padding or number was wrong is what
 * Manger's attack on OAEP wants to know. That memory was missing says nothing of either: what asks
 * for it does so whatever the block looks like. */
enum err rsa_oaep_open(struct crypto *cx, const struct rsa_key *key, struct span ct,
                       struct secret *out)
{
    AUTO(secret_clear) struct secret plain = { 0 };
    size_t len = key->bytes;

    (void)cx;
    if (ct.len != key->bytes)
        return ERR_VERIFY;
    enum err r = secret_new(len, &plain);
    if (r != ERR_OK)
        return r;
    AUTO(EVP_PKEY_CTX_free_p) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_dup(key->open);
    if (!ctx)
        return ossl_no_room();
    if (EVP_PKEY_decrypt(ctx, plain.ptr, &len, ct.ptr, ct.len) != 1)
        return why_not_opened();
    ERR_clear_error();
    secret_shorten(&plain, len);
    *out = secret_take(&plain);
    return ERR_OK;
}

struct rsa_numbers {
    struct span n, e; /* big-endian, no leading zeros */
};

static enum err spki_parse(struct span spki, struct rsa_numbers *out, struct why *why)
{
    struct der d = der_init(spki);
    struct der info = der_init(der_take(&d, DER_SEQUENCE));
    struct span alg = der_take(&info, DER_SEQUENCE);
    struct der bits = der_init(der_take_bits(&info));

    if (!der_end(&d) || !der_end(&info))
        return why_fail(why, ERR_MALFORMED, "SubjectPublicKeyInfo", 0);
    if (!span_eq(alg, SPAN_ARRAY(alg_rsa)))
        return why_fail(why, ERR_UNSUPPORTED, "key algorithm", 0);
    struct der seq = der_init(der_take(&bits, DER_SEQUENCE));
    struct span n = der_take_uint(&seq, SIZE_MAX);
    struct span e = der_take_uint(&seq, SIZE_MAX);
    if (!der_end(&bits) || !der_end(&seq) || n.len == 0 || e.len == 0)
        return why_fail(why, ERR_MALFORMED, "RSAPublicKey", 0);
    *out = (struct rsa_numbers){ n, e };
    return ERR_OK;
}

static enum err numbers_check(const struct rsa_numbers *k, struct why *why)
{
    uint64_t e = 0;

    if (k->n.len < RSA_MIN_BYTES || k->n.ptr[0] < 0x80 || k->n.len > RSA_MAX_BYTES)
        return why_fail(why, ERR_UNSUPPORTED, "RSA key size", 0);
    if (k->n.ptr[k->n.len - 1] % 2 == 0)
        return why_fail(why, ERR_MALFORMED, "RSA modulus is even", 0);
    if (k->e.len > EXPONENT_MAX_BYTES)
        return why_fail(why, ERR_UNSUPPORTED, "RSA exponent", 0);
    for (size_t i = 0; i < k->e.len; i++)
        e = e << 8 | k->e.ptr[i];
    if (e < EXPONENT_MIN || e % 2 == 0)
        return why_fail(why, ERR_UNSUPPORTED, "RSA exponent", 0);
    return ERR_OK;
}

/* Through EVP_PKEY_fromdata: on OpenSSL 3.0 the decoder behind d2i costs four times as much.
 * OSSL_PARAM wants the numbers in the machine's byte order, which is little-endian here. */
static EVP_PKEY *make_public(const struct rsa_numbers *k)
{
    uint8_t n[RSA_MAX_BYTES], e[EXPONENT_MAX_BYTES];
    EVP_PKEY *pkey = NULL;

    for (size_t i = 0; i < k->n.len; i++)
        n[i] = k->n.ptr[k->n.len - 1 - i];
    for (size_t i = 0; i < k->e.len; i++)
        e[i] = k->e.ptr[k->e.len - 1 - i];
    _Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "x86-64 and AArch64 Linux");
    OSSL_PARAM params[] = { OSSL_PARAM_construct_BN(OSSL_PKEY_PARAM_RSA_N, n, k->n.len),
                            OSSL_PARAM_construct_BN(OSSL_PKEY_PARAM_RSA_E, e, k->e.len),
                            OSSL_PARAM_construct_end() };
    AUTO(EVP_PKEY_CTX_free_p)
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    if (!ctx || EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1)
        return NULL;
    return pkey;
}

enum err rsa_pub_parse(struct crypto *cx, struct span spki, struct rsa_pub **out, struct why *why)
{
    struct rsa_numbers k = { 0 };

    (void)cx;
    enum err r = spki_parse(spki, &k, why);
    if (r == ERR_OK)
        r = numbers_check(&k, why);
    if (r != ERR_OK)
        return r;
    struct rsa_pub *pub = calloc(1, sizeof *pub);
    if (!pub)
        return why_fail(why, ERR_NOMEM, "public key", 0);
    pub->bytes = k.n.len;
    pub->pkey = make_public(&k);
    if (!pub->pkey) {
        rsa_pub_free(pub);
        return why_fail(why, ossl_fail(), "public key", 0);
    }
    *out = pub;
    return ERR_OK;
}

void rsa_pub_free(struct rsa_pub *pub)
{
    if (!pub)
        return;
    EVP_PKEY_free(pub->pkey);
    free(pub);
}

void rsa_pub_freep(struct rsa_pub **pub)
{
    rsa_pub_free(*pub);
    *pub = NULL;
}

size_t rsa_pub_bytes(const struct rsa_pub *pub)
{
    return pub->bytes;
}

enum err rsa_oaep_seal(struct crypto *cx, const struct rsa_pub *pub, struct span plain,
                       struct buf *out)
{
    uint8_t *ct = NULL;
    size_t len = pub->bytes;

    (void)cx;
    if (plain.len > pub->bytes - OAEP_OVERHEAD_BYTES)
        return ERR_INTERNAL;
    enum err r = buf_reserve(out, len, &ct);
    if (r != ERR_OK)
        return r;
    AUTO(EVP_PKEY_CTX_free_p)
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pub->pkey, NULL);
    const uint8_t *in = plain.len ? plain.ptr : (const uint8_t *)"";
    if (!ctx || EVP_PKEY_encrypt_init(ctx) != 1 || !set_oaep(ctx) ||
        EVP_PKEY_encrypt(ctx, ct, &len, in, plain.len) != 1)
        return ossl_fail();
    buf_commit(out, len);
    return ERR_OK;
}
