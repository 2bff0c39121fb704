/* Reading. Own cursor over strict DER instead of d2i_X509(), which costs 160 us because it decodes
 * every key at once, and takes BER; OpenSSL is the oracle of fuzz_x509.c. Names alone go through
 * it, for their many string types. */
#include "crypto/x509.h"

#include <stdlib.h>

#include <openssl/pem.h>

#include "base/calendar.h"
#include "crypto/der.h"
#include "crypto/internal.h"
#include "crypto/pem.h"

enum {
    VERSION_3 = 2,
    DER_OCTET_STRING = 0x04,
    DER_OID = 0x06,
    DER_UTC_TIME = 0x17,
    DER_GENERALIZED_TIME = 0x18,
    EXTENSIONS_MAX = 32,
    PATH_LEN_MAX_BYTES = 2,
    KEY_USAGE_BITS = 9,
};

/* Content of an AlgorithmIdentifier: ecdsa-with-SHA384 (RFC 5758 section 3.2: no parameters). */
static const uint8_t alg_ecdsa_sha384[] = { 0x06, 0x08, 0x2a, 0x86, 0x48,
                                            0xce, 0x3d, 0x04, 0x03, 0x03 };
/* The same of a key: id-ecPublicKey on secp384r1 (RFC 5480 section 2.1.1). */
static const uint8_t alg_p384[] = { 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02,
                                    0x01, 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22 };
/* RFC 5280 sections 4.2.1.9, 4.2.1.3 and 4.2.1.2. */
static const uint8_t oid_basic_constraints[] = { 0x55, 0x1d, 0x13 };
static const uint8_t oid_key_usage[] = { 0x55, 0x1d, 0x0f };
static const uint8_t oid_key_id[] = { 0x55, 0x1d, 0x0e };

/* ---- dates (RFC 5280 section 4.1.2.5: always UTC, always with seconds) ---- */

/* Two digits at `at`, or -1. */
static int two(struct span s, size_t at)
{
    uint8_t a = s.ptr[at], b = s.ptr[at + 1];

    return a >= '0' && a <= '9' && b >= '0' && b <= '9' ? (a - '0') * 10 + b - '0' : -1;
}

static bool date_parse(struct der *d, int64_t *out)
{
    bool utc = der_peek(d, DER_UTC_TIME);
    struct span s = der_take(d, utc ? DER_UTC_TIME : DER_GENERALIZED_TIME);

    if (d->bad || s.len != (utc ? 13u : 15u) || s.ptr[s.len - 1] != 'Z')
        return false;
    int century = utc ? 0 : two(s, 0);
    s = utc ? s : span_from(s, 2);
    int y = two(s, 0), m = two(s, 2), day = two(s, 4), h = two(s, 6), min = two(s, 8);
    int sec = two(s, 10);
    if (century < 0 || y < 0 || m < 0 || day < 0 || h < 0 || h > 23 || min < 0 || min > 59 ||
        sec < 0 || sec > 59)
        return false;
    y += utc ? (y < 50 ? 2000 : 1900) : century * 100;
    const struct date date = { (unsigned)y, (unsigned)m, (unsigned)day };
    if (!date_is_real(date))
        return false;
    *out = date_to_days(date) * CALENDAR_DAY_S + (h * 60 + min) * 60 + sec;
    return true;
}

/* ---- extensions ---- */

struct extension {
    struct span oid, value;
    bool critical;
};

/* BOOLEAN DEFAULT FALSE: many write FALSE out, which DER forbids and nobody can misread. */
static bool bool_default_false(struct der *d)
{
    if (!der_peek(d, DER_BOOLEAN))
        return false;
    struct span b = der_take(d, DER_BOOLEAN);
    if (b.len != 1 || (b.ptr[0] != 0 && b.ptr[0] != 0xff))
        d->bad = true;
    return !d->bad && b.ptr[0] == 0xff;
}

static bool basic_constraints(struct x509_facts *f, const struct extension *e)
{
    struct der d = der_init(e->value);
    struct der seq = der_init(der_take(&d, DER_SEQUENCE));

    f->has_basic_constraints = true;
    f->basic_constraints_critical = e->critical;
    f->is_ca = bool_default_false(&seq);
    if (der_peek(&seq, DER_INTEGER)) {
        struct span n = der_take_uint(&seq, PATH_LEN_MAX_BYTES);
        f->path_len = 0;
        for (size_t i = 0; i < n.len; i++)
            f->path_len = f->path_len << 8 | n.ptr[i];
    }
    return der_end(&d) && der_end(&seq);
}

static bool key_usage(struct x509_facts *f, const struct extension *e)
{
    struct der d = der_init(e->value);
    struct span bits = der_take(&d, DER_BIT_STRING); /* number of unused bits, then the bits */

    if (!der_end(&d) || bits.len < 2 || bits.len > 3 || bits.ptr[0] > 7 ||
        bits.ptr[bits.len - 1] & ((1 << bits.ptr[0]) - 1))
        return false;
    f->has_key_usage = true;
    f->key_usage_critical = e->critical;
    size_t n = (bits.len - 1) * 8;
    for (size_t i = 0; i < n && i < KEY_USAGE_BITS; i++)
        if (bits.ptr[1 + i / 8] & 0x80 >> i % 8)
            f->key_usage |= 1u << i;
    return true;
}

/* X.690 section 8.19: base 128, the last byte of a part without bit 8, no part begins with 0x80. */
static bool oid_is_well_formed(struct span oid)
{
    bool start = true;

    for (size_t i = 0; i < oid.len; i++) {
        if (start && oid.ptr[i] == 0x80)
            return false;
        start = oid.ptr[i] < 0x80;
    }
    return oid.len > 0 && start;
}

static bool extension_take(struct der *list, struct extension *out)
{
    struct der d = der_init(der_take(list, DER_SEQUENCE));

    out->oid = der_take(&d, DER_OID);
    out->critical = bool_default_false(&d);
    out->value = der_take(&d, DER_OCTET_STRING);
    return !list->bad && der_end(&d) && oid_is_well_formed(out->oid);
}

static enum err extension_note(struct x509 *x, const struct extension *e, struct why *why)
{
    struct x509_facts *f = &x->facts;

    if (span_eq(e->oid, SPAN_ARRAY(oid_basic_constraints)))
        return basic_constraints(f, e) ? ERR_OK
                                       : why_fail(why, ERR_MALFORMED, "basicConstraints", 0);
    if (span_eq(e->oid, SPAN_ARRAY(oid_key_usage)))
        return key_usage(f, e) ? ERR_OK : why_fail(why, ERR_MALFORMED, "keyUsage", 0);
    if (span_eq(e->oid, SPAN_ARRAY(oid_key_id))) {
        struct der d = der_init(e->value);
        struct span id = der_take(&d, DER_OCTET_STRING);
        if (!der_end(&d))
            return why_fail(why, ERR_MALFORMED, "subjectKeyIdentifier", 0);
        x->key_id = id;
    }
    f->has_unknown_critical = f->has_unknown_critical || e->critical;
    return ERR_OK;
}

/* The rest of the TBSCertificate: nothing, or [3] extensions. The unique identifiers before them
 * may not be used by a CA that conforms (section 4.1.2.8), so they are faults. */
static enum err extensions(struct x509 *x, struct der *tbs, struct why *why)
{
    struct span seen[EXTENSIONS_MAX];
    size_t n = 0;

    if (der_end(tbs))
        return ERR_OK;
    struct der explicit = der_init(der_take(tbs, DER_CONTEXT(3)));
    struct der list = der_init(der_take(&explicit, DER_SEQUENCE));
    if (!der_end(tbs) || !der_end(&explicit) || list.rest.len == 0)
        return why_fail(why, ERR_MALFORMED, "extensions", 0);
    while (list.rest.len > 0) {
        struct extension e = { 0 };
        if (n == EXTENSIONS_MAX || !extension_take(&list, &e))
            return why_fail(why, ERR_MALFORMED, "extensions", 0);
        for (size_t i = 0; i < n; i++)
            if (span_eq(seen[i], e.oid))
                return why_fail(why, ERR_MALFORMED, "duplicate extension", 0);
        seen[n++] = e.oid;
        enum err r = extension_note(x, &e, why);
        if (r != ERR_OK)
            return r;
    }
    return ERR_OK;
}

/* ---- names and keys ---- */

static X509_NAME *name_decode(struct span der)
{
    const uint8_t *p = der.ptr;
    X509_NAME *name = d2i_X509_NAME(NULL, &p, (long)der.len);

    if (name && p == der.ptr + der.len)
        return name;
    X509_NAME_free(name);
    return NULL;
}

static bool common_name(struct x509 *x, const X509_NAME *name)
{
    int at = -1, last = -1;
    unsigned char *text = NULL;

    while ((at = X509_NAME_get_index_by_NID(name, NID_commonName, at)) >= 0)
        last = at;
    if (last < 0)
        return true;
    int n = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, last)));
    bool ok = n >= 0 && n <= X509_CN_MAX_BYTES && !memchr(text, 0, (size_t)n) &&
              span_is_utf8(span_of(text, (size_t)n));
    if (ok && n > 0) {
        memcpy(x->common_name, text, (size_t)n);
        x->facts.common_name = span_of(x->common_name, (size_t)n);
    }
    OPENSSL_free(text);
    return ok;
}

static enum err names(struct x509 *x, struct why *why)
{
    AUTO(X509_NAME_free_p) X509_NAME *issuer = name_decode(x->facts.issuer);
    AUTO(X509_NAME_free_p) X509_NAME *subject = name_decode(x->facts.subject);
    enum err r = ERR_OK;

    if (!issuer)
        r = why_fail(why, ERR_MALFORMED, "issuer", 0);
    else if (!subject)
        r = why_fail(why, ERR_MALFORMED, "subject", 0);
    else if (!common_name(x, subject))
        r = why_fail(why, ERR_MALFORMED, "common name", 0);
    ERR_clear_error();
    return r;
}

/* Keys of other algorithms are only bits here. */
static enum err public_key(struct crypto *cx, struct x509 *x, struct span spki, struct why *why)
{
    struct der d = der_init(spki);
    struct span alg = der_take(&d, DER_SEQUENCE);
    struct span bits = der_take_bits(&d);

    if (!der_end(&d))
        return why_fail(why, ERR_MALFORMED, "public key", 0);
    if (!span_eq(alg, SPAN_ARRAY(alg_p384)) || bits.len != P384_POINT_BYTES || bits.ptr[0] != 0x04)
        return ERR_OK;
    enum err r = ec_pub_parse(cx, bits, &x->pub, why);
    x->facts.is_p384 = r == ERR_OK;
    return r;
}

/* ---- the whole ---- */

static enum err tbs_parse(struct crypto *cx, struct x509 *x, struct span tbs, struct span alg,
                          struct why *why)
{
    struct der d = der_init(tbs);
    struct x509_facts *f = &x->facts;

    struct der version = der_init(der_take(&d, DER_CONTEXT(0)));
    struct span v = der_take_uint(&version, 1);
    if (!der_end(&version) || v.len != 1 || v.ptr[0] != VERSION_3)
        return why_fail(why, ERR_MALFORMED, "version", 0);
    der_take_uint(&d, X509_SERIAL_MAX_BYTES);
    if (d.bad)
        return why_fail(why, ERR_MALFORMED, "serial number", 0);
    struct span inner_alg = der_take(&d, DER_SEQUENCE);
    if (d.bad || !span_eq(inner_alg, alg)) /* section 4.1.1.2: they must be the same */
        return why_fail(why, ERR_MALFORMED, "signature algorithm", 0);
    f->sig_is_ecdsa_sha384 = span_eq(alg, SPAN_ARRAY(alg_ecdsa_sha384));
    f->issuer = der_take_whole(&d, DER_SEQUENCE);
    struct der validity = der_init(der_take(&d, DER_SEQUENCE));
    if (d.bad || !date_parse(&validity, &f->not_before) || !date_parse(&validity, &f->not_after) ||
        !der_end(&validity))
        return why_fail(why, ERR_MALFORMED, "validity", 0);
    f->subject = der_take_whole(&d, DER_SEQUENCE);
    struct span spki = der_take(&d, DER_SEQUENCE);
    if (d.bad)
        return why_fail(why, ERR_MALFORMED, "public key", 0);

    enum err r = extensions(x, &d, why);
    if (r == ERR_OK)
        r = names(x, why);
    return r == ERR_OK ? public_key(cx, x, spki, why) : r;
}

enum err x509_parse(struct crypto *cx, struct span der, struct x509 **out, struct why *why)
{
    if (der.len > X509_MAX_BYTES)
        return why_fail(why, ERR_LIMIT, "certificate size", 0);
    AUTO(x509_freep) struct x509 *x = calloc(1, sizeof *x + der.len);
    if (!x)
        return why_fail(why, ERR_NOMEM, "certificate", 0);
    if (der.len)
        memcpy(x->der, der.ptr, der.len);
    x->facts.der = span_of(x->der, der.len);
    x->facts.path_len = -1;

    struct der d = der_init(x->facts.der);
    struct der cert = der_init(der_take(&d, DER_SEQUENCE));
    x->tbs = der_take_whole(&cert, DER_SEQUENCE);
    struct span alg = der_take(&cert, DER_SEQUENCE);
    x->sig = der_take_bits(&cert);
    if (!der_end(&d) || !der_end(&cert))
        return why_fail(why, ERR_MALFORMED, "certificate", 0);
    struct der tbs = der_init(x->tbs);
    enum err r = tbs_parse(cx, x, der_take(&tbs, DER_SEQUENCE), alg, why);
    if (r != ERR_OK)
        return r;
    *out = x;
    x = NULL;
    return ERR_OK;
}

void x509_free(struct x509 *cert)
{
    if (!cert)
        return;
    ec_pub_free(cert->pub);
    free(cert);
}

void x509_freep(struct x509 **cert)
{
    x509_free(*cert);
    *cert = NULL;
}

const struct x509_facts *x509_facts(const struct x509 *cert)
{
    return &cert->facts;
}

const struct ec_pub *x509_pub(const struct x509 *cert)
{
    return cert->pub;
}

enum err x509_verify(struct crypto *cx, const struct x509 *cert, const struct ec_pub *issuer_key)
{
    if (!cert->facts.sig_is_ecdsa_sha384)
        return ERR_VERIFY;
    return ec_verify_p384_der(cx, issuer_key, cert->tbs, cert->sig);
}

/* ---- PEM ---- */

enum err x509_pem_to_der(struct span pem, struct buf *der, struct why *why)
{
    AUTO(BIO_free_all_p) BIO *bio = bio_of_span(pem);

    if (!bio)
        return why_fail(why, ossl_fail(), "PEM", 0);
    for (;;) {
        AUTO(pem_block_clear) struct pem_block b = { 0 };
        enum err r = pem_next(bio, &b);
        if (r != ERR_OK || !b.label)
            return why_fail(why, r == ERR_OK ? ERR_MALFORMED : r, "PEM certificate", 0);
        if (strcmp(b.label, "CERTIFICATE") != 0)
            continue;
        r = buf_append(der, span_of(b.der, (size_t)b.len));
        return r == ERR_OK ? r : why_fail(why, r, "PEM certificate", 0);
    }
}

enum err x509_der_to_pem(struct span der, struct buf *pem)
{
    AUTO(BIO_free_all_p) BIO *bio = BIO_new(BIO_s_mem());
    char *text = NULL;

    if (der.len > X509_MAX_BYTES)
        return ERR_LIMIT;
    if (!bio || PEM_write_bio(bio, "CERTIFICATE", "", der.ptr, (long)der.len) <= 0)
        return ossl_fail();
    long n = BIO_get_mem_data(bio, &text);
    return buf_append(pem, span_of(text, (size_t)n));
}
