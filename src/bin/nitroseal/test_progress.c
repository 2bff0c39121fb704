#include "bin/nitroseal/progress.h"

#include "io/sys.h"
#include "testing/t.h"

static void sizes(void **state)
{
    (void)state;
    static const struct {
        uint64_t bytes;
        const char *text;
    } rows[] = {
        { 0, "0 bytes" },         { 1, "1 bytes" },           { 999, "999 bytes" },
        { 1000, "1.0 kB" },       { 99949, "99.9 kB" },       { 100000, "100 kB" },
        { 999999, "999 kB" },     { 1000000, "1.0 MB" },      { 12345678, "12.3 MB" },
        { 4000000000, "4.0 GB" }, { 999999999999, "999 GB" }, { UINT64_MAX, "18.4 EB" },
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char out[PROGRESS_SIZE_BYTES];
        progress_size(rows[i].bytes, out);
        assert_string_equal(out, rows[i].text);
    }
}

static void lines(void **state)
{
    (void)state;
    static const struct {
        struct progress_view v;
        const char *text;
    } rows[] = {
        { { .done = 0, .total = 100 },
          "[                    ]   0%  0 bytes of 100 bytes  0 bytes/s  " },
        { { .done = 1000000000, .total = 2000000000, .elapsed_ns = 2 * NS_PER_S },
          "[##########          ]  50%  1.0 GB of 2.0 GB  500 MB/s  0:02 left" },
        { { .done = 2000, .total = 2000, .elapsed_ns = NS_PER_S },
          "[####################] 100%  2.0 kB of 2.0 kB  2.0 kB/s  0:00 left" },
        { { .done = 3000, .total = 2000, .elapsed_ns = NS_PER_S },
          "[####################] 100%  3.0 kB of 2.0 kB  3.0 kB/s  0:00 left" },
        { { .done = 1000, .total = 4000000, .elapsed_ns = NS_PER_S },
          "[                    ]   0%  1.0 kB of 4.0 MB  1.0 kB/s  1:06:39 left" },
        { { .done = 1, .total = 1000000000, .elapsed_ns = NS_PER_S },
          "[                    ]   0%  1 bytes of 1.0 GB  1 bytes/s  days left" },
        { { .done = 5000000, .elapsed_ns = NS_PER_S / 2 }, "5.0 MB  10.0 MB/s" },
        { { .done = 50, .total = 100, .files_done = 3, .files = 7, .elapsed_ns = NS_PER_S },
          "[###   ]  50%  3 of 7 files  50 bytes of 100 bytes  50 bytes/s  0:01 left" },
        { { .files_done = 3, .files = 7, .elapsed_ns = NS_PER_S },
          "3 of 7 files  0 bytes  0 bytes/s" },
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char out[PROGRESS_TEXT_BYTES];
        progress_text(&rows[i].v, out);
        assert_string_equal(out, rows[i].text);
    }
}

static void fits(void **state)
{
    (void)state;
    const struct progress_view most = { UINT64_MAX, UINT64_MAX, 1, UINT64_MAX, UINT64_MAX };
    char out[PROGRESS_TEXT_BYTES];

    progress_text(&most, out);
    assert_in_range(strlen(out), 1, PROGRESS_TEXT_BYTES - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes),
        cmocka_unit_test(lines),
        cmocka_unit_test(fits),
    };

    return cmocka_run_group_tests_name("progress", tests, NULL, NULL);
}
