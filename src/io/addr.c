#include "io/addr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

enum {
    PORT_MAX = 65535,
    HOST_MAX_BYTES = 64,
    NAME_MAX_BYTES = sizeof("/4294967295.vsock_4294967295"), /* the longest that is put after DIR */
};

enum err addr_unix(const char *path, struct addr *out, struct why *why)
{
    struct addr a = { .kind = ADDR_UNIX };
    size_t len = strlen(path);

    if (len == 0)
        return why_fail(why, ERR_MALFORMED, "empty path", 0);
    if (len >= sizeof(a.path))
        return why_fail(why, ERR_LIMIT, "path too long for a Unix socket", sizeof(a.path) - 1);
    memcpy(a.path, path, len);
    *out = a;
    return ERR_OK;
}

enum err addr_vsock(const char *setting, uint32_t cid, uint32_t port, struct addr *out,
                    struct why *why)
{
    struct addr a = { .kind = ADDR_VSOCK, .cid = cid, .port = port };
    struct span s = span_str(setting);

    if (s.len == 0 || span_is(s, "kernel")) {
        *out = a;
        return ERR_OK;
    }
    if (!span_starts(s, "unix:") || s.len == strlen("unix:"))
        return why_fail(why, ERR_MALFORMED, "neither kernel nor unix:DIR", 0);
    struct span dir = span_from(s, strlen("unix:"));
    if (dir.len + NAME_MAX_BYTES > sizeof(a.path))
        return why_fail(why, ERR_LIMIT, "folder too long for the names of Unix sockets",
                        sizeof(a.path) - NAME_MAX_BYTES);
    a.kind = ADDR_VSOCK_UNIX;
    memcpy(a.path, dir.ptr, dir.len);
    *out = a;
    return ERR_OK;
}

enum err addr_sockaddr(const struct sockaddr *sa, socklen_t len, struct addr *out)
{
    struct addr a = { .kind = ADDR_TCP, .tcp_len = len };
    bool v4 = sa->sa_family == AF_INET && len == sizeof(struct sockaddr_in);
    bool v6 = sa->sa_family == AF_INET6 && len == sizeof(struct sockaddr_in6);

    if (!v4 && !v6)
        return ERR_UNSUPPORTED;
    memcpy(&a.tcp, sa, len);
    *out = a;
    return ERR_OK;
}

static enum err tcp_from(const char *host, bool bracketed, uint16_t port, struct addr *out,
                         struct why *why)
{
    struct addr a = { .kind = ADDR_TCP };
    struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(port) };
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };

    if (!bracketed && inet_pton(AF_INET, strcmp(host, "localhost") == 0 ? "127.0.0.1" : host,
                                &v4.sin_addr) == 1) {
        memcpy(&a.tcp, &v4, sizeof(v4));
        a.tcp_len = sizeof(v4);
    } else if (bracketed && inet_pton(AF_INET6, host, &v6.sin6_addr) == 1) {
        memcpy(&a.tcp, &v6, sizeof(v6));
        a.tcp_len = sizeof(v6);
    } else {
        return why_fail(why, ERR_UNSUPPORTED, "neither a numeric address nor localhost", 0);
    }
    *out = a;
    return ERR_OK;
}

enum err addr_tcp(const char *host_port, struct addr *out, struct why *why)
{
    char host[HOST_MAX_BYTES];
    const char *colon = strrchr(host_port, ':');
    uint64_t port;

    if (!colon)
        return why_fail(why, ERR_MALFORMED, "no port", strlen(host_port));
    size_t len = (size_t)(colon - host_port);
    if (span_to_u64(span_str(colon + 1), PORT_MAX, &port) != ERR_OK)
        return why_fail(why, ERR_MALFORMED, "port is not a number up to 65535", len + 1);
    bool bracketed = len >= 2 && host_port[0] == '[' && host_port[len - 1] == ']';
    struct span text = span_of(host_port + (bracketed ? 1 : 0), len - (bracketed ? 2 : 0));
    if (text.len == 0 || text.len >= sizeof(host))
        return why_fail(why, ERR_MALFORMED, "host", 0);
    memcpy(host, text.ptr, text.len);
    host[text.len] = 0;
    return tcp_from(host, bracketed, (uint16_t)port, out, why);
}

static void tcp_text(const struct addr *a, char *out, size_t size)
{
    char ip[INET6_ADDRSTRLEN] = "?";
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;

    if (a->tcp.ss_family == AF_INET) {
        memcpy(&v4, &a->tcp, sizeof(v4));
        (void)inet_ntop(AF_INET, &v4.sin_addr, ip, sizeof(ip));
        (void)snprintf(out, size, "%s:%u", ip, ntohs(v4.sin_port));
        return;
    }
    memcpy(&v6, &a->tcp, sizeof(v6));
    (void)inet_ntop(AF_INET6, &v6.sin6_addr, ip, sizeof(ip));
    (void)snprintf(out, size, "[%s]:%u", ip, ntohs(v6.sin6_port));
}

void addr_text(const struct addr *a, char *out, size_t size)
{
    switch (a->kind) {
    case ADDR_VSOCK:
    case ADDR_VSOCK_UNIX:
        if (a->cid == CID_ANY)
            (void)snprintf(out, size, "vsock any:%u", a->port);
        else
            (void)snprintf(out, size, "vsock %u:%u", a->cid, a->port);
        return;
    case ADDR_UNIX:
        (void)snprintf(out, size, "%s", a->path);
        return;
    case ADDR_TCP:
        tcp_text(a, out, size);
        return;
    }
}
