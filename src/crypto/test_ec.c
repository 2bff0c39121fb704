/* ES384: sign and verify, keys and points, one form per signature. Known answers are in
 * test_wycheproof.c. */
#include "crypto/ec.h"

#include "crypto/test_keys.h"
#include "testing/t.h"

/* Order of P-384 (FIPS 186-4 section D.1.2.4). */
#define ORDER                                                                                      \
    "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc5" \
    "2973"

static struct crypto *cx;
static struct ec_key *key; /* of p384_pem */
static struct ec_pub *pub;

static void sign_and_verify(void **state)
{
    (void)state;
    uint8_t sig[ES384_SIG_BYTES];

    for (int i = 0; i < 300; i++) { /* often enough that r or s begins with a zero byte */
        assert_int_equal(ec_sign_es384(cx, key, SPAN_LIT("message"), sig), ERR_OK);
        assert_int_equal(ec_verify_es384(cx, pub, SPAN_LIT("message"), SPAN_ARRAY(sig)), ERR_OK);
    }
    assert_int_equal(ec_verify_es384(cx, pub, SPAN_LIT("massage"), SPAN_ARRAY(sig)), ERR_VERIFY);
    assert_int_equal(ec_verify_es384(cx, pub, SPAN_EMPTY, SPAN_ARRAY(sig)), ERR_VERIFY);
}

static void every_bit_of_a_signature(void **state)
{
    (void)state;
    uint8_t sig[ES384_SIG_BYTES + 1] = { 0 };

    assert_int_equal(ec_sign_es384(cx, key, SPAN_LIT("m"), sig), ERR_OK);
    for (size_t bit = 0; bit < ES384_SIG_BYTES * 8; bit += 5) {
        sig[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(ec_verify_es384(cx, pub, SPAN_LIT("m"), span_of(sig, ES384_SIG_BYTES)),
                         ERR_VERIFY);
        sig[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t n = 0; n <= ES384_SIG_BYTES + 1; n++)
        assert_int_equal(ec_verify_es384(cx, pub, SPAN_LIT("m"), span_of(sig, n)),
                         n == ES384_SIG_BYTES ? ERR_OK : ERR_VERIFY);
}

static void another_key(void **state)
{
    (void)state;
    AUTO(ec_key_freep) struct ec_key *k = NULL;
    AUTO(ec_pub_freep) struct ec_pub *p = NULL;
    uint8_t sig[ES384_SIG_BYTES];

    assert_int_equal(ec_key_new(cx, &k), ERR_OK);
    assert_int_equal(ec_key_pub(cx, k, &p), ERR_OK);
    assert_int_equal(ec_sign_es384(cx, key, SPAN_LIT("m"), sig), ERR_OK);
    assert_int_equal(ec_verify_es384(cx, p, SPAN_LIT("m"), SPAN_ARRAY(sig)), ERR_VERIFY);
    assert_int_equal(ec_sign_es384(cx, k, SPAN_LIT("m"), sig), ERR_OK);
    assert_int_equal(ec_verify_es384(cx, p, SPAN_LIT("m"), SPAN_ARRAY(sig)), ERR_OK);
}

/* r or s outside 1..n-1, in both encodings. */
static void numbers_out_of_range(void **state)
{
    (void)state;
    struct span n = t_unhex(ORDER);
    uint8_t raw[ES384_SIG_BYTES], good[ES384_SIG_BYTES];

    assert_int_equal(ec_sign_es384(cx, key, SPAN_LIT("m"), good), ERR_OK);
    for (size_t half = 0; half < 2; half++) {
        memcpy(raw, good, sizeof raw);
        memset(raw + 48 * half, 0, 48);
        assert_int_equal(ec_verify_es384(cx, pub, SPAN_LIT("m"), SPAN_ARRAY(raw)), ERR_VERIFY);
        memcpy(raw + 48 * half, n.ptr, 48);
        assert_int_equal(ec_verify_es384(cx, pub, SPAN_LIT("m"), SPAN_ARRAY(raw)), ERR_VERIFY);
        memset(raw + 48 * half, 0xff, 48);
        assert_int_equal(ec_verify_es384(cx, pub, SPAN_LIT("m"), SPAN_ARRAY(raw)), ERR_VERIFY);
    }
    t_free(n);
}

struct der_row {
    const char *name, *hex;
};

/* None of these may verify; the structure is what differs. */
static struct der_row der_rows[] = {
    { "der empty", "" },
    { "der empty sequence", "3000" },
    { "der r only", "3003020101" },
    { "der zero r", "3006020100020101" },
    { "der zero s", "3006020101020100" },
    { "der both one", "3006020101020101" },
    { "der negative r", "30060201ff020101" },
    { "der third number", "3009020101020101020101" },
    { "der trailing byte", "300602010102010100" },
    { "der indefinite", "30800201010201010000" },
    { "der long length", "308106020101020101" },
    { "der padded r", "300702020001020101" },
    { "der r of 49 bytes", "30360231"
                           "01" ORDER "020101" },
};

static void der_refused(void **state)
{
    const struct der_row *row = *state;
    struct span der = t_unhex(row->hex);

    assert_int_equal(ec_verify_p384_der(cx, pub, SPAN_LIT("m"), der), ERR_VERIFY);
    t_free(der);
}

struct pem_row {
    const char *name, *pem;
    enum err want;
    const char *what;
};

static struct pem_row pem_rows[] = {
    { "pem P-384", p384_pem, ERR_OK, NULL },
    { "pem with a compressed point", p384_compressed_pem, ERR_OK, NULL },
    { "pem P-256", p256_pem, ERR_UNSUPPORTED, "curve" },
    { "pem RSA", rsa_pkcs8_pem, ERR_UNSUPPORTED, "key algorithm" },
    { "pem empty", "", ERR_MALFORMED, "PEM private key" },
    { "pem cut", "-----BEGIN PRIVATE KEY-----\nMIG2", ERR_MALFORMED, "PEM private key" },
};

static void parse_pem(void **state)
{
    const struct pem_row *row = *state;
    AUTO(ec_key_freep) struct ec_key *k = NULL;
    AUTO(ec_pub_freep) struct ec_pub *p = NULL;
    struct why why = { 0 };
    uint8_t sig[ES384_SIG_BYTES];

    assert_int_equal(ec_key_parse_pem(cx, span_str(row->pem), &k, &why), row->want);
    if (row->want != ERR_OK) {
        assert_null(k);
        assert_string_equal(why.what, row->what);
        return;
    }
    assert_int_equal(ec_key_pub(cx, k, &p), ERR_OK);
    assert_int_equal(ec_sign_es384(cx, k, SPAN_LIT("m"), sig), ERR_OK);
    assert_int_equal(ec_verify_es384(cx, p, SPAN_LIT("m"), SPAN_ARRAY(sig)), ERR_OK);
}

static void write_pem(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf pem = BUF_INIT(1024), tiny = BUF_INIT(10);
    AUTO(ec_key_freep) struct ec_key *back = NULL;
    uint8_t sig[ES384_SIG_BYTES];

    assert_int_equal(ec_key_write_pem(key, &pem), ERR_OK);
    t_assert_buf(&pem, p384_pem);
    assert_int_equal(ec_key_parse_pem(cx, buf_view(&pem), &back, NULL), ERR_OK);
    assert_int_equal(ec_sign_es384(cx, back, SPAN_LIT("m"), sig), ERR_OK);
    assert_int_equal(ec_verify_es384(cx, pub, SPAN_LIT("m"), SPAN_ARRAY(sig)), ERR_OK);
    assert_int_equal(ec_key_write_pem(key, &tiny), ERR_LIMIT);
    assert_int_equal(tiny.len, 0);
}

/* Generator of P-384 (FIPS 186-4 section D.1.2.4). */
#define GX                                                                                         \
    "aa87ca22be8b05378eb1c71ef320ad746e1d3b628ba79b9859f741e082542a385502f25dbf55296c3a545e387276" \
    "0ab7"
#define GY                                                                                         \
    "3617de4a96262c6f5d9e98bf9292dc29f8f41dbd289a147ce9da3113b5f0b8c00a60b1ce1d7e819d7a431d7c90ea" \
    "0e5f"

struct point_row {
    const char *name, *hex, *what;
};

static struct point_row point_rows[] = {
    { "point generator", "04" GX GY, NULL },
    { "point off the curve", "04" GX GX, "point is not on P-384" },
    { "point compressed", "03" GX, "point encoding" },
    { "point hybrid", "07" GX GY, "point encoding" },
    { "point at infinity", "00", "point encoding" },
    { "point empty", "", "point encoding" },
    { "point with a byte more", "04" GX GY "00", "point encoding" },
    { "point of zeros",
      "04"
      "00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
      "0000"
      "00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
      "0000",
      "point is not on P-384" },
};

static void parse_point(void **state)
{
    const struct point_row *row = *state;
    AUTO(ec_pub_freep) struct ec_pub *p = NULL;
    struct why why = { 0 };
    struct span in = t_unhex(row->hex);

    assert_int_equal(ec_pub_parse(cx, in, &p, &why), row->what ? ERR_MALFORMED : ERR_OK);
    if (row->what) {
        assert_null(p);
        assert_string_equal(why.what, row->what);
    }
    t_free(in);
}

static void point_cut_anywhere(void **state)
{
    (void)state;
    struct span g = t_unhex("04" GX GY);
    struct ec_pub *p = NULL;

    for (size_t n = 0; n < g.len; n++) {
        struct span cut = t_copy(span_sub(g, 0, n));
        assert_int_equal(ec_pub_parse(cx, cut, &p, NULL), ERR_MALFORMED);
        assert_null(p);
        t_free(cut);
    }
    t_free(g);
}

static void freeing_nothing(void **state)
{
    (void)state;
    ec_key_free(NULL);
    ec_pub_free(NULL);
}

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

int main(void)
{
    static const struct CMUnitTest plain[] = {
        cmocka_unit_test(sign_and_verify), cmocka_unit_test(every_bit_of_a_signature),
        cmocka_unit_test(another_key),     cmocka_unit_test(numbers_out_of_range),
        cmocka_unit_test(write_pem),       cmocka_unit_test(point_cut_anywhere),
        cmocka_unit_test(freeing_nothing),
    };
    struct CMUnitTest tests[COUNT(plain) + COUNT(der_rows) + COUNT(pem_rows) + COUNT(point_rows)];
    size_t n = 0;

    for (size_t i = 0; i < COUNT(plain); i++)
        tests[n++] = plain[i];
    n += T_ROWS(tests + n, der_rows, der_refused);
    n += T_ROWS(tests + n, pem_rows, parse_pem);
    n += T_ROWS(tests + n, point_rows, parse_point);
    if (crypto_process_init() != ERR_OK || crypto_new(&cx) != ERR_OK ||
        ec_key_parse_pem(cx, span_str(p384_pem), &key, NULL) != ERR_OK ||
        ec_key_pub(cx, key, &pub) != ERR_OK)
        return 1;
    int failed = cmocka_run_group_tests_name("ec", tests, NULL, NULL);
    ec_pub_free(pub);
    ec_key_free(key);
    crypto_free(cx);
    return failed;
}
