/* sys.h - clock, descriptors, files and process hygiene.
 *
 * Deadlines are absolute, in nanoseconds of clock_mono_ns(); 0 means none. Texts in `why` are
 * static: the system's words for an errno.
 */
#ifndef IO_SYS_H
#define IO_SYS_H

#include <poll.h>

#include "base/buf.h"

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S  UINT64_C(1000000000)

uint64_t clock_mono_ns(void);
int64_t clock_wall_ms(void); /* unix */

/* "connection refused", "timed out", ...: static text for an errno. */
const char *errno_what(int e);

void fd_close(int *fd); /* for AUTO(): closes if >= 0, sets -1 */
/* Until one of the poll(2) `events` (or an error, which the next call on the descriptor tells).
 * ERR_TIMEOUT, ERR_IO. */
MUST_USE enum err fd_wait(int fd, short events, uint64_t deadline_ns, struct why *why);
/* The same for several: `revents` says which. */
MUST_USE enum err fd_wait_any(struct pollfd *p, nfds_t count, uint64_t deadline_ns,
                              struct why *why);
/* With an absolute deadline, EINTR handled, on blocking and non-blocking descriptors alike.
 * read_all: to end of file; ERR_LIMIT if more than the buf's maximum comes; *out is as before on
 * failure. ERR_IO, ERR_TIMEOUT, ERR_NOMEM. */
MUST_USE enum err fd_read_all(int fd, struct buf *out, uint64_t deadline_ns, struct why *why);
/* Append what is there, at most `max` bytes, waiting for the first; *eof at end of file. */
MUST_USE enum err fd_read_some(int fd, size_t max, struct buf *out, bool *eof, uint64_t deadline_ns,
                               struct why *why);
MUST_USE enum err fd_write_all(int fd, struct span s, uint64_t deadline_ns, struct why *why);

/* Before anything is opened: standard streams that are closed become such as can be neither read
 * nor written. Else what is opened next takes their place, and gets what is meant for them. */
void process_streams(void);
/* First thing in every daemon: not dumpable, no core, no new privileges, SIGPIPE ignored, umask
 * 077, few malloc arenas, large blocks given back to the system. ERR_IO. */
MUST_USE enum err process_harden(void);

/* This process's resident memory in bytes, to be asked again and again: /proc/self/statm, opened
 * before the process gives up opening files. -1 and 0 where there is none. */
int memory_open(void);
uint64_t memory_resident(int fd);

/* Append a whole file, regular or not, up to the buf's maximum; as before on failure. ERR_IO (errno
 * text in why), ERR_LIMIT, ERR_NOMEM. */
MUST_USE enum err file_read(const char *path, struct buf *out, struct why *why);
/* Temporary file in the same folder, 0600, O_EXCL, fsync, rename, fsync of the folder. */
MUST_USE enum err file_write(const char *path, struct span content, unsigned mode, struct why *why);
/* mkdir -p, the last one 0700; a folder that is there keeps its mode. ERR_IO, ERR_LIMIT. */
MUST_USE enum err dir_make(const char *path, struct why *why);

#endif
