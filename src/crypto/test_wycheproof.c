/* Project Wycheproof's files for what this module does, read in place: hmac, hkdf, aead, gcm, rsa,
 * ec, esig.
 * Tests for sizes, curves or parameters that we do not take are counted, and the count is fixed:
 * a test that is passed over by mistake changes it. */
#include <stdlib.h>

#include <jansson.h>

#include "crypto/aead.h"
#include "crypto/ec.h"
#include "crypto/esig.h"
#include "crypto/gcm.h"
#include "crypto/hash.h"
#include "crypto/hkdf.h"
#include "crypto/rsa.h"
#include "testing/t.h"

static struct crypto *cx;

enum outcome { ACCEPTED, REFUSED, NOT_OURS };

typedef enum outcome (*try_fn)(json_t *group, json_t *test);

static const char *text_of(json_t *object, const char *member)
{
    const char *s = json_string_value(json_object_get(object, member));

    assert_non_null(s);
    return s;
}

static struct span hex_of(json_t *object, const char *member)
{
    return t_unhex(text_of(object, member));
}

static json_int_t int_of(json_t *group, const char *member)
{
    return json_integer_value(json_object_get(group, member));
}

/* "acceptable" (one compressed point) leaves the choice to us. */
static void judge(json_t *test, enum outcome got)
{
    const char *want = text_of(test, "result");
    json_int_t id = int_of(test, "tcId");

    if (strcmp(want, "valid") == 0 && got != ACCEPTED)
        fail_msg("test %lld is valid and was refused: %s", (long long)id, text_of(test, "comment"));
    if (strcmp(want, "invalid") == 0 && got != REFUSED)
        fail_msg("test %lld is invalid and was accepted: %s", (long long)id,
                 text_of(test, "comment"));
}

static void run_file(const char *file, try_fn attempt, size_t want_run, size_t want_passed_over)
{
    struct span text = t_vector(file);
    json_t *root = json_loadb((const char *)text.ptr, text.len, 0, NULL);
    size_t i, j, run = 0, passed_over = 0;
    json_t *group, *test;

    assert_non_null(root);
    json_array_foreach(json_object_get(root, "testGroups"), i, group)
    {
        json_array_foreach(json_object_get(group, "tests"), j, test)
        {
            enum outcome got = attempt(group, test);
            if (got == NOT_OURS) {
                passed_over++;
                continue;
            }
            judge(test, got);
            run++;
        }
    }
    json_decref(root);
    t_free(text);
    assert_int_equal(run, want_run);
    assert_int_equal(passed_over, want_passed_over);
}

static enum outcome try_hmac(json_t *group, json_t *test)
{
    size_t tag_len = (size_t)int_of(group, "tagSize") / 8;
    struct span key = hex_of(test, "key"), msg = hex_of(test, "msg"), tag = hex_of(test, "tag");
    uint8_t out[HMAC_SHA256_BYTES];

    hmac_sha256(key, msg, out);
    bool same = ct_eq(span_of(out, tag_len), tag); /* some groups cut the tag */
    t_free(key);
    t_free(msg);
    t_free(tag);
    return same ? ACCEPTED : REFUSED;
}

static enum outcome try_gcm(json_t *group, json_t *test)
{
    if (int_of(group, "keySize") != 256)
        return NOT_OURS;
    struct span key = hex_of(test, "key"), iv = hex_of(test, "iv"), aad = hex_of(test, "aad");
    struct span msg = hex_of(test, "msg"), ct = hex_of(test, "ct"), tag = hex_of(test, "tag");
    bool ours = iv.len == GCM_IV_BYTES;
    enum outcome got = NOT_OURS;
    uint8_t out[1024], made[GCM_TAG_BYTES];

    assert_in_range(ct.len, 0, sizeof out);
    enum err r = aes256gcm_open(cx, key, iv, aad, ct, tag, out);
    assert_int_equal(r == ERR_INTERNAL, !ours);
    if (ours) {
        got = r == ERR_OK && span_eq(span_of(out, ct.len), msg) ? ACCEPTED : REFUSED;
        assert_int_equal(aes256gcm_seal(cx, key, iv, aad, msg, out, made), ERR_OK);
        bool same = span_eq(span_of(out, msg.len), ct) && span_eq(SPAN_ARRAY(made), tag);
        assert_int_equal(same, got == ACCEPTED);
    }
    struct span all[] = { key, iv, aad, msg, ct, tag };
    for (size_t i = 0; i < 6; i++)
        t_free(all[i]);
    return got;
}

/* The same through the streaming interface, which takes the other key sizes too. */
static enum outcome try_gcm_pieces(json_t *group, json_t *test)
{
    if (int_of(group, "ivSize") != 96)
        return NOT_OURS;
    AUTO(gcm_freep) struct gcm *open = NULL;
    struct span key = hex_of(test, "key"), iv = hex_of(test, "iv"), aad = hex_of(test, "aad");
    struct span msg = hex_of(test, "msg"), ct = hex_of(test, "ct"), tag = hex_of(test, "tag");
    uint8_t out[1024];

    assert_in_range(ct.len, 0, sizeof out);
    assert_int_equal(tag.len, GCM_TAG_BYTES);
    assert_int_equal(gcm_new(cx, key, GCM_OPEN, &open), ERR_OK);
    assert_int_equal(gcm_begin(open, iv.ptr), ERR_OK);
    assert_int_equal(gcm_aad(open, aad), ERR_OK);
    for (size_t i = 0; i < ct.len; i += 5)
        assert_int_equal(gcm_update(open, span_sub(ct, i, 5), out + i), ERR_OK);
    enum err r = gcm_check(open, tag.ptr);
    bool same = r == ERR_OK && span_eq(span_of(out, ct.len), msg);
    struct span all[] = { key, iv, aad, msg, ct, tag };
    for (size_t i = 0; i < 6; i++)
        t_free(all[i]);
    return same ? ACCEPTED : REFUSED;
}

static enum outcome try_hkdf(json_t *group, json_t *test)
{
    AUTO(secret_clear) struct secret prk = { 0 };
    struct span ikm = hex_of(test, "ikm"), salt = hex_of(test, "salt");
    struct span info = hex_of(test, "info"), okm = hex_of(test, "okm");
    size_t size = (size_t)int_of(test, "size");
    uint8_t *out = calloc(1, size + 1);

    (void)group;
    assert_non_null(out);
    assert_int_equal(hkdf_extract(cx, MAC_SHA256, salt, ikm, &prk), ERR_OK);
    enum err r = hkdf_expand(cx, MAC_SHA256, &prk, info, out, size);
    bool same = r == ERR_OK && span_eq(span_of(out, size), okm);
    free(out);
    t_free(ikm);
    t_free(salt);
    t_free(info);
    t_free(okm);
    return same ? ACCEPTED : REFUSED;
}

static enum outcome try_cbc(json_t *group, json_t *test)
{
    if (int_of(group, "keySize") != 256)
        return NOT_OURS;
    AUTO(secret_clear) struct secret out = { 0 };
    struct span key = hex_of(test, "key"), iv = hex_of(test, "iv");
    struct span msg = hex_of(test, "msg"), ct = hex_of(test, "ct");
    enum err r = aes256cbc_open(cx, key, iv, ct, &out);
    bool same = r == ERR_OK && span_eq(secret_view(&out), msg);

    assert_int_equal(r == ERR_INTERNAL, ct.len == 0 || ct.len % 16 != 0);
    t_free(key);
    t_free(iv);
    t_free(msg);
    t_free(ct);
    return same ? ACCEPTED : REFUSED;
}

static enum outcome try_oaep(json_t *group, json_t *test)
{
    AUTO(rsa_key_freep) struct rsa_key *key = NULL;
    AUTO(secret_clear) struct secret out = { 0 };
    struct span ct = hex_of(test, "ct"), msg = hex_of(test, "msg");
    bool labelled = text_of(test, "label")[0] != 0;

    assert_int_equal(rsa_key_parse_pem(cx, span_str(text_of(group, "privateKeyPem")), &key, NULL),
                     ERR_OK);
    enum err r = rsa_oaep_open(cx, key, ct, &out);
    bool same = r == ERR_OK && span_eq(secret_view(&out), msg);
    t_free(ct);
    t_free(msg);
    if (labelled) { /* we have no label to give, so it must not open */
        assert_int_equal(r, ERR_VERIFY);
        return NOT_OURS;
    }
    return same ? ACCEPTED : REFUSED;
}

static struct ec_pub *public_of(json_t *group)
{
    struct ec_pub *pub = NULL;
    struct span point = hex_of(json_object_get(group, "publicKey"), "uncompressed");

    assert_int_equal(ec_pub_parse(cx, point, &pub, NULL), ERR_OK);
    t_free(point);
    return pub;
}

static enum outcome try_ecdsa(json_t *group, json_t *test, bool raw)
{
    AUTO(ec_pub_freep) struct ec_pub *pub = public_of(group);
    struct span msg = hex_of(test, "msg"), sig = hex_of(test, "sig");
    enum err r = raw ? ec_verify_es384(cx, pub, msg, sig) : ec_verify_p384_der(cx, pub, msg, sig);

    t_free(msg);
    t_free(sig);
    if (r != ERR_OK)
        assert_int_equal(r, ERR_VERIFY);
    return r == ERR_OK ? ACCEPTED : REFUSED;
}

static enum outcome try_ecdsa_raw(json_t *group, json_t *test)
{
    return try_ecdsa(group, test, true);
}

static enum outcome try_ecdsa_der(json_t *group, json_t *test)
{
    return try_ecdsa(group, test, false);
}

/* The same tests, and those of P-256, with compressed keys and a running digest. */
static enum outcome try_esig(json_t *group, json_t *test, enum esig_curve curve)
{
    AUTO(esig_pub_freep) struct esig_pub *pub = NULL;
    AUTO(esig_freep) struct esig *s = NULL;
    struct span point = hex_of(json_object_get(group, "publicKey"), "uncompressed");
    struct span msg = hex_of(test, "msg"), sig = hex_of(test, "sig");
    uint8_t compressed[ESIG_POINT_MAX_BYTES];

    memcpy(compressed, point.ptr, esig_point_bytes(curve));
    compressed[0] = (uint8_t)(2 + (point.ptr[point.len - 1] & 1));
    assert_int_equal(
        esig_pub_parse(cx, curve, span_of(compressed, esig_point_bytes(curve)), &pub, NULL),
        ERR_OK);
    assert_int_equal(esig_new(cx, curve, &s), ERR_OK);
    assert_int_equal(esig_update(s, msg), ERR_OK);
    enum err r = esig_verify(s, pub, sig);
    t_free(point);
    t_free(msg);
    t_free(sig);
    if (r != ERR_OK)
        assert_int_equal(r, ERR_VERIFY);
    return r == ERR_OK ? ACCEPTED : REFUSED;
}

static enum outcome try_esig_p256(json_t *group, json_t *test)
{
    return try_esig(group, test, ESIG_P256);
}

static enum outcome try_esig_p384(json_t *group, json_t *test)
{
    return try_esig(group, test, ESIG_P384);
}

/* Key agreement is not ours, but these 790 are points, many of them wrong. */
static enum outcome try_point(json_t *group, json_t *test)
{
    AUTO(ec_pub_freep) struct ec_pub *pub = NULL;
    struct span point = hex_of(test, "public");
    bool uncompressed = point.len == P384_POINT_BYTES && point.ptr[0] == 4;
    enum err r = ec_pub_parse(cx, point, &pub, NULL);

    (void)group;
    t_free(point);
    assert_true(r == ERR_OK || r == ERR_MALFORMED);
    assert_true(uncompressed || r == ERR_MALFORMED);
    return uncompressed ? (r == ERR_OK ? ACCEPTED : REFUSED) : NOT_OURS;
}

static void hmac(void **state)
{
    (void)state;
    run_file("wycheproof/hmac_sha256_test.json", try_hmac, 174, 0);
}

static void gcm(void **state)
{
    (void)state;
    run_file("wycheproof/aes_gcm_test.json", try_gcm, 66, 250);
}

static void gcm_pieces(void **state)
{
    (void)state;
    run_file("wycheproof/aes_gcm_test.json", try_gcm_pieces, 197, 119);
}

static void hkdf(void **state)
{
    (void)state;
    run_file("wycheproof/hkdf_sha256_test.json", try_hkdf, 86, 0);
}

static void esig_p256(void **state)
{
    (void)state;
    run_file("wycheproof/ecdsa_secp256r1_sha256_test.json", try_esig_p256, 484, 0);
}

static void esig_p384(void **state)
{
    (void)state;
    run_file("wycheproof/ecdsa_secp384r1_sha384_test.json", try_esig_p384, 504, 0);
}

static void cbc(void **state)
{
    (void)state;
    run_file("wycheproof/aes_cbc_pkcs5_test.json", try_cbc, 72, 144);
}

static void oaep(void **state)
{
    (void)state;
    run_file("wycheproof/rsa_oaep_2048_sha256_mgf1sha256_test.json", try_oaep, 29, 8);
}

static void es384_raw(void **state)
{
    (void)state;
    run_file("wycheproof/ecdsa_secp384r1_sha384_p1363_test.json", try_ecdsa_raw, 280, 0);
}

static void es384_der(void **state)
{
    (void)state;
    run_file("wycheproof/ecdsa_secp384r1_sha384_test.json", try_ecdsa_der, 504, 0);
}

static void points(void **state)
{
    (void)state;
    run_file("wycheproof/ecdh_secp384r1_ecpoint_test.json", try_point, 787, 3);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(hmac),      cmocka_unit_test(gcm),        cmocka_unit_test(cbc),
        cmocka_unit_test(oaep),      cmocka_unit_test(es384_raw),  cmocka_unit_test(es384_der),
        cmocka_unit_test(points),    cmocka_unit_test(gcm_pieces), cmocka_unit_test(hkdf),
        cmocka_unit_test(esig_p256), cmocka_unit_test(esig_p384),
    };

    if (crypto_process_init() != ERR_OK || crypto_new(&cx) != ERR_OK)
        return 1;
    int failed = cmocka_run_group_tests_name("wycheproof", tests, NULL, NULL);
    crypto_free(cx);
    return failed;
}
