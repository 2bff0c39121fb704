/* t.h - what every unit test needs. Names start with t_ because cmocka owns test_. */
#ifndef TESTING_T_H
#define TESTING_T_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"

/* Exact-size heap copies, so that ASan sees one byte over. Freed with t_free(). An empty input
 * gives a 1-byte block of length 0. */
struct span t_copy(struct span s);
struct span t_unhex(const char *hex); /* spaces ignored; fails the test on a bad digit */
void t_free(struct span s);

/* A file's bytes; the test fails if it cannot be read. */
struct span t_file(const char *path);
/* The shared vectors' folder (NITROSEAL_VECTORS), or NULL where it is absent: then skip(). */
const char *t_vectors_dir(void);
/* A file below it; skips the calling test, saying so, where the folder is absent. */
struct span t_vector(const char *relative);

/* The rows of a table as tests, each with its `name` and a pointer to itself as state, appended to
 * where `to` points: `n += T_ROWS(tests + n, rows, row);`. Returns how many. */
#define T_ROWS(to, rows, run) T_ROWS_WITH(to, rows, run, NULL, NULL)
#define T_ROWS_WITH(to, rows, run, setup, teardown)                                                \
    t_rows(to, rows, sizeof(rows) / sizeof((rows)[0]), sizeof((rows)[0]),                          \
           offsetof(__typeof__((rows)[0]), name),                                                  \
           (struct CMUnitTest){ NULL, run, setup, teardown, NULL })
size_t t_rows(struct CMUnitTest *to, const void *rows, size_t n, size_t bytes, size_t name_at,
              struct CMUnitTest as);

/* valgrind runs this: tens of times slower, and through system calls of its own. */
bool t_under_valgrind(void);

/* buf content equals the text / the hex. */
void t_assert_buf(const struct buf *b, const char *text);
/* buf content is these lines, each with a line feed behind it, and no more. */
void t_assert_lines(const struct buf *b, const char *const *lines, size_t n);
void t_assert_span(struct span got, struct span want);

#endif
