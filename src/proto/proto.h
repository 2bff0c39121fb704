/* proto.h - the seed protocol: one JSON object each way. Source: seed-system section 3; members
 * that we do not know are ignored.
 *
 * Ours besides: operation `attest` (`nonce` in base64, answered by `document`), and `error_code`,
 * `request_id`, `key_id`, `kms_type`, `kms_message`, `kms_request_id`, `hint` in answers.
 */
#ifndef PROTO_PROTO_H
#define PROTO_PROTO_H

#include "base/json.h"

enum proto_op { PROTO_ENCRYPT, PROTO_DECRYPT, PROTO_ATTEST };

struct proto_request { /* views into the request's bytes */
    enum proto_op op;
    bool has_credentials;
    struct json_str access_key_id, secret_access_key,
        session_token;       /* token: absent or empty for long-term keys */
    struct json_str message; /* encrypt */
    struct json_str encrypted, signature, ciphertext_blob; /* decrypt, base64 text */
    struct json_str nonce;                                 /* attest, base64 text */
};

/* ERR_MALFORMED: why->what is a whole sentence for the client, e.g. "member 'message' is missing"
 * or "invalid JSON"; ERR_UNSUPPORTED: unknown operation. */
MUST_USE enum err proto_request_parse(struct span in, struct proto_request *out, struct why *why);

/* What the transport has said already: the HTTP API's paths name the operation, and the service may
 * hold credentials. */
struct proto_given {
    bool has_op; /* a member `operation` may then be left out and must not differ (ERR_MALFORMED) */
    enum proto_op op;
    bool has_credentials; /* member `credentials` may be left out, not parts of it */
};
MUST_USE enum err proto_request_parse_given(struct span in, const struct proto_given *given,
                                            struct proto_request *out, struct why *why);

struct proto_error {
    const char *error;  /* the seed's text, or ours for what it did not handle */
    const char *code;   /* stable, lower_snake_case */
    struct span detail; /* more for people; may be empty */
    struct span kms_type, kms_message, kms_request_id; /* empty: not from KMS */
    const char *hint;                                  /* what to do next, or NULL */
};

/* Service side. Appended as one object. `message` JSON_STR_NONE: `plaintext` is left out. */
MUST_USE enum err proto_encrypt_answer_write(struct buf *out, struct json_str message,
                                             struct span encrypted, struct span signature,
                                             struct span ciphertext_blob_b64, struct span key_id,
                                             struct span request_id);
MUST_USE enum err proto_decrypt_answer_write(struct buf *out, struct span text,
                                             bool signature_valid, struct span key_id,
                                             struct span request_id);
MUST_USE enum err proto_attest_answer_write(struct buf *out, struct span document,
                                            struct span request_id);
MUST_USE enum err proto_error_write(struct buf *out, const struct proto_error *e,
                                    struct span request_id);

/* Client side. `cred` NULL: member left out, for a service that holds some. */
struct proto_credentials {
    struct span access_key_id, secret_access_key, session_token;
};
MUST_USE enum err proto_encrypt_write(struct buf *out, const struct proto_credentials *cred,
                                      struct span message);
MUST_USE enum err proto_decrypt_write(struct buf *out, const struct proto_credentials *cred,
                                      struct span encrypted_b64, struct span signature_b64,
                                      struct span ciphertext_blob_b64);
MUST_USE enum err proto_attest_write(struct buf *out, struct span nonce);

struct proto_answer { /* views; absent members have a NULL ptr */
    struct json_str error, error_code, detail, hint, kms_type, kms_message, kms_request_id,
        request_id, key_id;
    struct json_str plaintext, encrypted, signature, ciphertext_blob; /* encrypt */
    struct json_str decrypted;                                        /* decrypt */
    bool signature_valid;
    struct json_str document; /* attest, base64 */
};
/* ERR_OK also for an answer with `error`. ERR_MALFORMED: not an answer to `op`. */
MUST_USE enum err proto_answer_parse(struct span in, enum proto_op op, struct proto_answer *out,
                                     struct why *why);

#endif
