/* message.h - AWS Encryption SDK messages with attested data keys: a stream of bytes in, a stream
 * of bytes out.
 *
 * Pure, and between two parts that know nothing of each other: esdk, which has no keys, and the
 * service, which gets them from KMS. message_step() may run on a worker; everything else belongs to
 * the loop, and never at the same time:
 *
 *     message_step() until it wants a key -> message_key_ask() -> (KMS) -> message_key_give() ->
 * ...
 *
 * Rewrap is both directions in a row: what comes out of opening goes into sealing and nowhere else.
 * Nothing leaves but whole frames; until message_is_done() what has left is not a whole message.
 * Sources: esdk sections 8 to 10; security.
 */
#ifndef ENCLAVE_MESSAGE_H
#define ENCLAVE_MESSAGE_H

#include "enclave/enclave.h"
#include "esdk/esdk.h"

enum message_op { MESSAGE_ENCRYPT, MESSAGE_DECRYPT, MESSAGE_REWRAP };

enum {
    MESSAGE_KEYS_MAX = 16,            /* ARNs that may be opened under */
    MESSAGE_PAIRS_MAX = 64,           /* of a context: as many as go to KMS */
    MESSAGE_OUT_SOFT_MAX = 512 << 10, /* bytes of output after which a step ends */
    MESSAGE_FRAME_DEFAULT = 65536,
    MESSAGE_FRAME_MAX = 1 << 20,
    /* More than this no step appends to what was in `out`. */
    MESSAGE_OUT_MAX = MESSAGE_OUT_SOFT_MAX + 2 * MESSAGE_FRAME_MAX + 131072,
};

struct message_options { /* copied */
    enum message_op op;
    enum esdk_policy policy;
    struct span seal_arn;    /* encrypt, rewrap: a full key ARN */
    const struct span *arns; /* decrypt, rewrap: full ARNs, at most MESSAGE_KEYS_MAX */
    size_t n_arns;
    unsigned suite;                  /* to write; 0: committing */
    uint32_t frame_length;           /* to write; 0: MESSAGE_FRAME_DEFAULT */
    const struct esdk_pair *context; /* encrypt; rewrap: the new one */
    size_t n_context;
    bool keeps_context;               /* rewrap: that of the message instead */
    const struct esdk_pair *required; /* decrypt, rewrap: pairs that the message must have */
    size_t n_required;
};

/* What went wrong, with our code and a sentence. */
struct message_fault {
    const char *code, *title;
    struct why why;
};

struct message;

/* ERR_NOMEM; ERR_LIMIT, ERR_MALFORMED with *fault: options that cannot be. */
MUST_USE enum err message_new(const struct message_options *o, struct message **out,
                              struct message_fault *fault);
void message_free(struct message *m); /* wipes; NULL is fine */

/* Take from the front of *in and append to `out` (with MESSAGE_OUT_MAX of room). ERR_OK: all was
 * taken, or out has had enough for now, or a key is wanted: see message_wants_key(). `is_last`:
 * nothing follows *in; when all of it is taken the message is finished or found to be cut. Any
 * error is final. */
MUST_USE enum err message_step(struct message *m, struct crypto *cx, struct span *in, bool is_last,
                               struct buf *out);
bool message_wants_key(const struct message *m);
bool message_is_done(const struct message *m);
/* After an error. */
const struct message_fault *message_fault(const struct message *m);

/* The key that is wanted; lives as long as the message. */
const struct enclave_key_ask *message_key_ask(struct message *m);
/* Takes `key`. `blob`: KMS's for a new key; copied. ERR_NOMEM, ERR_LIMIT. */
MUST_USE enum err message_key_give(struct message *m, struct secret *key, struct span blob);

/* For the answer's head and the audit line, once known. Suite and pairs are those of the message
 * that is written; of decrypt, which writes none, of the one that is read. `pairs` are all of them,
 * the public key's too. */
struct message_facts {
    unsigned suite, opened_suite; /* 0: not known yet, or none */
    struct span pairs;            /* esdk_pair_next() */
    struct span opened_arn, sealed_arn;
};
struct message_facts message_facts(const struct message *m);

#endif
