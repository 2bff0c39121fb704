/* Files that are there whole or not at all, with and without O_TMPFILE. */
#include "bin/nitroseal/output.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "testing/t.h"

int __real_openat(int folder, const char *path, int flags, ...);
int __wrap_openat(int folder, const char *path, int flags, mode_t mode);
int __real_openat64(int folder, const char *path, int flags, ...);
int __wrap_openat64(int folder, const char *path, int flags, mode_t mode);

static bool no_tmpfile;

int __wrap_openat(int folder, const char *path, int flags, mode_t mode)
{
    if (no_tmpfile && (flags & O_TMPFILE) == O_TMPFILE) {
        errno = EOPNOTSUPP;
        return -1;
    }
    return __real_openat(folder, path, flags, mode);
}

int __wrap_openat64(int folder, const char *path, int flags, mode_t mode)
{
    return __wrap_openat(folder, path, flags, mode);
}

static char folder[64], path[128];

static int start(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/test-output-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/result", folder);
    return 0;
}

static unsigned names(void)
{
    DIR *d = opendir(folder);
    unsigned n = 0;

    assert_non_null(d);
    for (const struct dirent *e; (e = readdir(d));)
        n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    closedir(d);
    return n;
}

static int stop(void **state)
{
    (void)state;
    (void)unlink(path);
    return rmdir(folder);
}

static void assert_content(const char *want)
{
    struct span got = t_file(path);

    t_assert_span(got, span_str(want));
    t_free(got);
}

static void write_one(const char *text, bool commit)
{
    AUTO(cli_fault_clear) struct cli_fault f = CLI_FAULT_INIT;
    AUTO(output_close) struct output o = OUTPUT_CLOSED;

    assert_int_equal(output_open(path, &o, &f), CLI_OK);
    assert_false(output_is_terminal(&o));
    assert_int_equal(output_write(&o, span_str(text), &f), CLI_OK);
    assert_int_equal(output_write(&o, SPAN_EMPTY, &f), CLI_OK);
    assert_int_equal(o.bytes, strlen(text));
    if (commit)
        assert_int_equal(output_commit(&o, &f), CLI_OK);
}

static void both_ways(void **state)
{
    (void)state;
    struct stat st;

    for (int i = 0; i < 2; i++) {
        no_tmpfile = i == 1;
        write_one("half", false);
        assert_int_equal(names(), 0);
        write_one("first", true);
        assert_content("first");
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
        write_one("half of another", false);
        assert_content("first");
        write_one("second", true);
        assert_content("second");
        assert_int_equal(names(), 1);
        assert_int_equal(unlink(path), 0);
    }
    no_tmpfile = false;
}

/* Another name is there while it is written, where it cannot do without one, and for its owner
 * only. */
static void other_name(void **state)
{
    (void)state;
    AUTO(cli_fault_clear) struct cli_fault f = CLI_FAULT_INIT;
    AUTO(output_close) struct output o = OUTPUT_CLOSED;
    struct stat st;

    assert_int_equal(output_open(path, &o, &f), CLI_OK);
    assert_int_equal(names(), 0);
    output_close(&o);
    no_tmpfile = true;
    assert_int_equal(output_open(path, &o, &f), CLI_OK);
    no_tmpfile = false;
    assert_int_equal(names(), 1);
    assert_int_equal(fstat(o.fd, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    output_close(&o);
    assert_int_equal(names(), 0);
}

/* As long as a file system takes it: the name that it has meanwhile must not be longer. */
static void longest_name(void **state)
{
    (void)state;
    char at[sizeof folder + OUTPUT_NAME_MAX_BYTES + 1];
    size_t head = (size_t)snprintf(at, sizeof at, "%s/", folder);

    memset(at + head, 'n', OUTPUT_NAME_MAX_BYTES - 1);
    at[head + OUTPUT_NAME_MAX_BYTES - 1] = 0;
    for (int i = 0; i < 2; i++) {
        AUTO(cli_fault_clear) struct cli_fault f = CLI_FAULT_INIT;
        AUTO(output_close) struct output o = OUTPUT_CLOSED;
        no_tmpfile = i == 1;
        int status = output_open(at, &o, &f);
        no_tmpfile = false;
        assert_int_equal(status, CLI_OK);
        assert_int_equal(output_write(&o, SPAN_LIT("whole"), &f), CLI_OK);
        assert_int_equal(output_commit(&o, &f), CLI_OK);
        assert_int_equal(names(), 1);
        assert_int_equal(unlink(at), 0);
    }
}

static void refused(const char *to, const char *word)
{
    AUTO(cli_fault_clear) struct cli_fault f = CLI_FAULT_INIT;
    AUTO(output_close) struct output o = OUTPUT_CLOSED;

    assert_int_equal(output_open(to, &o, &f), CLI_FILE);
    assert_int_equal(o.fd, -1);
    assert_non_null(buf_cstr(&f.text));
    assert_non_null(strstr((const char *)f.text.ptr, word));
}

static void refusals(void **state)
{
    (void)state;
    char slash[160], nowhere[160], long_name[512];

    refused("/dev/null", "no regular file");
    refused("/tmp", "folder");
    snprintf(slash, sizeof slash, "%s/", folder);
    refused(slash, "folder");
    snprintf(nowhere, sizeof nowhere, "%s/no/file", folder);
    refused(nowhere, "cannot write");
    memset(long_name, 'x', sizeof long_name);
    long_name[OUTPUT_NAME_MAX_BYTES] = 0;
    refused(long_name, "cannot write");
    assert_int_equal(symlink("/dev/null", path), 0);
    refused(path, "no regular file");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    refused(path, "no regular file");
    assert_int_equal(unlink(path), 0);
}

static void control_characters(void **state)
{
    (void)state;
    AUTO(cli_fault_clear) struct cli_fault f = CLI_FAULT_INIT;
    AUTO(output_close) struct output o = OUTPUT_CLOSED;

    assert_int_equal(output_open(path, &o, &f), CLI_OK);
    o.text_only = true;
    assert_int_equal(output_write(&o, SPAN_LIT("Gr\xc3\xbc\xc3\x9f\t\r\n"), &f), CLI_OK);
    assert_int_equal(output_write(&o, SPAN_LIT("\x1b[2J"), &f), CLI_FILE);
    assert_int_equal(output_write(&o, SPAN_LIT("a\0b"), &f), CLI_FILE);
    assert_int_equal(output_write(&o, SPAN_LIT("\x7f"), &f), CLI_FILE);
    assert_int_equal(o.bytes, 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_ways),          cmocka_unit_test(other_name),
        cmocka_unit_test(longest_name),       cmocka_unit_test(refusals),
        cmocka_unit_test(control_characters),
    };

    return cmocka_run_group_tests_name("output", tests, start, stop);
}
