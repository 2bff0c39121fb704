/* kms_pool.h - kept TLS connections to KMS and the HTTP exchanges over them.
 *
 * An exchange is one request and its answer. At most `conns_max` connections; exchanges that find
 * none free wait, those of a client in order, the clients in turn. A connection that the peer
 * closed while nobody used it does not fail an exchange: it goes out again at once on another one.
 * Callbacks come from the loop, never from inside kms_pool_call().
 */
#ifndef BIN_NITROSEALD_KMS_POOL_H
#define BIN_NITROSEALD_KMS_POOL_H

#include "http1/http1.h"
#include "io/conn.h"

struct kms_pool;

struct kms_pool_options {
    struct addr to;
    struct tls_ctx *tls;
    const char *server_name;
    unsigned conns_max, waiting_max;
    uint32_t connect_ms, idle_ms;
};

/* One client's exchanges that wait. Clients take turns, whatever each of them has asked for. Zero
 * at first; must live while one of its exchanges does. */
struct kms_flow {
    struct exchange *first, *last;
    struct kms_flow *next; /* in the round, if it has any */
};

struct exchange { /* the owner's, untouched by it until one of the two callbacks came */
    struct span request;
    uint64_t deadline_ns;
    void (*answered)(void *arg, const struct http1_head *head, struct span body);
    /* ERR_TIMEOUT, ERR_VERIFY (TLS), ERR_MALFORMED (not HTTP), ERR_IO ... */
    void (*broken)(void *arg, enum err r, const char *what);
    void *arg;
    struct kms_flow *flow; /* NULL: one that is the pool's own */
    struct exchange *next; /* the pool's own from here on */
    unsigned stale;
};

MUST_USE enum err kms_pool_new(struct loop *l, const struct kms_pool_options *o,
                               struct kms_pool **out);
/* No callback comes after it. */
void kms_pool_free(struct kms_pool *p);
/* ERR_LIMIT: too many wait; then no callback comes. */
MUST_USE enum err kms_pool_call(struct kms_pool *p, struct exchange *x);
unsigned kms_pool_conns(const struct kms_pool *p);
unsigned kms_pool_waiting(const struct kms_pool *p);

#endif
