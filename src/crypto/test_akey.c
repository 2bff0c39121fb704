/* Each kind of key with each algorithm: what fits signs and verifies, what does not is told. That
 * others verify the same signatures is in tests/e2e. */
#include "crypto/akey.h"

#include <openssl/core_names.h>

#include "crypto/hash.h"
#include "crypto/internal.h"
#include "testing/t.h"

static struct crypto *cx;

static struct row {
    const char *name;
    enum keypair_spec spec;
    unsigned fits; /* algorithms, a bit each */
} rows[] = {
    { "RSA_2048", KEYPAIR_RSA_2048, 0x3f },
    { "P-256", KEYPAIR_ECC_NIST_P256, 1 << AKEY_ECDSA_SHA256 },
    { "P-384", KEYPAIR_ECC_NIST_P384, 1 << AKEY_ECDSA_SHA384 },
    { "P-521", KEYPAIR_ECC_NIST_P521, 1 << AKEY_ECDSA_SHA512 },
    { "secp256k1", KEYPAIR_ECC_SECG_P256K1, 1 << AKEY_ECDSA_SHA256 },
    { "Ed25519", KEYPAIR_ECC_NIST_EDWARDS25519, 1 << AKEY_ED25519 },
};
enum { ROWS = sizeof rows / sizeof rows[0] };

static struct akey *fresh(enum keypair_spec spec)
{
    AUTO(secret_clear) struct secret pkcs8 = { 0 };
    AUTO(buf_clear) struct buf spki = BUF_INIT(1024), again = BUF_INIT(1024);
    struct akey *key = NULL;

    assert_int_equal(keypair_new(cx, spec, &pkcs8, &spki), ERR_OK);
    assert_int_equal(akey_parse(cx, secret_view(&pkcs8), &key, NULL), ERR_OK);
    assert_int_equal(akey_spec(key), spec);
    assert_int_equal(akey_public(key, &again), ERR_OK);
    t_assert_span(buf_view(&again), buf_view(&spki));
    return key;
}

static void fitting(const struct akey *key, enum akey_sign_alg alg)
{
    AUTO(buf_clear) struct buf sig = BUF_INIT(2048);
    struct span msg = SPAN_LIT("message"), other = SPAN_LIT("messagE");
    uint8_t digest[64] = { 1 };

    assert_int_equal(akey_sign(cx, key, alg, msg, false, &sig), ERR_OK);
    assert_int_equal(akey_verify(cx, key, alg, msg, false, buf_view(&sig)), ERR_OK);
    assert_int_equal(akey_verify(cx, key, alg, other, false, buf_view(&sig)), ERR_VERIFY);
    assert_int_equal(akey_verify(cx, key, alg, msg, false, span_from(buf_view(&sig), 1)),
                     ERR_VERIFY);
    assert_int_equal(akey_verify(cx, key, alg, msg, false, SPAN_LIT("none")), ERR_VERIFY);
    for (size_t i = 0; i < sig.len; i++) {
        sig.ptr[i] ^= 0x10;
        assert_int_equal(akey_verify(cx, key, alg, msg, false, buf_view(&sig)), ERR_VERIFY);
        sig.ptr[i] ^= 0x10;
    }
    size_t n = akey_digest_bytes(alg);
    if (n == SHA384_BYTES) /* the digest's signature is the message's */
        sha384(msg, digest);
    else if (n == SHA256_BYTES)
        sha256(msg, digest);
    buf_reset(&sig);
    if (n == 0) {
        assert_int_equal(akey_sign(cx, key, alg, span_of(digest, 64), true, &sig), ERR_MALFORMED);
        return;
    }
    assert_int_equal(akey_sign(cx, key, alg, span_of(digest, n), true, &sig), ERR_OK);
    assert_int_equal(akey_verify(cx, key, alg, span_of(digest, n), true, buf_view(&sig)), ERR_OK);
    assert_int_equal(akey_verify(cx, key, alg, msg, false, buf_view(&sig)),
                     n == 64 ? ERR_VERIFY : ERR_OK);
    assert_int_equal(akey_sign(cx, key, alg, span_of(digest, n - 1), true, &sig), ERR_MALFORMED);
}

static void signatures(void **state)
{
    const struct row *row = *state;
    AUTO(akey_freep) struct akey *key = fresh(row->spec);
    AUTO(buf_clear) struct buf sig = BUF_INIT(2048);

    for (unsigned alg = 0; alg < AKEY_SIGN_ALGS; alg++) {
        bool fits = row->fits >> alg & 1;
        assert_int_equal(akey_alg_fits(row->spec, alg), fits);
        if (fits) {
            fitting(key, alg);
            continue;
        }
        assert_int_equal(akey_sign(cx, key, alg, SPAN_LIT("m"), false, &sig), ERR_UNSUPPORTED);
        assert_int_equal(akey_verify(cx, key, alg, SPAN_LIT("m"), false, SPAN_LIT("s")),
                         ERR_UNSUPPORTED);
    }
    assert_int_equal(sig.len, 0);
}

/* RFC 8032 section 7.1, TEST 1 and 2: signatures without anything random in them. */
static void ed25519(void **state)
{
    static const struct {
        const char *seed, *msg, *sig;
    } tests[] = {
        { "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60", "",
          "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e3970"
          "1"
          "cf9b46bd25bf5f0595bbe24655141438e7a100b" },
        { "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb", "72",
          "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613"
          "d"
          "0f11d8c387b2eaeb4302aeeb00d291612bb0c00" },
    };
    (void)state;

    for (size_t i = 0; i < 2; i++) {
        AUTO(akey_freep) struct akey *key = NULL;
        AUTO(buf_clear) struct buf pkcs8 = BUF_INIT(64), sig = BUF_INIT(1024);
        struct span head = t_unhex("302e020100300506032b657004220420"), msg = t_unhex(tests[i].msg);
        struct span seed = t_unhex(tests[i].seed), want = t_unhex(tests[i].sig);
        assert_int_equal(buf_append(&pkcs8, head), ERR_OK);
        assert_int_equal(buf_append(&pkcs8, seed), ERR_OK);
        assert_int_equal(akey_parse(cx, buf_view(&pkcs8), &key, NULL), ERR_OK);
        assert_int_equal(akey_sign(cx, key, AKEY_ED25519, msg, false, &sig), ERR_OK);
        t_assert_span(buf_view(&sig), want);
        t_free(head);
        t_free(msg);
        t_free(seed);
        t_free(want);
    }
}

static void oaep(void **state)
{
    (void)state;
    AUTO(akey_freep) struct akey *key = fresh(KEYPAIR_RSA_2048);
    uint8_t plain[215] = { 1, 2, 3 };

    for (enum akey_oaep_hash h = AKEY_OAEP_SHA1; h <= AKEY_OAEP_SHA256; h++) {
        AUTO(buf_clear) struct buf ct = BUF_INIT(2048);
        AUTO(secret_clear) struct secret out = { 0 };
        size_t max = h == AKEY_OAEP_SHA1 ? 214 : 190;
        assert_int_equal(akey_oaep_max_bytes(key, h), max);
        assert_int_equal(akey_oaep_seal(cx, key, h, span_of(plain, max + 1), &ct), ERR_LIMIT);
        assert_int_equal(akey_oaep_seal(cx, key, h, span_of(plain, max), &ct), ERR_OK);
        assert_int_equal(ct.len, 256);
        assert_int_equal(akey_oaep_open(cx, key, h, span_from(buf_view(&ct), 1), &out), ERR_VERIFY);
        assert_int_equal(akey_oaep_open(cx, key, !h, buf_view(&ct), &out), ERR_VERIFY);
        assert_null(out.ptr);
        assert_int_equal(akey_oaep_open(cx, key, h, buf_view(&ct), &out), ERR_OK);
        t_assert_span(secret_view(&out), span_of(plain, max));
    }
}

static void no_rsa(void **state)
{
    (void)state;
    AUTO(akey_freep) struct akey *key = fresh(KEYPAIR_ECC_NIST_P256);
    AUTO(buf_clear) struct buf ct = BUF_INIT(2048);
    AUTO(secret_clear) struct secret out = { 0 };

    assert_int_equal(akey_oaep_max_bytes(key, AKEY_OAEP_SHA1), 0);
    assert_int_equal(akey_oaep_seal(cx, key, AKEY_OAEP_SHA1, SPAN_LIT("x"), &ct), ERR_UNSUPPORTED);
    assert_int_equal(akey_oaep_open(cx, key, AKEY_OAEP_SHA1, SPAN_LIT("x"), &out), ERR_UNSUPPORTED);
}

static void not_keys(void **state)
{
    (void)state;
    AUTO(secret_clear) struct secret pkcs8 = { 0 };
    AUTO(buf_clear) struct buf spki = BUF_INIT(1024), longer = BUF_INIT(1024);
    struct akey *key = NULL;
    struct why why = { 0 };

    assert_int_equal(keypair_new(cx, KEYPAIR_ECC_NIST_P256, &pkcs8, &spki), ERR_OK);
    struct span good = secret_view(&pkcs8);
    for (size_t n = 0; n < good.len; n++) {
        struct span cut = t_copy(span_sub(good, 0, n));
        assert_int_equal(akey_parse(cx, cut, &key, &why), ERR_MALFORMED);
        assert_string_equal(why.what, "private key");
        t_free(cut);
    }
    assert_int_equal(buf_append(&longer, good), ERR_OK);
    assert_int_equal(buf_append_byte(&longer, 0), ERR_OK);
    assert_int_equal(akey_parse(cx, buf_view(&longer), &key, NULL), ERR_MALFORMED);
    assert_int_equal(akey_parse(cx, buf_view(&spki), &key, NULL), ERR_MALFORMED);
    secret_clear(&pkcs8);
    buf_reset(&spki);
    assert_int_equal(keypair_new(cx, KEYPAIR_SM2, &pkcs8, &spki), ERR_OK);
    assert_int_equal(akey_parse(cx, secret_view(&pkcs8), &key, &why), ERR_UNSUPPORTED);
    assert_string_equal(why.what, "kind of key");
    assert_null(key);
}

/* The curve written out instead of named: no certificate may have that (RFC 5480 section 2.1.1). */
static void explicit_curve(void **state)
{
    (void)state;
    EVP_PKEY *pkey = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    AUTO(secret_clear) struct secret named = { 0 }, written_out = { 0 };
    struct akey *key = NULL;
    struct why why = { 0 };

    assert_int_equal(pkcs8_write(pkey, &named), ERR_OK);
    assert_int_equal(EVP_PKEY_set_utf8_string_param(pkey, OSSL_PKEY_PARAM_EC_ENCODING,
                                                    OSSL_PKEY_EC_ENCODING_EXPLICIT),
                     1);
    assert_int_equal(pkcs8_write(pkey, &written_out), ERR_OK);
    EVP_PKEY_free(pkey);
    assert_true(written_out.len > named.len);
    assert_int_equal(akey_parse(cx, secret_view(&written_out), &key, &why), ERR_UNSUPPORTED);
    assert_string_equal(why.what, "kind of key");
    assert_int_equal(akey_parse(cx, secret_view(&named), &key, NULL), ERR_OK);
    akey_free(key);
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
    struct CMUnitTest tests[ROWS + 5];

    T_ROWS(tests, rows, signatures);
    tests[ROWS] = (struct CMUnitTest)cmocka_unit_test(ed25519);
    tests[ROWS + 1] = (struct CMUnitTest)cmocka_unit_test(oaep);
    tests[ROWS + 2] = (struct CMUnitTest)cmocka_unit_test(no_rsa);
    tests[ROWS + 4] = (struct CMUnitTest)cmocka_unit_test(explicit_curve);
    tests[ROWS + 3] = (struct CMUnitTest)cmocka_unit_test(not_keys);
    return cmocka_run_group_tests_name("akey", tests, setup, teardown);
}
