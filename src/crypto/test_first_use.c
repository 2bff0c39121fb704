/* The first use in a process: OpenSSL sets itself up then, and each of its allocations fails once,
 * in a process of its own. It ends in an error or works; it does not crash. Linked with
 * --wrap=malloc,calloc. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crypto/crypto.h"
#include "testing/failing_malloc.h"
#include "testing/t.h"

enum {
    WORKED = 40, /* none of these is what a crash or a sanitizer ends with */
    REFUSED,
    NOT_REACHED,
};

static int use(size_t n)
{
    struct crypto *cx = NULL;
    uint8_t random[16];

    (void)signal(SIGSEGV, SIG_DFL); /* cmocka's handler is for its own process */
    countdown = n;
    enum err r = crypto_process_init();
    if (r == ERR_OK)
        r = crypto_new(&cx);
    if (r == ERR_OK)
        r = rng_bytes(cx, random, sizeof random);
    countdown = 0;
    return !hit ? NOT_REACHED : r == ERR_OK ? WORKED : REFUSED;
}

static void first_use(void **state)
{
    (void)state;
    size_t refused = 0, n;
    int status = 0;

    /* What OpenSSL is made of comes first; then thousands for names of algorithms and errors. */
    for (n = 1;; n += t_under_valgrind() ? 97 : n < 1000 ? 1 : 37) {
        fflush(NULL);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0)
            _exit(use(n));
        assert_int_equal(waitpid(child, &status, 0), child);
        if (!WIFEXITED(status) || WEXITSTATUS(status) < WORKED)
            fail_msg("allocation %zu: status %#x", n, (unsigned)status);
        if (WEXITSTATUS(status) == NOT_REACHED)
            break;
        refused += WEXITSTATUS(status) == REFUSED;
    }
    assert_true(n > 1000 && refused > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(first_use) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
