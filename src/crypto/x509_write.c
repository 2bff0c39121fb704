/* Making certificates, through OpenSSL's own types: these are ours and few. */
#include "crypto/hash.h"
#include "crypto/internal.h"
#include "crypto/x509.h"

enum {
    VERSION_3 = 2,
    SERIAL_RANDOM_BYTES = 16,
    KEY_ID_BYTES = 20, /* RFC 7093 section 2 method 1: leftmost 160 bits of SHA-256 */
    KEY_USAGE_BITS = 9,
};

static bool same_key(const struct ec_pub *a, const struct ec_pub *b)
{
    return span_eq(SPAN_ARRAY(a->point), SPAN_ARRAY(b->point));
}

/* Would the certificate verify? The key that signs has to be the issuer's. */
static enum err request_check(struct crypto *cx, const struct x509_request *rq)
{
    AUTO(ec_pub_freep) struct ec_pub *signer = NULL;

    if (!rq->key || !rq->issuer_key || rq->serial.len > X509_SERIAL_MAX_BYTES ||
        rq->not_before > rq->not_after || rq->path_len < -1 || rq->key_usage >> KEY_USAGE_BITS)
        return ERR_INTERNAL;
    if (rq->issuer && !rq->issuer->pub)
        return ERR_INTERNAL;
    enum err r = ec_key_pub(cx, rq->issuer_key, &signer);
    if (r != ERR_OK)
        return r;
    return same_key(signer, rq->issuer ? rq->issuer->pub : rq->key) ? ERR_OK : ERR_INTERNAL;
}

/* RFC 5280 section 4.1.2.2: positive, at most 20 octets with the sign bit. */
static enum err set_serial(struct crypto *cx, const struct x509_request *rq, X509 *x)
{
    uint8_t random[SERIAL_RANDOM_BYTES];
    struct span n = rq->serial;

    if (n.len == 0) {
        enum err r = rng_bytes(cx, random, sizeof random);
        if (r != ERR_OK)
            return r;
        random[0] = (random[0] & 0x7f) | 0x40;
        n = SPAN_ARRAY(random);
    }
    if (n.ptr[0] >= 0x80)
        return ERR_INTERNAL;
    AUTO(BN_clear_free_p) BIGNUM *bn = BN_bin2bn(n.ptr, (int)n.len, NULL);
    if (!bn)
        return ossl_fail();
    if (BN_is_zero(bn))
        return ERR_INTERNAL;
    AUTO(ASN1_INTEGER_free_p) ASN1_INTEGER *serial = BN_to_ASN1_INTEGER(bn, NULL);
    return serial && X509_set_serialNumber(x, serial) == 1 ? ERR_OK : ossl_fail();
}

static bool set_validity(const struct x509_request *rq, X509 *x)
{
    AUTO(ASN1_TIME_free_p) ASN1_TIME *from = ASN1_TIME_set(NULL, rq->not_before);
    AUTO(ASN1_TIME_free_p) ASN1_TIME *to = ASN1_TIME_set(NULL, rq->not_after);

    return from && to && X509_set1_notBefore(x, from) == 1 && X509_set1_notAfter(x, to) == 1;
}

static bool set_names(const struct x509_request *rq, X509 *x)
{
    const struct x509_name *n = &rq->subject;
    const struct {
        int nid;
        const char *text;
    } parts[] = {
        { NID_countryName, n->c },
        { NID_stateOrProvinceName, n->st },
        { NID_localityName, n->l },
        { NID_organizationName, n->o },
        { NID_organizationalUnitName, n->ou },
        { NID_commonName, n->cn },
    };
    AUTO(X509_NAME_free_p) X509_NAME *subject = X509_NAME_new();

    if (!subject)
        return false;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        const unsigned char *text = (const unsigned char *)parts[i].text;
        if (text &&
            X509_NAME_add_entry_by_NID(subject, parts[i].nid, MBSTRING_UTF8, text, -1, -1, 0) != 1)
            return false;
    }
    if (X509_set_subject_name(x, subject) != 1)
        return false;
    if (!rq->issuer)
        return X509_set_issuer_name(x, subject) == 1;
    const uint8_t *p = rq->issuer->facts.subject.ptr;
    AUTO(X509_NAME_free_p)
    X509_NAME *issuer = d2i_X509_NAME(NULL, &p, (long)rq->issuer->facts.subject.len);
    return issuer && X509_set_issuer_name(x, issuer) == 1;
}

static bool add(X509 *x, int nid, void *value, bool critical)
{
    return value && X509_add1_ext_i2d(x, nid, value, critical, X509V3_ADD_DEFAULT) == 1;
}

static bool add_constraints(const struct x509_request *rq, X509 *x)
{
    AUTO(BASIC_CONSTRAINTS_free_p) BASIC_CONSTRAINTS *bc = BASIC_CONSTRAINTS_new();

    if (!bc)
        return false;
    bc->ca = rq->is_ca ? 0xff : 0;
    if (rq->path_len >= 0) {
        bc->pathlen = ASN1_INTEGER_new();
        if (!bc->pathlen || ASN1_INTEGER_set(bc->pathlen, rq->path_len) != 1)
            return false;
    }
    return add(x, NID_basic_constraints, bc, true);
}

static bool add_key_usage(const struct x509_request *rq, X509 *x)
{
    if (rq->key_usage == 0)
        return true;
    AUTO(ASN1_BIT_STRING_free_p) ASN1_BIT_STRING *bits = ASN1_BIT_STRING_new();
    for (int i = 0; bits && i < KEY_USAGE_BITS; i++)
        if (rq->key_usage & 1u << i && ASN1_BIT_STRING_set_bit(bits, i, 1) != 1)
            return false;
    return add(x, NID_key_usage, bits, rq->key_usage_critical);
}

static bool add_server_auth(const struct x509_request *rq, X509 *x)
{
    if (!rq->server_auth)
        return true;
    AUTO(EXTENDED_KEY_USAGE_free_p) EXTENDED_KEY_USAGE *eku = sk_ASN1_OBJECT_new_null();
    if (!eku || sk_ASN1_OBJECT_push(eku, OBJ_nid2obj(NID_server_auth)) != 1)
        return false;
    return add(x, NID_ext_key_usage, eku, false);
}

static bool push_alt_name(GENERAL_NAMES *all, int type, const char *text)
{
    AUTO(GENERAL_NAME_free_p) GENERAL_NAME *gn = GENERAL_NAME_new();
    ASN1_STRING *value = NULL;

    if (!gn)
        return false;
    if (type == GEN_IPADD) {
        value = a2i_IPADDRESS(text);
    } else {
        value = ASN1_IA5STRING_new();
        if (value && ASN1_STRING_set(value, text, -1) != 1) {
            ASN1_STRING_free(value);
            return false;
        }
    }
    if (!value)
        return false;
    GENERAL_NAME_set0_value(gn, type, value);
    if (sk_GENERAL_NAME_push(all, gn) <= 0)
        return false;
    gn = NULL;
    return true;
}

static bool add_alt_names(const struct x509_request *rq, X509 *x)
{
    AUTO(GENERAL_NAMES_free_p) GENERAL_NAMES *all = GENERAL_NAMES_new();

    if (!all)
        return false;
    for (size_t i = 0; rq->dns_names && rq->dns_names[i]; i++)
        if (!push_alt_name(all, GEN_DNS, rq->dns_names[i]))
            return false;
    for (size_t i = 0; rq->ip_names && rq->ip_names[i]; i++)
        if (!push_alt_name(all, GEN_IPADD, rq->ip_names[i]))
            return false;
    return sk_GENERAL_NAME_num(all) == 0 || add(x, NID_subject_alt_name, all, false);
}

static bool key_id_new(const struct ec_pub *pub, ASN1_OCTET_STRING **out)
{
    uint8_t md[SHA256_BYTES];

    sha256(SPAN_ARRAY(pub->point), md);
    *out = ASN1_OCTET_STRING_new();
    return *out && ASN1_OCTET_STRING_set(*out, md, KEY_ID_BYTES) == 1;
}

static bool add_key_ids(const struct x509_request *rq, X509 *x)
{
    AUTO(ASN1_OCTET_STRING_free_p) ASN1_OCTET_STRING *own = NULL;

    if (!rq->key_ids)
        return true;
    if (!key_id_new(rq->key, &own) || !add(x, NID_subject_key_identifier, own, false))
        return false;
    if (!rq->issuer)
        return true;
    AUTO(AUTHORITY_KEYID_free_p) AUTHORITY_KEYID *akid = AUTHORITY_KEYID_new();
    if (!akid)
        return false;
    struct span id = rq->issuer->key_id; /* as the issuer states it, where it does */
    if (id.len > 0) {
        akid->keyid = ASN1_OCTET_STRING_new();
        if (!akid->keyid || ASN1_OCTET_STRING_set(akid->keyid, id.ptr, (int)id.len) != 1)
            return false;
    } else if (!key_id_new(rq->issuer->pub, &akid->keyid)) {
        return false;
    }
    return add(x, NID_authority_key_identifier, akid, false);
}

enum err x509_write(struct crypto *cx, const struct x509_request *rq, struct buf *der)
{
    unsigned char *bytes = NULL;

    enum err r = request_check(cx, rq);
    if (r != ERR_OK)
        return r;
    AUTO(X509_free_p) X509 *x = X509_new();
    if (!x || X509_set_version(x, VERSION_3) != 1)
        return ossl_fail();
    r = set_serial(cx, rq, x);
    if (r != ERR_OK)
        return r;
    if (!set_validity(rq, x) || !set_names(rq, x) || X509_set_pubkey(x, rq->key->pkey) != 1)
        return ossl_fail();
    if (!add_constraints(rq, x) || !add_key_usage(rq, x) || !add_server_auth(rq, x) ||
        !add_alt_names(rq, x) || !add_key_ids(rq, x))
        return ossl_fail();
    if (X509_sign(x, rq->issuer_key->pkey, cx->sha384) <= 0)
        return ossl_fail();
    int n = i2d_X509(x, &bytes);
    if (n <= 0)
        return ossl_fail();
    r = buf_append(der, span_of(bytes, (size_t)n));
    OPENSSL_free(bytes);
    return r;
}
