/* Known answers: FIPS 180-4 examples, RFC 4231 (HMAC-SHA256). Wycheproof's are in
 * test_wycheproof.c. */
#include "crypto/hash.h"

#include <stdlib.h>

#include "testing/t.h"

struct row {
    const char *name, *key, *in, *want; /* hex; key NULL: a plain hash, as long as `want` */
};

#define REP8(x)  x x x x x x x x
#define REP64(x) REP8(REP8(x))
#define RFC4231_LONG                                                                               \
    "5468697320697320612074657374207573696e672061206c6172676572207468616e20626c6f636b2d73697a65"   \
    "206b657920616e642061206c6172676572207468616e20626c6f636b2d73697a6520646174612e20546865206b"   \
    "6579206e6565647320746f20626520686173686564206265666f7265206265696e672075736564206279207468"   \
    "6520484d414320616c676f726974686d2e"

static struct row rows[] = {
    { "sha256 empty", NULL, "",
      "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
    { "sha256 abc", NULL, "616263",
      "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
    { "sha384 empty", NULL, "",
      "38b060a751ac96384cd9327eb1b1e36a21fdb71114be07434c0cc7bf63f6e1da274edebfe76f65fbd51ad2f14898"
      "b95b" },
    { "sha384 abc", NULL, "616263",
      "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c8"
      "25a7" },
    { "hmac RFC 4231 case 1", "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "4869205468657265",
      "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7" },
    { "hmac RFC 4231 case 2", "4a656665",
      "7768617420646f2079612077616e7420666f72206e6f7468696e673f",
      "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843" },
    { "hmac RFC 4231 case 6, key of 131 bytes", REP64("aaaa") "aaaaaa",
      "54657374205573696e67204c6172676572205468616e20426c6f636b2d53697a65204b6579202d2048617368204b"
      "6579204669727374",
      "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54" },
    { "hmac RFC 4231 case 7, both long", REP64("aaaa") "aaaaaa", RFC4231_LONG,
      "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2" },
    { "hmac empty key and text", "", "",
      "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad" },
};

static void known_answer(void **state)
{
    const struct row *row = *state;
    struct span in = t_unhex(row->in), want = t_unhex(row->want);
    struct span key = t_unhex(row->key ? row->key : "");
    uint8_t out[SHA384_BYTES];

    if (row->key)
        hmac_sha256(key, in, out);
    else if (want.len == SHA384_BYTES)
        sha384(in, out);
    else
        sha256(in, out);
    t_assert_span(span_of(out, want.len), want);
    t_free(in);
    t_free(want);
    t_free(key);
}

/* Every way to cut a text in two gives the digest of the whole, block edges included. */
static void parts(void **state)
{
    (void)state;
    uint8_t text[300], whole[SHA384_BYTES], cut[SHA384_BYTES];

    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (uint8_t)(i * 7);
    for (size_t at = 0; at <= sizeof text; at++) {
        struct span two[] = { span_of(text, at), SPAN_EMPTY, span_of(text + at, sizeof text - at) };
        sha384(SPAN_ARRAY(text), whole);
        sha384_parts(two, 3, cut);
        assert_memory_equal(whole, cut, SHA384_BYTES);
        sha256(SPAN_ARRAY(text), whole);
        sha256_parts(two, 3, cut);
        assert_memory_equal(whole, cut, SHA256_BYTES);
    }
    sha256_parts(NULL, 0, cut);
    sha256(SPAN_EMPTY, whole);
    assert_memory_equal(whole, cut, SHA256_BYTES);
}

/* FIPS 180-4's long example: one million times "a". */
static void million(void **state)
{
    (void)state;
    enum { N = 1000000 };
    uint8_t *a = malloc(N), out[SHA256_BYTES];
    struct span want = t_unhex("cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");

    assert_non_null(a);
    memset(a, 'a', N);
    sha256(span_of(a, N), out);
    t_assert_span(SPAN_ARRAY(out), want);
    t_free(want);
    free(a);
}

/* A copy goes on by itself; every way to cut a text gives the same. */
static void under_way(void **state)
{
    (void)state;
    uint8_t text[200], whole[SHA256_BYTES], out[SHA256_BYTES];
    const struct sha256_state zeros = { 0 };

    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (uint8_t)i;
    sha256(SPAN_ARRAY(text), whole);
    for (size_t cut = 0; cut <= sizeof text; cut++) {
        struct sha256_state first, copy;
        sha256_begin(&first);
        sha256_more(&first, span_of(text, cut));
        copy = first;
        sha256_more(&first, SPAN_LIT("something else"));
        sha256_end(&first, out);
        assert_memory_not_equal(out, whole, sizeof out);
        sha256_more(&copy, span_from(SPAN_ARRAY(text), cut));
        sha256_more(&copy, SPAN_EMPTY);
        sha256_end(&copy, out);
        assert_memory_equal(out, whole, sizeof out);
        assert_memory_equal(&copy, &zeros, sizeof copy);
    }
}

int main(void)
{
    enum { ROWS = sizeof rows / sizeof rows[0] };
    struct CMUnitTest tests[ROWS + 3];

    T_ROWS(tests, rows, known_answer);
    tests[ROWS] = (struct CMUnitTest)cmocka_unit_test(parts);
    tests[ROWS + 1] = (struct CMUnitTest)cmocka_unit_test(million);
    tests[ROWS + 2] = (struct CMUnitTest)cmocka_unit_test(under_way);
    return cmocka_run_group_tests_name("hash", tests, NULL, NULL);
}
