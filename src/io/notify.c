#include "io/notify.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "io/sys.h"

void notify_send(const char *text)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    const char *path = getenv("NOTIFY_SOCKET");
    size_t len = path ? strlen(path) : 0;

    if (len < 2 || (path[0] != '/' && path[0] != '@') || len >= sizeof(un.sun_path))
        return;
    memcpy(un.sun_path, path, len);
    if (path[0] == '@') /* an abstract name: unix(7) */
        un.sun_path[0] = '\0';
    AUTO(fd_close) int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    ssize_t n = sendto(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT,
                       (const struct sockaddr *)&un, size);
    (void)n;
}

void notify_reloading(void)
{
    char text[64];

    (void)snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%llu",
                   (unsigned long long)(clock_mono_ns() / 1000));
    notify_send(text);
}

unsigned notify_sockets(void)
{
    const char *pid = getenv("LISTEN_PID");
    const char *fds = getenv("LISTEN_FDS");
    uint64_t who = 0, n = 0;
    bool ours = pid && fds && span_to_u64(span_str(pid), INT32_MAX, &who) == ERR_OK &&
                who == (uint64_t)getpid() &&
                span_to_u64(span_str(fds), NOTIFY_FDS_MAX, &n) == ERR_OK;

    (void)unsetenv("LISTEN_PID");
    (void)unsetenv("LISTEN_FDS");
    (void)unsetenv("LISTEN_FDNAMES");
    return ours ? (unsigned)n : 0;
}
