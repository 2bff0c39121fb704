/* service.h - the running service: clients on the loop, the enclave's step function in the middle.
 *
 *   service.c   start, clock, stop
 *   keeper.c    the recipient key and the kept document, renewed ahead of time
 *   client.c    one connection: its first byte, its memory and its time
 *   seed.c      the seed protocol: one request to the end of the stream, one answer
 *   http.c      the HTTP API: heads and bodies in, one request of a connection at a time
 *   refusal.c   the answer to one request too many
 *   endpoints.c what each path does; batch.c the one that is many; stream.c and stream_answer.c
 *               those without end
 *   task.c      one request to the enclave and what its steps ask for: NSM, KMS, workers
 *   metrics.c   counts for Prometheus
 *
 * A connection is not a request: idle ones cost memory only, `running` counts tasks and is what is
 * limited (`--max-running`). A client outlives its tasks, also when its connection is gone.
 */
#ifndef BIN_NITROSEALD_SERVICE_H
#define BIN_NITROSEALD_SERVICE_H

#include "api/api.h"
#include "bin/nitroseald/kms_pool.h"
#include "bin/nitroseald/metrics.h"
#include "bin/nitroseald/refusal.h"
#include "bin/nitroseald/settings.h"
#include "enclave/enclave.h"
#include "io/nsm_dev.h"
#include "io/work.h"
#include "nsm/nsm.h"

struct client;
struct http_call;
struct task;

struct service {
    const struct settings *set;
    struct loop *loop;
    struct crypto *cx; /* the loop thread's */
    struct work_pool *work;
    struct nsm_dev *nsm;
    struct enclave *enclave;
    struct kms_pool *kms;
    struct listener *listener;
    struct enclave_clock clock;
    int64_t logged_drift_s;

    struct client *clients;                 /* all */
    struct task *tasks;                     /* all */
    struct task *awaiting, **awaiting_last; /* a document */
    unsigned running;                       /* tasks and streams */
    unsigned streams;
    uint64_t buffered;         /* bytes in memory of requests, and of answers not taken yet */
    struct loop_timer *rotate; /* the next key */
    struct loop_timer *renew;  /* the next document */
    struct loop_timer *forget; /* kept data keys */
    struct loop_timer *stop_timer;
    struct loop_timer *trim;   /* armed by a large request, or when a crowd leaves */
    unsigned n_clients, crowd; /* now, and the most since half of them left */
    bool is_trim_due;
    struct rsa_key *new_key; /* made by a worker */
    enum err new_key_result;
    uint64_t key_born_ns;
    struct metrics metrics;
    struct refusal refusal;
    int memory_fd; /* memory_open() */
    bool is_stopping;
};

enum client_kind {
    CLIENT_NEW,  /* no byte has come */
    CLIENT_OVER, /* one connection too many: the same, and refused at its first byte */
    CLIENT_SEED,
    CLIENT_HTTP,
};

enum client_phase { CLIENT_READING, CLIENT_RUNNING, CLIENT_LEAVING };

struct client {
    struct service *s;
    struct client *next, **link;
    struct conn *conn; /* NULL: gone, its tasks run on to their ends */
    enum client_kind kind;
    enum client_phase phase;
    struct loop_timer *timer;
    uint64_t deadline_ns, armed_ns; /* of READING; 0: none. The timer is never later than it */
    struct kms_flow flow;
    unsigned tasks;
    uint64_t counted, largest; /* bytes in memory: of requests, and of answers not taken yet */
    size_t requests;           /* of these */
    bool has_eof;
    bool is_pumping;        /* inside http_data() */
    bool is_blocked;        /* it reads too slowly */
    size_t scanned;         /* HTTP: bytes of the head already looked through */
    struct http_call *call; /* HTTP: the request being read or served */
};

struct task {
    struct client *owner;
    struct task *next, **link;
    void (*answered)(struct task *t, const struct enclave_action *a);
    size_t index; /* the owner's: which item of a batch */
    struct task *next_awaiting;
    struct loop_timer *pause; /* NULL until a call has to be repeated */
    struct enclave_request *rq;
    uint64_t born_ns;
    struct exchange x;
    struct { /* ASK_NSM, on a worker */
        struct span request;
        uint64_t deadline_ns;
        struct buf answer;
        enum err result;
        struct why why;
    } nsm;
};

struct enclave_time service_now(struct service *s);

/* service.c. Before any other thread is there. */
void service_tune_memory(void);
/* `s` holds settings, loop, cx, work, nsm, enclave and kms; listens from then on. */
MUST_USE enum err service_start(struct service *s, struct why *why);
/* SIGTERM: take no more, finish what runs within a bounded time, stop the loop. */
void service_stop(struct service *s);
/* After the loop ended. */
void service_clear(struct service *s);
/* A client is there; it went away. */
void service_client_came(struct service *s);
void service_client_gone(struct service *s);
/* A request of this size was served: its memory goes back to the system when it gets quiet. */
void service_served(struct service *s, size_t bytes);
/* Data keys are kept: drop each when its time is over. */
void service_forget_in_time(struct service *s);
/* No place for one more task. */
bool service_is_full(const struct service *s);

/* client.c */
void client_accepted(struct conn *c, void *service);
void client_over(struct conn *c, void *service);
/* Bytes that the client's requests take now; those of answers that it has not taken are added. */
void client_count(struct client *cl, size_t bytes);
/* Until when something must have come; 0: no limit. */
void client_set_deadline(struct client *cl, uint64_t at_ns);
/* Send what is queued, drop what still comes for a while, close. */
void client_leave(struct client *cl);
/* After a task of it ended, or its connection: free it when nothing is left. */
void client_settle(struct client *cl);
void client_stop(struct client *cl);
void client_free(struct client *cl);

/* seed.c */
void seed_data(struct client *cl);
void seed_eof(struct client *cl);
void seed_refuse(struct client *cl, enum enclave_refusal why);

/* http.c: one request at a time; `call` is there from its head to its answer. */
struct http_call {
    struct api_route route;
    struct api_fault fault; /* code NULL: none; found in the head, told when the body is here */
    bool keep_alive, is_chunked;
    bool is_head;      /* what it is answered has no body */
    size_t head_bytes; /* still in conn_in(); 0 once consumed (chunked) */
    size_t body_bytes; /* of Content-Length */
    struct http1_body reader;
    struct buf chunks; /* chunked: the body so far */
    struct buf beside; /* copies of the two headers of a binary decrypt, and of the query */
    struct span signature_b64, blob_b64, query;
    uint64_t born_ns;
    struct batch *batch;
    struct stream *stream;
};
void http_data(struct client *cl);
void http_eof(struct client *cl);
void http_timeout(struct client *cl);
void http_drained(struct client *cl);
/* READING: answer a failure and close. */
void http_refuse(struct client *cl, const char *code, const char *title, const char *detail);
void http_call_free(struct http_call *call);
/* The answer to the call: `body` is taken. `id`: of the request. Ends the call. */
void http_answer(struct client *cl, unsigned status, const struct http1_header *headers, size_t n,
                 struct span id, struct buf *body);
void http_answer_problem(struct client *cl, const struct proto_error *e, struct span allow,
                         struct span id);

/* The answer to a stream has been sent as a whole, or given up (keep_alive false). */
void http_call_over(struct client *cl);

/* endpoints.c: this one takes one of the places of `running`, where there is one. */
bool endpoint_needs_place(enum api_endpoint e);
/* One request too many costs as little as it can: no memory of its own, its body not looked at.
 * True: the whole of it (its head has `used` bytes) is gone from conn_in() and its refusal is on
 * the way. False: not to be had so cheaply. */
bool endpoint_refuse_at_once(struct client *cl, const struct http1_head *head, enum api_endpoint e,
                             size_t used);
/* The whole request is here; `body` is taken, what matters begins at `from`. */
void endpoint_serve(struct client *cl, struct buf *body, size_t from);

/* batch.c */
void batch_serve(struct client *cl, struct buf *body, size_t from, struct span id);
void batch_free(struct batch *b); /* NULL is fine */

/* stream.c: the body of a call of which only the head is here. */
void stream_begin(struct client *cl, const struct http1_head *head, size_t head_bytes);
/* After data, an end of the stream, a piece of work. */
void stream_go_on(struct client *cl);
void stream_drained(struct client *cl);
void stream_timeout(struct client *cl);
void stream_free(struct stream *st); /* NULL is fine */

/* task.c. The client is the owner until task_free(). ERR_NOMEM. */
MUST_USE enum err task_new(struct client *owner,
                           void (*answered)(struct task *t, const struct enclave_action *a),
                           struct task **out);
/* Feed it an event, then do what it asks for, until it waits for something or was answered. */
void task_step(struct task *t, const struct enclave_event *ev);
/* In `answered`, or later. */
void task_free(struct task *t);

/* keeper.c */
MUST_USE enum err keeper_start(struct service *s);
void keeper_await_document(struct service *s, struct task *t);
/* On a worker, or at start: ask the NSM and judge the document. */
void keeper_run_job(struct crypto *cx, struct nsm_dev *nsm, struct enclave_document_job *job);

#endif
