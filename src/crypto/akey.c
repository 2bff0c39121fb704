#include "crypto/akey.h"

#include <stdlib.h>

#include <openssl/core_names.h>
#include <openssl/rsa.h>

#include "crypto/internal.h"

enum { GROUP_NAME_MAX = 32, OAEP_MIN_OVERHEAD = 2 };

struct akey {
    EVP_PKEY *pkey;
    enum keypair_spec spec;
};

OSSL_CLEANER(EVP_MD_CTX, EVP_MD_CTX_free)

static const struct alg {
    const char *hash; /* NULL: the algorithm's own */
    size_t digest_bytes;
    int padding; /* RSA */
} algs[AKEY_SIGN_ALGS] = {
    [AKEY_PSS_SHA256] = { "SHA256", 32, RSA_PKCS1_PSS_PADDING },
    [AKEY_PSS_SHA384] = { "SHA384", 48, RSA_PKCS1_PSS_PADDING },
    [AKEY_PSS_SHA512] = { "SHA512", 64, RSA_PKCS1_PSS_PADDING },
    [AKEY_PKCS1_SHA256] = { "SHA256", 32, RSA_PKCS1_PADDING },
    [AKEY_PKCS1_SHA384] = { "SHA384", 48, RSA_PKCS1_PADDING },
    [AKEY_PKCS1_SHA512] = { "SHA512", 64, RSA_PKCS1_PADDING },
    [AKEY_ECDSA_SHA256] = { "SHA256", 32, 0 },
    [AKEY_ECDSA_SHA384] = { "SHA384", 48, 0 },
    [AKEY_ECDSA_SHA512] = { "SHA512", 64, 0 },
    [AKEY_ED25519] = { NULL, 0, 0 },
};

static bool is_rsa(enum keypair_spec spec)
{
    return spec == KEYPAIR_RSA_2048 || spec == KEYPAIR_RSA_3072 || spec == KEYPAIR_RSA_4096;
}

static bool rsa_spec(const EVP_PKEY *pkey, enum keypair_spec *out)
{
    static const enum keypair_spec specs[] = { KEYPAIR_RSA_2048, KEYPAIR_RSA_3072,
                                               KEYPAIR_RSA_4096 };
    int bits = EVP_PKEY_get_bits(pkey);

    if (bits != 2048 && bits != 3072 && bits != 4096)
        return false;
    *out = specs[bits / 1024 - 2];
    return true;
}

static bool ec_spec(const EVP_PKEY *pkey, enum keypair_spec *out)
{
    static const struct {
        const char *group;
        enum keypair_spec spec;
    } groups[] = {
        { "prime256v1", KEYPAIR_ECC_NIST_P256 },
        { "secp384r1", KEYPAIR_ECC_NIST_P384 },
        { "secp521r1", KEYPAIR_ECC_NIST_P521 },
        { "secp256k1", KEYPAIR_ECC_SECG_P256K1 },
    };
    char name[GROUP_NAME_MAX] = "", encoding[GROUP_NAME_MAX] = "";

    if (EVP_PKEY_get_group_name(pkey, name, sizeof name, NULL) != 1 ||
        EVP_PKEY_get_utf8_string_param(pkey, OSSL_PKEY_PARAM_EC_ENCODING, encoding, sizeof encoding,
                                       NULL) != 1 ||
        strcmp(encoding, OSSL_PKEY_EC_ENCODING_GROUP) != 0)
        return false;
    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++)
        if (strcmp(name, groups[i].group) == 0) {
            *out = groups[i].spec;
            return true;
        }
    return false;
}

static bool spec_of(const EVP_PKEY *pkey, enum keypair_spec *out)
{
    if (EVP_PKEY_is_a(pkey, "RSA"))
        return rsa_spec(pkey, out);
    if (EVP_PKEY_is_a(pkey, "EC"))
        return ec_spec(pkey, out);
    *out = KEYPAIR_ECC_NIST_EDWARDS25519;
    return EVP_PKEY_is_a(pkey, "ED25519");
}

enum err akey_parse(struct crypto *cx, struct span pkcs8, struct akey **out, struct why *why)
{
    enum keypair_spec spec = KEYPAIR_SPECS;
    EVP_PKEY *pkey = NULL;

    (void)cx;
    enum err r = pkcs8_read(pkcs8, &pkey);
    if (r != ERR_OK)
        return why_fail(why, r, "private key", 0);
    bool known = spec_of(pkey, &spec);
    ERR_clear_error();
    struct akey *key = known ? calloc(1, sizeof *key) : NULL;
    if (!key) {
        EVP_PKEY_free(pkey);
        return why_fail(why, known ? ERR_NOMEM : ERR_UNSUPPORTED, "kind of key", 0);
    }
    *key = (struct akey){ .pkey = pkey, .spec = spec };
    *out = key;
    return ERR_OK;
}

void akey_free(struct akey *key)
{
    if (!key)
        return;
    EVP_PKEY_free(key->pkey);
    free(key);
}

void akey_freep(struct akey **key)
{
    akey_free(*key);
    *key = NULL;
}

enum keypair_spec akey_spec(const struct akey *key)
{
    return key->spec;
}

enum err akey_public(const struct akey *key, struct buf *spki)
{
    return spki_write(key->pkey, spki);
}

enum err akey_private(const struct akey *key, struct secret *out)
{
    return pkcs8_write(key->pkey, out);
}

size_t akey_digest_bytes(enum akey_sign_alg alg)
{
    return algs[alg].digest_bytes;
}

bool akey_alg_fits(enum keypair_spec spec, enum akey_sign_alg alg)
{
    switch (spec) {
    case KEYPAIR_RSA_2048:
    case KEYPAIR_RSA_3072:
    case KEYPAIR_RSA_4096:
        return algs[alg].padding != 0;
    case KEYPAIR_ECC_NIST_P256:
    case KEYPAIR_ECC_SECG_P256K1:
        return alg == AKEY_ECDSA_SHA256;
    case KEYPAIR_ECC_NIST_P384:
        return alg == AKEY_ECDSA_SHA384;
    case KEYPAIR_ECC_NIST_P521:
        return alg == AKEY_ECDSA_SHA512;
    case KEYPAIR_ECC_NIST_EDWARDS25519:
        return alg == AKEY_ED25519;
    case KEYPAIR_SM2:
    case KEYPAIR_SPECS:
        break;
    }
    return false;
}

static bool set_padding(EVP_PKEY_CTX *ctx, const struct alg *a)
{
    if (a->padding == 0)
        return true;
    return EVP_PKEY_CTX_set_rsa_padding(ctx, a->padding) == 1 &&
           (a->padding != RSA_PKCS1_PSS_PADDING ||
            EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) == 1);
}

static enum err check(const struct akey *key, enum akey_sign_alg alg, struct span msg,
                      bool prehashed)
{
    if (!akey_alg_fits(key->spec, alg))
        return ERR_UNSUPPORTED;
    return !prehashed || (algs[alg].digest_bytes && msg.len == algs[alg].digest_bytes)
               ? ERR_OK
               : ERR_MALFORMED;
}

/* A digest goes to the key's own operation, which is told the hash for its padding. */
static EVP_PKEY_CTX *digest_ctx(const struct akey *key, const struct alg *a,
                                int (*init)(EVP_PKEY_CTX *ctx))
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key->pkey, NULL);

    if (ctx && init(ctx) == 1 && set_padding(ctx, a) &&
        EVP_PKEY_CTX_set_signature_md(ctx, EVP_get_digestbyname(a->hash)) == 1)
        return ctx;
    EVP_PKEY_CTX_free(ctx);
    return NULL;
}

enum err akey_sign(struct crypto *cx, const struct akey *key, enum akey_sign_alg alg,
                   struct span msg, bool prehashed, struct buf *out)
{
    const struct alg *a = &algs[alg];
    size_t len = AKEY_SIGNATURE_MAX_BYTES;
    uint8_t *sig = NULL;
    EVP_PKEY_CTX *inner = NULL;

    (void)cx;
    enum err r = check(key, alg, msg, prehashed);
    if (r == ERR_OK)
        r = buf_reserve(out, len, &sig);
    if (r != ERR_OK)
        return r;
    if (prehashed) {
        AUTO(EVP_PKEY_CTX_free_p) EVP_PKEY_CTX *ctx = digest_ctx(key, a, EVP_PKEY_sign_init);
        if (!ctx || EVP_PKEY_sign(ctx, sig, &len, msg.ptr, msg.len) != 1)
            return ossl_fail();
        buf_commit(out, len);
        return ERR_OK;
    }
    AUTO(EVP_MD_CTX_free_p) EVP_MD_CTX *md = EVP_MD_CTX_new();
    const uint8_t *in = msg.len ? msg.ptr : (const uint8_t *)"";
    if (!md || EVP_DigestSignInit_ex(md, &inner, a->hash, NULL, NULL, key->pkey, NULL) != 1 ||
        !set_padding(inner, a) || EVP_DigestSign(md, sig, &len, in, msg.len) != 1)
        return ossl_fail();
    buf_commit(out, len);
    return ERR_OK;
}

/* OpenSSL says 0 for a signature that is wrong and may say less for one that is none. */
static enum err verdict(int ok)
{
    if (ok == 1)
        return ERR_OK;
    return ossl_fail() == ERR_NOMEM ? ERR_NOMEM : ERR_VERIFY;
}

enum err akey_verify(struct crypto *cx, const struct akey *key, enum akey_sign_alg alg,
                     struct span msg, bool prehashed, struct span sig)
{
    const struct alg *a = &algs[alg];
    EVP_PKEY_CTX *inner = NULL;

    (void)cx;
    enum err r = check(key, alg, msg, prehashed);
    if (r != ERR_OK)
        return r;
    if (prehashed) {
        AUTO(EVP_PKEY_CTX_free_p) EVP_PKEY_CTX *ctx = digest_ctx(key, a, EVP_PKEY_verify_init);
        return ctx ? verdict(EVP_PKEY_verify(ctx, sig.ptr, sig.len, msg.ptr, msg.len))
                   : ossl_fail();
    }
    AUTO(EVP_MD_CTX_free_p) EVP_MD_CTX *md = EVP_MD_CTX_new();
    const uint8_t *in = msg.len ? msg.ptr : (const uint8_t *)"";
    if (!md || EVP_DigestVerifyInit_ex(md, &inner, a->hash, NULL, NULL, key->pkey, NULL) != 1 ||
        !set_padding(inner, a))
        return ossl_fail();
    return verdict(EVP_DigestVerify(md, sig.ptr, sig.len, in, msg.len));
}

/* ---- RSAES-OAEP ---- */

static const char *oaep_hash(enum akey_oaep_hash hash)
{
    return hash == AKEY_OAEP_SHA1 ? "SHA1" : "SHA256";
}

size_t akey_oaep_max_bytes(const struct akey *key, enum akey_oaep_hash hash)
{
    size_t digest = hash == AKEY_OAEP_SHA1 ? 20 : 32;

    return is_rsa(key->spec) ? (size_t)EVP_PKEY_get_size(key->pkey) - 2 * digest - OAEP_MIN_OVERHEAD
                             : 0;
}

static EVP_PKEY_CTX *oaep_ctx(const struct akey *key, enum akey_oaep_hash hash,
                              int (*init)(EVP_PKEY_CTX *ctx))
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key->pkey, NULL);

    if (ctx && init(ctx) == 1 && EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) == 1 &&
        EVP_PKEY_CTX_set_rsa_oaep_md_name(ctx, oaep_hash(hash), NULL) == 1 &&
        EVP_PKEY_CTX_set_rsa_mgf1_md_name(ctx, oaep_hash(hash), NULL) == 1)
        return ctx;
    EVP_PKEY_CTX_free(ctx);
    return NULL;
}

enum err akey_oaep_seal(struct crypto *cx, const struct akey *key, enum akey_oaep_hash hash,
                        struct span plain, struct buf *out)
{
    size_t len = AKEY_OAEP_MAX_BYTES;
    uint8_t *ct = NULL;

    (void)cx;
    if (!is_rsa(key->spec))
        return ERR_UNSUPPORTED;
    if (plain.len > akey_oaep_max_bytes(key, hash))
        return ERR_LIMIT;
    enum err r = buf_reserve(out, len, &ct);
    if (r != ERR_OK)
        return r;
    AUTO(EVP_PKEY_CTX_free_p) EVP_PKEY_CTX *ctx = oaep_ctx(key, hash, EVP_PKEY_encrypt_init);
    const uint8_t *in = plain.len ? plain.ptr : (const uint8_t *)"";
    if (!ctx || EVP_PKEY_encrypt(ctx, ct, &len, in, plain.len) != 1)
        return ossl_fail();
    buf_commit(out, len);
    return ERR_OK;
}

enum err akey_oaep_open(struct crypto *cx, const struct akey *key, enum akey_oaep_hash hash,
                        struct span ct, struct secret *out)
{
    AUTO(secret_clear) struct secret plain = { 0 };
    size_t len = AKEY_OAEP_MAX_BYTES;

    (void)cx;
    if (!is_rsa(key->spec))
        return ERR_UNSUPPORTED;
    /* RFC 8017 section 7.1.2: a ciphertext is as long as the modulus. OpenSSL takes one whose first
     * byte, if it was zero, is missing. */
    if (ct.len != (size_t)EVP_PKEY_get_size(key->pkey))
        return ERR_VERIFY;
    enum err r = secret_new(len, &plain);
    if (r != ERR_OK)
        return r;
    AUTO(EVP_PKEY_CTX_free_p) EVP_PKEY_CTX *ctx = oaep_ctx(key, hash, EVP_PKEY_decrypt_init);
    if (!ctx)
        return ossl_fail();
    int ok = EVP_PKEY_decrypt(ctx, plain.ptr, &len, ct.ptr, ct.len);
    ERR_clear_error();
    if (ok != 1)
        return ERR_VERIFY;
    secret_shorten(&plain, len);
    *out = secret_take(&plain);
    return ERR_OK;
}
