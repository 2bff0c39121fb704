/* proxy.h - vsock-proxy's wiring: gates (one for each LOCAL_PORT REMOTE_ADDR REMOTE_PORT), the
 * relays that came through them, where their remotes are, and what the allowlist says to that. */
#ifndef BIN_VSOCK_PROXY_PROXY_H
#define BIN_VSOCK_PROXY_PROXY_H

#include "io/accept.h"
#include "io/dns.h"
#include "io/tube.h"
#include "proxy/allowlist.h"
#include "proxy/relay.h"

enum {
    PROXY_GATES_MAX = 10,
    PERMIT_ADDRESSES_MAX = 64,
    PERMIT_QUESTIONS_MAX = 512,
};

struct target {
    uint32_t local_port;
    struct addr at;
    const char *host;
    uint16_t port;
};

struct proxy_config {
    struct target targets[PROXY_GATES_MAX];
    unsigned n_targets;
    unsigned n_sockets;      /* of the targets, that systemd opened: the first ones */
    const char *allowlist;   /* path */
    const char *dns_servers; /* NULL: the system's */
    enum resolve_family family;
    unsigned max;        /* relays at once through each gate; more are refused */
    unsigned pipes_max;  /* in all */
    uint64_t idle_ns;    /* 0: no limit */
    uint64_t connect_ns; /* for each address */
    uint64_t drain_ns;   /* after SIGTERM */
};

/* names.c: where a remote is, fixed or as the resolver said while its answer lasts. An old answer
 * is used while the resolver fails. */
struct names {
    struct loop *loop;
    const struct proxy_config *config;
    const struct target *target;
    bool fixed; /* the address is numeric */
    struct resolved known;
    uint64_t fresh_until_ns;
    struct dns *asking; /* NULL: no question is open */
    uint64_t failures;
    void (*answered)(void *arg); /* after each question that ended, well or not */
    void *arg;
};

enum names_state {
    NAMES_KNOWN, /* n->known can be used now */
    NAMES_ASKED, /* `answered` will come */
    NAMES_NONE,  /* the resolver has just failed and nothing is known from before */
};

/* ERR_DENIED: a numeric address of the other IP version. */
MUST_USE enum err names_init(struct names *n, struct why *why);
void names_clear(struct names *n);
MUST_USE enum names_state names_ask(struct names *n);
/* None of the addresses could be reached: ask again before the next connection. */
void names_expire(struct names *n);

/* permit.c: may this target be connected to? By its name at once; else, as in the original, if it
 * has an address of an entry with the same port - and then to such addresses only. */
enum permit_state { PERMIT_NONE, PERMIT_NAME, PERMIT_ADDRESSES };

struct permit_question;

struct permit {
    struct loop *loop;
    const struct proxy_config *config;
    const struct target *target;
    enum permit_state state; /* as last decided; PERMIT_NONE before that */
    const char *why;         /* of PERMIT_NONE; the original's text */
    struct addr allowed[PERMIT_ADDRESSES_MAX];
    unsigned n_allowed;
    /* While it is being decided. */
    struct permit_question *questions;
    unsigned n_questions, open;
    struct resolved remote;
    struct addr found[PERMIT_ADDRESSES_MAX];
    unsigned n_found;
    const char *fault;
    void (*decided)(void *arg);
    void *arg;
};

/* Calls `decided` when it is, perhaps before it returns; a decision that is under way is dropped.
 */
void permit_decide(struct permit *p, const struct allowlist *a);
void permit_clear(struct permit *p);
/* Leave in *to what may be connected to. */
void permit_filter(const struct permit *p, struct resolved *to);

struct pair;

struct counters {
    uint64_t accepted, over, denied, no_remote, done, broken, idle;
    uint64_t bytes[2]; /* from client, from remote */
};

struct gate {
    struct proxy *proxy;
    const struct target *target;
    struct acceptor *acceptor; /* NULL: not listening */
    struct names names;
    struct permit permit;
    struct pair *first; /* all pairs */
    unsigned active;
    unsigned waiting; /* of them, for an address */
    struct counters count;
    uint64_t over_told_ns; /* when a refusal for the limit was last logged */
};

struct proxy {
    struct loop *loop;
    const struct proxy_config *config;
    struct allowlist list;
    struct tubes *tubes;
    struct gate gates[PROXY_GATES_MAX];
    unsigned n_gates;
    unsigned undecided;       /* gates */
    struct loop_timer *leave; /* at the end of the patience after SIGTERM */
    bool listening, stopping;
    enum err r;        /* of starting */
    const char *stage; /* of starting: the original's words */
    struct why why;
};

/* proxy.c. Read the allowlist, let it decide, listen. True: go on with loop_run(). False: stage and
 * why say what is wrong; the same is so after loop_run() if `listening` was never reached. */
MUST_USE bool proxy_start(struct proxy *p, struct loop *l, const struct proxy_config *c);
/* Read the allowlist again; a bad one leaves the old one in force. */
void proxy_reload(struct proxy *p);
/* One line for each gate. */
void proxy_metrics(const struct proxy *p);
/* Accept no more, let what moves come to its end, then stop the loop; at once the second time. */
void proxy_stop(struct proxy *p);
void proxy_clear(struct proxy *p);
/* A pair of a stopping proxy has gone. */
void proxy_pair_gone(struct proxy *p);

/* pair.c */
/* The descriptor is the pair's, or closed. */
void pair_new(struct gate *g, int client);
/* An answer of the resolver has come: go on with those that wait for it. */
void pairs_named(struct gate *g);
/* Let each end as soon as nothing moves. */
void pairs_hurry(struct gate *g);
void pairs_clear(struct gate *g);

#endif
