#include "crypto/esig.h"

#include "testing/t.h"

static struct crypto *cx;

/* The digest of `text` in pieces of `cut`. */
static struct esig *digest(enum esig_curve curve, struct span text, size_t cut)
{
    struct esig *s = NULL;

    assert_int_equal(esig_new(cx, curve, &s), ERR_OK);
    for (size_t at = 0; at < text.len; at += cut)
        assert_int_equal(esig_update(s, span_sub(text, at, cut)), ERR_OK);
    return s;
}

static enum err verify(enum esig_curve curve, struct span text, const struct esig_pub *pub,
                       struct span sig)
{
    AUTO(esig_freep) struct esig *s = digest(curve, text, SIZE_MAX / 2);

    return esig_verify(s, pub, sig);
}

/* Signed in any pieces, verified in any; every flipped bit, every shorter one refused. */
static void both_curves(void **state)
{
    (void)state;
    for (enum esig_curve curve = ESIG_P256; curve < ESIG_CURVES; curve++) {
        AUTO(esig_key_freep) struct esig_key *key = NULL;
        AUTO(esig_pub_freep) struct esig_pub *pub = NULL;
        uint8_t text[300], sig[ESIG_SIG_MAX_BYTES];
        size_t len = 0;

        memset(text, 'x', sizeof text);
        assert_int_equal(esig_key_new(cx, curve, &key), ERR_OK);
        assert_int_equal(esig_key_curve(key), curve);
        struct span point = esig_key_point(key);
        assert_int_equal(point.len, esig_point_bytes(curve));
        assert_int_equal(esig_pub_parse(cx, curve, point, &pub, NULL), ERR_OK);
        for (size_t cut = 1; cut < 300; cut += 37) {
            AUTO(esig_freep) struct esig *s = digest(curve, SPAN_ARRAY(text), cut);
            assert_int_equal(esig_sign(s, key, sig, &len), ERR_OK);
            assert_in_range(len, 8, esig_sig_max_bytes(curve));
            assert_int_equal(verify(curve, SPAN_ARRAY(text), pub, span_of(sig, len)), ERR_OK);
            /* Ended. */
            assert_int_equal(esig_update(s, SPAN_LIT("x")), ERR_INTERNAL);
            assert_int_equal(esig_sign(s, key, sig, &len), ERR_INTERNAL);
        }
        for (size_t bit = 0; bit < 8 * len; bit++) {
            sig[bit / 8] ^= (uint8_t)(1 << bit % 8);
            assert_int_equal(verify(curve, SPAN_ARRAY(text), pub, span_of(sig, len)), ERR_VERIFY);
            sig[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        for (size_t n = 0; n < len; n++)
            assert_int_equal(verify(curve, SPAN_ARRAY(text), pub, span_of(sig, n)), ERR_VERIFY);
        text[7] ^= 1;
        assert_int_equal(verify(curve, SPAN_ARRAY(text), pub, span_of(sig, len)), ERR_VERIFY);
    }
}

static void curves_do_not_mix(void **state)
{
    AUTO(esig_key_freep) struct esig_key *key = NULL;
    AUTO(esig_pub_freep) struct esig_pub *pub = NULL;
    AUTO(esig_freep) struct esig *s = NULL;
    uint8_t sig[ESIG_SIG_MAX_BYTES] = { 0 };
    size_t len = 3;

    (void)state;
    assert_int_equal(esig_key_new(cx, ESIG_P256, &key), ERR_OK);
    assert_int_equal(esig_pub_parse(cx, ESIG_P384, esig_key_point(key), &pub, NULL), ERR_MALFORMED);
    assert_null(pub);
    assert_int_equal(esig_pub_parse(cx, ESIG_P256, esig_key_point(key), &pub, NULL), ERR_OK);
    assert_int_equal(esig_new(cx, ESIG_P384, &s), ERR_OK);
    assert_int_equal(esig_sign(s, key, sig, &len), ERR_INTERNAL);
    assert_int_equal(esig_verify(s, pub, SPAN_ARRAY(sig)), ERR_INTERNAL);
    assert_int_equal(len, 3);
}

/* The base point of P-256, and what is none. */
static void points(void **state)
{
    static const struct {
        const char *hex;
        enum err want;
        const char *what;
    } rows[] = {
        { "036b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296", ERR_OK, NULL },
        { "026b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296", ERR_OK, NULL },
        { "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296", ERR_MALFORMED,
          "not a compressed point of the curve" },
        { "036b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c2", ERR_MALFORMED,
          "not a compressed point of the curve" },
        { "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c2964fe342e2fe1a7f9b8ee7eb"
          "4a7c0f9e162bce33576b315ececbb6406837bf51f5",
          ERR_MALFORMED, "not a compressed point of the curve" },
        /* x = 5 of P-256: 5 is on it, 1 is not; x = p. */
        { "020000000000000000000000000000000000000000000000000000000000000005", ERR_OK, NULL },
        { "020000000000000000000000000000000000000000000000000000000000000001", ERR_MALFORMED,
          "the point is not on the curve" },
        { "02ffffffff00000001000000000000000000000000ffffffffffffffffffffffff", ERR_MALFORMED,
          "the point is not on the curve" },
        { "00", ERR_MALFORMED, "not a compressed point of the curve" },
        { "", ERR_MALFORMED, "not a compressed point of the curve" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        AUTO(esig_pub_freep) struct esig_pub *pub = NULL;
        struct span point = t_unhex(rows[i].hex);
        struct why why = { 0 };

        assert_int_equal(esig_pub_parse(cx, ESIG_P256, point, &pub, &why), rows[i].want);
        assert_int_equal(pub != NULL, rows[i].want == ERR_OK);
        if (rows[i].what)
            assert_string_equal(why.what, rows[i].what);
        t_free(point);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_curves),
        cmocka_unit_test(curves_do_not_mix),
        cmocka_unit_test(points),
    };

    if (crypto_process_init() != ERR_OK || crypto_new(&cx) != ERR_OK)
        return 1;
    int failed = cmocka_run_group_tests_name("esig", tests, NULL, NULL);
    crypto_free(cx);
    return failed;
}
