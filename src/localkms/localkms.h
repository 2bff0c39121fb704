/* localkms.h - a KMS that says no for the right reasons: one HTTP request in, one response out.
 *
 * Pure but for the key store behind keystore.h. Speaks AWS JSON 1.1 as in the kms-recipient
 * reference, every operation of its section 4 but those of custom key stores; another one is an
 * UnknownOperationException. Order of checks: operation, signature, members, attestation document,
 * key, policy, usage, key state, algorithm, cryptography.
 *
 * Differs from KMS: see doc/local-kms.md. One thread.
 */
#ifndef LOCALKMS_LOCALKMS_H
#define LOCALKMS_LOCALKMS_H

#include "cms/cms.h"
#include "crypto/crypto.h"
#include "crypto/keypair.h"
#include "http1/http1.h"
#include "localkms/keystore.h"

enum {
    LOCALKMS_BODY_MAX_BYTES = 512 << 10,
    LOCALKMS_RESPONSE_MAX_BYTES = 256 << 10,
    LOCALKMS_ACCOUNT_DIGITS = 12,
    LOCALKMS_REGION_MAX_BYTES = 32,
    LOCALKMS_TEXT_MAX_BYTES = 16384, /* of an explanation */
    LOCALKMS_AUDIT_MAX_BYTES = 65536,
};

struct localkms;

struct localkms_settings {
    struct span region, account, partition; /* "us-east-1", 12 digits, "aws" */
    const struct span *roots;               /* trusted attestation roots, DER */
    size_t n_roots;
    /* Module ids whose unsigned documents of QEMU's NSM are taken; normally none. */
    const struct span *qemu_modules;
    size_t n_qemu_modules;
    struct span master_key; /* 32 bytes; wraps the material in the store */
    enum cms_form form;     /* of CiphertextForRecipient */
    const struct keystore *store;
    int64_t max_document_age_s; /* 0: as long as its certificates are valid */
    uint32_t quota;             /* calls of all callers a second; 0: no limit */
    bool refuse_debug;          /* documents of debug enclaves, whatever the policies say */
    bool audit;                 /* write a record of each call (audit.h) into the note */
    bool audit_hex;             /* with registers in hexadecimal, not base64 */
    bool accept_any; /* development mode: unknown credentials are the account's root user, and no
                        signature is checked */
};

/* ERR_MALFORMED (why: "region", "account", ...), ERR_NOMEM, ERR_INTERNAL. `cx` must live longer. */
MUST_USE enum err localkms_new(struct crypto *cx, const struct localkms_settings *s,
                               struct localkms **out, struct why *why);
void localkms_free(struct localkms *k); /* NULL is fine */

/* Replace the list of principals: people.h's YAML, or principals.h's JSON where it begins with a
 * bracket. On failure the old one stays. Without any, every request is refused. */
MUST_USE enum err localkms_set_principals(struct localkms *k, struct span text, struct why *why);

/* What to log about a request. Texts live until the next call here; nothing in it is secret. */
struct localkms_note {
    const char *operation; /* "Decrypt", or "" for none that we know */
    const char *error;     /* "AccessDeniedException", or "" */
    unsigned status;
    char request_id[KEY_ID_BYTES + 1];
    const char *caller; /* ARN, or "" if not authenticated */
    char key_id[KEY_ID_BYTES + 1];
    bool attested, debug_enclave, unsigned_document; /* unsigned: QEMU's */
    const char *module_id;
    const char *store_reason; /* the key store's own words about its failure, or "" */
    struct buf audit;         /* one JSON object, or empty */
    struct buf message;       /* as sent to the caller */
    struct buf explain;       /* of a refusal by policy: what decided, what would have matched */
};

#define LOCALKMS_NOTE_INIT                                                                         \
    ((struct localkms_note){ .audit = BUF_INIT(LOCALKMS_AUDIT_MAX_BYTES),                          \
                             .message = BUF_INIT(LOCALKMS_TEXT_MAX_BYTES),                         \
                             .explain = BUF_INIT(LOCALKMS_TEXT_MAX_BYTES) })
void localkms_note_clear(struct localkms_note *note);

/* Attestation documents: verified, and found among those that were. */
struct localkms_documents {
    uint64_t verified, kept;
};
struct localkms_documents localkms_documents(const struct localkms *k);

/* Where the next request comes from; until then 127.0.0.1 over TLS. */
struct localkms_origin {
    char ip[46]; /* text */
    bool tls;
};
void localkms_set_origin(struct localkms *k, const struct localkms_origin *origin);

/* Answer one request; the whole response is appended. ERR_MORE: it needs an RSA key pair, which
 * takes so long that others must not wait: make one of localkms_wanted() elsewhere (keypair_new()),
 * give it, and handle the same request again at once. Else only ERR_NOMEM, ERR_LIMIT (`response` is
 * full), ERR_CRYPTO: then nothing was appended and the connection has to be closed. `now_ms`: unix.
 */
MUST_USE enum err localkms_handle(struct localkms *k, const struct http1_head *head,
                                  struct span body, int64_t now_ms, struct buf *response,
                                  struct localkms_note *note);
/* After ERR_MORE. */
enum keypair_spec localkms_wanted(const struct localkms *k);
/* Takes *pkcs8 over. It is for the next localkms_handle() only. ERR_NOMEM, ERR_LIMIT. */
MUST_USE enum err localkms_give(struct localkms *k, struct secret *pkcs8, struct span spki);
/* Instead: too many wait. The next localkms_handle() answers ThrottlingException. */
void localkms_decline(struct localkms *k);
/* Wipe it where that request does not come any more. */
void localkms_forget(struct localkms *k);

#endif
