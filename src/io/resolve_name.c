/* The system's resolver. In a file of its own, so that static programs which never ask do not carry
 * getaddrinfo(). */
#include <netdb.h>
#include <stdio.h>

#include "io/resolve.h"

static void add_family(const struct addrinfo *list, int af, struct resolved *out)
{
    for (const struct addrinfo *i = list; i && out->n < RESOLVE_MAX; i = i->ai_next)
        if (i->ai_family == af &&
            addr_sockaddr(i->ai_addr, i->ai_addrlen, &out->list[out->n]) == ERR_OK)
            out->n++;
}

enum err resolve_name(const char *host, uint16_t port, enum resolve_family family,
                      struct resolved *out, struct why *why)
{
    const struct addrinfo hints = { .ai_flags = AI_NUMERICSERV,
                                    .ai_family = family == RESOLVE_V4   ? AF_INET
                                                 : family == RESOLVE_V6 ? AF_INET6
                                                                        : AF_UNSPEC,
                                    .ai_socktype = SOCK_STREAM };
    struct resolved found = { .n = 0 };
    struct addrinfo *list = NULL;
    char service[8];

    if (strlen(host) > RESOLVE_NAME_MAX_BYTES)
        return why_fail(why, ERR_LIMIT, "host name too long", RESOLVE_NAME_MAX_BYTES);
    (void)snprintf(service, sizeof(service), "%u", port);
    int e = getaddrinfo(host, service, &hints, &list);
    if (e != 0)
        return why_fail(why, ERR_IO, gai_strerror(e), 0);
    add_family(list, AF_INET, &found);
    add_family(list, AF_INET6, &found);
    freeaddrinfo(list);
    if (found.n == 0)
        return why_fail(why, ERR_IO, "the name has no address", 0);
    *out = found;
    return ERR_OK;
}
