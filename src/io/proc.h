/* proc.h - child processes on the loop, for the local stack's supervisor. */
#ifndef IO_PROC_H
#define IO_PROC_H

#include "io/loop.h"

struct proc;

struct proc_options {
    const char *const *argv;  /* argv[0] is the file; without a slash PATH of `env` is searched */
    const char *const *env;   /* "K=V", NULL-terminated; the whole environment */
    int stdout_fd, stderr_fd; /* -1: /dev/null; stdin is always /dev/null */
    void (*exited)(struct proc *p, void *arg, int exit_status, int signo); /* may be NULL */
    void *arg;
};
/* ERR_IO: cannot be started (errno text in why). ERR_NOMEM. */
MUST_USE enum err proc_start(struct loop *l, const struct proc_options *o, struct proc **out,
                             struct why *why);
int proc_pid(const struct proc *p);
/* Nothing after it has exited. */
void proc_signal(struct proc *p, int signo);
void proc_free(struct proc *p); /* after `exited`, or in it; NULL is fine */

#endif
