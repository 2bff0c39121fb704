/* nsm.h - requests to and responses from the Nitro Secure Module, as CBOR. Source: nsm reference
 * sections 3 to 5 (aws-nitro-enclaves-nsm-api). */
#ifndef NSM_NSM_H
#define NSM_NSM_H

#include "base/buf.h"

enum {
    NSM_REQUEST_MAX = 4096,
    NSM_RESPONSE_MAX = 12288,
    NSM_PCRS = 32,
    NSM_PCR_BYTES = 48,
    NSM_RANDOM_BYTES = 256, /* of GetRandom; fewer than NSM_RANDOM_MIN are not enough */
    NSM_RANDOM_MIN = 32,
    NSM_FIELD_MAX = 1024, /* user_data, nonce, public_key of an Attestation */
};

enum nsm_op {
    NSM_DESCRIBE_PCR,
    NSM_EXTEND_PCR,
    NSM_LOCK_PCR,
    NSM_LOCK_PCRS,
    NSM_DESCRIBE_NSM,
    NSM_ATTESTATION,
    NSM_GET_RANDOM,
};

enum nsm_error { /* numbers of the C enum; only the names travel */
                 NSM_SUCCESS = 0,
                 NSM_INVALID_ARGUMENT,
                 NSM_INVALID_INDEX,
                 NSM_INVALID_RESPONSE,
                 NSM_READ_ONLY_INDEX,
                 NSM_INVALID_OPERATION,
                 NSM_BUFFER_TOO_SMALL,
                 NSM_INPUT_TOO_LARGE,
                 NSM_INTERNAL_ERROR,
};

struct nsm_request {
    enum nsm_op op;
    uint16_t index; /* DescribePCR, ExtendPCR, LockPCR; LockPCRs: range */
    struct span data;
    struct span user_data, nonce, public_key; /* ptr NULL: null */
};

struct nsm_response {
    enum nsm_op op;
    enum nsm_error error; /* not NSM_SUCCESS: nothing else is set */
    bool lock;
    struct span data; /* PCR value, document, or random bytes */
    uint16_t version_major, version_minor, version_patch, max_pcrs;
    struct span module_id, digest;
    uint32_t locked_pcrs; /* bit n: PCRn */
};

MUST_USE enum err nsm_request_write(const struct nsm_request *rq, struct buf *out);
MUST_USE enum err nsm_request_parse(struct span in, struct nsm_request *out, struct why *why);
MUST_USE enum err nsm_response_write(const struct nsm_response *rs, struct buf *out);
/* The answer to a request of kind `op`: another kind is ERR_MALFORMED. Fields are found by name;
 * those that we do not know are passed over. Spans point into `in`. */
MUST_USE enum err nsm_response_parse(struct span in, enum nsm_op op, struct nsm_response *out,
                                     struct why *why);
/* GetRandom's bytes are enough and not all the same: a dead device gives zeros or ones, and chance
 * does not give NSM_RANDOM_MIN equal bytes. Says nothing about quality. */
bool nsm_random_plausible(struct span bytes);
const char *nsm_error_name(enum nsm_error e);

#endif
