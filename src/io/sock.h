/* sock.h - inside io: the socket addresses that a `struct addr` stands for, one attempt to connect,
 * and the greeting of hybrid vsock (Firecracker's vsock.md: "CONNECT PORT\n", "OK n\n"). */
#ifndef IO_SOCK_H
#define IO_SOCK_H

#include "io/addr.h"

enum {
    SOCK_NAMES_MAX = 2,
    GREETING_MAX_BYTES = 32, /* "CONNECT 4294967295\n" and "OK 4294967295\n" fit */
    BACKLOG_RETRY_MS = 5,    /* a Unix listener whose queue is full answers EAGAIN at once */
};

struct sock_name {
    struct sockaddr_storage sa;
    socklen_t len;
    bool greets; /* the vsock device of a VM: CONNECT first */
};

/* The names to try, in this order; at least one. */
unsigned sock_names(const struct addr *a, struct sock_name out[static SOCK_NAMES_MAX]);
/* A fresh non-blocking socket that connects to `n`. 0: connected. EINPROGRESS: wait until it is
 * writable, then ask sock_error(). Else the errno; EAGAIN: try again a little later. *fd is set for
 * the first two only. */
MUST_USE int sock_connect(const struct sock_name *n, int *fd);
/* addr_listen() for a socket of another type. */
MUST_USE enum err sock_listen(const struct addr *a, int type, int backlog, int *fd,
                              struct why *why);
/* SO_ERROR. */
MUST_USE int sock_error(int fd);
/* The text for an errno of connecting: AF_VSOCK says ECONNRESET where nobody listens. */
const char *sock_connect_what(const struct addr *a, int e);

/* What the device answers, gathered in pieces. */
struct greeting {
    char text[GREETING_MAX_BYTES];
    size_t len;
};

/* Returns the length. */
size_t greeting_write(uint32_t port, char out[static GREETING_MAX_BYTES]);
/* Pure: is this a whole answer, "OK", one space, digits, line feed? ERR_MORE: a beginning of one.
 * ERR_DENIED: no, and more bytes would not help. */
MUST_USE enum err greeting_check(struct span answer);
/* Take from `fd` what belongs to the answer and not a byte more. ERR_OK, ERR_MORE: wait until it is
 * readable. ERR_DENIED: another answer, or end of file. ERR_IO. */
MUST_USE enum err greeting_recv(int fd, struct greeting *g, struct why *why);

#endif
