/* enclave.h - the service as a step function: requests, documents and KMS answers in, actions out.
 *
 * Pure: no descriptor, no clock, no thread. The shell (bin/nitroseald) performs the action and
 * feeds the result back as the next event:
 *
 *   RECEIVED -> [WORK: parse a large one] -> [AWAIT_DOCUMENT] -> CALL_KMS -> WORK -> ANSWER
 *                                       `--> ASK_NSM (operation attest) --------------^
 *
 * Any failure ends in ANSWER with an `error` object. A refusal that names the document goes back to
 * AWAIT_DOCUMENT once; throttling, 5xx and broken connections go back to CALL_KMS after a pause.
 *
 * struct enclave is the service (settings, recipient key, kept document, pinned key ARN) and
 * belongs to the loop; struct enclave_request is one request. Two functions run on a worker and
 * touch only what they are given: enclave_work() and enclave_document_check(). Sources: DESIGN
 * sections 5 and 7; security.
 */
#ifndef ENCLAVE_ENCLAVE_H
#define ENCLAVE_ENCLAVE_H

#include "attest/pcrs.h"
#include "crypto/rsa.h"
#include "enclave/key_cache.h"
#include "kms/kms.h"
#include "proto/proto.h"

/* user_data of every document made for a caller. */
#define ENCLAVE_ATTEST_LABEL "nitroseal-attest-v1"

enum {
    ENCLAVE_ID_BYTES = 24,            /* request id with its NUL */
    ENCLAVE_NONCE_MAX_BYTES = 512,    /* NSM limit, nsm reference section 3 */
    ENCLAVE_PARSE_INLINE_MAX = 65536, /* bytes; a longer request is parsed on a worker */
    ENCLAVE_BACKOFF_BASE_MS = 100,    /* doubled for each try, full jitter */
    ENCLAVE_BACKOFF_MAX_MS = 2000,
    ENCLAVE_KEY_SPEC_BYTES = 32, /* AES_256 */
    ENCLAVE_CREDENTIAL_MAX = 8192,
};

struct enclave_settings { /* spans outlive the service */
    struct span key_id;   /* KMS_KEY_ID: full ARN, or an id that is completed and pinned at first
                             use; an alias is refused */
    struct span region, host; /* of KMS; host is what the Host header says */
    struct span root_der;     /* trust root for our own NSM's documents */
    bool nsm_unsigned;  /* do not verify them: QEMU's NSM does not sign. KMS judges either way */
    size_t request_max; /* bytes of a request */
    uint32_t document_max_age_ms;
    uint32_t kms_deadline_ms; /* over all tries of one request */
    uint32_t kms_try_ms;      /* over one try */
    unsigned kms_tries;
    struct key_cache_limits cache; /* age 0: no data key is kept */
};

struct enclave_time {
    uint64_t mono_ns;
    int64_t wall_s; /* from enclave_clock_read() */
};

/* the host's clock may not take us back. Wall time is followed forward, and backwards by at
 * most SIGV4_SKEW_S below a line that the monotonic clock carries on from the latest time that was
 * believed; from there on the line is the time, so that a clock set back by hours stops nothing. A
 * step ahead is followed at once but believed only when it has lasted for an hour: if it is taken
 * back before, that is no way back. */
struct enclave_clock {
    int64_t line_s; /* 0: nothing seen yet */
    uint64_t line_ns;
    uint64_t ahead_ns; /* monotonic: wall time is a step ahead since then; 0: it is not */
    int64_t start_wall_s;
    uint64_t start_mono_ns;
};
int64_t enclave_clock_read(struct enclave_clock *c, int64_t wall_s, uint64_t mono_ns);
/* How far wall time has moved away from the monotonic clock since the first reading, seconds. */
int64_t enclave_clock_drift(const struct enclave_clock *c, int64_t wall_s, uint64_t mono_ns);

struct enclave;
struct enclave_request;

/* How a request came and how its answer goes. */
enum enclave_form {
    ENCLAVE_SEED,   /* the seed protocol: one JSON object, the text echoed, failures written, too */
    ENCLAVE_JSON,   /* of the HTTP API: the same members without the echo. A failure is left to the
                       shell: enclave_request_failure(), and so is a signature that does not hold */
    ENCLAVE_BINARY, /* of the HTTP API: the bytes; the rest in enclave_request_result() */
    ENCLAVE_KEY,    /* no text: a data key for a message, enclave_request_take_key() */
};

/* ENCLAVE_KEY: all of it lives as long as the request. */
struct enclave_key_ask {
    bool is_new;            /* GenerateDataKey; else Decrypt of `ciphertext` */
    struct span arn;        /* full, and one of those that the service may use */
    unsigned bytes;         /* of the data key */
    struct span pairs;      /* encryption context: esdk_pair_next() */
    struct span ciphertext; /* at most 6,144 bytes */
    const struct esdk_suite *suite;
    enum esdk_policy policy;
};

struct enclave_input {
    enum enclave_form form;
    size_t from;      /* where the body begins in the bytes received */
    bool has_op;      /* else the JSON says */
    enum proto_op op; /* must be there for BINARY; of attest the body is the nonce */
    struct span signature_b64, ciphertext_blob_b64; /* BINARY decrypt: copied */
    /* For a request that brings none; lives as long as the request. NULL: those that the service
     * holds. Of no meaning to SEED. */
    const struct sigv4_credentials *credentials;
    const struct enclave_key_ask *key; /* ENCLAVE_KEY, which has no `received` */
};

/* `cx` is the loop thread's and outlives the service. ERR_MALFORMED: key id ("alias", "region
 * differs", ...) or another setting. ERR_NOMEM, ERR_CRYPTO. */
MUST_USE enum err enclave_new(struct crypto *cx, const struct enclave_settings *s,
                              struct enclave **out, struct why *why);
void enclave_free(struct enclave *e); /* after all its requests and jobs; NULL is fine */

/* Hold credentials for requests without their own, in place of those before; `expire_s` is unix
 * time, 0: never. ERR_MALFORMED: empty, or characters that they cannot have; ERR_NOMEM; nothing is
 * changed then. */
MUST_USE enum err enclave_credentials_set(struct enclave *e, const struct sigv4_credentials *c,
                                          int64_t expire_s);
/* Those held and good at `wall_s`, or NULL. */
const struct sigv4_credentials *enclave_credentials(const struct enclave *e, int64_t wall_s);
/* Unix time; 0: none are held, or they do not expire. */
int64_t enclave_credentials_expire_s(const struct enclave *e);

/* The recipient key: before the first request. Requests in flight keep the one that their document
 * names. */
void enclave_key_set(struct enclave *e, struct rsa_key *take);
/* A key that takes the place of the current one together with its first document, so that no
 * request waits for the change. */
void enclave_key_next(struct enclave *e, struct rsa_key *take);
bool enclave_has_next_key(const struct enclave *e);

/* One new document at a time: begin gives a job, or NULL where one runs already. The shell sends
 * `request` to the NSM on a worker, calls check there, and end on the loop; then every request that
 * awaits a document gets ENCLAVE_DOCUMENT_DONE with the job's result. A document is for the next
 * key if there is one. */
struct enclave_document_job {
    struct buf request, response; /* NSM packets; the document is a view of `response` */
    struct rsa_key *key;
    struct span root_der, document;
    uint8_t pcrs[SHA384_BYTES]; /* digest of the document's; zeros where it was not verified */
    bool nsm_unsigned;
    int64_t now_s;
    enum err result; /* the shell's where the NSM could not be asked, else of the check */
    struct why why;
};
MUST_USE enum err enclave_document_begin(struct enclave *e, struct enclave_time now,
                                         struct enclave_document_job **out);
/* On a worker: the answer is a document (ERR_DENIED: the NSM refused), its chain ends at our root
 * and its signature holds (ERR_VERIFY), and its public key is ours (ERR_VERIFY "public key"). With
 * nsm_unsigned only that our public key is in it. */
void enclave_document_check(struct crypto *cx, struct enclave_document_job *job);
/* Keeps the document if it is good and its key is still the current or the next one; frees the job.
 */
void enclave_document_end(struct enclave *e, struct enclave_document_job *job,
                          struct enclave_time now);
/* There is a document to use, and how old it is. */
bool enclave_document_age_ns(const struct enclave *e, uint64_t mono_ns, uint64_t *age_ns);

enum enclave_event_kind {
    ENCLAVE_RECEIVED,      /* `received`: the whole request; `input`: how to read it */
    ENCLAVE_NOT_RECEIVED,  /* `refusal`: why there is none; `input`, too */
    ENCLAVE_OVERLOADED,    /* the work queue is full */
    ENCLAVE_DOCUMENT_DONE, /* `result`, `what` of the job */
    ENCLAVE_NSM_ANSWERED,  /* `result`, `what`; `body` is the packet */
    ENCLAVE_KMS_ANSWERED,  /* `head`, `body` */
    ENCLAVE_KMS_BROKEN,    /* `result`, `what`: no whole answer came. ERR_VERIFY: TLS; ERR_LIMIT:
                              too many calls wait */
    ENCLAVE_WORKED,        /* enclave_work() has run */
};

enum enclave_refusal {
    ENCLAVE_TOO_LARGE,
    ENCLAVE_READ_TIMEOUT,
    ENCLAVE_BUSY,
    ENCLAVE_STOPPING,
};

struct enclave_event {
    enum enclave_event_kind kind;
    struct buf *received;              /* taken */
    const struct enclave_input *input; /* NULL: SEED */
    enum enclave_refusal refusal;
    enum err result;
    const char *what; /* static text */
    const struct http1_head *head;
    struct span body;
};

enum enclave_action_kind {
    ENCLAVE_AWAIT_DOCUMENT, /* begin one unless one runs; then DOCUMENT_DONE */
    ENCLAVE_ASK_NSM,        /* `bytes` to the NSM, on a worker; then NSM_ANSWERED */
    ENCLAVE_CALL_KMS,       /* `bytes` at `not_before_ns` or later; then KMS_ANSWERED or _BROKEN */
    ENCLAVE_WORK,           /* enclave_work() on a worker; then WORKED, or OVERLOADED */
    ENCLAVE_ANSWER,         /* take `answer` and send it. Empty: of SEED no memory, just close; else
                               a failure, or no bytes */
};

struct enclave_action {
    enum enclave_action_kind kind;
    struct span bytes; /* the request's own until the next step */
    struct buf *answer;
    uint64_t not_before_ns; /* 0: at once */
    uint64_t deadline_ns;   /* of this action */
    const char *code;       /* ANSWER: NULL for success, else error_code */
};

/* What may be logged about a request: nothing secret, nothing of the text. */
struct enclave_summary {
    const char *op; /* "encrypt", ...; "?" before it is known */
    const char *code, *detail;
    struct span id, kms_type, kms_request_id;
    unsigned kms_tries;
    size_t request_bytes;
};

/* Beside the bytes of an answer; views of the request's own. */
struct enclave_result {
    struct span signature; /* BINARY encrypt: HMAC_SHA256_BYTES */
    struct span ciphertext_blob_b64, key_id;
};

/* A number for something that is answered without the enclave. */
void enclave_id_next(struct enclave *e, char out[static ENCLAVE_ID_BYTES]);

MUST_USE enum err enclave_request_new(struct enclave *e, struct enclave_request **out);
void enclave_request_free(struct enclave_request *rq); /* wipes; NULL is fine */
struct enclave_summary enclave_request_summary(const struct enclave_request *rq);
struct enclave_result enclave_request_result(const struct enclave_request *rq);
/* The data key, once, after an ANSWER of ENCLAVE_KEY without a code. */
struct secret enclave_request_take_key(struct enclave_request *rq);
/* The ARN that the service was given or has pinned; empty while only a bare id is known. */
struct span enclave_key_arn(const struct enclave *e);
/* Data keys that are kept (key_cache.h). On the loop. What a request did not find it may keep when
 * the message has proved that the key is its own. */
struct enclave_key_ticket {
    struct key_cache_id id;
    uint64_t epoch;
    bool may_keep;
};
#define ENCLAVE_BYTES_UNKNOWN UINT64_MAX
/* `bytes`: that a new key is to seal. True: *key is a copy, *blob lives until the next call. When
 * the held credentials are over, so are the keys that were had with them. */
bool enclave_key_find(struct enclave *e, const struct enclave_key_ask *ask, uint64_t bytes,
                      struct enclave_time now, struct secret *key, struct span *blob,
                      struct enclave_key_ticket *ticket);
void enclave_key_keep(struct enclave *e, const struct enclave_key_ticket *t,
                      const struct secret *key, struct span blob, uint64_t bytes, uint64_t mono_ns);
/* *next_ns: when to call again; 0: nothing is kept. */
void enclave_keys_expire(struct enclave *e, uint64_t mono_ns, uint64_t *next_ns);
void enclave_keys_forget(struct enclave *e);
struct key_cache_counts enclave_keys_counts(const struct enclave *e);

/* What went wrong, after an ANSWER with a code. */
struct proto_error enclave_request_failure(const struct enclave_request *rq);

/* Never fails: what goes wrong becomes an ANSWER. An event that the last action did not ask for is
 * our bug and aborts. */
void enclave_step(struct enclave *e, struct enclave_request *rq, const struct enclave_event *ev,
                  struct enclave_time now, struct enclave_action *out);
void enclave_work(struct crypto *cx, struct enclave_request *rq);

#endif
