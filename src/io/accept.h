/* accept.h - a listening socket on the loop that hands out plain descriptors. listener (conn.h)
 * puts conns on top of it. */
#ifndef IO_ACCEPT_H
#define IO_ACCEPT_H

#include "io/addr.h"
#include "io/loop.h"

struct acceptor;

/* The descriptor is the callee's: non-blocking, close-on-exec; TCP without delay for small writes.
 */
typedef void acceptor_fn(void *arg, int fd);

/* Errors of addr_listen(). */
MUST_USE enum err acceptor_new(struct loop *l, const struct addr *at, acceptor_fn *fn, void *arg,
                               struct acceptor **out, struct why *why);
/* The same for a socket that listens already (systemd opened it); it is the acceptor's from then
 * on, and its file is left alone. ERR_UNSUPPORTED: not a listening stream socket; it stays the
 * caller's then. */
MUST_USE enum err acceptor_adopt(struct loop *l, int fd, acceptor_fn *fn, void *arg,
                                 struct acceptor **out, struct why *why);
/* The TCP port really bound (for port 0); 0 for the other kinds. */
unsigned acceptor_port(const struct acceptor *a);
/* Stop accepting and remove the Unix socket's file. From inside the callback, too. NULL is fine. */
void acceptor_free(struct acceptor *a);

#endif
