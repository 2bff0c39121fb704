#include "crypto/keypair.h"

#include "crypto/internal.h"
#include "crypto/rsa_gen.h"

static const struct kind {
    const char *type; /* OpenSSL's */
    unsigned bits;    /* RSA */
    const char *group;
} kinds[KEYPAIR_SPECS] = {
    [KEYPAIR_RSA_2048] = { "RSA", 2048, NULL },
    [KEYPAIR_RSA_3072] = { "RSA", 3072, NULL },
    [KEYPAIR_RSA_4096] = { "RSA", 4096, NULL },
    [KEYPAIR_ECC_NIST_P256] = { "EC", 0, "P-256" },
    [KEYPAIR_ECC_NIST_P384] = { "EC", 0, "P-384" },
    [KEYPAIR_ECC_NIST_P521] = { "EC", 0, "P-521" },
    [KEYPAIR_ECC_SECG_P256K1] = { "EC", 0, "secp256k1" },
    [KEYPAIR_ECC_NIST_EDWARDS25519] = { "ED25519", 0, NULL },
    [KEYPAIR_SM2] = { "SM2", 0, NULL },
};

static EVP_PKEY *generate(const struct kind *k)
{
    EVP_PKEY *rsa = NULL;

    if (k->bits)
        return rsa_generate(k->bits, &rsa) == ERR_OK ? rsa : NULL;
    if (k->group)
        return EVP_PKEY_Q_keygen(NULL, NULL, k->type, k->group);
    return EVP_PKEY_Q_keygen(NULL, NULL, k->type);
}

OSSL_CLEANER(PKCS8_PRIV_KEY_INFO, PKCS8_PRIV_KEY_INFO_free)

enum err pkcs8_write(const EVP_PKEY *pkey, struct secret *out)
{
    AUTO(PKCS8_PRIV_KEY_INFO_free_p) PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(pkey);
    unsigned char *der = NULL;
    int n = info ? i2d_PKCS8_PRIV_KEY_INFO(info, &der) : -1;

    if (n <= 0)
        return ossl_fail();
    enum err r = secret_copy(span_of(der, (size_t)n), out);
    OPENSSL_clear_free(der, (size_t)n);
    return r;
}

enum err pkcs8_read(struct span der, EVP_PKEY **out)
{
    const unsigned char *p = der.ptr;

    if (der.len == 0 || der.len > SECRET_MAX_BYTES)
        return ERR_MALFORMED;
    AUTO(PKCS8_PRIV_KEY_INFO_free_p)
    PKCS8_PRIV_KEY_INFO *info = d2i_PKCS8_PRIV_KEY_INFO(NULL, &p, (long)der.len);
    EVP_PKEY *pkey = info && p == der.ptr + der.len ? EVP_PKCS82PKEY(info) : NULL;
    if (!pkey)
        return ossl_fail() == ERR_NOMEM ? ERR_NOMEM : ERR_MALFORMED;
    *out = pkey;
    return ERR_OK;
}

enum err spki_write(const EVP_PKEY *pkey, struct buf *out)
{
    unsigned char *der = NULL;
    int n = i2d_PUBKEY(pkey, &der);

    if (n <= 0)
        return ossl_fail();
    enum err r = buf_append(out, span_of(der, (size_t)n));
    OPENSSL_free(der);
    return r;
}

enum err keypair_new(struct crypto *cx, enum keypair_spec spec, struct secret *pkcs8,
                     struct buf *spki)
{
    AUTO(EVP_PKEY_free_p) EVP_PKEY *pkey = generate(&kinds[spec]);
    AUTO(secret_clear) struct secret key = { 0 };

    (void)cx;
    if (!pkey)
        return ossl_fail();
    enum err r = pkcs8_write(pkey, &key);
    if (r == ERR_OK)
        r = spki_write(pkey, spki);
    if (r == ERR_OK)
        *pkcs8 = secret_take(&key);
    return r;
}
