#include "crypto/ecdh.h"

#include <stdlib.h>

#include <openssl/core_names.h>
#include <openssl/ec.h>

#include "crypto/der.h"
#include "crypto/hash.h"
#include "crypto/internal.h"

enum {
    POINT_UNCOMPRESSED = 0x04,
    GROUP_NAME_MAX = 32,
    FIELD_MAX_BYTES = ECDH_SECRET_MAX_BYTES,
    POINT_MAX_BYTES = 1 + 2 * FIELD_MAX_BYTES,
    EXTRA_BYTES = 8, /* 64 bits beyond the order */
    WIDE_BYTES = (FIELD_MAX_BYTES + EXTRA_BYTES + HMAC_SHA256_BYTES - 1) / HMAC_SHA256_BYTES *
                 HMAC_SHA256_BYTES,
};

static const struct curve {
    const char *group;
    int nid;
    size_t field_bytes;
    struct span oid; /* with its header */
} curves[ECDH_CURVES] = {
    [ECDH_P256] = { "P-256", NID_X9_62_prime256v1, 32,
                    SPAN_INIT("\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07") },
    [ECDH_P384] = { "P-384", NID_secp384r1, 48, SPAN_INIT("\x06\x05\x2b\x81\x04\x00\x22") },
    [ECDH_P521] = { "P-521", NID_secp521r1, 66, SPAN_INIT("\x06\x05\x2b\x81\x04\x00\x23") },
};

#define OID_EC_PUBLIC_KEY "\x06\x07\x2a\x86\x48\xce\x3d\x02\x01"

struct ecdh_key {
    const struct curve *curve;
    EVP_PKEY *pkey;
};

OSSL_CLEANER(EC_GROUP, EC_GROUP_free)
OSSL_CLEANER(EC_POINT, EC_POINT_clear_free)

void ecdh_key_free(struct ecdh_key *key)
{
    if (!key)
        return;
    EVP_PKEY_free(key->pkey);
    free(key);
}

void ecdh_key_freep(struct ecdh_key **key)
{
    ecdh_key_free(*key);
    *key = NULL;
}

/* HMAC of curve and counter under the seed, as many blocks as are needed. */
static enum err widen(const struct curve *c, struct span seed, uint8_t out[static WIDE_BYTES])
{
    for (unsigned i = 0; i < WIDE_BYTES / HMAC_SHA256_BYTES; i++) {
        AUTO(buf_clear) struct buf label = BUF_INIT(64);
        enum err r = buf_printf(&label, "nitroseal ECDH %s %u", c->group, i);
        if (r != ERR_OK)
            return r;
        hmac_sha256(seed, buf_view(&label), out + i * HMAC_SHA256_BYTES);
    }
    return ERR_OK;
}

/* wide mod (order - 1) + 1 */
static BIGNUM *scalar(const EC_GROUP *group, const struct curve *c,
                      const uint8_t wide[static WIDE_BYTES])
{
    AUTO(BN_clear_free_p) BIGNUM *limit = BN_dup(EC_GROUP_get0_order(group));
    AUTO(BN_clear_free_p) BIGNUM *x = BN_secure_new();
    BIGNUM *d = BN_secure_new();
    BN_CTX *ctx = BN_CTX_secure_new();

    bool done = limit && x && d && ctx && BN_sub_word(limit, 1) == 1 &&
                BN_bin2bn(wide, (int)(c->field_bytes + EXTRA_BYTES), x) != NULL &&
                BN_mod(d, x, limit, ctx) == 1 && BN_add_word(d, 1) == 1;
    BN_CTX_free(ctx);
    if (done) {
        BN_set_flags(d, BN_FLG_CONSTTIME);
        return d;
    }
    BN_clear_free(d);
    return NULL;
}

/* d * G, uncompressed. */
static bool public_point(const EC_GROUP *group, const struct curve *c, const BIGNUM *d,
                         uint8_t out[static POINT_MAX_BYTES])
{
    AUTO(EC_POINT_clear_free_p) EC_POINT *p = EC_POINT_new(group);
    size_t len = 1 + 2 * c->field_bytes;

    return p && EC_POINT_mul(group, p, d, NULL, NULL, NULL) == 1 &&
           EC_POINT_point2oct(group, p, POINT_CONVERSION_UNCOMPRESSED, out, len, NULL) == len;
}

/* `d` NULL: a public key. EVP_PKEY_fromdata() refuses a point that is not on the curve. */
static EVP_PKEY *make_pkey(const struct curve *c, uint8_t *point, uint8_t *d)
{
    char group[8];
    EVP_PKEY *pkey = NULL;
    OSSL_PARAM params[4];
    size_t n = 0;

    memcpy(group, c->group, strlen(c->group) + 1); /* OSSL_PARAM takes no const text */
    params[n++] = OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0);
    params[n++] =
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, 1 + 2 * c->field_bytes);
    if (d) /* little-endian, as the machine */
        params[n++] = OSSL_PARAM_construct_BN(OSSL_PKEY_PARAM_PRIV_KEY, d, c->field_bytes);
    params[n] = OSSL_PARAM_construct_end();
    AUTO(EVP_PKEY_CTX_free_p)
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    if (!ctx || EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, &pkey, d ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY, params) != 1)
        return NULL;
    return pkey;
}

static EVP_PKEY *key_of(const struct curve *c, const uint8_t wide[static WIDE_BYTES])
{
    AUTO(EC_GROUP_free_p) EC_GROUP *group = EC_GROUP_new_by_curve_name(c->nid);
    uint8_t point[POINT_MAX_BYTES], little[FIELD_MAX_BYTES];
    EVP_PKEY *pkey = NULL;

    if (!group)
        return NULL;
    AUTO(BN_clear_free_p) BIGNUM *d = scalar(group, c, wide);
    if (d && public_point(group, c, d, point) && BN_bn2lebinpad(d, little, (int)c->field_bytes) > 0)
        pkey = make_pkey(c, point, little);
    wipe(little, sizeof little);
    return pkey;
}

/* Takes over `pkey`, also on failure. */
static enum err key_wrap(const struct curve *c, EVP_PKEY *pkey, struct ecdh_key **out)
{
    struct ecdh_key *key = calloc(1, sizeof *key);

    if (!key) {
        EVP_PKEY_free(pkey);
        return ERR_NOMEM;
    }
    *key = (struct ecdh_key){ .curve = c, .pkey = pkey };
    *out = key;
    return ERR_OK;
}

enum err ecdh_key_from_seed(struct crypto *cx, enum ecdh_curve curve, struct span seed,
                            struct ecdh_key **out)
{
    uint8_t wide[WIDE_BYTES];

    (void)cx;
    if (seed.len != ECDH_SEED_BYTES)
        return ERR_INTERNAL;
    enum err r = widen(&curves[curve], seed, wide);
    EVP_PKEY *pkey = r == ERR_OK ? key_of(&curves[curve], wide) : NULL;
    wipe(wide, sizeof wide);
    if (r != ERR_OK)
        return r;
    return pkey ? key_wrap(&curves[curve], pkey, out) : ossl_fail();
}

enum err ecdh_key_parse(struct crypto *cx, enum ecdh_curve curve, struct span pkcs8,
                        struct ecdh_key **out)
{
    const struct curve *c = &curves[curve];
    char name[GROUP_NAME_MAX] = "";
    EVP_PKEY *pkey = NULL;

    (void)cx;
    enum err r = pkcs8_read(pkcs8, &pkey);
    if (r != ERR_OK)
        return r;
    bool same = EVP_PKEY_get_group_name(pkey, name, sizeof name, NULL) == 1 &&
                strcmp(name, OBJ_nid2sn(c->nid)) == 0;
    ERR_clear_error();
    if (!same) {
        EVP_PKEY_free(pkey);
        return ERR_UNSUPPORTED;
    }
    return key_wrap(c, pkey, out);
}

enum err ecdh_key_private(const struct ecdh_key *key, struct secret *pkcs8)
{
    return pkcs8_write(key->pkey, pkcs8);
}

enum err ecdh_key_public(const struct ecdh_key *key, struct buf *spki)
{
    return spki_write(key->pkey, spki);
}

/* RFC 5480 section 2: SEQUENCE { SEQUENCE { id-ecPublicKey, curve }, BIT STRING point }. */
static enum err peer_point(const struct curve *c, struct span spki,
                           uint8_t point[static POINT_MAX_BYTES], struct why *why)
{
    struct der d = der_init(spki);
    struct der seq = der_init(der_take(&d, DER_SEQUENCE));
    struct span algorithm = der_take(&seq, DER_SEQUENCE), bits = der_take_bits(&seq);
    const struct span kind = SPAN_LIT(OID_EC_PUBLIC_KEY);

    if (!der_end(&d) || !der_end(&seq))
        return why_fail(why, ERR_MALFORMED, "not a SubjectPublicKeyInfo", 0);
    if (!span_eq(span_sub(algorithm, 0, kind.len), kind))
        return why_fail(why, ERR_UNSUPPORTED, "not an elliptic curve key", 0);
    if (!span_eq(span_from(algorithm, kind.len), c->oid))
        return why_fail(why, ERR_UNSUPPORTED, "another curve", 0);
    if (bits.len != 1 + 2 * c->field_bytes || bits.ptr[0] != POINT_UNCOMPRESSED)
        return why_fail(why, ERR_MALFORMED, "point encoding", 0);
    memcpy(point, bits.ptr, bits.len);
    return ERR_OK;
}

enum err ecdh_derive(struct crypto *cx, const struct ecdh_key *key, struct span peer_spki,
                     struct secret *out, struct why *why)
{
    AUTO(secret_clear) struct secret z = { 0 };
    uint8_t point[POINT_MAX_BYTES];
    size_t len = key->curve->field_bytes;

    (void)cx;
    enum err r = peer_point(key->curve, peer_spki, point, why);
    if (r != ERR_OK)
        return r;
    AUTO(EVP_PKEY_free_p) EVP_PKEY *peer = make_pkey(key->curve, point, NULL);
    if (!peer)
        return why_fail(why, ossl_fail() == ERR_NOMEM ? ERR_NOMEM : ERR_MALFORMED,
                        "point is not on the curve", 0);
    r = secret_new(len, &z);
    if (r != ERR_OK)
        return why_fail(why, r, "shared secret", 0);
    AUTO(EVP_PKEY_CTX_free_p)
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key->pkey, NULL);
    if (!ctx || EVP_PKEY_derive_init(ctx) != 1 || EVP_PKEY_derive_set_peer(ctx, peer) != 1 ||
        EVP_PKEY_derive(ctx, z.ptr, &len) != 1 || len != z.len)
        return why_fail(why, ossl_fail(), "ECDH", 0);
    *out = secret_take(&z);
    return ERR_OK;
}
