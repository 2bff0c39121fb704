/* words.h - the files `cmd` and `env` of an image: one word a line, no quoting (enclave-init.md
 * section 3), so a word with a line feed cannot be said. */
#ifndef IMAGE_WORDS_H
#define IMAGE_WORDS_H

#include "base/buf.h"

/* Append a word and a line feed. ERR_MALFORMED: it holds a line feed or a NUL; ERR_LIMIT. */
MUST_USE enum err words_add(struct buf *lines, struct span word, const char **what);
/* Set NAME=value: in the place of the line that sets NAME, or at the end. ERR_MALFORMED: no name,
 * no
 * '=', a line feed; ERR_LIMIT, ERR_NOMEM. */
MUST_USE enum err words_set(struct buf *lines, struct span assignment, const char **what);
/* The value of NAME, absent if no line sets it. */
struct span words_get(const struct buf *lines, const char *name);
/* Line `i` without its line feed; absent past the end. */
struct span words_at(const struct buf *lines, unsigned i);

#endif
