/* After an operation, neither its key nor its plaintext is anywhere in the memory of the process:
 * not in the contexts, not in freed blocks, not on the stack. Not under AddressSanitizer, which has
 * stacks and quarantines of its own.
 */
#include <openssl/core_names.h>

#include "crypto/aead.h"
#include "crypto/gcm.h"
#include "crypto/hash.h"
#include "crypto/hkdf.h"
#include "crypto/rsa.h"
#include "crypto/rsa_gen.h"
#include "crypto/test_keys.h"
#include "crypto/test_scan.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static struct crypto *cx;
static uint8_t masked_key[N], masked_plain[N];

static void nothing_left(void)
{
    assert_int_equal(scan(masked_key), 0);
    assert_int_equal(scan(masked_plain), 0);
}

static void the_scan_finds(void **state)
{
    (void)state;
    AUTO(secret_clear) struct secret key = { 0 };
    uint8_t copy[N];

    unmask(masked_key, &key);
    assert_int_equal(scan(masked_key), 2); /* its two halves */
    memcpy(copy, key.ptr, N);
    assert_int_equal(scan(masked_key), 4);
    wipe(copy, N);
    secret_clear(&key);
    nothing_left();
}

static void gcm(void **state)
{
    (void)state;
    struct secret key = { 0 }, plain = { 0 };
    uint8_t ct[N], back[N], tag[GCM_TAG_BYTES], iv[GCM_IV_BYTES] = { 0 };

    unmask(masked_key, &key);
    unmask(masked_plain, &plain);
    struct span k = secret_view(&key);
    assert_int_equal(
        aes256gcm_seal(cx, k, SPAN_ARRAY(iv), SPAN_EMPTY, secret_view(&plain), ct, tag), ERR_OK);
    assert_int_equal(
        aes256gcm_open(cx, k, SPAN_ARRAY(iv), SPAN_EMPTY, SPAN_ARRAY(ct), SPAN_ARRAY(tag), back),
        ERR_OK);
    wipe(back, N); /* the caller's part */
    tag[0] ^= 1;
    assert_int_equal(
        aes256gcm_open(cx, k, SPAN_ARRAY(iv), SPAN_EMPTY, SPAN_ARRAY(ct), SPAN_ARRAY(tag), back),
        ERR_VERIFY);
    secret_clear(&key);
    secret_clear(&plain);
    nothing_left();
}

/* With the object that keeps its key: what stays goes with it. And HKDF with the key as its input,
 * and the plaintext as what is bound. */
static void pieces(void **state)
{
    (void)state;
    struct secret key = { 0 }, plain = { 0 }, prk = { 0 };
    uint8_t text[N], tag[GCM_TAG_BYTES], iv[GCM_IV_BYTES] = { 0 }, okm[N];

    unmask(masked_key, &key);
    unmask(masked_plain, &plain);
    for (enum gcm_direction way = GCM_SEAL; way <= GCM_OPEN; way++) {
        AUTO(gcm_freep) struct gcm *g = NULL;
        assert_int_equal(gcm_new(cx, secret_view(&key), way, &g), ERR_OK);
        assert_int_equal(gcm_begin(g, iv), ERR_OK);
        assert_int_equal(
            gcm_update(g, way == GCM_SEAL ? secret_view(&plain) : SPAN_ARRAY(text), text), ERR_OK);
        assert_int_equal(way == GCM_SEAL ? gcm_tag(g, tag) : gcm_check(g, tag), ERR_OK);
    }
    wipe(text, sizeof text);
    assert_int_equal(hkdf_extract(cx, MAC_SHA512, SPAN_EMPTY, secret_view(&key), &prk), ERR_OK);
    assert_int_equal(hkdf_expand(cx, MAC_SHA512, &prk, secret_view(&plain), okm, N), ERR_OK);
    secret_clear(&prk);
    secret_clear(&key);
    secret_clear(&plain);
    nothing_left();
}

static void cbc(void **state)
{
    (void)state;
    struct secret key = { 0 }, plain = { 0 }, back = { 0 };
    AUTO(buf_clear) struct buf ct = BUF_INIT(N + AES_BLOCK_BYTES);
    uint8_t iv[CBC_IV_BYTES] = { 0 };

    unmask(masked_key, &key);
    unmask(masked_plain, &plain);
    assert_int_equal(
        aes256cbc_seal(cx, secret_view(&key), SPAN_ARRAY(iv), secret_view(&plain), &ct), ERR_OK);
    assert_int_equal(aes256cbc_open(cx, secret_view(&key), SPAN_ARRAY(iv), buf_view(&ct), &back),
                     ERR_OK);
    secret_clear(&key);
    secret_clear(&plain);
    secret_clear(&back);
    nothing_left();
}

static void hmac(void **state)
{
    (void)state;
    struct secret key = { 0 }, plain = { 0 };
    uint8_t mac[HMAC_SHA256_BYTES];

    unmask(masked_key, &key);
    unmask(masked_plain, &plain);
    hmac_sha256(secret_view(&key), secret_view(&plain), mac);
    secret_clear(&key);
    secret_clear(&plain);
    nothing_left();
}

static void oaep(void **state)
{
    (void)state;
    AUTO(rsa_key_freep) struct rsa_key *key = NULL;
    AUTO(rsa_pub_freep) struct rsa_pub *pub = NULL;
    AUTO(buf_clear) struct buf ct = BUF_INIT(512);
    struct secret plain = { 0 }, back = { 0 };

    assert_int_equal(rsa_key_parse_pem(cx, span_str(rsa_pkcs8_pem), &key, NULL), ERR_OK);
    assert_int_equal(rsa_pub_parse(cx, rsa_key_spki(key), &pub, NULL), ERR_OK);
    unmask(masked_plain, &plain);
    assert_int_equal(rsa_oaep_seal(cx, pub, secret_view(&plain), &ct), ERR_OK);
    secret_clear(&plain);
    nothing_left();
    assert_int_equal(rsa_oaep_open(cx, key, buf_view(&ct), &back), ERR_OK);
    assert_int_equal(back.len, N);
    secret_clear(&back);
    nothing_left();
}

/* 32 bytes out of the middle of a secret number, masked; as they lie in memory (little-endian), and
 * as an encoding would have them. */
static void mask_number(const EVP_PKEY *pkey, const char *name, uint8_t little[N], uint8_t big[N])
{
    AUTO(BN_clear_free_p) BIGNUM *bn = NULL;
    uint8_t bytes[256];

    assert_int_equal(EVP_PKEY_get_bn_param(pkey, name, &bn), 1);
    assert_int_equal(BN_bn2lebinpad(bn, bytes, sizeof bytes), sizeof bytes);
    for (size_t i = 0; i < N; i++) {
        little[i] = bytes[48 + i] ^ MASK;
        big[N - 1 - i] = little[i];
    }
    wipe(bytes, sizeof bytes);
}

/* A new key leaves nothing of its numbers, on neither thread that took part. */
static void generated(void **state)
{
    static const char *const names[] = {
        OSSL_PKEY_PARAM_RSA_FACTOR1,   OSSL_PKEY_PARAM_RSA_FACTOR2,
        OSSL_PKEY_PARAM_RSA_D,         OSSL_PKEY_PARAM_RSA_EXPONENT1,
        OSSL_PKEY_PARAM_RSA_EXPONENT2, OSSL_PKEY_PARAM_RSA_COEFFICIENT1
    };
    uint8_t little[COUNT(names)][N], big[COUNT(names)][N];
    EVP_PKEY *pkey = NULL;

    (void)state;
    assert_int_equal(rsa_generate(2048, &pkey), ERR_OK);
    for (size_t i = 0; i < COUNT(names); i++)
        mask_number(pkey, names[i], little[i], big[i]);
    assert_true(scan(little[0]) > 0); /* the key is still there: the scan sees it */
    EVP_PKEY_free(pkey);
    for (size_t i = 0; i < COUNT(names); i++) {
        if (scan(little[i]) + scan(big[i]) > 0)
            print_error("%s is still in memory\n", names[i]);
        assert_int_equal(scan(little[i]) + scan(big[i]), 0);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_scan_finds), cmocka_unit_test(gcm),
        cmocka_unit_test(pieces),         cmocka_unit_test(cbc),
        cmocka_unit_test(hmac),           cmocka_unit_test(oaep),
        cmocka_unit_test(generated),
    };

    if (ASAN) {
        puts("1..0 # SKIP AddressSanitizer keeps copies of its own");
        return 0;
    }
    if (t_under_valgrind()) {
        puts("1..0 # SKIP valgrind keeps copies of its own");
        return 0;
    }
    if (crypto_process_init() != ERR_OK || crypto_new(&cx) != ERR_OK ||
        rng_bytes(cx, masked_key, N) != ERR_OK || rng_bytes(cx, masked_plain, N) != ERR_OK)
        return 1;
    int failed = cmocka_run_group_tests_name("residue", tests, NULL, NULL);
    crypto_free(cx);
    return failed;
}
