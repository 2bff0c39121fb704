/* x509_oracle.h - for test_x509.c and fuzz_x509.c: what OpenSSL reads from the same bytes.
 *
 * Returns NULL when it agrees, or what it reads differently. A certificate that could be trusted
 * (P-384, ecdsa-with-SHA384) has to be one for OpenSSL too; of others we do not look at every
 * part. */
#ifndef CRYPTO_X509_ORACLE_H
#define CRYPTO_X509_ORACLE_H

#include "crypto/internal.h"

static inline bool oracle_same_name(X509_NAME *name, struct span der)
{
    unsigned char *bytes = NULL;
    int n = i2d_X509_NAME(name, &bytes);
    bool same = n > 0 && span_eq(span_of(bytes, (size_t)n), der);

    OPENSSL_free(bytes);
    return same;
}

static inline bool oracle_same_time(const ASN1_TIME *t, int64_t want)
{
    AUTO(ASN1_TIME_free_p) ASN1_TIME *epoch = ASN1_TIME_set(NULL, 0);
    int days = 0, seconds = 0;

    return ASN1_TIME_diff(&days, &seconds, epoch, t) == 1 &&
           (int64_t)days * 86400 + seconds == want;
}

static inline bool oracle_same_constraints(X509 *x, const struct x509_facts *f)
{
    int critical = 0;
    AUTO(BASIC_CONSTRAINTS_free_p)
    BASIC_CONSTRAINTS *bc = X509_get_ext_d2i(x, NID_basic_constraints, &critical, NULL);

    if (!bc)
        return !f->has_basic_constraints && !f->is_ca;
    long n = bc->pathlen ? ASN1_INTEGER_get(bc->pathlen) : -1;
    return f->has_basic_constraints && (critical == 1) == f->basic_constraints_critical &&
           (bc->ca != 0) == f->is_ca && n == f->path_len;
}

static inline bool oracle_same_usage(X509 *x, const struct x509_facts *f)
{
    int critical = 0;
    unsigned bits = 0;
    AUTO(ASN1_BIT_STRING_free_p)
    ASN1_BIT_STRING *ku = X509_get_ext_d2i(x, NID_key_usage, &critical, NULL);

    for (int i = 0; ku && i < 9; i++)
        bits |= ASN1_BIT_STRING_get_bit(ku, i) ? 1u << i : 0;
    return (ku != NULL) == f->has_key_usage && bits == f->key_usage &&
           (ku && critical == 1) == f->key_usage_critical;
}

static inline bool oracle_unknown_critical(X509 *x)
{
    for (int i = 0; i < X509_get_ext_count(x); i++) {
        X509_EXTENSION *e = X509_get_ext(x, i);
        int nid = OBJ_obj2nid(X509_EXTENSION_get_object(e));
        if (X509_EXTENSION_get_critical(e) && nid != NID_basic_constraints && nid != NID_key_usage)
            return true;
    }
    return false;
}

static inline const char *x509_oracle(const struct x509 *cert)
{
    const struct x509_facts *f = x509_facts(cert);
    const uint8_t *p = f->der.ptr;
    AUTO(X509_free_p) X509 *x = d2i_X509(NULL, &p, (long)f->der.len);

    if (!x || p != f->der.ptr + f->der.len) {
        ERR_clear_error();
        return f->is_p384 && f->sig_is_ecdsa_sha384 ? "not a certificate" : NULL;
    }
    if (X509_get_version(x) != 2)
        return "version";
    if (!oracle_same_name(X509_get_subject_name(x), f->subject) ||
        !oracle_same_name(X509_get_issuer_name(x), f->issuer))
        return "name";
    if (!oracle_same_time(X509_get0_notBefore(x), f->not_before) ||
        !oracle_same_time(X509_get0_notAfter(x), f->not_after))
        return "validity";
    if (!oracle_same_constraints(x, f))
        return "basicConstraints";
    if (!oracle_same_usage(x, f))
        return "keyUsage";
    if (oracle_unknown_critical(x) != f->has_unknown_critical)
        return "critical extensions";
    if ((X509_get_signature_nid(x) == NID_ecdsa_with_SHA384) < f->sig_is_ecdsa_sha384)
        return "signature algorithm";
    ERR_clear_error();
    return NULL;
}

#endif
