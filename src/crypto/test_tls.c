/* Two engines, a client and a server, that talk in memory. */
#include "crypto/test_keys.h"
#include "crypto/test_pki.h"
#include "crypto/tls_internal.h"
#include "testing/t.h"

enum { WIRE_MAX = 4 << 20, STEPS_MAX = 20 };

static struct crypto *cx;
static struct test_pki pki, other_pki;

struct pair {
    struct tls_ctx *client_ctx, *server_ctx;
    struct tls *client, *server;
    struct why client_why, server_why;
    enum err client_err, server_err;
};

static void pair_clear(struct pair *p)
{
    tls_free(p->client);
    tls_free(p->server);
    tls_ctx_free(p->client_ctx);
    tls_ctx_free(p->server_ctx);
}

static struct tls_ctx *client_of(const struct test_pki *pki_of_ca)
{
    struct tls_ctx *ctx = NULL;

    assert_int_equal(tls_ctx_client(buf_view(&pki_of_ca->ca), &ctx, NULL), ERR_OK);
    return ctx;
}

static struct tls_ctx *server_of(const struct test_pki *p)
{
    struct tls_ctx *ctx = NULL;

    assert_int_equal(tls_ctx_server(buf_view(&p->cert), buf_view(&p->key), &ctx, NULL), ERR_OK);
    return ctx;
}

/* New connections over the same settings. */
static void connect_as(struct pair *p, const char *name)
{
    tls_freep(&p->client);
    tls_freep(&p->server);
    assert_int_equal(tls_new(p->client_ctx, name, &p->client), ERR_OK);
    assert_int_equal(tls_new(p->server_ctx, NULL, &p->server), ERR_OK);
    assert_false(tls_is_open(p->client) || tls_is_open(p->server));
    assert_int_equal(tls_start(p->client), ERR_OK);
}

static struct pair pair_new(const char *name)
{
    struct pair p = { .client_ctx = client_of(&pki), .server_ctx = server_of(&pki) };

    connect_as(&p, name);
    return p;
}

/* All that one side has for the other, in pieces of at most `piece` bytes. */
static enum err carry(struct tls *from, struct tls *to, size_t piece, struct why *why, bool *moved)
{
    AUTO(buf_clear) struct buf wire = BUF_INIT(WIRE_MAX);

    assert_int_equal(tls_drain(from, &wire), ERR_OK);
    *moved = *moved || wire.len > 0;
    for (size_t at = 0; at < wire.len; at += piece) {
        struct span s = t_copy(span_sub(buf_view(&wire), at, piece));
        enum err r = tls_feed(to, s, why);
        t_free(s);
        if (r != ERR_OK)
            return r;
    }
    return ERR_OK;
}

/* Until neither has anything to say, or one has failed; then its alert still goes over. */
static void handshake_in_pieces(struct pair *p, size_t piece)
{
    AUTO(buf_clear) struct buf none = BUF_INIT(16);

    p->client_err = p->server_err = ERR_OK;
    for (int i = 0; i < STEPS_MAX; i++) {
        bool moved = false;
        if (p->server_err == ERR_OK)
            p->server_err = carry(p->client, p->server, piece, &p->server_why, &moved);
        if (p->client_err == ERR_OK)
            p->client_err = carry(p->server, p->client, piece, &p->client_why, &moved);
        if (p->client_err == ERR_OK) /* takes in the tickets */
            p->client_err = tls_read(p->client, &none, &p->client_why);
        if (p->server_err == ERR_OK)
            p->server_err = tls_read(p->server, &none, &p->server_why);
        if (!moved)
            return;
    }
    fail_msg("no end of the handshake");
}

static void handshake(struct pair *p)
{
    handshake_in_pieces(p, SIZE_MAX);
}

static void opened(struct pair *p)
{
    assert_int_equal(p->client_err, ERR_OK);
    assert_int_equal(p->server_err, ERR_OK);
    assert_true(tls_is_open(p->client) && tls_is_open(p->server));
}

/* `text` goes from one to the other as it is. */
static void says(struct tls *from, struct tls *to, struct span text)
{
    AUTO(buf_clear) struct buf got = BUF_INIT(WIRE_MAX);
    bool moved = false;

    assert_int_equal(tls_write(from, text), ERR_OK);
    assert_int_equal(carry(from, to, SIZE_MAX, NULL, &moved), ERR_OK);
    assert_int_equal(tls_read(to, &got, NULL), ERR_OK);
    t_assert_span(buf_view(&got), text);
}

static void by_name(void **state)
{
    (void)state;
    AUTO(pair_clear) struct pair p = pair_new("kms.test");

    handshake(&p);
    opened(&p);
    says(p.client, p.server, SPAN_LIT("request"));
    says(p.server, p.client, SPAN_LIT("response"));
    says(p.client, p.server, SPAN_EMPTY);
    assert_string_equal(SSL_get_version(p.client->ssl), "TLSv1.3");
    const unsigned char *alpn = NULL;
    unsigned n = 0;
    SSL_get0_alpn_selected(p.client->ssl, &alpn, &n);
    t_assert_span(span_of(alpn, n), SPAN_LIT("http/1.1"));
    assert_string_equal(SSL_get_servername(p.server->ssl, TLSEXT_NAMETYPE_host_name), "kms.test");
}

static void by_address(void **state)
{
    (void)state;
    AUTO(pair_clear) struct pair p = pair_new("127.0.0.1");

    handshake(&p);
    opened(&p);
    assert_null(SSL_get_servername(p.server->ssl, TLSEXT_NAMETYPE_host_name));
}

static void version_12(void **state)
{
    (void)state;
    AUTO(pair_clear)
    struct pair p = { .client_ctx = client_of(&pki), .server_ctx = server_of(&pki) };

    SSL_CTX_set_max_proto_version(p.client_ctx->ssl, TLS1_2_VERSION);
    connect_as(&p, "kms.test");
    handshake(&p);
    opened(&p);
    assert_string_equal(SSL_get_version(p.client->ssl), "TLSv1.2");
    says(p.client, p.server, SPAN_LIT("request"));
    assert_int_equal(SSL_renegotiate(p.client->ssl), 0);
    connect_as(&p, "kms.test");
    handshake(&p);
    opened(&p);
    assert_true(tls_is_resumed(p.client));
}

static void byte_by_byte(void **state)
{
    (void)state;
    AUTO(pair_clear) struct pair p = pair_new("kms.test");
    AUTO(buf_clear) struct buf got = BUF_INIT(64);
    bool moved = false;

    handshake_in_pieces(&p, 1);
    opened(&p);
    assert_int_equal(tls_write(p.client, SPAN_LIT("request")), ERR_OK);
    assert_int_equal(carry(p.client, p.server, 1, NULL, &moved), ERR_OK);
    assert_int_equal(tls_read(p.server, &got, NULL), ERR_OK);
    t_assert_buf(&got, "request");
}

static void resumption(void **state)
{
    (void)state;
    AUTO(pair_clear) struct pair p = pair_new("kms.test");

    handshake(&p);
    opened(&p);
    assert_false(tls_is_resumed(p.client));
    for (int i = 0; i < 3; i++) { /* the first was dropped without close_notify, as sockets are */
        connect_as(&p, "kms.test");
        handshake(&p);
        opened(&p);
        assert_true(tls_is_resumed(p.client));
        assert_true(tls_is_resumed(p.server));
        says(p.client, p.server, SPAN_LIT("request"));
    }
    connect_as(&p, "127.0.0.1"); /* the session was checked for another name */
    handshake(&p);
    opened(&p);
    assert_false(tls_is_resumed(p.client));
}

/* A ticket for another server, or for one that has restarted, only costs a full handshake. */
static void forgotten_ticket(void **state)
{
    (void)state;
    AUTO(pair_clear) struct pair p = pair_new("kms.test");

    handshake(&p);
    opened(&p);
    tls_freep(&p.server);
    tls_ctx_freep(&p.server_ctx);
    p.server_ctx = server_of(&pki);
    connect_as(&p, "kms.test");
    handshake(&p);
    opened(&p);
    assert_false(tls_is_resumed(p.client));
}

/* One MB, through an outgoing buffer and an incoming one that are often full. */
static void megabyte(void **state)
{
    (void)state;
    enum { N = 1 << 20 };
    AUTO(pair_clear) struct pair p = pair_new("kms.test");
    AUTO(buf_clear) struct buf text = BUF_INIT(N), got = BUF_INIT(N);
    uint8_t *to = NULL;
    size_t full = 0;

    handshake(&p);
    opened(&p);
    assert_int_equal(buf_reserve(&text, N, &to), ERR_OK);
    for (size_t i = 0; i < N; i++)
        to[i] = (uint8_t)(i * 131 >> 3);
    buf_commit(&text, N);
    assert_int_equal(tls_write(p.server, buf_view(&text)), ERR_OK);
    for (enum err r = ERR_LIMIT; r == ERR_LIMIT;) {
        AUTO(buf_clear) struct buf wire = BUF_INIT(10000), plain = BUF_INIT(3000);
        r = tls_drain(p.server, &wire);
        assert_true(r == ERR_OK || r == ERR_LIMIT);
        assert_int_equal(tls_feed(p.client, buf_view(&wire), NULL), ERR_OK);
        enum err got_all = ERR_LIMIT;
        while (got_all == ERR_LIMIT) {
            got_all = tls_read(p.client, &plain, NULL);
            full += got_all == ERR_LIMIT;
            assert_int_equal(buf_append(&got, buf_view(&plain)), ERR_OK);
            buf_reset(&plain);
        }
        assert_int_equal(got_all, ERR_OK);
    }
    t_assert_span(buf_view(&got), buf_view(&text));
    assert_true(full > 100);
    BUF_MEM *mem = NULL;
    BIO_get_mem_ptr(SSL_get_wbio(p.server->ssl), &mem);
    assert_in_range(mem->max, 0, 64 * 1024); /* the long queue was given back */
}

/* Exactly full with nothing more to come is not a limit. */
static void exactly_full(void **state)
{
    (void)state;
    AUTO(pair_clear) struct pair p = pair_new("kms.test");
    AUTO(buf_clear) struct buf got = BUF_INIT(7);
    bool moved = false;

    handshake(&p);
    assert_int_equal(tls_write(p.client, SPAN_LIT("request")), ERR_OK);
    assert_int_equal(carry(p.client, p.server, SIZE_MAX, NULL, &moved), ERR_OK);
    assert_int_equal(tls_read(p.server, &got, NULL), ERR_OK);
    t_assert_buf(&got, "request");
    assert_int_equal(tls_write(p.client, SPAN_LIT("!")), ERR_OK);
    assert_int_equal(carry(p.client, p.server, SIZE_MAX, NULL, &moved), ERR_OK);
    assert_int_equal(tls_read(p.server, &got, NULL), ERR_LIMIT);
    buf_reset(&got);
    assert_int_equal(tls_read(p.server, &got, NULL), ERR_OK);
    t_assert_buf(&got, "!");
}

static void closing(void **state)
{
    (void)state;
    AUTO(pair_clear) struct pair p = pair_new("kms.test");
    AUTO(buf_clear) struct buf got = BUF_INIT(64);
    bool moved = false;

    handshake(&p);
    assert_int_equal(tls_write(p.client, SPAN_LIT("last")), ERR_OK);
    tls_finish(p.client);
    assert_int_equal(carry(p.client, p.server, SIZE_MAX, NULL, &moved), ERR_OK);
    assert_false(tls_is_closed(p.server)); /* not before what was said has been read */
    assert_int_equal(tls_read(p.server, &got, NULL), ERR_OK);
    t_assert_buf(&got, "last");
    assert_true(tls_is_closed(p.server));
    assert_int_equal(tls_read(p.server, &got, NULL), ERR_OK);
    says(p.server, p.client, SPAN_LIT("answer")); /* the other direction is still there */
}

static void truncation(void **state)
{
    (void)state;
    AUTO(pair_clear) struct pair p = pair_new("kms.test");
    AUTO(buf_clear) struct buf wire = BUF_INIT(4096), got = BUF_INIT(4096);

    handshake(&p);
    assert_int_equal(tls_write(p.client, SPAN_LIT("request")), ERR_OK);
    tls_finish(p.client);
    assert_int_equal(tls_drain(p.client, &wire), ERR_OK);
    for (size_t i = 0; i + 1 < wire.len; i++) {
        assert_int_equal(tls_feed(p.server, span_of(wire.ptr + i, 1), NULL), ERR_OK);
        assert_int_equal(tls_read(p.server, &got, NULL), ERR_OK);
        assert_false(tls_is_closed(p.server));
    }
    t_assert_buf(&got, "request");
}

/* ---- what has to fail ---- */

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

/* The chain's second certificate is sent too: here the CA itself, which does no harm. */
static void chain_of_two(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf chain = BUF_INIT(2 * TEST_PKI_MAX);
    AUTO(pair_clear) struct pair p = { .client_ctx = client_of(&pki) };

    assert_int_equal(buf_append(&chain, buf_view(&pki.cert)), ERR_OK);
    assert_int_equal(buf_append(&chain, buf_view(&pki.ca)), ERR_OK);
    assert_int_equal(tls_ctx_server(buf_view(&chain), buf_view(&pki.key), &p.server_ctx, NULL),
                     ERR_OK);
    connect_as(&p, "kms.test");
    handshake(&p);
    opened(&p);
    assert_int_equal(sk_X509_num(SSL_get_peer_cert_chain(p.client->ssl)), 2);
}

int main(void)
{
    static const struct CMUnitTest plain[] = {
        cmocka_unit_test(by_name),
        cmocka_unit_test(by_address),
        cmocka_unit_test(version_12),
        cmocka_unit_test(byte_by_byte),
        cmocka_unit_test(resumption),
        cmocka_unit_test(forgotten_ticket),
        cmocka_unit_test(megabyte),
        cmocka_unit_test(exactly_full),
        cmocka_unit_test(closing),
        cmocka_unit_test(truncation),
        cmocka_unit_test(unknown_ca),
        cmocka_unit_test(expired),
        cmocka_unit_test(not_yet_valid),
        cmocka_unit_test(no_partial_chain),
        cmocka_unit_test(old_versions),
        cmocka_unit_test(weak_suites),
        cmocka_unit_test(other_protocols),
        cmocka_unit_test(garbage),
        cmocka_unit_test(altered_record),
        cmocka_unit_test(too_early),
        cmocka_unit_test(names_of_clients_and_servers),
        cmocka_unit_test(bad_settings),
        cmocka_unit_test(chain_of_two),
    };
    enum { PLAIN = sizeof plain / sizeof plain[0], ROWS = sizeof name_rows / sizeof name_rows[0] };
    struct CMUnitTest tests[PLAIN + ROWS];

    memcpy(tests, plain, sizeof plain);
    for (size_t i = 0; i < ROWS; i++)
        tests[PLAIN + i] =
            (struct CMUnitTest){ name_rows[i].label, wrong_name, NULL, NULL, &name_rows[i] };
    if (crypto_process_init() != ERR_OK || crypto_new(&cx) != ERR_OK)
        return 1;
    pki = test_pki_new(cx, -TEST_PKI_HOUR, TEST_PKI_HOUR);
    other_pki = test_pki_new(cx, -TEST_PKI_HOUR, TEST_PKI_HOUR);
    int failed = cmocka_run_group_tests_name("tls", tests, NULL, NULL);
    test_pki_clear(&pki);
    test_pki_clear(&other_pki);
    crypto_free(cx);
    return failed;
}
