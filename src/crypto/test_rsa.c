/* Recipient keys: round trips, PEM, SubjectPublicKeyInfo, wrong keys and tampering, threads. pem.c
 * and der.c are Tested by test_rsa.c and test_der.c. Known answers are in test_wycheproof.c. */
#include "crypto/rsa.h"

#include <pthread.h>

#include "crypto/hash.h"
#include "crypto/test_keys.h"
#include "testing/t.h"

enum { K = 256, OAEP_MAX = K - 2 * SHA256_BYTES - 2 };

static struct crypto *cx;
static struct rsa_key *key; /* of rsa_pkcs8_pem */
static struct rsa_pub *pub;

static void seal(struct span plain, struct buf *ct)
{
    assert_int_equal(rsa_oaep_seal(cx, pub, plain, ct), ERR_OK);
    assert_int_equal(ct->len, K);
}

static void every_length(void **state)
{
    (void)state;
    uint8_t plain[OAEP_MAX];

    for (size_t i = 0; i < sizeof plain; i++)
        plain[i] = (uint8_t)i;
    for (size_t n = 0; n <= sizeof plain; n += n < 34 ? 1 : 13) {
        AUTO(buf_clear) struct buf ct = BUF_INIT(K);
        AUTO(secret_clear) struct secret out = { 0 };
        seal(span_of(plain, n), &ct);
        assert_int_equal(rsa_oaep_open(cx, key, buf_view(&ct), &out), ERR_OK);
        t_assert_span(secret_view(&out), span_of(plain, n));
    }
}

static void longest_and_one_more(void **state)
{
    (void)state;
    uint8_t plain[OAEP_MAX + 1] = { 0 };
    AUTO(buf_clear) struct buf ct = BUF_INIT(2 * K);

    assert_int_equal(rsa_oaep_seal(cx, pub, span_of(plain, OAEP_MAX), &ct), ERR_OK);
    assert_int_equal(rsa_oaep_seal(cx, pub, span_of(plain, OAEP_MAX + 1), &ct), ERR_INTERNAL);
    assert_int_equal(ct.len, K);
}

static void seal_into_a_full_buf(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf ct = BUF_INIT(K - 1);

    assert_int_equal(rsa_oaep_seal(cx, pub, SPAN_LIT("x"), &ct), ERR_LIMIT);
    assert_int_equal(ct.len, 0);
}

static void refused(const struct rsa_key *with, struct span ct)
{
    struct secret out = { 0 };

    assert_int_equal(rsa_oaep_open(cx, with, ct, &out), ERR_VERIFY);
    assert_null(out.ptr);
}

static void wrong_key(void **state)
{
    (void)state;
    AUTO(rsa_key_freep) struct rsa_key *other = NULL;
    AUTO(buf_clear) struct buf ct = BUF_INIT(K);

    assert_int_equal(rsa_key_new(cx, RSA_BITS_DEFAULT, &other), ERR_OK);
    assert_int_equal(rsa_key_bytes(other), K);
    seal(SPAN_LIT("data key"), &ct);
    refused(other, buf_view(&ct));
}

static void tampered(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf ct = BUF_INIT(K + 1);
    uint8_t zero[K] = { 0 };

    seal(SPAN_LIT("data key"), &ct);
    for (size_t bit = 0; bit < K * 8; bit += 31) {
        ct.ptr[bit / 8] ^= (uint8_t)(1 << bit % 8);
        refused(key, buf_view(&ct));
        ct.ptr[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t n = 0; n < K; n += 15)
        refused(key, span_of(ct.ptr, n));
    assert_int_equal(buf_append_byte(&ct, 0), ERR_OK);
    refused(key, buf_view(&ct));
    refused(key, SPAN_ARRAY(zero));
    memset(zero, 0xff, sizeof zero); /* not below the modulus */
    refused(key, SPAN_ARRAY(zero));
}

static void generated_key(void **state)
{
    (void)state;
    struct rsa_key *none = NULL;
    AUTO(rsa_key_freep) struct rsa_key *k = NULL;
    AUTO(rsa_pub_freep) struct rsa_pub *p = NULL;
    AUTO(buf_clear) struct buf ct = BUF_INIT(512);
    AUTO(secret_clear) struct secret out = { 0 };
    uint8_t hash[SHA256_BYTES];

    assert_int_equal(rsa_key_new(cx, 1024, &none), ERR_INTERNAL);
    assert_int_equal(rsa_key_new(cx, 2049, &none), ERR_INTERNAL);
    assert_null(none);
    assert_int_equal(rsa_key_new(cx, 3072, &k), ERR_OK);
    assert_int_equal(rsa_key_bytes(k), 384);
    sha256(rsa_key_spki(k), hash);
    t_assert_span(rsa_key_spki_sha256(k), SPAN_ARRAY(hash));
    assert_int_equal(rsa_pub_parse(cx, rsa_key_spki(k), &p, NULL), ERR_OK);
    assert_int_equal(rsa_pub_bytes(p), 384);
    assert_int_equal(rsa_oaep_seal(cx, p, SPAN_LIT("abc"), &ct), ERR_OK);
    assert_int_equal(rsa_oaep_open(cx, k, buf_view(&ct), &out), ERR_OK);
    t_assert_span(secret_view(&out), SPAN_LIT("abc"));
}

struct pem_row {
    const char *name, *pem;
    enum err want;
    const char *what;
};

static struct pem_row pem_rows[] = {
    { "pem PKCS#8", rsa_pkcs8_pem, ERR_OK, NULL },
    { "pem PKCS#1", rsa_pkcs1_pem, ERR_OK, NULL },
    { "pem encrypted PKCS#8", rsa_encrypted_pkcs8_pem, ERR_UNSUPPORTED, "encrypted private key" },
    { "pem encrypted PKCS#1", rsa_encrypted_pkcs1_pem, ERR_MALFORMED, "PEM private key" },
    { "pem of 1,024 bits", rsa_1024_pem, ERR_UNSUPPORTED, "RSA key size" },
    { "pem of P-384", p384_pem, ERR_UNSUPPORTED, "key algorithm" },
    { "pem empty", "", ERR_MALFORMED, "PEM private key" },
    { "pem garbage", "hello\n", ERR_MALFORMED, "PEM private key" },
    { "pem without a key in it", "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n",
      ERR_MALFORMED, "private key" },
    { "pem with only another block", "-----BEGIN THING-----\nMAA=\n-----END THING-----\n",
      ERR_MALFORMED, "PEM private key" },
};

static void parse_pem(void **state)
{
    const struct pem_row *row = *state;
    AUTO(rsa_key_freep) struct rsa_key *k = NULL;
    struct why why = { 0 };
    struct span pem = t_copy(span_str(row->pem));

    assert_int_equal(rsa_key_parse_pem(cx, pem, &k, &why), row->want);
    t_free(pem);
    if (row->want == ERR_OK) {
        t_assert_span(rsa_key_spki(k), rsa_key_spki(key));
        return;
    }
    assert_null(k);
    assert_string_equal(why.what, row->what);
}

/* SubjectPublicKeyInfo of 2,048 bits: 30 82 0122 | 300d0609..0500 at 4 | 03 82 010f 00 at 19 |
 * 30 82 010a at 24 | 02 82 0101 00 at 28 | modulus at 33 | 02 03 010001 at 289. */
struct spki_row {
    const char *name;
    size_t at;
    uint8_t value;
    enum err want;
    const char *what;
};

static struct spki_row spki_rows[] = {
    { "spki as it is", 0, 0x30, ERR_OK, NULL },
    { "spki outer tag", 0, 0x31, ERR_MALFORMED, "SubjectPublicKeyInfo" },
    { "spki indefinite length", 1, 0x80, ERR_MALFORMED, "SubjectPublicKeyInfo" },
    { "spki longer than it is", 3, 0x23, ERR_MALFORMED, "SubjectPublicKeyInfo" },
    { "spki shorter than it is", 3, 0x21, ERR_MALFORMED, "SubjectPublicKeyInfo" },
    { "spki algorithm RSA-PSS", 16, 0x0a, ERR_UNSUPPORTED, "key algorithm" },
    { "spki parameters not NULL", 17, 0x04, ERR_UNSUPPORTED, "key algorithm" },
    { "spki unused bits", 23, 0x01, ERR_MALFORMED, "SubjectPublicKeyInfo" },
    { "spki key not a sequence", 24, 0x31, ERR_MALFORMED, "RSAPublicKey" },
    { "spki negative modulus", 32, 0xff, ERR_MALFORMED, "RSAPublicKey" },
    { "spki modulus of 2,047 bits", 33, 0x00, ERR_MALFORMED, "RSAPublicKey" },
    { "spki even modulus", 288, 0x10, ERR_MALFORMED, "RSA modulus is even" },
    { "spki exponent 65,536", 293, 0x00, ERR_UNSUPPORTED, "RSA exponent" },
    { "spki exponent negative", 291, 0x81, ERR_MALFORMED, "RSAPublicKey" },
    { "spki exponent with a zero in front", 291, 0x00, ERR_MALFORMED, "RSAPublicKey" },
    { "spki exponent 65,539", 293, 0x03, ERR_OK, NULL },
};

static void parse_spki(void **state)
{
    const struct spki_row *row = *state;
    AUTO(rsa_pub_freep) struct rsa_pub *p = NULL;
    struct why why = { 0 };
    uint8_t der[294];

    t_assert_span(span_sub(rsa_key_spki(key), 289, 5), SPAN_LIT("\x02\x03\x01\x00\x01"));
    memcpy(der, rsa_key_spki(key).ptr, sizeof der);
    der[row->at] = row->value;
    struct span in = t_copy(SPAN_ARRAY(der));
    assert_int_equal(rsa_pub_parse(cx, in, &p, &why), row->want);
    t_free(in);
    if (row->want == ERR_OK) {
        assert_int_equal(rsa_pub_bytes(p), K);
        return;
    }
    assert_null(p);
    assert_string_equal(why.what, row->what);
}

/* A key of `n_len` bytes (all 0xff) with exponent `e`, lengths below 65,536. */
static void make_spki(size_t n_len, struct span e, struct buf *out)
{
    static const uint8_t alg[] = { 0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86,
                                   0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00 };
    size_t n = 4 + 1 + n_len, seq = n + 2 + e.len, bits = 1 + 4 + seq;
    size_t heads[] = { sizeof alg + 4 + bits, bits, seq, 1 + n_len };
    static const uint8_t tags[] = { 0x30, 0x03, 0x30, 0x02 };

    for (size_t i = 0; i < 4; i++) {
        uint8_t head[] = { tags[i], 0x82, (uint8_t)(heads[i] >> 8), (uint8_t)heads[i] };
        assert_int_equal(buf_append(out, SPAN_ARRAY(head)), ERR_OK);
        if (i == 0)
            assert_int_equal(buf_append(out, SPAN_ARRAY(alg)), ERR_OK);
        if (i == 1 || i == 3) /* no unused bits; positive */
            assert_int_equal(buf_append_byte(out, 0), ERR_OK);
    }
    for (size_t i = 0; i < n_len; i++)
        assert_int_equal(buf_append_byte(out, 0xff), ERR_OK);
    uint8_t head[] = { 0x02, (uint8_t)e.len };
    assert_int_equal(buf_append(out, SPAN_ARRAY(head)), ERR_OK);
    assert_int_equal(buf_append(out, e), ERR_OK);
}

static void sizes_and_exponents(void **state)
{
    (void)state;
    static const struct {
        size_t n_len;
        const char *e;
        enum err want;
        const char *what;
    } rows[] = {
        { 256, "010001", ERR_OK, NULL },
        { 512, "010001", ERR_OK, NULL },
        { 255, "010001", ERR_UNSUPPORTED, "RSA key size" },
        { 513, "010001", ERR_UNSUPPORTED, "RSA key size" },
        { 256, "03", ERR_UNSUPPORTED, "RSA exponent" },
        { 256, "00ffff", ERR_UNSUPPORTED, "RSA exponent" },
        { 256, "7fffffffffffffff", ERR_OK, NULL },
        { 256, "01ffffffffffffffff", ERR_UNSUPPORTED, "RSA exponent" },
        { 256, "00", ERR_MALFORMED, "RSAPublicKey" },
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        AUTO(buf_clear) struct buf der = BUF_INIT(1024);
        AUTO(rsa_pub_freep) struct rsa_pub *p = NULL;
        struct why why = { 0 };
        struct span e = t_unhex(rows[i].e);
        make_spki(rows[i].n_len, e, &der);
        t_free(e);
        assert_int_equal(rsa_pub_parse(cx, buf_view(&der), &p, &why), rows[i].want);
        if (rows[i].want != ERR_OK)
            assert_string_equal(why.what, rows[i].what);
    }
}

static void spki_cut_anywhere(void **state)
{
    (void)state;
    struct rsa_pub *p = NULL;
    struct why why = { 0 };
    AUTO(buf_clear) struct buf more = BUF_INIT(295);

    for (size_t n = 0; n < rsa_key_spki(key).len; n++) {
        struct span cut = t_copy(span_sub(rsa_key_spki(key), 0, n));
        assert_int_equal(rsa_pub_parse(cx, cut, &p, &why), ERR_MALFORMED);
        assert_string_equal(why.what, "SubjectPublicKeyInfo");
        t_free(cut);
    }
    assert_int_equal(buf_append(&more, rsa_key_spki(key)), ERR_OK);
    assert_int_equal(buf_append_byte(&more, 0), ERR_OK);
    assert_int_equal(rsa_pub_parse(cx, buf_view(&more), &p, &why), ERR_MALFORMED);
    assert_null(p);
}

/* cmocka's asserts may not be used off the main thread: the thread says what it got. */
static void *open_many(void *arg)
{
    const struct buf *ct = arg;
    AUTO(rsa_key_freep) struct rsa_key *mine = rsa_key_ref(key);
    AUTO(crypto_freep) struct crypto *own = NULL;
    size_t good = 0;

    if (crypto_new(&own) != ERR_OK)
        return NULL;
    for (int i = 0; i < 50; i++) {
        AUTO(secret_clear) struct secret out = { 0 };
        good += rsa_oaep_open(own, mine, buf_view(ct), &out) == ERR_OK &&
                span_is(secret_view(&out), "data key");
    }
    return good == 50 ? arg : NULL;
}

static void threads_share_a_key(void **state)
{
    (void)state;
    enum { THREADS = 4 };
    AUTO(buf_clear) struct buf ct = BUF_INIT(K);
    pthread_t t[THREADS];

    seal(SPAN_LIT("data key"), &ct);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&t[i], NULL, open_many, &ct), 0);
    for (int i = 0; i < THREADS; i++) {
        void *got = NULL;
        assert_int_equal(pthread_join(t[i], &got), 0);
        assert_ptr_equal(got, &ct);
    }
}

static void freeing_nothing(void **state)
{
    (void)state;
    rsa_key_free(NULL);
    rsa_pub_free(NULL);
}

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

int main(void)
{
    static const struct CMUnitTest plain[] = {
        cmocka_unit_test(every_length),
        cmocka_unit_test(longest_and_one_more),
        cmocka_unit_test(seal_into_a_full_buf),
        cmocka_unit_test(wrong_key),
        cmocka_unit_test(tampered),
        cmocka_unit_test(generated_key),
        cmocka_unit_test(sizes_and_exponents),
        cmocka_unit_test(spki_cut_anywhere),
        cmocka_unit_test(threads_share_a_key),
        cmocka_unit_test(freeing_nothing),
    };
    struct CMUnitTest tests[COUNT(plain) + COUNT(pem_rows) + COUNT(spki_rows)];
    size_t n = 0;

    for (size_t i = 0; i < COUNT(plain); i++)
        tests[n++] = plain[i];
    n += T_ROWS(tests + n, pem_rows, parse_pem);
    n += T_ROWS(tests + n, spki_rows, parse_spki);
    if (crypto_process_init() != ERR_OK || crypto_new(&cx) != ERR_OK ||
        rsa_key_parse_pem(cx, span_str(rsa_pkcs8_pem), &key, NULL) != ERR_OK ||
        rsa_pub_parse(cx, rsa_key_spki(key), &pub, NULL) != ERR_OK)
        return 1;
    int failed = cmocka_run_group_tests_name("rsa", tests, NULL, NULL);
    rsa_pub_free(pub);
    rsa_key_free(key);
    crypto_free(cx);
    return failed;
}
