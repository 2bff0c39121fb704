/* Nothing that libuv lacks at its start may end the process, and later it must lack nothing. */
#include "testing/t.h"

#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/loop_in.h"
#include "testing/failing_malloc.h"

void *__real_realloc(void *p, size_t n);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_realloc(void *p, size_t n)
{
    return fails_now() ? NULL : __real_realloc(p, n);
}

enum { FILES = 3000, UNDER_TEST = 900 };

/* The n-th allocation fails: one run for each, to the first that none was left for. */
static void each_allocation(enum err (*run)(struct loop *l), bool with_loop)
{
    size_t n = 0;

    do {
        struct loop *l = NULL;
        if (with_loop)
            assert_int_equal(loop_new(&l), ERR_OK);
        hit = false;
        countdown = ++n;
        enum err r = run(l);
        countdown = 0;
        assert_int_equal(r, hit ? ERR_NOMEM : ERR_OK);
        loop_free(l);
    } while (hit);
    assert_true(n > 2);
}

static enum err make_one(struct loop *l)
{
    enum err r = loop_new(&l);

    countdown = 0;
    if (r == ERR_OK)
        loop_free(l);
    return r;
}

static enum err reserve(struct loop *l)
{
    return loop_reserve(l, UNDER_TEST);
}

static void without_memory(void **state)
{
    (void)state;
    each_allocation(make_one, false);
    each_allocation(reserve, true);
}

static void nothing(void *arg)
{
    (void)arg;
}

/* With as few descriptors as that, in a process of its own. */
static int status_with(rlim_t files)
{
    pid_t child = fork();
    int status = 0;

    if (child == 0) {
        struct rlimit few = { files, files };
        struct loop *l = NULL;
        int fd;
        for (fd = 3; fd < 64; fd++)
            (void)close(fd);
        if (setrlimit(RLIMIT_NOFILE, &few) != 0)
            _exit(99);
        enum err r = loop_new(&l);
        if (r == ERR_OK)
            loop_free(l);
        _exit(r == ERR_OK ? 0 : r == ERR_IO ? 1 : 2);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status)); /* and did not abort */
    return WEXITSTATUS(status);
}

static void without_descriptors(void **state)
{
    (void)state;
    if (t_under_valgrind()) /* which keeps a limit of its own */
        skip();
    for (rlim_t n = 0; n < 9; n++)
        assert_int_equal(status_with(n), 1);
    assert_int_equal(status_with(9), 0);
    assert_int_equal(status_with(64), 0);
}

static void reserved_for_all(void **state)
{
    (void)state;
    struct rlimit now;
    struct loop *l;
    struct loop_watch *w;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &now), 0);
    assert_int_equal(loop_new(&l), ERR_OK);
    assert_int_equal(loop_reserve(l, 0), ERR_IO);
    assert_true(loop_uv(l)->nwatchers < UNDER_TEST);
    assert_int_equal(loop_reserve(l, UNDER_TEST), ERR_OK);
    unsigned places = loop_uv(l)->nwatchers;
    assert_true(places >= UNDER_TEST);
    /* Past the limit of the process there is nothing to watch. */
    now.rlim_cur = FILES < now.rlim_max ? FILES : now.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
    assert_int_equal(loop_reserve(l, 1u << 20), ERR_OK);
    places = loop_uv(l)->nwatchers;
    assert_true(places >= now.rlim_cur && places < 4 * now.rlim_cur);
    /* Then the highest one takes no memory but its own. */
    int fd = eventfd(0, EFD_CLOEXEC), high = dup2(fd, (int)now.rlim_cur - 1);
    assert_true(high >= 0);
    countdown = 2;
    hit = false;
    assert_int_equal(loop_watch_new(l, high, nothing, NULL, &w), ERR_OK);
    assert_false(hit);
    countdown = 0;
    assert_int_equal(loop_uv(l)->nwatchers, places);
    loop_watch_free(w);
    close(fd);
    close(high);
    loop_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_memory),
        cmocka_unit_test(without_descriptors),
        cmocka_unit_test(reserved_for_all),
    };

    return cmocka_run_group_tests_name("loop_room", tests, NULL, NULL);
}
