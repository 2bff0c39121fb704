/* serve.h - the warm helper: answers commands on a Unix socket until SIGTERM or SIGINT, with key,
 * document and TLS connections kept. A few at once; more wait in the socket's queue. */
#ifndef BIN_KMSTOOL_SERVE_H
#define BIN_KMSTOOL_SERVE_H

#include "bin/kmstool/args.h"

/* The exit status. */
MUST_USE int serve(const struct args *base);

#endif
