/* local.h - the subcommands of `nitroseal local` and what they share. */
#ifndef BIN_NITROSEAL_LOCAL_H
#define BIN_NITROSEAL_LOCAL_H

#include "bin/nitroseal/stack.h"

#define LOCAL_STATE_OPTION                                                                         \
    {                                                                                              \
        "state", 0, "DIR", "NITROSEAL_STATE", NULL,                                                \
            "State folder; without it $XDG_STATE_HOME/nitroseal or ~/.local/state/nitroseal."      \
    }
#define LOCAL_JSON_OPTION                                                                          \
    {                                                                                              \
        "json", 0, NULL, NULL, NULL, "Print JSON, also for a failure."                             \
    }

/* The state folder, absolute. `make`: make it if it is not there. CLI_OK, CLI_FILE, CLI_SETTINGS.
 */
MUST_USE int local_dir(const struct options *o, bool make, char out[static STACK_DIR_MAX + 1],
                       struct cli_fault *f);
/* `export NAME='VALUE'` lines, or one object. */
MUST_USE int local_print_exports(const struct stack_state *s, bool json, struct cli_fault *f);

int cmd_local_up(int argc, char **argv);
int cmd_local_down(int argc, char **argv);
int cmd_local_status(int argc, char **argv);
int cmd_local_kms(int argc, char **argv);

#endif
