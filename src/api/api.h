/* api.h - the HTTP API's own part: paths, queries, small JSON bodies, problem documents.
 *
 * Pure. What a request to /v1/encrypt or /v1/decrypt says is proto's business; this says which path
 * it is, in which form, and how an answer or a failure looks in HTTP. doc/openapi.yaml describes
 * the whole to clients. Source: RFC 9110, RFC 9457 (problem documents).
 */
#ifndef API_API_H
#define API_API_H

#include "esdk/esdk.h"
#include "http1/http1.h"
#include "proto/proto.h"

enum {
    API_NONCE_MAX_BYTES = 512, /* NSM limit */
    API_RANDOM_MAX_BYTES = 65536,
    API_RANDOM_DEFAULT_BYTES = 32,
    API_BATCH_MAX_ITEMS = 1000,
    API_PAIRS_MAX = 64,
    API_PAIR_TEXT_MAX_BYTES = 16384, /* all of them, decoded */
};

enum api_endpoint {
    API_ENCRYPT,
    API_DECRYPT,
    API_BATCH,
    API_RANDOM,
    API_ATTESTATION,
    API_CREDENTIALS,
    API_HEALTH,
    API_METRICS,
    API_MESSAGE_ENCRYPT,
    API_MESSAGE_DECRYPT,
    API_MESSAGE_REWRAP,
    API_ENDPOINTS
};

/* A failure with our code; texts are static. */
struct api_fault {
    const char *code, *title, *detail;
    struct span allow; /* method_not_allowed: value of Allow */
};

struct api_route {
    enum api_endpoint endpoint;
    bool is_binary;    /* the body of the request is bytes, not JSON */
    bool wants_binary; /* the answer's: by Accept where the request has no body to go by */
    struct span query; /* after '?', as sent; absent: none */
};

/* Its body is a stream of any length: never held as a whole. */
bool api_is_stream(enum api_endpoint e);
/* "encrypt", ...: for metrics and logs. */
const char *api_endpoint_name(enum api_endpoint e);

/* ERR_UNSUPPORTED with *fault: not_found, method_not_allowed, unsupported_media_type. Views into
 * the head. */
MUST_USE enum err api_route(const struct http1_head *head, struct api_route *out,
                            struct api_fault *fault);

/* HTTP status of one of our error codes; 500 for one that is not known here. */
unsigned api_status(const char *code);

/* Append a problem document. */
MUST_USE enum err api_problem_write(struct buf *out, const struct proto_error *e,
                                    struct span request_id);
/* The same as one value of a larger JSON text. */
void api_problem_put(struct json_out *w, const struct proto_error *e, struct span request_id);

/* The parameter `nonce` of a query, percent-decoded, base64 or base64url with or without padding:
 * its bytes appended to `out` (room for API_NONCE_MAX_BYTES). ERR_MALFORMED with *fault. ERR_NOMEM.
 */
MUST_USE enum err api_nonce_parse(struct span query, struct buf *out, struct api_fault *fault);

/* Body of /v1/random: empty, or {"bytes": n}. ERR_MALFORMED with *fault. */
MUST_USE enum err api_random_parse(struct span body, size_t *bytes, struct api_fault *fault);
MUST_USE enum err api_random_write(struct buf *out, struct span bytes, struct span request_id);

/* Body of PUT /v1/credentials: texts appended to `room` (views of it). `expire_s`: unix time, 0:
 * never. ERR_MALFORMED with *fault; ERR_NOMEM, ERR_LIMIT. */
struct api_credentials {
    struct span access_key_id, secret_access_key, session_token;
    int64_t expire_s;
};
MUST_USE enum err api_credentials_parse(struct span body, struct buf *room,
                                        struct api_credentials *out, struct api_fault *fault);

/* Body of /v1/batch: where each item (an object) stands in it, and the credentials for all.
 * `items` has room for API_BATCH_MAX_ITEMS. ERR_MALFORMED with *fault; ERR_NOMEM, ERR_LIMIT. */
struct api_batch {
    size_t n;
    bool has_credentials;
    struct api_credentials credentials;
};
MUST_USE enum err api_batch_parse(struct span body, struct span items[static API_BATCH_MAX_ITEMS],
                                  struct buf *room, struct api_batch *out, struct api_fault *fault);

/* What the headers of a request to /v1/messages/... ask for. Spans into the head, or into `text`.
 */
struct api_message {
    struct esdk_pair context[API_PAIRS_MAX], required[API_PAIRS_MAX];
    size_t n_context, n_required;
    unsigned suite;        /* 0: not said */
    uint32_t frame_length; /* 0: not said */
    struct span key_id;    /* empty: not said */
    struct buf text;       /* decoded pairs; buf_clear() it */
};
/* ERR_MALFORMED with *fault; ERR_NOMEM. out->text is to be cleared in any case. */
MUST_USE enum err api_message_parse(const struct http1_head *head, struct api_message *out,
                                    struct api_fault *fault);
/* NAME=VALUE as it stands in a header: all but unreserved characters percent-encoded. Appended. */
MUST_USE enum err api_pair_write(struct buf *out, const struct esdk_pair *pair);

#endif
