#include "attest/chain.h"

#include "crypto/hash.h"

enum { CHAIN_MAX = ATTEST_CABUNDLE_MAX + 1 };

/* Root first, leaf last: the order of cabundle, with the certificate behind it. */
struct chain {
    struct x509 *cert[CHAIN_MAX];
    size_t n;
};

static void chain_clear(struct chain *c)
{
    for (size_t i = 0; i < c->n; i++)
        x509_free(c->cert[i]);
    *c = (struct chain){ 0 };
}

static const struct x509_facts *facts_at(const struct chain *c, size_t i)
{
    return x509_facts(c->cert[i]);
}

static enum err add(struct crypto *cx, struct span in, struct span der, struct chain *c,
                    struct why *why)
{
    struct why inner = { .what = "certificate" };

    enum err r = x509_parse(cx, der, &c->cert[c->n], &inner);
    if (r != ERR_OK)
        return why_fail(why, r, inner.what, (size_t)(der.ptr - in.ptr) + inner.at);
    c->n++;
    return ERR_OK;
}

static enum err chain_parse(struct crypto *cx, struct span in, const struct attest_doc *doc,
                            struct chain *out, struct why *why)
{
    for (size_t i = 0; i < doc->n_cabundle; i++) {
        enum err r = add(cx, in, doc->cabundle[i], out, why);
        if (r != ERR_OK)
            return r;
    }
    return add(cx, in, doc->certificate, out, why);
}

/* What RFC 5280 section 6.1.4 asks of a certificate that signs others. `below` authorities stand
 * between it and the leaf; none is self-issued (fault_of), so all are counted. */
static const char *authority_fault(const struct x509_facts *f, size_t below)
{
    if (!f->has_basic_constraints || !f->basic_constraints_critical || !f->is_ca)
        return "basic constraints";
    if (f->path_len >= 0 && below > (size_t)f->path_len)
        return "path length";
    if (!f->has_key_usage || !(f->key_usage & X509_KU_KEY_CERT_SIGN))
        return "key usage";
    return NULL;
}

static const char *leaf_fault(const struct x509_facts *f)
{
    if (f->is_ca || f->path_len >= 0)
        return "basic constraints";
    /* Not critical in real leaf certificates. */
    if (!f->has_key_usage || !(f->key_usage & X509_KU_DIGITAL_SIGNATURE))
        return "key usage";
    return NULL;
}

/* Everything about certificate `i` that costs no signature check. */
static const char *fault_of(const struct chain *c, size_t i, int64_t now_s)
{
    const struct x509_facts *f = facts_at(c, i);
    const struct x509_facts *issuer = facts_at(c, i == 0 ? 0 : i - 1);

    if (!f->is_p384)
        return "certificate key";
    if (!f->sig_is_ecdsa_sha384)
        return "chain signature";
    if (f->has_unknown_critical)
        return "critical extension";
    if (!span_eq(f->issuer, issuer->subject))
        return "chain names";
    /* A second root, or a root's new key under its old name: real chains have neither. */
    if (i > 0 && span_eq(f->issuer, f->subject))
        return "chain names";
    if (now_s < f->not_before || now_s > f->not_after)
        return "certificate time";
    return i + 1 == c->n ? leaf_fault(f) : authority_fault(f, c->n - 2 - i);
}

static bool is_seen(const struct attest_seen *seen, const uint8_t digest[static SHA256_BYTES])
{
    unsigned n = seen->n < ATTEST_SEEN_MAX ? seen->n : ATTEST_SEEN_MAX;

    for (unsigned i = 0; i < n; i++)
        if (memcmp(seen->digests[i], digest, SHA256_BYTES) == 0)
            return true;
    return false;
}

/* The issuer's length keeps two pairs apart that are the same bytes joined. */
static enum err signature_verify(struct crypto *cx, const struct x509 *issuer,
                                 const struct x509 *subject, struct attest_seen *seen)
{
    const struct span der = x509_facts(issuer)->der;
    const uint8_t len[] = { (uint8_t)(der.len >> 8), (uint8_t)der.len };
    const struct span parts[] = { SPAN_ARRAY(len), der, x509_facts(subject)->der };
    uint8_t digest[SHA256_BYTES];

    if (!seen)
        return x509_verify(cx, subject, x509_pub(issuer));
    sha256_parts(parts, sizeof parts / sizeof parts[0], digest);
    if (is_seen(seen, digest))
        return ERR_OK;
    enum err r = x509_verify(cx, subject, x509_pub(issuer));
    if (r == ERR_OK)
        memcpy(seen->digests[seen->n++ % ATTEST_SEEN_MAX], digest, SHA256_BYTES);
    return r;
}

/* The root's own signature is not looked at: it was compared byte by byte with the trust anchor. */
static enum err chain_verify(struct crypto *cx, const struct chain *c, int64_t now_s,
                             struct attest_seen *seen, struct why *why)
{
    for (size_t i = 0; i < c->n; i++) {
        const char *fault = fault_of(c, i, now_s);
        if (fault)
            return why_fail(why, ERR_VERIFY, fault, 0);
    }
    for (size_t i = 1; i < c->n; i++) {
        enum err r = signature_verify(cx, c->cert[i - 1], c->cert[i], seen);
        if (r != ERR_OK)
            return why_fail(why, r, "chain signature", 0);
    }
    return ERR_OK;
}

/* A leaf's key may sign in the leaf's own time only, whenever the document is judged. */
static bool time_in_leaf(uint64_t timestamp_ms, const struct x509_facts *leaf)
{
    int64_t s = (int64_t)(timestamp_ms / 1000); /* UINT64_MAX ms fits */

    return s >= leaf->not_before && s <= leaf->not_after;
}

enum err attest_verify(struct crypto *cx, struct span in, struct span root_der, int64_t now_s,
                       struct attest_verified *out, struct why *why)
{
    return attest_verify_seen(cx, in, root_der, now_s, NULL, out, why);
}

void attest_seen_clear(struct attest_seen *seen)
{
    for (unsigned i = 0; i < ATTEST_CHAINS_MAX; i++)
        x509_free(seen->chains[i].leaf);
    *seen = (struct attest_seen){ .n = 0 };
}

/* Lengths keep two chains apart that are the same bytes joined. */
static void chain_digest(const struct attest_doc *doc, uint8_t out[static SHA256_BYTES])
{
    uint8_t lengths[CHAIN_MAX][2];
    struct span parts[2 * CHAIN_MAX];
    size_t n = 0;

    for (size_t i = 0; i <= doc->n_cabundle; i++) {
        struct span der = i < doc->n_cabundle ? doc->cabundle[i] : doc->certificate;
        lengths[i][0] = (uint8_t)(der.len >> 8);
        lengths[i][1] = (uint8_t)der.len;
        parts[n++] = SPAN_ARRAY(lengths[i]);
        parts[n++] = der;
    }
    sha256_parts(parts, n, out);
}

/* The leaf of a chain that held and holds still, with its times; NULL: verify it. */
static const struct x509 *chain_seen(struct attest_seen *seen,
                                     const uint8_t digest[static SHA256_BYTES], int64_t now_s,
                                     struct attest_verified *v)
{
    unsigned n = seen->n_chains < ATTEST_CHAINS_MAX ? seen->n_chains : ATTEST_CHAINS_MAX;

    for (unsigned i = 0; i < n; i++) {
        if (memcmp(seen->chains[i].digest, digest, SHA256_BYTES) != 0)
            continue;
        if (now_s < seen->chains[i].from || now_s > seen->chains[i].to)
            return NULL; /* verified anew, which says what is wrong */
        v->chain_from = seen->chains[i].from;
        v->chain_to = seen->chains[i].to;
        seen->chains_found++;
        return seen->chains[i].leaf;
    }
    return NULL;
}

/* Keep the leaf of a chain that holds; it is the keeper's from then on. */
static void chain_keep(struct attest_seen *seen, const uint8_t digest[static SHA256_BYTES],
                       struct chain *chain, const struct attest_verified *v)
{
    unsigned at = seen->n_chains++ % ATTEST_CHAINS_MAX;

    x509_free(seen->chains[at].leaf);
    memcpy(seen->chains[at].digest, digest, SHA256_BYTES);
    seen->chains[at].leaf = chain->cert[--chain->n];
    seen->chains[at].from = v->chain_from;
    seen->chains[at].to = v->chain_to;
}

static void chain_times(const struct chain *c, struct attest_verified *v)
{
    v->chain_from = INT64_MIN;
    v->chain_to = INT64_MAX;
    for (size_t i = 0; i < c->n; i++) {
        const struct x509_facts *f = facts_at(c, i);
        v->chain_from = f->not_before > v->chain_from ? f->not_before : v->chain_from;
        v->chain_to = f->not_after < v->chain_to ? f->not_after : v->chain_to;
    }
}

/* What the leaf has to say: the document's signature, and the time in which it could make it. */
static enum err leaf_verify(struct crypto *cx, const struct x509 *leaf, struct attest_verified *v,
                            struct why *why)
{
    enum err r = cose_sign1_verify(cx, &v->doc.sign1, x509_pub(leaf), NULL);

    if (r != ERR_OK)
        return why_fail(why, r, "document signature", 0);
    if (!time_in_leaf(v->doc.timestamp_ms, x509_facts(leaf)))
        return why_fail(why, ERR_VERIFY, "document time", 0);
    v->not_before = x509_facts(leaf)->not_before;
    v->not_after = x509_facts(leaf)->not_after;
    return ERR_OK;
}

/* By way of the whole chain. Only a chain whose document held is kept: whoever has no key of a leaf
 * cannot fill the memory with chains of others. */
static enum err verify_all(struct crypto *cx, struct span in, int64_t now_s,
                           struct attest_seen *seen, const uint8_t digest[static SHA256_BYTES],
                           struct attest_verified *v, struct why *why)
{
    AUTO(chain_clear) struct chain chain = { 0 };

    enum err r = chain_parse(cx, in, &v->doc, &chain, why);
    if (r == ERR_OK)
        r = chain_verify(cx, &chain, now_s, seen, why);
    if (r != ERR_OK)
        return r;
    chain_times(&chain, v);
    r = leaf_verify(cx, chain.cert[chain.n - 1], v, why);
    if (r == ERR_OK && seen)
        chain_keep(seen, digest, &chain, v);
    return r;
}

enum err attest_verify_seen(struct crypto *cx, struct span in, struct span root_der, int64_t now_s,
                            struct attest_seen *seen, struct attest_verified *out, struct why *why)
{
    struct attest_verified v = { 0 };
    uint8_t digest[SHA256_BYTES] = { 0 };

    enum err r = attest_doc_parse(in, &v.doc, why);
    if (r != ERR_OK)
        return r;
    if (!span_eq(v.doc.cabundle[0], root_der))
        return why_fail(why, ERR_VERIFY, "root", (size_t)(v.doc.cabundle[0].ptr - in.ptr));
    if (seen)
        chain_digest(&v.doc, digest);
    const struct x509 *leaf = seen ? chain_seen(seen, digest, now_s, &v) : NULL;
    r = leaf ? leaf_verify(cx, leaf, &v, why) : verify_all(cx, in, now_s, seen, digest, &v, why);
    if (r == ERR_OK)
        *out = v;
    return r;
}
