/* Tested by test_trust.c. */
#include "crypto/trust.h"

#include <stdlib.h>

#include "crypto/der.h"
#include "crypto/pem.h"

enum { CERTIFICATES_MAX = 4096, GROW = 64 };

struct root {
    X509_NAME *subject;
    uint8_t *der; /* OpenSSL's to free */
    long len;
    bool decoded; /* it is in the store, or cannot be decoded */
};

struct trust {
    struct root *roots;
    size_t n, cap;
};

/* The subject's name, its header with it (RFC 5280 section 4.1). */
static struct span subject_of(struct span cert)
{
    struct der d = der_init(cert);
    struct der body = der_init(der_take(&d, DER_SEQUENCE));
    struct der tbs = der_init(der_take(&body, DER_SEQUENCE));

    if (der_peek(&tbs, DER_CONTEXT(0)))
        (void)der_take(&tbs, DER_CONTEXT(0)); /* version */
    (void)der_take(&tbs, DER_INTEGER);        /* serial number */
    (void)der_take(&tbs, DER_SEQUENCE);       /* signature algorithm */
    (void)der_take(&tbs, DER_SEQUENCE);       /* issuer */
    (void)der_take(&tbs, DER_SEQUENCE);       /* validity */
    struct span subject = der_take_whole(&tbs, DER_SEQUENCE);
    return der_end(&d) && !body.bad && !tbs.bad ? subject : SPAN_EMPTY;
}

static bool has_room(struct trust *t)
{
    if (t->n < t->cap)
        return true;
    struct root *more = realloc(t->roots, (t->cap + GROW) * sizeof *more);
    if (!more)
        return false;
    t->roots = more;
    t->cap += GROW;
    return true;
}

/* Takes the bytes over, on success only. */
static enum err root_add(struct trust *t, struct pem_block *b)
{
    struct span subject = subject_of(span_of(b->der, (size_t)b->len));
    const uint8_t *p = subject.ptr;

    if (subject.len == 0)
        return ERR_MALFORMED;
    if (t->n == CERTIFICATES_MAX)
        return ERR_LIMIT;
    if (!has_room(t))
        return ERR_NOMEM;
    AUTO(X509_NAME_free_p) X509_NAME *name = d2i_X509_NAME(NULL, &p, (long)subject.len);
    if (!name || p != subject.ptr + subject.len)
        return ossl_fail() == ERR_NOMEM ? ERR_NOMEM : ERR_MALFORMED;
    t->roots[t->n++] = (struct root){ .subject = name, .der = b->der, .len = b->len };
    name = NULL;
    b->der = NULL;
    return ERR_OK;
}

static enum err read_all(struct trust *t, BIO *bio)
{
    for (;;) {
        AUTO(pem_block_clear) struct pem_block b = { 0 };
        enum err r = pem_next(bio, &b);
        if (r == ERR_OK && !b.label)
            return t->n > 0 ? ERR_OK : ERR_MALFORMED;
        if (r == ERR_OK && strcmp(b.label, "CERTIFICATE") == 0)
            r = root_add(t, &b);
        if (r != ERR_OK)
            return r;
    }
}

enum err trust_new(struct span ca_pem, struct trust **out)
{
    AUTO(BIO_free_all_p) BIO *bio = bio_of_span(ca_pem);
    struct trust *t = bio ? calloc(1, sizeof *t) : NULL;

    if (!bio)
        return ossl_fail();
    enum err r = t ? read_all(t, bio) : ERR_NOMEM;
    if (r != ERR_OK) {
        trust_free(t);
        return r;
    }
    *out = t;
    return ERR_OK;
}

void trust_free(struct trust *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->n; i++) {
        X509_NAME_free(t->roots[i].subject);
        OPENSSL_free(t->roots[i].der);
    }
    free(t->roots);
    free(t);
}

/* Put into the store all that could have issued something by this name, and their own issuers. Each
 * root is decoded at most once, which bounds the depth as well. False: no memory. */
static bool add_named(struct trust *t, X509_STORE *store, const X509_NAME *name)
{
    for (size_t i = 0; i < t->n; i++) {
        struct root *root = &t->roots[i];
        if (root->decoded || X509_NAME_cmp(root->subject, name) != 0)
            continue;
        const uint8_t *p = root->der;
        AUTO(X509_free_p) X509 *cert = d2i_X509(NULL, &p, root->len);
        if (!cert && ossl_fail() == ERR_NOMEM)
            return false; /* and the root stays to be tried again */
        if (cert && X509_STORE_add_cert(store, cert) != 1) {
            ERR_clear_error();
            return false;
        }
        root->decoded = true;
        if (cert && !add_named(t, store, X509_get_issuer_name(cert)))
            return false;
    }
    return true;
}

/* OpenSSL's hook in place of X509_verify_cert(), which it then calls. */
static int verify(X509_STORE_CTX *ctx, void *arg)
{
    const STACK_OF(X509) *sent = X509_STORE_CTX_get0_untrusted(ctx);
    const X509 *leaf = X509_STORE_CTX_get0_cert(ctx);
    X509_STORE *store = X509_STORE_CTX_get0_store(ctx);

    bool ok = leaf && add_named(arg, store, X509_get_issuer_name(leaf));
    for (int i = 0; ok && i < sk_X509_num(sent); i++)
        ok = add_named(arg, store, X509_get_issuer_name(sk_X509_value(sent, i)));
    if (!ok) {
        X509_STORE_CTX_set_error(ctx, X509_V_ERR_OUT_OF_MEM);
        return 0;
    }
    return X509_verify_cert(ctx);
}

void trust_use(struct trust *t, SSL_CTX *ssl)
{
    SSL_CTX_set_cert_verify_callback(ssl, verify, t);
}

size_t trust_count(const struct trust *t)
{
    return t->n;
}

size_t trust_decoded(const struct trust *t)
{
    size_t n = 0;

    for (size_t i = 0; i < t->n; i++)
        n += t->roots[i].decoded;
    return n;
}
