/* internal.h - what the files of this folder share and nobody else sees: the contexts behind
 * `struct crypto`, cleaners for OpenSSL's objects, and its errors as ours. */
#ifndef CRYPTO_INTERNAL_H
#define CRYPTO_INTERNAL_H

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "base/buf.h"
#include "crypto/crypto.h"
#include "crypto/x509.h"

struct ahead {
    uint8_t bytes[480];
    size_t left; /* of the end of `bytes` */
};

struct crypto {
    EVP_MD *sha256, *sha384; /* for signatures; hash.c has its own */
    EVP_CIPHER *gcm, *cbc;
    EVP_CIPHER_CTX *gcm_ctx, *cbc_ctx;
    EVP_MAC *hmac;
    struct ahead ahead; /* rng_public() */
};

struct ec_key {
    EVP_PKEY *pkey;
};

struct ec_pub {
    EVP_PKEY *pkey;
    uint8_t point[P384_POINT_BYTES];
};

struct x509 {
    struct x509_facts facts;
    struct span tbs, sig; /* what was signed, and the ECDSA-Sig-Value */
    struct span key_id;   /* content of subjectKeyIdentifier; empty if there is none */
    struct ec_pub *pub;
    char common_name[X509_CN_MAX_BYTES];
    uint8_t der[];
};

/* OpenSSL's last failure as ours, and its queue emptied, so that it cannot colour a later one. */
MUST_USE static inline enum err ossl_fail(void)
{
    bool nomem = ERR_GET_REASON(ERR_peek_error()) == ERR_R_MALLOC_FAILURE;

    ERR_clear_error();
    return nomem ? ERR_NOMEM : ERR_CRYPTO;
}

/* The same where nothing but memory can have been missing: OpenSSL 3.0's providers do not say so
 * when they get none for a context. */
MUST_USE static inline enum err ossl_no_room(void)
{
    ERR_clear_error();
    return ERR_NOMEM;
}

/* Keys in their interchange forms, in keypair.c: DER PrivateKeyInfo (RFC 5208), with nothing after
 * it, and DER SubjectPublicKeyInfo, appended. read: ERR_MALFORMED, ERR_NOMEM. */
MUST_USE enum err pkcs8_read(struct span der, EVP_PKEY **out);
MUST_USE enum err pkcs8_write(const EVP_PKEY *pkey, struct secret *out);
MUST_USE enum err spki_write(const EVP_PKEY *pkey, struct buf *out);

/* A public key from a point (SEC 1 section 2.3.3, compressed or not) of a curve that OpenSSL knows
 * by this name, in ec.c. ERR_MALFORMED: not a point of it. ERR_NOMEM, ERR_CRYPTO. */
MUST_USE enum err ec_point_read(const char *curve, struct span point, EVP_PKEY **out);

/* A memory BIO that reads `s`; NULL if it does not fit OpenSSL's int or there is no memory. */
static inline BIO *bio_of_span(struct span s)
{
    return s.len <= INT_MAX ? BIO_new_mem_buf(s.len ? (const void *)s.ptr : "", (int)s.len) : NULL;
}

/* Cleaners for AUTO(): each takes the address of the pointer. */
#define OSSL_CLEANER(type, fn)                                                                     \
    static inline void fn##_p(type **p)                                                            \
    {                                                                                              \
        fn(*p);                                                                                    \
    }
OSSL_CLEANER(BIO, BIO_free_all)
OSSL_CLEANER(BIGNUM, BN_clear_free)
OSSL_CLEANER(EVP_PKEY, EVP_PKEY_free)
OSSL_CLEANER(EVP_PKEY_CTX, EVP_PKEY_CTX_free)
OSSL_CLEANER(X509, X509_free)
OSSL_CLEANER(X509_NAME, X509_NAME_free)
OSSL_CLEANER(ASN1_BIT_STRING, ASN1_BIT_STRING_free)
OSSL_CLEANER(ASN1_INTEGER, ASN1_INTEGER_free)
OSSL_CLEANER(ASN1_OCTET_STRING, ASN1_OCTET_STRING_free)
OSSL_CLEANER(ASN1_TIME, ASN1_TIME_free)
OSSL_CLEANER(AUTHORITY_KEYID, AUTHORITY_KEYID_free)
OSSL_CLEANER(BASIC_CONSTRAINTS, BASIC_CONSTRAINTS_free)
OSSL_CLEANER(EXTENDED_KEY_USAGE, EXTENDED_KEY_USAGE_free)
OSSL_CLEANER(GENERAL_NAME, GENERAL_NAME_free)
OSSL_CLEANER(GENERAL_NAMES, GENERAL_NAMES_free)

#endif
