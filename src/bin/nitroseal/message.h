/* message.h - subcommands for messages of the Encryption SDK. */
#ifndef BIN_NITROSEAL_MESSAGE_H
#define BIN_NITROSEAL_MESSAGE_H

int cmd_inspect(int argc, char **argv);

#endif
