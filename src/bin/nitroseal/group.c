#include "bin/nitroseal/group.h"

#include <stdio.h>

#include "bin/nitroseal/fault.h"

static int help(const struct group *g)
{
    printf("Usage: %s COMMAND [OPTION ...]\n\n%s\nCommands:\n", g->name, g->intro);
    for (const struct group_command *c = g->commands; c->name; c++)
        if (c->help)
            printf("  %-10s %s\n", c->name, c->help);
    printf("\nOptions:\n  -h, --help       Print this and exit; COMMAND --help tells more.\n");
    if (g->last)
        printf("\n%s", g->last);
    return CLI_OK;
}

int group_main(const struct group *g, int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, _("%s: no command; see %s --help\n"), g->name, g->name);
        return CLI_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        return help(g);
    for (const struct group_command *c = g->commands; c->name; c++)
        if (strcmp(argv[1], c->name) == 0)
            return c->main(argc - 1, argv + 1);
    fprintf(stderr, _("%s: unknown command '%s'; see %s --help\n"), g->name, argv[1], g->name);
    return CLI_USAGE;
}
