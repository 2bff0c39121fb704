/* options.h - one table per program: long and short options, their environment variables and
 * defaults, help and version. Precedence: option, environment, default. Used by all our programs
 * but the drop-ins with a grammar of their own. */
#ifndef BIN_COMMON_OPTIONS_H
#define BIN_COMMON_OPTIONS_H

#include <stdio.h>

#include "base/span.h"

enum { OPTIONS_GIVEN_MAX = 64, OPTION_ARGS_MAX = 32 };

struct option_def {
    const char *name;     /* without dashes: "port" */
    char letter;          /* 'p', or 0 */
    const char *arg;      /* what the value is called in the help: "PORT"; NULL: a flag */
    const char *env;      /* environment variable, or NULL. An empty variable counts as unset */
    const char *fallback; /* default as text, or NULL */
    const char *help;     /* one sentence; "" hides it */
};

struct program_def {
    const char *name;                 /* "nitroseald" */
    const char *synopsis;             /* "[OPTION ...]" */
    const char *summary;              /* one or two sentences */
    const struct option_def *options; /* ends with name == NULL */
    const char *footer;               /* examples, exit statuses; or NULL */
    unsigned args_min, args_max;      /* positional arguments */
};

struct options {
    const struct program_def *program;
    struct {
        const struct option_def *def;
        const char *value;
    } given[OPTIONS_GIVEN_MAX]; /* in the order of the command line */
    unsigned n_given;
    const char *args[OPTION_ARGS_MAX]; /* positional */
    unsigned n_args;
};

/* Fill *out from argv and the environment. Returns -1 to carry on, or the status to exit with: 0
 * after --help and --version (printed on stdout; an option `version` of the table
 * goes before ours), 2 after a usage fault (one line on stderr that
 * names it). "--" ends options. --opt=value and --opt value. */
MUST_USE int options_parse(const struct program_def *p, int argc, char **argv, struct options *out);

/* The last value given, the environment's, or the default; NULL: none. `name` must be in the table.
 */
const char *option_text(const struct options *o, const char *name);
bool option_flag(const struct options *o, const char *name);
/* All values of a repeatable option (command line only). */
unsigned option_count(const struct options *o, const char *name);
const char *option_at(const struct options *o, const char *name, unsigned i);
/* A whole number from min to max. False after a line on stderr that names option, value and range.
 */
MUST_USE bool option_u64(const struct options *o, const char *name, uint64_t min, uint64_t max,
                         uint64_t *out);

/* "PROGRAM: text" on stderr; for the one specific line before a non-zero exit. */
void complain(const struct options *o, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
