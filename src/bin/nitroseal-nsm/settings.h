/* settings.h - the command line of nitroseal-nsm as one value, image files measured. */
#ifndef BIN_NITROSEAL_NSM_SETTINGS_H
#define BIN_NITROSEAL_NSM_SETTINGS_H

#include "io/log.h"
#include "softnsm/softnsm.h"

enum {
    EXIT_GENERAL = 1,
    EXIT_USAGE = 2,
    EXIT_FILE = 6,
    EXIT_CONFIGURATION = 7,
};

struct settings {
    struct softnsm_settings nsm; /* spans point into argv and the environment */
    const char *socket, *state;
    bool print_pcrs;
    enum log_level level;
};

/* -1 to carry on, or the status to exit with after one line on stderr. */
MUST_USE int settings_parse(int argc, char **argv, struct settings *out);

#endif
