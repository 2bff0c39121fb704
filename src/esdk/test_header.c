/* Headers: the worked example of the reference, each rule by a row, each limit at it and one past
 * it. */
#include <stdio.h>
#include <stdlib.h>

#include "esdk/esdk_in.h"
#include "esdk/test_make.h"

/* The reference's example (section 6): context {B:2, a:1, ab:""}, one key, frames of 4,096. */
#define ID2  "404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f"
#define ID1  "404142434445464748494a4b4c4d4e4f"
#define CTX  "0014 0003 0001 42 0001 32 0001 61 0001 31 0002 6162 0000"
#define EDK  "0007 6177732d6b6d73 0003 61726e 0002 aabb"
#define CK   "4fc8f3b078da9a1778fd776cf39f21e62e3c512006129bc6f16a06f8ccdead3a"
#define TAG  "0a1da87492c33f99239f888327784af8"
#define REST "0001" EDK "02 00001000" CK TAG
#define V1   "01 80 0178" ID1
#define END1 "0001" EDK "02 00000000 0c 00001000 000000000000000000000000" TAG

static struct row {
    const char *name, *hex;
    enum err want;
    const char *what;
    size_t at;
} rows[] = {
    { "version 2", "02 0478" ID2 CTX REST, ERR_OK, NULL, 0 },
    { "version 1", V1 CTX END1, ERR_OK, NULL, 0 },
    { "more after it", "02 0478" ID2 CTX REST "ffffffff", ERR_OK, NULL, 0 },
    { "no context", "02 0478" ID2 "0000" REST, ERR_OK, NULL, 0 },
    { "one block, version 1",
      V1 "0000 0001" EDK "01 00000000 0c 00000000 000000000000000000000000" TAG, ERR_OK, NULL, 0 },
    { "a key without any content", "02 0478" ID2 "0000 0001 0000 0000 0000 02 00001000" CK TAG,
      ERR_OK, NULL, 0 },
    { "pairs not sorted", "02 0478" ID2 "000e 0002 0001 62 0001 31 0001 61 0001 32" REST, ERR_OK,
      NULL, 0 },
    { "version 0", "00 0478", ERR_UNSUPPORTED, "message format version: only 1 and 2 are known",
      0 },
    { "version 3", "03 0478", ERR_UNSUPPORTED, "message format version: only 1 and 2 are known",
      0 },
    { "base64", "41674234", ERR_UNSUPPORTED,
      "this looks like the base64 text of a message: decode it before reading it", 0 },
    { "type", "01 81 0178" ID1, ERR_MALFORMED, "message type", 1 },
    { "suite 0000", "02 0000", ERR_UNSUPPORTED, "unknown algorithm suite", 1 },
    { "suite 0479", "02 0479", ERR_UNSUPPORTED, "unknown algorithm suite", 1 },
    { "suite of version 1 in 2", "02 0178", ERR_MALFORMED,
      "the algorithm suite belongs to the other format version", 1 },
    { "suite of version 2 in 1", "01 80 0478", ERR_MALFORMED,
      "the algorithm suite belongs to the other format version", 2 },
    { "context of one byte", "02 0478" ID2 "0001 00", ERR_MALFORMED,
      "encryption context: no room for its count", 37 },
    { "context without pairs", "02 0478" ID2 "0002 0000", ERR_MALFORMED,
      "encryption context: no pairs, but not empty", 37 },
    { "context cut off", "02 0478" ID2 "0008 0001 0001 61 0002 31" REST, ERR_MALFORMED,
      "encryption context: a pair is cut off", 39 },
    { "context with a rest", "02 0478" ID2 "0009 0001 0001 61 0001 31 00" REST, ERR_MALFORMED,
      "encryption context: bytes after its last pair", 45 },
    { "a pair too many for the count",
      "02 0478" ID2 "000e 0001 0001 61 0001 31 0001 62 0001 32" REST, ERR_MALFORMED,
      "encryption context: bytes after its last pair", 45 },
    { "a key twice", "02 0478" ID2 "000e 0002 0001 61 0001 31 0001 61 0001 32" REST, ERR_MALFORMED,
      "encryption context: a key twice", 45 },
    { "a key twice, not side by side",
      "02 0478" ID2 "0014 0003 0001 61 0001 31 0001 62 0001 32 0001 61 0001 33" REST, ERR_MALFORMED,
      "encryption context: a key twice", 51 },
    { "key not UTF-8", "02 0478" ID2 "0008 0001 0001 ff 0001 31" REST, ERR_MALFORMED,
      "encryption context: not UTF-8", 39 },
    { "value not UTF-8", "02 0478" ID2 "0008 0001 0001 61 0001 ff" REST, ERR_MALFORMED,
      "encryption context: not UTF-8", 39 },
    { "no encrypted data key", "02 0478" ID2 "0000 0000", ERR_MALFORMED, "no encrypted data key",
      37 },
    { "provider not UTF-8", "02 0478" ID2 "0000 0001 0001 c0 0000 0000" CK TAG, ERR_MALFORMED,
      "encrypted data key: the provider is not UTF-8", 39 },
    { "content type 0", "02 0478" ID2 "0000 0001" EDK "00 00001000" CK TAG, ERR_MALFORMED,
      "content type", 57 },
    { "content type 3", "02 0478" ID2 "0000 0001" EDK "03 00001000" CK TAG, ERR_MALFORMED,
      "content type", 57 },
    { "framed, length 0", "02 0478" ID2 "0000 0001" EDK "02 00000000" CK TAG, ERR_MALFORMED,
      "the frame length does not go with the content type", 58 },
    { "one block, length 1", "02 0478" ID2 "0000 0001" EDK "01 00000001" CK TAG, ERR_MALFORMED,
      "the frame length does not go with the content type", 58 },
    { "reserved", V1 "0000 0001" EDK "02 00000001 0c 00001000 000000000000000000000000" TAG,
      ERR_MALFORMED, "reserved bytes are not zero", 43 },
    { "IV length 11", V1 "0000 0001" EDK "02 00000000 0b 00001000 000000000000000000000000" TAG,
      ERR_MALFORMED, "IV length: only 12 is known", 47 },
    { "unsigned with a public key",
      "02 0478" ID2 "001b 0001 0015 6177732d63727970746f2d7075626c69632d6b6579 0000" REST,
      ERR_MALFORMED, "a message that is not signed may not carry a public key", 35 },
    { "signed without a public key", "02 0578" ID2 CTX REST, ERR_MALFORMED,
      "a signed message has to carry its public key", 35 },
};

static void parse_row(void **state)
{
    const struct row *row = *state;
    struct span in = t_unhex(row->hex);
    struct esdk_header out = { .n_pairs = 77 };
    struct why why = { 0 };

    assert_int_equal(esdk_header_parse(in, NULL, &out, NULL, &why), row->want);
    if (row->want != ERR_OK) {
        assert_string_equal(why.what, row->what);
        assert_int_equal(why.at, row->at);
        assert_int_equal(out.n_pairs, 77);
    }
    t_free(in);
}

static void example(void **state)
{
    struct span in = t_unhex("02 0478" ID2 CTX REST), id = t_unhex(ID2), ck = t_unhex(CK);
    struct esdk_header h;
    struct esdk_pair p = { 0 };
    struct esdk_key k = { 0 };

    (void)state;
    assert_int_equal(esdk_header_parse(in, NULL, &h, NULL, NULL), ERR_OK);
    assert_int_equal(h.bytes, in.len);
    assert_int_equal(h.body.len, 114);
    assert_int_equal(h.suite->id, ESDK_SUITE_COMMITTING);
    t_assert_span(h.message_id, id);
    t_assert_span(h.commitment, ck);
    assert_true(h.framed);
    assert_int_equal(h.frame_length, 4096);
    assert_int_equal(h.n_pairs, 3);
    assert_int_equal(h.n_keys, 1);
    assert_int_equal(h.iv.len, 0);
    assert_null(h.public_key.ptr);
    struct span rest = h.context;
    assert_true(esdk_pair_next(&rest, &p));
    assert_true(span_is(p.key, "B") && span_is(p.value, "2"));
    assert_true(esdk_pair_next(&rest, &p));
    assert_true(span_is(p.key, "a") && span_is(p.value, "1"));
    assert_true(esdk_pair_next(&rest, &p));
    assert_true(span_is(p.key, "ab") && p.value.len == 0);
    assert_false(esdk_pair_next(&rest, &p));
    rest = h.keys;
    assert_true(esdk_key_next(&rest, &k));
    assert_true(span_is(k.provider, "aws-kms") && span_is(k.info, "arn"));
    t_assert_span(k.ciphertext, SPAN_LIT("\xaa\xbb"));
    assert_false(esdk_key_next(&rest, &k));
    t_free(in);
    t_free(id);
    t_free(ck);
}

/* Each beginning asks for more, for no more than there is, and never for what is there already. */
static void truncations(void **state)
{
    static const char *const good[] = { "02 0478" ID2 CTX REST, V1 CTX END1 };

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct span in = t_unhex(good[i]);
        for (size_t n = 0; n < in.len; n++) {
            struct span part = t_copy(span_sub(in, 0, n));
            struct esdk_header h = { .n_pairs = 77 };
            struct why why = { 0 };
            size_t need = 0;
            assert_int_equal(esdk_header_parse(part, NULL, &h, &need, &why), ERR_MORE);
            assert_in_range(need, n + 1, in.len);
            assert_int_equal(h.n_pairs, 77);
            t_free(part);
        }
        t_free(in);
    }
}

/* ---- limits ---- */

static enum err with(struct span in, struct esdk_limits l, const char **what)
{
    struct esdk_header h;
    struct why why = { 0 };
    enum err r = esdk_header_parse(in, &l, &h, NULL, &why);

    *what = r == ERR_OK ? "" : why.what;
    return r;
}

static void limits(void **state)
{
    struct span in = t_unhex("02 0478" ID2 CTX REST);
    const char *what;

    (void)state;
    assert_int_equal(with(in, (struct esdk_limits){ .header_bytes = in.len }, &what), ERR_OK);
    assert_int_equal(with(in, (struct esdk_limits){ .header_bytes = in.len - 1 }, &what),
                     ERR_LIMIT);
    assert_string_equal(what, "the header is longer than the limit");
    assert_int_equal(with(in, (struct esdk_limits){ .context_bytes = 20 }, &what), ERR_OK);
    assert_int_equal(with(in, (struct esdk_limits){ .context_bytes = 19 }, &what), ERR_LIMIT);
    assert_string_equal(what, "the encryption context is longer than the limit");
    assert_int_equal(with(in, (struct esdk_limits){ .pairs = 3 }, &what), ERR_OK);
    assert_int_equal(with(in, (struct esdk_limits){ .pairs = 2 }, &what), ERR_LIMIT);
    assert_string_equal(what, "the encryption context has more pairs than the limit");
    assert_int_equal(with(in, (struct esdk_limits){ .frame_bytes = 4096 }, &what), ERR_OK);
    assert_int_equal(with(in, (struct esdk_limits){ .frame_bytes = 4095 }, &what), ERR_LIMIT);
    assert_string_equal(what, "the frame length is longer than the limit");
    t_free(in);
}

/* A header that claims as many keys, without any of them: judged by the count alone. */
static void keys_limit(void **state)
{
    struct esdk_header h;
    struct why why = { 0 };

    (void)state;
    for (unsigned n = 1; n < 12; n++) {
        char hex[128];
        snprintf(hex, sizeof hex, "020478" ID2 "0000%04x", n);
        struct span in = t_unhex(hex);
        assert_int_equal(esdk_header_parse(in, NULL, &h, NULL, &why),
                         n <= 8 ? ERR_MORE : ERR_LIMIT);
        assert_int_equal(esdk_header_parse(in, &(struct esdk_limits){ .keys = n }, &h, NULL, NULL),
                         ERR_MORE);
        if (n > 1)
            assert_int_equal(
                esdk_header_parse(in, &(struct esdk_limits){ .keys = n - 1 }, &h, NULL, NULL),
                ERR_LIMIT);
        t_free(in);
    }
    assert_string_equal(why.what, "more encrypted data keys than the limit");
}

/* The largest count that the format has can be let through. */
static void all_keys(void **state)
{
    AUTO(buf_clear) struct buf b = BUF_INIT(1 << 20);
    struct span start = t_unhex("020478" ID2 "0000"), end = t_unhex("0200001000" CK TAG);
    struct esdk_limits l = { .keys = 65535, .header_bytes = 1 << 20 };
    struct esdk_header h;

    (void)state;
    put(&b, start);
    put_be(&b, 65535, 2);
    for (unsigned i = 0; i < 65535; i++)
        put_be(&b, 0, 6);
    put(&b, end);
    assert_int_equal(esdk_header_parse(buf_view(&b), &l, &h, NULL, NULL), ERR_OK);
    assert_int_equal(h.n_keys, 65535);
    assert_int_equal(h.bytes, b.len);
    l.header_bytes = 65536;
    assert_int_equal(esdk_header_parse(buf_view(&b), &l, &h, NULL, NULL), ERR_LIMIT);
    t_free(start);
    t_free(end);
}

/* ---- suites and policy ---- */

static void suites(void **state)
{
    unsigned n = 0;

    (void)state;
    for (unsigned id = 0; id <= 0xffff; id++) {
        const struct esdk_suite *s = esdk_suite_find(id);
        if (!s)
            continue;
        assert_int_equal(s->id, id);
        assert_int_equal(id, all_suites[n++]);
        assert_int_equal(s->version, id >= 0x0478 ? 2 : 1);
        assert_int_equal(s->commits, id >= 0x0478);
        assert_int_equal(s->derives, id >= 0x0100);
        assert_int_equal(s->signs, id == 0x0214 || id == 0x0346 || id == 0x0378 || id == 0x0578);
        assert_int_equal(s->key_bytes, (id & 0xff) == 0x14 ? 16 : (id & 0xff) == 0x46 ? 24 : 32);
        assert_int_equal(esdk_policy_reads(ESDK_REQUIRE_ENCRYPT_REQUIRE_DECRYPT, s), s->commits);
        assert_true(esdk_policy_reads(ESDK_REQUIRE_ENCRYPT_ALLOW_DECRYPT, s));
        assert_true(esdk_policy_reads(ESDK_FORBID_ENCRYPT_ALLOW_DECRYPT, s));
        assert_int_equal(esdk_policy_writes(ESDK_REQUIRE_ENCRYPT_REQUIRE_DECRYPT, s), s->commits);
        assert_int_equal(esdk_policy_writes(ESDK_REQUIRE_ENCRYPT_ALLOW_DECRYPT, s), s->commits);
        assert_int_equal(esdk_policy_writes(ESDK_FORBID_ENCRYPT_ALLOW_DECRYPT, s), !s->commits);
    }
    assert_int_equal(n, ALL_SUITES);
    assert_int_equal((struct esdk_decrypt_options){ 0 }.policy,
                     ESDK_REQUIRE_ENCRYPT_REQUIRE_DECRYPT);
}

int main(void)
{
    enum { ROWS = sizeof rows / sizeof rows[0] };
    static const struct CMUnitTest others[] = {
        cmocka_unit_test(example),    cmocka_unit_test(truncations), cmocka_unit_test(limits),
        cmocka_unit_test(keys_limit), cmocka_unit_test(all_keys),    cmocka_unit_test(suites),
    };
    enum { OTHERS = sizeof others / sizeof others[0] };
    struct CMUnitTest tests[ROWS + OTHERS];

    T_ROWS(tests, rows, parse_row);
    memcpy(tests + ROWS, others, sizeof others);
    return cmocka_run_group_tests_name("esdk_header", tests, NULL, NULL);
}
