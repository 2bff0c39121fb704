/* A bundle of CA certificates: only what a chain asks for is decoded, and all of that. What is
 * trusted and what is not is in test_tls.c and test_tls_refusals.c too, which go through the same.
 */
#include "crypto/trust.h"

#include "crypto/test_tls_pair.h"

enum { OTHERS = 20, BUNDLE_MAX = 8 << 20, LIMIT = 4096 };

/* A CA named `cn`; with `issuer`, an intermediate one. */
static void authority(const char *cn, const struct ec_pub *pub, const struct x509 *issuer,
                      const struct ec_key *issuer_key, struct buf *pem, struct x509 **out)
{
    const struct x509_request rq = { .subject = { .cn = cn },
                                     .issuer = issuer,
                                     .issuer_key = issuer_key,
                                     .key = pub,
                                     .not_before = time(NULL) - TEST_PKI_HOUR,
                                     .not_after = time(NULL) + TEST_PKI_HOUR,
                                     .is_ca = true,
                                     .path_len = -1,
                                     .key_usage = X509_KU_KEY_CERT_SIGN,
                                     .key_ids = true };

    test_pki_pem(cx, &rq, pem, out);
}

static struct ec_key *a_key;
static struct ec_pub *a_pub;

/* CAs of other names, which nobody asks for. */
static void others(struct buf *bundle)
{
    char name[32];

    for (int i = 0; i < OTHERS; i++) {
        snprintf(name, sizeof name, "Other %d", i);
        authority(name, a_pub, NULL, a_key, bundle, NULL);
    }
}

static void talk(struct span bundle, struct span chain, struct span key, bool trusted, size_t count,
                 size_t decoded)
{
    AUTO(pair_clear) struct pair p = { 0 };

    assert_int_equal(tls_ctx_client(bundle, &p.client_ctx, NULL), ERR_OK);
    assert_int_equal(tls_ctx_server(chain, key, &p.server_ctx, NULL), ERR_OK);
    assert_int_equal(trust_count(p.client_ctx->trust), count);
    assert_int_equal(trust_decoded(p.client_ctx->trust), 0);
    for (int again = 0; again < 2; again++) {
        connect_as(&p, "kms.test");
        handshake(&p);
        if (trusted)
            opened(&p);
        else
            assert_int_equal(p.client_err, ERR_VERIFY);
        assert_int_equal(trust_decoded(p.client_ctx->trust), decoded);
        SSL_SESSION_free(p.client_ctx->session); /* no resumption: the chain is judged again */
        p.client_ctx->session = NULL;
    }
}

static void one_of_many(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf bundle = BUF_INIT(BUNDLE_MAX);

    others(&bundle);
    assert_int_equal(buf_append(&bundle, buf_view(&pki.ca)), ERR_OK);
    others(&bundle);
    talk(buf_view(&bundle), buf_view(&pki.cert), buf_view(&pki.key), true, 2 * OTHERS + 1, 1);
}

static void none_of_many(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf bundle = BUF_INIT(BUNDLE_MAX);

    others(&bundle);
    talk(buf_view(&bundle), buf_view(&pki.cert), buf_view(&pki.key), false, OTHERS, 0);
}

/* Both CAs are called "Test CA"; the right one is found in either order. */
static void same_name(void **state)
{
    (void)state;

    for (int turn = 0; turn < 2; turn++) {
        AUTO(buf_clear) struct buf bundle = BUF_INIT(BUNDLE_MAX);
        assert_int_equal(buf_append(&bundle, buf_view(turn ? &pki.ca : &other_pki.ca)), ERR_OK);
        assert_int_equal(buf_append(&bundle, buf_view(turn ? &other_pki.ca : &pki.ca)), ERR_OK);
        talk(buf_view(&bundle), buf_view(&pki.cert), buf_view(&pki.key), true, 2, 2);
    }
    talk(buf_view(&other_pki.ca), buf_view(&pki.cert), buf_view(&pki.key), false, 1, 1);
}

/* The server sends its own certificate only; the one between is in the bundle, as is the root. */
static void intermediate_in_the_bundle(void **state)
{
    (void)state;
    static const char *const dns[] = { "kms.test", NULL };
    AUTO(buf_clear) struct buf bundle = BUF_INIT(BUNDLE_MAX), leaf = BUF_INIT(TEST_PKI_MAX);
    AUTO(buf_clear) struct buf key_pem = BUF_INIT(TEST_PKI_MAX), root_only = BUF_INIT(TEST_PKI_MAX);
    AUTO(ec_key_freep) struct ec_key *key = NULL;
    AUTO(ec_pub_freep) struct ec_pub *pub = NULL;
    AUTO(x509_freep) struct x509 *root = NULL, *between = NULL;

    assert_int_equal(ec_key_new(cx, &key), ERR_OK);
    assert_int_equal(ec_key_pub(cx, key, &pub), ERR_OK);
    assert_int_equal(ec_key_write_pem(key, &key_pem), ERR_OK);
    others(&bundle);
    authority("Root", a_pub, NULL, a_key, &root_only, &root);
    authority("Between", pub, root, a_key, &bundle, &between);
    assert_int_equal(buf_append(&bundle, buf_view(&root_only)), ERR_OK);
    const struct x509_request rq = { .subject = { .cn = "Leaf" },
                                     .issuer = between,
                                     .issuer_key = key,
                                     .key = pub,
                                     .not_before = time(NULL) - TEST_PKI_HOUR,
                                     .not_after = time(NULL) + TEST_PKI_HOUR,
                                     .key_usage = X509_KU_DIGITAL_SIGNATURE,
                                     .dns_names = dns,
                                     .server_auth = true,
                                     .key_ids = true };
    test_pki_pem(cx, &rq, &leaf, NULL);
    talk(buf_view(&bundle), buf_view(&leaf), buf_view(&key_pem), true, OTHERS + 2, 2);
    talk(buf_view(&root_only), buf_view(&leaf), buf_view(&key_pem), false, 1, 0);
}

/* A certificate whose inside is broken trusts nobody, and breaks nothing else. */
static void broken_inside(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf der = BUF_INIT(X509_MAX_BYTES), bundle = BUF_INIT(BUNDLE_MAX);
    AUTO(buf_clear) struct buf alone = BUF_INIT(TEST_PKI_MAX);

    assert_int_equal(x509_pem_to_der(buf_view(&pki.ca), &der, NULL), ERR_OK);
    der.ptr[der.len - 110] ^= 0x7f; /* about where the signature's header is */
    for (size_t i = der.len - 112; i < der.len - 104; i++)
        der.ptr[i] = 0xff;
    assert_int_equal(x509_der_to_pem(buf_view(&der), &alone), ERR_OK);
    talk(buf_view(&alone), buf_view(&pki.cert), buf_view(&pki.key), false, 1, 1);
    assert_int_equal(buf_append(&bundle, buf_view(&alone)), ERR_OK);
    assert_int_equal(buf_append(&bundle, buf_view(&pki.ca)), ERR_OK);
    talk(buf_view(&bundle), buf_view(&pki.cert), buf_view(&pki.key), true, 2, 2);
}

static void at_most(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf bundle = BUF_INIT(BUNDLE_MAX);
    struct trust *t = NULL;

    for (int i = 0; i < LIMIT; i++)
        assert_int_equal(buf_append(&bundle, buf_view(&pki.ca)), ERR_OK);
    assert_int_equal(trust_new(buf_view(&bundle), &t), ERR_OK);
    assert_int_equal(trust_count(t), LIMIT);
    trust_free(t);
    t = NULL;
    assert_int_equal(buf_append(&bundle, buf_view(&pki.ca)), ERR_OK);
    assert_int_equal(trust_new(buf_view(&bundle), &t), ERR_LIMIT);
    assert_null(t);
    trust_free(NULL);
}

/* A certificate cut anywhere is no certificate of a bundle. */
static void cut_anywhere(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf der = BUF_INIT(X509_MAX_BYTES);

    assert_int_equal(x509_pem_to_der(buf_view(&pki.ca), &der, NULL), ERR_OK);
    for (size_t n = 1; n < der.len; n += n < 32 ? 1 : 7) {
        AUTO(buf_clear) struct buf pem = BUF_INIT(TEST_PKI_MAX);
        struct trust *t = NULL;
        assert_int_equal(x509_der_to_pem(span_of(der.ptr, n), &pem), ERR_OK);
        assert_int_equal(trust_new(buf_view(&pem), &t), ERR_MALFORMED);
        assert_null(t);
    }
}

static int set_up(void **state)
{
    (void)state;
    return ec_key_new(cx, &a_key) == ERR_OK && ec_key_pub(cx, a_key, &a_pub) == ERR_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    ec_pub_freep(&a_pub);
    ec_key_freep(&a_key);
    return 0;
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_of_many),   cmocka_unit_test(none_of_many),
        cmocka_unit_test(same_name),     cmocka_unit_test(intermediate_in_the_bundle),
        cmocka_unit_test(broken_inside), cmocka_unit_test(at_most),
        cmocka_unit_test(cut_anywhere),
    };

    return run_with_pki("trust", tests, sizeof tests / sizeof tests[0], set_up, tear_down);
}
