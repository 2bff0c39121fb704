#include "softnsm/pki.h"

#include <stdlib.h>

#include "base/hex.h"

enum {
    HOUR_S = 3600,
    DAY_S = 24 * HOUR_S,
    BACKDATE_S = 3,
    ROOT_DAYS = 10958, /* thirty years */
    RENEW_SHARE = 8,   /* renewed when an eighth of the lifetime is left */
    ID_BYTES = 8,
    ENCLAVE_ID_DIGITS = 16,
    SERIAL_BYTES = 16,
    CN_MAX_BYTES = 256, /* x509_write() refuses more than 64 */
};

#define SUFFIX ".local.nitro-enclaves"

struct link {
    struct ec_key *key;
    struct x509 *cert;
};

struct softnsm_pki {
    struct link link[SOFTNSM_LEVELS];
    unsigned generation;
};

/* attestation-document reference, section 3. The instance's certificate may sign certificates
 * only, and the leaf's key usage is not critical. */
static const struct shape {
    int64_t lifetime_s;
    const char *st, *l;
    unsigned key_usage;
    int path_len;
} shapes[SOFTNSM_LEVELS] = {
    [SOFTNSM_ROOT] = { (int64_t)ROOT_DAYS * DAY_S + HOUR_S, NULL, NULL,
                       X509_KU_DIGITAL_SIGNATURE | X509_KU_KEY_CERT_SIGN | X509_KU_CRL_SIGN, -1 },
    [SOFTNSM_REGIONAL] = { 20 * DAY_S + HOUR_S, NULL, NULL,
                           X509_KU_DIGITAL_SIGNATURE | X509_KU_KEY_CERT_SIGN | X509_KU_CRL_SIGN,
                           2 },
    [SOFTNSM_ZONAL] = { 5 * DAY_S + 18 * HOUR_S, "WA", "Seattle",
                        X509_KU_DIGITAL_SIGNATURE | X509_KU_KEY_CERT_SIGN | X509_KU_CRL_SIGN, 1 },
    [SOFTNSM_INSTANCE] = { DAY_S, "Washington", "Seattle", X509_KU_KEY_CERT_SIGN, 0 },
    [SOFTNSM_LEAF] = { SOFTNSM_LEAF_S + BACKDATE_S, "Washington", "Seattle",
                       X509_KU_DIGITAL_SIGNATURE | X509_KU_NON_REPUDIATION, -1 },
};

static void link_clear(struct link *l)
{
    ec_key_free(l->key);
    x509_free(l->cert);
    *l = (struct link){ 0 };
}

void softnsm_pki_free(struct softnsm_pki *p)
{
    if (!p)
        return;
    for (unsigned i = 0; i < SOFTNSM_LEVELS; i++)
        link_clear(&p->link[i]);
    free(p);
}

void softnsm_pki_freep(struct softnsm_pki **p)
{
    softnsm_pki_free(*p);
}

/* What follows the random number, if there is one, in the common name of `level`. */
static enum err name_end(enum softnsm_level level, const struct softnsm_identity *id,
                         struct buf *out)
{
    struct span parts[4] = { SPAN_EMPTY };

    switch (level) {
    case SOFTNSM_ROOT:
        return buf_append_str(out, &SUFFIX[1]);
    case SOFTNSM_REGIONAL:
        parts[0] = SPAN_LIT(".");
        break;
    case SOFTNSM_ZONAL:
        parts[0] = SPAN_LIT(".zonal.");
        break;
    case SOFTNSM_INSTANCE:
        parts[0] = id->instance_id;
        parts[1] = SPAN_LIT(".");
        break;
    case SOFTNSM_LEAF:
    case SOFTNSM_LEVELS:
        parts[0] = id->module_id;
        parts[1] = SPAN_LIT(".");
        break;
    }
    parts[2] = id->region;
    parts[3] = level == SOFTNSM_LEAF ? SPAN_LIT(".local") : SPAN_LIT(SUFFIX);
    enum err r = ERR_OK;
    for (size_t i = 0; i < 4 && r == ERR_OK; i++)
        r = buf_append(out, parts[i]);
    return r;
}

static bool has_number(enum softnsm_level level)
{
    return level == SOFTNSM_REGIONAL || level == SOFTNSM_ZONAL;
}

static enum err name_make(struct crypto *cx, enum softnsm_level level,
                          const struct softnsm_identity *id, struct buf *out)
{
    uint8_t number[ID_BYTES];

    if (has_number(level)) {
        enum err r = rng_bytes(cx, number, sizeof(number));
        if (r == ERR_OK)
            r = hex_append(out, SPAN_ARRAY(number));
        if (r != ERR_OK)
            return r;
    }
    return name_end(level, id, out);
}

static bool name_fits(const struct softnsm_pki *p, enum softnsm_level level,
                      const struct softnsm_identity *id)
{
    AUTO(buf_clear) struct buf want = BUF_INIT(CN_MAX_BYTES);
    struct span cn = x509_facts(p->link[level].cert)->common_name;

    if (name_end(level, id, &want) != ERR_OK)
        return false;
    return span_eq(has_number(level) ? span_from(cn, (size_t)ID_BYTES * 2) : cn, buf_view(&want));
}

/* As in real leaf certificates: the enclave's part of the module id, four zero bytes, the time of
 * issue. Empty (so a random one) if the module id does not end in sixteen digits of a positive
 * number. */
static struct span leaf_serial(struct span module_id, int64_t now_s, struct buf *out)
{
    struct span digits = module_id.len < ENCLAVE_ID_DIGITS
                             ? SPAN_EMPTY
                             : span_from(module_id, module_id.len - ENCLAVE_ID_DIGITS);
    uint8_t tail[SERIAL_BYTES - ID_BYTES] = { 0 };

    for (unsigned i = 0; i < 4; i++)
        tail[4 + i] = (uint8_t)((uint64_t)now_s >> (24 - 8 * i));
    if (digits.len == 0 || hex_parse(digits, out) != ERR_OK || out->ptr[0] == 0 ||
        out->ptr[0] >= 0x80 || buf_append(out, SPAN_ARRAY(tail)) != ERR_OK)
        return SPAN_EMPTY;
    return buf_view(out);
}

static enum err certify(struct crypto *cx, const struct softnsm_pki *p, enum softnsm_level level,
                        const struct softnsm_identity *id, const struct ec_key *key, int64_t now_s,
                        struct x509 **out)
{
    AUTO(buf_clear) struct buf cn = BUF_INIT(CN_MAX_BYTES);
    AUTO(buf_clear) struct buf serial = BUF_INIT(SERIAL_BYTES);
    AUTO(buf_clear) struct buf der = BUF_INIT(SOFTNSM_CERT_MAX_BYTES);
    AUTO(ec_pub_freep) struct ec_pub *pub = NULL;
    const struct link *issuer = level == SOFTNSM_ROOT ? NULL : &p->link[level - 1];
    const struct shape *shape = &shapes[level];
    bool is_leaf = level == SOFTNSM_LEAF;

    enum err r = name_make(cx, level, id, &cn);
    if (r == ERR_OK)
        r = ec_key_pub(cx, key, &pub);
    if (r != ERR_OK)
        return r;
    int64_t from_s = now_s - BACKDATE_S;
    if (is_leaf && id->expired_leaf)
        from_s -= 2 * shape->lifetime_s;
    const char *text = buf_cstr(&cn);
    if (!text)
        return ERR_NOMEM;
    const struct x509_request rq = {
        .subject = { .c = "US",
                     .st = shape->st,
                     .l = shape->l,
                     .o = "Nitroseal",
                     .ou = "Local test only",
                     .cn = text },
        .issuer = issuer ? issuer->cert : NULL,
        .issuer_key = issuer ? issuer->key : key,
        .key = pub,
        .not_before = from_s,
        .not_after = from_s + shape->lifetime_s,
        .serial = is_leaf ? leaf_serial(id->module_id, now_s, &serial) : SPAN_EMPTY,
        .is_ca = !is_leaf,
        .path_len = shape->path_len,
        .key_usage = shape->key_usage,
        .key_usage_critical = !is_leaf,
        .key_ids = !is_leaf,
    };
    r = x509_write(cx, &rq, &der);
    if (r == ERR_LIMIT)
        return ERR_INTERNAL;
    return r == ERR_OK ? x509_parse(cx, buf_view(&der), out, NULL) : r;
}

/* Replaces the link; those below it do not fit any more and go. */
static enum err issue(struct crypto *cx, struct softnsm_pki *p, enum softnsm_level level,
                      const struct softnsm_identity *id, int64_t now_s)
{
    AUTO(ec_key_freep) struct ec_key *key = NULL;
    struct x509 *cert = NULL;

    enum err r = ec_key_new(cx, &key);
    if (r == ERR_OK)
        r = certify(cx, p, level, id, key, now_s, &cert);
    if (r != ERR_OK)
        return r;
    for (unsigned i = level; i < SOFTNSM_LEVELS; i++)
        link_clear(&p->link[i]);
    p->link[level] = (struct link){ .key = key, .cert = cert };
    key = NULL;
    p->generation += level != SOFTNSM_LEAF;
    return ERR_OK;
}

static bool in_time(const struct x509_facts *f, int64_t now_s)
{
    return now_s >= f->not_before && now_s <= f->not_after;
}

/* Renewing early keeps a leaf's issuer valid as long as the leaf: an eighth of a day is three
 * hours. */
static bool is_good(const struct softnsm_pki *p, enum softnsm_level level,
                    const struct softnsm_identity *id, int64_t now_s)
{
    if (!p->link[level].cert)
        return false;
    const struct x509_facts *f = x509_facts(p->link[level].cert);
    if (!name_fits(p, level, id))
        return false;
    if (level == SOFTNSM_LEAF && id->expired_leaf)
        return true;
    return in_time(f, now_s) && now_s < f->not_after - (f->not_after - f->not_before) / RENEW_SHARE;
}

enum err softnsm_pki_renew(struct crypto *cx, struct softnsm_pki *p,
                           const struct softnsm_identity *id, int64_t now_s, struct why *why)
{
    if (!in_time(x509_facts(p->link[SOFTNSM_ROOT].cert), now_s))
        return why_fail(why, ERR_VERIFY, "the local root is not valid now", 0);
    for (unsigned level = SOFTNSM_REGIONAL; level < SOFTNSM_LEVELS; level++) {
        if (is_good(p, (enum softnsm_level)level, id, now_s))
            continue;
        enum err r = issue(cx, p, (enum softnsm_level)level, id, now_s);
        if (r != ERR_OK)
            return why_fail(why, r, "cannot make a certificate", 0);
    }
    return ERR_OK;
}

enum err softnsm_pki_new(struct crypto *cx, int64_t now_s, struct softnsm_pki **out)
{
    const struct softnsm_identity nobody = { 0 };
    AUTO(softnsm_pki_freep) struct softnsm_pki *p = calloc(1, sizeof(*p));

    if (!p)
        return ERR_NOMEM;
    enum err r = issue(cx, p, SOFTNSM_ROOT, &nobody, now_s);
    if (r != ERR_OK)
        return r;
    *out = p;
    p = NULL;
    return ERR_OK;
}

unsigned softnsm_pki_generation(const struct softnsm_pki *p)
{
    return p->generation;
}

struct span softnsm_pki_der(const struct softnsm_pki *p, enum softnsm_level level)
{
    const struct x509 *cert = p->link[level].cert;

    return cert ? x509_facts(cert)->der : SPAN_EMPTY;
}

const struct ec_key *softnsm_pki_leaf_key(const struct softnsm_pki *p)
{
    return p->link[SOFTNSM_LEAF].key;
}

/* ---- kept as PEM: for each authority its key, then its certificate ---- */

static const char end_of_cert[] = "-----END CERTIFICATE-----";

enum err softnsm_pki_write(const struct softnsm_pki *p, struct buf *pem)
{
    size_t before = pem->len;
    enum err r = ERR_OK;

    for (unsigned i = 0; i < SOFTNSM_LEAF && p->link[i].cert && r == ERR_OK; i++) {
        r = ec_key_write_pem(p->link[i].key, pem);
        if (r == ERR_OK)
            r = x509_der_to_pem(x509_facts(p->link[i].cert)->der, pem);
    }
    if (r != ERR_OK)
        buf_truncate(pem, before);
    return r;
}

/* The key signs something that the certificate's key verifies. */
static enum err check_key(struct crypto *cx, const struct link *l)
{
    uint8_t sig[ES384_SIG_BYTES];

    if (!x509_facts(l->cert)->is_p384)
        return ERR_UNSUPPORTED;
    enum err r = ec_sign_es384(cx, l->key, SPAN_LIT("mine"), sig);
    return r == ERR_OK ? ec_verify_es384(cx, x509_pub(l->cert), SPAN_LIT("mine"), SPAN_ARRAY(sig))
                       : r;
}

static enum err link_parse(struct crypto *cx, struct span pem, const struct link *issuer,
                           struct link *out, struct why *why)
{
    AUTO(buf_clear) struct buf der = BUF_INIT(SOFTNSM_CERT_MAX_BYTES);
    AUTO(link_clear) struct link l = { 0 };

    enum err r = ec_key_parse_pem(cx, pem, &l.key, why);
    if (r == ERR_OK)
        r = x509_pem_to_der(pem, &der, why);
    if (r == ERR_OK)
        r = x509_parse(cx, buf_view(&der), &l.cert, why);
    if (r != ERR_OK)
        return r;
    r = check_key(cx, &l);
    if (r != ERR_OK)
        return why_fail(why, r, "a key does not belong to its certificate", 0);
    const struct x509 *above = issuer ? issuer->cert : l.cert;
    if (!span_eq(x509_facts(l.cert)->issuer, x509_facts(above)->subject) ||
        x509_verify(cx, l.cert, x509_pub(above)) != ERR_OK)
        return why_fail(why, ERR_VERIFY, "a certificate is not its issuer's", 0);
    *out = l;
    l = (struct link){ 0 };
    return ERR_OK;
}

enum err softnsm_pki_parse(struct crypto *cx, struct span pem, struct softnsm_pki **out,
                           struct why *why)
{
    AUTO(softnsm_pki_freep) struct softnsm_pki *p = calloc(1, sizeof(*p));
    unsigned n = 0;

    if (!p)
        return why_fail(why, ERR_NOMEM, "out of memory", 0);
    if (pem.len > SOFTNSM_PKI_MAX_BYTES)
        return why_fail(why, ERR_LIMIT, "state is too long", 0);
    for (; n < SOFTNSM_LEAF && pem.len > 0; n++) {
        const uint8_t *end = memmem(pem.ptr, pem.len, end_of_cert, sizeof(end_of_cert) - 1);
        size_t len = end ? (size_t)(end - pem.ptr) + sizeof(end_of_cert) - 1 : pem.len;
        len += len < pem.len && pem.ptr[len] == '\n';
        enum err r =
            link_parse(cx, span_sub(pem, 0, len), n ? &p->link[n - 1] : NULL, &p->link[n], why);
        if (r != ERR_OK)
            return r;
        pem = span_from(pem, len);
    }
    if (n == 0 || pem.len > 0)
        return why_fail(why, ERR_MALFORMED, n ? "state has more than it should" : "state is empty",
                        0);
    *out = p;
    p = NULL;
    return ERR_OK;
}
