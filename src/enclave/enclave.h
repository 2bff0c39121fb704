/* enclave.h - the service as a step function: requests, documents and KMS answers in, actions out.
 *
 * Pure: no descriptor, no clock, no thread. The shell (bin/nitroseald) performs the action and
 * feeds the result back as the next event:
 *
 *   REQUEST ----> DOCUMENT (ask the NSM; only when the kept one is too old) ----> CALL_KMS (after
 * `delay_ms`) ----> WORK (RSA, cipher: on a worker) ----> ANSWER.   Any failure ends in ANSWER with
 * an `error` object.
 *
 * struct enclave is the service (settings, recipient key, kept document, pinned key ARN) and
 * belongs to the loop; struct enclave_request is one request. enclave_work() alone runs on a
 * worker: it touches only its request.
 */
#ifndef ENCLAVE_ENCLAVE_H
#define ENCLAVE_ENCLAVE_H

#include "attest/pcrs.h"
#include "crypto/rsa.h"
#include "kms/kms.h"
#include "proto/proto.h"

struct enclave_settings {
    struct span
        key_id; /* KMS_KEY_ID: full ARN, or an id that is completed and pinned at first use */
    struct span region, host;     /* of KMS; host is what the Host header says */
    struct span root_der;         /* trust root for our own NSM's documents */
    size_t request_max;           /* bytes of a request */
    uint32_t document_max_age_ms; /* 60,000 */
    uint32_t key_max_age_ms;      /* 3,600,000 */
    uint32_t kms_deadline_ms;     /* over all tries of one request */
    unsigned kms_tries;
};

struct enclave;
struct enclave_request;

enum enclave_action_kind { ENCLAVE_DOCUMENT, ENCLAVE_CALL_KMS, ENCLAVE_WORK, ENCLAVE_ANSWER };

struct enclave_action {
    enum enclave_action_kind kind;
    struct span bytes; /* DOCUMENT: NSM request; CALL_KMS: HTTP request; ANSWER: the answer. The
                          request's own until the next step */
    uint64_t not_before_ns; /* CALL_KMS: backoff */
    uint64_t deadline_ns;   /* of this action */
    bool failed;            /* ANSWER: is an error; `code` for the log */
    const char *code;
};

struct enclave_time {
    uint64_t mono_ns;
    int64_t wall_s;
};

/* A first sketch: the owner of this module may refine events and names, and keeps the direction of
 * data. */

#endif
