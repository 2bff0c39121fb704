#include "io/resolve.h"

#include <arpa/inet.h>
#include <netinet/in.h>

static bool wanted(int af, enum resolve_family family)
{
    return family == RESOLVE_ANY || (family == RESOLVE_V4) == (af == AF_INET);
}

static void add_v4(struct resolved *out, struct in_addr ip, uint16_t port)
{
    const struct sockaddr_in sa = { .sin_family = AF_INET,
                                    .sin_port = htons(port),
                                    .sin_addr = ip };
    if (addr_sockaddr((const struct sockaddr *)&sa, sizeof(sa), &out->list[out->n]) == ERR_OK)
        out->n++;
}

static void add_v6(struct resolved *out, struct in6_addr ip, uint16_t port)
{
    const struct sockaddr_in6 sa = { .sin6_family = AF_INET6,
                                     .sin6_port = htons(port),
                                     .sin6_addr = ip };
    if (addr_sockaddr((const struct sockaddr *)&sa, sizeof(sa), &out->list[out->n]) == ERR_OK)
        out->n++;
}

enum err resolve_numeric(const char *host, uint16_t port, enum resolve_family family,
                         struct resolved *out)
{
    struct resolved found = { .n = 0 };
    char bare[INET6_ADDRSTRLEN] = "";
    struct in_addr v4;
    struct in6_addr v6;
    size_t len = strlen(host);
    bool brackets = len > 2 && host[0] == '[' && host[len - 1] == ']';

    if (brackets && len - 2 < sizeof(bare))
        memcpy(bare, host + 1, len - 2);
    bool is_local = strcmp(host, "localhost") == 0;
    bool is_v4 = is_local || inet_pton(AF_INET, host, &v4) == 1;
    bool is_v6 = is_local || inet_pton(AF_INET6, brackets ? bare : host, &v6) == 1;
    if (!is_v4 && !is_v6)
        return ERR_UNSUPPORTED;
    if (is_local) {
        v4.s_addr = htonl(INADDR_LOOPBACK);
        v6 = in6addr_loopback;
    }
    if (is_v4 && wanted(AF_INET, family))
        add_v4(&found, v4, port);
    if (is_v6 && wanted(AF_INET6, family))
        add_v6(&found, v6, port);
    if (found.n == 0)
        return ERR_DENIED;
    *out = found;
    return ERR_OK;
}
