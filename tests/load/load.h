/* load.h - a load client that can prove what it got: every text says which request made it, every
 * answer is compared in full with what was asked, every request id is looked up, and whatever
 * does not fit is counted as lost, twice or wrong.
 *
 *   main.c   options, the run, the report
 *   text.c   texts that name themselves
 *   ask.c    which request comes next; requests as bytes
 *   judge.c  answers against what was asked
 *   seed.c   one connection a request
 *   http.c   kept connections, pipelined
 *   raw.c    bytes to an echo and back
 *   tally.c  counts, latencies, request ids
 */
#ifndef TESTS_LOAD_LOAD_H
#define TESTS_LOAD_LOAD_H

#include "io/conn.h"
#include "proto/proto.h"

enum {
    CLIENTS_MAX = 16384,
    KEPT = 64,         /* sealed texts that are kept to have them opened again, by anybody */
    PIPELINE_MAX = 64, /* requests under way on one HTTP connection */
    BATCH_ITEMS_MAX = 1000,
    CALL_S = 60, /* an answer that takes longer counts as lost */
    CODES_MAX = 64,
    NONCE_BYTES = 24, /* no padding in base64 */
};

/* --- text.c --- */

struct text_id {
    unsigned client;
    uint64_t number; /* of the request that sealed it */
    size_t bytes;
};
/* UTF-8 of exactly `bytes`: from TEXT_HEAD_BYTES on it begins with who made it and a digest. */
enum { TEXT_HEAD_BYTES = 96 };
MUST_USE enum err text_write(struct buf *out, const struct text_id *id);
/* A few words on whose text this is, where it is not the one expected. */
void text_describe(struct span text, char *out, size_t size);

uint64_t random_next(uint64_t *state);
static inline unsigned random_below(uint64_t *state, unsigned n)
{
    return (unsigned)(random_next(state) % n);
}

/* --- tally.c --- */

struct histogram {
    uint64_t counts[64 * 32];
    uint64_t n, max_us;
};
void histogram_add(struct histogram *h, uint64_t us);
/* In milliseconds; `permille` of 1000. */
double histogram_ms(const struct histogram *h, unsigned permille);

struct tally {
    uint64_t started; /* requests sent or begun to be sent; an item of a batch counts as one */
    uint64_t good;    /* answered as they should be */
    uint64_t refused; /* answered so, too, where a refusal was the right answer */
    uint64_t failed;  /* answered with a clear error: by_code */
    uint64_t gone;    /* given up by us on purpose */
    uint64_t lost;    /* never answered */
    uint64_t twice;   /* bytes after the last answer, or a request id seen before */
    uint64_t wrong;   /* answered with what was not asked for, or not as the protocol says */
    uint64_t unsent;  /* open loop: no client was free; or the connection never came to be */
    uint64_t connections, bytes;
    uint64_t by_code[CODES_MAX];
    struct histogram good_us, failed_us;
    uint64_t *ids; /* a hash set of request ids */
    size_t n_ids, cap_ids;
    unsigned said; /* complaints on stderr so far */
};
/* Index of a code that the protocol names, or -1. */
int code_find(struct span code);
const char *code_name(int i);
unsigned code_status(int i);
/* False: it was there already, or is none. */
MUST_USE bool tally_id(struct tally *t, struct span request_id);
void tally_clear(struct tally *t);

/* --- ask.c --- */

enum ask_kind {
    ASK_ENCRYPT,
    ASK_DECRYPT,
    ASK_ATTEST,
    ASK_RANDOM,            /* HTTP only */
    ASK_HEALTH,            /* HTTP only */
    ASK_ALTERED_TEXT,      /* to be refused: text_not_authentic */
    ASK_ALTERED_SIGNATURE, /* to be refused, on the seed protocol answered with the verdict */
    ASK_GARBAGE,           /* to be refused: invalid_json */
    ASK_BATCH,             /* HTTP only */
    ASK_KINDS
};

enum form { FORM_SEED, FORM_JSON, FORM_BINARY, FORM_RAW };

struct ask {
    enum ask_kind kind;
    enum form form;
    struct text_id text; /* decrypt: of the sealed text's own; else of this request */
    uint64_t number;     /* this request's, never used again */
    uint64_t start_ns;
    struct ask *items; /* ASK_BATCH */
    unsigned n_items;
};
void ask_clear(struct ask *a);

struct sealed {
    struct text_id text;
    struct buf encrypted;       /* bytes */
    struct buf signature, blob; /* base64 */
};

struct load;
struct client;
/* Takes the bufs. */
void load_keep(struct load *l, struct sealed *take);

/* What happens to the next request of a client. */
struct plan {
    bool is_gone;     /* the client leaves before the answer */
    size_t cut_bytes; /* and after so many bytes of it */
};

/* The next request, and as bytes with HTTP's head where it has one. */
void ask_next(struct client *c, struct ask *out);
MUST_USE enum err ask_write(struct client *c, const struct ask *a, struct buf *out);
/* The text of a request or of what it opens; a view until the next call. */
MUST_USE enum err ask_text(struct load *l, const struct ask *a, struct buf *scratch,
                           struct span *out);
void plan_next(struct client *c, size_t request_bytes, struct plan *out);
void nonce_of(const struct ask *a, uint8_t out[static NONCE_BYTES]);

/* --- judge.c --- */

struct http1_head;
void judge_seed(struct client *c, const struct ask *a, struct span in);
void judge_http(struct client *c, const struct ask *a, const struct http1_head *head,
                struct span body);
/* One request ended without an answer. */
void judge_lost(struct client *c, const struct ask *a, const char *why);
void judge_twice(struct client *c, const char *why, struct span bytes);
void judge_gone(struct client *c, const struct ask *a);
/* How many requests an ask stands for. */
unsigned ask_weight(const struct ask *a);

/* --- the clients --- */

struct client {
    struct load *l;
    unsigned index;
    enum form form;
    uint64_t random;
    struct conn *conn;
    struct ask queue[PIPELINE_MAX]; /* oldest first */
    unsigned n_queue;
    struct plan plan;
    bool is_open;     /* the connection is there */
    bool is_leaving;  /* the service said that it closes */
    bool is_answered; /* seed: the one request of this connection */
    bool has_failed;  /* pause before the next */
    bool is_live, is_free;
    uint64_t due_ns; /* open loop: latency counts from here */
    struct loop_timer *pause;
    struct client *next_free;
};

enum protocol { PROTOCOL_SEED, PROTOCOL_JSON, PROTOCOL_BINARY, PROTOCOL_MIXED, PROTOCOL_RAW };

struct load_options {
    enum protocol protocol;
    unsigned clients, pipeline;
    unsigned batch; /* items of one; 0: as it comes */
    const char *op;
    size_t bytes, bytes_max; /* bytes SIZE_MAX: mixed sizes up to bytes_max */
    uint64_t requests, seconds, rate;
    unsigned gone;     /* of 1000 requests */
    unsigned pause_ms; /* at most, after a failure */
    bool has_keys;     /* send credentials with each JSON request */
    bool is_same;      /* one text for all requests of a length */
};

struct load {
    struct load_options o;
    struct loop *loop;
    struct addr to;
    struct proto_credentials cred;
    size_t answer_max;
    uint64_t start_ns, end_ns, number;
    unsigned n_opening; /* kept connections that are to be there before the clock runs */
    unsigned live;      /* clients that are not done, and the arrivals */
    struct client *clients, *free_clients;
    struct sealed kept[KEPT]; /* a ring */
    unsigned n_sealed;
    struct buf scratch, expected, item, same;
    struct tally t;
    struct loop_timer *arrivals;
    uint64_t next_arrival_ns, random;
};

/* No more requests are to be begun. */
bool load_is_over(const struct load *l);
/* A connection of this client, to be judged by `events`. */
void client_connect(struct client *c, const struct conn_events *events);
/* The next request as bytes for the connection; NULL ptr: none is to be begun. */
void client_next(struct client *c, struct ask *out);
/* Write it and send it, or as much of it as the plan says. */
void client_send(struct client *c, const struct ask *a);
/* Nothing is under way any more: pause, begin the next, wait for an arrival, or end. */
void client_done(struct client *c);
/* One of the first connections is there, or will not be; true: all of them, and the clock runs. */
bool load_opened(struct load *l);
/* The connection is gone, and nothing will follow on it. */
void client_down(struct client *c);

/* Begin what comes next; an HTTP client fills its pipeline. */
void seed_begin(struct client *c);
void http_begin(struct client *c);
/* Say that nothing more comes; what still arrives then is an answer too many. */
void http_end(struct client *c);
void raw_begin(struct client *c);

#endif
