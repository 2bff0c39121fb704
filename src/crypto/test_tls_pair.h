/* test_tls_pair.h - for test_tls.c and test_tls_refusals.c: a client and a server that talk in
 * memory. */
#ifndef CRYPTO_TEST_TLS_PAIR_H
#define CRYPTO_TEST_TLS_PAIR_H

#include "crypto/test_pki.h"
#include "crypto/tls_internal.h"
#include "testing/t.h"

enum { WIRE_MAX = 4 << 20, STEPS_MAX = 20 };

/* The server's, and a stranger's. */
static struct crypto *cx;
static struct test_pki pki, other_pki;

struct pair {
    struct tls_ctx *client_ctx, *server_ctx;
    struct tls *client, *server;
    struct why client_why, server_why;
    enum err client_err, server_err;
};

static inline void pair_clear(struct pair *p)
{
    tls_free(p->client);
    tls_free(p->server);
    tls_ctx_free(p->client_ctx);
    tls_ctx_free(p->server_ctx);
}

static inline struct tls_ctx *client_of(const struct test_pki *pki_of_ca)
{
    struct tls_ctx *ctx = NULL;

    assert_int_equal(tls_ctx_client(buf_view(&pki_of_ca->ca), &ctx, NULL), ERR_OK);
    return ctx;
}

static inline struct tls_ctx *server_of(const struct test_pki *p)
{
    struct tls_ctx *ctx = NULL;

    assert_int_equal(tls_ctx_server(buf_view(&p->cert), buf_view(&p->key), &ctx, NULL), ERR_OK);
    return ctx;
}

/* New connections over the same settings. */
static inline void connect_as(struct pair *p, const char *name)
{
    tls_freep(&p->client);
    tls_freep(&p->server);
    assert_int_equal(tls_new(p->client_ctx, name, &p->client), ERR_OK);
    assert_int_equal(tls_new(p->server_ctx, NULL, &p->server), ERR_OK);
    assert_false(tls_is_open(p->client) || tls_is_open(p->server));
    assert_int_equal(tls_start(p->client), ERR_OK);
}

static inline struct pair pair_new(const char *name)
{
    struct pair p = { .client_ctx = client_of(&pki), .server_ctx = server_of(&pki) };

    connect_as(&p, name);
    return p;
}

/* All that one side has for the other, in pieces of at most `piece` bytes. */
static inline enum err carry(struct tls *from, struct tls *to, size_t piece, struct why *why,
                             bool *moved)
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
static inline void handshake_in_pieces(struct pair *p, size_t piece)
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

static inline void handshake(struct pair *p)
{
    handshake_in_pieces(p, SIZE_MAX);
}

static inline void opened(struct pair *p)
{
    assert_int_equal(p->client_err, ERR_OK);
    assert_int_equal(p->server_err, ERR_OK);
    assert_true(tls_is_open(p->client) && tls_is_open(p->server));
}

/* `text` goes from one to the other as it is. */
static inline void says(struct tls *from, struct tls *to, struct span text)
{
    AUTO(buf_clear) struct buf got = BUF_INIT(WIRE_MAX);
    bool moved = false;

    assert_int_equal(tls_write(from, text), ERR_OK);
    assert_int_equal(carry(from, to, SIZE_MAX, NULL, &moved), ERR_OK);
    assert_int_equal(tls_read(to, &got, NULL), ERR_OK);
    t_assert_span(buf_view(&got), text);
}

static inline int run_with_pki(const char *name, const struct CMUnitTest *tests, size_t n,
                               CMFixtureFunction set_up, CMFixtureFunction tear_down)
{
    if (crypto_process_init() != ERR_OK || crypto_new(&cx) != ERR_OK)
        return 1;
    pki = test_pki_new(cx, -TEST_PKI_HOUR, TEST_PKI_HOUR);
    other_pki = test_pki_new(cx, -TEST_PKI_HOUR, TEST_PKI_HOUR);
    int failed = _cmocka_run_group_tests(name, tests, n, set_up, tear_down);
    test_pki_clear(&pki);
    test_pki_clear(&other_pki);
    crypto_free(cx);
    return failed;
}

#endif
