/* fault.h - exit statuses, a failure on its way to the user, output. */
#ifndef BIN_NITROSEAL_FAULT_H
#define BIN_NITROSEAL_FAULT_H

#include "base/buf.h"
#include "bin/common/options.h"
#include "bin/nitroseal/i18n.h"

enum cli_exit { /* DESIGN section 9 */
                CLI_OK = 0,
                CLI_FAILED = 1,
                CLI_USAGE = 2,
                CLI_UNREACHABLE = 3,
                CLI_REFUSED = 4,
                CLI_UNVERIFIED = 5,
                CLI_FILE = 6,
                CLI_SETTINGS = 7,
};

#define CLI_EXIT_STATUSES                                                                          \
    "Exit status: 0 done, 1 failed, 2 usage, 3 enclave not reached, 4 refused by KMS,\n"           \
    "5 did not verify, 6 input or output, 7 settings or credentials, 130 interrupted.\n"

/* A failure on its way to the user. */
struct cli_fault {
    int status;
    struct buf text; /* one line */
    struct buf
        json; /* the same as an object, where the enclave or KMS said more than a line holds */
};

enum { CLI_FAULT_MAX_BYTES = 16384 };
#define CLI_FAULT_INIT                                                                             \
    ((struct cli_fault){ .text = BUF_INIT(CLI_FAULT_MAX_BYTES),                                    \
                         .json = BUF_INIT(4 * CLI_FAULT_MAX_BYTES) })

void cli_fault_clear(struct cli_fault *f);
/* Sets status and text, forgets an object; returns the status. */
int cli_fault_set(struct cli_fault *f, int status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The line on stderr; with `json` an object on stdout besides. Returns the status. */
int cli_fault_print(const struct options *o, struct cli_fault *f, bool json);

/* A subcommand: its options, `run`, and a fault on its way out, as an object too where --json is
 * given. A status without a text is an answer: a denial, a difference. */
typedef int cli_run(const struct options *o, struct cli_fault *f);
int cli_command(const struct program_def *program, int argc, char **argv, cli_run *run);

/* Append text that somebody else wrote: control characters, and what is no UTF-8, become '?'. */
void cli_append_clean(struct buf *out, struct span text);
/* Write all to stdout. CLI_OK, or CLI_FILE after setting the fault. */
MUST_USE int cli_print(struct span s, struct cli_fault *f);

#endif
