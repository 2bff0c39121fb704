/* process.h - processes by pid and start time, so that a number used again is never taken for the
 * one that we started. */
#ifndef BIN_COMMON_PROCESS_H
#define BIN_COMMON_PROCESS_H

#include "base/span.h"

struct process {
    int pid;
    uint64_t started; /* clock ticks after boot: field 22 of /proc/PID/stat */
};

/* Field 22 of the content of /proc/PID/stat; the name in field 2 may hold blanks and parentheses.
 * ERR_MALFORMED. */
MUST_USE enum err process_started_parse(struct span stat, uint64_t *started);

/* The process that has this pid now. ERR_IO: none. */
MUST_USE enum err process_of(int pid, struct process *out);
/* Is it still there? A zombie is not. */
bool process_is_alive(const struct process *p);
/* Signal exactly this process (through a pidfd: no race with a pid used again). False: it is gone.
 */
bool process_signal(const struct process *p, int signo);
/* Wait until it is gone. False: still there at the deadline. */
bool process_wait_gone(const struct process *p, uint64_t deadline_ns);

#endif
