/* The contexts, the generator, and what crypto_process_init() promises. */
#include "crypto/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "crypto/hash.h"
#include "testing/t.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ASAN /* would refuse the look at freed memory below */
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define ASAN
#endif

static char config_path[] = "/tmp/nitroseal-test-XXXXXX";

/* A configuration that would leave no algorithm to fetch, were it read. */
static void write_hostile_config(void)
{
    static const char text[] = "openssl_conf = init\n[init]\nalg_section = algs\n"
                               "[algs]\ndefault_properties = fips=yes\n";
    int fd = mkstemp(config_path);

    if (fd < 0 || write(fd, text, sizeof text - 1) != (ssize_t)sizeof text - 1)
        abort();
    close(fd);
    setenv("OPENSSL_CONF", config_path, 1);
}

static void config_is_not_read(void **state)
{
    (void)state;
    AUTO(crypto_freep) struct crypto *cx = NULL;

    assert_int_equal(crypto_new(&cx), ERR_OK);
    assert_non_null(cx);
}

static void init_twice(void **state)
{
    (void)state;
    assert_int_equal(crypto_process_init(), ERR_OK);
}

static void free_of_nothing(void **state)
{
    (void)state;
    struct crypto *cx = NULL;

    crypto_free(NULL);
    crypto_freep(&cx);
    assert_null(cx);
}

static void realloc_keeps_bytes(void **state)
{
    (void)state;
    uint8_t *p = OPENSSL_realloc(NULL, 10);

    assert_non_null(p);
    memcpy(p, "0123456789", 10);
    p = OPENSSL_realloc(p, 100000);
    assert_non_null(p);
    assert_memory_equal(p, "0123456789", 10);
    p = OPENSSL_realloc(p, 4);
    assert_non_null(p);
    assert_memory_equal(p, "0123", 4);
    assert_null(OPENSSL_realloc(p, 0));
}

#ifndef ASAN
/* Looks into a freed block on purpose: bytes past the allocator's own two links must be gone. */
static void free_wipes(void **state)
{
    (void)state;
    if (t_under_valgrind()) /* which tells each look at freed memory */
        skip();
    enum { N = 400, LINKS = 32 };
    uint8_t *p = OPENSSL_malloc(N);
    volatile uint8_t *gone = p;
    size_t left = 0;

    assert_non_null(p);
    memset(p, 0xa5, N);
    OPENSSL_free(p);
    for (size_t i = LINKS; i < N; i++)
        left += gone[i] == 0xa5;
    assert_int_equal(left, 0);
}
#endif

static void random_bytes(void **state)
{
    (void)state;
    AUTO(crypto_freep) struct crypto *cx = NULL;
    uint8_t a[64] = { 0 }, b[64] = { 0 }, zero[64] = { 0 };

    assert_int_equal(crypto_new(&cx), ERR_OK);
    assert_int_equal(rng_bytes(cx, a, sizeof a), ERR_OK);
    assert_int_equal(rng_bytes(cx, b, sizeof b - 1), ERR_OK);
    assert_memory_not_equal(a, b, sizeof a - 1);
    assert_memory_not_equal(a, zero, sizeof a);
    assert_int_equal(b[63], 0); /* one byte fewer was asked for */
    assert_int_equal(rng_bytes(cx, NULL, 0), ERR_OK);
}

/* Across what is kept ahead: no byte comes twice, and none of another length either. */
static void random_bytes_ahead(void **state)
{
    (void)state;
    enum { N = 200, IV = 12, LONG = 2000 };
    AUTO(crypto_freep) struct crypto *cx = NULL;
    static uint8_t all[N][IV], more[LONG], zero[IV];

    assert_int_equal(crypto_new(&cx), ERR_OK);
    for (size_t i = 0; i < N; i++) {
        assert_int_equal(rng_public(cx, all[i], IV), ERR_OK);
        assert_memory_not_equal(all[i], zero, IV);
        for (size_t k = 0; k < i; k++)
            assert_memory_not_equal(all[i], all[k], IV);
    }
    assert_int_equal(rng_public(cx, more, LONG), ERR_OK);
    assert_memory_not_equal(more + LONG - IV, zero, IV);
    assert_int_equal(rng_public(cx, more, 480), ERR_OK); /* all that is ever there, */
    assert_int_equal(rng_public(cx, more, 481), ERR_OK); /* and one more */
    assert_int_equal(rng_public(cx, NULL, 0), ERR_OK);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(config_is_not_read), cmocka_unit_test(init_twice),
        cmocka_unit_test(free_of_nothing),    cmocka_unit_test(realloc_keeps_bytes),
#ifndef ASAN
        cmocka_unit_test(free_wipes),
#endif
        cmocka_unit_test(random_bytes),       cmocka_unit_test(random_bytes_ahead),
    };

    write_hostile_config();
    if (crypto_process_init() != ERR_OK)
        return 1;
    int failed = cmocka_run_group_tests_name("crypto", tests, NULL, NULL);
    unlink(config_path);
    return failed;
}
