/* confine.h - what a started service may still ask of its kernel: a seccomp filter that lists the
 * system calls of a running loop with its workers, and a limit on descriptors.
 *
 * Source: Linux Documentation/userspace-api/seccomp_filter.rst; include/uapi/linux/seccomp.h. What
 * is not on the list fails with EPERM and does nothing: no file is opened, no program started, no
 * other process touched, no memory made executable, and no sockets but AF_UNIX and AF_VSOCK are
 * made. New threads are allowed, for workers. A system call of another machine's numbering (x32,
 * i386) kills the process: nothing of ours makes one.
 */
#ifndef IO_CONFINE_H
#define IO_CONFINE_H

#include "base/span.h"

struct confine_options {
    unsigned files_max; /* descriptors at once, with those that are open; 0: as they are */
    bool unix_sockets;  /* the listening socket is a file that is removed at the end */
};

/* The limit on descriptors alone, for who needs it sooner. ERR_IO. */
MUST_USE enum err confine_files(unsigned max, struct why *why);
/* For good, for all threads of the process; no_new_privs must be set (process_harden()).
 * ERR_UNSUPPORTED: this build runs under a sanitizer, which needs more, or the kernel has no
 * seccomp filters; nothing has changed then. ERR_IO: the kernel refused, the errno's text in why.
 */
MUST_USE enum err confine(const struct confine_options *o, struct why *why);

#endif
