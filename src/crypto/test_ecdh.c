/* ECDH with keys made out of a seed. The rows were computed with python3-cryptography: the same
 * derivation of the private key, the peer's private key 12345678901234567890. */
#include "crypto/ecdh.h"

#include "crypto/internal.h"
#include "testing/t.h"

static struct crypto *cx;

static const struct row {
    const char *name;
    enum ecdh_curve curve;
    const char *own, *peer, *secret;
} rows[] = {
    { "P-256", ECDH_P256,
      "3059301306072a8648ce3d020106082a8648ce3d03010703420004d6f60ecd6f1d4c3189ab206246"
      "d51d28ec2c13aa8041417c70ea2a83c1136e670db03946d1ac8435e74c908d0152fc404bee6b0bb2"
      "88bd70371d7c31f53fb5c8",
      "3059301306072a8648ce3d020106082a8648ce3d030107034200043ed7a28ec648edce5d5b7e252f"
      "6b2aafbb44835114a24b3caa8f710f64993bc25711a34cdc9229080b639f09977feb7ca91ecce164"
      "9bfea8ad85c72b206ade7e",
      "f63915a78cc110ea5a4a8321e4106c9e010f0f5db2f1025d6b297c44c14d1dcb" },
    { "P-384", ECDH_P384,
      "3076301006072a8648ce3d020106052b810400220362000462609c2d8d9050a53c5fd4057271047a"
      "7d65f9dc301f58c78c9927f382a035269ed69f38bc217dc0953810cf32823bf330080be7b378e61b"
      "e626629be043a3f67307b0e95a45938e893bfc8051f3ad9414e0ed54f2955a840fb69034858ee621",
      "3076301006072a8648ce3d020106052b8104002203620004d8a17e55b8e2f47bc369fd9616695ce2"
      "73dce4e307830a65f5a4a9aa8967c987aeea7ad365677a13bfd65c3fe5a66939bdc53542c5213a51"
      "345dba8220abb23c71659a4d850b3bbaff8d035bd08a59eb32099c96a9049e4d7d435cf675713bc8",
      "b64cda08d78299573e0c7b35f544ce4b3ef728bcdc53ab8d525898a5c91bca7fc8362084ef7dddba"
      "4c43cfdab2165490" },
    { "P-521", ECDH_P521,
      "30819b301006072a8648ce3d020106052b81040023038186000401a25709913dafba7118ed4f8e22"
      "a45a357f78b4887c56f131d9d268d20d9b9f63f1b141a0ea7c6f34b84eec5325070ec80b92810082"
      "5af12b775746c0f8027345e7000b34e942b2361e24f5408d231cf8ac2a6871f728400fefd7ccaf87"
      "d7c3e80673033955b6722c78eddc2c0dd10ada9a5df7036ba87fcaffef81871da50b6380ca67",
      "30819b301006072a8648ce3d020106052b81040023038186000400fac4e7a5fdb90d37d8b6845f48"
      "f3c40c3c168b8dce87c471f19e9cd1caa4d9db4036052f5f7a27a29db66d4b0d94d88fe3163a7c22"
      "eb44fa325cb5d7a425e9a1e50199de85017c54536d19d6b826186d1f5bc06252ad84b18488293b16"
      "17b215466b71bd993d5083dada4ef2fb8169da46bdbc304f203006a2f44ae3e87aa68bd95bc6",
      "00e76c7e07a9168d7c1062d8d64231c0bd0a1a0b90deaba3210c15c58ac83f5eb11c0b8242cef857"
      "e82dcc1aa98920a892ce733c36ee77c70e366832edb5a3714732" },
};
enum { ROWS = sizeof rows / sizeof rows[0] };

static struct ecdh_key *key_of(enum ecdh_curve curve)
{
    struct ecdh_key *key = NULL;
    uint8_t seed[ECDH_SEED_BYTES];

    for (uint8_t i = 0; i < sizeof seed; i++)
        seed[i] = i;
    assert_int_equal(ecdh_key_from_seed(cx, curve, SPAN_ARRAY(seed), &key), ERR_OK);
    return key;
}

static void known_answer(void **state)
{
    const struct row *row = *state;
    AUTO(ecdh_key_freep) struct ecdh_key *key = key_of(row->curve);
    AUTO(buf_clear) struct buf own = BUF_INIT(256);
    AUTO(secret_clear) struct secret z = { 0 };
    struct span want_own = t_unhex(row->own), peer = t_unhex(row->peer),
                want = t_unhex(row->secret);

    assert_int_equal(ecdh_key_public(key, &own), ERR_OK);
    t_assert_span(buf_view(&own), want_own);
    assert_int_equal(ecdh_derive(cx, key, peer, &z, NULL), ERR_OK);
    t_assert_span(secret_view(&z), want);
    t_free(want_own);
    t_free(peer);
    t_free(want);
}

static void refused(const struct ecdh_key *key, struct span peer, enum err want, const char *what)
{
    struct secret z = { .len = 7 };
    struct why why = { 0 };
    struct span copy = t_copy(peer);

    assert_int_equal(ecdh_derive(cx, key, copy, &z, &why), want);
    assert_string_equal(why.what, what);
    assert_int_equal(z.len, 7);
    t_free(copy);
}

static void every_truncation(void **state)
{
    (void)state;
    AUTO(ecdh_key_freep) struct ecdh_key *key = key_of(ECDH_P256);
    struct span peer = t_unhex(rows[0].peer);

    for (size_t n = 0; n < peer.len; n++)
        refused(key, span_sub(peer, 0, n), ERR_MALFORMED, "not a SubjectPublicKeyInfo");
    t_free(peer);
}

/* A changed point is not on the curve; a changed frame is none. */
static void every_bit(void **state)
{
    (void)state;
    AUTO(ecdh_key_freep) struct ecdh_key *key = key_of(ECDH_P384);
    AUTO(buf_clear) struct buf peer = BUF_INIT(256);
    struct span good = t_unhex(rows[1].peer);

    assert_int_equal(buf_append(&peer, good), ERR_OK);
    for (size_t bit = 0; bit < 8 * peer.len; bit++) {
        struct secret z = { 0 };
        struct why why = { 0 };
        peer.ptr[bit / 8] ^= (uint8_t)(1 << bit % 8);
        enum err r = ecdh_derive(cx, key, buf_view(&peer), &z, &why);
        assert_true(r == ERR_MALFORMED || r == ERR_UNSUPPORTED);
        assert_non_null(why.what);
        assert_null(z.ptr);
        peer.ptr[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    t_free(good);
}

static void other_keys(void **state)
{
    (void)state;
    AUTO(ecdh_key_freep) struct ecdh_key *key = key_of(ECDH_P256);
    struct span p384 = t_unhex(rows[1].peer);
    /* X25519, and a compressed point on P-256. */
    struct span x25519 =
        t_unhex("302a300506032b656e032100"
                "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
    struct span compressed = t_unhex("3039301306072a8648ce3d020106082a8648ce3d030107032200"
                                     "026b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d8"
                                     "98c296");

    refused(key, p384, ERR_UNSUPPORTED, "another curve");
    refused(key, x25519, ERR_UNSUPPORTED, "not an elliptic curve key");
    refused(key, compressed, ERR_MALFORMED, "point encoding");
    refused(key, SPAN_EMPTY, ERR_MALFORMED, "not a SubjectPublicKeyInfo");
    t_free(p384);
    t_free(x25519);
    t_free(compressed);
}

static void seeds(void **state)
{
    (void)state;
    static const uint8_t seed[ECDH_SEED_BYTES + 1];
    struct ecdh_key *key = NULL;

    for (size_t n = 0; n <= sizeof seed; n++) {
        assert_int_equal(ecdh_key_from_seed(cx, ECDH_P521, span_of(seed, n), &key),
                         n == ECDH_SEED_BYTES ? ERR_OK : ERR_INTERNAL);
        if (n != ECDH_SEED_BYTES)
            assert_null(key);
        ecdh_key_freep(&key);
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
    struct CMUnitTest tests[ROWS + 4] = {
        cmocka_unit_test(every_truncation),
        cmocka_unit_test(every_bit),
        cmocka_unit_test(other_keys),
        cmocka_unit_test(seeds),
    };

    T_ROWS(tests + 4, rows, known_answer);
    return _cmocka_run_group_tests("ecdh", tests, ROWS + 4, setup, teardown);
}
