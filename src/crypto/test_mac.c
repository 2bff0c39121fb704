#include "crypto/mac.h"

#include "crypto/internal.h"
#include "testing/t.h"

static struct crypto *cx;

/* RFC 4231 section 4.3. */
static void rfc4231(void **state)
{
    static const char *const want[MAC_ALGS] = {
        [MAC_SHA224] = "a30e01098bc6dbbf45690f3a7e9e6d0f8bbea2a39e6148008fd05e44",
        [MAC_SHA256] = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        [MAC_SHA384] = "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e"
                       "8e2240ca5e69e2c78b3239ecfab21649",
        [MAC_SHA512] = "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"
                       "9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
    };
    (void)state;

    for (enum mac_alg a = MAC_SHA224; a < MAC_ALGS; a++) {
        uint8_t got[MAC_MAX_BYTES];
        struct span expected = t_unhex(want[a]);
        assert_int_equal(
            mac_compute(cx, a, SPAN_LIT("Jefe"), SPAN_LIT("what do ya want for nothing?"), got),
            ERR_OK);
        assert_int_equal(mac_bytes(a), expected.len);
        t_assert_span(span_of(got, mac_bytes(a)), expected);
        t_free(expected);
    }
}

static void no_key(void **state)
{
    uint8_t out[MAC_MAX_BYTES] = { 7 };

    (void)state;
    assert_int_equal(mac_compute(cx, MAC_SHA256, SPAN_EMPTY, SPAN_LIT("m"), out), ERR_INTERNAL);
    assert_int_equal(out[0], 7);
}

OSSL_CLEANER(EVP_CIPHER_CTX, EVP_CIPHER_CTX_free)

static void wrap(struct span key, struct span plain, struct buf *out)
{
    AUTO(EVP_CIPHER_CTX_free_p) EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, "AES-256-WRAP-PAD", NULL);
    uint8_t *room;
    int n = 0;

    assert_int_equal(buf_reserve(out, plain.len + 16, &room), ERR_OK);
    EVP_CIPHER_CTX_set_flags(ctx, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
    assert_int_equal(EVP_EncryptInit_ex2(ctx, cipher, key.ptr, NULL, NULL), 1);
    assert_int_equal(EVP_EncryptUpdate(ctx, room, &n, plain.ptr, (int)plain.len), 1);
    buf_commit(out, (size_t)n);
    EVP_CIPHER_free(cipher);
}

static void kwp(void **state)
{
    struct span key = SPAN_LIT("0123456789abcdef0123456789abcdef");
    uint8_t plain[41];
    (void)state;

    memset(plain, 'p', sizeof plain);
    for (size_t n = 1; n <= sizeof plain; n++) {
        AUTO(buf_clear) struct buf wrapped = BUF_INIT(128);
        AUTO(secret_clear) struct secret got = { 0 };
        wrap(key, span_of(plain, n), &wrapped);
        assert_int_equal(aes_kwp_open(cx, key, buf_view(&wrapped), &got), ERR_OK);
        t_assert_span(secret_view(&got), span_of(plain, n));
        secret_clear(&got);
        for (size_t bit = 0; bit < 8 * wrapped.len; bit++) {
            wrapped.ptr[bit / 8] ^= (uint8_t)(1 << bit % 8);
            assert_int_equal(aes_kwp_open(cx, key, buf_view(&wrapped), &got), ERR_VERIFY);
            wrapped.ptr[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        assert_null(got.ptr);
    }
    struct secret none = { 0 };
    assert_int_equal(aes_kwp_open(cx, span_from(key, 1), SPAN_LIT("0123456789abcdef"), &none),
                     ERR_INTERNAL);
    for (size_t n = 0; n < 24; n++)
        assert_int_equal(
            aes_kwp_open(cx, key, span_sub(SPAN_LIT("0123456789abcdef01234567"), 0, n), &none),
            ERR_VERIFY);
    assert_null(none.ptr);
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
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc4231),
        cmocka_unit_test(no_key),
        cmocka_unit_test(kwp),
    };

    return cmocka_run_group_tests_name("mac", tests, setup, teardown);
}
