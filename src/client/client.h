/* client.h - the client's side of the HTTP API: requests as bytes, answers as values.
 *
 * Pure: no I/O, no clock. src/lib moves the bytes; doc/openapi.yaml describes the whole. Where an
 * operation can be asked for in two forms, "text" is JSON with the members of a seed message, in
 * base64, and may carry credentials; "bytes" is application/octet-stream with the rest in headers,
 * and uses the credentials that the service holds.
 */
#ifndef CLIENT_CLIENT_H
#define CLIENT_CLIENT_H

#include "http1/http1.h"
#include "proto/proto.h"

enum {
    CLIENT_HEAD_MAX_BYTES = 16384,     /* of an answer */
    CLIENT_BODY_MAX_BYTES = 256 << 20, /* the service's own limit comes first */
    CLIENT_REQUEST_MAX_BYTES = CLIENT_BODY_MAX_BYTES + CLIENT_HEAD_MAX_BYTES,
    CLIENT_SIGNATURE_BYTES = 32,  /* HMAC-SHA256 */
    CLIENT_OVERHEAD_BYTES = 28,   /* IV 12 and tag 16 before the ciphertext */
    CLIENT_BLOB_MAX_BYTES = 6144, /* KMS API: CiphertextBlob */
    CLIENT_NONCE_MAX_BYTES = 512, /* NSM limit */
    CLIENT_RANDOM_MAX_BYTES = 65536,
};

/* Writers append one whole request. ERR_MALFORMED: a text is not UTF-8, or cannot stand in a
 * header. ERR_LIMIT: past what the member may have, or past the buf's maximum. ERR_NOMEM. On
 * failure *out is as before. `cred` NULL: those that the service holds. */
MUST_USE enum err client_encrypt_text_write(struct buf *out, const struct proto_credentials *cred,
                                            struct span text);
MUST_USE enum err client_decrypt_text_write(struct buf *out, const struct proto_credentials *cred,
                                            struct span encrypted_b64, struct span signature_b64,
                                            struct span ciphertext_blob_b64);
MUST_USE enum err client_encrypt_bytes_write(struct buf *out, struct span bytes);
MUST_USE enum err client_decrypt_bytes_write(struct buf *out, struct span encrypted,
                                             struct span signature, struct span ciphertext_blob);
/* 1 to CLIENT_RANDOM_MAX_BYTES, answered as bytes. */
MUST_USE enum err client_random_write(struct buf *out, size_t n);
/* 1 to CLIENT_NONCE_MAX_BYTES, answered as bytes: a COSE_Sign1 document. */
MUST_USE enum err client_attest_write(struct buf *out, struct span nonce);
/* `expiration`: RFC 3339, or empty. */
MUST_USE enum err client_credentials_write(struct buf *out, const struct proto_credentials *cred,
                                           struct span expiration);
MUST_USE enum err client_health_write(struct buf *out);
/* Any request with a body of JSON. */
MUST_USE enum err client_json_write(struct buf *out, const char *method, const char *target,
                                    struct span body);

/* One answer, as its bytes come. */
struct client_reader {
    struct buf raw;         /* bytes of the head */
    struct buf body;        /* content */
    struct http1_head head; /* views of raw; once has_head */
    struct http1_body left;
    bool has_head, is_done;
};

/* In place: the value is large. */
void client_reader_init(struct client_reader *r);
void client_reader_clear(struct client_reader *r);
/* Take what belongs to the answer from the start of `in`. ERR_OK: it is whole, and *used bytes were
 * its. ERR_MORE: call again with what is left of it (little: half a line) and what comes behind.
 * ERR_MALFORMED: not HTTP, or not of a form that we read; ERR_LIMIT,
 * ERR_NOMEM. Interim answers (1xx) are passed over. */
MUST_USE enum err client_reader_feed(struct client_reader *r, struct span in, size_t *used,
                                     struct why *why);
/* The stream ended: ERR_OK if the answer is whole that way, else ERR_MALFORMED. */
MUST_USE enum err client_reader_eof(struct client_reader *r);
/* Nothing of an answer has come. */
static inline bool client_reader_is_empty(const struct client_reader *r)
{
    return !r->has_head && r->raw.len == 0;
}

/* What an answer says; views of the reader. ERR_MALFORMED: not an answer to that request, why->what
 * says what is missing. *out is untouched on failure. */
struct client_sealed {
    struct span encrypted; /* IV, tag, ciphertext */
    struct span signature_b64, ciphertext_blob_b64;
    struct span key_id, request_id; /* absent where the service did not say */
};
MUST_USE enum err client_sealed_parse(const struct client_reader *r, struct client_sealed *out,
                                      struct why *why);

struct client_bytes {
    struct span bytes, key_id, request_id;
};
/* `min` to `max` bytes of application/octet-stream. */
MUST_USE enum err client_bytes_parse(const struct client_reader *r, size_t min, size_t max,
                                     struct client_bytes *out, struct why *why);

/* Members of a JSON answer; see proto_answer_parse(). */
MUST_USE enum err client_text_parse(const struct client_reader *r, enum proto_op op,
                                    struct proto_answer *out, struct why *why);

/* An answer of status 400 and above. Absent members are not set; what is no problem document (of a
 * proxy on the way) has none. */
struct client_problem {
    struct json_str title, code, detail, hint, kms_type, kms_message, kms_request_id, request_id;
    unsigned status, retry_after_s;
};
/* What it is read from: whole answers and streams come by different readers. */
struct client_refusal {
    unsigned status;
    struct span content_type, retry_after, body; /* absent where the answer has none */
};
void client_problem_parse(const struct client_refusal *r, struct client_problem *out);
struct client_refusal client_reader_refusal(const struct client_reader *r);
/* One problem document by itself, with the status that it says, 0 where it does not.
 * ERR_MALFORMED: no JSON object; *out is untouched then. */
MUST_USE enum err client_problem_read(struct span json, struct client_problem *out);

#endif
