/* test_cms_oracle.c - our envelopes opened by OpenSSL's CMS, its envelopes opened by ours, and a
 * few thousand damaged ones shown to both: what ours opens, OpenSSL opens to the same bytes. */
#include <openssl/bio.h>
#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include "cms/cms.h"
#include "crypto/hash.h"
#include "testing/t.h"

static struct crypto *cx;
static EVP_PKEY *pkey;
static X509 *cert; /* of that key, its identifier the hash that KMS uses */
static struct rsa_key *ours;

static struct span bio_view(BIO *bio)
{
    char *p;
    long n = BIO_get_mem_data(bio, &p);

    return span_of(p, (size_t)n);
}

/* OpenSSL's verdict. Without CMS_DEBUG_DECRYPT a key that does not open is replaced by a random
 * one, which once in a while ends in success and garbage. */
static bool oracle_open(struct span message, struct buf *plain)
{
    BIO *in = BIO_new_mem_buf(message.ptr, (int)message.len), *out = BIO_new(BIO_s_mem());
    CMS_ContentInfo *cms = d2i_CMS_bio(in, NULL);
    bool ok = cms && CMS_decrypt(cms, pkey, cert, NULL, out, CMS_BINARY | CMS_DEBUG_DECRYPT) == 1 &&
              buf_append(plain, bio_view(out)) == ERR_OK;

    CMS_ContentInfo_free(cms);
    BIO_free(in);
    BIO_free(out);
    ERR_clear_error();
    return ok;
}

static void oracle_seal(struct span plain, bool stream, struct buf *out)
{
    unsigned flags = CMS_BINARY | CMS_PARTIAL | (stream ? CMS_STREAM : 0);
    BIO *in = BIO_new_mem_buf(plain.ptr, (int)plain.len), *made = BIO_new(BIO_s_mem());
    CMS_ContentInfo *cms = CMS_encrypt(NULL, in, EVP_aes_256_cbc(), flags);

    assert_non_null(cms);
    CMS_RecipientInfo *ri =
        CMS_add1_recipient_cert(cms, cert, flags | CMS_USE_KEYID | CMS_KEY_PARAM);
    assert_non_null(ri);
    EVP_PKEY_CTX *ctx = CMS_RecipientInfo_get0_pkey_ctx(ri);
    assert_true(EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) == 1);
    assert_true(EVP_PKEY_CTX_set_rsa_oaep_md(ctx, EVP_sha256()) == 1);
    assert_true(EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, EVP_sha256()) == 1);
    if (stream) {
        assert_int_equal(i2d_CMS_bio_stream(made, cms, in, (int)flags), 1);
    } else {
        assert_int_equal(CMS_final(cms, in, NULL, flags), 1);
        assert_int_equal(i2d_CMS_bio(made, cms), 1);
    }
    assert_int_equal(buf_append(out, bio_view(made)), ERR_OK);
    CMS_ContentInfo_free(cms);
    BIO_free(in);
    BIO_free(made);
}

static const size_t sizes[] = { 1, 15, 16, 32, 33, 1000, 4096 };
enum { N_SIZES = sizeof sizes / sizeof sizes[0] };

static void ours_to_oracle(void **state)
{
    (void)state;
    static uint8_t plain[4096];

    assert_int_equal(rng_bytes(cx, plain, sizeof plain), ERR_OK);
    for (size_t i = 0; i < N_SIZES * 2; i++) {
        AUTO(buf_clear) struct buf message = BUF_INIT(CMS_MAX_BYTES);
        AUTO(buf_clear) struct buf back = BUF_INIT(CMS_MAX_BYTES);
        struct span text = span_of(plain, sizes[i / 2]);
        assert_int_equal(
            cms_seal(cx, text, rsa_key_spki(ours), i % 2 ? CMS_FORM_B : CMS_FORM_A, &message, NULL),
            ERR_OK);
        assert_true(oracle_open(buf_view(&message), &back));
        t_assert_span(buf_view(&back), text);
    }
}

static void oracle_to_ours(void **state)
{
    (void)state;
    static uint8_t plain[4096];

    assert_int_equal(rng_bytes(cx, plain, sizeof plain), ERR_OK);
    for (size_t i = 0; i < N_SIZES * 2; i++) {
        AUTO(buf_clear) struct buf message = BUF_INIT(CMS_MAX_BYTES);
        AUTO(secret_clear) struct secret back = { 0 };
        struct span text = span_of(plain, sizes[i / 2]);
        struct why why = { 0 };
        oracle_seal(text, i % 2, &message);
        if (cms_open(cx, buf_view(&message), ours, &back, &why) != ERR_OK)
            fail_msg("%zu bytes, %s: %s at %zu", text.len, i % 2 ? "stream" : "DER", why.what,
                     why.at);
        t_assert_span(secret_view(&back), text);
    }
}

/* Small changes at places that a fixed generator picks. */
static uint32_t next(uint32_t *state)
{
    *state = *state * 1664525 + 1013904223;
    return *state >> 8;
}

static void damage(struct buf *b, uint32_t *state)
{
    size_t at = next(state) % b->len;

    switch (next(state) % 4) {
    case 0:
        b->ptr[at] ^= (uint8_t)(1 << next(state) % 8);
        break;
    case 1:
        b->ptr[at] = (uint8_t)next(state);
        break;
    case 2: /* leave one out */
        memmove(b->ptr + at, b->ptr + at + 1, b->len - at - 1);
        buf_truncate(b, b->len - 1);
        break;
    default: /* put one in */
        assert_int_equal(buf_append_byte(b, 0), ERR_OK);
        memmove(b->ptr + at + 1, b->ptr + at, b->len - at - 1);
    }
}

static void damaged(void **state)
{
    enum { TRIES = 6000 };
    (void)state;
    static const uint8_t plain[32] = "0123456789abcdef0123456789abcde";
    struct buf good[4];
    uint32_t seed = 1;
    size_t opened = 0;

    _Static_assert(sizeof plain == 32, "a data key");
    for (size_t i = 0; i < 4; i++)
        good[i] = BUF_INIT(CMS_MAX_BYTES);
    oracle_seal(SPAN_ARRAY(plain), false, &good[0]);
    oracle_seal(SPAN_ARRAY(plain), true, &good[1]);
    for (int form = CMS_FORM_A; form <= CMS_FORM_B; form++)
        assert_int_equal(cms_seal(cx, SPAN_ARRAY(plain), rsa_key_spki(ours), (enum cms_form)form,
                                  &good[2 + form], NULL),
                         ERR_OK);
    for (int i = 0; i < TRIES; i++) {
        AUTO(buf_clear) struct buf message = BUF_INIT(CMS_MAX_BYTES);
        AUTO(buf_clear) struct buf theirs = BUF_INIT(CMS_MAX_BYTES);
        AUTO(secret_clear) struct secret back = { 0 };
        assert_int_equal(buf_append(&message, buf_view(&good[i % 4])), ERR_OK);
        damage(&message, &seed);
        if (cms_open(cx, buf_view(&message), ours, &back, NULL) != ERR_OK)
            continue;
        opened++;
        if (!oracle_open(buf_view(&message), &theirs))
            fail_msg("try %d: ours opens what OpenSSL does not", i);
        t_assert_span(secret_view(&back), buf_view(&theirs));
    }
    /* Some do open, to other bytes: a changed IV or block, of which CBC knows nothing. */
    assert_in_range(opened, 1, TRIES / 4);
    for (size_t i = 0; i < 4; i++)
        buf_clear(&good[i]);
}

static X509 *make_cert(void)
{
    X509 *x = X509_new();
    uint8_t *spki = NULL;
    uint8_t ski[SHA256_BYTES];
    int n = i2d_PUBKEY(pkey, &spki);

    assert_true(n > 0);
    sha256(span_of(spki, (size_t)n), ski);
    ASN1_OCTET_STRING *id = ASN1_OCTET_STRING_new();
    assert_true(ASN1_OCTET_STRING_set(id, ski, sizeof ski) == 1);
    assert_true(X509_set_version(x, 2) == 1 && X509_set_pubkey(x, pkey) == 1);
    assert_true(X509_gmtime_adj(X509_getm_notBefore(x), 0) != NULL);
    assert_true(X509_gmtime_adj(X509_getm_notAfter(x), 3600) != NULL);
    assert_true(X509_add1_ext_i2d(x, NID_subject_key_identifier, id, 0, 0) == 1);
    assert_true(X509_sign(x, pkey, EVP_sha256()) > 0);
    ASN1_OCTET_STRING_free(id);
    OPENSSL_free(spki);
    return x;
}

static int setup(void **state)
{
    (void)state;
    if (crypto_process_init() != ERR_OK || crypto_new(&cx) != ERR_OK)
        return -1;
    pkey = EVP_RSA_gen(RSA_BITS_DEFAULT);
    BIO *pem = BIO_new(BIO_s_mem());
    if (!pkey || PEM_write_bio_PrivateKey(pem, pkey, NULL, NULL, 0, NULL, NULL) != 1 ||
        rsa_key_parse_pem(cx, bio_view(pem), &ours, NULL) != ERR_OK)
        return -1;
    BIO_free(pem);
    cert = make_cert();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    X509_free(cert);
    EVP_PKEY_free(pkey);
    rsa_key_free(ours);
    crypto_free(cx);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ours_to_oracle),
        cmocka_unit_test(oracle_to_ours),
        cmocka_unit_test(damaged),
    };

    return cmocka_run_group_tests_name("cms_oracle", tests, setup, teardown);
}
