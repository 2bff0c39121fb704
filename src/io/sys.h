/* sys.h - clock, descriptors and process hygiene. */
#ifndef IO_SYS_H
#define IO_SYS_H

#include "base/buf.h"

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S  UINT64_C(1000000000)

uint64_t clock_mono_ns(void);
int64_t clock_wall_ms(void); /* unix */

void fd_close(int *fd); /* for AUTO(): closes if >= 0, sets -1 */
/* Blocking with an absolute deadline, EINTR handled. read_all: to end of file; ERR_LIMIT if more
 * than the buf's maximum comes. */
MUST_USE enum err fd_read_all(int fd, struct buf *out, uint64_t deadline_ns, struct why *why);
MUST_USE enum err fd_write_all(int fd, struct span s, uint64_t deadline_ns, struct why *why);

/* First thing in every daemon: not dumpable, no core, no new privileges, SIGPIPE ignored, umask
 * 077, few malloc arenas. */
MUST_USE enum err process_harden(void);

/* Whole file, regular or not, up to the buf's maximum. ERR_IO (errno text in why), ERR_LIMIT. */
MUST_USE enum err file_read(const char *path, struct buf *out, struct why *why);
/* Temporary file in the same folder, 0600, O_EXCL, fsync, rename, fsync of the folder. */
MUST_USE enum err file_write(const char *path, struct span content, unsigned mode, struct why *why);
/* mkdir -p, the last one 0700. */
MUST_USE enum err dir_make(const char *path, struct why *why);

#endif
