/* Each kind of pair: both halves parse with OpenSSL, are of the kind, and belong together. */
#include "crypto/keypair.h"

#include "crypto/internal.h"
#include "testing/t.h"

static struct crypto *cx;

static const struct row {
    const char *name;
    enum keypair_spec spec;
    const char *type;
    int bits;
} rows[] = {
    { "RSA_2048", KEYPAIR_RSA_2048, "RSA", 2048 },
    { "RSA_3072", KEYPAIR_RSA_3072, "RSA", 3072 },
    { "RSA_4096", KEYPAIR_RSA_4096, "RSA", 4096 },
    { "ECC_NIST_P256", KEYPAIR_ECC_NIST_P256, "EC", 256 },
    { "ECC_NIST_P384", KEYPAIR_ECC_NIST_P384, "EC", 384 },
    { "ECC_NIST_P521", KEYPAIR_ECC_NIST_P521, "EC", 521 },
    { "ECC_SECG_P256K1", KEYPAIR_ECC_SECG_P256K1, "EC", 256 },
    { "ECC_NIST_EDWARDS25519", KEYPAIR_ECC_NIST_EDWARDS25519, "ED25519", 256 },
    { "SM2", KEYPAIR_SM2, "SM2", 256 },
};
enum { ROWS = sizeof rows / sizeof rows[0], PLAIN_MAX_BYTES = 4096 };

OSSL_CLEANER(PKCS8_PRIV_KEY_INFO, PKCS8_PRIV_KEY_INFO_free)

static void pair(void **state)
{
    const struct row *row = *state;
    AUTO(secret_clear) struct secret pkcs8 = { 0 };
    AUTO(buf_clear) struct buf spki = BUF_INIT(1024);

    assert_int_equal(keypair_new(cx, row->spec, &pkcs8, &spki), ERR_OK);
    assert_true(pkcs8.len <= PLAIN_MAX_BYTES); /* what KMS may give as a plaintext */
    const unsigned char *p = pkcs8.ptr, *q = spki.ptr;
    AUTO(PKCS8_PRIV_KEY_INFO_free_p)
    PKCS8_PRIV_KEY_INFO *info = d2i_PKCS8_PRIV_KEY_INFO(NULL, &p, (long)pkcs8.len);
    assert_non_null(info);
    assert_ptr_equal(p, pkcs8.ptr + pkcs8.len);
    AUTO(EVP_PKEY_free_p) EVP_PKEY *private_key = EVP_PKCS82PKEY(info);
    AUTO(EVP_PKEY_free_p)
    EVP_PKEY *public_key = d2i_PUBKEY_ex(NULL, &q, (long)spki.len, NULL, NULL);
    assert_non_null(private_key);
    assert_non_null(public_key);
    assert_ptr_equal(q, spki.ptr + spki.len);
    assert_int_equal(EVP_PKEY_eq(private_key, public_key), 1);
    assert_int_equal(EVP_PKEY_is_a(public_key, row->type), 1);
    int bits = EVP_PKEY_get_bits(public_key);
    assert_true(bits == row->bits || (row->spec == KEYPAIR_ECC_NIST_EDWARDS25519 && bits == 253));
}

static void no_room(void **state)
{
    (void)state;
    struct secret pkcs8 = { .len = 7 };
    AUTO(buf_clear) struct buf spki = BUF_INIT(20);

    assert_int_equal(keypair_new(cx, KEYPAIR_ECC_NIST_P256, &pkcs8, &spki), ERR_LIMIT);
    assert_int_equal(pkcs8.len, 7);
    assert_int_equal(spki.len, 0);
}

static int setup(void **state)
{
    (void)state;
    return crypto_process_init() == ERR_OK && crypto_new(&cx) == ERR_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    crypto_free(cx);
    return 0;
}

int main(void)
{
    struct CMUnitTest tests[ROWS + 1] = { cmocka_unit_test(no_room) };

    T_ROWS(tests + 1, rows, pair);
    return _cmocka_run_group_tests("keypair", tests, ROWS + 1, setup, teardown);
}
