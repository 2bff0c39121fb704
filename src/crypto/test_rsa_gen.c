/* Keys of our assembly: every condition of FIPS 186-5 on fresh keys, looked at with other means
 * than the assembly's own (OpenSSL's key check, plain multiplication, remainders); and each
 * refusal. */
#include "crypto/rsa_gen.h"

#include <openssl/core_names.h>

#include "testing/t.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

enum { E = 65537, KEYS = 6, HALF = 1024 };

struct parts {
    BIGNUM *n, *e, *d, *p, *q, *dp, *dq, *qinv;
};

static void parts_get(const EVP_PKEY *pkey, struct parts *k)
{
    assert_int_equal(EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_N, &k->n), 1);
    assert_int_equal(EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_E, &k->e), 1);
    assert_int_equal(EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_D, &k->d), 1);
    assert_int_equal(EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_FACTOR1, &k->p), 1);
    assert_int_equal(EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_FACTOR2, &k->q), 1);
    assert_int_equal(EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_EXPONENT1, &k->dp), 1);
    assert_int_equal(EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_EXPONENT2, &k->dq), 1);
    assert_int_equal(EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_COEFFICIENT1, &k->qinv), 1);
}

static void parts_clear(struct parts *k)
{
    BIGNUM *const all[] = { k->n, k->e, k->d, k->p, k->q, k->dp, k->dq, k->qinv };

    for (size_t i = 0; i < COUNT(all); i++)
        BN_clear_free(all[i]);
}

/* a * b mod m == 1 */
static bool are_inverse(const BIGNUM *a, const BIGNUM *b, const BIGNUM *m, BN_CTX *cx)
{
    AUTO(BN_clear_free_p) BIGNUM *r = BN_new();

    assert_int_equal(BN_mod_mul(r, a, b, m, cx), 1);
    return BN_is_one(r) == 1;
}

/* floor(sqrt(2) * 2^1023), as hexadecimal digits of sqrt(2) - 1: the first 16 bytes are enough to
 * tell, for a prime whose first 16 bytes are larger is larger. */
static bool is_over_root(const BIGNUM *p)
{
    static const uint8_t root[16] = { 0xb5, 0x04, 0xf3, 0x33, 0xf9, 0xde, 0x64, 0x84,
                                      0x59, 0x7d, 0x89, 0xb3, 0x75, 0x4a, 0xbe, 0x9f };
    uint8_t bytes[HALF / 8];

    assert_int_equal(BN_bn2binpad(p, bytes, sizeof bytes), sizeof bytes);
    return memcmp(bytes, root, sizeof root) > 0;
}

static void check_numbers(const struct parts *k, BN_CTX *cx)
{
    AUTO(BN_clear_free_p) BIGNUM *x = BN_new(), *p1 = BN_dup(k->p), *q1 = BN_dup(k->q);

    assert_int_equal(BN_num_bits(k->n), 2 * HALF);
    assert_int_equal(BN_get_word(k->e), E);
    assert_int_equal(BN_mul(x, k->p, k->q, cx), 1);
    assert_int_equal(BN_cmp(x, k->n), 0);
    assert_int_equal(BN_check_prime(k->p, cx, NULL), 1);
    assert_int_equal(BN_check_prime(k->q, cx, NULL), 1);
    assert_true(is_over_root(k->p));
    assert_true(is_over_root(k->q));
    assert_true(BN_cmp(k->p, k->q) > 0);
    assert_int_equal(BN_sub(x, k->p, k->q), 1);
    assert_true(BN_num_bits(x) > HALF - 100);
    assert_int_equal(BN_sub_word(p1, 1), 1);
    assert_int_equal(BN_sub_word(q1, 1), 1);
    /* e has an inverse by both, so it has no divisor in common with either; d is below their lcm,
     * which divides their product at least by 2. */
    assert_true(are_inverse(k->e, k->d, p1, cx));
    assert_true(are_inverse(k->e, k->d, q1, cx));
    assert_true(are_inverse(k->e, k->dp, p1, cx));
    assert_true(are_inverse(k->e, k->dq, q1, cx));
    assert_true(are_inverse(k->q, k->qinv, k->p, cx));
    assert_true(BN_cmp(k->dp, p1) < 0);
    assert_true(BN_cmp(k->dq, q1) < 0);
    assert_int_equal(BN_mul(x, p1, q1, cx), 1);
    assert_int_equal(BN_rshift1(x, x), 1);
    assert_true(BN_cmp(k->d, x) < 0);
    assert_true(BN_num_bits(k->d) > HALF);
}

OSSL_CLEANER(BN_CTX, BN_CTX_free)

static void fresh_keys(void **state)
{
    (void)state;
    AUTO(BN_CTX_free_p) BN_CTX *cx = BN_CTX_new();
    AUTO(BN_clear_free_p) BIGNUM *last = BN_new();

    for (size_t i = 0; i < (t_under_valgrind() ? 1 : KEYS); i++) {
        AUTO(EVP_PKEY_free_p) EVP_PKEY *pkey = NULL;
        AUTO(parts_clear) struct parts k = { 0 };
        assert_int_equal(rsa_generate(2048, &pkey), ERR_OK);
        AUTO(EVP_PKEY_CTX_free_p)
        EVP_PKEY_CTX *check = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);
        assert_int_equal(EVP_PKEY_check(check), 1);
        assert_int_equal(EVP_PKEY_pairwise_check(check), 1);
        parts_get(pkey, &k);
        check_numbers(&k, cx);
        assert_true(BN_cmp(last, k.n) != 0);
        assert_non_null(BN_copy(last, k.n));
    }
}

static void larger_keys(void **state)
{
    (void)state;
    static const unsigned sizes[] = { 3072, 4096 };

    if (t_under_valgrind())
        skip();
    for (size_t i = 0; i < COUNT(sizes); i++) {
        AUTO(EVP_PKEY_free_p) EVP_PKEY *pkey = NULL;
        assert_int_equal(rsa_generate(sizes[i], &pkey), ERR_OK);
        assert_int_equal(EVP_PKEY_get_bits(pkey), sizes[i]);
        AUTO(EVP_PKEY_CTX_free_p)
        EVP_PKEY_CTX *check = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);
        assert_int_equal(EVP_PKEY_check(check), 1);
    }
}

static void other_sizes(void **state)
{
    (void)state;
    static const unsigned sizes[] = { 0, 1024, 2047, 2049, 8192 };

    for (size_t i = 0; i < COUNT(sizes); i++) {
        EVP_PKEY *pkey = NULL;
        assert_int_equal(rsa_generate(sizes[i], &pkey), ERR_INTERNAL);
        assert_null(pkey);
    }
}

/* A prime of `bits` bits whose two highest are set, congruent `rem` mod `add` where given. */
static BIGNUM *prime(int bits, const char *add, const char *rem)
{
    AUTO(BN_clear_free_p) BIGNUM *a = NULL, *r = NULL;
    BIGNUM *p = BN_new();

    if (add) {
        assert_true(BN_dec2bn(&a, add) > 0);
        assert_true(BN_dec2bn(&r, rem) > 0);
    }
    do
        assert_int_equal(BN_generate_prime_ex(p, bits, 0, a, r, NULL), 1);
    while (!BN_is_bit_set(p, bits - 2));
    return p;
}

static void refused(BIGNUM *p, BIGNUM *q, const char *what)
{
    EVP_PKEY *pkey = NULL;
    struct why why = { 0 };

    assert_int_equal(rsa_assemble(2 * HALF, p, q, &pkey, &why), ERR_VERIFY);
    assert_string_equal(why.what, what);
    assert_null(pkey);
    assert_int_equal(rsa_assemble(2 * HALF, q, p, &pkey, &why), ERR_VERIFY);
    assert_string_equal(why.what, what);
    assert_null(pkey);
}

static void wrong_pairs(void **state)
{
    (void)state;
    AUTO(BN_clear_free_p) BIGNUM *p = prime(HALF, NULL, NULL), *q = BN_dup(p);

    refused(p, q, "primes too close");
    assert_int_equal(BN_add_word(q, 2), 1);
    refused(p, q, "primes too close");
    /* The largest distance that is refused: 2^924 - 1 has 924 bits. Made odd by taking 2^924 - 2.
     */
    BN_zero(q);
    assert_int_equal(BN_set_bit(q, HALF - 100), 1);
    assert_int_equal(BN_sub_word(q, 2), 1);
    assert_int_equal(BN_sub(q, p, q), 1);
    if (BN_num_bits(q) == HALF)
        refused(p, q, "primes too close");
    AUTO(BN_clear_free_p) BIGNUM *small = prime(HALF - 1, NULL, NULL);
    refused(p, small, "prime below sqrt(2) * 2^(bits/2 - 1)");
    AUTO(BN_clear_free_p) BIGNUM *large = prime(HALF + 1, NULL, NULL);
    refused(p, large, "prime below sqrt(2) * 2^(bits/2 - 1)");
    /* 2^1023 + 1: as many bits, below the root. */
    AUTO(BN_clear_free_p) BIGNUM *low = BN_new();
    assert_int_equal(BN_set_bit(low, HALF - 1), 1);
    assert_int_equal(BN_add_word(low, 1), 1);
    refused(p, low, "prime below sqrt(2) * 2^(bits/2 - 1)");
}

static void wrong_numbers(void **state)
{
    (void)state;
    AUTO(BN_clear_free_p) BIGNUM *p = prime(HALF, NULL, NULL), *q = prime(HALF, NULL, NULL);
    AUTO(BN_clear_free_p)
    BIGNUM *bound = prime(HALF, "131074", "1"); /* 2e: p - 1 is e's multiple */

    refused(bound, q, "prime does not go with the exponent");
    AUTO(BN_clear_free_p) BIGNUM *even = BN_dup(p);
    assert_int_equal(BN_sub_word(even, 1), 1);
    refused(even, q, "prime does not go with the exponent");
    /* Odd, of the right size, and no prime: the round trip tells. */
    AUTO(BN_clear_free_p) BIGNUM *composite = BN_dup(p);
    do
        assert_int_equal(BN_sub_word(composite, 2), 1);
    while (BN_mod_word(composite, 3) != 0 || BN_mod_word(composite, E) == 1);
    refused(composite, q, "round trip");
}

static void a_good_pair(void **state)
{
    (void)state;
    AUTO(BN_clear_free_p) BIGNUM *p = prime(HALF, NULL, NULL), *q = prime(HALF, NULL, NULL);
    AUTO(EVP_PKEY_free_p) EVP_PKEY *pkey = NULL;

    assert_int_equal(rsa_assemble(2 * HALF, p, q, &pkey, NULL), ERR_OK);
    assert_int_equal(EVP_PKEY_get_bits(pkey), 2 * HALF);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(fresh_keys),    cmocka_unit_test(larger_keys),
        cmocka_unit_test(other_sizes),   cmocka_unit_test(wrong_pairs),
        cmocka_unit_test(wrong_numbers), cmocka_unit_test(a_good_pair),
    };

    if (crypto_process_init() != ERR_OK)
        return 1;
    return cmocka_run_group_tests_name("rsa_gen", tests, NULL, NULL);
}
