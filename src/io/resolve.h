/* resolve.h - TCP addresses of a host: those that need no resolver here, names on a loop in dns.h,
 * and here for a program that may wait. */
#ifndef IO_RESOLVE_H
#define IO_RESOLVE_H

#include "io/addr.h"

enum { RESOLVE_MAX = 8, RESOLVE_NAME_MAX_BYTES = 253 };

enum resolve_family { RESOLVE_ANY, RESOLVE_V4, RESOLVE_V6 };

struct resolved {
    struct addr list[RESOLVE_MAX];
    unsigned n;
};

/* A numeric address (IPv6 with or without brackets), or localhost: no resolver is asked, does not
 * block. ERR_UNSUPPORTED: a name. ERR_DENIED: numeric, but of the other family. */
MUST_USE enum err resolve_numeric(const char *host, uint16_t port, enum resolve_family family,
                                  struct resolved *out);

/* By the system's resolver, blocking. IPv4 first, else in the resolver's order; at most
 * RESOLVE_MAX, at least one. ERR_IO (the resolver's text in why), ERR_LIMIT (name too long). */
MUST_USE enum err resolve_name(const char *host, uint16_t port, enum resolve_family family,
                               struct resolved *out, struct why *why);

#endif
