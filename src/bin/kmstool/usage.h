/* usage.h - the table of options, and the help that is made from it. */
#ifndef BIN_KMSTOOL_USAGE_H
#define BIN_KMSTOOL_USAGE_H

#include "bin/kmstool/args.h"

enum option_id {
    OPT_REGION,
    OPT_PROXY_PORT,
    OPT_ACCESS_KEY_ID,
    OPT_SECRET_ACCESS_KEY,
    OPT_SESSION_TOKEN,
    OPT_CIPHERTEXT,
    OPT_KEY_ID,
    OPT_ENCRYPTION_ALGORITHM,
    OPT_KEY_SPEC,
    OPT_LENGTH,
    OPT_HELP,
    OPT_ENCRYPTION_CONTEXT, /* from here on ours */
    OPT_GRANT_TOKEN,
    OPT_NUMBER_OF_BYTES,
    OPT_PUBLIC_KEY,
    OPT_CREDENTIALS_FD,
    OPT_PROXY_CID,
    OPT_ENDPOINT,
    OPT_CA_FILE,
    OPT_NSM,
    OPT_VSOCK,
    OPT_SOCKET,
    OPT_JSON,
};

struct option {
    const char *name;  /* without dashes */
    char letter;       /* 0: none */
    const char *arg;   /* NULL: a flag */
    unsigned commands; /* bit n: command n has it */
    const char *help;
};

/* By exact name, or by letter; -1: none. */
int option_by_name(struct span name);
int option_by_letter(char letter);
const struct option *option_at_id(enum option_id id);
static inline bool option_belongs(const struct option *o, enum kmstool_command c)
{
    return (o->commands >> c & 1u) != 0;
}

/* KMSTOOL_COMMANDS: no such command. */
enum kmstool_command command_by_name(const char *name);
const char *command_name(enum kmstool_command c);
/* The help of one command, or the list of commands. Appended; cut short if there is no room. */
void usage_write(enum kmstool_command c, struct buf *err);
void usage_write_commands(struct buf *err);

#endif
