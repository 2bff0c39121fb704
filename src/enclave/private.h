/* private.h - what the files of the service share: see enclave.h. */
#ifndef ENCLAVE_PRIVATE_H
#define ENCLAVE_PRIVATE_H

#include "base/secret.h"
#include "cms/cms.h"
#include "enclave/enclave.h"
#include "envelope/envelope.h"
#include "esdk/esdk.h"
#include "nsm/nsm.h"

enum {
    KEY_ARN_MAX = 2048,          /* KMS's own limit of a KeyId member */
    CIPHERTEXT_BLOB_MAX = 6144,  /* API limit of CiphertextBlob */
    KMS_REQUEST_MAX = 262144,    /* an encryption context may be long, and longer in JSON */
    ANSWER_OVERHEAD_MAX = 65536, /* names, key id, KMS's words: everything but the text */
    ESCAPE_GROWTH = 6,           /* a control character becomes \u00XX */
    DETAIL_MAX_BYTES = 96,
};

struct enclave {
    struct crypto *cx;
    struct enclave_settings set;
    struct rsa_key *key, *next_key; /* next: NULL, or waits for its first document */
    struct buf document;            /* empty: none */
    uint64_t document_born_ns, document_number;
    struct kms_recipient recipient; /* of document `recipient_number` */
    uint64_t recipient_number;
    bool job_runs;
    struct buf key_arn;       /* pinned at first use; empty: not yet */
    struct secret held_bytes; /* what `held` views; empty: none */
    struct sigv4_credentials held;
    int64_t held_until_s; /* 0: for ever */
    struct key_cache *cache;
    uint64_t epoch; /* of kept data keys */
    uint8_t pcrs[SHA384_BYTES];
    uint64_t jitter; /* state of the pauses' generator: never zero, nothing secret */
    uint32_t id_prefix, id_next;
};

enum request_state {
    STATE_NEW,
    STATE_PARSING,
    STATE_AWAITING_DOCUMENT,
    STATE_ASKING_NSM,
    STATE_CALLING_KMS,
    STATE_OPENING,
    STATE_ANSWERED,
};

struct failure {
    const char *error, *code; /* code NULL: none */
    const char *detail;       /* static text or `note`; may be NULL */
    const char *hint;
};

struct enclave_request {
    enum request_state state;
    char id[ENCLAVE_ID_BYTES];
    size_t request_max, answer_max, request_bytes;
    struct enclave_input input; /* its spans of headers are in `scratch` */

    /* Parsed: views into `in`, or into `scratch` where the JSON text had escapes or it came in a
     * header. */
    struct buf in, scratch;
    bool is_parsed;
    struct proto_request asked;
    struct span body;              /* of `in` */
    struct sigv4_credentials cred; /* if asked.has_credentials */
    struct span blob_b64;          /* decrypt: CiphertextBlob */
    struct buf sealed;             /* decrypt, from JSON: IV, tag, ciphertext; attest: the nonce */
    struct buf signature;          /* decrypt */

    struct buf out; /* the packet or HTTP request of the action */
    struct rsa_key *key;
    uint64_t document_number;
    bool has_refreshed;
    unsigned tries;
    uint64_t deadline_ns;

    /* Copied from KMS's answer: views into `kept`. */
    struct buf kept;
    struct span for_recipient, new_blob_b64, key_id;
    struct span kms_type, kms_message, kms_request_id;

    struct failure failure;
    char note[DETAIL_MAX_BYTES];
    uint8_t made_signature[HMAC_SHA256_BYTES]; /* BINARY encrypt */
    struct secret data_key;                    /* KEY */
    struct buf answer;
};

/* One call of enclave_step(). */
struct step {
    struct enclave *e;
    struct enclave_request *rq;
    struct enclave_time now;
    struct enclave_action *out;
};

/* step.c: ends of a step. */
void step_answer(const struct step *s);
void step_fail(const struct step *s, struct failure f);
void step_await_document(const struct step *s);
void step_work(const struct step *s, enum request_state state);
/* The original's words for whatever kept the data key away. */
const char *key_error(const struct enclave_request *rq);

/* step_kms.c: the part of the table between document and data key. */
void step_call_kms(const struct step *s, uint64_t not_before_ns);
void step_on_kms(const struct step *s, const struct enclave_event *ev);
void step_on_kms_broken(const struct step *s, const struct enclave_event *ev);

/* Keep how the request is to be read. ERR_NOMEM, ERR_LIMIT (headers of a length that they cannot
 * have). */
MUST_USE enum err request_input(struct enclave_request *rq, const struct enclave_input *input);
/* Visible ASCII, as an HTTP header needs it, and of bounded length. */
bool credential_is_clean(struct span s);
/* Parse and check `in`: what comes is the caller's own fault. Touches only the request. */
void request_parse(struct enclave_request *rq);
/* Copy what outlives KMS's answer. ERR_NOMEM, ERR_LIMIT. */
MUST_USE enum err request_keep(struct enclave_request *rq, const struct kms_answer *a);
/* Overwrite the stack below the caller: library code leaves intermediate values there. No further
 * than it can reach: what is wiped for nothing has pushed something useful out of the cache. */
enum stack_depth {
    STACK_OF_SIGNING = 12288, /* SHA-256 by hand, below our own frames: 4.8 KiB as measured */
    STACK_OF_OPENSSL = 34816,
};
void stack_wipe(enum stack_depth bytes);

/* PCRs, credentials or recipient key are others now: what was kept before counts no more. */
void epoch_next(struct enclave *e);

/* Is the kept document still to be used? */
bool document_is_good(const struct enclave *e, uint64_t mono_ns);
/* The key to name in calls: the pinned ARN, or what the service was given. */
struct span key_to_ask(const struct enclave *e);
/* ERR_VERIFY unless `arn` names the service's key; pins it. */
MUST_USE enum err key_check(struct enclave *e, struct span arn);

#endif
