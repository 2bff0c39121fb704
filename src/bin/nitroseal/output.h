/* output.h - where a result goes: standard output, or a file that is there whole or not at all.
 *
 * A file is written without a name in its folder (O_TMPFILE), so that nothing is left even of a
 * program that was killed; only a whole one gets its name, after it has reached the disk.
 * Where a file system cannot do that it is a file of another name, which output_close() removes.
 */
#ifndef BIN_NITROSEAL_OUTPUT_H
#define BIN_NITROSEAL_OUTPUT_H

#include "bin/nitroseal/fault.h"

enum { OUTPUT_NAME_MAX_BYTES = 256 }; /* with the NUL: what file systems take */

struct output {
    int fd;
    int folder;                        /* -1: standard output */
    const char *path;                  /* for messages */
    const char *name;                  /* in the folder: the tail of `path` */
    char other[OUTPUT_NAME_MAX_BYTES]; /* the name that it has meanwhile, or "" */
    bool text_only;                    /* a terminal: control characters are refused */
    uint64_t bytes;
};
#define OUTPUT_CLOSED ((struct output){ .fd = -1, .folder = -1 })

/* `path` NULL or "-": standard output. The path has to stay. Refused: what is there and is not a
 * regular file. CLI_OK or CLI_FILE. */
MUST_USE int output_open(const char *path, struct output *out, struct cli_fault *f);
bool output_is_terminal(const struct output *out);
/* CLI_OK, CLI_FILE, or CLI_INTERRUPTED. */
MUST_USE int output_write(struct output *out, struct span s, struct cli_fault *f);
/* All is written and right: to the disk, and under its name. CLI_OK or CLI_FILE. */
MUST_USE int output_commit(struct output *out, struct cli_fault *f);
/* A whole result at once. */
MUST_USE int output_put(const char *path, struct span s, struct cli_fault *f);
/* What was not committed is gone. */
void output_close(struct output *out);

#endif
