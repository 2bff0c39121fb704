/* interrupt.h - SIGINT, SIGTERM and SIGHUP while files are being written: noticed by whoever waits,
 * so that what is half written is removed. The second one ends the program at once. */
#ifndef BIN_NITROSEAL_INTERRUPT_H
#define BIN_NITROSEAL_INTERRUPT_H

#include <stdbool.h>

enum { CLI_INTERRUPTED = 130 };

/* From here on they are noticed; a signal that was ignored stays ignored. False: no pipe. */
bool interrupt_catch(void);
bool interrupt_came(void);
/* Readable for ever once one came; -1: not caught. */
int interrupt_fd(void);

#endif
