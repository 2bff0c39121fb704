/* test_pki.h - a small PKI in memory for test_tls.c and fuzz_tls_server.c. */
#ifndef CRYPTO_TEST_PKI_H
#define CRYPTO_TEST_PKI_H

#include <stdlib.h>
#include <time.h>

#include "crypto/ec.h"
#include "crypto/x509.h"

/* A CA and a server's certificate under it, all in PEM. */
struct test_pki {
    struct buf ca, cert, key;
};

enum { TEST_PKI_MAX = 16384, TEST_PKI_HOUR = 3600 };

static inline void test_pki_clear(struct test_pki *p)
{
    buf_clear(&p->ca);
    buf_clear(&p->cert);
    buf_clear(&p->key);
}

static inline void test_pki_sure(enum err r)
{
    if (r != ERR_OK)
        abort();
}

static inline void test_pki_pem(struct crypto *cx, const struct x509_request *rq, struct buf *pem,
                                struct x509 **out)
{
    AUTO(buf_clear) struct buf der = BUF_INIT(X509_MAX_BYTES);

    test_pki_sure(x509_write(cx, rq, &der));
    test_pki_sure(x509_der_to_pem(buf_view(&der), pem));
    if (out)
        test_pki_sure(x509_parse(cx, buf_view(&der), out, NULL));
}

/* For "kms.test" and 127.0.0.1, valid from `from` to `to` seconds from now. */
static inline struct test_pki test_pki_new(struct crypto *cx, int64_t from, int64_t to)
{
    static const char *const dns[] = { "kms.test", NULL };
    static const char *const ip[] = { "127.0.0.1", NULL };
    struct test_pki p = { BUF_INIT(TEST_PKI_MAX), BUF_INIT(TEST_PKI_MAX), BUF_INIT(TEST_PKI_MAX) };
    AUTO(ec_key_freep) struct ec_key *ca_key = NULL;
    AUTO(ec_key_freep) struct ec_key *key = NULL;
    AUTO(ec_pub_freep) struct ec_pub *ca_pub = NULL;
    AUTO(ec_pub_freep) struct ec_pub *pub = NULL;
    AUTO(x509_freep) struct x509 *ca = NULL;

    test_pki_sure(ec_key_new(cx, &ca_key));
    test_pki_sure(ec_key_new(cx, &key));
    test_pki_sure(ec_key_pub(cx, ca_key, &ca_pub));
    test_pki_sure(ec_key_pub(cx, key, &pub));
    test_pki_sure(ec_key_write_pem(key, &p.key));
    struct x509_request rq = { .subject = { .cn = "Test CA" },
                               .issuer_key = ca_key,
                               .key = ca_pub,
                               .not_before = time(NULL) - TEST_PKI_HOUR,
                               .not_after = time(NULL) + TEST_PKI_HOUR,
                               .is_ca = true,
                               .path_len = -1,
                               .key_usage = X509_KU_KEY_CERT_SIGN,
                               .key_ids = true };
    test_pki_pem(cx, &rq, &p.ca, &ca);
    rq.subject.cn = "Test server";
    rq.issuer = ca;
    rq.key = pub;
    rq.is_ca = false;
    rq.key_usage = X509_KU_DIGITAL_SIGNATURE;
    rq.not_before = time(NULL) + from;
    rq.not_after = time(NULL) + to;
    rq.dns_names = dns;
    rq.ip_names = ip;
    rq.server_auth = true;
    test_pki_pem(cx, &rq, &p.cert, NULL);
    return p;
}

#endif
