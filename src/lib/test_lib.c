/* The library against a service played here, on a Unix socket: what it sends, what it keeps, how it
 * fails. Against the real service: e2e `library`. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "io/sys.h"
#include "lib/t_service.h"

/* Asks for health, and says what came of it. */
static void ask(struct nitroseal *ns, enum nitroseal_status want, const char *code,
                const char *detail)
{
    struct nitroseal_error *error = NULL;

    assert_int_equal(nitroseal_health(ns, 5000, &error), want);
    if (want == NITROSEAL_OK)
        assert_null(error);
    else
        assert_string_equal(error->code, code);
    if (detail)
        assert_string_equal(error->detail, detail);
    nitroseal_error_free(error);
}

static void keeps(void **state)
{
    (void)state;
    const struct t_turn t[] = { { .answer = HEALTHY },
                                { .answer = HEALTHY },
                                { .answer = HEALTHY } };
    struct nitroseal *ns = t_service_handle();

    t_service_turns(3, t);
    for (int i = 0; i < 3; i++)
        ask(ns, NITROSEAL_OK, NULL, NULL);
    assert_int_equal(t_service_connections(), 1);
    nitroseal_free(ns);
}

/* Closed between two requests, at once and a moment later, so that both ways to see it are taken;
 * and one that says what nobody asked for. */
static void reconnects(void **state)
{
    (void)state;
    const struct t_turn t[] = {
        { .answer = HEALTHY, .close = true },
        { .answer = HEALTHY HEALTHY },
        { .answer = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n" },
        { .answer = HEALTHY }
    };
    struct nitroseal *ns = t_service_handle();

    t_service_turns(4, t);
    ask(ns, NITROSEAL_OK, NULL, NULL);
    usleep(100000);
    for (int i = 0; i < 3; i++)
        ask(ns, NITROSEAL_OK, NULL, NULL);
    assert_int_equal(t_service_connections(), 4);
    nitroseal_free(ns);
}

/* The request was sent, and the connection ended without a byte: once more, over a new one; but
 * only where the old one had been kept. */
static void repeats_once(void **state)
{
    (void)state;
    const struct t_turn t[] = {
        { .answer = HEALTHY },           { .answer = "", .close = true },
        { .answer = HEALTHY },           { .answer = "", .close = true },
        { .answer = "", .close = true }, { .answer = "HTTP/1.1 2", .close = true },
        { .answer = HEALTHY },           { .answer = "HTTP/1.1 2", .close = true }
    };
    struct nitroseal *ns = t_service_handle();

    t_service_turns(8, t);
    ask(ns, NITROSEAL_OK, NULL, NULL);
    ask(ns, NITROSEAL_OK, NULL, NULL); /* turns 1 and 2 */
    t_assert_span(t_service_request(1), t_service_request(2));
    assert_int_equal(t_service_connections(), 2);
    ask(ns, NITROSEAL_UNREACHABLE, "closed", "closed without an answer"); /* 3 and 4 */
    assert_int_equal(t_service_done(), 5);
    ask(ns, NITROSEAL_UNREACHABLE, "closed",
        "closed in the middle of the answer"); /* 5, not again */
    ask(ns, NITROSEAL_OK, NULL, NULL);
    ask(ns, NITROSEAL_UNREACHABLE, "closed",
        "closed in the middle of the answer"); /* 7, though kept */
    assert_int_equal(t_service_done(), 8);
    nitroseal_free(ns);
}

static void refused_early(void **state)
{
    (void)state;
    const struct t_turn t[] = {
        { .answer = PROBLEM("413 Content Too Large", "57",
                            "{\"code\":\"too_large\",\"title\":\"Request is too large\",\"x\":0}"),
          .unread = true },
        { .answer = HEALTHY }
    };
    struct nitroseal *ns = t_service_handle();
    struct nitroseal_error *error = NULL;
    struct nitroseal_sealed out = { .encrypted_len = 7 };
    char *large = calloc(1, 8 << 20);

    t_service_turns(2, t);
    assert_int_equal(nitroseal_encrypt(ns, large, 8 << 20, &out, 0, &error), NITROSEAL_FAILED);
    assert_string_equal(error->code, "too_large");
    assert_string_equal(error->text, "Request is too large");
    assert_int_equal(error->http_status, 413);
    assert_null(error->detail);
    assert_int_equal(out.encrypted_len, 7);
    nitroseal_error_free(error);
    ask(ns, NITROSEAL_OK, NULL, NULL);
    assert_int_equal(t_service_connections(), 2);
    free(large);
    nitroseal_free(ns);
}

/* Gone with the request half sent, and no answer. */
static void taken_in_part(void **state)
{
    (void)state;
    const struct t_turn t[] = { { .answer = "", .unread = true, .close = true },
                                { .answer = HEALTHY } };
    struct nitroseal *ns = t_service_handle();
    struct nitroseal_error *error = NULL;
    struct nitroseal_sealed out = { .encrypted_len = 7 };
    char *large = calloc(1, 8 << 20);

    t_service_turns(2, t);
    assert_int_equal(nitroseal_encrypt(ns, large, 8 << 20, &out, 5000, &error),
                     NITROSEAL_UNREACHABLE);
    assert_string_equal(error->code, "closed");
    assert_int_equal(out.encrypted_len, 7);
    nitroseal_error_free(error);
    ask(ns, NITROSEAL_OK, NULL, NULL);
    assert_int_equal(t_service_connections(), 2); /* it was not sent once more */
    free(large);
    nitroseal_free(ns);
}

/* One without a length goes on until the connection ends; one that is broken off is no answer. */
static void framing(void **state)
{
    (void)state;
    const struct t_turn t[] = {
        { .answer = "HTTP/1.1 200 OK\r\n\r\n{}", .close = true },
        { .answer = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n" },
        { .answer = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nx\r\n" },
        { .answer = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n",
          .close = true },
        { .answer = "HTTP/1.1 101 x\r\nupgrade: other\r\n\r\n" },
        { .answer = HEALTHY },
    };
    struct nitroseal *ns = t_service_handle();

    t_service_turns(6, t);
    ask(ns, NITROSEAL_OK, NULL, NULL);
    ask(ns, NITROSEAL_OK, NULL, NULL);
    ask(ns, NITROSEAL_FAILED, "not_http", NULL);
    ask(ns, NITROSEAL_UNREACHABLE, "closed", "closed in the middle of the answer");
    ask(ns, NITROSEAL_FAILED, "not_http", "another protocol than was asked for");
    ask(ns, NITROSEAL_OK, NULL, NULL);
    nitroseal_free(ns);
}

static void late(void **state)
{
    (void)state;
    const struct t_turn t[] = { { .silent = true } };
    struct nitroseal *ns = t_service_handle();
    struct nitroseal_error *error = NULL;

    t_service_turns(1, t);
    assert_int_equal(nitroseal_health(ns, 100, &error), NITROSEAL_TIMEOUT);
    assert_string_equal(error->code, "timeout");
    assert_int_equal(nitroseal_exit_status(error->status), 3);
    nitroseal_error_free(error);
    nitroseal_free(ns);
}

static void unreachable(void **state)
{
    (void)state;
    struct nitroseal *ns = NULL;
    struct nitroseal_error *error = NULL;

    assert_int_equal(nitroseal_new("unix:/tmp/ns-nobody/none.sock", &ns, NULL), NITROSEAL_OK);
    assert_int_equal(nitroseal_connect(ns, 0, &error), NITROSEAL_UNREACHABLE);
    assert_string_equal(error->code, "unreachable");
    assert_string_equal(error->detail, "nobody listens: no such socket");
    nitroseal_error_free(error);
    assert_int_equal(nitroseal_connect(ns, 0, NULL), NITROSEAL_UNREACHABLE);
    nitroseal_free(ns);
}

static void other_protocols(void **state)
{
    (void)state;
    const struct t_turn t[] = {
        { .answer = "{\"error\":\"what?\"}", .close = true },
        { .answer = "HTTP/1.1 502 x\r\ncontent-type: text/html\r\ncontent-length: 1\r\n\r\nx" },
        { .answer = "HTTP/1.1 503 x\r\ncontent-length: 0\r\n\r\n" },
    };
    struct nitroseal *ns = t_service_handle();

    t_service_turns(3, t);
    ask(ns, NITROSEAL_FAILED, "not_http", "not an HTTP answer");
    ask(ns, NITROSEAL_FAILED, "http_status", "HTTP status 502");
    ask(ns, NITROSEAL_BUSY, "http_status", "HTTP status 503");
    nitroseal_free(ns);
}

static void statuses(void **state)
{
    (void)state;
    static const struct {
        const char *code, *more;
        enum nitroseal_status want;
        int exit;
    } rows[] = {
        { "kms_refused", "", NITROSEAL_REFUSED, 4 },
        { "kms_unavailable", ",\"kms_type\":\"ThrottlingException\"", NITROSEAL_REFUSED, 4 },
        { "kms_unavailable", "", NITROSEAL_FAILED, 1 },
        { "text_not_authentic", "", NITROSEAL_UNVERIFIED, 5 },
        { "signature_invalid", "", NITROSEAL_UNVERIFIED, 5 },
        { "key_mismatch", "", NITROSEAL_UNVERIFIED, 5 },
        { "no_credentials", "", NITROSEAL_NO_CREDENTIALS, 7 },
        { "busy", "", NITROSEAL_BUSY, 1 },
        { "stopping", "", NITROSEAL_BUSY, 1 },
        { "no_enclave", "", NITROSEAL_UNREACHABLE, 3 },
        { "enclave_unreachable", "", NITROSEAL_UNREACHABLE, 3 },
        { "enclave_failed", "", NITROSEAL_UNREACHABLE, 3 },
        { "enclave_timeout", "", NITROSEAL_TIMEOUT, 3 },
        { "one that comes later", "", NITROSEAL_FAILED, 1 },
    };
    enum { N = sizeof rows / sizeof rows[0] };
    static char texts[N][512];
    struct t_turn t[N];
    struct nitroseal *ns = t_service_handle();

    for (size_t i = 0; i < N; i++) {
        char json[256];
        snprintf(json, sizeof json, "{\"code\":\"%s\",\"title\":\"T\\u00e9\"%s}", rows[i].code,
                 rows[i].more);
        snprintf(texts[i], sizeof texts[i],
                 "HTTP/1.1 503 x\r\nretry-after: 3\r\ncontent-type: "
                 "application/problem+json\r\ncontent-length: %zu\r\n\r\n%s",
                 strlen(json), json);
        t[i] = (struct t_turn){ .answer = texts[i] };
    }
    t_service_turns(N, t);
    for (size_t i = 0; i < N; i++) {
        struct nitroseal_error *error = NULL;
        assert_int_equal(nitroseal_health(ns, 5000, &error), rows[i].want);
        assert_int_equal(error->status, rows[i].want);
        assert_int_equal(nitroseal_exit_status(error->status), rows[i].exit);
        assert_string_equal(error->code, rows[i].code);
        assert_string_equal(error->text, "Té");
        assert_int_equal(error->retry_after_s, 3);
        nitroseal_error_free(error);
    }
    assert_int_equal(nitroseal_exit_status(NITROSEAL_NOT_TEXT), 6);
    assert_int_equal(nitroseal_exit_status(NITROSEAL_NO_MEMORY), 1);
    nitroseal_free(ns);
}

static void own_credentials(void **state)
{
    (void)state;
    const struct t_turn t[] = {
        { .answer = "HTTP/1.1 200 OK\r\ncontent-length: "
                    "164\r\n\r\n{\"encrypted\":\"MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nw==\","
                    "\"signature\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\",\"ciphertext_"
                    "blob\":\"YmxvYg==\",\"key_id\":\"a\\u0072n\"}" },
        { .answer = "HTTP/1.1 200 OK\r\ncontent-length: "
                    "47\r\n\r\n{\"decrypted\":\"a\\u0000b\",\"signature_valid\":true}" },
        { .answer = "HTTP/1.1 200 OK\r\ncontent-length: "
                    "42\r\n\r\n{\"decrypted\":\"ab\",\"signature_valid\":false}" },
    };
    struct nitroseal *ns = t_service_handle();
    struct nitroseal_error *error = NULL;
    struct nitroseal_sealed sealed;
    struct nitroseal_bytes text = { .len = 99 };

    t_service_turns(3, t);
    assert_int_equal(nitroseal_set_credentials(ns, "AKID", "secret", NULL, NULL), NITROSEAL_OK);
    assert_int_equal(nitroseal_encrypt(ns, "\xff", 1, &sealed, 0, &error), NITROSEAL_NOT_TEXT);
    assert_string_equal(error->code, "not_text");
    nitroseal_error_free(error);
    assert_int_equal(nitroseal_encrypt(ns, "ab", 2, &sealed, 0, &error), NITROSEAL_OK);
    assert_non_null(memmem(t_service_request(0).ptr, t_service_request(0).len,
                           "\"secret_access_key\":\"secret\"", 28));
    assert_int_equal(sealed.encrypted_len, 28);
    assert_memory_equal(sealed.ciphertext_blob, "blob", 5); /* with the NUL behind it */
    assert_string_equal(sealed.key_id, "arn");
    assert_null(sealed.request_id);
    assert_int_equal(nitroseal_decrypt(ns, &sealed, &text, 0, &error), NITROSEAL_OK);
    assert_int_equal(text.len, 3);
    assert_memory_equal(text.data, "a\0b", 4);
    nitroseal_bytes_clear(&text);
    text.len = 99;
    assert_int_equal(nitroseal_decrypt(ns, &sealed, &text, 0, &error),
                     NITROSEAL_UNVERIFIED); /* though it says 200 */
    assert_string_equal(error->code, "signature_invalid");
    assert_int_equal(text.len, 99);
    nitroseal_error_free(error);
    nitroseal_sealed_clear(&sealed);
    assert_null(sealed.encrypted);
    nitroseal_free(ns);
}

static void arguments(void **state)
{
    (void)state;
    struct nitroseal *ns = t_service_handle();
    struct nitroseal_error *error = NULL;
    struct nitroseal_bytes b;
    struct nitroseal_sealed sealed = { .encrypted_len = 0 };
    struct nitroseal_message m;
    static char longest[8194];
    char out[4];

    memset(longest, 'a', sizeof longest);
    longest[8193] = 0;
    const enum nitroseal_status all[] = {
        nitroseal_new(NULL, &ns, NULL),
        nitroseal_new("unix:x", NULL, NULL),
        nitroseal_health(NULL, 0, NULL),
        nitroseal_health(ns, -1, NULL),
        nitroseal_health(ns, 3600001, NULL),
        nitroseal_set_timeout(ns, 0, NULL),
        nitroseal_set_timeout(ns, 3600001, NULL),
        nitroseal_random(ns, out, 0, 0, NULL),
        nitroseal_random(ns, out, 65537, 0, NULL),
        nitroseal_random(ns, NULL, 1, 0, NULL),
        nitroseal_attest(ns, "n", 0, &b, 0, NULL),
        nitroseal_attest(ns, longest, 513, &b, 0, NULL),
        nitroseal_attest(ns, "n", 1, NULL, 0, NULL),
        nitroseal_encrypt(ns, NULL, 1, &sealed, 0, NULL),
        nitroseal_encrypt(ns, "", 0, NULL, 0, NULL),
        nitroseal_decrypt(ns, &sealed, &b, 0, NULL),
        nitroseal_encrypt_text(ns, NULL, 1, &m, 0, NULL),
        nitroseal_decrypt_text(ns, "e", "s", NULL, &b, 0, NULL),
        nitroseal_set_credentials(ns, "id", NULL, NULL, NULL),
        nitroseal_set_credentials(ns, "id", longest, NULL, NULL),
        nitroseal_put_credentials(ns, "", "s", NULL, NULL, 0, NULL),
        nitroseal_new("tcp:192.0.2.1:80", &ns, &error),
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        assert_int_equal(all[i], NITROSEAL_INVALID);
    assert_string_equal(error->code, "invalid_argument");
    assert_non_null(strstr(error->detail, "loopback"));
    nitroseal_error_free(error);
    assert_int_equal(nitroseal_encrypt_text(ns, "\xff", 1, &m, 0, NULL), NITROSEAL_NOT_TEXT);
    assert_int_equal(nitroseal_put_credentials(ns, "id", "\xff", NULL, NULL, 0, &error),
                     NITROSEAL_INVALID);
    assert_string_equal(error->text, "an argument holds characters that it must not");
    nitroseal_error_free(error);
    longest[8192] = 0;
    assert_int_equal(nitroseal_set_credentials(ns, "id", longest, "", NULL), NITROSEAL_OK);
    assert_string_equal(nitroseal_version(), NITROSEAL_VERSION);
    assert_int_equal(nitroseal_set_credentials(ns, NULL, NULL, NULL, NULL), NITROSEAL_OK);
    assert_int_equal(nitroseal_set_timeout(ns, 3600000, NULL), NITROSEAL_OK);
    assert_int_equal(t_service_connections(), 0);
    nitroseal_error_free(NULL);
    nitroseal_free(NULL);
    nitroseal_free(ns);
}

static void *many(void *arg)
{
    for (int i = 0; i < 4; i++)
        if (nitroseal_health(arg, 5000, NULL) != NITROSEAL_OK)
            return arg;
    return NULL;
}

static void threads_take_turns(void **state)
{
    (void)state;
    struct t_turn t[T_REQUESTS_MAX];
    struct nitroseal *ns = t_service_handle();
    pthread_t threads[4];
    void *bad;

    for (size_t i = 0; i < T_REQUESTS_MAX; i++)
        t[i] = (struct t_turn){ .answer = HEALTHY };
    t_service_turns(T_REQUESTS_MAX, t);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, many, ns), 0);
    for (size_t i = 0; i < 4; i++) {
        pthread_join(threads[i], &bad);
        assert_null(bad);
    }
    assert_int_equal(t_service_connections(), 1);
    assert_int_equal(t_service_done(), T_REQUESTS_MAX);
    nitroseal_free(ns);
}

static void *ask_silent(void *arg)
{
    assert_int_equal(nitroseal_health(arg, 3000, NULL), NITROSEAL_TIMEOUT);
    return NULL;
}

/* The handle's own time counts also for the wait until another thread is done, and can be set
 * meanwhile. */
static void default_time(void **state)
{
    (void)state;
    const struct t_turn t[] = { { .silent = true } };
    struct nitroseal *ns = t_service_handle();
    struct nitroseal_error *error = NULL;
    pthread_t other;

    t_service_turns(1, t);
    assert_int_equal(pthread_create(&other, NULL, ask_silent, ns), 0);
    while (t_service_done() == 0)
        usleep(1000);
    uint64_t start = clock_mono_ns();
    assert_int_equal(nitroseal_set_timeout(ns, 100, NULL), NITROSEAL_OK);
    assert_int_equal(nitroseal_health(ns, 0, &error), NITROSEAL_TIMEOUT);
    assert_true(clock_mono_ns() - start < 2 * NS_PER_S);
    assert_non_null(strstr(error->text, "before this handle was free"));
    nitroseal_error_free(error);
    pthread_join(other, NULL);
    nitroseal_free(ns);
}

#define T(f) cmocka_unit_test_setup_teardown(f, t_service_make, t_service_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(keeps),         T(reconnects),      T(repeats_once),       T(refused_early),
        T(late),          T(unreachable),     T(statuses),           T(other_protocols),
        T(arguments),     T(own_credentials), T(threads_take_turns), T(default_time),
        T(taken_in_part), T(framing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
