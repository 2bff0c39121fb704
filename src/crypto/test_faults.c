/* Every allocation of every operation fails once, ours and OpenSSL's (whose go through crypto.c).
 * Whatever the operation then says, it must not crash, leak, touch its output on failure, or take
 * for good what is not. Linked with --wrap=malloc,calloc. */
#include <stdlib.h>

#include "crypto/aead.h"
#include "crypto/esig.h"
#include "crypto/gcm.h"
#include "crypto/hash.h"
#include "crypto/hkdf.h"
#include "crypto/rsa.h"
#include "crypto/rsa_gen.h"
#include "crypto/test_keys.h"
#include "crypto/test_tls_pair.h"
#include "testing/failing_malloc.h"

static struct rsa_key *rsa;
static struct rsa_pub *rsa_pub_half;
static BIGNUM *primes[2];
static struct buf rsa_ct;
static struct ec_key *ec;
static struct ec_pub *ec_pub_half;
static uint8_t sig[ES384_SIG_BYTES];
static struct buf cert_der;
static struct x509 *cert;
static struct tls_ctx *client_ctx, *server_ctx;

/* Each returns what the operation said, after checking that a failure left nothing behind. */

static enum err new_crypto(void)
{
    AUTO(crypto_freep) struct crypto *made = NULL;
    enum err r = crypto_new(&made);

    assert_int_equal(r == ERR_OK, made != NULL);
    return r;
}

static enum err open_rsa(void)
{
    AUTO(secret_clear) struct secret out = { 0 };
    enum err r = rsa_oaep_open(cx, rsa, buf_view(&rsa_ct), &out);

    assert_int_equal(r == ERR_OK, out.ptr != NULL);
    assert_true(r == ERR_OK || r == ERR_NOMEM); /* not the ciphertext's fault */
    if (r == ERR_OK)
        t_assert_span(secret_view(&out), SPAN_LIT("data key"));
    return r;
}

static enum err seal_rsa(void)
{
    AUTO(buf_clear) struct buf ct = BUF_INIT(1024);
    enum err r = rsa_oaep_seal(cx, rsa_pub_half, SPAN_LIT("data key"), &ct);

    assert_int_equal(ct.len, r == ERR_OK ? 256 : 0);
    return r;
}

/* A key whose own size could not be asked for must not be tried out with that size. */
static enum err assemble_rsa(void)
{
    AUTO(EVP_PKEY_free_p) EVP_PKEY *pkey = NULL;
    enum err r = rsa_assemble(2048, primes[0], primes[1], &pkey, NULL);

    assert_int_equal(r == ERR_OK, pkey != NULL);
    if (r == ERR_OK)
        assert_int_equal(EVP_PKEY_get_size(pkey), 256);
    return r;
}

static enum err parse_rsa_pem(void)
{
    AUTO(rsa_key_freep) struct rsa_key *k = NULL;
    enum err r = rsa_key_parse_pem(cx, span_str(rsa_pkcs8_pem), &k, NULL);

    assert_int_equal(r == ERR_OK, k != NULL);
    return r;
}

static enum err parse_rsa_pub(void)
{
    AUTO(rsa_pub_freep) struct rsa_pub *p = NULL;
    enum err r = rsa_pub_parse(cx, rsa_key_spki(rsa), &p, NULL);

    assert_int_equal(r == ERR_OK, p != NULL);
    return r;
}

static enum err new_ec(void)
{
    AUTO(ec_key_freep) struct ec_key *k = NULL;
    AUTO(ec_pub_freep) struct ec_pub *p = NULL;
    enum err r = ec_key_new(cx, &k);

    assert_int_equal(r == ERR_OK, k != NULL);
    if (r == ERR_OK)
        r = ec_key_pub(cx, k, &p);
    assert_int_equal(r == ERR_OK, p != NULL);
    return r;
}

static enum err ec_pem(void)
{
    AUTO(buf_clear) struct buf pem = BUF_INIT(1024);
    AUTO(ec_key_freep) struct ec_key *k = NULL;
    enum err r = ec_key_write_pem(ec, &pem);

    assert_int_equal(r == ERR_OK, pem.len > 0);
    if (r == ERR_OK)
        r = ec_key_parse_pem(cx, buf_view(&pem), &k, NULL);
    assert_int_equal(r == ERR_OK, k != NULL);
    return r;
}

static enum err sign(void)
{
    uint8_t made[ES384_SIG_BYTES] = { 0 };
    enum err r = ec_sign_es384(cx, ec, SPAN_LIT("m"), made);

    if (r != ERR_OK)
        for (size_t i = 0; i < sizeof made; i++)
            assert_int_equal(made[i], 0);
    return r;
}

static enum err verify(void)
{
    /* The point of it all: a lack of memory never makes a wrong signature right. */
    assert_int_not_equal(ec_verify_es384(cx, ec_pub_half, SPAN_LIT("other"), SPAN_ARRAY(sig)),
                         ERR_OK);
    return ec_verify_es384(cx, ec_pub_half, SPAN_LIT("m"), SPAN_ARRAY(sig));
}

static enum err write_cert(void)
{
    static const char *const dns[] = { "kms.test", NULL };
    static const char *const ip[] = { "::1", NULL };
    AUTO(buf_clear) struct buf der = BUF_INIT(X509_MAX_BYTES);
    struct x509_request rq = { .subject = { .c = "US", .cn = "Test" },
                               .issuer = cert,
                               .issuer_key = ec,
                               .key = ec_pub_half,
                               .not_after = 1,
                               .path_len = 1,
                               .is_ca = true,
                               .key_usage = X509_KU_KEY_CERT_SIGN,
                               .dns_names = dns,
                               .ip_names = ip,
                               .server_auth = true,
                               .key_ids = true };
    enum err r = x509_write(cx, &rq, &der);

    assert_int_equal(r == ERR_OK, der.len > 0);
    return r;
}

static enum err parse_cert(void)
{
    AUTO(x509_freep) struct x509 *c = NULL;
    enum err r = x509_parse(cx, buf_view(&cert_der), &c, NULL);

    assert_int_equal(r == ERR_OK, c != NULL);
    return r;
}

static enum err cert_pem(void)
{
    AUTO(buf_clear) struct buf pem = BUF_INIT(16384), der = BUF_INIT(X509_MAX_BYTES);
    enum err r = x509_der_to_pem(buf_view(&cert_der), &pem);

    if (r == ERR_OK)
        r = x509_pem_to_der(buf_view(&pem), &der, NULL);
    assert_int_equal(r == ERR_OK, der.len > 0);
    return r;
}

static enum err new_client(void)
{
    AUTO(tls_ctx_freep) struct tls_ctx *ctx = NULL;
    enum err r = tls_ctx_client(buf_view(&pki.ca), &ctx, NULL);

    assert_int_equal(r == ERR_OK, ctx != NULL);
    return r;
}

static enum err new_server(void)
{
    AUTO(tls_ctx_freep) struct tls_ctx *ctx = NULL;
    enum err r = tls_ctx_server(buf_view(&pki.cert), buf_view(&pki.key), &ctx, NULL);

    assert_int_equal(r == ERR_OK, ctx != NULL);
    return r;
}

static enum err pass(struct tls *from, struct tls *to)
{
    AUTO(buf_clear) struct buf wire = BUF_INIT(WIRE_MAX);
    enum err r = tls_drain(from, &wire);

    return r == ERR_OK ? tls_feed(to, buf_view(&wire), NULL) : r;
}

static enum err talk_as(const char *name)
{
    AUTO(tls_freep) struct tls *client = NULL;
    AUTO(tls_freep) struct tls *server = NULL;
    AUTO(buf_clear) struct buf got = BUF_INIT(4096);
    enum err r = tls_new(client_ctx, name, &client);

    if (r == ERR_OK)
        r = tls_new(server_ctx, NULL, &server);
    if (r == ERR_OK)
        r = tls_start(client);
    for (int i = 0; r == ERR_OK && i < 3; i++) {
        r = pass(client, server);
        if (r == ERR_OK)
            r = pass(server, client);
    }
    if (r == ERR_OK)
        r = tls_write(client, SPAN_LIT("request"));
    if (r == ERR_OK)
        r = pass(client, server);
    if (r == ERR_OK)
        r = tls_read(server, &got, NULL);
    assert_true(r != ERR_OK || span_is(buf_view(&got), "request"));
    return r;
}

static enum err talk(void)
{
    return talk_as("kms.test");
}

static enum err talk_to_a_stranger(void)
{
    enum err r = talk_as("other.test");

    assert_int_not_equal(r, ERR_OK);
    return ERR_OK;
}

static enum err gcm(void)
{
    static const uint8_t key[AES256_KEY_BYTES], iv[GCM_IV_BYTES];
    uint8_t ct[3], tag[GCM_TAG_BYTES];
    struct span k = SPAN_ARRAY(key), v = SPAN_ARRAY(iv);
    enum err r = aes256gcm_seal(cx, k, v, SPAN_EMPTY, SPAN_LIT("abc"), ct, tag);

    if (r == ERR_OK)
        r = aes256gcm_open(cx, k, v, SPAN_EMPTY, SPAN_ARRAY(ct), SPAN_ARRAY(tag), ct);
    assert_true(r != ERR_OK || span_is(SPAN_ARRAY(ct), "abc"));
    return r;
}

static enum err gcm_in_pieces(void)
{
    static const uint8_t key[16], iv[GCM_IV_BYTES]; /* a size that is fetched anew */
    AUTO(gcm_freep) struct gcm *g = NULL;
    uint8_t ct[3], tag[GCM_TAG_BYTES];
    enum err r = gcm_new(cx, SPAN_ARRAY(key), GCM_SEAL, &g);

    assert_int_equal(r == ERR_OK, g != NULL);
    if (r == ERR_OK)
        r = gcm_begin(g, iv);
    if (r == ERR_OK)
        r = gcm_update(g, SPAN_LIT("abc"), ct);
    return r == ERR_OK ? gcm_tag(g, tag) : r;
}

static enum err hkdf(void)
{
    AUTO(secret_clear) struct secret prk = { 0 };
    uint8_t okm[8] = { 7 };
    enum err r = hkdf_extract(cx, MAC_SHA256, SPAN_EMPTY, SPAN_LIT("key"), &prk);

    assert_int_equal(r == ERR_OK, prk.ptr != NULL);
    if (r == ERR_OK) {
        r = hkdf_expand(cx, MAC_SHA256, &prk, SPAN_EMPTY, okm, sizeof okm);
        assert_int_equal(r == ERR_OK, okm[0] != 0); /* for this key and length it is not zero */
    }
    return r;
}

static enum err esig(void)
{
    AUTO(esig_key_freep) struct esig_key *key = NULL;
    AUTO(esig_pub_freep) struct esig_pub *pub = NULL;
    uint8_t made[ESIG_SIG_MAX_BYTES];
    size_t len = 0;
    enum err r = esig_key_new(cx, ESIG_P384, &key);

    if (r == ERR_OK)
        r = esig_pub_parse(cx, ESIG_P384, esig_key_point(key), &pub, NULL);
    assert_int_equal(r == ERR_OK, pub != NULL);
    for (int i = 0; r == ERR_OK && i < 2; i++) {
        AUTO(esig_freep) struct esig *s = NULL;
        r = esig_new(cx, ESIG_P384, &s);
        if (r == ERR_OK)
            r = esig_update(s, SPAN_LIT("m"));
        if (r == ERR_OK)
            r = i ? esig_verify(s, pub, span_of(made, len)) : esig_sign(s, key, made, &len);
    }
    return r;
}

struct operation {
    const char *name;
    enum err (*run)(void);
    size_t step; /* every allocation, or every so many */
    bool must_allocate;
};

static struct operation operations[] = {
    { "crypto_new", new_crypto, 1, true },
    { "rsa open", open_rsa, 1, true },
    { "rsa assemble", assemble_rsa, 1, true },
    { "rsa seal", seal_rsa, 1, true },
    { "rsa pem", parse_rsa_pem, 1, true },
    { "rsa pub", parse_rsa_pub, 1, true },
    { "ec new", new_ec, 1, true },
    { "ec pem", ec_pem, 1, true },
    { "ec sign", sign, 1, true },
    { "ec verify", verify, 1, true },
    { "x509 write", write_cert, 1, true },
    { "x509 parse", parse_cert, 1, true },
    { "x509 pem", cert_pem, 1, true },
    { "tls client context", new_client, 3, true },
    { "tls server context", new_server, 3, true },
    { "tls talk", talk, 11, true },
    { "tls talk to a stranger", talk_to_a_stranger, 11, true },
    { "gcm does not allocate", gcm, 1, false },
    { "gcm in pieces", gcm_in_pieces, 1, true },
    { "hkdf", hkdf, 1, true },
    { "ecdsa in pieces", esig, 3, true },
};

static void every_allocation_fails(void **state)
{
    const struct operation *op = *state;
    size_t failed = 0, n = 0;

    assert_int_equal(op->run(), ERR_OK); /* what is made once is there now */
    for (n = 1;; n += op->step) {
        hit = false;
        countdown = n;
        enum err r = op->run();
        countdown = 0;
        if (!hit) {
            assert_int_equal(r, ERR_OK);
            break;
        }
        failed += r != ERR_OK;
    }
    assert_int_equal(n > 1, op->must_allocate);
    if (op->must_allocate && op->run != talk_to_a_stranger)
        assert_true(failed > 0);
    assert_int_equal(op->run(), ERR_OK); /* and it works again */
}

static int set_up(void **state)
{
    (void)state;
    rsa_ct = BUF_INIT(1024);
    cert_der = BUF_INIT(X509_MAX_BYTES);
    test_pki_sure(rsa_key_parse_pem(cx, span_str(rsa_pkcs8_pem), &rsa, NULL));
    test_pki_sure(rsa_pub_parse(cx, rsa_key_spki(rsa), &rsa_pub_half, NULL));
    for (int i = 0; i < 2; i++) {
        primes[i] = BN_secure_new();
        assert_true(primes[i] && BN_generate_prime_ex(primes[i], 1024, 0, NULL, NULL, NULL) == 1);
    }
    test_pki_sure(rsa_oaep_seal(cx, rsa_pub_half, SPAN_LIT("data key"), &rsa_ct));
    test_pki_sure(ec_key_parse_pem(cx, span_str(p384_pem), &ec, NULL));
    test_pki_sure(ec_key_pub(cx, ec, &ec_pub_half));
    test_pki_sure(ec_sign_es384(cx, ec, SPAN_LIT("m"), sig));
    struct x509_request rq = { .subject = { .cn = "Root" },
                               .issuer_key = ec,
                               .key = ec_pub_half,
                               .not_after = 1,
                               .path_len = -1,
                               .is_ca = true };
    test_pki_sure(x509_write(cx, &rq, &cert_der));
    test_pki_sure(x509_parse(cx, buf_view(&cert_der), &cert, NULL));
    client_ctx = client_of(&pki);
    server_ctx = server_of(&pki);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    tls_ctx_free(client_ctx);
    tls_ctx_free(server_ctx);
    x509_free(cert);
    buf_clear(&cert_der);
    buf_clear(&rsa_ct);
    ec_pub_free(ec_pub_half);
    ec_key_free(ec);
    for (int i = 0; i < 2; i++)
        BN_clear_free(primes[i]);
    rsa_pub_free(rsa_pub_half);
    rsa_key_free(rsa);
    return 0;
}

int main(void)
{
    enum { N = sizeof operations / sizeof operations[0] };
    struct CMUnitTest tests[N];

    T_ROWS(tests, operations, every_allocation_fails);
    return run_with_pki("faults", tests, N, set_up, tear_down);
}
