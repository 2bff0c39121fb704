/* allowlist.h - where vsock-proxy may connect to: AWS's vsock-proxy.yaml.
 *
 *     allowlist:
 *     - {address: kms.us-east-1.amazonaws.com, port: 443}
 *
 * Pure. Accepted: YAML 1.1 as libyaml reads it, the first document of the text, a mapping whose key
 * `allowlist` holds a list of mappings with `address` (a string) and `port` (a whole number, of
 * which the low 16 bits count, as in the original). Other keys are passed over. An entry that lacks
 * one of the two is a fault when it is reached, not before: files that worked go on working.
 * Refused, unlike in the original: aliases, tags, one of these keys twice, what is past the limits.
 */
#ifndef PROXY_ALLOWLIST_H
#define PROXY_ALLOWLIST_H

#include "base/span.h"

enum {
    ALLOWLIST_MAX_BYTES = 1 << 20,
    ALLOWLIST_ENTRIES_MAX = 4096,
    ALLOWLIST_DEPTH_MAX = 16,
    ALLOWLIST_ADDRESS_MAX_BYTES = 253, /* a DNS name, RFC 1035 section 3.1 */
};

struct allow_entry {
    char address[ALLOWLIST_ADDRESS_MAX_BYTES + 1];
    uint16_t port;
    const char *fault; /* the original's text; NULL: a good entry */
};

struct allowlist {
    struct allow_entry *list;
    unsigned n;
};

/* ERR_MALFORMED with the original's texts: "Bad yaml format", "No allowlist field". ERR_LIMIT.
 * ERR_NOMEM. On failure *out is untouched. */
MUST_USE enum err allowlist_parse(struct span text, struct allowlist *out, struct why *why);
void allowlist_clear(struct allowlist *a);

/* The first entry that names `host` (equal byte for byte) and `port` allows it. ERR_DENIED: none
 * does. ERR_MALFORMED: a faulty entry stands before it; why is its text. */
MUST_USE enum err allowlist_check(const struct allowlist *a, const char *host, uint16_t port,
                                  struct why *why);

#endif
