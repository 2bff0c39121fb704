/* AES-256-GCM and AES-256-CBC: McGrew and Viega's GCM test cases 13 to 16, NIST SP 800-38A F.2.5,
 * tampering, arguments. Wycheproof's are in test_wycheproof.c. */
#include "crypto/aead.h"

#include "testing/t.h"

#define KEY16 "feffe9928665731c6d6a8f9467308308"
#define IV15  "cafebabefacedbaddecaf888"
#define P15                                                                                        \
    "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"                             \
    "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
#define C15                                                                                        \
    "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"                             \
    "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
#define ZERO16 "00000000000000000000000000000000"

static struct crypto *cx;

struct row {
    const char *name, *key, *iv, *aad, *plain, *ct, *tag;
};

static struct row rows[] = {
    { "GCM case 13", ZERO16 ZERO16, "000000000000000000000000", "", "", "",
      "530f8afbc74536b9a963b4f1c4cb738b" },
    { "GCM case 14", ZERO16 ZERO16, "000000000000000000000000", "", ZERO16,
      "cea7403d4d606b6e074ec5d3baf39d18", "d0d1c8a799996bf0265b98b5d48ab919" },
    { "GCM case 15", KEY16 KEY16, IV15, "", P15 "1aafd255", C15 "898015ad",
      "b094dac5d93471bdec1a502270e3cc6c" },
    { "GCM case 16", KEY16 KEY16, IV15, "feedfacedeadbeeffeedfacedeadbeefabaddad2", P15, C15,
      "76fc6ece0f4e1768cddf8853bb2d551b" },
};

struct gcm {
    struct span key, iv, aad, plain, ct, tag;
};

static struct gcm unhex(const struct row *row)
{
    return (struct gcm){ t_unhex(row->key),   t_unhex(row->iv), t_unhex(row->aad),
                         t_unhex(row->plain), t_unhex(row->ct), t_unhex(row->tag) };
}

static void release(struct gcm *g)
{
    struct span all[] = { g->key, g->iv, g->aad, g->plain, g->ct, g->tag };

    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        t_free(all[i]);
}

static void known_answer(void **state)
{
    AUTO(release) struct gcm g = unhex(*state);
    uint8_t out[64], tag[GCM_TAG_BYTES];

    assert_int_equal(aes256gcm_seal(cx, g.key, g.iv, g.aad, g.plain, out, tag), ERR_OK);
    t_assert_span(span_of(out, g.ct.len), g.ct);
    t_assert_span(SPAN_ARRAY(tag), g.tag);
    assert_int_equal(aes256gcm_open(cx, g.key, g.iv, g.aad, g.ct, g.tag, out), ERR_OK);
    t_assert_span(span_of(out, g.plain.len), g.plain);
}

/* Every single bit of key, IV, additional data, ciphertext and tag counts; nothing comes out. */
static void every_bit_counts(void **state)
{
    (void)state;
    AUTO(release) struct gcm g = unhex(&rows[3]);
    struct span *part[] = { &g.key, &g.iv, &g.aad, &g.ct, &g.tag };
    uint8_t copy[64], out[64], zero[64] = { 0 };

    for (size_t p = 0; p < sizeof part / sizeof part[0]; p++) {
        struct span good = *part[p];
        memcpy(copy, good.ptr, good.len);
        *part[p] = span_of(copy, good.len);
        for (size_t bit = 0; bit < good.len * 8; bit++) {
            copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
            memset(out, 0xaa, sizeof out);
            assert_int_equal(aes256gcm_open(cx, g.key, g.iv, g.aad, g.ct, g.tag, out), ERR_VERIFY);
            assert_memory_equal(out, zero, g.ct.len);
            assert_int_equal(out[g.ct.len], 0xaa);
            copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        *part[p] = good;
    }
}

static void gcm_tag_length(void **state)
{
    (void)state;
    AUTO(release) struct gcm g = unhex(&rows[3]);
    uint8_t out[64], longer[17] = { 0 };

    for (size_t n = 0; n < GCM_TAG_BYTES; n++)
        assert_int_equal(aes256gcm_open(cx, g.key, g.iv, g.aad, g.ct, span_sub(g.tag, 0, n), out),
                         ERR_VERIFY);
    memcpy(longer, g.tag.ptr, g.tag.len);
    assert_int_equal(aes256gcm_open(cx, g.key, g.iv, g.aad, g.ct, SPAN_ARRAY(longer), out),
                     ERR_VERIFY);
}

static void gcm_arguments(void **state)
{
    (void)state;
    uint8_t key[33] = { 0 }, iv[13] = { 0 }, out[1] = { 7 }, tag[16] = { 7 };
    static const struct {
        size_t key, iv;
    } bad[] = { { 31, 12 }, { 33, 12 }, { 16, 12 }, { 0, 12 }, { 32, 11 }, { 32, 13 }, { 32, 0 } };

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct span k = span_of(key, bad[i].key), v = span_of(iv, bad[i].iv);
        assert_int_equal(aes256gcm_seal(cx, k, v, SPAN_EMPTY, SPAN_LIT("x"), out, tag),
                         ERR_INTERNAL);
        assert_int_equal(aes256gcm_open(cx, k, v, SPAN_EMPTY, SPAN_LIT("x"), SPAN_ARRAY(tag), out),
                         ERR_INTERNAL);
        assert_int_equal(out[0], 7);
        assert_int_equal(tag[0], 7);
    }
}

/* The same operation after others, of both kinds and failed ones, gives the same answer. */
static void contexts_are_reusable(void **state)
{
    (void)state;
    AUTO(release) struct gcm g = unhex(&rows[2]);
    uint8_t out[64], tag[GCM_TAG_BYTES];

    for (int i = 0; i < 3; i++) {
        AUTO(buf_clear) struct buf ct = BUF_INIT(64);
        AUTO(secret_clear) struct secret plain = { 0 };
        assert_int_equal(aes256gcm_open(cx, g.key, g.iv, SPAN_LIT("no"), g.ct, g.tag, out),
                         ERR_VERIFY);
        assert_int_equal(aes256cbc_seal(cx, g.key, span_sub(g.key, 0, 16), SPAN_LIT("x"), &ct),
                         ERR_OK);
        assert_int_equal(aes256cbc_open(cx, g.key, span_sub(g.key, 0, 16), buf_view(&ct), &plain),
                         ERR_OK);
        assert_int_equal(aes256gcm_seal(cx, g.key, g.iv, g.aad, g.plain, out, tag), ERR_OK);
        t_assert_span(SPAN_ARRAY(tag), g.tag);
    }
}

/* ---- CBC ---- */

#define CBC_KEY "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4"
#define CBC_IV  "000102030405060708090a0b0c0d0e0f"

struct cbc {
    struct span key, iv;
};

static void cbc_release(struct cbc *c)
{
    t_free(c->key);
    t_free(c->iv);
}

static struct cbc cbc_new(void)
{
    return (struct cbc){ t_unhex(CBC_KEY), t_unhex(CBC_IV) };
}

/* F.2.5 has four whole blocks; the fifth is our padding. */
static void cbc_known_answer(void **state)
{
    (void)state;
    AUTO(cbc_release) struct cbc c = cbc_new();
    AUTO(buf_clear) struct buf out = BUF_INIT(80);
    AUTO(secret_clear) struct secret back = { 0 };
    struct span plain = t_unhex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
                                "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710");
    struct span ct = t_unhex("f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d"
                             "39f23369a9d9bacfa530e26304231461b2eb05e2c39be9fcda6c19078c6a9d1b");

    assert_int_equal(aes256cbc_seal(cx, c.key, c.iv, plain, &out), ERR_OK);
    assert_int_equal(out.len, 80);
    t_assert_span(span_sub(buf_view(&out), 0, 64), ct);
    assert_int_equal(aes256cbc_open(cx, c.key, c.iv, buf_view(&out), &back), ERR_OK);
    t_assert_span(secret_view(&back), plain);
    t_free(plain);
    t_free(ct);
}

static void cbc_every_length(void **state)
{
    (void)state;
    AUTO(cbc_release) struct cbc c = cbc_new();
    uint8_t plain[50];

    for (size_t i = 0; i < sizeof plain; i++)
        plain[i] = (uint8_t)(i + 1);
    for (size_t n = 0; n <= sizeof plain; n++) {
        AUTO(buf_clear) struct buf ct = BUF_INIT(64);
        AUTO(secret_clear) struct secret back = { 0 };
        assert_int_equal(aes256cbc_seal(cx, c.key, c.iv, span_of(plain, n), &ct), ERR_OK);
        assert_int_equal(ct.len, n / 16 * 16 + 16);
        assert_int_equal(aes256cbc_open(cx, c.key, c.iv, buf_view(&ct), &back), ERR_OK);
        t_assert_span(secret_view(&back), span_of(plain, n));
    }
}

/* RFC 5652 section 6.3, the obvious way: 0 where the padding is wrong. */
static size_t padding_of(const uint8_t block[static 16])
{
    size_t n = block[15];

    for (size_t i = 0; n <= 16 && i < n; i++)
        if (block[15 - i] != n)
            return 0;
    return n <= 16 ? n : 0;
}

/* Two blocks; flipping bits of the first ciphertext block flips those of the last plaintext one.
 * So the last block can be made to hold every padding value, whole and with one byte wrong. */
static void cbc_padding(void **state)
{
    (void)state;
    AUTO(cbc_release) struct cbc c = cbc_new();
    AUTO(buf_clear) struct buf ct = BUF_INIT(48);
    uint8_t plain[32], forged[32], want[16];
    size_t opened = 0;

    memset(plain, 0x40, sizeof plain);
    assert_int_equal(aes256cbc_seal(cx, c.key, c.iv, SPAN_ARRAY(plain), &ct), ERR_OK);
    for (unsigned value = 0; value < 256; value++) {
        for (size_t wrong = 0; wrong <= 16; wrong++) { /* 16: none */
            AUTO(secret_clear) struct secret back = { 0 };
            memset(want, 0x40, sizeof want);
            for (size_t i = 0; i < 16 && (i < value || i == 0); i++)
                want[15 - i] = (uint8_t)value;
            if (wrong < 16)
                want[wrong] ^= 1;
            memcpy(forged, ct.ptr, sizeof forged);
            for (size_t i = 0; i < 16; i++)
                forged[i] ^= (uint8_t)(plain[16 + i] ^ want[i]);
            size_t n = padding_of(want);
            assert_int_equal(aes256cbc_open(cx, c.key, c.iv, SPAN_ARRAY(forged), &back),
                             n ? ERR_OK : ERR_VERIFY);
            assert_int_equal(back.len, n ? 32 - n : 0);
            opened += n != 0;
        }
    }
    assert_in_range(opened, 16, 256);
}

static void cbc_arguments(void **state)
{
    (void)state;
    AUTO(cbc_release) struct cbc c = cbc_new();
    struct secret none = { 0 };
    AUTO(buf_clear) struct buf ct = BUF_INIT(31);
    uint8_t text[33] = { 0 };

    static const size_t bad_ct[] = { 0, 1, 15, 17, 33 };
    for (size_t i = 0; i < sizeof bad_ct / sizeof bad_ct[0]; i++)
        assert_int_equal(aes256cbc_open(cx, c.key, c.iv, span_of(text, bad_ct[i]), &none),
                         ERR_INTERNAL);
    struct span k = span_of(text, 16), v = span_of(text, 15);
    assert_int_equal(aes256cbc_open(cx, k, c.iv, span_of(text, 16), &none), ERR_INTERNAL);
    assert_int_equal(aes256cbc_open(cx, c.key, v, span_of(text, 16), &none), ERR_INTERNAL);
    assert_int_equal(aes256cbc_seal(cx, k, c.iv, SPAN_LIT("x"), &ct), ERR_INTERNAL);
    assert_int_equal(aes256cbc_seal(cx, c.key, v, SPAN_LIT("x"), &ct), ERR_INTERNAL);
    assert_int_equal(aes256cbc_seal(cx, c.key, c.iv, span_of(text, 16), &ct), ERR_LIMIT);
    assert_int_equal(aes256cbc_seal(cx, c.key, c.iv, span_of(text, 15), &ct), ERR_OK);
    assert_int_equal(ct.len, 16);
    assert_null(none.ptr);
}

static void cbc_longest_secret(void **state)
{
    (void)state;
    AUTO(cbc_release) struct cbc c = cbc_new();
    AUTO(buf_clear)
    struct buf text = BUF_INIT(SECRET_MAX_BYTES), ct = BUF_INIT(SECRET_MAX_BYTES * 2);
    AUTO(secret_clear) struct secret back = { 0 };
    struct secret none = { 0 };
    uint8_t *p = NULL;

    assert_int_equal(buf_reserve(&text, SECRET_MAX_BYTES, &p), ERR_OK);
    memset(p, 1, SECRET_MAX_BYTES);
    buf_commit(&text, SECRET_MAX_BYTES);
    assert_int_equal(
        aes256cbc_seal(cx, c.key, c.iv, span_sub(buf_view(&text), 0, SECRET_MAX_BYTES - 1), &ct),
        ERR_OK);
    assert_int_equal(aes256cbc_open(cx, c.key, c.iv, buf_view(&ct), &back), ERR_OK);
    assert_int_equal(back.len, SECRET_MAX_BYTES - 1);
    buf_reset(&ct);
    assert_int_equal(aes256cbc_seal(cx, c.key, c.iv, buf_view(&text), &ct), ERR_OK);
    assert_int_equal(aes256cbc_open(cx, c.key, c.iv, buf_view(&ct), &none), ERR_LIMIT);
    assert_null(none.ptr);
}

int main(void)
{
    enum { ROWS = sizeof rows / sizeof rows[0], PLAIN = 9 };
    struct CMUnitTest tests[ROWS + PLAIN] = {
        cmocka_unit_test(every_bit_counts),   cmocka_unit_test(gcm_tag_length),
        cmocka_unit_test(gcm_arguments),      cmocka_unit_test(contexts_are_reusable),
        cmocka_unit_test(cbc_known_answer),   cmocka_unit_test(cbc_every_length),
        cmocka_unit_test(cbc_padding),        cmocka_unit_test(cbc_arguments),
        cmocka_unit_test(cbc_longest_secret),
    };

    T_ROWS(tests + PLAIN, rows, known_answer);
    if (crypto_process_init() != ERR_OK || crypto_new(&cx) != ERR_OK)
        return 1;
    int failed = cmocka_run_group_tests_name("aead", tests, NULL, NULL);
    crypto_free(cx);
    return failed;
}
