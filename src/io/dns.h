/* dns.h - names to TCP addresses by c-ares, on the loop: the hosts file, then the servers of
 * resolv.conf, with the time for which an answer may be used (RFC 1035 section 3.2.1). The system's
 * files are read for each question, so a change needs no restart. No IDNA: a name is ASCII. */
#ifndef IO_DNS_H
#define IO_DNS_H

#include "io/loop.h"
#include "io/resolve.h"

enum {
    DNS_WAIT_MS = 1500, /* for the first try; each further one waits twice as long */
    DNS_TRIES = 3,
};

struct dns; /* one question */

/* found: NULL unless ERR_OK, then 1 to RESOLVE_MAX addresses, IPv4 first. ttl_s: the least of all
 * records that led to them; 0 for the hosts file. Both die with the question. ERR_IO: why says what
 * the resolver said. */
typedef void dns_fn(void *arg, enum err r, const struct resolved *found, uint32_t ttl_s,
                    const struct why *why);

struct dns_options {
    const char *servers; /* "10.0.0.2,[::1]:5353" instead of the system's; NULL: those */
    enum resolve_family family;
    dns_fn *fn; /* once, from the loop */
    void *arg;
};

/* ERR_LIMIT: name too long. ERR_MALFORMED: servers. ERR_NOMEM, ERR_IO. */
MUST_USE enum err dns_ask(struct loop *l, const char *host, uint16_t port,
                          const struct dns_options *o, struct dns **out, struct why *why);
/* Forget the question, answered or not; from inside its callback, too. NULL is fine. */
void dns_free(struct dns *d);

#endif
