/* RFC 5869 appendix A; SHA-384 and SHA-512 computed with another implementation (Python's hmac
 * module). Wycheproof's SHA-256 tests are in test_wycheproof.c. */
#include "crypto/hkdf.h"

#include <stdlib.h>

#include "testing/t.h"

static struct crypto *cx;

#define IKM22 "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b"

static struct row {
    const char *name;
    enum mac_alg alg;
    const char *ikm, *salt, *info, *okm;
} rows[] = {
    { "RFC 5869 A.1", MAC_SHA256, IKM22, "000102030405060708090a0b0c", "f0f1f2f3f4f5f6f7f8f9",
      "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865" },
    { "RFC 5869 A.2", MAC_SHA256,
      "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d"
      "2e2f303132333435363738393a3b3c3d3e3f404142434445464748494a4b4c4d4e4f",
      "606162636465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f808182838485868788898a8b8c8d"
      "8e8f909192939495969798999a9b9c9d9e9fa0a1a2a3a4a5a6a7a8a9aaabacadaeaf",
      "b0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdd"
      "dedfe0e1e2e3e4e5e6e7e8e9eaebecedeeeff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff",
      "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e59"
      "0e09da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87" },
    { "RFC 5869 A.3, no salt, no info", MAC_SHA256, IKM22, "", "",
      "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8" },
    { "SHA-384", MAC_SHA384, IKM22, "000102030405060708090a0b0c", "f0f1f2f3f4f5f6f7f8f9",
      "9b5097a86038b805309076a44b3a9f38063e25b516dcbf369f394cfab43685f748b645"
      "7763e4f0204fc5d95d1da3e62587b22eb8943d0fab6bb631a2fe9df1a68c6ce5d56116" },
    { "SHA-512", MAC_SHA512, IKM22, "000102030405060708090a0b0c", "f0f1f2f3f4f5f6f7f8f9",
      "832390086cda71fb47625bb5ceb168e4c8e26a1a16ed34d9fc7fe92c1481579338da36"
      "2cb8d9f925d7cbcce0dff7098769cf15959867d571c1715450cb530137be3fb62f3cf3" },
};

static void known_answer(void **state)
{
    const struct row *row = *state;
    AUTO(secret_clear) struct secret prk = { 0 };
    struct span ikm = t_unhex(row->ikm), salt = t_unhex(row->salt), info = t_unhex(row->info);
    struct span want = t_unhex(row->okm);
    uint8_t out[256];

    assert_int_equal(hkdf_extract(cx, row->alg, salt, ikm, &prk), ERR_OK);
    assert_int_equal(prk.len, mac_bytes(row->alg));
    for (size_t n = 0; n <= want.len; n++) { /* a shorter one is the beginning of a longer one */
        memset(out, 0x55, sizeof out);
        assert_int_equal(hkdf_expand(cx, row->alg, &prk, info, out, n), ERR_OK);
        t_assert_span(span_of(out, n), span_sub(want, 0, n));
        assert_int_equal(out[n], 0x55);
    }
    t_free(ikm);
    t_free(salt);
    t_free(info);
    t_free(want);
}

static void limits(void **state)
{
    static uint8_t out[255 * 64 + 1], info[HKDF_INFO_MAX_BYTES + 1];
    AUTO(secret_clear) struct secret prk = { 0 };

    (void)state;
    assert_int_equal(hkdf_extract(cx, MAC_SHA256, SPAN_EMPTY, SPAN_EMPTY, &prk), ERR_INTERNAL);
    assert_null(prk.ptr);
    for (enum mac_alg alg = MAC_SHA224; alg < MAC_ALGS; alg++) {
        size_t max = 255 * mac_bytes(alg);
        secret_clear(&prk);
        assert_int_equal(hkdf_extract(cx, alg, SPAN_EMPTY, SPAN_LIT("k"), &prk), ERR_OK);
        assert_int_equal(hkdf_expand(cx, alg, &prk, SPAN_EMPTY, out, max), ERR_OK);
        assert_int_equal(hkdf_expand(cx, alg, &prk, SPAN_EMPTY, out, max + 1), ERR_INTERNAL);
    }
    assert_int_equal(hkdf_expand(cx, MAC_SHA512, &prk, span_of(info, HKDF_INFO_MAX_BYTES), out, 1),
                     ERR_OK);
    assert_int_equal(hkdf_expand(cx, MAC_SHA512, &prk, SPAN_ARRAY(info), out, 1), ERR_INTERNAL);
}

int main(void)
{
    enum { ROWS = sizeof rows / sizeof rows[0] };
    struct CMUnitTest tests[ROWS + 1];

    T_ROWS(tests, rows, known_answer);
    tests[ROWS] = (struct CMUnitTest)cmocka_unit_test(limits);
    if (crypto_process_init() != ERR_OK || crypto_new(&cx) != ERR_OK)
        return 1;
    int failed = cmocka_run_group_tests_name("hkdf", tests, NULL, NULL);
    crypto_free(cx);
    return failed;
}
