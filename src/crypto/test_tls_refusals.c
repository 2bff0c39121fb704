/* TLS between two of our engines: what has to fail, and how both sides say so. */
#include "crypto/test_keys.h"
#include "crypto/test_tls_pair.h"

static void after_a_failure(struct tls *t)
{
    AUTO(buf_clear) struct buf b = BUF_INIT(64);

    assert_false(tls_is_open(t));
    assert_int_equal(tls_feed(t, SPAN_LIT("x"), NULL), ERR_INTERNAL);
    assert_int_equal(tls_read(t, &b, NULL), ERR_INTERNAL);
    assert_int_equal(tls_write(t, SPAN_LIT("x")), ERR_INTERNAL);
    assert_int_equal(tls_start(t), ERR_INTERNAL);
    tls_finish(t);
}

static void client_refuses(struct pair *p, const char *what, const char *alert)
{
    handshake(p);
    assert_int_equal(p->client_err, ERR_VERIFY);
    assert_string_equal(p->client_why.what, what);
    assert_int_equal(p->server_err, ERR_MALFORMED);
    assert_string_equal(p->server_why.what, alert);
    assert_null(p->client_ctx->session);
    after_a_failure(p->client);
    after_a_failure(p->server);
}

static void unknown_ca(void **state)
{
    (void)state;
    AUTO(pair_clear)
    struct pair p = { .client_ctx = client_of(&other_pki), .server_ctx = server_of(&pki) };

    connect_as(&p, "kms.test");
    client_refuses(&p, "unknown CA", "alert: the peer does not know the CA");
}

struct name_row {
    const char *label, *name;
};

static struct name_row name_rows[] = {
    { "other name", "kms.example" },       { "name with a prefix", "xkms.test" },
    { "name below it", "a.kms.test" },     { "name above it", "test" },
    { "other address", "127.0.0.2" },      { "IPv6 address", "::1" },
    { "common name only", "Test server" },
};

static void wrong_name(void **state)
{
    const struct name_row *row = *state;
    AUTO(pair_clear) struct pair p = pair_new(row->name);

    client_refuses(&p, "name mismatch", "alert: the peer refuses the certificate");
}

static void at_another_time(int64_t from, int64_t to, const char *what, const char *alert)
{
    AUTO(test_pki_clear) struct test_pki odd = test_pki_new(cx, from, to);
    AUTO(pair_clear)
    struct pair p = { .client_ctx = client_of(&odd), .server_ctx = server_of(&odd) };

    connect_as(&p, "kms.test");
    client_refuses(&p, what, alert);
}

static void expired(void **state)
{
    (void)state;
    at_another_time(-3000, -5, "certificate expired", "alert: certificate expired");
}

static void not_yet_valid(void **state)
{
    (void)state;
    at_another_time(500, 3000, "certificate not yet valid",
                    "alert: the peer refuses the certificate");
}

/* The leaf itself as the only trusted certificate is no CA. */
static void no_partial_chain(void **state)
{
    (void)state;
    AUTO(pair_clear) struct pair p = { .server_ctx = server_of(&pki) };

    assert_int_equal(tls_ctx_client(buf_view(&pki.cert), &p.client_ctx, NULL), ERR_OK);
    connect_as(&p, "kms.test");
    client_refuses(&p, "unknown CA", "alert: the peer does not know the CA");
}

static void old_versions(void **state)
{
    (void)state;
    AUTO(pair_clear)
    struct pair p = { .client_ctx = client_of(&pki), .server_ctx = server_of(&pki) };

    SSL_CTX_set_security_level(p.client_ctx->ssl, 0); /* or it would not even offer it */
    SSL_CTX_set_min_proto_version(p.client_ctx->ssl, TLS1_VERSION);
    SSL_CTX_set_max_proto_version(p.client_ctx->ssl, TLS1_1_VERSION);
    assert_int_equal(SSL_CTX_set_cipher_list(p.client_ctx->ssl, "ALL:@SECLEVEL=0"), 1);
    connect_as(&p, "kms.test");
    handshake(&p);
    assert_int_equal(p.server_err, ERR_MALFORMED);
    assert_string_equal(p.server_why.what, "no TLS version in common");
    assert_int_equal(p.client_err, ERR_MALFORMED);
    assert_string_equal(p.client_why.what, "no TLS version in common");
}

static void weak_suites(void **state)
{
    (void)state;
    AUTO(pair_clear)
    struct pair p = { .client_ctx = client_of(&pki), .server_ctx = server_of(&pki) };

    SSL_CTX_set_max_proto_version(p.client_ctx->ssl, TLS1_2_VERSION);
    assert_int_equal(
        SSL_CTX_set_cipher_list(p.client_ctx->ssl, "ECDHE-ECDSA-AES256-SHA384:AES256-GCM-SHA384"),
        1);
    connect_as(&p, "kms.test");
    handshake(&p);
    assert_int_equal(p.server_err, ERR_MALFORMED);
    assert_string_equal(p.server_why.what, "no cipher suite in common");
    assert_string_equal(p.client_why.what, "no cipher suite in common");
}

static void other_protocols(void **state)
{
    (void)state;
    AUTO(pair_clear)
    struct pair p = { .client_ctx = client_of(&pki), .server_ctx = server_of(&pki) };

    assert_int_equal(SSL_CTX_set_alpn_protos(p.client_ctx->ssl, (const uint8_t *)"\x02h2", 3), 0);
    connect_as(&p, "kms.test");
    handshake(&p);
    assert_int_equal(p.server_err, ERR_MALFORMED);
    assert_string_equal(p.server_why.what, "no application protocol in common");
    assert_int_equal(p.client_err, ERR_MALFORMED);
    /* RFC 7301 is not required of a client. */
    SSL_CTX_set_alpn_protos(p.client_ctx->ssl, NULL, 0);
    connect_as(&p, "kms.test");
    handshake(&p);
    opened(&p);
}

static void garbage(void **state)
{
    (void)state;
    const struct {
        struct span bytes;
        const char *what;
    } rows[] = {
        { SPAN_LIT("GET / HTTP/1.1\r\n\r\n"), "not TLS" },
        { SPAN_LIT("SSH-2.0-OpenSSH_9.2\r\n"), "not TLS" },
        { SPAN_LIT("\x16\x03\x01\xff\xff\x01\x02\x03\x04\x05\x06"), "TLS protocol" },
        { SPAN_LIT("\x15\x03\x03\x00\x02\x02\x28"), NULL },
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (int as_server = 0; as_server < 2; as_server++) {
            AUTO(pair_clear) struct pair p = pair_new("kms.test");
            struct tls *t = as_server ? p.server : p.client;
            struct why why = { 0 };
            AUTO(buf_clear) struct buf out = BUF_INIT(4096);
            assert_int_equal(tls_feed(t, rows[i].bytes, &why), ERR_MALFORMED);
            assert_non_null(why.what);
            if (rows[i].what && as_server)
                assert_string_equal(why.what, rows[i].what);
            assert_int_equal(tls_drain(t, &out), ERR_OK);
            after_a_failure(t);
        }
    }
}

/* A key share that no key can be derived from is the peer's fault, though a part below TLS says so.
 * X25519's last 32 bytes end the client's first message. */
static void share_without_a_key(void **state)
{
    (void)state;
    AUTO(pair_clear) struct pair p = pair_new("kms.test");
    AUTO(buf_clear) struct buf hello = BUF_INIT(4096), alert = BUF_INIT(4096);
    struct why why = { 0 };

    assert_int_equal(tls_start(p.client), ERR_OK);
    assert_int_equal(tls_drain(p.client, &hello), ERR_OK);
    assert_true(hello.len > 32);
    memset(hello.ptr + hello.len - 32, 0, 32);
    assert_int_equal(tls_feed(p.server, buf_view(&hello), &why), ERR_MALFORMED);
    assert_string_equal(why.what, "TLS protocol");
    assert_int_equal(tls_drain(p.server, &alert), ERR_OK);
    assert_true(alert.len > 0);
    after_a_failure(p.server);
}

/* The type or any byte of the content of a record after the handshake. */
static void altered_record(void **state)
{
    (void)state;
    for (size_t at = 0; at < 29; at += at ? 3 : 5) { /* not the length: that would wait */
        AUTO(pair_clear) struct pair p = pair_new("kms.test");
        AUTO(buf_clear) struct buf wire = BUF_INIT(4096), got = BUF_INIT(64);
        struct why why = { 0 };
        handshake(&p);
        opened(&p);
        assert_int_equal(tls_write(p.client, SPAN_LIT("request")), ERR_OK);
        assert_int_equal(tls_drain(p.client, &wire), ERR_OK);
        assert_int_equal(wire.len, 29);
        wire.ptr[at] ^= 1;
        assert_int_equal(tls_feed(p.server, buf_view(&wire), &why), ERR_OK);
        enum err r = tls_read(p.server, &got, &why);
        assert_int_equal(r, ERR_MALFORMED);
        assert_int_equal(got.len, 0);
        if (at >= 5)
            assert_string_equal(why.what, "record does not verify");
        after_a_failure(p.server);
    }
}

static void too_early(void **state)
{
    (void)state;
    AUTO(pair_clear) struct pair p = pair_new("kms.test");
    AUTO(buf_clear) struct buf got = BUF_INIT(64);

    assert_int_equal(tls_write(p.client, SPAN_LIT("x")), ERR_INTERNAL);
    assert_int_equal(tls_read(p.client, &got, NULL), ERR_OK);
    assert_int_equal(got.len, 0);
    tls_finish(p.client);
    assert_false(tls_is_closed(p.client));
    handshake(&p);
    opened(&p);
}

static void names_of_clients_and_servers(void **state)
{
    (void)state;
    AUTO(pair_clear) struct pair p = pair_new("kms.test");
    struct tls *none = NULL;
    char name[TLS_NAME_MAX_BYTES + 2];

    assert_int_equal(tls_new(p.client_ctx, NULL, &none), ERR_INTERNAL);
    assert_int_equal(tls_new(p.client_ctx, "", &none), ERR_INTERNAL);
    assert_int_equal(tls_new(p.server_ctx, "kms.test", &none), ERR_INTERNAL);
    memset(name, 'a', sizeof name - 1);
    name[sizeof name - 1] = 0;
    assert_int_equal(tls_new(p.client_ctx, name, &none), ERR_INTERNAL);
    assert_null(none);
    name[sizeof name - 2] = 0;
    assert_int_equal(tls_new(p.client_ctx, name, &none), ERR_OK);
    tls_free(none);
    tls_free(NULL);
    tls_ctx_free(NULL);
}

static void bad_settings(void **state)
{
    (void)state;
    struct tls_ctx *none = NULL;
    struct why why = { 0 };
    struct span ca = buf_view(&pki.ca), cert = buf_view(&pki.cert), key = buf_view(&pki.key);
    static const char broken[] = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";

    assert_int_equal(tls_ctx_client(SPAN_EMPTY, &none, &why), ERR_MALFORMED);
    assert_string_equal(why.what, "CA certificates");
    assert_int_equal(tls_ctx_client(key, &none, &why), ERR_MALFORMED);
    AUTO(buf_clear) struct buf half = BUF_INIT(TEST_PKI_MAX);
    assert_int_equal(buf_append(&half, ca), ERR_OK);
    assert_int_equal(buf_append_str(&half, broken), ERR_OK);
    assert_int_equal(tls_ctx_client(buf_view(&half), &none, &why), ERR_MALFORMED);
    assert_int_equal(tls_ctx_server(SPAN_EMPTY, key, &none, &why), ERR_MALFORMED);
    assert_string_equal(why.what, "certificate chain");
    assert_int_equal(tls_ctx_server(cert, SPAN_EMPTY, &none, &why), ERR_MALFORMED);
    assert_string_equal(why.what, "PEM private key");
    assert_int_equal(tls_ctx_server(cert, buf_view(&other_pki.key), &none, &why), ERR_MALFORMED);
    assert_string_equal(why.what, "key is not the certificate's");
    assert_int_equal(tls_ctx_server(cert, span_str(rsa_pkcs8_pem), &none, &why), ERR_MALFORMED);
    assert_string_equal(why.what, "key is not the certificate's");
    assert_null(none);
}

int main(void)
{
    static const struct CMUnitTest plain[] = {
        cmocka_unit_test(unknown_ca),          cmocka_unit_test(expired),
        cmocka_unit_test(not_yet_valid),       cmocka_unit_test(no_partial_chain),
        cmocka_unit_test(old_versions),        cmocka_unit_test(weak_suites),
        cmocka_unit_test(other_protocols),     cmocka_unit_test(garbage),
        cmocka_unit_test(share_without_a_key), cmocka_unit_test(altered_record),
        cmocka_unit_test(too_early),           cmocka_unit_test(names_of_clients_and_servers),
        cmocka_unit_test(bad_settings),
    };
    enum { PLAIN = sizeof plain / sizeof plain[0], ROWS = sizeof name_rows / sizeof name_rows[0] };
    struct CMUnitTest tests[PLAIN + ROWS];

    memcpy(tests, plain, sizeof plain);
    for (size_t i = 0; i < ROWS; i++)
        tests[PLAIN + i] =
            (struct CMUnitTest){ name_rows[i].label, wrong_name, NULL, NULL, &name_rows[i] };
    return run_with_pki("tls_refusals", tests, PLAIN + ROWS, NULL, NULL);
}
