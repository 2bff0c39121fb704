/* kms.h - the client's side of KMS: attested operations out, answers and errors in (JSON 1.1 over
 * HTTP/1.1, SigV4).
 *
 * Never here: Encrypt, Sign and whatever else is not attested. Source: kms-recipient sections
 * 1, 2, 4, 5.
 */
#ifndef KMS_KMS_H
#define KMS_KMS_H

#include "http1/http1.h"
#include "sigv4/sigv4.h"

enum {
    KMS_ANSWER_MAX = 65536,
    KMS_RANDOM_MAX = 1024, /* bytes; GenerateRandom and GenerateDataKey */
    KMS_GRANT_TOKENS_MAX = 10,
    KMS_CONTEXT_PAIRS_MAX = 64, /* ours: the service model has no limit of its own */
};

/* All that KMS answers to an attestation document. */
enum kms_op {
    KMS_GENERATE_DATA_KEY,
    KMS_DECRYPT,
    KMS_GENERATE_RANDOM,
    KMS_GENERATE_DATA_KEY_PAIR,
    KMS_DERIVE_SHARED_SECRET,
};
/* "GenerateDataKey" and so on. */
const char *kms_op_name(enum kms_op op);

struct kms_endpoint { /* spans outlive the calls */
    struct span host; /* Host header: name, with :port when not 443 */
    struct span region;
};

struct kms_context_pair { /* of an encryption context: UTF-8, not secret */
    struct span name, value;
};

/* The beginning of every request with one attestation document, which is most of its bytes: its
 * text and the hash of it so far. Zero: none. */
struct kms_recipient {
    struct buf text;
    struct sha256_state hashed;
};
/* Of a document (DER of our RSA key inside), in place of what *r held. ERR_INTERNAL: empty or too
 * long; ERR_NOMEM: *r is cleared then. */
MUST_USE enum err kms_recipient_set(struct kms_recipient *r, struct span document);
void kms_recipient_clear(struct kms_recipient *r);

struct kms_call {
    enum kms_op op;
    struct span key_id; /* all but GenerateRandom: full ARN (or what the service was given) */
    struct span ciphertext_blob_b64;  /* Decrypt */
    struct span encryption_algorithm; /* Decrypt under an asymmetric key; empty: not sent */
    /* GenerateDataKey: "AES_256" (also if empty) or "AES_128"; GenerateDataKeyPair: "RSA_2048",
     * "ECC_NIST_P256", ... */
    struct span key_spec;
    unsigned number_of_bytes;   /* GenerateRandom; GenerateDataKey: instead of key_spec if not 0 */
    struct span public_key_b64; /* DeriveSharedSecret: the peer's SubjectPublicKeyInfo */
    const struct kms_context_pair *context; /* in the order of the request; names differ */
    size_t n_context;                       /* Decrypt, GenerateDataKey, GenerateDataKeyPair */
    const struct span *grant_tokens;        /* all but GenerateRandom */
    size_t n_grant_tokens;
    /* Attestation document, DER of our RSA key inside; or what was made of it for many calls. */
    struct span document;
    const struct kms_recipient *recipient;
};

/* Append the whole HTTP request, signed for `now_s` (unix seconds). A Decrypt without `key_id` is
 * sent without; whoever can name the key has to. ERR_INTERNAL: no document, or a member that
 * the operation needs is missing or too long. ERR_MALFORMED: credentials or host that cannot stand
 * in a header, a key id that is not UTF-8. ERR_LIMIT, ERR_NOMEM. Nothing appended on
 * failure. */
MUST_USE enum err kms_request_write(const struct kms_call *call, const struct kms_endpoint *ep,
                                    const struct sigv4_credentials *cred, int64_t now_s,
                                    struct buf *out);

struct kms_answer { /* spans into the response's bytes or into `text` */
    unsigned status;
    struct span request_id;                /* x-amzn-requestid */
    struct span error_type, error_message; /* status != 200; type without prefix# and :suffix */
    struct span key_id;                    /* ARN */
    /* GenerateDataKey; of GenerateDataKeyPair the private key's. Base64 as it came, checked. */
    struct span ciphertext_blob_b64;
    struct span public_key_b64;           /* GenerateDataKeyPair: likewise */
    struct span ciphertext_for_recipient; /* decoded */
    struct buf text;                      /* storage for decoded members; kms_answer_clear() */
};
/* `head` and `body` of a complete response. ERR_OK: an answer or a KMS error (status).
 * ERR_MALFORMED: neither. ERR_VERIFY: `Plaintext`, `PrivateKeyPlaintext` or `SharedSecret` in the
 * answer to an attested call, or no CiphertextForRecipient. ERR_LIMIT: past KMS_ANSWER_MAX.
 * *out untouched on failure. */
MUST_USE enum err kms_answer_parse(enum kms_op op, const struct http1_head *head, struct span body,
                                   struct kms_answer *out, struct why *why);
void kms_answer_clear(struct kms_answer *a);

/* What a refusal means for the caller. */
enum kms_verdict {
    KMS_VERDICT_OK,
    KMS_VERDICT_RETRY,          /* throttling, 5xx */
    KMS_VERDICT_FRESH_DOCUMENT, /* the refusal names the attestation document: one fresh document,
                                   one retry */
    KMS_VERDICT_FINAL,
};
enum kms_verdict kms_verdict_of(const struct kms_answer *a);
/* One line on what to check, for an error type (static text), or NULL. */
const char *kms_hint(struct span error_type, struct span error_message);

/* arn:PARTITION:kms:REGION:ACCOUNT:key/ID, nothing else. */
bool kms_is_key_arn(struct span s);
/* The id after "key/", or the whole if it is a bare id. */
struct span kms_key_id_of(struct span arn_or_id);
/* Does the ARN in an answer name the key that was asked for (ARN: equal; bare id: same id)? */
bool kms_key_matches(struct span asked, struct span answered_arn);
/* "kms.REGION.SUFFIX" by partition (credentials reference section 6). Appends. ERR_MALFORMED: not a
 * region name. */
MUST_USE enum err kms_host_of_region(struct span region, struct buf *out);
/* The same of a service that is named alike in every partition ("kms", "sts"), and of its FIPS and
 * dual-stack endpoints. */
MUST_USE enum err aws_host_of_region(const char *service, struct span region, bool fips,
                                     bool dualstack, struct buf *out);
/* https://NAME[:PORT][/]: append to `name` what TLS has to prove, to `host` what the Host header
 * says (with :PORT when not 443). ERR_MALFORMED: anything else; both as before. ERR_LIMIT,
 * ERR_NOMEM. */
MUST_USE enum err kms_endpoint_parse(struct span url, struct buf *name, struct buf *host);

#endif
