/* capture.h - run a program to its end and keep what it prints. Blocking. */
#ifndef BIN_COMMON_CAPTURE_H
#define BIN_COMMON_CAPTURE_H

#include "base/buf.h"

/* argv[0] without a slash is looked for in PATH. Standard input is empty, standard error is ours
 * (it may ask for a second factor there). *status as waitpid() gives it. A program that prints more
 * than the buf's maximum or takes longer than `seconds` is killed: ERR_LIMIT, ERR_TIMEOUT. ERR_IO:
 * it cannot be started, the errno's text in why. */
MUST_USE enum err capture(const char *const *argv, unsigned seconds, struct buf *out, int *status,
                          struct why *why);

#endif
