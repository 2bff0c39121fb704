/* service.h - the running service: clients on the loop, the enclave's step function in the middle.
 *
 *   service.c  start, clock, stop
 *   client.c   one connection: read, answer, linger
 *   perform.c  what a step asks for: NSM, KMS, workers
 *   keeper.c   the recipient key and the kept document
 */
#ifndef BIN_NITROSEALD_SERVICE_H
#define BIN_NITROSEALD_SERVICE_H

#include "bin/nitroseald/kms_pool.h"
#include "bin/nitroseald/settings.h"
#include "enclave/enclave.h"
#include "io/nsm_dev.h"
#include "io/work.h"
#include "nsm/nsm.h"

struct client;

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

    struct client *clients;                   /* all */
    struct client *awaiting, **awaiting_last; /* a document */
    unsigned running;                         /* requests between RECEIVED and ANSWER */
    uint64_t buffered;                        /* bytes of requests in memory */
    struct loop_timer *rotate, *stop_timer;
    struct loop_timer *trim; /* armed by a large request */
    struct rsa_key *new_key; /* made by a worker */
    enum err new_key_result;
    bool is_stopping;
};

enum client_phase { CLIENT_READING, CLIENT_RUNNING, CLIENT_LEAVING };

struct client {
    struct service *s;
    struct client *next, **link;
    struct client *next_awaiting;
    struct conn *conn; /* NULL: gone, its request runs on to its end */
    enum client_phase phase;
    struct loop_timer *timer; /* READING: time limit; RUNNING: pause before a call */
    struct enclave_request *rq;
    uint64_t born_ns, counted, largest, discarded;
    bool has_eof;
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
/* A client went away. */
void service_client_gone(struct service *s);
/* A request of this size was served: its memory goes back to the system when it gets quiet. */
void service_served(struct service *s, size_t bytes);

/* client.c */
void client_accepted(struct conn *c, void *service);
void client_over(struct conn *c, void *service);
void client_refuse(struct client *cl, enum enclave_refusal why);
/* The end of a step: ANSWER. */
void client_answer(struct client *cl, const struct enclave_action *a);
void client_free(struct client *cl);

/* perform.c: feed the request an event, then do what it asks for, until it waits for something. */
void client_step(struct client *cl, const struct enclave_event *ev);
void client_pause_over(struct client *cl);

/* keeper.c */
MUST_USE enum err keeper_start(struct service *s);
void keeper_await_document(struct service *s, struct client *cl);
/* On a worker, or at start: ask the NSM and judge the document. */
void keeper_run_job(struct crypto *cx, struct nsm_dev *nsm, struct enclave_document_job *job);

#endif
