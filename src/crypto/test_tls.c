/* TLS between two of our engines: that it works. What it refuses is in test_tls_refusals.c. */
#include "crypto/test_tls_pair.h"

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
    assert_in_range(p.server->out.bytes.cap, 0, 64 * 1024); /* the long queue was given back */
    assert_in_range(p.client->in.bytes.cap, 0, 64 * 1024);
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
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_name),      cmocka_unit_test(by_address),
        cmocka_unit_test(version_12),   cmocka_unit_test(byte_by_byte),
        cmocka_unit_test(resumption),   cmocka_unit_test(forgotten_ticket),
        cmocka_unit_test(megabyte),     cmocka_unit_test(exactly_full),
        cmocka_unit_test(closing),      cmocka_unit_test(truncation),
        cmocka_unit_test(chain_of_two),
    };

    return run_with_pki("tls", tests, sizeof tests / sizeof tests[0], NULL, NULL);
}
