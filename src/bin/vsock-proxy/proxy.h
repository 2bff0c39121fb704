/* proxy.h - vsock-proxy's wiring: the listener, the pairs of conns, and where the remote is. */
#ifndef BIN_VSOCK_PROXY_PROXY_H
#define BIN_VSOCK_PROXY_PROXY_H

#include "io/conn.h"
#include "io/resolve.h"
#include "io/work.h"
#include "proxy/relay.h"

enum { PROXY_SIDE_BYTES = 256 * 1024 }; /* may wait on the way in, and again on the way out */

struct proxy_config {
    struct addr at;
    const char *host; /* for logs and the resolver */
    uint16_t port;
    enum resolve_family family;
    unsigned max;     /* connections relayed at once; more wait */
    uint64_t idle_ns; /* 0: no limit */
};

/* Where the remote is: fixed, or resolved again when what we know is old. */
struct names {
    struct loop *loop;
    struct work_pool *pool; /* NULL: the address is numeric */
    const struct proxy_config *config;
    struct resolved known;
    uint64_t fresh_until_ns;
    bool asking;
    void (*answered)(void *arg); /* after each question that ended, well or not */
    void *arg;
    /* The worker's, until it is done. */
    struct resolved found;
    enum err found_r;
    struct why found_why;
};

MUST_USE enum err names_init(struct names *n, struct loop *l, const struct proxy_config *c,
                             struct why *why);
void names_clear(struct names *n);
enum names_state {
    NAMES_KNOWN, /* n->known can be used now */
    NAMES_ASKED, /* `answered` will come */
    NAMES_NONE,  /* the resolver has just failed and nothing is known from before */
};
/* What we know, if it is not old; an old answer is used while the resolver fails. */
MUST_USE enum names_state names_ask(struct names *n);
/* None of the addresses could be reached: ask again before the next connection. */
void names_expire(struct names *n);

struct pair;

struct proxy {
    struct loop *loop;
    const struct proxy_config *config;
    struct listener *listener;
    struct names names;
    struct loop_timer *leave;  /* at the end of the patience after SIGTERM */
    struct pair *first, *last; /* all pairs, oldest first */
    unsigned active;           /* pairs that have a remote side or are getting one */
    unsigned pending;          /* pairs that wait for their turn or for an address */
    bool stopping;
};

MUST_USE enum err proxy_start(struct proxy *p, struct loop *l, const struct proxy_config *c,
                              struct why *why);
/* Accept no more, let what moves come to its end, then stop the loop. */
void proxy_stop(struct proxy *p);
void proxy_clear(struct proxy *p);

/* pair.c */
void pair_new(struct proxy *p, struct conn *client);
/* Go on with those that wait for their turn or for an address, as far as the limit allows. */
void pairs_start(struct proxy *p);
/* Let each end as soon as nothing moves. */
void pairs_stop(struct proxy *p);
void pairs_clear(struct proxy *p);

#endif
