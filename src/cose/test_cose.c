#include "testing/t.h"

#include <jansson.h>

#include "base/base64.h"
#include "base/cbor.h"
#include "base/hex.h"
#include "cose/cose.h"

/* 84 array(4) | 44 a1013822 {1: -35} | a0 map(0) | 4101 payload | 5860 and 96 bytes */
#define B16 "000102030405060708090a0b0c0d0e0f"
#define B95 B16 B16 B16 B16 B16 "000102030405060708090a0b0c0d0e"
#define SIG "5860" B95 "0f"

static const struct row {
    const char *name, *hex;
    enum err want;
    const char *what;
} rows[] = {
    { "bare array", "8444a1013822a04101" SIG, ERR_OK, NULL },
    { "under tag 18", "d28444a1013822a04101" SIG, ERR_OK, NULL },
    { "empty payload", "8444a1013822a040" SIG, ERR_OK, NULL },
    { "under tag 17", "d18444a1013822a04101" SIG, ERR_MALFORMED, "tag" },
    { "under tag 98", "d8628444a1013822a04101" SIG, ERR_MALFORMED, "tag" },
    { "tag 18 twice", "d2d28444a1013822a04101" SIG, ERR_MALFORMED, "type" },
    { "tag 18 in two bytes", "d8128444a1013822a04101" SIG, ERR_MALFORMED, "head" },
    { "array of three", "8344a1013822a04101", ERR_MALFORMED, "array length" },
    { "array of five", "8544a1013822a04101" SIG "00", ERR_MALFORMED, "array length" },
    { "indefinite array", "9f44a1013822a04101" SIG "ff", ERR_MALFORMED, "head" },
    { "non-minimal array", "980444a1013822a04101" SIG, ERR_MALFORMED, "head" },
    { "ES256", "8443a10126a04101" SIG, ERR_UNSUPPORTED, "protected header" },
    { "ES512", "8444a1013823a04101" SIG, ERR_UNSUPPORTED, "protected header" },
    { "EdDSA", "8443a10127a04101" SIG, ERR_UNSUPPORTED, "protected header" },
    { "algorithm 0", "8443a10100a04101" SIG, ERR_UNSUPPORTED, "protected header" },
    { "algorithm as text", "8448a101654553333834a04101" SIG, ERR_MALFORMED, "protected header" },
    { "non-minimal algorithm", "8445a101390022a04101" SIG, ERR_MALFORMED, "protected header" },
    { "no algorithm", "8441a0a04101" SIG, ERR_MALFORMED, "protected header" },
    { "empty protected", "8440a04101" SIG, ERR_MALFORMED, "protected header" },
    { "protected is a map", "84a1013822a04101" SIG, ERR_MALFORMED, "type" },
    { "protected is an array", "844401013822a04101" SIG, ERR_MALFORMED, "protected header" },
    { "other label", "8444a1023822a04101" SIG, ERR_MALFORMED, "protected header" },
    { "algorithm twice", "8446a20138220126a04101" SIG, ERR_MALFORMED, "protected header" },
    { "content type beside", "8446a20138220300a04101" SIG, ERR_MALFORMED, "protected header" },
    { "crit", "8448a20138220281182aa04101" SIG, ERR_MALFORMED, "protected header" },
    { "byte after protected map", "8445a101382200a04101" SIG, ERR_MALFORMED, "protected header" },
    { "alg unprotected", "8441a0a10138224101" SIG, ERR_MALFORMED, "protected header" },
    { "kid unprotected", "8444a1013822a10441014101" SIG, ERR_MALFORMED, "unprotected header" },
    { "other alg unprotected", "8444a1013822a101264101" SIG, ERR_MALFORMED, "unprotected header" },
    { "indefinite unprotected", "8444a1013822bfff4101" SIG, ERR_MALFORMED, "head" },
    { "unprotected null", "8444a1013822f64101" SIG, ERR_MALFORMED, "unprotected header" },
    { "unprotected array", "8444a1013822804101" SIG, ERR_MALFORMED, "unprotected header" },
    { "unprotected too deep", "8444a1013822a10481818181818181818101" SIG, ERR_LIMIT, "depth" },
    { "payload null", "8444a1013822a0f6" SIG, ERR_MALFORMED, "type" },
    { "payload text", "8444a1013822a06161" SIG, ERR_MALFORMED, "type" },
    { "payload chunked", "8444a1013822a05f4101ff" SIG, ERR_MALFORMED, "head" },
    { "payload non-minimal", "8444a1013822a0580101" SIG, ERR_MALFORMED, "head" },
    { "payload over limit", "8444a1013822a0594001", ERR_LIMIT, "byte string" },
    { "payload claims 2^64-1", "8444a1013822a05bffffffffffffffff", ERR_LIMIT, "byte string" },
    { "protected over limit", "84590101", ERR_LIMIT, "byte string" },
    { "signature of 95", "8444a1013822a04101585f" B95, ERR_MALFORMED, "signature length" },
    { "signature of 97", "8444a1013822a041015861" B95 "0f10", ERR_MALFORMED, "signature length" },
    { "signature empty", "8444a1013822a0410140", ERR_MALFORMED, "signature length" },
    { "signature over limit", "8444a1013822a04101590401", ERR_LIMIT, "byte string" },
    { "trailing byte", "8444a1013822a04101" SIG "00", ERR_MALFORMED, "trailing bytes" },
    { "nothing", "", ERR_MALFORMED, "end of input" },
};

static void parse_row(void **state)
{
    const struct row *row = *state;
    struct span in = t_unhex(row->hex);
    struct cose_sign1 out = { .payload = SPAN_LIT("untouched") };
    struct why why = { 0 };

    assert_int_equal(cose_sign1_parse(in, &out, &why), row->want);
    if (row->want != ERR_OK) {
        assert_string_equal(why.what, row->what);
        assert_true(why.at <= in.len);
        assert_true(span_is(out.payload, "untouched"));
    } else {
        assert_int_equal(out.sig.len, COSE_SIG_BYTES);
        assert_int_equal(out.phdr.len, 4);
    }
    t_free(in);
}

struct signer {
    struct crypto *cx;
    struct ec_key *key;
    struct ec_pub *pub;
};

static int signer_setup(void **state)
{
    static struct signer s;

    assert_int_equal(crypto_new(&s.cx), ERR_OK);
    assert_int_equal(ec_key_new(s.cx, &s.key), ERR_OK);
    assert_int_equal(ec_key_pub(s.cx, s.key, &s.pub), ERR_OK);
    *state = &s;
    return 0;
}

static int signer_teardown(void **state)
{
    struct signer *s = *state;

    ec_pub_free(s->pub);
    ec_key_free(s->key);
    crypto_free(s->cx);
    return 0;
}

static void sign_and_verify(void **state)
{
    struct signer *s = *state;
    AUTO(buf_clear) struct buf doc = BUF_INIT(4096);
    struct cose_sign1 msg;

    assert_int_equal(buf_append_byte(&doc, 'x'), ERR_OK);
    assert_int_equal(cose_sign1_write(s->cx, s->key, SPAN_LIT("payload"), &doc), ERR_OK);
    struct span in = span_from(buf_view(&doc), 1);
    assert_int_equal(cose_sign1_parse(in, &msg, NULL), ERR_OK);
    assert_true(span_is(msg.payload, "payload"));
    assert_int_equal(cose_sign1_verify(s->cx, &msg, s->pub, NULL), ERR_OK);
}

static void every_flipped_bit(void **state)
{
    struct signer *s = *state;
    AUTO(buf_clear) struct buf doc = BUF_INIT(4096);
    struct cose_sign1 msg;
    struct why why = { 0 };

    assert_int_equal(cose_sign1_write(s->cx, s->key, SPAN_LIT("payload"), &doc), ERR_OK);
    for (size_t bit = 0; bit < doc.len * 8; bit++) {
        doc.ptr[bit / 8] ^= (uint8_t)(1 << bit % 8);
        if (cose_sign1_parse(buf_view(&doc), &msg, NULL) == ERR_OK) {
            assert_int_equal(cose_sign1_verify(s->cx, &msg, s->pub, &why), ERR_VERIFY);
            assert_string_equal(why.what, "ES384 signature");
        }
        doc.ptr[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t n = 0; n < doc.len; n++) {
        struct span cut = t_copy(span_of(doc.ptr, n));
        assert_int_not_equal(cose_sign1_parse(cut, &msg, NULL), ERR_OK);
        t_free(cut);
    }
}

static void another_key(void **state)
{
    struct signer *s = *state;
    AUTO(buf_clear) struct buf doc = BUF_INIT(4096);
    AUTO(ec_key_freep) struct ec_key *other = NULL;
    AUTO(ec_pub_freep) struct ec_pub *other_pub = NULL;
    struct cose_sign1 msg;

    assert_int_equal(ec_key_new(s->cx, &other), ERR_OK);
    assert_int_equal(ec_key_pub(s->cx, other, &other_pub), ERR_OK);
    assert_int_equal(cose_sign1_write(s->cx, s->key, SPAN_LIT("payload"), &doc), ERR_OK);
    assert_int_equal(cose_sign1_parse(buf_view(&doc), &msg, NULL), ERR_OK);
    assert_int_equal(cose_sign1_verify(s->cx, &msg, other_pub, NULL), ERR_VERIFY);
}

static void payload_limit(void **state)
{
    static const uint8_t zeros[COSE_PAYLOAD_MAX + 1];
    struct signer *s = *state;
    AUTO(buf_clear) struct buf doc = BUF_INIT(COSE_PAYLOAD_MAX + 200);
    struct cose_sign1 msg;

    assert_int_equal(cose_sign1_write(s->cx, s->key, span_of(zeros, COSE_PAYLOAD_MAX), &doc),
                     ERR_OK);
    assert_int_equal(cose_sign1_parse(buf_view(&doc), &msg, NULL), ERR_OK);
    assert_int_equal(cose_sign1_verify(s->cx, &msg, s->pub, NULL), ERR_OK);
    buf_reset(&doc);
    assert_int_equal(cose_sign1_write(s->cx, s->key, SPAN_ARRAY(zeros), &doc), ERR_LIMIT);
    assert_int_equal(doc.len, 0);
    doc.max = 100; /* no room for the signature: nothing is left behind */
    assert_int_equal(cose_sign1_write(s->cx, s->key, SPAN_LIT("payload"), &doc), ERR_LIMIT);
    assert_int_equal(doc.len, 0);
}

static struct span unhex_member(const json_t *o, const char *name)
{
    return t_unhex(json_string_value(json_object_get(o, name)));
}

static void append_base64url(struct buf *out, const char *text)
{
    AUTO(buf_clear) struct buf std = BUF_INIT(1024);

    for (; *text; text++)
        assert_int_equal(buf_append_byte(&std, (uint8_t)(*text == '-'   ? '+'
                                                         : *text == '_' ? '/'
                                                                        : *text)),
                         ERR_OK);
    while (std.len % 4)
        assert_int_equal(buf_append_byte(&std, '='), ERR_OK);
    assert_int_equal(base64_parse(buf_view(&std), out, NULL), ERR_OK);
}

/* Signature and Sig_structure of the working group's P-384 example. Its unprotected kid is outside
 * the profile, so it is split and verified, and not parsed. */
static void working_group_example(void **state)
{
    struct signer *s = *state;
    struct span text = t_vector("cose/ecdsa-examples-ecdsa-sig-02.json");
    json_t *j = json_loadb((const char *)text.ptr, text.len, 0, NULL);
    const json_t *key =
        json_object_get(json_object_get(json_object_get(j, "input"), "sign0"), "key");
    struct span cbor = unhex_member(json_object_get(j, "output"), "cbor");
    AUTO(buf_clear) struct buf point = BUF_INIT(P384_POINT_BYTES);
    AUTO(ec_pub_freep) struct ec_pub *pub = NULL;
    struct cose_sign1 msg;
    struct span uhdr;
    struct why why = { 0 };

    assert_int_equal(buf_append_byte(&point, 4), ERR_OK);
    append_base64url(&point, json_string_value(json_object_get(key, "x")));
    append_base64url(&point, json_string_value(json_object_get(key, "y")));
    assert_int_equal(ec_pub_parse(s->cx, buf_view(&point), &pub, NULL), ERR_OK);
    assert_int_equal(cose_sign1_parse(cbor, &msg, &why), ERR_MALFORMED);
    assert_string_equal(why.what, "unprotected header");
    assert_int_equal(cose_sign1_split(cbor, &msg, &uhdr, NULL), ERR_OK);
    assert_int_equal(uhdr.len, 7);
    assert_int_equal(cose_sign1_verify(s->cx, &msg, pub, NULL), ERR_OK);
    json_decref(j);
    t_free(cbor);
    t_free(text);
}

/* All examples are of other algorithms or carry a kid: none is in the profile, valid or not. */
static void examples_outside_profile(void **state)
{
    static const char *const names[] = {
        "ecdsa-examples-ecdsa-02",     "ecdsa-examples-ecdsa-03",  "ecdsa-examples-ecdsa-sig-02",
        "ecdsa-examples-ecdsa-sig-04", "sign1-tests-sign-fail-01", "sign1-tests-sign-fail-03",
        "sign1-tests-sign-fail-04",    "sign1-tests-sign-pass-01", "sign1-tests-sign-pass-02",
    };
    (void)state;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        AUTO(buf_clear) struct buf path = BUF_INIT(128);
        struct cose_sign1 msg;
        assert_int_equal(buf_printf(&path, "cose/%s.json", names[i]), ERR_OK);
        struct span text = t_vector(buf_cstr(&path));
        json_t *j = json_loadb((const char *)text.ptr, text.len, 0, NULL);
        struct span cbor = unhex_member(json_object_get(j, "output"), "cbor");
        assert_int_not_equal(cose_sign1_parse(cbor, &msg, NULL), ERR_OK);
        json_decref(j);
        t_free(cbor);
        t_free(text);
    }
}

enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

int main(void)
{
    static const struct CMUnitTest own[] = {
        cmocka_unit_test_setup_teardown(sign_and_verify, signer_setup, signer_teardown),
        cmocka_unit_test_setup_teardown(every_flipped_bit, signer_setup, signer_teardown),
        cmocka_unit_test_setup_teardown(another_key, signer_setup, signer_teardown),
        cmocka_unit_test_setup_teardown(payload_limit, signer_setup, signer_teardown),
        cmocka_unit_test_setup_teardown(working_group_example, signer_setup, signer_teardown),
        cmocka_unit_test(examples_outside_profile),
    };
    static struct CMUnitTest tests[ROWS + sizeof(own) / sizeof(own[0])];

    T_ROWS(tests, rows, parse_row);
    memcpy(&tests[ROWS], own, sizeof(own));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
