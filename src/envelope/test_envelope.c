#include "envelope/envelope.h"
#include "testing/t.h"

static struct crypto *cx;

/* Made by an implementation of its own (Python's cryptography): key 000102..1f, IV a0..ab. */
#define KEY "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

struct known {
    const char *name, *text, *encrypted, *signature;
};

static const struct known known[] = {
    { "opens: empty text", "", "a0a1a2a3a4a5a6a7a8a9aaab5c699625af4b93a0f8220a2a6119c5d0",
      "d38b42096d80f45f826b44a9d5607de72496a415d3f4a1a8c88e3bb9da8dc1cb" },
    { "opens: ASCII", "Hello, Enclave!",
      "a0a1a2a3a4a5a6a7a8a9aaaba1b765e2193ff40630f3c90093f15ba0ae7d10412ae722fa0c06ebb2711fe1",
      "3b9936114463ae36443965ba74dd61a42e047541ec55d6b6999e2675e109b0e5" },
    { "opens: Chinese",
      "\xe6\x9c\xba"
      "\xe5\xaf\x86"
      "\xe4\xbf\xa1"
      "\xe6\x81\xaf"
      "",
      "a0a1a2a3a4a5a6a7a8a9aaab10fc86069c2974279081d0ff764ab71d0084c6c8ea4de600c383067c",
      "f5299205432020a1fb7a294a7f18f6904f2ec12d8dbf0d9133ebfd9890982a37" },
    { "opens: emoji",
      "\xf0\x9f\x94\x90"
      " ok",
      "a0a1a2a3a4a5a6a7a8a9aaabc72d4e49e8aae6af1bb876fb749f745b1687e8bd65a469",
      "9c8093cd69bd1ba11378e1c58009c91244fdc057635e9d84cccb9bdfad120c2f" },
};
enum { N_KNOWN = sizeof known / sizeof known[0] };

static struct secret key_of(const char *hex)
{
    struct secret key;
    struct span s = t_unhex(hex);

    assert_int_equal(secret_copy(s, &key), ERR_OK);
    t_free(s);
    return key;
}

static void open_known(void **state)
{
    const struct known *k = *state;
    AUTO(secret_clear) struct secret key = key_of(KEY);
    AUTO(buf_clear) struct buf out = BUF_INIT(4096);
    struct span encrypted = t_unhex(k->encrypted), signature = t_unhex(k->signature);
    bool valid = false;

    assert_int_equal(buf_append_str(&out, "before"), ERR_OK);
    assert_int_equal(envelope_open(cx, &key, encrypted, signature, &out, &valid, NULL), ERR_OK);
    assert_true(valid);
    t_assert_span(span_from(buf_view(&out), 6), span_str(k->text));
    t_free(encrypted);
    t_free(signature);
}

/* Every truncation and every flipped bit of the encrypted form is refused, with nothing given out;
 * of the signature it is told. */
static void damaged(void **state)
{
    (void)state;
    AUTO(secret_clear) struct secret key = key_of(KEY);
    AUTO(buf_clear) struct buf out = BUF_INIT(4096);
    struct span good = t_unhex(known[1].encrypted), signature = t_unhex(known[1].signature);
    struct why why = { 0 };
    bool valid = true;

    for (size_t n = 0; n < good.len; n++) {
        struct span cut = t_copy(span_sub(good, 0, n));
        assert_int_equal(envelope_open(cx, &key, cut, signature, &out, &valid, &why),
                         n < ENVELOPE_OVERHEAD_BYTES ? ERR_MALFORMED : ERR_VERIFY);
        assert_string_equal(why.what, n < ENVELOPE_OVERHEAD_BYTES ? "encrypted text is too short"
                                                                  : "authentication tag");
        assert_int_equal(out.len, 0);
        assert_true(valid); /* untouched */
        t_free(cut);
    }
    for (size_t bit = 0; bit < good.len * 8; bit++) {
        AUTO(buf_clear) struct buf b = BUF_INIT(1024);
        assert_int_equal(buf_append(&b, good), ERR_OK);
        b.ptr[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(envelope_open(cx, &key, buf_view(&b), signature, &out, &valid, &why),
                         ERR_VERIFY);
        assert_int_equal(out.len, 0);
    }
    for (size_t bit = 0; bit < signature.len * 8; bit++) {
        AUTO(buf_clear) struct buf b = BUF_INIT(1024);
        assert_int_equal(buf_append(&b, signature), ERR_OK);
        b.ptr[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(envelope_open(cx, &key, good, buf_view(&b), &out, &valid, NULL), ERR_OK);
        assert_false(valid);
        t_assert_buf(&out, known[1].text);
        buf_reset(&out);
    }
    for (size_t n = 0; n < signature.len; n++) {
        valid = true;
        assert_int_equal(
            envelope_open(cx, &key, good, span_sub(signature, 0, n), &out, &valid, NULL), ERR_OK);
        assert_false(valid);
        buf_reset(&out);
    }
    t_free(good);
    t_free(signature);
}

static void there_and_back(void **state)
{
    (void)state;
    static const size_t sizes[] = { 0, 1, 15, 16, 17, 4096, 1000003 };
    AUTO(secret_clear) struct secret key = key_of(KEY);

    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        AUTO(buf_clear) struct buf text = BUF_INIT(1 << 20), out = BUF_INIT(1 << 21);
        AUTO(buf_clear) struct buf back = BUF_INIT(1 << 20);
        uint8_t *p, signature[HMAC_SHA256_BYTES];
        bool valid = false;
        assert_int_equal(buf_reserve(&text, sizes[i], &p), ERR_OK);
        assert_int_equal(rng_bytes(cx, p, sizes[i]), ERR_OK);
        buf_commit(&text, sizes[i]);
        assert_int_equal(envelope_seal(cx, &key, buf_view(&text), &out, signature), ERR_OK);
        assert_int_equal(out.len, sizes[i] + ENVELOPE_OVERHEAD_BYTES);
        assert_int_equal(
            envelope_open(cx, &key, buf_view(&out), SPAN_ARRAY(signature), &back, &valid, NULL),
            ERR_OK);
        assert_true(valid);
        t_assert_span(buf_view(&back), buf_view(&text));
    }
}

/* Two messages of the same text share neither IV nor ciphertext. */
static void fresh_iv(void **state)
{
    (void)state;
    AUTO(secret_clear) struct secret key = key_of(KEY);
    AUTO(buf_clear) struct buf out = BUF_INIT(256);
    uint8_t signature[HMAC_SHA256_BYTES];

    assert_int_equal(envelope_seal(cx, &key, SPAN_LIT("text"), &out, signature), ERR_OK);
    size_t n = out.len;
    assert_int_equal(envelope_seal(cx, &key, SPAN_LIT("text"), &out, signature), ERR_OK);
    assert_memory_not_equal(out.ptr, out.ptr + n, GCM_IV_BYTES);
    assert_memory_not_equal(out.ptr + ENVELOPE_OVERHEAD_BYTES,
                            out.ptr + n + ENVELOPE_OVERHEAD_BYTES, 4);
}

static void limits(void **state)
{
    (void)state;
    AUTO(secret_clear) struct secret key = key_of(KEY);
    AUTO(buf_clear) struct buf exact = BUF_INIT(ENVELOPE_OVERHEAD_BYTES + 4);
    AUTO(buf_clear) struct buf small = BUF_INIT(ENVELOPE_OVERHEAD_BYTES + 3);
    AUTO(buf_clear) struct buf text = BUF_INIT(3);
    uint8_t signature[HMAC_SHA256_BYTES] = "untouched";
    struct why why = { 0 };
    bool valid = false;

    assert_int_equal(envelope_seal(cx, &key, SPAN_LIT("text"), &small, signature), ERR_LIMIT);
    assert_int_equal(small.len, 0);
    assert_string_equal((char *)signature, "untouched");
    assert_int_equal(envelope_seal(cx, &key, SPAN_LIT("text"), &exact, signature), ERR_OK);
    assert_int_equal(
        envelope_open(cx, &key, buf_view(&exact), SPAN_ARRAY(signature), &text, &valid, &why),
        ERR_LIMIT);
    assert_string_equal(why.what, "plaintext buffer");
    assert_int_equal(text.len, 0);
}

static void other_keys(void **state)
{
    (void)state;
    AUTO(secret_clear)
    struct secret other =
        key_of("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1e");
    AUTO(secret_clear) struct secret shorter = key_of("000102030405060708090a0b0c0d0e0f");
    AUTO(buf_clear) struct buf out = BUF_INIT(4096);
    struct span good = t_unhex(known[1].encrypted);
    uint8_t signature[HMAC_SHA256_BYTES];
    bool valid = true;

    assert_int_equal(envelope_open(cx, &other, good, SPAN_EMPTY, &out, &valid, NULL), ERR_VERIFY);
    assert_int_equal(envelope_open(cx, &shorter, good, SPAN_EMPTY, &out, &valid, NULL),
                     ERR_INTERNAL);
    assert_int_equal(envelope_seal(cx, &shorter, SPAN_LIT("x"), &out, signature), ERR_INTERNAL);
    assert_int_equal(out.len, 0);
    t_free(good);
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
    struct CMUnitTest tests[N_KNOWN + 5] = {
        cmocka_unit_test(damaged), cmocka_unit_test(there_and_back), cmocka_unit_test(fresh_iv),
        cmocka_unit_test(limits),  cmocka_unit_test(other_keys),
    };

    T_ROWS(tests + 5, known, open_known);
    return _cmocka_run_group_tests("envelope", tests, N_KNOWN + 5, setup, teardown);
}
