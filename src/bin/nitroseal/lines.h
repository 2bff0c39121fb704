/* lines.h - many requests in one run: a line of input each, an object of output each, in the order
 * of the input; several at once, over connections of their own; in bounded memory. */
#ifndef BIN_NITROSEAL_LINES_H
#define BIN_NITROSEAL_LINES_H

#include "bin/nitroseal/link.h"

#define CLI_LINES_OPTIONS                                                                           \
    {                                                                                               \
        "lines", 0,                                                                                 \
        NULL,    NULL,                                                                              \
        NULL,    "Many in one run: each line of standard input is one, and gives one line of JSON." \
    },                                                                                              \
    {                                                                                               \
        "jobs", 0, "N", NULL, "4", "How many lines, or files of a folder, are under way at once."   \
    }

enum { LINES_JOBS_MAX = 64, LINES_LINE_MAX_BYTES = 16 << 20 };

/* One line: append an object and a line feed to `out`. CLI_OK, or the fault is set. */
typedef int lines_one(const struct options *o, const struct cli_enclave *e, struct cli_link *link,
                      struct span line, const struct proto_credentials *cred, struct buf *out,
                      struct cli_exchange *x, struct cli_fault *f);

/* From standard input to standard output, until its end. A line that fails gives {"line": N,
 * "error": ..., "exit_status": ...}. CLI_OK: all lines did. Else the fault is set, with the status
 * that all failed lines share, or CLI_FAILED. */
MUST_USE int lines_run(const struct options *o, const struct cli_enclave *e, lines_one *one,
                       struct cli_fault *f);

#endif
