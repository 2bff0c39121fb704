/* Making certificates: what a request asks for is in the certificate, and what would not verify is
 * refused. That others take them is test_tls.c's and OpenSSL's part: see verified_by_openssl. */
#include "crypto/x509.h"

#include <time.h>

#include "crypto/test_keys.h"
#include "crypto/x509_oracle.h"
#include "testing/t.h"

static struct crypto *cx;
static struct ec_key *key, *other_key;
static struct ec_pub *pub, *other_pub;

static struct x509_request root_request(void)
{
    return (struct x509_request){ .subject = { .cn = "Root" },
                                  .issuer_key = key,
                                  .key = pub,
                                  .not_before = time(NULL) - 60,
                                  .not_after = time(NULL) + 3600,
                                  .is_ca = true,
                                  .path_len = -1,
                                  .key_usage = X509_KU_KEY_CERT_SIGN,
                                  .key_usage_critical = true,
                                  .key_ids = true };
}

static struct x509 *make(const struct x509_request *rq)
{
    AUTO(buf_clear) struct buf der = BUF_INIT(X509_MAX_BYTES);
    struct x509 *cert = NULL;

    assert_int_equal(x509_write(cx, rq, &der), ERR_OK);
    assert_int_equal(x509_parse(cx, buf_view(&der), &cert, NULL), ERR_OK);
    assert_null(x509_oracle(cert));
    return cert;
}

static void all_name_parts(void **state)
{
    (void)state;
    struct x509_request rq = root_request();
    static const char want[] = "C = US, ST = Washington, L = Seattle, O = Nitroseal, "
                               "OU = \\E6\\B5\\8B\\E8\\AF\\95, CN = root.local";
    char got[512] = "";

    rq.subject =
        (struct x509_name){ "US", "Washington", "Seattle", "Nitroseal", "测试", "root.local" };
    AUTO(x509_freep) struct x509 *cert = make(&rq);
    const uint8_t *p = x509_facts(cert)->subject.ptr;
    AUTO(X509_NAME_free_p)
    X509_NAME *name = d2i_X509_NAME(NULL, &p, (long)x509_facts(cert)->subject.len);
    AUTO(BIO_free_all_p) BIO *bio = BIO_new(BIO_s_mem());
    X509_NAME_print_ex(bio, name, 0,
                       ASN1_STRFLGS_RFC2253 | ASN1_STRFLGS_UTF8_CONVERT | XN_FLAG_SEP_CPLUS_SPC |
                           XN_FLAG_SPC_EQ);
    BIO_read(bio, got, sizeof got - 1);
    assert_string_equal(got, want);
    t_assert_span(x509_facts(cert)->common_name, SPAN_LIT("root.local"));
}

static void no_name_at_all(void **state)
{
    (void)state;
    struct x509_request rq = root_request();

    rq.subject = (struct x509_name){ 0 };
    AUTO(x509_freep) struct x509 *cert = make(&rq);
    assert_int_equal(x509_facts(cert)->common_name.len, 0);
    t_assert_span(x509_facts(cert)->subject, SPAN_LIT("\x30\x00"));
}

static void every_usage_bit(void **state)
{
    (void)state;
    for (unsigned bits = 0; bits < 1 << 9; bits += bits < 130 ? 1 : 63) {
        struct x509_request rq = root_request();
        rq.key_usage = bits;
        rq.key_usage_critical = bits % 2;
        AUTO(x509_freep) struct x509 *cert = make(&rq);
        assert_int_equal(x509_facts(cert)->key_usage, bits);
        assert_int_equal(x509_facts(cert)->has_key_usage, bits != 0);
        assert_int_equal(x509_facts(cert)->key_usage_critical, bits % 2);
    }
}

/* Both forms of a date, and the day between them. */
static void dates(void **state)
{
    (void)state;
    static const int64_t days[] = {
        0, 951782400, 2147483647, 2524607999, 2524608000, 253402300799
    };

    for (size_t i = 0; i + 1 < sizeof days / sizeof days[0]; i++) {
        struct x509_request rq = root_request();
        rq.not_before = days[i];
        rq.not_after = days[i + 1];
        AUTO(x509_freep) struct x509 *cert = make(&rq);
        assert_true(x509_facts(cert)->not_before == days[i]);
        assert_true(x509_facts(cert)->not_after == days[i + 1]);
    }
}

static void random_serials_differ(void **state)
{
    (void)state;
    struct x509_request rq = root_request();
    AUTO(x509_freep) struct x509 *a = make(&rq);
    AUTO(x509_freep) struct x509 *b = make(&rq);
    /* 30 82 xxxx 30 82 xxxx a0 03 02 01 02 | 02 10 serial */
    struct span sa = span_sub(x509_facts(a)->der, 13, 18);
    struct span sb = span_sub(x509_facts(b)->der, 13, 18);

    assert_memory_equal(sa.ptr, "\x02\x10", 2);
    assert_memory_equal(sb.ptr, "\x02\x10", 2);
    assert_false(span_eq(sa, sb));
}

/* OpenSSL builds and verifies root, intermediate and server with its own code and strict rules. */
static void verified_by_openssl(void **state)
{
    (void)state;
    static const char *const dns[] = { "localhost", "kms.test", NULL };
    static const char *const ip[] = { "127.0.0.1", "::1", NULL };
    struct x509_request rq = root_request();
    AUTO(x509_freep) struct x509 *root = make(&rq);
    rq = root_request();
    rq.subject.cn = "Server";
    rq.issuer = root;
    rq.key = other_pub;
    rq.is_ca = false;
    rq.key_usage = X509_KU_DIGITAL_SIGNATURE;
    rq.dns_names = dns;
    rq.ip_names = ip;
    rq.server_auth = true;
    AUTO(x509_freep) struct x509 *leaf = make(&rq);

    const uint8_t *p = x509_facts(root)->der.ptr, *q = x509_facts(leaf)->der.ptr;
    AUTO(X509_free_p) X509 *a = d2i_X509(NULL, &p, (long)x509_facts(root)->der.len);
    AUTO(X509_free_p) X509 *b = d2i_X509(NULL, &q, (long)x509_facts(leaf)->der.len);
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    assert_int_equal(X509_STORE_add_cert(store, a), 1);
    assert_int_equal(X509_STORE_CTX_init(ctx, store, b, NULL), 1);
    X509_STORE_CTX_set_flags(ctx, X509_V_FLAG_X509_STRICT);
    X509_STORE_CTX_set_purpose(ctx, X509_PURPOSE_SSL_SERVER);
    assert_int_equal(X509_verify_cert(ctx), 1);
    X509_STORE_CTX_free(ctx);
    X509_STORE_free(store);
    assert_int_equal(X509_check_host(b, "kms.test", 0, 0, NULL), 1);
    assert_int_equal(X509_check_host(b, "other.test", 0, 0, NULL), 0);
    assert_int_equal(X509_check_ip_asc(b, "127.0.0.1", 0), 1);
    assert_int_equal(X509_check_ip_asc(b, "::1", 0), 1);
    assert_int_equal(X509_check_ip_asc(b, "127.0.0.2", 0), 0);
    assert_int_equal(x509_verify(cx, leaf, x509_pub(root)), ERR_OK);
}

/* An authority without a key identifier: its subordinates name the one computed from the key. */
static void authority_without_key_id(void **state)
{
    (void)state;
    struct x509_request rq = root_request();
    rq.key_ids = false;
    AUTO(x509_freep) struct x509 *root = make(&rq);
    assert_int_equal(root->key_id.len, 0);
    rq.issuer = root;
    rq.key = other_pub;
    rq.key_ids = true;
    AUTO(x509_freep) struct x509 *leaf = make(&rq);
    assert_int_equal(leaf->key_id.len, 20);
}

static enum err attempt(const struct x509_request *rq)
{
    AUTO(buf_clear) struct buf der = BUF_INIT(X509_MAX_BYTES);
    enum err r = x509_write(cx, rq, &der);

    if (r != ERR_OK)
        assert_int_equal(der.len, 0);
    return r;
}

static void refused_requests(void **state)
{
    (void)state;
    static const char *const bad_ip[] = { "not an address", NULL };
    uint8_t serial[21] = { 1 };
    struct x509_request good = root_request(), rq = good;
    AUTO(x509_freep) struct x509 *root = make(&good);

    rq.key = other_pub; /* self-signed by another key */
    assert_int_equal(attempt(&rq), ERR_INTERNAL);
    rq = good;
    rq.issuer = root;
    rq.issuer_key = other_key;
    assert_int_equal(attempt(&rq), ERR_INTERNAL);
    rq = good;
    rq.serial = SPAN_ARRAY(serial);
    assert_int_equal(attempt(&rq), ERR_INTERNAL);
    rq.serial = span_of(serial, 20);
    assert_int_equal(attempt(&rq), ERR_OK);
    serial[0] = 0x80;
    assert_int_equal(attempt(&rq), ERR_INTERNAL);
    rq.serial = SPAN_LIT("\0\0");
    assert_int_equal(attempt(&rq), ERR_INTERNAL);
    rq = good;
    rq.not_after = rq.not_before - 1;
    assert_int_equal(attempt(&rq), ERR_INTERNAL);
    rq = good;
    rq.path_len = -2;
    assert_int_equal(attempt(&rq), ERR_INTERNAL);
    rq = good;
    rq.key_usage = 1 << 9;
    assert_int_equal(attempt(&rq), ERR_INTERNAL);
    rq = good;
    rq.key = NULL;
    assert_int_equal(attempt(&rq), ERR_INTERNAL);
    rq = good;
    rq.ip_names = bad_ip;
    assert_int_equal(attempt(&rq), ERR_CRYPTO);
    rq = good;
    rq.subject.c = "USA"; /* two letters (RFC 5280 appendix A.1) */
    assert_int_equal(attempt(&rq), ERR_CRYPTO);
}

static void no_room(void **state)
{
    (void)state;
    struct x509_request rq = root_request();
    AUTO(buf_clear) struct buf der = BUF_INIT(100);

    assert_int_equal(x509_write(cx, &rq, &der), ERR_LIMIT);
    assert_int_equal(der.len, 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_name_parts),
        cmocka_unit_test(no_name_at_all),
        cmocka_unit_test(every_usage_bit),
        cmocka_unit_test(dates),
        cmocka_unit_test(random_serials_differ),
        cmocka_unit_test(verified_by_openssl),
        cmocka_unit_test(authority_without_key_id),
        cmocka_unit_test(refused_requests),
        cmocka_unit_test(no_room),
    };

    if (crypto_process_init() != ERR_OK || crypto_new(&cx) != ERR_OK ||
        ec_key_parse_pem(cx, span_str(p384_pem), &key, NULL) != ERR_OK ||
        ec_key_new(cx, &other_key) != ERR_OK || ec_key_pub(cx, key, &pub) != ERR_OK ||
        ec_key_pub(cx, other_key, &other_pub) != ERR_OK)
        return 1;
    int failed = cmocka_run_group_tests_name("x509_write", tests, NULL, NULL);
    ec_pub_free(pub);
    ec_pub_free(other_pub);
    ec_key_free(key);
    ec_key_free(other_key);
    crypto_free(cx);
    return failed;
}
