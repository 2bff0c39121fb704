/* keys.c - CMS, RSA keys, and Wycheproof's tests of the primitives that we use. */
#include "runner.h"

#include <stdio.h>

#include "base/base64.h"
#include "cms/cms.h"
#include "crypto/aead.h"
#include "crypto/ec.h"
#include "crypto/esig.h"
#include "crypto/gcm.h"
#include "crypto/hash.h"
#include "crypto/hkdf.h"
#include "crypto/rsa.h"

enum { WORK_MAX = 1 << 20 };

enum outcome run_cms(struct runner *r, const struct entry *e)
{
    struct cms_envelope env;
    struct why why = { 0 };

    if (cms_parse(e->bytes, &env, &why) == ERR_OK)
        return ACCEPTED;
    set_note(r, "refused: %s", why.what);
    return REFUSED;
}

static bool parts_match(struct runner *r, const struct entry *e)
{
    AUTO(buf_clear) struct buf content = BUF_INIT(CMS_MAX_BYTES);
    uint8_t sum[SHA256_BYTES];
    struct cms_envelope env;

    if (cms_parse(e->bytes, &env, NULL) != ERR_OK)
        return false;
    sha256(env.encrypted_key, sum);
    for (size_t i = 0; i < env.n_chunks; i++)
        if (buf_append(&content, env.chunks[i]) != ERR_OK)
            return false;
    return value_matches_hex(r, e, "recipient_ski_hex", env.ski) &&
           value_matches_hex(r, e, "iv_hex", env.iv) &&
           value_matches_hex(r, e, "encrypted_key_hex", env.encrypted_key) &&
           value_matches_hex(r, e, "encrypted_key_sha256", SPAN_ARRAY(sum)) &&
           value_matches_hex(r, e, "encrypted_content_hex", buf_view(&content));
}

enum outcome run_recipient(struct runner *r, const struct entry *e)
{
    const char *path = value_text(e, "private_key");
    AUTO(buf_clear) struct buf pem = BUF_INIT(0);
    AUTO(rsa_key_freep) struct rsa_key *key = NULL;
    AUTO(secret_clear) struct secret plain = { 0 };
    struct cms_envelope env;
    struct why why = { 0 };

    if (cms_parse(e->bytes, &env, &why) != ERR_OK) {
        set_note(r, "refused: %s", why.what);
        return REFUSED;
    }
    if (!path) /* nobody published the key: the parts are all there is */
        return parts_match(r, e) ? ACCEPTED : MISMATCH;
    if (!read_file(r, path, &pem) ||
        rsa_key_parse_pem(r->cx, buf_view(&pem), &key, &why) != ERR_OK) {
        set_note(r, "%s cannot be read", path);
        return MISMATCH;
    }
    if (cms_open(r->cx, e->bytes, key, &plain, &why) != ERR_OK) {
        set_note(r, "refused: %s", why.what);
        return REFUSED;
    }
    return parts_match(r, e) && value_matches_hex(r, e, "plaintext_hex", secret_view(&plain))
               ? ACCEPTED
               : MISMATCH;
}

enum outcome run_recipient_b64(struct runner *r, const struct entry *e)
{
    AUTO(buf_clear) struct buf got = BUF_INIT(e->bytes.len + 1), want = BUF_INIT(0);
    const char *path = value_text(e, "decoded_path");

    if (base64_parse(e->bytes, &got, NULL) != ERR_OK)
        return REFUSED;
    if (path && (!read_file(r, path, &want) || !span_eq(buf_view(&got), buf_view(&want)))) {
        set_note(r, "is not the base64 of %s", path);
        return MISMATCH;
    }
    return ACCEPTED;
}

enum outcome run_rsa_key(struct runner *r, const struct entry *e)
{
    AUTO(rsa_key_freep) struct rsa_key *key = NULL;
    json_t *bits = json_object_get(e->values, "bits");

    if (rsa_key_parse_pem(r->cx, e->bytes, &key, NULL) != ERR_OK)
        return REFUSED;
    if (json_is_integer(bits) && (size_t)json_integer_value(bits) != 8 * rsa_key_bytes(key)) {
        set_note(r, "%zu bits", 8 * rsa_key_bytes(key));
        return MISMATCH;
    }
    return ACCEPTED;
}

/* One test of a group: did the primitive accept it with the right output? */
struct wtest {
    struct runner *r;
    json_t *group, *test;
    struct buf pool; /* every hex member of this test, one after the other */
};

static struct span member(struct wtest *w, json_t *from, const char *name)
{
    const char *hex = json_string_value(json_object_get(from, name));
    AUTO(buf_clear) struct buf bytes = BUF_INIT(0);
    size_t start = w->pool.len;

    if (!hex || !unhex(hex, &bytes) || buf_append(&w->pool, buf_view(&bytes)) != ERR_OK)
        return SPAN_EMPTY;
    return span_from(buf_view(&w->pool), start);
}

static bool gcm_test(struct wtest *w)
{
    struct span key = member(w, w->test, "key"), iv = member(w, w->test, "iv"),
                aad = member(w, w->test, "aad");
    struct span msg = member(w, w->test, "msg"), ct = member(w, w->test, "ct"),
                tag = member(w, w->test, "tag");
    AUTO(buf_clear) struct buf out = BUF_INIT(WORK_MAX);
    uint8_t *p, made[GCM_TAG_BYTES];

    if (buf_reserve(&out, ct.len + 1, &p) != ERR_OK ||
        aes256gcm_open(w->r->cx, key, iv, aad, ct, tag, p) != ERR_OK ||
        !span_eq(span_of(p, ct.len), msg))
        return false;
    return aes256gcm_seal(w->r->cx, key, iv, aad, msg, p, made) == ERR_OK &&
           span_eq(span_of(p, msg.len), ct) && span_eq(SPAN_ARRAY(made), tag);
}

/* The streaming interface, for the key sizes that the other has not. */
static bool gcm_pieces_test(struct wtest *w)
{
    struct span key = member(w, w->test, "key"), iv = member(w, w->test, "iv"),
                aad = member(w, w->test, "aad");
    struct span msg = member(w, w->test, "msg"), ct = member(w, w->test, "ct"),
                tag = member(w, w->test, "tag");
    AUTO(gcm_freep) struct gcm *open = NULL;
    AUTO(buf_clear) struct buf out = BUF_INIT(WORK_MAX);
    uint8_t *p;

    return tag.len == GCM_TAG_BYTES && buf_reserve(&out, ct.len + 1, &p) == ERR_OK &&
           gcm_new(w->r->cx, key, GCM_OPEN, &open) == ERR_OK && gcm_begin(open, iv.ptr) == ERR_OK &&
           gcm_aad(open, aad) == ERR_OK && gcm_update(open, ct, p) == ERR_OK &&
           gcm_check(open, tag.ptr) == ERR_OK && span_eq(span_of(p, ct.len), msg);
}

static bool hkdf_test(struct wtest *w)
{
    struct span okm = member(w, w->test, "okm");
    AUTO(secret_clear) struct secret prk = { 0 };
    AUTO(buf_clear) struct buf out = BUF_INIT(WORK_MAX);
    size_t size = (size_t)json_integer_value(json_object_get(w->test, "size"));
    uint8_t *p;

    return buf_reserve(&out, size + 1, &p) == ERR_OK &&
           hkdf_extract(w->r->cx, MAC_SHA256, member(w, w->test, "salt"), member(w, w->test, "ikm"),
                        &prk) == ERR_OK &&
           hkdf_expand(w->r->cx, MAC_SHA256, &prk, member(w, w->test, "info"), p, size) == ERR_OK &&
           span_eq(span_of(p, size), okm);
}

static bool cbc_test(struct wtest *w)
{
    struct span key = member(w, w->test, "key"), iv = member(w, w->test, "iv");
    struct span msg = member(w, w->test, "msg"), ct = member(w, w->test, "ct");
    AUTO(secret_clear) struct secret plain = { 0 };
    AUTO(buf_clear) struct buf out = BUF_INIT(WORK_MAX);

    return aes256cbc_open(w->r->cx, key, iv, ct, &plain) == ERR_OK &&
           span_eq(secret_view(&plain), msg) &&
           aes256cbc_seal(w->r->cx, key, iv, msg, &out) == ERR_OK && span_eq(buf_view(&out), ct);
}

static bool hmac_test(struct wtest *w)
{
    struct span tag = member(w, w->test, "tag");
    uint8_t mac[HMAC_SHA256_BYTES];

    hmac_sha256(member(w, w->test, "key"), member(w, w->test, "msg"), mac);
    return ct_eq(span_sub(SPAN_ARRAY(mac), 0, tag.len), tag);
}

static bool ecdsa_test(struct wtest *w, bool raw)
{
    json_t *key = json_object_get(w->group, "publicKey");
    struct span point = member(w, key, "uncompressed");
    struct span msg = member(w, w->test, "msg"), sig = member(w, w->test, "sig");
    AUTO(ec_pub_freep) struct ec_pub *pub = NULL;

    if (ec_pub_parse(w->r->cx, point, &pub, NULL) != ERR_OK)
        return false;
    return (raw ? ec_verify_es384(w->r->cx, pub, msg, sig)
                : ec_verify_p384_der(w->r->cx, pub, msg, sig)) == ERR_OK;
}

static bool ecdsa_raw_test(struct wtest *w)
{
    return ecdsa_test(w, true);
}

static bool ecdsa_der_test(struct wtest *w)
{
    return ecdsa_test(w, false);
}

/* P-256, with a compressed key. */
static bool esig_p256_test(struct wtest *w)
{
    struct span point = member(w, json_object_get(w->group, "publicKey"), "uncompressed");
    struct span msg = member(w, w->test, "msg"), sig = member(w, w->test, "sig");
    AUTO(esig_pub_freep) struct esig_pub *pub = NULL;
    AUTO(esig_freep) struct esig *s = NULL;
    uint8_t compressed[ESIG_POINT_MAX_BYTES];
    size_t n = esig_point_bytes(ESIG_P256);

    if (point.len < n)
        return false;
    memcpy(compressed, point.ptr, n);
    compressed[0] = (uint8_t)(2 + (point.ptr[point.len - 1] & 1));
    return esig_pub_parse(w->r->cx, ESIG_P256, span_of(compressed, n), &pub, NULL) == ERR_OK &&
           esig_new(w->r->cx, ESIG_P256, &s) == ERR_OK && esig_update(s, msg) == ERR_OK &&
           esig_verify(s, pub, sig) == ERR_OK;
}

static bool oaep_test(struct wtest *w)
{
    struct span pem = span_str(json_string_value(json_object_get(w->group, "privateKeyPem")));
    struct span msg = member(w, w->test, "msg"), ct = member(w, w->test, "ct");
    AUTO(rsa_key_freep) struct rsa_key *key = NULL;
    AUTO(secret_clear) struct secret plain = { 0 };

    return rsa_key_parse_pem(w->r->cx, pem, &key, NULL) == ERR_OK &&
           rsa_oaep_open(w->r->cx, key, ct, &plain) == ERR_OK && span_eq(secret_view(&plain), msg);
}

static bool is_int(json_t *group, const char *name, int want)
{
    json_t *v = json_object_get(group, name);
    return !v || json_integer_value(v) == want;
}

static bool is_text(json_t *group, const char *name, const char *want)
{
    const char *v = json_string_value(json_object_get(group, name));
    return !v || strcmp(v, want) == 0;
}

static bool is_curve(json_t *group, const char *curve, const char *sha)
{
    json_t *key = json_object_get(group, "publicKey");
    return is_text(key, "curve", curve) && is_text(group, "sha", sha);
}

typedef bool test_fn(struct wtest *w);

/* The primitive of ours that a group is about, or NULL: we have none of that form. */
static test_fn *primitive_of(const char *algorithm, json_t *group)
{
    const char *type = json_string_value(json_object_get(group, "type"));

    if (strcmp(algorithm, "AES-GCM") == 0 && is_int(group, "keySize", 256) &&
        is_int(group, "ivSize", 96) && is_int(group, "tagSize", 128))
        return gcm_test;
    if (strcmp(algorithm, "AES-GCM") == 0 && is_int(group, "ivSize", 96) &&
        is_int(group, "tagSize", 128))
        return gcm_pieces_test;
    if (strcmp(algorithm, "HKDF-SHA-256") == 0)
        return hkdf_test;
    if (strcmp(algorithm, "AES-CBC-PKCS5") == 0 && is_int(group, "keySize", 256))
        return cbc_test;
    if (strcmp(algorithm, "HMACSHA256") == 0)
        return hmac_test;
    if (strcmp(algorithm, "ECDSA") == 0 && type && is_curve(group, "secp256r1", "SHA-256"))
        return strcmp(type, "EcdsaP1363Verify") == 0 ? NULL : esig_p256_test;
    if (strcmp(algorithm, "ECDSA") == 0 && type && is_curve(group, "secp384r1", "SHA-384"))
        return strcmp(type, "EcdsaP1363Verify") == 0 ? ecdsa_raw_test : ecdsa_der_test;
    if (strcmp(algorithm, "RSAES-OAEP") == 0 && is_text(group, "sha", "SHA-256") &&
        is_text(group, "mgfSha", "SHA-256"))
        return oaep_test;
    return NULL;
}

static bool has_label(json_t *test)
{
    const char *label = json_string_value(json_object_get(test, "label"));
    return label && label[0];
}

static void run_group(struct runner *r, const struct entry *e, test_fn *run, json_t *group)
{
    json_t *test;
    size_t i;

    json_array_foreach(json_object_get(group, "tests"), i, test)
    {
        const char *result = json_string_value(json_object_get(test, "result"));
        struct wtest w = { .r = r, .group = group, .test = test, .pool = BUF_INIT(WORK_MAX) };
        uint8_t *room;
        char name[32];

        if (buf_reserve(&w.pool, WORK_MAX, &room) != ERR_OK) /* so that spans into it stay */
            return;
        snprintf(name, sizeof name, "tcId %lld",
                 (long long)json_integer_value(json_object_get(test, "tcId")));
        bool accepted = run(&w);
        /* "acceptable" is the vectors' own word for either; a label is a form of OAEP that we never
         * take. */
        if (run == oaep_test && has_label(test))
            count_one(r, e, !accepted, name, "a label was ignored");
        else if (result && strcmp(result, "acceptable") != 0)
            count_one(r, e, accepted == (strcmp(result, "valid") == 0), name, result);
        else
            count_one(r, e, result != NULL, name, "no result");
        buf_clear(&w.pool);
    }
}

enum outcome run_wycheproof(struct runner *r, const struct entry *e)
{
    json_t *doc = json_loadb((const char *)e->bytes.ptr, e->bytes.len, 0, NULL);
    const char *algorithm = json_string_value(json_object_get(doc, "algorithm"));
    unsigned left_out = 0;
    json_t *group;
    size_t i;

    if (json_array_size(json_object_get(doc, "testGroups")) == 0)
        count_one(r, e, false, "file", "has no groups of tests");
    json_array_foreach(json_object_get(doc, "testGroups"), i, group)
    {
        test_fn *run = algorithm ? primitive_of(algorithm, group) : NULL;
        if (run)
            run_group(r, e, run, group);
        else
            left_out += (unsigned)json_array_size(json_object_get(group, "tests"));
    }
    if (left_out) {
        set_note(r, "Wycheproof %s: primitive, size or form that is not used here",
                 algorithm ? algorithm : "?");
        skip_for(r, r->note, left_out);
    }
    json_decref(doc);
    return COUNTED;
}
