/* x509.h - certificates: the facts of one (RFC 5280), its signature, and making new ones.
 *
 * x509_parse() says what a certificate states; whether to believe it is the question of
 * attest/chain.h. Not looked at anywhere: revocation, name constraints, certificate policies,
 * extended key usage.
 */
#ifndef CRYPTO_X509_H
#define CRYPTO_X509_H

#include "base/buf.h"
#include "crypto/ec.h"

enum {
    X509_KU_DIGITAL_SIGNATURE = 1 << 0,
    X509_KU_NON_REPUDIATION = 1 << 1,
    X509_KU_KEY_CERT_SIGN = 1 << 5,
    X509_KU_CRL_SIGN = 1 << 6,
    X509_CN_MAX_BYTES = 128,
    X509_SERIAL_MAX_BYTES = 20,
    X509_MAX_BYTES = 8192,
};

struct x509; /* one parsed certificate; owns its bytes */

struct x509_facts {
    struct span der;               /* the whole certificate */
    struct span subject, issuer;   /* DER Names, to be compared as bytes */
    struct span common_name;       /* last CN of the subject, UTF-8; empty if there is none */
    int64_t not_before, not_after; /* unix seconds, both inclusive */
    bool is_ca, has_basic_constraints, basic_constraints_critical;
    int path_len; /* -1: none given */
    bool has_key_usage, key_usage_critical;
    unsigned key_usage;        /* X509_KU_* */
    bool has_unknown_critical; /* a critical extension besides the two above */
    bool is_p384;              /* id-ecPublicKey on secp384r1, uncompressed point */
    bool sig_is_ecdsa_sha384;  /* both signature algorithm fields say so */
};

/* One DER certificate of version 3, nothing after it. ERR_MALFORMED (why says which part), also for
 * an extension that comes twice and a P-384 key whose point is not on the curve; ERR_LIMIT past
 * X509_MAX_BYTES. */
MUST_USE enum err x509_parse(struct crypto *cx, struct span der, struct x509 **out,
                             struct why *why);
void x509_free(struct x509 *cert);
void x509_freep(struct x509 **cert);
/* Lives as long as the certificate. */
const struct x509_facts *x509_facts(const struct x509 *cert);
/* The P-384 key, borrowed; NULL if is_p384 is false. */
const struct ec_pub *x509_pub(const struct x509 *cert);
/* Was `cert` signed with `issuer_key` (ecdsa-with-SHA384)? ERR_VERIFY if not. Names and dates are
 * not looked at. */
MUST_USE enum err x509_verify(struct crypto *cx, const struct x509 *cert,
                              const struct ec_pub *issuer_key);

/* PEM, first CERTIFICATE block. ERR_MALFORMED. Appends. */
MUST_USE enum err x509_pem_to_der(struct span pem, struct buf *der, struct why *why);
MUST_USE enum err x509_der_to_pem(struct span der, struct buf *pem);

/* Making one: for the local PKI of softnsm and localkms. Name attributes that are NULL are left
 * out. */
struct x509_name {
    const char *c, *st, *l, *o, *ou, *cn;
};
struct x509_request {
    struct x509_name subject;
    const struct x509 *issuer; /* NULL: self-signed */
    const struct ec_key *issuer_key;
    const struct ec_pub *key;      /* the subject's */
    int64_t not_before, not_after; /* unix seconds */
    struct span serial;            /* 1..20 bytes, positive; empty: 16 random bytes */
    bool is_ca;
    int path_len;       /* -1: none */
    unsigned key_usage; /* X509_KU_*; 0: extension left out */
    bool key_usage_critical;
    const char *const *dns_names; /* subjectAltName, NULL-terminated, or NULL */
    const char *const *ip_names;  /* textual addresses, likewise */
    bool server_auth;             /* extendedKeyUsage serverAuth */
    bool key_ids; /* subjectKeyIdentifier and, if not self-signed, authorityKeyIdentifier */
};
/* Append the DER of a certificate signed with ecdsa-with-SHA384. ERR_INTERNAL: a request whose
 * result would not verify; ERR_CRYPTO, also for a name or address that is not one; ERR_LIMIT,
 * ERR_NOMEM. basicConstraints is always there and critical. */
MUST_USE enum err x509_write(struct crypto *cx, const struct x509_request *rq, struct buf *der);

#endif
