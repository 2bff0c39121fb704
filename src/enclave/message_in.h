/* message_in.h - inside a message: its state, shared by the files that make and that run it. */
#ifndef ENCLAVE_MESSAGE_IN_H
#define ENCLAVE_MESSAGE_IN_H

#include "enclave/message.h"

enum {
    COPIES_MAX = 262144, /* of ARNs and contexts */
    ARN_MAX = 2048,
    BLOB_MAX = 6144,
    CONTEXT_COUNT_BYTES = 2,
    CONTEXT_MAX = 8192, /* bytes of a serialised context; KMS takes about as much */
};

enum message_state {
    OPEN_HEADER, /* reading the header of the message to be opened */
    OPEN_KEY,    /* its data key is wanted */
    OPEN_START,  /* its data key is here */
    SEAL_NEW,    /* the context to seal under is known */
    SEAL_KEY,    /* a new data key is wanted */
    SEAL_START,  /* it is here */
    BODY,
    DONE,
    FAILED,
};

struct message {
    enum message_state state;
    enum message_op op;
    enum esdk_policy policy;
    unsigned suite;
    uint32_t frame_length;
    bool keeps_context;
    struct buf copies; /* what the spans below point into */
    struct span seal_arn, arns[MESSAGE_KEYS_MAX];
    size_t n_arns;
    struct esdk_pair context[MESSAGE_PAIRS_MAX], required[MESSAGE_PAIRS_MAX];
    size_t n_context, n_required;

    struct esdk_decrypt *in;
    const struct esdk_header *header;
    struct buf full_context;
    struct span opened_arn;
    struct esdk_encrypt *out;
    struct secret key;
    struct buf blob;
    struct enclave_key_ask ask;
    struct message_fault fault;
    enum err result;
};

static inline bool opens(const struct message *m)
{
    return m->op != MESSAGE_ENCRYPT;
}

static inline bool seals(const struct message *m)
{
    return m->op != MESSAGE_DECRYPT;
}

/* message_new.c: our code and words for an error. */
const char *message_code_of(enum err r);
const char *message_title_of(enum err r);
/* The first encrypted data key under one of our ARNs into m->ask and m->opened_arn; the ARN is
 * ours, not the message's. ERR_DENIED: none. ERR_MALFORMED: what claims to be of KMS has no ARN of
 * KMS. */
MUST_USE enum err message_choose_key(struct message *m, struct why *why);

extern const struct esdk_limits message_limits;

#endif
