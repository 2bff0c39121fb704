/* Every allocation of a worker fails once, ours and OpenSSL's: the answer then says so, and blames
 * neither KMS nor the text. Linked with --wrap=malloc,calloc. */
#include "enclave/test_world.h"
#include "testing/failing_malloc.h"

static size_t fail_at;

static void fail_in_work(bool begins)
{
    countdown = begins ? fail_at : 0;
}

/* The n-th allocation of each work fails. True: there was one. */
static bool opens_without(struct world *w, size_t n, struct span request, unsigned *refused)
{
    world_ask(w, request);
    hit = false;
    fail_at = n;
    world_on_work = fail_in_work;
    world_kms_good(w);
    world_on_work = NULL;
    assert_int_equal(w->a.kind, ENCLAVE_ANSWER);
    if (w->a.code) {
        world_failed(w, "busy");
        assert_true(hit);
        ++*refused;
    }
    return hit;
}

static void each(struct world *w, struct span request)
{
    unsigned refused = 0;
    size_t n = 1;

    world_ask(w, request); /* what is made once is there now */
    world_kms_good(w);
    assert_null(w->a.code);
    while (opens_without(w, n, request, &refused))
        n++;
    assert_in_range(n, 10, 100000);
    assert_in_range(refused, 10, 100000);
}

static void encrypting(void **state)
{
    (void)state;
    struct world w = world_new(NULL);

    each(&w, span_str(T_ENCRYPT("\"m\"")));
    world_clear(&w);
}

static void decrypting(void **state)
{
    (void)state;
    struct world w = world_new(NULL);

    struct span request = world_sealed(&w, SPAN_LIT("m"), true);

    each(&w, request);
    t_free(request);
    world_clear(&w);
}

static int setup(void **state)
{
    return crypto_process_init() == ERR_OK ? world_setup(state) : -1;
}

int main(void)
{
    static const struct CMUnitTest tests[] = { cmocka_unit_test(encrypting),
                                               cmocka_unit_test(decrypting) };

    return cmocka_run_group_tests_name("enclave_faults", tests, setup, world_teardown);
}
