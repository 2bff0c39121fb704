/* gateway.h - nitroseal gateway: HTTP from programs on the parent to services in enclaves.
 *
 *   gateway.c           options, start, stop
 *   gateway_run.c       listening, the clock's ticks, the end
 *   gateway_client.c    one connection of a client: heads in, one request at a time
 *   gateway_exchange.c  one request: an enclave for it, another try, both bodies on their way
 *   gateway_answer.c    what comes back for it
 *   gateway_fail.c      what comes of it when nothing does
 *   gateway_up.c        connections to enclaves, kept for the next request
 *   gateway_care.c      health checks and credentials
 *   gateway_call.c      one small request of our own
 *   gateway_pages.c     /healthz and /metrics
 *
 * What is decided is in src/gateway; here bytes move and time passes. A client holds one exchange
 * at most, an exchange one connection to an enclave; a tick every GW_TICK_MS looks at all
 * deadlines, so that no request has to move a timer.
 */
#ifndef BIN_NITROSEAL_GATEWAY_H
#define BIN_NITROSEAL_GATEWAY_H

#include "bin/nitroseal/cli.h"
#include "gateway/gateway.h"
#include "gateway/metrics.h"
#include "io/conn.h"
#include "io/work.h"

enum {
    GW_LISTEN_MAX = 8,
    GW_TICK_MS = 100,
    GW_CLIENT_IN_MAX_BYTES = 65536,  /* a head, or what waits of a body or of further requests */
    GW_PIECE_BYTES = 65536,          /* of a body, moved at one time */
    GW_UNSENT_MAX_BYTES = 256 << 10, /* then the other side is not read from */
    GW_REPLAY_MAX_BYTES = 65536,     /* of a request, kept to be sent again */
    GW_UP_IN_MAX_BYTES = 65536,
    GW_IDLE_PER_ENCLAVE = 256, /* connections that are kept */
    GW_UP_IDLE_S = 60,         /* less than the service's own limit: it closes none on us */
};

struct gw_settings {
    struct addr listen[GW_LISTEN_MAX];
    unsigned n_listen, n_sockets; /* sockets: opened by systemd, in place of all of `listen` */
    struct addr enclave[GATEWAY_ENCLAVES_MAX];
    unsigned n_enclaves;
    uint64_t connections_max, running_max, waiting_max;
    uint64_t connect_ms, read_ms, write_ms, answer_ms, idle_ms, wait_ms, stop_ms, health_ms;
    bool keeps_credentials;
    const char *profile;
    bool is_profile_chosen;
};

struct gateway;
struct client;
struct exchange;
struct gw_up;
struct gw_call;

struct gw_enclave {
    struct gateway *g;
    struct addr at;
    unsigned index;
    char name[GATEWAY_NAME_BYTES];
    struct gateway_health health;
    struct gateway_counts counts;
    unsigned in_flight, conns, n_idle;
    struct gw_up *idle; /* the one used last first */

    struct gw_call *probe, *push;
    uint64_t probe_at_ns;
    uint64_t pushed;     /* generation that it has taken; 0: none, as far as we know */
    uint64_t pushing;    /* that is on its way */
    uint64_t pushed_ns;  /* when */
    uint64_t push_at_ns; /* not before */
    unsigned push_failures;
    bool wants_push; /* it may have lost them */
    bool is_told;    /* its first health check is done */
};

struct gateway {
    const struct gw_settings *set;
    struct loop *loop;
    struct work_pool *work; /* one thread: to look for credentials may block */
    struct listener *listeners[GW_LISTEN_MAX];
    struct loop_timer *tick, *stop_timer;
    struct gw_enclave enclaves[GATEWAY_ENCLAVES_MAX];
    unsigned n_enclaves, turn; /* turn: who is first among equals */
    struct client *clients;
    struct gw_up *ups;
    struct gw_call *calls;
    struct exchange *waiting, **waiting_last;
    unsigned n_waiting, n_clients;
    bool is_placing, is_stopping, is_listening;
    uint64_t start_by_ns; /* listening begins then at the latest */

    struct cli_credentials current, fetched;
    struct cli_fault fetch_fault;
    int fetch_status;
    uint64_t generation; /* 0: none held */
    int64_t renew_ms;    /* unix: when they are to be replaced */
    uint64_t fetch_at_ns;
    unsigned fetch_failures;
    bool is_fetching, has_fetched;
    uint64_t fetches_good, fetches_bad;

    uint64_t own[GATEWAY_CLASSES];
    uint64_t accepted, refused, bytes_in, bytes_out;
    int memory_fd;
    enum err failure; /* listening failed */
};

/* gateway_run.c */
MUST_USE enum err gw_start(struct gateway *g, struct why *why);
void gw_stop(struct gateway *g);
void gw_clear(struct gateway *g);
/* A client went away. */
void gw_client_gone(struct gateway *g);

/* gateway_client.c */
enum client_phase { CLIENT_READING, CLIENT_LEAVING };

struct client {
    struct gateway *g;
    struct client *next, **link;
    struct conn *conn;
    struct exchange *x; /* the request that is under way */
    enum client_phase phase;
    bool has_eof, is_pumping, is_blocked, is_over;
    bool in_data;   /* inside its own callback: reading goes on by itself */
    size_t scanned; /* bytes of the head already looked through */
    uint64_t deadline_ns;
};

void client_accepted(struct conn *c, void *gateway);
void client_over(struct conn *c, void *gateway);
/* Take what is there: the next request, or more of this one's body. */
void client_pump(struct client *cl);
/* The exchange is over and freed. `keep`: the connection may serve the next one. */
void client_done(struct client *cl, bool keep);
/* Send what is queued, drop what still comes for a while, close. */
void client_leave(struct client *cl);
void client_close(struct client *cl);
/* Answer without an enclave; the connection stays if `to` says so. */
void client_answer_fault(struct client *cl, const struct gateway_fault *f,
                         const struct gateway_client *to);
void client_tick(struct client *cl, uint64_t now_ns);
void client_stop(struct client *cl);
void client_free(struct client *cl);

/* gateway_exchange.c */
struct exchange {
    struct client *cl;
    struct gw_enclave *pinned; /* no other will do */
    struct gw_enclave *e;      /* that works on it; NULL: it waits for one */
    struct gw_up *up;
    struct exchange *next, **link; /* among those that wait */
    uint64_t born_ns, moved_ns;
    size_t unsent;           /* to the client, at the last tick */
    struct buf head, replay; /* as sent: what another try needs */
    struct gateway_stream request, answer;
    struct gateway_client to;
    uint64_t tried; /* a bit for each enclave */
    unsigned status;
    bool expects;     /* 100-continue */
    bool goes_on;     /* which has come */
    bool can_replay;  /* all of the body that was sent is in `replay` */
    bool needs_fresh; /* a kept connection was closed on it: the next one is new, and the last */
    bool is_moved;    /* an enclave refused it */
    bool is_answering;
    bool is_refused; /* by us, with `fault`, once the rest of a small body has come */
    struct gateway_fault fault;
    bool up_keep_alive; /* the enclave's connection, after the answer */
    char what[48];      /* method and path, for the log */
};

/* The head, `used` bytes of conn_in(), is consumed, an enclave found; the exchange may be over when
 * it returns. */
void exchange_start(struct client *cl, const struct http1_head *head, size_t used,
                    const struct gateway_route *route);
/* More of the request's body to the enclave. */
void exchange_request(struct exchange *x);
/* Its connection is there. */
void exchange_open(struct exchange *x);
/* Its connection is gone. */
void exchange_up_closed(struct exchange *x, enum err r, const struct why *why);
/* Another try, elsewhere if `tried` says so. `reusable`: the connection that is let go. */
void exchange_again(struct exchange *x, bool reusable);
/* May what was sent be sent once more? Is there an enclave for it, other than those tried? */
bool exchange_can_retry(const struct exchange *x);
bool exchange_has_place(const struct exchange *x);
/* The client is gone, or is not to get more. */
void exchange_abort(struct exchange *x);
/* The whole answer is on its way. `reusable`: the connection to the enclave. */
void exchange_finish(struct exchange *x, bool reusable);
/* Let go of the enclave and its connection. */
void exchange_release(struct exchange *x, bool reusable);
/* Frees it; `by` has answered. `keep`: the client's connection may serve the next request. */
void exchange_end(struct exchange *x, struct gw_enclave *by, bool keep);
void exchange_leave_waiting(struct exchange *x);
/* Places for those that wait. */
void exchange_place_waiting(struct gateway *g);
/* One piece of a body from `in` to `out`; shared by both directions. */
MUST_USE enum err exchange_piece(struct gateway_stream *s, struct buf *in, struct buf *out,
                                 struct why *why);

/* gateway_fail.c: answer it ourselves, or where an answer has begun break it off. A small body is
 * taken first; then the exchange lives on until that is here. */
void exchange_fail(struct exchange *x, const struct gateway_fault *f);
/* More of that body. True: the exchange is over. */
bool exchange_take_refused(struct exchange *x);
void exchange_tick(struct exchange *x, uint64_t now_ns);

/* gateway_answer.c: bytes or the end have come from the enclave. `is_last`: its connection is gone,
 * so what is here is taken whether or not the client keeps up. */
void exchange_answer(struct exchange *x, bool is_last);

/* gateway_up.c */
struct gw_up {
    struct gw_enclave *e;
    struct gw_up *next, **link;           /* all */
    struct gw_up *next_idle, **link_idle; /* idle: link_idle set */
    struct conn *conn;
    struct exchange *x; /* NULL: idle, or closing */
    uint64_t idle_ns;
    bool is_open, is_reused, has_eof;
    bool in_data;    /* inside its own callback */
    bool has_answer; /* a byte came for this exchange */
};
/* A kept connection (unless `fresh`), or a new one that will be open later. NULL: no memory. */
struct gw_up *gw_up_get(struct gw_enclave *e, struct exchange *x, bool fresh);
/* The exchange lets go of it. */
void gw_up_put(struct gw_up *up, bool reusable);
void gw_up_tick(struct gw_up *up, uint64_t now_ns);
void gw_up_free(struct gw_up *up);

/* gateway_care.c */
bool gw_enclave_usable(const struct gw_enclave *e);
/* A sign of its health other than a probe. */
void gw_enclave_note(struct gw_enclave *e, enum gateway_sign sign, const char *why);
/* It may have been started anew: look at it, and give it credentials again. */
void gw_enclave_suspect(struct gw_enclave *e);
void gw_care_tick(struct gateway *g, uint64_t now_ns);
/* All that the start waits for is done. */
bool gw_care_settled(const struct gateway *g);

/* gateway_call.c: one small request on a connection of its own. */
struct gw_call {
    struct gateway *g;
    struct gw_call *next, **link;
    struct conn *conn;
    bool is_done, was_open;
    /* status 0: no answer, `why` says why. The body dies with the call, which is freed after. */
    void (*done)(void *arg, unsigned status, struct span body, const char *why);
    void *arg;
};
/* `request` is taken. ERR_NOMEM. */
MUST_USE enum err gw_call_new(struct gateway *g, const struct addr *to, struct buf *request,
                              uint64_t deadline_ns,
                              void (*done)(void *, unsigned, struct span, const char *), void *arg,
                              struct gw_call **out);
void gw_call_free(struct gw_call *c);

/* gateway_pages.c: append a whole answer. */
MUST_USE enum err gw_health_page(const struct gateway *g, const struct gateway_client *to,
                                 struct buf *out, unsigned *status);
MUST_USE enum err gw_metrics_page(const struct gateway *g, const struct gateway_client *to,
                                  struct buf *out);

#endif
