#include "testing/t.h"

#include <stdio.h>
#include <stdlib.h>

#include "boot/boot.h"

/* An exact copy on the heap, so that the sanitizer sees one byte over. */
static struct span heap(const void *bytes, size_t len)
{
    uint8_t *copy = malloc(len ? len : 1);

    assert_non_null(copy);
    memcpy(copy, bytes, len);
    return span_of(copy, len);
}

static const struct words_row {
    const char *name;
    bool env;
    struct span file;
    enum err want;
    const char *what; /* why.what; for ERR_OK the words, with "|" after each */
    size_t at;
} words_rows[] = {
    { "cmd: one word", false, SPAN_INIT("/app\n"), ERR_OK, "/app|", 0 },
    { "cmd: the last LF may be absent", false, SPAN_INIT("/app\n-x"), ERR_OK, "/app|-x|", 0 },
    { "cmd: an empty line is an empty argument", false, SPAN_INIT("a\n\nb\n\n"), ERR_OK, "a||b||",
      0 },
    { "cmd: nothing is quoted, trimmed or a comment", false, SPAN_INIT("a\n \"b c\" \n#d\n\r\n"),
      ERR_OK, "a| \"b c\" |#d|\r|", 0 },
    { "cmd: empty", false, SPAN_INIT(""), ERR_MALFORMED,
      "empty: it names the program, one argument a line", 0 },
    { "cmd: empty program", false, SPAN_INIT("\nx\n"), ERR_MALFORMED,
      "the first line, the program, is empty", 0 },
    { "cmd: a NUL", false, SPAN_INIT("a\nb\0c\n"), ERR_MALFORMED, "a line has a NUL", 2 },
    { "env: empty", true, SPAN_INIT(""), ERR_OK, "", 0 },
    { "env: two", true, SPAN_INIT("A=1\nB==\n"), ERR_OK, "A=1|B==|", 0 },
    { "env: empty lines are passed over", true, SPAN_INIT("\nA=\n\n\nB=x"), ERR_OK, "A=|B=x|", 0 },
    { "env: no equals sign", true, SPAN_INIT("A=1\nB\n"), ERR_MALFORMED, "a line is not NAME=value",
      4 },
    { "env: no name", true, SPAN_INIT("=1\n"), ERR_MALFORMED, "a line is not NAME=value", 0 },
    { "env: a NUL", true, SPAN_INIT("A=\0\n"), ERR_MALFORMED, "a line has a NUL", 0 },
};

static void words_row(void **state)
{
    const struct words_row *row = *state;
    char untouched[] = "untouched", joined[256] = "";
    struct boot_words out = { .text = untouched };
    struct why why = { 0 };
    struct span in = heap(row->file.ptr, row->file.len);

    enum err r = (row->env ? boot_env_parse : boot_cmd_parse)(in, &out, &why);
    free((void *)(uintptr_t)in.ptr); /* nothing points into it any more */
    assert_int_equal(r, row->want);
    if (r != ERR_OK) {
        assert_string_equal(why.what, row->what);
        assert_int_equal(why.at, row->at);
        assert_ptr_equal(out.text, untouched);
        return;
    }
    for (size_t i = 0; i < out.n; i++) {
        size_t used = strlen(joined);
        (void)snprintf(joined + used, sizeof joined - used, "%s|", out.ptr[i]);
    }
    assert_string_equal(joined, row->what);
    assert_null(out.ptr[out.n]);
    boot_words_clear(&out);
    assert_int_equal(out.n, 0);
}

static void words_limits(void **state)
{
    char *file = malloc(BOOT_FILE_MAX + 1);
    struct boot_words out = { 0 };
    struct why why = { 0 };

    (void)state;
    assert_non_null(file);
    for (size_t i = 0; i <= BOOT_WORDS_MAX; i++)
        memcpy(file + 2 * i, "a\n", 2);
    assert_int_equal(boot_cmd_parse(span_of(file, 2 * BOOT_WORDS_MAX), &out, &why), ERR_OK);
    assert_int_equal(out.n, BOOT_WORDS_MAX);
    boot_words_clear(&out);
    assert_int_equal(boot_cmd_parse(span_of(file, 2 * BOOT_WORDS_MAX + 2), &out, &why), ERR_LIMIT);
    assert_string_equal(why.what, "more than 4096 lines");

    memset(file, 'a', BOOT_FILE_MAX + 1);
    assert_int_equal(boot_cmd_parse(span_of(file, BOOT_WORD_MAX - 1), &out, &why), ERR_OK);
    boot_words_clear(&out);
    assert_int_equal(boot_cmd_parse(span_of(file, BOOT_WORD_MAX), &out, &why), ERR_LIMIT);
    assert_string_equal(why.what, "a line is longer than the kernel takes");

    for (size_t i = 1000; i < BOOT_FILE_MAX; i += 1000)
        file[i] = '\n';
    assert_int_equal(boot_cmd_parse(span_of(file, BOOT_FILE_MAX), &out, &why), ERR_OK);
    boot_words_clear(&out);
    assert_int_equal(boot_cmd_parse(span_of(file, BOOT_FILE_MAX + 1), &out, &why), ERR_LIMIT);
    assert_string_equal(why.what, "longer than 1 MiB");
    free(file);
}

static void environment_is_asked(void **state)
{
    AUTO(boot_words_clear) struct boot_words env = { 0 };

    (void)state;
    assert_null(boot_env_get(&env, "PATH"));
    assert_int_equal(
        boot_env_parse(SPAN_LIT("PATHS=/no\nPATH=/first:/x\nPATH=/second\nE=\n"), &env, NULL),
        ERR_OK);
    assert_string_equal(boot_env_get(&env, "PATH"), "/first:/x");
    assert_string_equal(boot_env_get(&env, "E"), "");
    assert_null(boot_env_get(&env, "PAT"));
}

static const struct candidate_row {
    const char *name, *path, *program;
    unsigned n;
    enum err want;
    const char *out;
} candidate_rows[] = {
    { "with a slash: as it is", "/a:/b", "/usr/bin/x", 0, ERR_OK, "/usr/bin/x" },
    { "relative with a slash", "/a", "./x", 0, ERR_OK, "./x" },
    { "with a slash: only one", "/a:/b", "/usr/bin/x", 1, ERR_MORE, "" },
    { "first folder", "/a:/b", "x", 0, ERR_OK, "/a/x" },
    { "second folder", "/a:/b", "x", 1, ERR_OK, "/b/x" },
    { "past the last", "/a:/b", "x", 2, ERR_MORE, "" },
    { "empty and relative folders are passed over", ":a:/b::.:/c:", "x", 1, ERR_OK, "/c/x" },
    { "and nothing follows them", ":a:/b::.:/c:", "x", 2, ERR_MORE, "" },
    { "an empty PATH", "", "x", 0, ERR_MORE, "" },
    { "no PATH: the default", NULL, "x", 0, ERR_OK, "/sbin/x" },
    { "no PATH: the last", NULL, "x", 3, ERR_OK, "/usr/bin/x" },
    { "no PATH: no more", NULL, "x", 4, ERR_MORE, "" },
};

static void candidate_row(void **state)
{
    const struct candidate_row *row = *state;
    static char out[BOOT_PATH_MAX + 1];

    out[0] = 0;
    assert_int_equal(boot_candidate(row->path, row->program, row->n, out), row->want);
    assert_string_equal(out, row->out);
}

static void candidate_limits(void **state)
{
    static char program[BOOT_PATH_MAX + 2], out[BOOT_PATH_MAX + 1];

    (void)state;
    memset(program, 'x', sizeof program);
    program[BOOT_PATH_MAX - 3] = '\0'; /* "/a/" goes before it */
    assert_int_equal(boot_candidate("/a", program, 0, out), ERR_OK);
    assert_int_equal(strlen(out), BOOT_PATH_MAX);
    program[BOOT_PATH_MAX - 3] = 'x';
    program[BOOT_PATH_MAX - 2] = '\0';
    assert_int_equal(boot_candidate("/a", program, 0, out), ERR_LIMIT);
    program[BOOT_PATH_MAX - 2] = 'x';
    program[0] = '/';
    program[BOOT_PATH_MAX] = '\0';
    assert_int_equal(boot_candidate(NULL, program, 0, out), ERR_OK);
    program[BOOT_PATH_MAX] = 'x';
    program[BOOT_PATH_MAX + 1] = '\0';
    assert_int_equal(boot_candidate(NULL, program, 0, out), ERR_LIMIT);
}

int main(void)
{
    enum { WORDS = sizeof words_rows / sizeof *words_rows };
    enum { CANDIDATES = sizeof candidate_rows / sizeof *candidate_rows };
    struct CMUnitTest tests[WORDS + CANDIDATES + 3] = {
        cmocka_unit_test(words_limits),
        cmocka_unit_test(environment_is_asked),
        cmocka_unit_test(candidate_limits),
    };

    T_ROWS(tests + 3, words_rows, words_row);
    T_ROWS(tests + 3 + WORDS, candidate_rows, candidate_row);
    return cmocka_run_group_tests_name("boot: words", tests, NULL, NULL);
}
