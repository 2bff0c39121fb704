#include "testing/t.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

/* In place of cmocka's own: up to 1.1.5 it writes "not ok N # SKIP" for a test that skips itself,
 * and whoever reads TAP counts that as a failure. */
__attribute__((visibility("default"))) void print_message(const char *const format, ...)
{
    static const char skipped[] = "not ok %u # SKIP";
    bool says_not = strncmp(format, skipped, sizeof skipped - 1) == 0;
    va_list args;

    va_start(args, format);
    vprint_message(says_not ? format + 4 : format, args);
    va_end(args);
}

struct span t_copy(struct span s)
{
    uint8_t *p = malloc(s.len ? s.len : 1);
    assert_non_null(p);
    if (s.len)
        memcpy(p, s.ptr, s.len);
    return span_of(p, s.len);
}

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

struct span t_unhex(const char *hex)
{
    uint8_t *p = malloc(strlen(hex) / 2 + 1);
    size_t digits = 0;

    assert_non_null(p);
    for (; *hex; hex++) {
        if (*hex == ' ')
            continue;
        int d = digit(*hex);
        if (d < 0)
            fail_msg("not a hex digit: %c", *hex);
        p[digits / 2] = (uint8_t)(digits % 2 ? p[digits / 2] | d : d << 4);
        digits++;
    }
    assert_int_equal(digits % 2, 0);
    struct span exact = t_copy(span_of(p, digits / 2));
    free(p);
    return exact;
}

void t_free(struct span s)
{
    /* A span is a const view; these came from malloc above. */
    union {
        const uint8_t *view;
        uint8_t *own;
    } u = { .view = s.ptr };
    free(u.own);
}

struct span t_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    struct stat st;

    if (!f || fstat(fileno(f), &st) != 0)
        fail_msg("cannot read %s", path);
    uint8_t *p = malloc(st.st_size ? (size_t)st.st_size : 1);
    assert_non_null(p);
    size_t n = fread(p, 1, (size_t)st.st_size, f);
    fclose(f);
    assert_int_equal(n, st.st_size);
    return span_of(p, n);
}

const char *t_vectors_dir(void)
{
    const char *dir = getenv("NITROSEAL_VECTORS");
    struct stat st;

    return dir && stat(dir, &st) == 0 && S_ISDIR(st.st_mode) ? dir : NULL;
}

struct span t_vector(const char *relative)
{
    const char *dir = t_vectors_dir();
    char path[2048];

    if (!dir) {
        print_message("# skipped: shared vectors are not here (NITROSEAL_VECTORS)\n");
        skip();
    }
    snprintf(path, sizeof path, "%s/%s", dir, relative);
    return t_file(path);
}

void t_assert_span(struct span got, struct span want)
{
    assert_int_equal(got.len, want.len);
    if (want.len)
        assert_memory_equal(got.ptr, want.ptr, want.len);
}

void t_assert_buf(const struct buf *b, const char *text)
{
    t_assert_span(buf_view(b), span_str(text));
}

void t_assert_lines(const struct buf *b, const char *const *lines, size_t n)
{
    struct span rest = buf_view(b);

    for (size_t i = 0; i < n; i++) {
        struct span line = span_cut(&rest, '\n');
        if (!span_is(line, lines[i]) || !rest.ptr)
            fail_msg("line %zu: %.*s in place of %s", i + 1, (int)line.len, (const char *)line.ptr,
                     lines[i]);
    }
    assert_int_equal(rest.len, 0);
}

bool t_under_valgrind(void)
{
    const char *preloaded = getenv("LD_PRELOAD");

    return preloaded && strstr(preloaded, "vgpreload");
}

size_t t_rows(struct CMUnitTest *to, const void *rows, size_t n, size_t bytes, size_t name_at,
              struct CMUnitTest as)
{
    for (size_t i = 0; i < n; i++) {
        /* cmocka hands state on as it is: the row stays const where it is read as such. */
        const union {
            const char *ours;
            void *state;
        } row = { .ours = (const char *)rows + i * bytes };
        to[i] = as;
        memcpy(&to[i].name, row.ours + name_at, sizeof to[i].name);
        to[i].initial_state = row.state;
    }
    return n;
}
