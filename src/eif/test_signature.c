/* Signing with each curve, and everything that must not verify. Layout: eif.md section 4. */
#include "eif/signature.h"

#include "base/cbor.h"
#include "crypto/test_signers.h"
#include "eif/eif.h"
#include "testing/t.h"

static struct crypto *cx;
static const uint8_t pcr0[ATTEST_PCR_BYTES] = { 0, 1, 23, 24, 255 };

static const struct row {
    const char *name, *cert, *key;
} rows[] = {
    { "ES256", p256_cert_pem, p256_key_pem },
    { "ES384", p384_cert_pem, p384_key_pem },
    { "ES512", p521_cert_pem, p521_key_pem },
};
enum { ROWS = sizeof rows / sizeof rows[0] };

static void section_of(const struct row *row, struct buf *out)
{
    AUTO(signer_key_freep) struct signer_key *key = NULL;

    *out = BUF_INIT(EIF_SIGNATURE_MAX);
    assert_int_equal(signer_key_parse_pem(span_str(row->key), &key, NULL), ERR_OK);
    assert_int_equal(eif_signature_write(span_str(row->cert), key, pcr0, out, NULL), ERR_OK);
}

static void verifies(void **state)
{
    const struct row *row = *state;
    AUTO(eif_signature_clear) struct eif_signature s = EIF_SIGNATURE_NONE;
    AUTO(buf_clear) struct buf section = { 0 };
    uint8_t other[ATTEST_PCR_BYTES];
    struct attest_pcrs pcrs = { 0 }, want = { 0 };
    struct why why = { 0 };

    section_of(row, &section);
    assert_int_equal(eif_signature_parse(buf_view(&section), &s, NULL), ERR_OK);
    t_assert_span(buf_view(&s.pem), span_str(row->cert));
    assert_int_equal(eif_signature_verify(&s, pcr0, NULL), ERR_OK);
    memcpy(other, pcr0, sizeof other);
    other[47] ^= 1;
    assert_int_equal(eif_signature_verify(&s, other, &why), ERR_VERIFY);
    assert_string_equal(why.what, "the signature is for another PCR0");
    eif_pcr8(s.cert, &pcrs);
    attest_pcr_measure(&signer_cert_facts(s.cert)->der, 1, want.value[8]);
    assert_int_equal(pcrs.present, 1 << 8);
    t_assert_span(SPAN_ARRAY(pcrs.value[8]), SPAN_ARRAY(want.value[8]));
}

/* No byte of the COSE_Sign1 can change, and no section that is cut short is one. */
static void tampered(void **state)
{
    const struct row *row = *state;
    AUTO(eif_signature_clear) struct eif_signature s = EIF_SIGNATURE_NONE;
    AUTO(buf_clear) struct buf section = { 0 };

    section_of(row, &section);
    assert_int_equal(eif_signature_parse(buf_view(&section), &s, NULL), ERR_OK);
    for (size_t i = 0; i < s.cose.len; i++) {
        s.cose.ptr[i] ^= 1;
        assert_int_not_equal(eif_signature_verify(&s, pcr0, NULL), ERR_OK);
        s.cose.ptr[i] ^= 1;
    }
    assert_int_equal(eif_signature_verify(&s, pcr0, NULL), ERR_OK);
    for (size_t n = 0; n < section.len; n += n < 64 ? 1 : 41) {
        struct span in = t_copy(span_sub(buf_view(&section), 0, n));
        struct eif_signature none = EIF_SIGNATURE_NONE;
        assert_int_not_equal(eif_signature_parse(in, &none, NULL), ERR_OK);
        assert_null(none.cert);
        t_free(in);
    }
}

/* Signed by somebody else, handed in as r || s and as DER. */
static void attached(void **state)
{
    const struct row *row = *state;
    AUTO(signer_key_freep) struct signer_key *key = NULL;
    AUTO(buf_clear) struct buf tbs = BUF_INIT(1024), out = BUF_INIT(EIF_SIGNATURE_MAX);
    AUTO(eif_signature_clear) struct eif_signature s = EIF_SIGNATURE_NONE;
    uint8_t sig[SIGNER_SIG_MAX];
    struct why why = { 0 };

    assert_int_equal(signer_key_parse_pem(span_str(row->key), &key, NULL), ERR_OK);
    struct span raw = span_of(sig, signer_sig_bytes(signer_key_curve(key)));
    assert_int_equal(eif_signature_tbs(signer_key_curve(key), pcr0, &tbs), ERR_OK);
    assert_int_equal(signer_sign(key, buf_view(&tbs), sig), ERR_OK);
    assert_int_equal(eif_signature_attach(span_str(row->cert), raw, pcr0, &out, NULL), ERR_OK);
    assert_int_equal(eif_signature_parse(buf_view(&out), &s, NULL), ERR_OK);
    assert_int_equal(eif_signature_verify(&s, pcr0, NULL), ERR_OK);
    buf_reset(&out);
    sig[3] ^= 1;
    assert_int_equal(eif_signature_attach(span_str(row->cert), raw, pcr0, &out, &why), ERR_VERIFY);
    assert_string_equal(why.what, "not a signature of the certificate's key over this image");
    assert_int_equal(eif_signature_attach(span_str(row->cert),
                                          SPAN_LIT("\x30\x06\x02\x01\x01\x02\x01\x01"), pcr0, &out,
                                          &why),
                     ERR_VERIFY);
    assert_int_equal(eif_signature_attach(span_str(row->cert), SPAN_EMPTY, pcr0, &out, &why),
                     ERR_VERIFY);
    assert_int_equal(out.len, 0);
}

static void dates(void **state)
{
    AUTO(eif_signature_clear) struct eif_signature s = EIF_SIGNATURE_NONE;
    AUTO(buf_clear) struct buf section = { 0 };
    struct why why = { 0 };

    (void)state;
    section_of(&rows[1], &section);
    assert_int_equal(eif_signature_parse(buf_view(&section), &s, NULL), ERR_OK);
    assert_int_equal(eif_signature_check_time(&s, 1577836800, NULL), ERR_OK);
    assert_int_equal(eif_signature_check_time(&s, 1577836799, &why), ERR_VERIFY);
    assert_string_equal(why.what, "the signing certificate is not valid yet");
    assert_int_equal(eif_signature_check_time(&s, INT64_C(3155760000), NULL), ERR_OK);
    assert_int_equal(eif_signature_check_time(&s, INT64_C(3155760001), &why), ERR_VERIFY);
    assert_string_equal(why.what, "the signing certificate has expired");
}

static void wrong_key(void **state)
{
    AUTO(signer_key_freep) struct signer_key *p256 = NULL;
    AUTO(signer_key_freep) struct signer_key *p384 = NULL;
    AUTO(buf_clear) struct buf out = BUF_INIT(EIF_SIGNATURE_MAX);
    AUTO(buf_clear) struct buf fresh = BUF_INIT(4096);
    AUTO(ec_key_freep) struct ec_key *other = NULL;
    struct why why = { 0 };

    (void)state;
    assert_int_equal(signer_key_parse_pem(span_str(p256_key_pem), &p256, NULL), ERR_OK);
    assert_int_equal(eif_signature_write(span_str(p384_cert_pem), p256, pcr0, &out, &why),
                     ERR_VERIFY);
    assert_string_equal(why.what, "the key does not belong to the certificate");
    assert_int_equal(ec_key_new(cx, &other), ERR_OK);
    assert_int_equal(ec_key_write_pem(other, &fresh), ERR_OK);
    assert_int_equal(signer_key_parse_pem(buf_view(&fresh), &p384, NULL), ERR_OK);
    assert_int_equal(eif_signature_write(span_str(p384_cert_pem), p384, pcr0, &out, &why),
                     ERR_VERIFY);
    assert_string_equal(why.what, "the key does not belong to the certificate");
    assert_int_equal(eif_signature_write(span_str(k1_cert_pem), p384, pcr0, &out, &why),
                     ERR_UNSUPPORTED);
    assert_int_equal(eif_signature_write(SPAN_LIT("no PEM"), p384, pcr0, &out, &why),
                     ERR_MALFORMED);
    assert_int_equal(out.len, 0);
}

/* A PEM file with words around the certificate, up to where the section is full. */
static void longest(void **state)
{
    AUTO(signer_key_freep) struct signer_key *key = NULL;
    AUTO(buf_clear) struct buf pem = BUF_INIT(EIF_SIGNATURE_MAX);
    AUTO(buf_clear) struct buf out = BUF_INIT(2 * EIF_SIGNATURE_MAX);
    AUTO(eif_signature_clear) struct eif_signature s = EIF_SIGNATURE_NONE;
    struct why why = { 0 };

    (void)state;
    assert_int_equal(signer_key_parse_pem(span_str(p384_key_pem), &key, NULL), ERR_OK);
    assert_int_equal(buf_append_str(&pem, p384_cert_pem), ERR_OK);
    while (eif_signature_write(buf_view(&pem), key, pcr0, &out, &why) == ERR_OK) {
        struct span grown = buf_view(&out);
        assert_true(grown.len <= EIF_SIGNATURE_MAX);
        assert_int_equal(eif_signature_parse(grown, &s, NULL), ERR_OK);
        assert_int_equal(eif_signature_verify(&s, pcr0, NULL), ERR_OK);
        eif_signature_clear(&s);
        buf_reset(&out);
        for (int i = 0; i < 997; i++)
            assert_int_equal(buf_append_byte(&pem, '\n'), ERR_OK);
    }
    assert_string_equal(why.what, "the signature section is too long");
    assert_true(pem.len > EIF_SIGNATURE_MAX / 2);
}

static void other_shapes(void **state)
{
    static const struct {
        const char *hex;
        enum err want;
        const char *what;
    } shapes[] = {
        { "", ERR_MALFORMED, "end of input" },
        { "80", ERR_MALFORMED, "array length" },
        { "a0", ERR_MALFORMED, "type" },
        { "82a0a0", ERR_MALFORMED, "array length" },
        { "81a1", ERR_MALFORMED, "map length" },
        { "81a3", ERR_MALFORMED, "map length" },
        { "81a2697369676e6174757265", ERR_MALFORMED, "member name" },
        { "81a2737369676e696e675f636572746966696361746541", ERR_MALFORMED, "type" },
        { "81a2737369676e696e675f636572746966696361746581190100", ERR_LIMIT, "integer" },
        { "81a2737369676e696e675f636572746966696361746599ffff", ERR_LIMIT, "array length" },
    };
    struct why why = { 0 };

    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        struct span in = t_unhex(shapes[i].hex);
        struct eif_signature s = EIF_SIGNATURE_NONE;
        assert_int_equal(eif_signature_parse(in, &s, &why), shapes[i].want);
        assert_string_equal(why.what, shapes[i].what);
        t_free(in);
    }
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
    struct CMUnitTest tests[3 * ROWS + 4] = {
        cmocka_unit_test(dates),
        cmocka_unit_test(wrong_key),
        cmocka_unit_test(longest),
        cmocka_unit_test(other_shapes),
    };

    for (size_t i = 0; i < ROWS; i++) {
        void *row = (void *)(uintptr_t)&rows[i];
        tests[4 + 3 * i] = (struct CMUnitTest){ rows[i].name, verifies, NULL, NULL, row };
        tests[5 + 3 * i] = (struct CMUnitTest){ rows[i].name, tampered, NULL, NULL, row };
        tests[6 + 3 * i] = (struct CMUnitTest){ rows[i].name, attached, NULL, NULL, row };
    }
    return cmocka_run_group_tests(tests, setup, teardown);
}
