/* nsm_dev.h - the NSM as a place to send one packet to and get one back: /dev/nsm (ioctl
 * 0xC0200A00) or "unix:PATH" (SOCK_SEQPACKET). Moves bytes; nsm/nsm.h gives them meaning. Blocking:
 * call it on a worker. Safe to call from several threads, which take turns as they do in the
 * kernel's driver. */
#ifndef IO_NSM_DEV_H
#define IO_NSM_DEV_H

#include "base/buf.h"

struct nsm_dev;

/* `where`: "/dev/nsm" or another node, or "unix:PATH". ERR_IO, ERR_LIMIT (path), ERR_NOMEM. */
MUST_USE enum err nsm_dev_open(const char *where, struct nsm_dev **out, struct why *why);
void nsm_dev_close(struct nsm_dev *d); /* NULL is fine */
/* Append the response (at most 12,288 bytes); as before on failure. A Unix NSM that went away is
 * connected again once. The deadline (0: none) cannot interrupt the kernel's driver, which gives up
 * by itself after 120 s. ERR_IO, ERR_TIMEOUT, ERR_LIMIT (request or response), ERR_NOMEM. */
MUST_USE enum err nsm_dev_ask(struct nsm_dev *d, struct span request, struct buf *response,
                              uint64_t deadline_ns, struct why *why);

#endif
