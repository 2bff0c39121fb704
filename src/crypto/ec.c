#include "crypto/ec.h"

#include <stdlib.h>

#include <openssl/core_names.h>
#include <openssl/pem.h>

#include "crypto/der.h"
#include "crypto/hash.h"
#include "crypto/internal.h"
#include "crypto/pem.h"

enum {
    P384_BYTES = 48,
    POINT_UNCOMPRESSED = 0x04, /* SEC 1 section 2.3.3 */
    /* SEQUENCE of two INTEGERs of at most 49 bytes, every length in one byte. */
    SIG_DER_MAX = 2 + 2 * (2 + P384_BYTES + 1),
    GROUP_NAME_MAX = 32,
};

static char group[] = "P-384"; /* OSSL_PARAM takes no const text */

/* ---- ECDSA-Sig-Value (RFC 3279 section 2.2.3) and r || s ---- */

/* Bounded and strict: exactly one form of a signature is a signature. */
static bool sig_parse(struct span der, struct span *r, struct span *s)
{
    struct der d = der_init(der);
    struct der seq = der_init(der_take(&d, DER_SEQUENCE));

    *r = der_take_uint(&seq, P384_BYTES);
    *s = der_take_uint(&seq, P384_BYTES);
    return der_end(&d) && der_end(&seq) && r->len > 0 && s->len > 0;
}

static size_t put_uint(uint8_t *out, const uint8_t n[static P384_BYTES])
{
    size_t skip = 0, at = 2;

    while (skip < P384_BYTES - 1 && n[skip] == 0)
        skip++;
    if (n[skip] >= 0x80)
        out[at++] = 0;
    memcpy(out + at, n + skip, P384_BYTES - skip);
    at += P384_BYTES - skip;
    out[0] = DER_INTEGER;
    out[1] = (uint8_t)(at - 2);
    return at;
}

static size_t sig_write(const uint8_t raw[static ES384_SIG_BYTES], uint8_t out[static SIG_DER_MAX])
{
    size_t at = 2;

    at += put_uint(out + at, raw);
    at += put_uint(out + at, raw + P384_BYTES);
    out[0] = DER_SEQUENCE;
    out[1] = (uint8_t)(at - 2);
    return at;
}

/* ---- keys ---- */

/* Takes over `pkey`, also on failure. */
static enum err key_wrap(EVP_PKEY *pkey, struct ec_key **out)
{
    struct ec_key *key = calloc(1, sizeof *key);

    if (!key) {
        EVP_PKEY_free(pkey);
        return ERR_NOMEM;
    }
    key->pkey = pkey;
    *out = key;
    return ERR_OK;
}

enum err ec_key_new(struct crypto *cx, struct ec_key **out)
{
    EVP_PKEY *pkey = NULL;

    (void)cx;
    AUTO(EVP_PKEY_CTX_free_p)
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    if (!ctx || EVP_PKEY_keygen_init(ctx) != 1 || EVP_PKEY_CTX_set_group_name(ctx, group) != 1 ||
        EVP_PKEY_generate(ctx, &pkey) != 1)
        return ossl_fail();
    return key_wrap(pkey, out);
}

static bool is_p384(EVP_PKEY *pkey)
{
    char name[GROUP_NAME_MAX] = "";

    return EVP_PKEY_get_group_name(pkey, name, sizeof name, NULL) == 1 &&
           (strcmp(name, "secp384r1") == 0 || strcmp(name, group) == 0);
}

enum err ec_key_parse_pem(struct crypto *cx, struct span pem, struct ec_key **out, struct why *why)
{
    EVP_PKEY *pkey = NULL;

    (void)cx;
    enum err r = pem_private_key(pem, "EC", &pkey, why);
    if (r != ERR_OK)
        return r;
    if (!is_p384(pkey)) {
        EVP_PKEY_free(pkey);
        ERR_clear_error();
        return why_fail(why, ERR_UNSUPPORTED, "curve", 0);
    }
    r = key_wrap(pkey, out);
    return r == ERR_OK ? r : why_fail(why, r, "private key", 0);
}

enum err ec_key_write_pem(const struct ec_key *key, struct buf *out)
{
    AUTO(BIO_free_all_p) BIO *bio = BIO_new(BIO_s_mem());
    char *text = NULL;

    if (!bio || PEM_write_bio_PKCS8PrivateKey(bio, key->pkey, NULL, NULL, 0, NULL, NULL) != 1)
        return ossl_fail();
    long n = BIO_get_mem_data(bio, &text);
    return buf_append(out, span_of(text, (size_t)n));
}

/* From the coordinates: the encoded point has the form that the key was written with. */
static bool public_point(EVP_PKEY *pkey, uint8_t point[static P384_POINT_BYTES])
{
    AUTO(BN_clear_free_p) BIGNUM *x = NULL;
    AUTO(BN_clear_free_p) BIGNUM *y = NULL;

    point[0] = POINT_UNCOMPRESSED;
    return EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_EC_PUB_X, &x) == 1 &&
           EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_EC_PUB_Y, &y) == 1 &&
           BN_bn2binpad(x, point + 1, P384_BYTES) == P384_BYTES &&
           BN_bn2binpad(y, point + 1 + P384_BYTES, P384_BYTES) == P384_BYTES;
}

enum err ec_key_pub(struct crypto *cx, const struct ec_key *key, struct ec_pub **out)
{
    uint8_t point[P384_POINT_BYTES];

    if (!public_point(key->pkey, point))
        return ossl_fail();
    enum err r = ec_pub_parse(cx, SPAN_ARRAY(point), out, NULL);
    return r == ERR_MALFORMED ? ERR_CRYPTO : r;
}

void ec_key_free(struct ec_key *key)
{
    if (!key)
        return;
    EVP_PKEY_free(key->pkey);
    free(key);
}

void ec_key_freep(struct ec_key **key)
{
    ec_key_free(*key);
    *key = NULL;
}

/* EVP_PKEY_fromdata() refuses what is no point of the curve. */
enum err ec_point_read(const char *curve, struct span point, EVP_PKEY **out)
{
    char name[GROUP_NAME_MAX];
    uint8_t bytes[P384_POINT_BYTES];

    if (strlen(curve) >= sizeof name || point.len > sizeof bytes)
        return ERR_MALFORMED;
    memcpy(name, curve, strlen(curve) + 1); /* OSSL_PARAM takes nothing const */
    memcpy(bytes, point.ptr, point.len);
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, name, 0),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, bytes, point.len),
        OSSL_PARAM_construct_end(),
    };
    AUTO(EVP_PKEY_CTX_free_p)
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);

    if (!ctx || EVP_PKEY_fromdata_init(ctx) != 1)
        return ossl_fail();
    if (EVP_PKEY_fromdata(ctx, out, EVP_PKEY_PUBLIC_KEY, params) != 1)
        return ossl_fail() == ERR_NOMEM ? ERR_NOMEM : ERR_MALFORMED;
    return ERR_OK;
}

enum err ec_pub_parse(struct crypto *cx, struct span point, struct ec_pub **out, struct why *why)
{
    (void)cx;
    if (point.len != P384_POINT_BYTES || point.ptr[0] != POINT_UNCOMPRESSED)
        return why_fail(why, ERR_MALFORMED, "point encoding", 0);
    AUTO(ec_pub_freep) struct ec_pub *pub = calloc(1, sizeof *pub);
    if (!pub)
        return why_fail(why, ERR_NOMEM, "public key", 0);
    memcpy(pub->point, point.ptr, point.len);
    enum err r = ec_point_read(group, point, &pub->pkey);
    if (r != ERR_OK)
        return why_fail(why, r, "point is not on P-384", 0);
    *out = pub;
    pub = NULL;
    return ERR_OK;
}

void ec_pub_free(struct ec_pub *pub)
{
    if (!pub)
        return;
    EVP_PKEY_free(pub->pkey);
    free(pub);
}

void ec_pub_freep(struct ec_pub **pub)
{
    ec_pub_free(*pub);
    *pub = NULL;
}

/* ---- signatures ---- */

enum err ec_sign_es384(struct crypto *cx, const struct ec_key *key, struct span msg,
                       uint8_t sig[static ES384_SIG_BYTES])
{
    uint8_t md[SHA384_BYTES], der[SIG_DER_MAX];
    size_t len = sizeof der;
    struct span r, s;

    (void)cx;
    sha384(msg, md);
    AUTO(EVP_PKEY_CTX_free_p)
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key->pkey, NULL);
    if (!ctx || EVP_PKEY_sign_init(ctx) != 1 || EVP_PKEY_sign(ctx, der, &len, md, sizeof md) != 1 ||
        !sig_parse(span_of(der, len), &r, &s))
        return ossl_fail();
    memset(sig, 0, ES384_SIG_BYTES);
    memcpy(sig + P384_BYTES - r.len, r.ptr, r.len);
    memcpy(sig + ES384_SIG_BYTES - s.len, s.ptr, s.len);
    return ERR_OK;
}

/* `der` is one that sig_parse() took or sig_write() made. Whether r and s are below the group's
 * order is OpenSSL's to check. It answers 0 for a wrong signature, but -1 for numbers that lead to
 * the point at infinity (Wycheproof has some), which a forger can choose: only a lack of memory
 * counts as not having been able to tell. */
static enum err verify(const struct ec_pub *pub, struct span msg, struct span der)
{
    uint8_t md[SHA384_BYTES];

    sha384(msg, md);
    AUTO(EVP_PKEY_CTX_free_p)
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pub->pkey, NULL);
    if (!ctx || EVP_PKEY_verify_init(ctx) != 1)
        return ossl_fail();
    int ok = EVP_PKEY_verify(ctx, der.ptr, der.len, md, sizeof md);
    if (ok == 1)
        return ERR_OK;
    return ossl_fail() == ERR_NOMEM ? ERR_NOMEM : ERR_VERIFY;
}

enum err ec_verify_es384(struct crypto *cx, const struct ec_pub *pub, struct span msg,
                         struct span sig)
{
    static const uint8_t zero[P384_BYTES];
    uint8_t der[SIG_DER_MAX];

    (void)cx;
    if (sig.len != ES384_SIG_BYTES || ct_eq(span_sub(sig, 0, P384_BYTES), SPAN_ARRAY(zero)) ||
        ct_eq(span_from(sig, P384_BYTES), SPAN_ARRAY(zero)))
        return ERR_VERIFY;
    return verify(pub, msg, span_of(der, sig_write(sig.ptr, der)));
}

enum err ec_verify_p384_der(struct crypto *cx, const struct ec_pub *pub, struct span msg,
                            struct span sig_der)
{
    struct span r, s;

    (void)cx;
    if (!sig_parse(sig_der, &r, &s))
        return ERR_VERIFY;
    return verify(pub, msg, sig_der);
}
