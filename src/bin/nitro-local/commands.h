/* commands.h - the subcommands of nitro-local. Each parses its own options and returns the exit
 * status. */
#ifndef BIN_NITRO_LOCAL_COMMANDS_H
#define BIN_NITRO_LOCAL_COMMANDS_H

int cmd_vsock(int argc, char **argv);

#endif
