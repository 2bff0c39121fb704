/* A test that skips itself is told as one that was skipped. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "testing/t.h"

static void skips(void **state)
{
    (void)state;
    skip();
}

static void passes(void **state)
{
    (void)state;
}

static void fails(void **state)
{
    (void)state;
    fail();
}

static void told(void **state)
{
    (void)state;
    char self[512], command[600], line[200];
    static const char *const starts[] = { "1..3", "ok 1 # SKIP skips", "ok 2 - passes",
                                          "not ok 3 - fails" };
    size_t n = 0;

    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
    assert_true(len > 0);
    self[len] = '\0';
    snprintf(command, sizeof command, "CMOCKA_MESSAGE_OUTPUT=TAP '%s' some 2>/dev/null", self);
    FILE *f = popen(command, "r");
    assert_non_null(f);
    while (n < 4 && fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = '\0';
        assert_string_equal(line, starts[n]);
        n++;
    }
    assert_int_equal(n, 4);
    while (fgets(line, sizeof line, f)) {
    }
    assert_int_equal(WEXITSTATUS(pclose(f)), 1);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest some[] = { cmocka_unit_test(skips), cmocka_unit_test(passes),
                                       cmocka_unit_test(fails) };
    const struct CMUnitTest tests[] = { cmocka_unit_test(told) };

    (void)argv;
    return argc > 1 ? cmocka_run_group_tests(some, NULL, NULL)
                    : cmocka_run_group_tests(tests, NULL, NULL);
}
