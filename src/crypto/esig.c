#include "crypto/esig.h"

#include <stdlib.h>

#include <openssl/core_names.h>

#include "crypto/der.h"
#include "crypto/internal.h"

enum { FIELD_MAX_BYTES = 48, DIGEST_MAX_BYTES = 48, POINT_EVEN = 0x02, POINT_ODD = 0x03 };

static const struct {
    char group[8]; /* an array, as OSSL_PARAM takes no const text */
    size_t field;  /* bytes of a coordinate, of r, of s, and of the digest */
} curves[ESIG_CURVES] = { [ESIG_P256] = { "P-256", 32 }, [ESIG_P384] = { "P-384", 48 } };

struct esig {
    EVP_MD_CTX *ctx; /* NULL: ended */
    enum esig_curve curve;
};

struct esig_key {
    EVP_PKEY *pkey;
    enum esig_curve curve;
    uint8_t point[ESIG_POINT_MAX_BYTES];
};

struct esig_pub {
    EVP_PKEY *pkey;
    enum esig_curve curve;
};

size_t esig_point_bytes(enum esig_curve curve)
{
    return 1 + curves[curve].field;
}

/* SEQUENCE of two INTEGERs, each with a zero byte before it at most. */
size_t esig_sig_max_bytes(enum esig_curve curve)
{
    return 2 + 2 * (2 + curves[curve].field + 1);
}

/* ---- keys ---- */

static bool compress(const struct esig_key *key, uint8_t point[static ESIG_POINT_MAX_BYTES])
{
    AUTO(BN_clear_free_p) BIGNUM *x = NULL;
    AUTO(BN_clear_free_p) BIGNUM *y = NULL;
    int field = (int)curves[key->curve].field;

    if (EVP_PKEY_get_bn_param(key->pkey, OSSL_PKEY_PARAM_EC_PUB_X, &x) != 1 ||
        EVP_PKEY_get_bn_param(key->pkey, OSSL_PKEY_PARAM_EC_PUB_Y, &y) != 1)
        return false;
    point[0] = BN_is_odd(y) ? POINT_ODD : POINT_EVEN;
    return BN_bn2binpad(x, point + 1, field) == field;
}

enum err esig_key_new(struct crypto *cx, enum esig_curve curve, struct esig_key **out)
{
    AUTO(esig_key_freep) struct esig_key *key = calloc(1, sizeof *key);

    (void)cx;
    if (!key)
        return ERR_NOMEM;
    key->curve = curve;
    AUTO(EVP_PKEY_CTX_free_p)
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    if (!ctx || EVP_PKEY_keygen_init(ctx) != 1 ||
        EVP_PKEY_CTX_set_group_name(ctx, curves[curve].group) != 1 ||
        EVP_PKEY_generate(ctx, &key->pkey) != 1 || !compress(key, key->point))
        return ossl_fail();
    *out = key;
    key = NULL;
    return ERR_OK;
}

void esig_key_free(struct esig_key *key)
{
    if (!key)
        return;
    EVP_PKEY_free(key->pkey);
    free(key);
}

void esig_key_freep(struct esig_key **key)
{
    esig_key_free(*key);
    *key = NULL;
}

enum esig_curve esig_key_curve(const struct esig_key *key)
{
    return key->curve;
}

struct span esig_key_point(const struct esig_key *key)
{
    return span_of(key->point, esig_point_bytes(key->curve));
}

enum err esig_pub_parse(struct crypto *cx, enum esig_curve curve, struct span point,
                        struct esig_pub **out, struct why *why)
{
    (void)cx;
    if (point.len != esig_point_bytes(curve) ||
        (point.ptr[0] != POINT_EVEN && point.ptr[0] != POINT_ODD))
        return why_fail(why, ERR_MALFORMED, "not a compressed point of the curve", 0);
    AUTO(esig_pub_freep) struct esig_pub *pub = calloc(1, sizeof *pub);
    if (!pub)
        return why_fail(why, ERR_NOMEM, "public key", 0);
    pub->curve = curve;
    enum err r = ec_point_read(curves[curve].group, point, &pub->pkey);
    if (r != ERR_OK)
        return why_fail(why, r, "the point is not on the curve", 0);
    *out = pub;
    pub = NULL;
    return ERR_OK;
}

void esig_pub_free(struct esig_pub *pub)
{
    if (!pub)
        return;
    EVP_PKEY_free(pub->pkey);
    free(pub);
}

void esig_pub_freep(struct esig_pub **pub)
{
    esig_pub_free(*pub);
    *pub = NULL;
}

/* ---- digests and signatures ---- */

enum err esig_new(struct crypto *cx, enum esig_curve curve, struct esig **out)
{
    AUTO(esig_freep) struct esig *s = calloc(1, sizeof *s);

    if (!s)
        return ERR_NOMEM;
    s->curve = curve;
    s->ctx = EVP_MD_CTX_new();
    const EVP_MD *md = curve == ESIG_P256 ? cx->sha256 : cx->sha384;
    if (!s->ctx || EVP_DigestInit_ex2(s->ctx, md, NULL) != 1)
        return ossl_fail();
    *out = s;
    s = NULL;
    return ERR_OK;
}

void esig_free(struct esig *s)
{
    if (!s)
        return;
    EVP_MD_CTX_free(s->ctx);
    free(s);
}

void esig_freep(struct esig **s)
{
    esig_free(*s);
    *s = NULL;
}

enum err esig_update(struct esig *s, struct span in)
{
    if (!s->ctx)
        return ERR_INTERNAL;
    if (in.len == 0)
        return ERR_OK;
    return EVP_DigestUpdate(s->ctx, in.ptr, in.len) == 1 ? ERR_OK : ossl_fail();
}

static enum err finish(struct esig *s, enum esig_curve curve, uint8_t md[static DIGEST_MAX_BYTES])
{
    if (!s->ctx || s->curve != curve)
        return ERR_INTERNAL;
    bool ok = EVP_DigestFinal_ex(s->ctx, md, NULL) == 1;
    EVP_MD_CTX_free(s->ctx);
    s->ctx = NULL;
    return ok ? ERR_OK : ossl_fail();
}

/* Bounded and strict: exactly one form of a signature is a signature. Whether r and s are below
 * the group's order is OpenSSL's to check. */
static bool sig_is_der(struct span sig, size_t field)
{
    struct der d = der_init(sig);
    struct der seq = der_init(der_take(&d, DER_SEQUENCE));
    struct span r = der_take_uint(&seq, field), s = der_take_uint(&seq, field);

    return der_end(&d) && der_end(&seq) && r.len > 0 && s.len > 0;
}

enum err esig_sign(struct esig *s, const struct esig_key *key,
                   uint8_t out[static ESIG_SIG_MAX_BYTES], size_t *len)
{
    uint8_t md[DIGEST_MAX_BYTES], der[ESIG_SIG_MAX_BYTES];
    size_t n = sizeof der;

    enum err r = finish(s, key->curve, md);
    if (r != ERR_OK)
        return r;
    AUTO(EVP_PKEY_CTX_free_p)
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key->pkey, NULL);
    if (!ctx || EVP_PKEY_sign_init(ctx) != 1 ||
        EVP_PKEY_sign(ctx, der, &n, md, curves[key->curve].field) != 1)
        return ossl_fail();
    /* Without memory for the encoding, OpenSSL 3.0 says 1 and gives a length of -1. */
    if (n > sizeof der || !sig_is_der(span_of(der, n), curves[key->curve].field))
        return ossl_fail();
    memcpy(out, der, n);
    *len = n;
    return ERR_OK;
}

enum err esig_verify(struct esig *s, const struct esig_pub *pub, struct span sig)
{
    uint8_t md[DIGEST_MAX_BYTES];

    enum err r = finish(s, pub->curve, md);
    if (r != ERR_OK)
        return r;
    if (!sig_is_der(sig, curves[pub->curve].field))
        return ERR_VERIFY;
    AUTO(EVP_PKEY_CTX_free_p)
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pub->pkey, NULL);
    if (!ctx || EVP_PKEY_verify_init(ctx) != 1)
        return ossl_fail();
    /* -1, not 0, for numbers that lead to the point at infinity: a forger can choose those, so only
     * a lack of memory counts as not having been able to tell (as in ec.c). */
    if (EVP_PKEY_verify(ctx, sig.ptr, sig.len, md, curves[pub->curve].field) == 1)
        return ERR_OK;
    return ossl_fail() == ERR_NOMEM ? ERR_NOMEM : ERR_VERIFY;
}
