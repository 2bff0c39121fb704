/* commands.h - the subcommands of nitro-local. Each parses its own options and returns the exit
 * status. */
#ifndef BIN_NITRO_LOCAL_COMMANDS_H
#define BIN_NITRO_LOCAL_COMMANDS_H

#include "bin/nitro-local/state.h"

int cmd_build_enclave(int argc, char **argv);
int cmd_run_enclave(int argc, char **argv);
int cmd_describe_enclaves(int argc, char **argv);
int cmd_terminate_enclave(int argc, char **argv);
int cmd_console(int argc, char **argv);
int cmd_describe_eif(int argc, char **argv);
int cmd_pcr(int argc, char **argv);
int cmd_sign_eif(int argc, char **argv);
int cmd_explain(int argc, char **argv);
int cmd_vsock(int argc, char **argv);

/* What the console of that enclave has kept, and what comes, on standard output, until the enclave
 * ends or for `seconds` (0: no limit). E45, E46. */
MUST_USE int console_follow(const struct enclave *e, unsigned seconds, struct fault *f);

#endif
