/* Each curve signs and verifies; every other length and every flipped bit of a signature is wrong;
 * what is not a certificate or key of ours is refused. */
#include "crypto/signer.h"

#include "crypto/internal.h"
#include "crypto/test_signers.h"
#include "testing/t.h"

static struct crypto *cx;

static const struct row {
    const char *name, *cert, *key;
    enum signer_curve curve;
    size_t sig_bytes;
    const char *algorithm, *cn;
} rows[] = {
    { "P-256", p256_cert_pem, p256_key_pem, SIGNER_P256, 64, "ecdsa-with-SHA256", "p256 signer" },
    { "P-384", p384_cert_pem, p384_key_pem, SIGNER_P384, 96, "ecdsa-with-SHA384", "p384 signer" },
    { "P-521", p521_cert_pem, p521_key_pem, SIGNER_P521, 132, "ecdsa-with-SHA512", "p521 signer" },
};
enum { ROWS = sizeof rows / sizeof rows[0] };

static enum err cert_of(const char *pem, struct signer_cert **out, struct why *why)
{
    AUTO(buf_clear) struct buf der = BUF_INIT(SIGNER_CERT_MAX_BYTES);

    assert_int_equal(x509_pem_to_der(span_str(pem), &der, NULL), ERR_OK);
    return signer_cert_parse(buf_view(&der), out, why);
}

static void signs(void **state)
{
    const struct row *row = *state;
    AUTO(signer_cert_freep) struct signer_cert *cert = NULL;
    AUTO(signer_key_freep) struct signer_key *key = NULL;
    uint8_t sig[SIGNER_SIG_MAX];

    assert_int_equal(cert_of(row->cert, &cert, NULL), ERR_OK);
    assert_int_equal(signer_key_parse_pem(span_str(row->key), &key, NULL), ERR_OK);
    assert_int_equal(signer_key_curve(key), row->curve);
    assert_int_equal(signer_cert_facts(cert)->curve, row->curve);
    assert_int_equal(signer_sig_bytes(row->curve), row->sig_bytes);
    for (int i = 0; i < 20; i++) { /* some have an r or s with leading zeros */
        assert_int_equal(signer_sign(key, SPAN_LIT("message"), sig), ERR_OK);
        assert_int_equal(signer_verify(cert, SPAN_LIT("message"), span_of(sig, row->sig_bytes)),
                         ERR_OK);
    }
    assert_int_equal(signer_verify(cert, SPAN_LIT("messagE"), span_of(sig, row->sig_bytes)),
                     ERR_VERIFY);
    assert_int_equal(signer_verify(cert, SPAN_LIT("message"), span_of(sig, row->sig_bytes - 1)),
                     ERR_VERIFY);
    for (size_t bit = 0; bit < 8 * row->sig_bytes; bit++) {
        sig[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(signer_verify(cert, SPAN_LIT("message"), span_of(sig, row->sig_bytes)),
                         ERR_VERIFY);
        sig[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    memset(sig, 0, sizeof sig);
    assert_int_equal(signer_verify(cert, SPAN_LIT("message"), span_of(sig, row->sig_bytes)),
                     ERR_VERIFY);
}

static void facts(void **state)
{
    const struct row *row = *state;
    AUTO(signer_cert_freep) struct signer_cert *cert = NULL;
    AUTO(buf_clear) struct buf name = BUF_INIT(64);
    AUTO(buf_clear) struct buf value = BUF_INIT(64);

    assert_int_equal(cert_of(row->cert, &cert, NULL), ERR_OK);
    const struct signer_facts *f = signer_cert_facts(cert);
    assert_string_equal(f->algorithm, row->algorithm);
    assert_string_equal(f->not_before_text, "Jan  1 00:00:00 2020 GMT");
    assert_string_equal(f->not_after_text, "Jan  1 00:00:00 2070 GMT");
    assert_int_equal(f->not_before, 1577836800);
    assert_int_equal(f->not_after, INT64_C(3155760000));
    assert_true(f->signature.len > 60 && f->signature.ptr[0] == 0x30);
    assert_int_equal(signer_issuer_count(cert), 5);
    assert_int_equal(signer_issuer_at(cert, 4, &name, &value), ERR_OK);
    t_assert_buf(&name, "commonName");
    t_assert_buf(&value, row->cn);
    assert_int_equal(signer_issuer_at(cert, 5, &name, &value), ERR_INTERNAL);
}

static void not_certificates(void **state)
{
    AUTO(buf_clear) struct buf der = BUF_INIT(2 * SIGNER_CERT_MAX_BYTES);
    struct signer_cert *out = NULL;
    struct why why = { 0 };

    (void)state;
    assert_int_equal(cert_of(k1_cert_pem, &out, &why), ERR_UNSUPPORTED);
    assert_string_equal(why.what, "the certificate's key is not on P-256, P-384 or P-521");
    assert_int_equal(cert_of(rsa_cert_pem, &out, &why), ERR_UNSUPPORTED);
    assert_int_equal(x509_pem_to_der(span_str(p384_cert_pem), &der, NULL), ERR_OK);
    for (size_t n = 0; n < der.len; n++) {
        struct span in = t_copy(span_sub(buf_view(&der), 0, n));
        assert_int_equal(signer_cert_parse(in, &out, &why), ERR_MALFORMED);
        t_free(in);
    }
    assert_int_equal(buf_append_byte(&der, 0), ERR_OK);
    assert_int_equal(signer_cert_parse(buf_view(&der), &out, &why), ERR_MALFORMED);
    while (der.len <= SIGNER_CERT_MAX_BYTES)
        assert_int_equal(buf_append_byte(&der, 0), ERR_OK);
    assert_int_equal(signer_cert_parse(buf_view(&der), &out, &why), ERR_LIMIT);
    assert_null(out);
}

/* The outer SEQUENCE with an indefinite length: BER, and OpenSSL would take it. */
static void ber(void **state)
{
    AUTO(buf_clear) struct buf der = BUF_INIT(SIGNER_CERT_MAX_BYTES);
    AUTO(buf_clear) struct buf odd = BUF_INIT(SIGNER_CERT_MAX_BYTES);
    struct signer_cert *out = NULL;

    (void)state;
    assert_int_equal(x509_pem_to_der(span_str(p384_cert_pem), &der, NULL), ERR_OK);
    assert_int_equal(der.ptr[1], 0x82);
    assert_int_equal(buf_append(&odd, SPAN_LIT("\x30\x80")), ERR_OK);
    assert_int_equal(buf_append(&odd, span_from(buf_view(&der), 4)), ERR_OK);
    assert_int_equal(buf_append(&odd, SPAN_LIT("\0\0")), ERR_OK);
    assert_int_equal(signer_cert_parse(buf_view(&odd), &out, NULL), ERR_MALFORMED);
}

static void not_keys(void **state)
{
    struct signer_key *out = NULL;
    struct why why = { 0 };

    (void)state;
    assert_int_equal(signer_key_parse_pem(span_str(k1_key_pem), &out, &why), ERR_UNSUPPORTED);
    assert_string_equal(why.what, "the key is not on P-256, P-384 or P-521");
    assert_int_equal(signer_key_parse_pem(span_str(p256_cert_pem), &out, &why), ERR_MALFORMED);
    assert_int_equal(signer_key_parse_pem(SPAN_EMPTY, &out, &why), ERR_MALFORMED);
    assert_null(out);
}

static void from_der(void **state)
{
    static const struct {
        const char *hex;
        enum err want;
    } rows_der[] = {
        { "3006020101020102", ERR_OK },
        { "300602010102010200", ERR_MALFORMED },
        { "30060201ff020102", ERR_MALFORMED },
        { "3006020101", ERR_MALFORMED },
        { "", ERR_MALFORMED },
        { "0000", ERR_MALFORMED },
        { "30260221010000000000000000000000000000000000000000000000000000000000000000020101",
          ERR_MALFORMED },
    };
    uint8_t sig[SIGNER_SIG_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof rows_der / sizeof rows_der[0]; i++) {
        struct span in = t_unhex(rows_der[i].hex);
        assert_int_equal(signer_sig_from_der(SIGNER_P256, in, sig), rows_der[i].want);
        t_free(in);
    }
    assert_int_equal(
        signer_sig_from_der(SIGNER_P521, SPAN_LIT("\x30\x06\x02\x01\x01\x02\x01\x02"), sig),
        ERR_OK);
    for (size_t i = 0; i < SIGNER_SIG_MAX; i++)
        assert_int_equal(sig[i], i == 65 ? 1 : i == 131 ? 2 : 0);
}

static void another_key(void **state)
{
    AUTO(signer_cert_freep) struct signer_cert *cert = NULL;
    AUTO(signer_key_freep) struct signer_key *key = NULL;
    uint8_t sig[SIGNER_SIG_MAX];

    (void)state;
    assert_int_equal(cert_of(p256_cert_pem, &cert, NULL), ERR_OK);
    assert_int_equal(signer_key_parse_pem(span_str(p384_key_pem), &key, NULL), ERR_OK);
    assert_int_equal(signer_sign(key, SPAN_LIT("m"), sig), ERR_OK);
    assert_int_equal(signer_verify(cert, SPAN_LIT("m"), span_of(sig, 96)), ERR_VERIFY);
    assert_int_equal(signer_verify(cert, SPAN_LIT("m"), span_of(sig, 64)), ERR_VERIFY);
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
    struct CMUnitTest tests[2 * ROWS + 5] = {
        cmocka_unit_test(not_certificates), cmocka_unit_test(ber),      cmocka_unit_test(not_keys),
        cmocka_unit_test(another_key),      cmocka_unit_test(from_der),
    };

    for (size_t i = 0; i < ROWS; i++) {
        void *row = (void *)(uintptr_t)&rows[i];
        tests[5 + 2 * i] = (struct CMUnitTest){ rows[i].name, signs, NULL, NULL, row };
        tests[6 + 2 * i] = (struct CMUnitTest){ rows[i].name, facts, NULL, NULL, row };
    }
    return cmocka_run_group_tests(tests, setup, teardown);
}
