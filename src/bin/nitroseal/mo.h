/* mo.h - a compiled message catalogue (GNU gettext manual, "The Format of GNU MO Files").
 *
 * The C library finds a catalogue only where the system has the locale installed, which a small
 * image rarely has; this reader needs the file alone. Pure. Accepted: both byte orders, revision 0,
 * sorted originals (as msgfmt writes them). Not used: the hash table, plural forms, contexts.
 */
#ifndef BIN_NITROSEAL_MO_H
#define BIN_NITROSEAL_MO_H

#include "base/span.h"

struct mo { /* a checked catalogue; borrows the file's bytes */
    struct span file;
    uint32_t n, originals, translations; /* count, offsets of the two tables */
    bool swapped;
};

/* Every entry of both tables is checked to lie inside, with its NUL. ERR_MALFORMED,
 * ERR_UNSUPPORTED (revision). *out is untouched on failure. */
MUST_USE enum err mo_parse(struct span file, struct mo *out, struct why *why);

/* The translation, which lives as long as the file's bytes, or NULL. */
const char *mo_find(const struct mo *mo, const char *original);

#endif
