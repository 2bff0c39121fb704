/* Known answers for the three key sizes; Wycheproof's are in test_wycheproof.c. */
#include "crypto/gcm.h"

#include <stdlib.h>

#include "testing/t.h"

static struct crypto *cx;

/* The GCM specification (McGrew and Viega), appendix B: test cases 4, 10 and 16. */
#define PLAIN                                                                                      \
    "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6" \
    "b525b16aedf5aa0de657ba637b39"
#define AAD "feedfacedeadbeeffeedfacedeadbeefabaddad2"
#define IV  "cafebabefacedbaddecaf888"
#define KEY "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308"

static struct row {
    const char *name;
    size_t key_bytes;
    const char *ct, *tag;
} rows[] = {
    { "AES-128, case 4", 16,
      "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aac84"
      "aa051ba30b396a0aac973d58e091",
      "5bc94fbc3221a5db94fae95ae7121a47" },
    { "AES-192, case 10", 24,
      "3980ca0b3c00e841eb06fac4872a2757859e1ceaa6efd984628593b40ca1e19c7d773d00c144c525ac619d18c84a"
      "3f4718e2448b2fe324d9ccda2710",
      "2519498e80f1478f37ba55bd6d27618c" },
    { "AES-256, case 16", 32,
      "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b105682"
      "8838c5f61e6393ba7a0abcc9f662",
      "76fc6ece0f4e1768cddf8853bb2d551b" },
};

/* In pieces of `cut`, in place where `in_place`. */
static void text(struct gcm *g, struct span iv, struct span aad, struct span in, size_t cut,
                 bool in_place, uint8_t *out)
{
    if (in_place)
        memcpy(out, in.ptr, in.len);
    assert_int_equal(gcm_begin(g, iv.ptr), ERR_OK);
    for (size_t at = 0; at < aad.len; at += cut)
        assert_int_equal(gcm_aad(g, span_sub(aad, at, cut)), ERR_OK);
    for (size_t at = 0; at < in.len; at += cut) {
        struct span piece = span_sub(in_place ? span_of(out, in.len) : in, at, cut);
        assert_int_equal(gcm_update(g, piece, out + at), ERR_OK);
    }
}

/* One object for many texts: each of them in other pieces. */
static void known_answer(void **state)
{
    const struct row *row = *state;
    AUTO(gcm_freep) struct gcm *seal = NULL;
    AUTO(gcm_freep) struct gcm *open = NULL;
    struct span key = t_unhex(KEY), iv = t_unhex(IV), aad = t_unhex(AAD), plain = t_unhex(PLAIN);
    struct span ct = t_unhex(row->ct), tag = t_unhex(row->tag);
    struct span k = span_sub(key, 0, row->key_bytes);
    uint8_t out[64], made[GCM_TAG_BYTES];

    assert_int_equal(gcm_new(cx, k, GCM_SEAL, &seal), ERR_OK);
    assert_int_equal(gcm_new(cx, k, GCM_OPEN, &open), ERR_OK);
    for (size_t cut = 1; cut <= plain.len; cut++) {
        text(seal, iv, aad, plain, cut, cut % 2, out);
        assert_int_equal(gcm_tag(seal, made), ERR_OK);
        t_assert_span(span_of(out, ct.len), ct);
        t_assert_span(SPAN_ARRAY(made), tag);
        text(open, iv, aad, ct, cut, cut % 2, out);
        assert_int_equal(gcm_check(open, made), ERR_OK);
        t_assert_span(span_of(out, plain.len), plain);
        /* A wrong tag, and the object is as good as before. */
        made[cut % GCM_TAG_BYTES] ^= 1;
        text(open, iv, aad, ct, cut, false, out);
        assert_int_equal(gcm_check(open, made), ERR_VERIFY);
    }
    struct span all[] = { key, iv, aad, plain, ct, tag };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        t_free(all[i]);
}

static void nothing(void **state)
{
    static const uint8_t key[16], iv[GCM_IV_BYTES];
    AUTO(gcm_freep) struct gcm *seal = NULL;
    AUTO(gcm_freep) struct gcm *open = NULL;
    uint8_t tag[GCM_TAG_BYTES];
    struct span want = t_unhex("58e2fccefa7e3061367f1d57a4e7455a"); /* the same, test case 1 */

    (void)state;
    assert_int_equal(gcm_new(cx, SPAN_ARRAY(key), GCM_SEAL, &seal), ERR_OK);
    assert_int_equal(gcm_new(cx, SPAN_ARRAY(key), GCM_OPEN, &open), ERR_OK);
    assert_int_equal(gcm_begin(seal, iv), ERR_OK);
    assert_int_equal(gcm_update(seal, SPAN_EMPTY, NULL), ERR_OK);
    assert_int_equal(gcm_tag(seal, tag), ERR_OK);
    t_assert_span(SPAN_ARRAY(tag), want);
    assert_int_equal(gcm_begin(open, iv), ERR_OK);
    assert_int_equal(gcm_check(open, tag), ERR_OK);
    assert_int_equal(gcm_begin(open, iv), ERR_OK);
    assert_int_equal(gcm_aad(open, SPAN_LIT("a")), ERR_OK);
    assert_int_equal(gcm_check(open, tag), ERR_VERIFY);
    t_free(want);
}

static void refused(void **state)
{
    static const uint8_t key[33];
    struct gcm *g = NULL;

    (void)state;
    for (size_t n = 0; n <= sizeof key; n++)
        if (n != 16 && n != 24 && n != 32)
            assert_int_equal(gcm_new(cx, span_of(key, n), GCM_SEAL, &g), ERR_INTERNAL);
    assert_null(g);
    gcm_free(g);
    assert_int_equal(gcm_new(cx, span_of(key, 32), GCM_SEAL, &g), ERR_OK);
    assert_int_equal(gcm_update(g, SPAN_LIT("x"), NULL), ERR_INTERNAL);
    gcm_freep(&g);
    assert_null(g);
}

int main(void)
{
    enum { ROWS = sizeof rows / sizeof rows[0] };
    struct CMUnitTest tests[ROWS + 2];

    T_ROWS(tests, rows, known_answer);
    tests[ROWS] = (struct CMUnitTest)cmocka_unit_test(nothing);
    tests[ROWS + 1] = (struct CMUnitTest)cmocka_unit_test(refused);
    if (crypto_process_init() != ERR_OK || crypto_new(&cx) != ERR_OK)
        return 1;
    int failed = cmocka_run_group_tests_name("gcm", tests, NULL, NULL);
    crypto_free(cx);
    return failed;
}
