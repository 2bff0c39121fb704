#include "crypto/rsa_gen.h"

#include <pthread.h>
#include <stdlib.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/param_build.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>

enum {
    E = 65537,
    GAP_BITS = 100,       /* |p - q| > 2^(bits/2 - 100): FIPS 186-5 A.1.3 step 5.4 */
    PAIRS = 8,            /* a pair is refused about once in 32,000 */
    ROUND_TRIP_MAX = 512, /* bytes of the largest modulus */
    PROBE_BYTES = 32,
};

OSSL_CLEANER(BN_CTX, BN_CTX_free)
OSSL_CLEANER(OSSL_PARAM_BLD, OSSL_PARAM_BLD_free)
OSSL_CLEANER(OSSL_PARAM, OSSL_PARAM_free)

/* The numbers of a key (RFC 8017 section 3.2), and what is needed on the way to them. All secret
 * but n and e; all marked, so that OpenSSL takes its paths without secret-dependent branches. */
struct numbers {
    BIGNUM *n, *e, *d, *dp, *dq, *qinv;
    BIGNUM *p1, *q1, *gcd, *lcm, *scratch;
};

static void numbers_clear(struct numbers *k)
{
    BIGNUM *const all[] = { k->n,  k->e,  k->d,   k->dp,  k->dq,     k->qinv,
                            k->p1, k->q1, k->gcd, k->lcm, k->scratch };

    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        BN_clear_free(all[i]);
}

static bool numbers_init(struct numbers *k)
{
    BIGNUM **const all[] = { &k->n,  &k->e,  &k->d,   &k->dp,  &k->dq,     &k->qinv,
                             &k->p1, &k->q1, &k->gcd, &k->lcm, &k->scratch };

    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        *all[i] = BN_secure_new();
        if (!*all[i])
            return false;
        BN_set_flags(*all[i], BN_FLG_CONSTTIME);
    }
    return BN_set_word(k->e, E) == 1;
}

/* A.1.3 step 4.4: p >= sqrt(2) * 2^(half-1), which is the same as p^2 having 2 * half bits. */
static bool is_large(const BIGNUM *p, int half, BIGNUM *scratch, BN_CTX *cx)
{
    return BN_num_bits(p) == half && BN_sqr(scratch, p, cx) == 1 &&
           BN_num_bits(scratch) == 2 * half;
}

/* A.1.3 steps 4.5 and 5.5; e is prime, so that no common divisor with p - 1 is a remainder other
 * than 1. */
static bool is_coprime(const BIGNUM *p)
{
    return BN_is_odd(p) && BN_mod_word(p, E) != 1;
}

static bool are_apart(const BIGNUM *p, const BIGNUM *q, int half, BIGNUM *scratch)
{
    return BN_sub(scratch, p, q) == 1 && BN_num_bits(scratch) > half - GAP_BITS;
}

/* n and lcm(p - 1, q - 1), of which d is the inverse of e; then what the Chinese remainder theorem
 * wants (RFC 8017 section 3.2). */
static bool derive(struct numbers *k, const BIGNUM *p, const BIGNUM *q, BN_CTX *cx)
{
    return BN_mul(k->n, p, q, cx) == 1 && BN_sub(k->p1, p, BN_value_one()) == 1 &&
           BN_sub(k->q1, q, BN_value_one()) == 1 && BN_gcd(k->gcd, k->p1, k->q1, cx) == 1 &&
           BN_mul(k->scratch, k->p1, k->q1, cx) == 1 &&
           BN_div(k->lcm, NULL, k->scratch, k->gcd, cx) == 1 &&
           BN_mod_inverse(k->d, k->e, k->lcm, cx) && BN_mod(k->dp, k->d, k->p1, cx) == 1 &&
           BN_mod(k->dq, k->d, k->q1, cx) == 1 && BN_mod_inverse(k->qinv, q, p, cx);
}

static EVP_PKEY *to_pkey(const struct numbers *k, const BIGNUM *p, const BIGNUM *q)
{
    AUTO(OSSL_PARAM_BLD_free_p) OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
    AUTO(EVP_PKEY_CTX_free_p)
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    AUTO(OSSL_PARAM_free_p) OSSL_PARAM *params = NULL;
    EVP_PKEY *pkey = NULL;

    if (!bld || !ctx || OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_N, k->n) != 1 ||
        OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_E, k->e) != 1 ||
        OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_D, k->d) != 1 ||
        OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_FACTOR1, p) != 1 ||
        OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_FACTOR2, q) != 1 ||
        OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_EXPONENT1, k->dp) != 1 ||
        OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_EXPONENT2, k->dq) != 1 ||
        OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_COEFFICIENT1, k->qinv) != 1)
        return NULL;
    params = OSSL_PARAM_BLD_to_param(bld);
    if (!params || EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_KEYPAIR, params) != 1)
        return NULL;
    return pkey;
}

static EVP_PKEY_CTX *raw_ctx(EVP_PKEY *pkey, int (*init)(EVP_PKEY_CTX *))
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);

    if (ctx && init(ctx) == 1 && EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_NO_PADDING) == 1)
        return ctx;
    EVP_PKEY_CTX_free(ctx);
    return NULL;
}

/* Pairwise consistency: what the public half encrypts, the private half brings back. Unpadded, for
 * the question is about the numbers; the probe is random and below the modulus. */
static bool round_trip(EVP_PKEY *pkey)
{
    uint8_t probe[ROUND_TRIP_MAX] = { 0 }, ct[ROUND_TRIP_MAX], back[ROUND_TRIP_MAX];
    size_t ct_len = sizeof ct, back_len = sizeof back;
    int known = EVP_PKEY_get_size(pkey); /* 0 where there was no memory to ask for it */
    size_t size = known > 1 ? (size_t)known : 0;

    if (size == 0 || size > ROUND_TRIP_MAX || RAND_priv_bytes_ex(NULL, probe + 1, size - 1, 0) != 1)
        return false;
    AUTO(EVP_PKEY_CTX_free_p) EVP_PKEY_CTX *in = raw_ctx(pkey, EVP_PKEY_encrypt_init);
    AUTO(EVP_PKEY_CTX_free_p) EVP_PKEY_CTX *out = raw_ctx(pkey, EVP_PKEY_decrypt_init);
    return in && out && EVP_PKEY_encrypt(in, ct, &ct_len, probe, size) == 1 &&
           EVP_PKEY_decrypt(out, back, &back_len, ct, ct_len) == 1 && back_len == size &&
           CRYPTO_memcmp(probe, back, size) == 0 && CRYPTO_memcmp(probe, ct, size) != 0;
}

enum err rsa_assemble(unsigned bits, BIGNUM *p, BIGNUM *q, EVP_PKEY **out, struct why *why)
{
    AUTO(BN_CTX_free_p) BN_CTX *cx = BN_CTX_secure_new();
    AUTO(numbers_clear) struct numbers k = { 0 };
    AUTO(EVP_PKEY_free_p) EVP_PKEY *pkey = NULL;
    int half = (int)bits / 2;

    if (!cx || !numbers_init(&k))
        return why_fail(why, ossl_fail(), "numbers", 0);
    BN_set_flags(p, BN_FLG_CONSTTIME);
    BN_set_flags(q, BN_FLG_CONSTTIME);
    if (!is_large(p, half, k.scratch, cx) || !is_large(q, half, k.scratch, cx))
        return why_fail(why, ERR_VERIFY, "prime below sqrt(2) * 2^(bits/2 - 1)", 0);
    if (!are_apart(p, q, half, k.scratch))
        return why_fail(why, ERR_VERIFY, "primes too close", 0);
    if (!is_coprime(p) || !is_coprime(q))
        return why_fail(why, ERR_VERIFY, "prime does not go with the exponent", 0);
    if (BN_cmp(p, q) < 0)
        BN_swap(p, q); /* the usual order, which some readers of keys insist on */
    if (!derive(&k, p, q, cx))
        return why_fail(why, ossl_fail(), "numbers", 0);
    if (BN_num_bits(k.n) != (int)bits)
        return why_fail(why, ERR_VERIFY, "modulus size", 0);
    if (BN_num_bits(k.d) <= half) /* A.1.1 (b) */
        return why_fail(why, ERR_VERIFY, "private exponent too small", 0);
    pkey = to_pkey(&k, p, q);
    if (!pkey)
        return why_fail(why, ossl_fail(), "key", 0);
    if (!round_trip(pkey)) {
        ERR_clear_error();
        return why_fail(why, ERR_VERIFY, "round trip", 0);
    }
    *out = pkey;
    pkey = NULL;
    return ERR_OK;
}

struct search {
    int bits;
    BIGNUM *found; /* NULL: none */
    enum err r;
};

/* On whichever thread: OpenSSL keeps a generator per thread, and its error queue too. */
static void *search_prime(void *arg)
{
    struct search *s = arg;
    AUTO(BN_CTX_free_p) BN_CTX *cx = BN_CTX_secure_new();
    AUTO(BN_clear_free_p) BIGNUM *p = BN_secure_new();

    if (!cx || !p || BN_generate_prime_ex2(p, s->bits, 0, NULL, NULL, NULL, cx) != 1) {
        s->r = ossl_fail();
        return NULL;
    }
    s->found = p;
    p = NULL;
    return NULL;
}

static void search_clear(struct search *s)
{
    BN_clear_free(s->found);
}

static enum err try_pair(unsigned bits, EVP_PKEY **out)
{
    AUTO(search_clear) struct search p = { .bits = (int)bits / 2 };
    AUTO(search_clear) struct search q = { .bits = (int)bits / 2 };
    pthread_t other;
    bool beside = pthread_create(&other, NULL, search_prime, &p) == 0;

    search_prime(&q);
    if (beside)
        pthread_join(other, NULL);
    else
        search_prime(&p);
    if (p.r != ERR_OK || q.r != ERR_OK)
        return p.r != ERR_OK ? p.r : q.r;
    return rsa_assemble(bits, p.found, q.found, out, NULL);
}

enum err rsa_generate(unsigned bits, EVP_PKEY **out)
{
    enum err r = ERR_VERIFY;

    if (bits != 2048 && bits != 3072 && bits != 4096)
        return ERR_INTERNAL;
    for (unsigned i = 0; i < PAIRS && r == ERR_VERIFY; i++)
        r = try_pair(bits, out);
    return r == ERR_VERIFY ? ERR_CRYPTO : r;
}
