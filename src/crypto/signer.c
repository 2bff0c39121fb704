#include "crypto/signer.h"

#include <stdlib.h>

#include <openssl/ecdsa.h>

#include "crypto/internal.h"
#include "crypto/pem.h"

enum {
    GROUP_NAME_MAX = 32,
    ECDSA_DER_MAX = 160, /* P-521: two INTEGERs of 67 bytes and their heads */
    OID_TEXT_MAX = 128,
    FIELD_MAX = 66,
};

static const struct {
    const char *name, *alias; /* OpenSSL's names of the group */
    const char *digest;
    unsigned field; /* bytes of r, and of s */
} curves[SIGNER_CURVES] = {
    [SIGNER_P256] = { "prime256v1", "P-256", "SHA2-256", 32 },
    [SIGNER_P384] = { "secp384r1", "P-384", "SHA2-384", 48 },
    [SIGNER_P521] = { "secp521r1", "P-521", "SHA2-512", FIELD_MAX },
};

struct signer_cert {
    struct signer_facts facts;
    X509 *x;
    uint8_t der[];
};

struct signer_key {
    EVP_PKEY *pkey;
    enum signer_curve curve;
};

OSSL_CLEANER(ECDSA_SIG, ECDSA_SIG_free)
OSSL_CLEANER(EVP_MD_CTX, EVP_MD_CTX_free)

static bool curve_of(const EVP_PKEY *pkey, enum signer_curve *out)
{
    char name[GROUP_NAME_MAX] = "";

    if (!pkey || !EVP_PKEY_is_a(pkey, "EC") ||
        EVP_PKEY_get_group_name(pkey, name, sizeof name, NULL) != 1)
        return false;
    for (unsigned i = 0; i < SIGNER_CURVES; i++)
        if (strcmp(name, curves[i].name) == 0 || strcmp(name, curves[i].alias) == 0) {
            *out = (enum signer_curve)i;
            return true;
        }
    return false;
}

/* ---- certificates ---- */

void signer_cert_free(struct signer_cert *cert)
{
    if (!cert)
        return;
    X509_free(cert->x);
    free(cert);
}

void signer_cert_freep(struct signer_cert **cert)
{
    signer_cert_free(*cert);
    *cert = NULL;
}

static bool time_read(const ASN1_TIME *t, int64_t *seconds, char text[static SIGNER_TIME_BYTES])
{
    AUTO(BIO_free_all_p) BIO *bio = BIO_new(BIO_s_mem());
    AUTO(ASN1_TIME_free_p) ASN1_TIME *epoch = ASN1_TIME_set(NULL, 0);
    int days = 0, rest = 0;
    char *p = NULL;

    if (!bio || !epoch || ASN1_TIME_diff(&days, &rest, epoch, t) != 1 ||
        ASN1_TIME_print(bio, t) != 1)
        return false;
    long n = BIO_get_mem_data(bio, &p);
    if (n <= 0 || n >= SIGNER_TIME_BYTES)
        return false;
    memcpy(text, p, (size_t)n);
    text[n] = 0;
    *seconds = (int64_t)days * 86400 + rest;
    return true;
}

static bool facts_read(struct signer_cert *c)
{
    const ASN1_BIT_STRING *sig = NULL;
    const X509_ALGOR *alg = NULL;
    const ASN1_OBJECT *oid = NULL;

    X509_get0_signature(&sig, &alg, c->x);
    X509_ALGOR_get0(&oid, NULL, NULL, alg);
    c->facts.signature = span_of(ASN1_STRING_get0_data(sig), (size_t)ASN1_STRING_length(sig));
    int n = OBJ_obj2txt(c->facts.algorithm, sizeof c->facts.algorithm, oid, 0);
    return n > 0 && (size_t)n < sizeof c->facts.algorithm &&
           time_read(X509_get0_notBefore(c->x), &c->facts.not_before, c->facts.not_before_text) &&
           time_read(X509_get0_notAfter(c->x), &c->facts.not_after, c->facts.not_after_text);
}

/* OpenSSL's reader takes BER; what it would write must be what was given. */
static bool is_der(const X509 *x, struct span der)
{
    unsigned char *again = NULL;
    int n = i2d_X509(x, &again);
    bool same = n > 0 && span_eq(span_of(again, (size_t)n), der);

    OPENSSL_free(again);
    return same;
}

enum err signer_cert_parse(struct span der, struct signer_cert **out, struct why *why)
{
    if (der.len > SIGNER_CERT_MAX_BYTES)
        return why_fail(why, ERR_LIMIT, "certificate is too long", 0);
    AUTO(signer_cert_freep) struct signer_cert *c = calloc(1, sizeof *c + der.len);
    if (!c)
        return why_fail(why, ERR_NOMEM, "certificate", 0);
    if (der.len)
        memcpy(c->der, der.ptr, der.len);
    c->facts.der = span_of(c->der, der.len);
    const uint8_t *p = c->der;
    c->x = d2i_X509(NULL, &p, (long)der.len);
    if (!c->x || p != c->der + der.len || !is_der(c->x, c->facts.der) || !facts_read(c)) {
        enum err r = ossl_fail();
        return why_fail(why, r == ERR_NOMEM ? r : ERR_MALFORMED, "certificate", 0);
    }
    if (!curve_of(X509_get0_pubkey(c->x), &c->facts.curve)) {
        ERR_clear_error();
        return why_fail(why, ERR_UNSUPPORTED,
                        "the certificate's key is not on P-256, P-384 or P-521", 0);
    }
    *out = c;
    c = NULL;
    return ERR_OK;
}

const struct signer_facts *signer_cert_facts(const struct signer_cert *cert)
{
    return &cert->facts;
}

unsigned signer_issuer_count(const struct signer_cert *cert)
{
    int n = X509_NAME_entry_count(X509_get_issuer_name(cert->x));

    return n > 0 ? (unsigned)n : 0;
}

enum err signer_issuer_at(const struct signer_cert *cert, unsigned i, struct buf *name,
                          struct buf *value)
{
    const X509_NAME_ENTRY *e = X509_NAME_get_entry(X509_get_issuer_name(cert->x), (int)i);
    char type[OID_TEXT_MAX];
    unsigned char *utf8 = NULL;

    if (!e)
        return ERR_INTERNAL;
    int n = OBJ_obj2txt(type, sizeof type, X509_NAME_ENTRY_get_object(e), 0);
    int len = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(e));
    enum err r = n > 0 && (size_t)n < sizeof type && len >= 0 ? ERR_OK : ERR_MALFORMED;
    if (r == ERR_OK)
        r = buf_append_str(name, type);
    if (r == ERR_OK)
        r = buf_append(value, span_of(utf8, (size_t)len));
    OPENSSL_free(utf8);
    ERR_clear_error();
    return r;
}

/* ---- keys ---- */

void signer_key_free(struct signer_key *key)
{
    if (!key)
        return;
    EVP_PKEY_free(key->pkey);
    free(key);
}

void signer_key_freep(struct signer_key **key)
{
    signer_key_free(*key);
    *key = NULL;
}

enum err signer_key_parse_pem(struct span pem, struct signer_key **out, struct why *why)
{
    AUTO(signer_key_freep) struct signer_key *key = calloc(1, sizeof *key);

    if (!key)
        return why_fail(why, ERR_NOMEM, "private key", 0);
    enum err r = pem_private_key(pem, "EC", &key->pkey, why);
    if (r != ERR_OK)
        return r;
    if (!curve_of(key->pkey, &key->curve)) {
        ERR_clear_error();
        return why_fail(why, ERR_UNSUPPORTED, "the key is not on P-256, P-384 or P-521", 0);
    }
    *out = key;
    key = NULL;
    return ERR_OK;
}

enum signer_curve signer_key_curve(const struct signer_key *key)
{
    return key->curve;
}

/* ---- signatures ---- */

size_t signer_sig_bytes(enum signer_curve curve)
{
    return 2 * (size_t)curves[curve].field;
}

enum err signer_sign(const struct signer_key *key, struct span msg,
                     uint8_t sig[static SIGNER_SIG_MAX])
{
    AUTO(EVP_MD_CTX_free_p) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    uint8_t der[ECDSA_DER_MAX];
    size_t len = sizeof der;

    if (!ctx ||
        EVP_DigestSignInit_ex(ctx, NULL, curves[key->curve].digest, NULL, NULL, key->pkey, NULL) !=
            1 ||
        EVP_DigestSign(ctx, der, &len, msg.ptr, msg.len) != 1)
        return ossl_fail();
    enum err r = signer_sig_from_der(key->curve, span_of(der, len), sig);
    return r == ERR_MALFORMED ? ERR_CRYPTO : r;
}

enum err signer_sig_from_der(enum signer_curve curve, struct span der,
                             uint8_t sig[static SIGNER_SIG_MAX])
{
    const uint8_t *p = der.ptr;
    int field = (int)curves[curve].field;

    if (der.len == 0 || der.len > ECDSA_DER_MAX)
        return ERR_MALFORMED;
    AUTO(ECDSA_SIG_free_p) ECDSA_SIG *parts = d2i_ECDSA_SIG(NULL, &p, (long)der.len);
    if (!parts)
        return ossl_fail() == ERR_NOMEM ? ERR_NOMEM : ERR_MALFORMED;
    if (p != der.ptr + der.len || BN_is_negative(ECDSA_SIG_get0_r(parts)) ||
        BN_is_negative(ECDSA_SIG_get0_s(parts)) ||
        BN_bn2binpad(ECDSA_SIG_get0_r(parts), sig, field) != field ||
        BN_bn2binpad(ECDSA_SIG_get0_s(parts), sig + field, field) != field) {
        ERR_clear_error();
        return ERR_MALFORMED;
    }
    return ERR_OK;
}

/* r || s as ECDSA-Sig-Value; 0: no memory. */
static size_t sig_to_der(struct span sig, size_t field, uint8_t der[static ECDSA_DER_MAX])
{
    AUTO(ECDSA_SIG_free_p) ECDSA_SIG *parts = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(sig.ptr, (int)field, NULL);
    BIGNUM *s = BN_bin2bn(sig.ptr + field, (int)field, NULL);
    uint8_t *p = der;

    if (!parts || !r || !s || ECDSA_SIG_set0(parts, r, s) != 1) {
        BN_free(r);
        BN_free(s);
        return 0;
    }
    int n = i2d_ECDSA_SIG(parts, NULL) <= ECDSA_DER_MAX ? i2d_ECDSA_SIG(parts, &p) : 0;
    return n > 0 ? (size_t)n : 0;
}

/* As in ec.c: only a lack of memory counts as not having been able to tell. */
enum err signer_verify(const struct signer_cert *cert, struct span msg, struct span sig)
{
    enum signer_curve curve = cert->facts.curve;
    uint8_t der[ECDSA_DER_MAX];

    if (sig.len != signer_sig_bytes(curve))
        return ERR_VERIFY;
    size_t len = sig_to_der(sig, curves[curve].field, der);
    AUTO(EVP_MD_CTX_free_p) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (!len || !ctx ||
        EVP_DigestVerifyInit_ex(ctx, NULL, curves[curve].digest, NULL, NULL,
                                X509_get0_pubkey(cert->x), NULL) != 1)
        return ossl_fail();
    if (EVP_DigestVerify(ctx, der, len, msg.ptr, msg.len) == 1)
        return ERR_OK;
    return ossl_fail() == ERR_NOMEM ? ERR_NOMEM : ERR_VERIFY;
}
