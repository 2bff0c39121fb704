/* group.h - a command that is a table of subcommands: nitroseal local, image, policy. */
#ifndef BIN_NITROSEAL_GROUP_H
#define BIN_NITROSEAL_GROUP_H

struct group_command {
    const char *name; /* NULL ends the table */
    int (*main)(int argc, char **argv);
    const char *help; /* NULL: not for people */
};

struct group {
    const char *name;  /* "nitroseal image" */
    const char *intro; /* whole lines */
    const char *last;  /* lines after the options, or NULL */
    const struct group_command *commands;
};

/* Run argv[1] of the table with the rest; print the help for --help. The status to exit with. */
int group_main(const struct group *g, int argc, char **argv);

#endif
