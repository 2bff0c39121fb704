/* addr.h - where to connect and to listen: (CID, port) over AF_VSOCK or mapped to Unix sockets
 * (DESIGN section 4), Unix paths, loopback TCP. */
#ifndef IO_ADDR_H
#define IO_ADDR_H

#include <sys/socket.h>

#include "base/span.h"

#define CID_ANY UINT32_C(0xffffffff) /* past int, so no enum */
enum { CID_PARENT = 3 };

enum { ADDR_TEXT_BYTES = 128 }; /* what addr_text() may write, with its NUL */

enum addr_kind { ADDR_VSOCK, ADDR_VSOCK_UNIX, ADDR_UNIX, ADDR_TCP };

struct addr {
    enum addr_kind kind;
    uint32_t cid, port; /* vsock kinds */
    char path[108];     /* ADDR_UNIX: the socket; ADDR_VSOCK_UNIX: the folder */
    struct sockaddr_storage tcp;
    socklen_t tcp_len;
};

/* `setting` is NITROSEAL_VSOCK: NULL, "" or "kernel", or "unix:DIR". ERR_MALFORMED: another word.
 * ERR_LIMIT: the path would not fit sun_path. */
MUST_USE enum err addr_vsock(const char *setting, uint32_t cid, uint32_t port, struct addr *out,
                             struct why *why);
/* ERR_MALFORMED: empty. ERR_LIMIT. */
MUST_USE enum err addr_unix(const char *path, struct addr *out, struct why *why);
/* "127.0.0.1:443", "[::1]:8443", "localhost:0": numeric or localhost (127.0.0.1); no DNS (it may
 * block). ERR_MALFORMED: no port, not a number. ERR_UNSUPPORTED: a name. */
MUST_USE enum err addr_tcp(const char *host_port, struct addr *out, struct why *why);
/* A socket address as getaddrinfo() gives it. ERR_UNSUPPORTED: neither IPv4 nor IPv6. */
MUST_USE enum err addr_sockaddr(const struct sockaddr *sa, socklen_t len, struct addr *out);
/* For logs: "vsock 16:5000", "/run/x.sock", "127.0.0.1:443". */
void addr_text(const struct addr *a, char *out, size_t size);

/* Blocking connect within the deadline (monotonic ns, 0: none); the CLI's way. The descriptor is
 * close-on-exec and in blocking mode. ADDR_VSOCK_UNIX: first DIR/CID.vsock_PORT, then DIR/CID.vsock
 * with "CONNECT PORT". ERR_IO: nobody listens (why says what was tried), ERR_TIMEOUT. */
MUST_USE enum err addr_connect(const struct addr *a, uint64_t deadline_ns, int *fd,
                               struct why *why);
/* Listening socket, non-blocking, close-on-exec. A Unix path gets 0600; a stale socket file nobody
 * answers on is replaced, a live one is ERR_IO; a missing folder of ADDR_VSOCK_UNIX is made with
 * 0700. CID_ANY with ADDR_VSOCK_UNIX is refused (a Unix mapping needs a CID to name the file). */
MUST_USE enum err addr_listen(const struct addr *a, int backlog, int *fd, struct why *why);

#endif
